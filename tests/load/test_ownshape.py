"""A locustfile's own shape, without Locust: what ticks mean, the line of users, their classes."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.load.ownshape import Approach, Roster, Wish, choose_shape, read_tick
from runner.load.shape import Share


class UserA:
    pass


class UserB:
    pass


@pytest.mark.parametrize(
    ("value", "wish"),
    [
        (None, None),
        ((10, 2), Wish(10, 2.0)),
        ([10.4, 0.5], Wish(10, 0.5)),
        ((3, 1, None), Wish(3, 1.0)),
        ((3, 1, [UserB, UserA]), Wish(3, 1.0, ("UserA", "UserB"))),
    ],
)
def test_a_tick_is_read(value: object, wish: Wish | None) -> None:
    assert read_tick(value, ["UserA", "UserB"]) == wish


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5, r"tick\(\) returned 5; accepted: \(users, spawn_rate\)"),
        ((1, 2, None, 4), "accepted"),
        ((-1, 1), "-1 users; accepted: a number from 0"),
        ((math.nan, 1), "nan users"),
        ((1, 0), "a spawn rate of 0; accepted: one above 0"),
        ((1, math.inf), "a spawn rate of inf"),
        (("5", 1), "'5' users"),
        ((1, 1, [UserA]), "names UserA; accepted: UserB"),
        ((1, 1, []), "names no user class"),
    ],
)
def test_a_tick_that_makes_no_sense_is_refused(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_tick(value, ["UserB"])


def test_users_start_and_stop_one_by_one_in_the_middle_of_their_interval() -> None:
    """Goal: no bursts. Method: 4 users at 2 per second cross the halves at .25, .75, 1.25, 1.75."""
    approach = Approach()
    approach.turn_to(Wish(4, 2.0), 10.0)
    changes, offset_s = [], 10.0
    while (offset_s := approach.next_change_s(offset_s)) < math.inf:
        changes.append((offset_s, approach.due(offset_s)))
    assert changes == [(10.25, 1), (10.75, 2), (11.25, 3), (11.75, 4)]
    approach.turn_to(Wish(3, 1.0), 20.0)
    assert (approach.due(20.4), approach.next_change_s(20.0), approach.due(20.5)) == (4, 20.5, 3)


def test_a_wish_is_given_up_for_the_next_without_having_been_reached() -> None:
    """Goal: what Locust's blocking ramp misses. Method: 100 users at 1/s, and after 3 s only 1."""
    approach = Approach()
    approach.turn_to(Wish(100, 1.0), 0.0)
    assert approach.due(3.0) == 3
    approach.turn_to(Wish(1, 2.0), 3.0)
    assert [approach.due(at) for at in (3.0, 3.3, 4.0, 9.0)] == [3, 2, 1, 1]


def test_a_slow_ramp_arrives_although_the_wish_changes_every_second() -> None:
    """Goal: fractions of a user are kept. Method: 0.2 users per second to 9, 10, 9, 10, … users."""
    approach = Approach()
    for second in range(20):
        approach.turn_to(Wish(9 + second % 2, 0.2), float(second))
    assert approach.due(20.0) == 4


@given(
    st.lists(
        st.tuples(st.floats(0.1, 5), st.integers(0, 50), st.floats(0.1, 50)),
        min_size=1,
        max_size=5,
    )
)
def test_due_changes_only_where_it_was_foretold(wishes: list[tuple[float, int, float]]) -> None:
    """Goal: who sleeps until the next change misses nothing. Method: a walk along the changes."""
    approach, offset_s = Approach(), 0.0
    for length_s, users, rate in wishes:
        before = approach.due(offset_s)
        approach.turn_to(Wish(users, rate), offset_s)
        assert abs(approach.due(offset_s) - before) <= 1  # a turn at a half may round the other way
        end_s, at_s = offset_s + length_s, offset_s
        stops = [at_s]
        while (at_s := approach.next_change_s(at_s)) < end_s:
            stops.append(at_s)
        for early_s, late_s in pairwise([*stops, end_s]):
            due = approach.due(early_s)
            if late_s - early_s > 0.01:  # rounding may hide a change for a millisecond
                assert approach.due((early_s + late_s) / 2) == approach.due(early_s + 0.002) == due
            assert abs(approach.due(late_s) - due) <= 1
        offset_s = end_s


def test_new_users_are_of_the_classes_that_are_wanted_and_the_last_leave_first() -> None:
    """Goal: Locust's meaning of user_classes. Method: A, then B, then nothing said, then fewer."""
    roster = Roster({"A": 1, "B": 1}, {})
    roster.allow(["A"])
    assert roster.wanted(3, Share()) == {"A": 3}
    roster.allow(["B"])
    assert roster.wanted(8, Share()) == {"A": 3, "B": 5}
    roster.allow(None)
    assert roster.wanted(9, Share()) == {"A": 3, "B": 6}
    assert roster.wanted(2, Share()) == {"A": 2}


def test_weights_and_fixed_counts_hold() -> None:
    roster = Roster({"A": 3, "B": 1}, {"Admin": 1})
    assert roster.wanted(9, Share()) == {"Admin": 1, "A": 6, "B": 2}
    assert Roster({}, {"Admin": 2}).wanted(5, Share()) == {"Admin": 2}


def test_shares_add_up_to_what_one_process_would_run() -> None:
    def wanted(share: Share) -> Counter[str]:
        roster = Roster({"A": 3, "B": 1}, {"Admin": 1})
        roster.wanted(14, share)
        return roster.wanted(9, share)

    alone = wanted(Share())
    assert sum((wanted(Share(index, 3)) for index in range(3)), Counter()) == alone
    assert alone.total() == 9


class Stages:
    pass


class LongStages(Stages):
    pass


class Waves:
    pass


OURS = ["SeatrialPlanShape", "Default"]


def test_the_one_shape_is_chosen() -> None:
    """Goal: ours, and a parent that was imported, are not in the way."""
    waves, long = Waves(), LongStages()
    assert choose_shape({"SeatrialPlanShape": object(), "Waves": waves}, OURS) is waves
    assert choose_shape({"Stages": Stages(), "LongStages": long}, OURS) is long


def test_no_shape_and_several_are_refused() -> None:
    with pytest.raises(ValueError, match="has no load shape; accepted: one"):
        choose_shape({"SeatrialPlanShape": object(), "Default": object()}, OURS)
    with pytest.raises(ValueError, match=r"several load shapes \(Stages, Waves\)"):
        choose_shape({"Stages": Stages(), "Waves": Waves()}, OURS)
