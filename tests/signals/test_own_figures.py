"""Own signals out of samples: which value counts, when it has gaps, and what is no figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from fake_prometheus import send, server
from history import plan_with_abort

from runner.model.ownsignal import OwnSignal
from runner.model.plan import Phase
from runner.model.recording import PhaseSignal
from runner.process import SystemClock
from runner.signals.client import PromClient
from runner.signals.figures import PhaseWindow
from runner.signals.own import own_figures
from runner.signals.queries import ISTIO
from runner.signals.scope import Scope

ZERO_S = 1_700_000_000
STEP_S = 2


def figure_of(
    values: Sequence[str | None], signal: dict[str, Any] | None = None, **answer: Any
) -> PhaseSignal:
    """The figure over a phase with as many instants as there are ``values``; None: no sample."""
    end_s = float(ZERO_S + STEP_S * (len(values) - 1))
    asked: list[Mapping[str, str]] = []

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        asked.append(query)
        points = [[ZERO_S + STEP_S * at, one] for at, one in enumerate(values) if one is not None]
        ranged = "start" in query
        key, shown = ("values", points) if ranged else ("value", points[-1] if points else None)
        result: list[Any] = [{"metric": {}, key: shown}] if points else []
        data = {"resultType": "matrix" if ranged else "vector", "result": result, **answer}
        send(handler, json.dumps({"status": "success", "data": data}).encode())

    own = OwnSignal.model_validate({"promql": "max(depth)", **(signal or {})})
    plan = plan_with_abort()
    plan = plan.model_copy(
        update={"experiment": plan.experiment.model_copy(update={"signals": {"depth": own}})}
    )
    with server(respond) as url:
        client = PromClient(url, SystemClock(), timeout_s=5, total_s=20)
        scope = Scope(client, ISTIO, "shop", plan, float(ZERO_S), 600.0, float(STEP_S))
        phase = Phase(index=1, name="baseline", start_s=0.0, end_s=end_s - ZERO_S)
        (found,) = own_figures(scope, PhaseWindow(phase, float(ZERO_S), end_s))
        client.close()
    assert found.sli == "signal.depth"
    assert {one["query"] for one in asked} == {found.query}
    return found


def known(count: int, *missing: int) -> list[str | None]:
    """Values 0, 1, 2, … at ``count`` instants, but for those that are ``missing``."""
    return [None if at in missing else str(at) for at in range(count)]


@pytest.mark.parametrize(
    ("take", "value"), [("mean", 10.0), ("min", 0.0), ("max", 20.0), ("last", 20.0)]
)
def test_which_of_the_values_counts(take: str, value: float) -> None:
    found = figure_of(known(21), {"take": take, "unit": "ratio"})
    assert (found.value, found.samples, found.state) == (value, 21.0, "ok")
    assert (found.unit, found.query) == ("ratio", "max(depth)")


def test_what_is_no_number_is_no_value() -> None:
    found = figure_of(["1", "NaN", "3", "NaN", "5"])
    assert (found.value, found.samples, found.state) == (3.0, 3.0, "ok")


@pytest.mark.parametrize(
    ("values", "state", "message"),
    [
        (known(21, 3, 9, 15), "ok", ""),  # Three instants may be missed, however short it is,
        (known(21, 3, 9, 15, 16), "gaps", "it is known for 81% of the phase only"),
        (known(100, *range(40, 50)), "ok", ""),  # and a tenth of many.
        (known(100, *range(40, 51)), "gaps", "it is known for 89% of the phase only"),
    ],
)
def test_a_signal_with_gaps(values: list[str | None], state: str, message: str) -> None:
    found = figure_of(values, {"take": "max"})
    assert (found.state, found.message) == (state, message)
    assert found.value == float(len(values) - 1)


@pytest.mark.parametrize(("silent", "state"), [(4, "ok"), (5, "gaps")])
def test_a_last_value_must_be_of_the_end(silent: int, state: str) -> None:
    """A tenth of 100 may be missing; but the last of them counts, so that it must be fresh."""
    values = known(100, *range(100 - silent, 100))
    found = figure_of(values, {"take": "last"})
    assert (found.value, found.state) == (99.0 - silent, state)
    assert found.message in ("", "its last value is 10 s older than the end of the phase")
    assert figure_of(values, {"take": "max"}).state == "ok"


@pytest.mark.parametrize(
    ("values", "signal", "message"),
    [
        ([None] * 21, {}, "no series matches"),
        (["NaN"] * 21, {}, "the answer is not a number"),
        ([None] * 21, {"promql": "increase(jobs[$range])"}, "no series matches"),
        (["NaN"] * 21, {"promql": "increase(jobs[$range])"}, "the answer is not a number"),
    ],
)
def test_nothing_is_never_a_figure(
    values: list[str | None], signal: dict[str, Any], message: str
) -> None:
    found = figure_of(values, signal)
    assert (found.value, found.samples, found.state, found.message) == (None, 0.0, "empty", message)


def test_a_query_over_the_phase_is_asked_once_at_its_end() -> None:
    found = figure_of(["7"] * 21, {"promql": "increase(jobs[$range])"})
    assert (found.value, found.samples, found.state) == (7.0, 1.0, "ok")
    assert found.query == "increase(jobs[40000ms])"


def test_several_series_are_told_rather_than_chosen_from() -> None:
    """Goal: a reader knows what to put together. Method: four series, of which three are named."""
    result = [{"metric": {"pod": name}, "value": [ZERO_S, "1"]} for name in "abcd"]
    found = figure_of(["1"] * 21, {"promql": "jobs + $range"}, result=result)
    assert (found.value, found.state) == (None, "error")
    assert found.message == (
        "the query gives 4 series, and one is wanted: put them together, as with sum() or max(); "
        'they are {pod="a"}, {pod="b"}, {pod="c"} and 1 more'
    )
