"""A long run, made by hand through the writers of real ones: what ``bench_record.py`` judges.

Requests go through the load generator's own recorder and writer, one by one; plan, signals, faults
and journal are the models that a run writes. Latencies are lognormal around a median that drifts
over the day; 0.05 % of the requests fail, in four ways. Every hour, at its quarter, something is
done to a service for a minute: by turns a pod is killed and requests are refused.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from runner.load.recorder import Recorder
from runner.load.seconds import SECONDS_FILE, SecondsWriter
from runner.model.experiment import Experiment
from runner.model.faultrecord import Effect
from runner.model.plan import Plan, PlannedFault, make_plan
from runner.model.recording import (
    ClockAnchor,
    Event,
    Manifest,
    PhaseSignal,
    Signals,
    SignalSeries,
)
from runner.store import FAULT_EFFECTS, FAULT_JOURNAL, RunDir, Store

WALL_S = 1_790_000_000.0
MOST_POINTS = 600
SERVICES = ("frontend", "customer-api", "product-api", "order-api", "payment-api", "stock-api")
ENDPOINTS = (
    ("GET", "/api/v1/customers", 0.18, 0.020),
    ("GET", "/api/v1/products", 0.22, 0.015),
    ("GET", "/api/v1/products/:id", 0.20, 0.012),
    ("POST", "/api/v1/orders", 0.10, 0.045),
    ("GET", "/api/v1/orders/:id", 0.08, 0.025),
    ("POST", "/api/v1/payments", 0.07, 0.080),
    ("GET", "/api/v1/stock", 0.06, 0.010),
    ("PUT", "/api/v1/basket", 0.05, 0.030),
    ("DELETE", "/api/v1/basket", 0.02, 0.022),
    ("GET", "/health", 0.02, 0.002),
)
"""Method, name, share, and median latency in seconds."""
SPREAD = 0.4
FAILING = 0.0005
FAILURES = (
    ("http_5xx", "HTTP 503: upstream connect error"),
    ("timeout", "timed out after 5 s"),
    ("connection", "ConnectionResetError: reset by peer"),
    ("http_4xx", "HTTP 409: basket is closed"),
)
FAULT_S, FIRST_FAULT_S, FAULT_EVERY_S = 60, 900, 3600
SLIS: tuple[tuple[str, str, float], ...] = (
    ("latency.p50", "s", 0.02),
    ("latency.p95", "s", 0.05),
    ("latency.p99", "s", 0.08),
    ("traffic", "per_s", 60.0),
    ("errors", "ratio", 0.0005),
    ("saturation.cpu", "ratio", 0.3),
    ("saturation.memory", "ratio", 0.4),
    ("replicas.desired", "count", 2.0),
    ("replicas.ready", "count", 2.0),
    ("pool.connections", "count", 12.0),
)


def experiment_of(hours: float, *, is_open: bool, rate: float) -> str:
    """An experiment with an hourly fault and objectives of every kind."""
    length_s = int(hours * 3600)
    size: dict[str, Any] = {"rate": f"{rate:g}/s"} if is_open else {"users": int(rate)}
    faults = [
        {"at": f"{at_s}s", "duration": f"{FAULT_S}s"}
        | (
            {"kind": "pod-kill", "service": "order-api"}
            if number % 2 == 0
            else {"kind": "http-abort", "service": "payment-api", "status": 503, "percent": 50}
        )
        for number, at_s in enumerate(range(FIRST_FAULT_S, length_s - FAULT_S, FAULT_EVERY_S))
    ]
    text = {
        "name": "long-day",
        "description": "A long run with a fault in every hour.",
        "load": {"locustfile": "shop.py", "stages": [{"duration": f"{length_s}s"} | size]},
        "warmup": "5m",
        "faults": faults,
        "objectives": [
            "latency.p95 < 500ms",
            "latency.p99 < 1s",
            {"objective": "errors < 1%", "during": ["baseline", "recovery"]},
            {"objective": "errors < 30%", "during": "fault", "of": "POST /api/v1/payments"},
            {"objective": "latency.p95 < 120ms", "of": "GET *"},
            {"objective": "latency.p99 <= baseline + 50%", "during": "recovery"},
            {"objective": "errors < 20%", "for": "10s"},
            {"objective": "latency.p95 < 200ms", "for": "10s"},
            {"objective": "recovery < 2m"},
            {"objective": "saturation.cpu < 80%", "service": "order-api"},
            f"traffic > {0.9 * rate:g}/s",
        ],
    }
    return json.dumps(text, indent=1)


def make_run(root: Path, hours: float, rate: float, *, is_open: bool = False) -> RunDir:
    """Write a run of ``hours`` at ``rate`` requests a second into a new folder of ``root``."""
    text = experiment_of(hours, is_open=is_open, rate=rate)
    plan = make_plan(Experiment.model_validate_json(text))
    run = Store(root).create_run(plan.experiment.name, WALL_S)
    run.write_plan(plan, text)
    _write_load(run.load_dir / SECONDS_FILE, plan, rate, is_open=is_open)
    run.write_signals(signals_of(plan, rate))
    for fault in plan.faults:
        _write_fault(run, fault)
    run.write_manifest(
        Manifest(
            run_id=run.run_id,
            experiment=plan.experiment.name,
            experiment_sha256="0" * 64,
            state="recorded",
            created_at="2026-09-21T14:13:20Z",
            anchor=ClockAnchor(load_started_wall_s=WALL_S, prometheus_skew_s=0.002),
        )
    )
    return run


def _write_load(path: Path, plan: Plan, rate: float, *, is_open: bool) -> None:
    rng, recorder = np.random.default_rng(1), Recorder()
    writer = SecondsWriter(path, lambda: WALL_S + plan.duration_s)
    writer.start(WALL_S)
    shares = np.array([share for *_, share, _ in ENDPOINTS])
    medians_us = np.array([1e6 * median for *_, median in ENDPOINTS])
    users = 0 if is_open else int(rate)
    for second in range(int(plan.duration_s)):
        number = int(rng.poisson(rate))
        which = rng.choice(len(ENDPOINTS), number, p=shares)
        drift = 1 + 0.2 * math.sin(2 * math.pi * second / 86400)
        hit = any(fault.start_s <= second < fault.end_s for fault in plan.faults)
        values = drift * (2 if hit else 1) * medians_us[which] * rng.lognormal(0, SPREAD, number)
        failing = rng.random(number) < (0.05 if hit else FAILING)
        for at, value, bad in zip(which.tolist(), values.tolist(), failing.tolist(), strict=True):
            method, name, *_ = ENDPOINTS[at]
            outcome, why = FAILURES[int(value) % len(FAILURES)] if bad else ("success", "")
            service_us = 0.98 * value if is_open else None
            recorder.record(
                second, method, name, value, outcome=outcome, text=why, service_us=service_us
            )
        if is_open:
            tally = recorder.tally(second)
            tally.offered = tally.started = tally.completed = number
            for value in rng.exponential(300, number).tolist():
                tally.late(value)
        # What is slow ends later: the newest second is written in two parts, as it comes.
        writer.rows(recorder.drain(second), second, users)
        writer.generator(second, 0.1234, 0.000123, 80 << 20)
    writer.rows(recorder.drain(), int(plan.duration_s), users)
    writer.end(complete=True, interrupted=0)


def signals_of(plan: Plan, rate: float) -> Signals:
    """Every indicator of every service: a series of 600 points, and a figure for each phase."""
    step_s = max(1.0, plan.duration_s / MOST_POINTS)
    points = int(plan.duration_s / step_s)
    rng = np.random.default_rng(2)
    series = tuple(
        SignalSeries(
            sli=sli,
            service=service,
            unit=unit,
            query=f'sum(rate(istio_requests_total{{destination_workload="{service}"}}[1m]))',
            step_s=step_s,
            points=tuple(
                (round(at * step_s, 3), float(value))
                for at, value in enumerate(usual * (1 + 0.1 * rng.random(points)))
            ),
            state="ok",
        )
        for service in (*SERVICES, "")
        for sli, unit, usual in SLIS
        if service or not sli.startswith(("saturation", "replicas", "pool"))
    )
    phases = tuple(
        PhaseSignal(
            phase=phase.index,
            sli=sli,
            service=service,
            unit=unit,
            query=f'increase(istio_requests_total{{destination_workload="{service}"}}[60s])',
            value=rate if (service, sli) == ("", "traffic") else usual,
            samples=(60.0 if service else rate) * phase.duration_s,
            state="ok",
        )
        for phase in (*plan.phases, *plan.windows)
        for service in (*SERVICES, "")
        for sli, unit, usual in SLIS
        if service or not sli.startswith(("saturation", "replicas", "pool"))
    )
    hit = [fault.id for fault in plan.faults if fault.fault.kind == "http-abort"]
    return Signals(
        services=SERVICES,
        series=series,
        phases=phases,
        fault_flags=dict.fromkeys(hit, 30.0 * FAULT_S),
        late_flags=dict.fromkeys(hit, 0.0),
    )


def _write_fault(run: RunDir, fault: PlannedFault) -> None:
    """What the child of a fault, and the journal, say of one that went as it should."""
    begun_s, ended_s = WALL_S + fault.start_s, WALL_S + fault.end_s
    if fault.fault.kind == "pod-kill":
        deeds = [
            ("killed", begun_s + 0.5, "pod/order-api-a", "uid 1, grace 0 s; the kill, drawn"),
            ("replaced", begun_s + 1.5, "pod/order-api-b", "uid 2, 1.00 s after the kill"),
            ("ready", begun_s + 4.0, "pods/order-api-a", "2 of 2 ready, 3.50 s after the kill"),
        ]
    else:
        name = "virtualservice/payment-api"
        deeds = [
            ("injected", begun_s + 0.1, name, ""),
            ("verified", begun_s + 0.2, name, ""),
            ("removed", ended_s + 0.1, name, ""),
            ("gone", ended_s + 0.2, name, ""),
        ]
    folder = run.fault_dir(fault.id)
    folder.mkdir(parents=True)
    (folder / FAULT_JOURNAL).write_text('{"status": "completed"}', encoding="utf-8")
    with (folder / FAULT_EFFECTS).open("w", encoding="utf-8") as out:
        for what, wall_s, subject, detail in deeds:
            effect = {"wall_s": wall_s, "what": what, "subject": subject, "detail": detail}
            out.write(Effect.model_validate(effect).model_dump_json() + "\n")
    for action, at_s in (("inject", fault.start_s), ("heal", fault.end_s)):
        for kind in ("begin", "ok"):
            moment = {"wall_s": WALL_S + at_s, "offset_s": at_s, "source": fault.id}
            run.append_event(Event.model_validate(moment | {"action": action, "kind": kind}))
