"""Run folders made by hand, with a shop that behaves: what reports are tried on.

One seed, one world: the same arguments give the same folder, byte for byte. The load and the mesh
tell one story, because both are drawn from the same ``Weather``.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_deeds import EVERY_KIND, deeds_of
from openvoyages import OpenLoad
from weathers import SHOP, UNITS, value_of, weather

from runner.analysis.evaluate import evaluate
from runner.model.experiment import Experiment
from runner.model.fault import FLAGGED_KINDS
from runner.model.histogram import bucket_of
from runner.model.plan import Plan, PlannedFault, make_plan
from runner.model.recording import (
    ClockAnchor,
    Event,
    Manifest,
    PhaseSignal,
    Signals,
    SignalSeries,
    TargetInfo,
)
from runner.store import RunDir

WALL_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z
RUN_ID = "2026-01-01T000000Z-abcd"
HOSTILE = "<script>alert('1')</script>\x00\x1b[31m|`\"&\u202e @team $x$ " + "long-" * 60

SERVICES = (
    *("customer-api", "order-api", "payment-api", "product-api"),
    *("recommendation-api", "saga-tracker"),
)
OBJECTIVES: tuple[Any, ...] = (
    {"objective": "latency.p95 < 300ms", "during": ["baseline", "recovery"], "warn": "100ms"},
    {"objective": "errors < 0.5%", "during": ["baseline", "recovery"]},
    {"objective": "errors < 5%", "during": "fault"},
    {"objective": "errors < 30%", "during": "fault", "of": "POST /api/v1/orders"},
    "traffic > 80/s",
    {"objective": "latency.p95 < 200ms", "service": "order-api"},
    {"objective": "saturation.cpu < 80%", "warn": "60%"},
    "recovery < 15s",
)


@dataclass(frozen=True, slots=True)
class Voyage:
    """What kind of run to make.

    Attributes:
        length_s: Length of the load; the faults keep their places in it.
        kill, delay, abort: Whether there is a fault of this kind.
        time_scale: What the plan says it was shortened by.
        names: Endpoint to the name under which the load reports it.
        signals: Whether any were collected.
        faults: These instead, with their times.
        recorded_s: Where the record of the load ends, if before the end of the load.
        rate: Arrivals per second, instead of users.
        pool: Most arrivals in flight.
        stall_s: How long nobody is answered, in the middle of the run; open model only.
        max_wait: How long an arrival waits.
    """

    length_s: float = 120.0
    users: int = 100
    rate: float | None = None
    pool: int | None = None
    stall_s: float = 0.0
    max_wait: str = "10s"
    kill: bool = True
    delay: bool = False
    abort: bool = True
    time_scale: float = 1.0
    objectives: tuple[Any, ...] = field(default=OBJECTIVES, hash=False)
    services: tuple[str, ...] = SERVICES
    names: dict[str, str] = field(default_factory=dict, hash=False)
    failure_text: str = "HTTP 503"
    state: str = "recorded"
    reason: str = ""
    signals: bool = True
    recorded_s: float = math.inf
    faults: tuple[dict[str, Any], ...] = field(default=(), hash=False)
    description: str = "Orders keep working while pods die and payments are refused."


def every_kind() -> Voyage:
    """A voyage of five minutes with a fault of each kind, one after the other."""
    faults = tuple(
        fault | {"at": f"{30 + 28 * number}s", "duration": "15s", "name": f"the-{fault['kind']}"}
        for number, fault in enumerate(EVERY_KIND)
    )
    return Voyage(length_s=300, users=20, faults=faults)


def plan_of(voyage: Voyage) -> Plan:
    length_s = voyage.length_s
    faults: list[dict[str, Any]] = []
    if voyage.kill:
        faults.append({"kind": "pod-kill", "service": "order-api", "at": f"{0.25 * length_s}s"})
    if voyage.delay:
        faults.append(
            {"kind": "http-delay", "service": "payment-api", "at": f"{0.45 * length_s}s"}
            | {"delay": "250ms", "percent": 60}
        )
    if voyage.abort:
        faults.append(
            {"kind": "http-abort", "service": "payment-api", "at": f"{0.65 * length_s}s"}
            | {"status": 503, "percent": 50}
        )
    for fault in faults:
        fault["duration"] = f"{0.125 * length_s}s"
    faults = [dict(fault) for fault in voyage.faults] or faults
    ramp_s = length_s / 12
    experiment = Experiment.model_validate(
        {
            "name": "shop-at-sea",
            "description": voyage.description,
            "load": _load(voyage, ramp_s),
            "warmup": f"{ramp_s}s",
            "faults": faults,
            "objectives": list(voyage.objectives),
        }
    )
    return make_plan(experiment).model_copy(update={"time_scale": voyage.time_scale})


def _load(voyage: Voyage, ramp_s: float) -> dict[str, Any]:
    rest_s = voyage.length_s - ramp_s
    if voyage.rate is None:
        ramp: dict[str, Any] = {"duration": f"{ramp_s}s", "users": voyage.users}
        ramp |= {"spawn_rate": voyage.users / ramp_s}
        hold: dict[str, Any] = {"duration": f"{rest_s}s", "users": voyage.users}
        return {"locustfile": "shop.py", "stages": [ramp, hold]}
    rate = f"{voyage.rate}/s"
    ramp = {"duration": f"{ramp_s}s", "rate": rate, "ramp": f"{ramp_s}s"}
    stages = [ramp, {"duration": f"{rest_s}s", "rate": rate}]
    pool = {} if voyage.pool is None else {"max_in_flight": voyage.pool}
    return {"locustfile": "shop.py", "stages": stages, "max_wait": voyage.max_wait, **pool}


def write_run(root: Path, voyage: Voyage | None = None, *, evaluated: bool = True) -> RunDir:
    """Write the folder of a run below ``root``, evaluated unless told otherwise."""
    voyage = voyage or Voyage()
    plan = plan_of(voyage)
    run = RunDir(root / "shop-at-sea" / RUN_ID)
    run.load_dir.mkdir(parents=True)
    run.write_plan(plan, "name: shop-at-sea\n")
    run.write_manifest(_manifest(voyage))
    rng = random.Random(7)  # noqa: S311 - weather, not a secret
    _write_load(run, plan, voyage, rng)
    _write_faults(run, plan)
    if voyage.signals:
        run.write_signals(_signals(plan, voyage, rng))
    if evaluated:
        run.write_evaluation(evaluate(run.recording()))
    return run


def _manifest(voyage: Voyage) -> Manifest:
    return Manifest.model_validate(
        {
            "run_id": RUN_ID,
            "experiment": "shop-at-sea",
            "experiment_sha256": "0123456789ab" + "0" * 52,
            "state": voyage.state,
            "reason": voyage.reason,
            "created_at": "2025-12-31T23:59:48+00:00",
            "argv": ("seatrial", "run", "shop-at-sea", "--target", "sandbox"),
            "git_revision": "0123456789ab",
            "versions": {"seatrial": "0.1.0", "locust": "2.46.0", "kubernetes": "35.0.0"},
            "host": {"system": "Linux 6.1", "machine": "x86_64", "cpus": "2", "python": "3.11.2"},
            "seed": 1,
            "target": TargetInfo(
                kind="sandbox",
                name="default",
                namespace="ecommerce",
                ingress_url="http://127.0.0.1:8080",
                host="api.c4ang.com",
                prometheus_url="http://127.0.0.1:9090",
                parts={"envoy": "1.40.0", "prometheus": "3.5.0"},
                context="sandbox-default",
                identity="sandbox default on this machine",
            ),
            "anchor": ClockAnchor(load_started_wall_s=WALL_S, prometheus_skew_s=0.004),
        }
    )


# -- the weather -----------------------------------------------------------------------------------


def _write_load(run: RunDir, plan: Plan, voyage: Voyage, rng: random.Random) -> None:
    lines: list[dict[str, Any]] = [{"kind": "start", "wall_s": WALL_S}]
    failures: dict[str, int] = {}
    recorded_s = int(min(plan.duration_s, voyage.recorded_s))
    if voyage.rate is not None:
        lines += _open_lines(plan, voyage, recorded_s, rng, failures)
    for second in range(recorded_s if voyage.rate is None else 0):
        users = round(plan.users_at(second + 0.5))
        rows = []
        for endpoint, (share, median_s, service) in SHOP.items():
            name = voyage.names.get(endpoint, endpoint)
            now = weather(plan, service, second + 0.5)
            counts: dict[str, dict[int, int]] = {}
            for _ in range(max(0, round(users * share + rng.gauss(0, 1)))):
                failed = rng.random() < now.fails
                latency_s = median_s * now.slower * math.exp(rng.gauss(0, 0.35))
                latency_s += now.delay_s if rng.random() < now.delayed else 0.0
                bucket = bucket_of(round(1e6 * (0.004 if failed else latency_s)))
                kind = counts.setdefault("http_5xx" if failed else "success", {})
                kind[bucket] = kind.get(bucket, 0) + 1
            failed_now = sum(counts.get("http_5xx", {}).values())
            failures[name] = failures.get(name, 0) + failed_now
            rows += [[name, outcome, sorted(c.items())] for outcome, c in sorted(counts.items())]
        lines.append({"kind": "rows", "second": second, "users": users, "rows": rows})
        account = {"cpu_ratio": 0.2, "lag_s": 0.002, "rss_bytes": 80_000_000}
        lines.append({"kind": "generator", "second": second, **account})
    kinds = [[name, "http_5xx", voyage.failure_text, n] for name, n in failures.items() if n]
    lines.append({"kind": "failures", "failures": kinds, "dropped": 0})
    if recorded_s >= plan.duration_s:
        lines.append({"kind": "end", "wall_s": WALL_S + plan.duration_s, "complete": True})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run.load_dir / "seconds.jsonl").write_text(text, encoding="utf-8")


def _open_lines(
    plan: Plan, voyage: Voyage, recorded_s: int, rng: random.Random, failures: dict[str, int]
) -> list[dict[str, Any]]:
    shares = [share for share, _, _ in SHOP.values()]

    def answer(at_s: float) -> tuple[str, str, float]:
        ((endpoint, (_, median_s, service)),) = rng.choices(list(SHOP.items()), shares)
        now = weather(plan, service, at_s)
        name = voyage.names.get(endpoint, endpoint)
        if rng.random() < now.fails:
            return name, "http_5xx", 0.004
        delay_s = now.delay_s if rng.random() < now.delayed else 0.0
        return name, "success", median_s * now.slower * math.exp(rng.gauss(0, 0.35)) + delay_s

    middle_s = plan.duration_s / 2
    load = OpenLoad(plan, answer, (middle_s, middle_s + voyage.stall_s), rng)
    lines = []
    for second in range(recorded_s):
        rows, arrivals = load.of_second(second)
        for name, outcome, response, _ in rows:
            if outcome != "success":
                failures[name] = failures.get(name, 0) + sum(n for _, n in response)
        lines.append({"kind": "rows", "second": second, "users": plan.max_in_flight, "rows": rows})
        lines.append({"kind": "arrivals", "second": second, **arrivals})
        account = {"cpu_ratio": 0.2, "lag_s": 0.002, "rss_bytes": 80_000_000}
        lines.append({"kind": "generator", "second": second, **account})
    return lines


def _write_faults(run: RunDir, plan: Plan) -> None:
    for fault in plan.faults:
        folder = run.fault_dir(fault.id)
        folder.mkdir(parents=True)
        journal = {"status": "completed", "run": [], "rollbacks": []}
        (folder / "journal.json").write_text(json.dumps(journal), encoding="utf-8")
        lines = [json.dumps(line) + "\n" for line in _effects(fault)]
        (folder / "effects.jsonl").write_text("".join(lines), encoding="utf-8")
        for action, at_s in (("inject", fault.start_s), ("heal", fault.end_s)):
            for kind in ("begin", "ok"):
                event = {"wall_s": WALL_S + at_s, "offset_s": at_s, "source": fault.id}
                run.append_event(Event.model_validate({**event, "action": action, "kind": kind}))


def _effects(fault: PlannedFault) -> list[dict[str, Any]]:
    if fault.fault.kind not in ("pod-kill", "http-delay", "http-abort") or fault.fault.name:
        return [
            {"wall_s": WALL_S + at_s, "what": what, "subject": name, "detail": detail}
            for what, at_s, name, detail in deeds_of(fault)
        ]
    if fault.fault.kind == "pod-kill":
        steps = [("killed", fault.start_s + 0.2, "pod/order-api-6nb4jwb8xr-f94n8")]
        steps += [("replaced", fault.start_s + 1.1, "pod/order-api-6nb4jwb8xr-k2x7q")]
        steps += [("ready", fault.start_s + 3.4, "service/order-api")]
    else:
        name = f"virtualservice/{fault.fault.service}"
        steps = [("injected", fault.start_s + 0.1, name), ("verified", fault.start_s + 0.4, name)]
        steps += [("removed", fault.end_s + 0.1, name), ("gone", fault.end_s + 0.4, name)]
    return [{"wall_s": WALL_S + at_s, "what": what, "subject": name} for what, at_s, name in steps]


# -- the mesh --------------------------------------------------------------------------------------


def _signals(plan: Plan, voyage: Voyage, rng: random.Random) -> Signals:
    series, phases = [], []
    for service in voyage.services:
        for sli, unit in UNITS.items():
            points = tuple(
                (float(at_s), value_of(plan, sli, service, at_s, rng.gauss(0, 1)))
                for at_s in range(int(plan.duration_s))
            )
            query = f'made_up{{service="{service}"}}'
            series.append(
                SignalSeries(
                    sli=sli,
                    service=service,
                    unit=unit,
                    query=query,
                    step_s=1.0,
                    points=points,
                    state="ok",
                )
            )
            for phase in plan.phases:
                inside = [v for at_s, v in points if phase.start_s <= at_s < phase.end_s]
                phases.append(
                    PhaseSignal(
                        phase=phase.index,
                        sli=sli,
                        service=service,
                        unit=unit,
                        query=query,
                        value=sum(inside) / len(inside),
                        samples=20.0 * len(inside),
                        state="ok",
                    )
                )
    phases += _at_the_gateway(plan)
    for fault in plan.faults:
        if fault.fault.expects == "breaker":
            series.append(_ejected(fault))
    flags: dict[str, float | None] = {
        f.id: _hits(f, plan) for f in plan.faults if f.fault.kind in FLAGGED_KINDS
    }
    flags |= {f.id: 120.0 for f in plan.faults if f.fault.kind == "network-deny"}
    return Signals(
        services=voyage.services,
        series=tuple(series),
        phases=tuple(phases),
        fault_flags=flags,
        late_flags=dict.fromkeys(flags, 0.0),
    )


def _at_the_gateway(plan: Plan) -> list[PhaseSignal]:
    """What the ingress gateway saw of each phase: all endpoints together, without noise."""
    figures = []
    for phase in plan.phases:
        seconds = range(math.ceil(phase.start_s), max(math.ceil(phase.end_s), 1))
        traffic = errors = 0.0
        for at_s in seconds:
            for _, _, service in SHOP.values():
                requests = value_of(plan, "traffic", service, at_s + 0.5, 0.0)
                traffic += requests
                errors += requests * value_of(plan, "errors", service, at_s + 0.5, 0.0)
        known = {"traffic": traffic / max(1, len(seconds)), "errors": errors / (traffic or 1.0)}
        figures += [
            PhaseSignal(
                phase=phase.index,
                sli=sli,
                service="",
                unit=UNITS[sli],
                query="made_up",
                value=value,
                samples=traffic,
                state="ok",
            )
            for sli, value in known.items()
        ]
    return figures


def _ejected(fault: PlannedFault) -> SignalSeries:
    """One pod is ejected three seconds after the fault has begun, until it is over."""
    points = tuple(
        (float(at_s), float(at_s >= fault.start_s + 3))
        for at_s in range(int(fault.start_s), int(fault.end_s))
    )
    return SignalSeries(
        sli="pool.ejected",
        service=fault.fault.service,
        unit="count",
        query="made_up",
        step_s=1.0,
        points=points,
        state="ok",
    )


def _hits(fault: PlannedFault, plan: Plan) -> float:
    """About the flags that validity expects: 20 requests for each second of a phase."""
    return round((fault.end_s - fault.start_s) * 20 * getattr(fault.fault, "percent", 0) / 100)
