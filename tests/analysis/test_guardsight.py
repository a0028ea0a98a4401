"""Guards that cannot act, or would act on a healthy run, are told of before it."""

from __future__ import annotations

import re

import pytest
from builders import plan_of

from runner.analysis.foresight import doubts_about
from runner.model.experiment import SEARCH_PAUSE_S, Experiment
from runner.model.guard import Guard
from runner.model.plan import Plan, make_plan

DELAY = {"kind": "http-delay", "service": "order-api", "at": "20s", "duration": "10s"}


def guarded(plan: Plan, **guard: object) -> Plan:
    guards = (Guard.model_validate(guard),)
    return plan.model_copy(
        update={"experiment": plan.experiment.model_copy(update={"guards": guards})}
    )


def doubts(plan: Plan, **guard: object) -> list[tuple[object, str]]:
    return [(one.loc, one.message) for one in doubts_about(guarded(plan, **guard))]


@pytest.mark.parametrize(
    ("guard", "longest_s"),
    [
        # Of 60 s: the grace of 10 s and, before there is a figure, window and settling.
        ({"abort_when": "errors > 9%"}, 43),
        ({"abort_when": "errors > 9%", "window": "20s"}, 28),
        ({"abort_when": "silent"}, 48),
        ({"abort_when": "> 9", "promql": "up"}, 49),
    ],
)
def test_a_guard_that_cannot_act_is_none(guard: dict[str, str], longest_s: int) -> None:
    """Goal: no false safety. Method: the longest 'for' that still fits, and a second more."""
    plan = plan_of("errors < 1%")
    assert doubts(plan, **guard, **{"for": f"{longest_s}s"}) == []
    ((place, said),) = doubts(plan, **guard, **{"for": f"{longest_s + 1}s"})
    assert place == ("guards", 0)
    assert said.startswith("this guard can never act: its grace of 10s, ")
    assert re.search(r" are 60(\.5)?s, but the load ends at 60s$", said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("errors > 100%", "can never hold"),
        ("traffic < 0/s", "can never hold"),
        ("errors >= 0%", "holds whatever happens"),
        ("latency.p95 >= 0s", "holds whatever happens"),
        ("errors >= 100%", ""),
        ("latency.p95 > 0s", ""),
    ],
)
def test_a_condition_that_is_decided_beforehand(text: str, said: str) -> None:
    found = doubts(plan_of("errors < 1%"), abort_when=text)
    assert [loc for loc, _ in found] == ([("guards", 0, "abort_when")] if said else [])
    assert all(said in message for _, message in found)


def test_slow_answers_that_are_allowed_look_like_silence() -> None:
    """Goal: 'for' longer than what is legitimate. Method: 8 s by an objective, 9 s by a fault."""
    plan = plan_of("latency.p99 <= 8s", faults=[{**DELAY, "delay": "9s"}])
    assert doubts(plan, abort_when="silent", **{"for": "10s"}) == []
    found = doubts(plan, abort_when="silent", **{"for": "8s"})
    assert [loc for loc, _ in found] == [("guards", 0, "for")] * 2
    assert "the fault 01-http-delay delays requests by 9s" in found[0][1]
    assert "'latency.p99 <= 8s' allows for answers that take 8 s" in found[1][1]


@pytest.mark.parametrize(
    ("promql", "said"),
    [
        ('sum(rate(x{response_flags="UO"}[30s]))', "add 'or vector(0)', or 'on_missing: ignore'"),
        ("sum(rate(x[30s])) > 3", "leave the comparison to 'abort_when'"),
        ('sum(rate(x{response_flags="UO"}[30s])) or vector(0)', ""),
        ("sum(rate(x[30s]))", ""),
    ],
)
def test_a_query_that_is_empty_when_all_is_well_ends_a_healthy_run(promql: str, said: str) -> None:
    plan = plan_of("errors < 1%")
    found = doubts(plan, promql=promql, abort_when="> 5")
    assert [loc for loc, _ in found] == ([("guards", 0, "promql")] if said else [])
    assert all(said in message for _, message in found)
    assert doubts(plan, promql=promql, abort_when="> 5", on_missing="ignore") == []


@pytest.mark.parametrize(
    ("guard", "longer_s", "told"),
    [
        ({"abort_when": "silent"}, 0, True),
        ({"abort_when": "errors > 5%"}, 0, True),
        ({"abort_when": "silent"}, 1, False),
        ({"abort_when": "> 5", "promql": "up"}, 0, False),
    ],
)
def test_the_pauses_of_a_search_look_like_silence(
    guard: dict[str, str], longer_s: int, told: bool
) -> None:
    """Goal: no abort between two steps. Method: 5 s for what is under way, and the pause."""
    pause_s = 5 + SEARCH_PAUSE_S
    search = {"from": "10/s", "to": "100/s", "until": ["errors < 1%"]}
    asked = {"name": "x", "description": "?", "load": {"locustfile": "x", "search": search}}
    plan = make_plan(Experiment.model_validate({**asked, "objectives": ["breaking-point >= 10/s"]}))
    found = [said for _, said in doubts(plan, **guard, **{"for": f"{pause_s + longer_s:g}s"})]
    assert [f"nobody may send for {pause_s:g}s" in said for said in found] == [True] * told
