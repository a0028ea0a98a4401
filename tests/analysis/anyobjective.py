"""Objectives of every kind, drawn from the grammar, and runs that they are judged over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from builders import (
    ABORT,
    ORDERS,
    OTHER_SERVICE,
    PRODUCTS,
    SERVICE,
    recording_of,
    row,
    scraped_every,
    signals_of,
    with_signal,
)
from hypothesis import strategies as st
from pydantic import ValidationError

from runner.model.experiment import Experiment
from runner.model.objective import Objective
from runner.model.plan import Plan, make_plan
from runner.model.recording import AlertSpan, LoadRow, PhaseSignal, Recording, Signals

LENGTH_S = 26
FAULT: dict[str, Any] = {**ABORT, "name": "refusals", "at": "10s", "duration": "6s"}
BASE: dict[str, Any] = {
    "name": "made-by-hand",
    "description": "A run for a test.",
    "load": {"locustfile": "shop.py", "stages": [{"duration": f"{LENGTH_S}s", "users": 10}]},
    "warmup": "4s",
    "faults": [FAULT],
    "signals": {"queue": {"promql": "max(queue_depth)"}},
    "groups": {"reads": ["GET *"]},
}

# Each kind twice at least: with a bound that the healthy run meets, and one that it misses.
CLIENT = (
    "latency.p95 < 500ms",
    "latency.p99.9 < 1ms",
    "latency.max < 100s",
    "p(50) <= 15ms",
    "avg < 1s",
    "errors < 1%",
    "errors < 100%",
    "errors <= 0%",
    "traffic > 10/s",
    "traffic >= 0/s",
    "traffic > 1000/s",
    "latency.p95 <= baseline + 10%",
    "errors <= baseline + 0.5pp",
    "traffic >= baseline - 5%",
    "latency.p95 <= run:earlier + 20ms",
    "burn-rate < 14.4",
    "budget < 5%",
    "budget < 100%",
    "recovery < 5s",
    "recovery < 1000s",
)
MESH = (
    "saturation.cpu < 50%",
    "saturation.cpu < 100%",
    "saturation.memory < 10%",
    "signal.queue < 5",
    "signal.queue > 0",
    "signal.queue <= baseline + 10%",
    "no critical alert",
    "alerts < 1",
)
WHERE: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"during": ["baseline", "recovery"]},
    {"during": "fault"},
    {"during": "fault:refusals"},
    {"during": "12s..20s"},
    {"during": "stage:1"},
    {"during": "warmup"},
)
WHOSE: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"of": ORDERS},
    {"of": "GET *"},
    {"of": "reads"},
    {"of": "GET /nobody"},
    {"service": SERVICE},
    {"service": "*"},
    {"service": "nobody-api"},
    {"other_than": [SERVICE]},
    {"source": "mesh"},
)
HOW: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"for": "3s"},
    {"at_least": 50},
    {"at_least": 10_000},
    {"weight": 0},
    {"weight": 5},
    {"key": True},
    {"on_missing": "fail"},
    {"until": ["errors < 1%", "latency.p95 < 500ms"]},
)
EXPECTED: dict[str, Any] = {"expect_alert": {"name": "HighErrorRate", "firing_within": "5s"}}


def _objective(parts: tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]) -> Objective:
    """The first that is possible of all these words, fewer of them, and the bare one."""
    text, where, whose, how = parts
    for keys in ({**where, **whose, **how}, {**whose, **how}, {**where, **whose}, how, {}):
        try:
            return Objective.model_validate({"objective": text, **keys})
        except ValidationError:
            continue
    raise AssertionError(text)


OBJECTIVE: st.SearchStrategy[Objective] = st.one_of(
    st.tuples(
        st.sampled_from((*CLIENT, *MESH)),
        st.sampled_from(WHERE),
        st.sampled_from(WHOSE),
        st.sampled_from(HOW),
    ).map(_objective),
    st.just(Objective.model_validate(EXPECTED)),
)
SCORE = st.sampled_from([None, None, {"pass": "90%", "warn": "75%"}, {"pass": "1%", "warn": "0%"}])
BUDGET = st.sampled_from(
    [None, {"slo": "99.9%"}, {"slo": "90%", "period": "1d", "traffic": 1_000_000}]
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A plan with one to four objectives, perhaps a score and a budget."""
    rules = {"score": draw(SCORE), "budget": draw(BUDGET)}
    given = {key: value for key, value in rules.items() if value}
    base = Experiment.model_validate({**BASE, **given, "objectives": ["errors < 1%"]})
    objectives = tuple(draw(st.lists(OBJECTIVE, min_size=1, max_size=4)))
    return make_plan(base.model_copy(update={"objectives": objectives}))


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong in a run.

    Attributes:
        failing: Seconds in which half of the orders fail.
        slow: Seconds in which they take a second.
        beyond: Signals of the mesh that are bad, by their place.
        firing: Whether a critical alert fired in the fault.
        apart: Whether the gateway saw less of the recovery's requests than it should have.
    """

    failing: frozenset[int] = frozenset()
    slow: frozenset[int] = frozenset()
    beyond: frozenset[int] = frozenset()
    firing: bool = False
    apart: bool = False


SECONDS = st.frozensets(st.integers(0, LENGTH_S - 1), max_size=4)
TROUBLE = st.builds(
    Trouble,
    st.one_of(SECONDS, st.just(frozenset(range(10, 18)))),
    SECONDS,
    st.frozensets(st.integers(0, 80), max_size=4),
    st.booleans(),
    st.booleans(),
)


def run_of(plan: Plan, trouble: Trouble) -> Recording:
    """A run with these troubles, of which all that can be known is on record."""

    def rows(second: int) -> Sequence[LoadRow]:
        latency_ms = 1000.0 if second in trouble.slow else 20.0
        failed = [row(second, 25, outcome="http_5xx")] if second in trouble.failing else []
        return (row(second, latency_ms=latency_ms), row(second, endpoint=PRODUCTS), *failed)

    return recording_of(plan, rows, signals=_signals(plan, trouble))


def _signals(plan: Plan, trouble: Trouble) -> Signals:
    windowed = plan.model_copy(update={"phases": (*plan.phases, *plan.windows)})
    known = signals_of(windowed)
    own = tuple(
        PhaseSignal(
            phase=phase.index,
            sli="signal.queue",
            service="",
            unit="count",
            query="made by hand",
            value=3.0,
            samples=10.0,
            state="ok",
        )
        for phase in windowed.phases
    )
    spans = (
        AlertSpan(
            name="HighErrorRate", severity="critical", state="firing", start_s=13.0, end_s=17.0
        ),
    )
    if trouble.apart:
        last = plan.phases[-1].index
        known = with_signal(known, "traffic", "", [last], value=62.0)
    phases = (*known.phases, *own)
    return known.model_copy(
        update={
            "phases": tuple(
                _worse(signal) if at % 81 in trouble.beyond else signal
                for at, signal in enumerate(phases)
            ),
            "series": (scraped_every(1.0),),
            "alerts": spans if trouble.firing else (),
            "alerts_missing": "",
            "rules": ("HighErrorRate",),
        }
    )


def _worse(signal: PhaseSignal) -> PhaseSignal:
    """A figure that misses any bound on it; traffic is left, of which less is worse."""
    if signal.sli == "traffic":
        return signal
    factor = 1.0 if signal.unit == "ratio" else 100.0
    return signal.model_copy(update={"value": factor * max(signal.value or 0.0, 0.95)})


def without_samples(recording: Recording, how: str) -> Recording:
    """The same run, of which nobody has seen a request."""
    signals = recording.signals
    assert signals is not None
    silent: Signals | None = None
    if how in ("empty", "gaps", "error", "nan", "unsampled"):
        silent = signals.model_copy(
            update={
                "phases": tuple(_blank(one, how) for one in signals.phases),
                "alerts_missing": "Prometheus did not answer",
                "alerts": (),
            }
        )
    elif how == "refused":
        silent = Signals(services=(SERVICE, OTHER_SERVICE), error="Prometheus did not answer")
    load = replace(recording.load, rows=())
    return replace(recording, load=load, signals=silent)


def _blank(signal: PhaseSignal, how: str) -> PhaseSignal:
    if how == "nan":
        return signal.model_copy(update={"value": float("nan")})
    if how == "unsampled":
        return signal.model_copy(update={"samples": 0.0})
    return signal.model_copy(update={"value": None, "samples": None, "state": how})
