"""The plan's stages as users, one by one, and the mix of user classes."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.load.shape import Cast, Share, next_change_s, places_of, share_at, users_due
from runner.model.arrivals import share_of
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


@given(
    st.dictionaries(st.sampled_from("ABCD"), st.integers(1, 5), min_size=1),
    st.integers(0, 100),
    st.integers(1, 5),
)
def test_user_classes_keep_their_weights_whoever_runs_them(
    weights: dict[str, int], users: int, count: int
) -> None:
    """Goal: the mix is right at any size. Method: against the weights, alone and over workers."""
    cast = Cast(weights, {})
    alone = cast.wanted(users, Share())
    total = sum(weights.values())
    for name, weight in weights.items():
        assert alone[name] == pytest.approx(users * weight / total, abs=1.5)
    shared = [Cast(weights, {}).wanted(users, Share(index, count)) for index in range(count)]
    assert sum(shared, Counter()) == alone
    assert max(part.total() for part in shared) - min(part.total() for part in shared) <= 1


def test_classes_with_a_fixed_count_come_first_and_leave_last() -> None:
    cast = Cast({"Many": 1.0}, {"One": 1})
    assert [cast.class_of(number) for number in range(3)] == ["One", "Many", "Many"]
    assert cast.wanted(3, Share()) == {"One": 1, "Many": 2}
    assert cast.wanted(1, Share()) == {"One": 1}
    assert [cast.wanted(3, Share(index, 2)) for index in (0, 1)] == [
        {"One": 1, "Many": 1},
        {"Many": 1},
    ]


def test_who_has_fixed_classes_only_runs_no_more_than_those() -> None:
    cast = Cast({}, {"One": 2})
    assert [cast.class_of(number) for number in range(3)] == ["One", "One", None]
    assert cast.wanted(5, Share()) == {"One": 2}


@given(
    st.dictionaries(st.sampled_from("ABC"), st.integers(1, 5), min_size=1),
    st.dictionaries(st.sampled_from("XY"), st.integers(1, 3)),
    st.integers(1, 120),
    st.integers(1, 4),
)
def test_arrivals_are_dealt_to_the_users_that_a_pool_has(
    weights: dict[str, int], fixed: dict[str, int], size: int, count: int
) -> None:
    """Goal: a pool is a population. Method: its places against the users of the closed model."""
    cast = Cast(weights, fixed)
    dealt: Counter[str] = Counter()
    for index in range(count):
        dealt += Counter(places_of(cast, Share(index, count), share_of(size, index, count)))
    assert dealt == cast.wanted(size, Share())


def test_places_of_a_class_are_spread_out() -> None:
    """Goal: no burst of one class. Method: 3 to 1, over any twenty arrivals that follow."""
    places = places_of(Cast({"A": 3, "B": 1}, {"One": 10}), Share(), 100)
    assert Counter(places) == {"A": 68, "B": 22, "One": 10}
    for first in range(100):
        window = Counter((places + places)[first : first + 20])
        assert 11 <= window["A"] <= 16
        assert 2 <= window["B"] <= 7
        assert 1 <= window["One"] <= 3


def test_a_pool_of_classes_with_fixed_counts_only_is_no_larger_than_they_are() -> None:
    assert sorted(places_of(Cast({}, {"One": 1, "Two": 2}), Share(), 50)) == ["One", "Two", "Two"]


def test_a_share_holds_from_its_offset_on() -> None:
    shares = [Share(0, 2), Share(0, 1, from_s=5.0), Share(1, 3, from_s=6.0)]
    assert [share_at(shares, offset_s).count for offset_s in (0.0, 4.999, 5.0)] == [2, 2, 1]
    assert share_at(shares, 9.0) == Share(1, 3, from_s=6.0)
    assert len(shares) == 1
