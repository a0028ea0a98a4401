"""Recordings of an uneven load, with the mesh's figures for each of its plateaus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from builders import Rows, load_of, recording_of, row

from runner.analysis.evaluate import evaluate
from runner.analysis.profile import plateaus
from runner.model.evaluation import Finding
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import (
    LoadRow,
    PhaseSignal,
    Recording,
    Signals,
    SignalSeries,
    SignalState,
)

SPIKE = ((60, 50), (30, 500), (60, 50))
"""Seconds and users: ten times the load for half a minute."""

Figures = Mapping[tuple[int, str], tuple[float | None, float]]
"""Plateau and service to error ratio and p95 in seconds."""


def staged_plan(*stages: tuple[float, int], unit: str = "users", **changes: Any) -> Plan:
    """A plan with stages of so many seconds at so much load, reached at once."""
    ramp: dict[str, Any] = {"ramp": "0s"} if unit == "rate" else {"spawn_rate": 1_000_000}
    levels = [f"{level}/s" if unit == "rate" else level for _, level in stages]
    document = {
        "name": "made-by-hand",
        "description": "A run for a test.",
        "load": {
            "locustfile": "shop.py",
            "stages": [
                {"duration": f"{length_s}s", unit: level, **ramp}
                for (length_s, _), level in zip(stages, levels, strict=True)
            ],
        },
        "objectives": ["errors < 50%"],
        **changes,
    }
    return make_plan(Experiment.model_validate(document))


def at_rate(plan: Plan, latency_ms: Mapping[float, float] | None = None) -> Rows:
    """A request per user (or arrival) and second; a p95 by the level of load, else 20 ms."""

    def rows(second: int) -> Sequence[LoadRow]:
        level = plan.users_at(second + 0.5) or plan.rate_at(second + 0.5)
        return [row(second, round(level), latency_ms=(latency_ms or {}).get(level, 20.0))]

    return rows


def recorded(plan: Plan, rows: Rows | None = None, **changes: Any) -> Recording:
    """A recording of ``plan``; with the signals of calm services, unless ``changes`` say."""
    rows = rows or at_rate(plan)
    changes.setdefault("signals", mesh_of(plan))
    return recording_of(plan, rows, **{"load": load_of(plan, rows), **changes})


def mesh_of(
    plan: Plan,
    figures: Figures | None = None,
    services: Sequence[str] = ("order-api", "product-api"),
    series: Sequence[SignalSeries] = (),
) -> Signals:
    """Signals of each plateau: 1000 requests, 0.1 % errors and a p95 of 40 ms, or ``figures``."""
    stages = []
    for one in plateaus(plan):
        for service in services:
            errors, p95_s = (figures or {}).get((one.index, service), (0.001, 0.040))
            stages.append(signal(one.index, "errors", service, errors))
            stages.append(signal(one.index, "latency.p95", service, p95_s))
    return Signals(services=tuple(services), stages=tuple(stages), series=tuple(series))


def signal(
    index: int,
    sli: str,
    service: str,
    value: float | None,
    *,
    samples: float | None = 1000.0,
    state: SignalState = "ok",
) -> PhaseSignal:
    """One figure of one window; no value is an empty one."""
    return PhaseSignal(
        phase=index,
        sli=sli,
        service=service,
        unit="ratio",
        query="made by hand",
        value=value,
        samples=None if value is None else samples,
        state="empty" if value is None else state,
    )


def series_of(sli: str, service: str, *points: tuple[float, float | None]) -> SignalSeries:
    """A series over the run."""
    return SignalSeries(
        sli=sli,
        service=service,
        unit="count",
        query="made by hand",
        step_s=1.0,
        points=points,
        state="ok",
    )


def answer_to(check: str, recording: Recording) -> Finding:
    """The only answer to a question."""
    (found,) = [one for one in evaluate(recording).findings if one.check == check]
    assert found.kind == "answer"
    return found


def asked(recording: Recording) -> list[str]:
    """The questions that were asked."""
    return [one.check for one in evaluate(recording).findings if one.kind == "answer"]
