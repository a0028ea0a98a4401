"""The plan's stages as users, one by one, and the mix of user classes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.load.shape import class_to_start, class_to_stop, next_change_s, users_due
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan

stage_lists = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 50), st.none() | st.floats(0.1, 100)),
    min_size=1,
    max_size=5,
)


def plan_of(*stages: tuple[float, int, float | None]) -> Plan:
    experiment = {
        "name": "shape",
        "description": "A shape.",
        "load": {
            "locustfile": "x.py",
            "stages": [
                {"duration": f"{duration}s", "users": users, "spawn_rate": rate}
                for duration, users, rate in stages
            ],
        },
        "objectives": ["errors < 1%"],
    }
    return make_plan(Experiment.model_validate_json(json.dumps(experiment)))


def followed(plan: Plan) -> list[tuple[float, int]]:
    """Every change of the number of users, found by going from change to change."""
    changes: list[tuple[float, int]] = []
    offset_s = 0.0
    for _ in range(10_000):
        users = users_due(plan, offset_s)
        if users is None:
            return changes
        if not changes or changes[-1][1] != users:
            changes.append((round(offset_s, 6), users))
        offset_s = max(next_change_s(plan, offset_s), offset_s + 1e-9)
    raise AssertionError("the plan never ends")


def test_users_start_one_by_one_in_the_middle_of_their_step() -> None:
    """Goal: no start-of-second batches. Method: 2 users/s from 0 to 4, then down to 2."""
    plan = plan_of((10, 4, 2.0), (5, 2, 1.0))
    ups = [(0.0, 0), (0.25, 1), (0.75, 2), (1.25, 3), (1.75, 4)]
    downs = [(10.5, 3), (11.5, 2)]
    assert followed(plan) == [*ups, *downs]


def test_a_ramp_that_does_not_fit_its_stage_is_cut_where_the_stage_ends() -> None:
    plan = plan_of((2, 10, 2.0), (2, 10, 100.0))
    assert users_due(plan, 1.999) == 4
    assert users_due(plan, 3.0) == 10


def test_the_load_ends_at_the_end_of_the_plan_and_not_before() -> None:
    plan = plan_of((3, 2, 1000.0), (2, 1, 1000.0))
    assert (users_due(plan, 2.9), users_due(plan, 4.999999), users_due(plan, 5.0)) == (2, 1, None)
    assert next_change_s(plan, 4.0) == 5.0
    assert next_change_s(plan, 7.0) == 5.0


@settings(deadline=None)
@given(stage_lists, st.floats(0, 1))
def test_users_are_never_more_than_half_a_user_off_the_line(
    stages: list[tuple[float, int, float | None]], part: float
) -> None:
    plan = plan_of(*stages)
    offset_s = part * plan.duration_s * 0.999999
    assert users_due(plan, offset_s) == pytest.approx(plan.users_at(offset_s), abs=0.5 + 1e-9)


@settings(deadline=None)
@given(stage_lists, st.floats(0, 1), st.floats(0.001, 0.999))
def test_nothing_changes_before_the_next_change(
    stages: list[tuple[float, int, float | None]], part: float, between: float
) -> None:
    """Goal: whoever sleeps until the next change misses nothing. Method: look in between."""
    plan = plan_of(*stages)
    offset_s = part * plan.duration_s * 0.99
    change_s = next_change_s(plan, offset_s)
    assert change_s > offset_s
    looked_s = offset_s + between * (change_s - offset_s)
    assert users_due(plan, looked_s) == users_due(plan, offset_s)


@given(st.dictionaries(st.sampled_from("ABCD"), st.integers(1, 5), min_size=1), st.integers(1, 100))
def test_user_classes_keep_their_weights_up_and_down(weights: dict[str, int], users: int) -> None:
    """Goal: the mix is right at any size. Method: start users one by one, then stop them."""
    running: dict[str, int] = dict.fromkeys(weights, 0)
    history = [dict(running)]
    for _ in range(users):
        name = class_to_start(running, weights, {})
        assert name is not None
        running[name] += 1
        history.append(dict(running))
    total = sum(weights.values())
    for name, weight in weights.items():
        assert running[name] == pytest.approx(users * weight / total, abs=1.5)
    for expected in reversed(history[:-1]):
        name = class_to_stop(running, weights, {})
        assert name is not None
        running[name] -= 1
        assert running == expected


def test_classes_with_a_fixed_count_come_first_and_leave_last() -> None:
    weights, fixed = {"Many": 1.0}, {"One": 1}
    assert class_to_start({}, weights, fixed) == "One"
    assert class_to_start({"One": 1}, weights, fixed) == "Many"
    assert class_to_stop({"One": 1, "Many": 1}, weights, fixed) == "Many"
    assert class_to_stop({"One": 1, "Many": 0}, weights, fixed) == "One"
    assert class_to_start({"One": 1}, {}, fixed) is None
    assert class_to_stop({}, weights, fixed) is None
