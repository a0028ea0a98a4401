"""What a plan cannot answer is said before it is carried out."""

from __future__ import annotations

from typing import Any

import pytest
from builders import ABORT, KILL, plan_of
from search_runs import search_experiment
from staged import staged_plan

from runner.analysis.foresight import doubts_about
from runner.model.plan import Plan, make_plan


def doubts(plan: Plan) -> list[tuple[Any, str]]:
    return [(one.loc, one.message) for one in doubts_about(plan)]


def test_a_plan_with_time_for_everything_raises_no_doubt() -> None:
    plan = plan_of("errors < 1%", "recovery < 30s", faults=[ABORT])
    assert doubts(plan) == []


@pytest.mark.parametrize(
    ("scale", "places"),
    [(1.0, []), (0.45, [("faults", 0, "at")]), (0.3, [("faults", 0, "at"), ("objectives", 0)])],
)
def test_a_rehearsal_may_be_too_short_for_the_mesh(scale: float, places: list[object]) -> None:
    """Goal: --time-scale tells. Method: a fault of 10 s, recovery within 15 s of 30 s."""
    plan = plan_of("recovery < 12s", faults=[ABORT], time_scale=scale)
    assert [loc for loc, _ in doubts(plan)] == places


def test_a_short_phase_matters_where_the_mesh_is_asked_only() -> None:
    """Goal: no cry of wolf. Method: a baseline of 4 s with objectives of either source."""
    fault = {**ABORT, "at": "9s"}
    mesh = {"objective": "errors < 1%", "service": "order-api", "during": "baseline"}
    assert doubts(plan_of("errors < 1%", faults=[fault])) == []
    ((loc, said),) = doubts(plan_of(mesh, faults=[fault]))
    assert loc == ("faults", 0, "at")
    assert said.startswith("baseline lasts 4s, but 'errors < 1%' needs the mesh's figures")


def test_a_recovery_ends_at_the_next_fault_or_at_the_end() -> None:
    """Goal: the same view as the judge's. Method: a kill, whose clock starts at once, then abort.

    The kill at 20 s is watched until the abort at 35 s, which ends at 45 s; the load at 57 s.
    """
    abort = {**ABORT, "at": "35s"}
    plan = plan_of("errors < 1%", "recovery < 20s", faults=[KILL, abort], duration="57s")
    ((loc, said),) = doubts(plan)
    assert loc == ("objectives", 1)
    assert "02-http-abort is watched for 12s only" in said
    assert "(1 other alike)" in said
    assert "whether 'recovery < 20s' is missed cannot be seen" in said
    assert doubts(plan_of("recovery < 12s", faults=[KILL, abort], duration="57s")) == []
    ((_, said),) = doubts(plan_of("recovery < 1s", faults=[ABORT], duration="34s"))
    assert "watched for 4s only" in said
    assert "so that this is inconclusive" in said


def test_the_same_objective_twice_is_told_at_the_second() -> None:
    same = {"objective": "p(95)<500ms", "during": ["recovery", "fault", "baseline"], "warn": "1ms"}
    other = {"objective": "latency.p95 < 500ms", "of": "GET /x"}
    ((loc, said),) = doubts(plan_of("latency.p95 < 500ms", other, same))
    assert loc == ("objectives", 2)
    assert "says the same as objective 1" in said


def test_what_a_search_cannot_meet_is_said_beforehand() -> None:
    """Goal: no ten minutes for an objective beyond the last rate, or one on what is overloaded."""
    asked = ("breaking-point >= 200/s", "breaking-point > 1600/s", "errors < 5%")
    assert doubts(make_plan(search_experiment(*asked))) == [
        (
            ("objectives", 1),
            "this search ends at 1600/s, so that 'breaking-point > 1600/s' can be missed, but not "
            "met",
        ),
        (
            ("objectives", 2),
            "'errors < 5%' is judged over the whole search, which goes beyond the breaking point; "
            "what must hold at a rate stands in 'until'",
        ),
    ]


def test_a_search_of_few_steps_is_doubted() -> None:
    """Goal: no search that ends in nothing. Method: 50/s to 200/s is 3 steps, and 4 to repeat."""
    few, enough = (
        make_plan(search_experiment("breaking-point > 60/s", to="200/s", max_steps=steps))
        for steps in (6, 7)
    )
    ((loc, said),) = doubts(few)
    assert loc == ("load", "search", "max_steps")
    assert said.startswith(
        "6 steps may end before an answer: from 50/s to 200/s it is up to 3 steps"
    )
    assert doubts(enough) == []


def test_kills_too_close_for_a_recovery_are_doubted() -> None:
    """Goal: each kill's recovery has its time. Method: 8 s between kills, and a bound of 10 s."""
    again = {**KILL, "duration": "24s", "every": "8s"}
    ((loc, said),) = doubts(plan_of("errors < 1%", "recovery < 10s", faults=[again]))
    assert loc == ("objectives", 1)
    assert said.startswith("the recovery from 01-pod-kill is watched for 8s only")
    assert doubts(plan_of("errors < 1%", "recovery < 8s", faults=[again])) == []


def test_a_delay_beyond_its_faults_end_is_told() -> None:
    """Goal: no request is looked for in a phase that it outlives. Method: just so long, and longer
    than the fault."""
    times = {"service": "order-api", "at": "30s", "duration": "10s"}
    delay = {"kind": "http-delay", **times}
    assert doubts(plan_of("errors < 1%", faults=[delay | {"delay": "10s"}])) == []
    ((loc, said),) = doubts(plan_of("errors < 1%", faults=[delay | {"delay": "10.5s"}]))
    assert loc == ("faults", 0, "delay")
    assert said.startswith("each request that is hit waits for 10.5s, longer than the fault's 10s")


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (((60, 50), (30, 500), (60, 50)), ""),
        (((60, 50), (30, 500), (10, 50)), "the recovery from the spike is watched for 10s only"),
        (((3, 50), (30, 500), (60, 50)), "has nothing to recover from"),
    ],
)
def test_a_recovery_from_a_spike(stages: tuple[tuple[float, int], ...], said: str) -> None:
    """Seen until the end; not at all, where the load before it is over in the warmup of 4 s."""
    asked = ["errors < 1%", "recovery < 20s"]
    found = doubts(staged_plan(*stages, objectives=asked, warmup="4s"))
    told = [message for loc, message in found if loc == ("objectives", 1)]
    assert [said in one for one in told] == ([True] if said else [])
