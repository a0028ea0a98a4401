"""The grammar of a search for the breaking point, and of the objective that judges it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runner.model.bound import parse_bound
from runner.model.experiment import Experiment, Search
from runner.model.feasibility import mistakes_in
from runner.model.objective import Objective
from runner.model.plan import make_plan, scaled
from runner.model.salvage import salvage

SEARCH: dict[str, Any] = {
    "from": "20/s",
    "to": "2000/s",
    "until": ["latency.p95 < 500ms", "errors < 1%"],
}


def experiment(search: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    load: dict[str, Any] = {"locustfile": "shop.py", "search": {**SEARCH, **(search or {})}}
    return {
        "name": "search",
        "description": "Where does it give in?",
        "load": load,
        "objectives": ["breaking-point >= 100/s"],
        **changes,
    }


def said(data: dict[str, Any]) -> list[str]:
    return [mistake.message for mistake in mistakes_in(Experiment.model_validate(data))]


def test_the_breaking_point_is_a_rate_of_which_more_is_better() -> None:
    bound = parse_bound("breaking-point >= 200/s")
    assert (bound.sli, bound.operator, bound.value, bound.unit) == (
        "breaking-point",
        ">=",
        200.0,
        "per_s",
    )
    with pytest.raises(ValidationError, match="wrong way round"):
        Objective.model_validate("breaking-point < 200/s")
    with pytest.raises(ValueError, match="'200' of breaking-point is not a rate"):
        parse_bound("breaking-point > 200")


@pytest.mark.parametrize(
    ("key", "value"),
    [("during", "baseline"), ("of", "GET /"), ("service", "order-api"), ("source", "mesh")],
)
def test_the_breaking_point_is_one_of_the_whole_run(key: str, value: str) -> None:
    with pytest.raises(ValidationError, match="the breaking point is one of"):
        Objective.model_validate({"objective": "breaking-point > 9/s", key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"until": ["latency.max < 1s"]}, "a search judges a percentile"),
        ({"step": "10s"}, "leaves too little of a step of 10s; accepted: 6s more"),
        ({"step": "12500ms"}, "a step of 12.5s is not one of whole seconds"),
        ({"to": "20/s"}, "is not above 'from'"),
        ({"until": ["errors < 1%", "errors < 2%"]}, "at most one bound on latency and one on"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Search.model_validate({**SEARCH, "transient": "5s", **change})


def test_a_search_stands_alone_and_an_objective_asks_for_its_answer() -> None:
    """Goal: what no search can answer is refused before it runs, and so is the reverse."""
    assert said(experiment()) == []
    fault = {"kind": "pod-kill", "service": "x", "at": "20s"}
    assert said(experiment(warmup="5s", faults=[fault], objectives=["errors < 1%"])) == [
        "a search asks for the breaking point, and no objective is about it; accepted: one such "
        "as 'breaking-point >= 20/s'",
        "nobody knows which rate a search will be at then; accepted: no faults in a search",
        "each step of a search has a transient that is not judged, so that it needs no warmup; "
        "accepted: 0s",
    ]
    stages = {"locustfile": "shop.py", "stages": [{"duration": "20s", "users": 2}]}
    assert said(experiment(load=stages)) == [
        "'breaking-point >= 100/s' needs a load that looks for it; accepted: 'search' in the "
        "load, or another objective"
    ]


def test_one_wrong_objective_is_one_mistake() -> None:
    """Goal: an objective that could not be read is not missed as well."""
    remains = salvage(experiment(objectives=["breaking-point > 200"]))
    assert remains is not None
    assert remains.mistakes() == ()


def test_the_longest_search_leaves_time_between_steps() -> None:
    """Goal: no step is cut off. Method: 34 steps of 20 s, each with 10 s to
    finish what is left of it, 5 s to end in and 3 s rest."""
    plan = make_plan(Experiment.model_validate(experiment()))
    assert plan.duration_s == 34 * (20 + 10 + 5 + 3)
    assert plan.max_in_flight == 4000


def test_a_rehearsal_has_steps_that_can_still_be_judged() -> None:
    half = scaled(Experiment.model_validate(experiment()), 0.5).load.search
    tenth = scaled(Experiment.model_validate(experiment()), 0.1).load.search
    assert half is not None
    assert tenth is not None
    assert (half.step, half.transient) == (10.0, 2.5)
    assert (tenth.step, tenth.transient) == (7.0, 0.5)
