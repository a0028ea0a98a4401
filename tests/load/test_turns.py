"""Arrivals that are dealt to processes in turn, while processes come to grief."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.load.shape import Share
from runner.load.turns import Turns
from runner.model.arrivals import Line, Schedule

RATES = st.floats(0, 60, allow_subnormal=False).map(lambda rate: round(rate, 2))
LENGTHS = st.floats(0.1, 4, allow_subnormal=False).map(lambda length_s: round(length_s, 2))


def lines_through(pieces: list[tuple[float, float, float]]) -> list[Line]:
    lines, start_s = [], 0.0
    for length_s, rate_from, rate_to in pieces:
        lines.append(Line(start_s, start_s + length_s, rate_from, rate_to))
        start_s += length_s
    return lines


def all_of(schedule: Schedule) -> list[float]:
    found, number = [], 1
    while (due_s := schedule.due_s(number)) is not None:
        found.append(due_s)
        number += 1
    return found


def taken(turns: Turns, until_s: float) -> list[float]:
    found = []
    while (due_s := turns.due_s(until_s)) is not None and due_s < until_s:
        found.append(due_s)
        turns.take()
    return found


profiles = st.lists(st.tuples(LENGTHS, RATES, RATES), min_size=1, max_size=4).map(lines_through)


@given(profiles, st.integers(1, 5))
def test_every_arrival_is_somebodys_and_nobody_elses(lines: list[Line], count: int) -> None:
    schedule = Schedule(lines)
    dealt: list[float] = []
    for index in range(count):
        turns = Turns(schedule)
        turns.assign(Share(index, count))
        dealt += taken(turns, schedule.end_s + 1)
    assert sorted(dealt) == all_of(schedule)


@settings(deadline=None)
@given(profiles, st.integers(2, 5), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_no_arrival_is_lost_or_doubled_when_shares_change(
    lines: list[Line], count: int, told: float, changed: float, on_the_dot: bool
) -> None:
    """Goal: a lost worker costs its own arrivals until its share is dealt anew, and no other.

    Method: the last of several workers falls silent; the others are told new shares at some
    offset, which hold from a later one on, sometimes from the very moment of an arrival.
    """
    schedule = Schedule(lines)
    every = all_of(schedule)
    from_s = changed * schedule.end_s
    if on_the_dot and every:
        from_s = every[int(changed * (len(every) - 1))]
    told_s = told * from_s
    workers = [Turns(schedule) for _ in range(count)]
    dealt: list[float] = []
    for index, turns in enumerate(workers):
        turns.assign(Share(index, count))
        dealt += taken(turns, told_s if index < count - 1 else from_s)
    for index, turns in enumerate(workers[:-1]):
        turns.assign(Share(index, count - 1, from_s))
        dealt += taken(turns, schedule.end_s + 1)
    assert sorted(dealt) == every


def test_a_share_that_changes_in_a_pause_repeats_nothing() -> None:
    """Goal: what was sent before a pause is not sent again. Method: a change in its middle."""
    turns = Turns(Schedule([Line(0, 1, 2, 2), Line(1, 2, 0, 0), Line(2, 3, 2, 2)]))
    assert taken(turns, 1.2) == pytest.approx([0.5, 1.0])
    turns.assign(Share(0, 1, 1.5))
    assert taken(turns, 9.0) == pytest.approx([2.5, 3.0])


def test_lines_that_are_told_later_go_on_where_the_last_one_ended() -> None:
    """A search: each step is told when the one before it is over; a worker is lost in between."""
    schedule = Schedule([Line(0, 1, 2, 2)])
    first, second = Turns(schedule), Turns(schedule)
    first.assign(Share(0, 2))
    second.assign(Share(1, 2))
    assert (taken(first, 1.5), taken(second, 1.5)) == ([0.5], [1.0])
    second.assign(Share(0, 1, 1.2))
    assert second.due_s(1.5) is None
    schedule.add(Line(1, 2, 0, 0))
    schedule.add(Line(2, 3, 3, 3))
    assert taken(second, 9.0) == pytest.approx([2 + 1 / 3, 2 + 2 / 3, 3.0])


def test_a_share_does_not_hold_before_its_offset() -> None:
    turns = Turns(Schedule([Line(0, 2, 2, 2)]))
    turns.assign(Share(1, 2))
    turns.assign(Share(0, 1, 1.5))
    assert taken(turns, 9.0) == pytest.approx([1.0, 1.5, 2.0])
