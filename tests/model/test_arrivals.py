"""The open model's schedule."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.arrivals import Line, Schedule, lines_of, next_number, share_of
from runner.model.plan import PlannedStage

RATES = st.floats(0, 500, allow_subnormal=False).map(lambda rate: round(rate, 3))


def moments(schedule: Schedule, index: int = 0, count: int = 1) -> list[float]:
    found, number = [], next_number(1, index, count)
    while (due_s := schedule.due_s(number)) is not None:
        found.append(due_s)
        number += count
    return found


def test_a_plateau_has_an_arrival_at_the_end_of_each_interval() -> None:
    assert moments(Schedule([Line(0, 1, 4, 4)])) == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_a_ramp_is_the_inverse_of_its_parabola() -> None:
    """Goal: k6's formula. Method: from 0/s to 10/s in 2 s, N(t) = 2.5 t², so t = sqrt(i / 2.5)."""
    expected = [math.sqrt(number / 2.5) for number in range(1, 11)]
    assert moments(Schedule([Line(0, 2, 0, 10)])) == pytest.approx(expected)


def test_a_ramp_down_is_a_ramp_up_backwards() -> None:
    down = moments(Schedule([Line(0, 2, 10, 0)]))
    expected = [2 - math.sqrt((10 - number) / 2.5) for number in range(1, 11)]
    assert down == pytest.approx(expected, abs=1e-4)


def test_fractions_of_arrivals_are_carried_over_from_line_to_line() -> None:
    schedule = Schedule([Line(0, 0.5, 1, 1), Line(0.5, 1.5, 1, 1)])
    assert moments(schedule) == pytest.approx([1.0])


def test_a_pause_has_no_arrivals_and_loses_none() -> None:
    schedule = Schedule([Line(0, 1, 2, 2), Line(1, 2, 0, 0), Line(2, 3, 2, 2)])
    assert moments(schedule) == pytest.approx([0.5, 1.0, 2.5, 3.0])


def test_stages_become_ramps_and_plateaus() -> None:
    stage = PlannedStage(start_s=0, end_s=10, rate_from=5, rate_to=50, ramp_end_s=4)
    step = PlannedStage(start_s=10, end_s=20, rate_from=50, rate_to=20, ramp_end_s=10)
    assert lines_of([stage, step]) == (
        Line(0, 4, 5, 50),
        Line(4, 10, 50, 50),
        Line(10, 20, 20, 20),
    )


def test_lines_follow_each_other() -> None:
    schedule = Schedule([Line(0, 2, 1, 1)])
    with pytest.raises(ValueError, match="before the last one ends"):
        schedule.add(Line(1, 3, 1, 1))


@given(st.lists(st.tuples(st.floats(0.5, 5), RATES, RATES), min_size=1, max_size=5))
def test_arrivals_are_as_many_as_the_area_and_never_go_back(
    pieces: list[tuple[float, float, float]],
) -> None:
    """Goal: no arrival is lost or doubled. Method: count against the integral, over any lines."""
    lines, at_s = [], 0.0
    for length_s, start, end in pieces:
        lines.append(Line(at_s, at_s + length_s, start, end))
        at_s += length_s
    schedule = Schedule(lines)
    area = sum((line.rate_from + line.rate_to) / 2 * (line.end_s - line.start_s) for line in lines)
    found = moments(schedule)
    assert len(found) == pytest.approx(area, abs=1 + 1e-6)
    assert len(found) <= area + 1e-6
    assert found == sorted(found)
    assert all(0 <= due_s <= at_s + 1e-9 for due_s in found)
    assert schedule.expected(0, at_s) == pytest.approx(area)


@given(st.integers(1, 5), RATES, RATES)
def test_workers_share_the_same_moments(count: int, start: float, end: float) -> None:
    schedule = Schedule([Line(0, 2, start, end), Line(2, 4, end, end)])
    shared = [moments(schedule, index, count) for index in range(count)]
    assert sorted(moment for part in shared for moment in part) == moments(schedule)


@given(st.integers(0, 300), st.integers(1, 7))
def test_a_share_is_a_fair_deal(total: int, count: int) -> None:
    shares = [share_of(total, index, count) for index in range(count)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)


def test_a_schedule_can_be_entered_in_the_middle() -> None:
    """Goal: who takes over misses none. Method: arrivals at 0.5, 1.0, … 5.0; enter at offsets."""
    schedule = Schedule([Line(0, 5, 2, 2)])
    assert [schedule.first_from(at) for at in (0, 0.5, 0.6, 1.0, 4.99)] == [1, 1, 2, 2, 10]


@pytest.mark.parametrize(
    ("number", "index", "count", "expected"),
    [(1, 0, 1, 1), (1, 0, 3, 1), (1, 1, 3, 2), (1, 2, 3, 3), (5, 0, 3, 7), (4, 0, 3, 4)],
)
def test_the_next_number_of_a_worker(number: int, index: int, count: int, expected: int) -> None:
    assert next_number(number, index, count) == expected
