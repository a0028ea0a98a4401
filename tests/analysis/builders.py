"""Recordings made by hand: a small shop under load with the faults and troubles that a test wants.

Every second sends ``RATE`` requests to each of two endpoints, unless a test says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fault_deeds import deeds_of

from runner.model.experiment import Experiment
from runner.model.fault import FLAGGED_KINDS
from runner.model.faultrecord import Effect, FaultRecord
from runner.model.histogram import bucket_of
from runner.model.plan import Plan, make_plan
from runner.model.recording import (
    ClockAnchor,
    Event,
    GeneratorSecond,
    LoadRecord,
    LoadRow,
    Manifest,
    PhaseSignal,
    Recording,
    Signals,
    SignalSeries,
)

WALL_S = 1_700_000_000.0
ORDERS = "POST /api/v1/orders"
PRODUCTS = "GET /api/v1/products"
SERVICE = "payment-api"
OTHER_SERVICE = "order-api"
RATE = 50

ABORT = {
    "kind": "http-abort",
    "service": SERVICE,
    "at": "20s",
    "duration": "10s",
    "status": 503,
    "percent": 50,
}
KILL = {"kind": "pod-kill", "service": OTHER_SERVICE, "at": "20s", "duration": "10s"}

MESH_SLIS = {
    "latency.p50": ("s", 0.010),
    "latency.p95": ("s", 0.030),
    "latency.p99": ("s", 0.050),
    "traffic": ("per_s", 100.0),
    "errors": ("ratio", 0.0),
    "saturation.cpu": ("ratio", 0.20),
    "saturation.memory": ("ratio", 0.30),
}


def plan_of(
    *objectives: str | dict[str, Any],
    faults: Sequence[dict[str, Any]] = (),
    duration: str = "60s",
    warmup: str = "5s",
    users: int = 10,
    time_scale: float = 1.0,
) -> Plan:
    """A plan with one stage of ``users`` users."""
    experiment = Experiment.model_validate(
        {
            "name": "made-by-hand",
            "description": "A run for a test.",
            "load": {
                "locustfile": "shop.py",
                "stages": [{"duration": duration, "users": users}],
            },
            "warmup": warmup,
            "faults": list(faults),
            "objectives": list(objectives) or ["latency.p95 < 500ms", "errors < 1%"],
        }
    )
    return make_plan(experiment, time_scale=time_scale)


def row(
    second: int,
    requests: int = RATE,
    *,
    endpoint: str = ORDERS,
    outcome: str = "success",
    latency_ms: float = 20.0,
) -> LoadRow:
    """``requests`` requests of one latency."""
    return LoadRow(second, endpoint, outcome, {bucket_of(round(latency_ms * 1000)): requests})


Rows = Callable[[int], Sequence[LoadRow]]


def healthy(second: int) -> Sequence[LoadRow]:
    """A second in which all is well: 20 ms, no failure."""
    return (row(second), row(second, endpoint=PRODUCTS))


def load_of(plan: Plan, rows: Rows = healthy, until_s: int | None = None) -> LoadRecord:
    """A record of each second up to ``until_s`` (None: the planned end), closed in order."""
    seconds = range(int(plan.duration_s) if until_s is None else until_s)
    return LoadRecord(
        rows=tuple(one for second in seconds for one in rows(second)),
        users={second: round(plan.users_at(second + 0.999)) for second in seconds},
        failures={},
        finished=True,
        complete=True,
        generator=dict.fromkeys(seconds, GeneratorSecond(0.2, 0.002, 80_000_000)),
    )


def phase_signals(plan: Plan, services: Sequence[str]) -> tuple[PhaseSignal, ...]:
    """Every signal of every service, and of the ingress, in every phase, all of them well."""
    return tuple(
        PhaseSignal(
            phase=phase.index,
            sli=sli,
            service=service,
            unit=unit,
            query="made by hand",
            value=value,
            samples=100.0 * phase.duration_s,
            state="ok",
        )
        for phase in plan.phases
        for service in (*services, "")
        for sli, (unit, value) in MESH_SLIS.items()
        if service or not sli.startswith("saturation")
    )


def scraped_every(interval_s: float) -> SignalSeries:
    """A series of a Prometheus that looks so often."""
    return SignalSeries(
        sli="traffic",
        service="",
        unit="per_s",
        query="made by hand",
        step_s=interval_s,
        points=(),
        state="ok",
    )


def signals_of(plan: Plan, services: Sequence[str] = (OTHER_SERVICE, SERVICE)) -> Signals:
    """Complete signals; the faults' flags are what their share of the traffic gives."""
    http = [fault for fault in plan.faults if fault.fault.kind in FLAGGED_KINDS]
    return Signals(
        services=tuple(services),
        phases=phase_signals(plan, services),
        series=(scraped_every(15.0),),
        # 100 requests a second, of which the planned percentage is hit.
        fault_flags={
            fault.id: (fault.end_s - fault.start_s) * getattr(fault.fault, "percent", 0.0)
            for fault in http
        },
        late_flags={fault.id: 0.0 for fault in http},
    )


def fault_records(plan: Plan) -> tuple[FaultRecord, ...]:
    """Records of faults that all went as they should."""
    return tuple(
        FaultRecord(
            id=fault.id,
            journal_status="completed",
            effects=tuple(
                Effect.model_validate(
                    {"wall_s": WALL_S + at_s, "what": what, "subject": subject, "detail": detail}
                )
                for what, at_s, subject, detail in deeds_of(fault)
            ),
        )
        for fault in plan.faults
    )


def events_of(plan: Plan) -> tuple[Event, ...]:
    """A journal in which every fault was injected and healed."""
    events = []
    for fault in plan.faults:
        for action, at_s in (("inject", fault.start_s), ("heal", fault.end_s)):
            for kind in ("begin", "ok"):
                events.append(
                    Event.model_validate(
                        {
                            "wall_s": WALL_S + at_s,
                            "offset_s": at_s,
                            "source": fault.id,
                            "action": action,
                            "kind": kind,
                        }
                    )
                )
    return tuple(events)


def recording_of(plan: Plan, rows: Rows = healthy, **changes: Any) -> Recording:
    """A recording of a run in which all went well, but for ``rows`` and ``changes``."""
    recording = Recording(
        manifest=Manifest(
            run_id="2026-01-01T000000Z-abcd",
            experiment=plan.experiment.name,
            experiment_sha256="0" * 64,
            state="recorded",
            created_at="2026-01-01T00:00:00Z",
            anchor=ClockAnchor(load_started_wall_s=WALL_S, prometheus_skew_s=0.002),
        ),
        plan=plan,
        events=events_of(plan),
        load=load_of(plan, rows),
        signals=signals_of(plan),
        faults=fault_records(plan),
    )
    return replace(recording, **changes)


def with_signal(
    signals: Signals, sli: str, service: str, phases: Sequence[int], **changes: Any
) -> Signals:
    """``signals`` with some figures changed."""
    return signals.model_copy(
        update={
            "phases": tuple(
                signal.model_copy(update=changes)
                if (signal.sli, signal.service) == (sli, service) and signal.phase in phases
                else signal
                for signal in signals.phases
            )
        }
    )


def reasons(findings: Sequence[Any], check: str) -> Mapping[str, str]:
    """Verdict and reason of the only finding of ``check``."""
    (finding,) = [one for one in findings if one.check == check]
    return {"verdict": str(finding.verdict), "reason": finding.reason}
