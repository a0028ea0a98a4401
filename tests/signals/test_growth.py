"""Increases over an interval, against counters whose whole life is known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from runner.signals.client import Answer, Sampled
from runner.signals.growth import LOOKBACK_S, growth

END = 700
LABELS = {"job": "envoy", "instance": "mesh:1", "n": "0"}
Life = Sequence[tuple[int, float]]


@dataclass
class Prometheus:
    """The three questions that are asked, over the samples of one series."""

    points: Life
    asked: list[str] = field(default_factory=list)

    def query(self, name: str, promql: str, at_s: float) -> Answer:
        self.asked.append(promql)
        window = re.search(r"\[(\d+)ms\]", promql)
        assert window is not None
        first = at_s - int(window[1]) / 1000
        seen = [(float(t), value) for t, value in self.points if first <= t <= at_s]
        if not seen:
            return Answer(())
        if promql.startswith("resets"):
            number = sum(later < earlier for (_, earlier), (_, later) in pairwise(seen))
            return Answer((Sampled(LABELS, ((at_s, float(number)),)),) if number else ())
        if promql.startswith("last_over_time"):
            return Answer((Sampled(LABELS, ((at_s, seen[-1][1]),)),))
        return Answer((Sampled(LABELS, tuple(seen)),))


def grown(points: Life, start: float, end: float) -> float:
    found = growth(Prometheus(points), "x", "c{}", start, end)  # type: ignore[arg-type]
    return sum(found.values.values())


def counted(points: Life, start: float, end: float) -> float:
    """What a reader of the samples counts between two instants: born at 0, and reset to 0."""
    before = [value for t, value in points if t <= start]
    value, total = (before[-1] if before else 0.0), 0.0
    for _, later in ((t, v) for t, v in points if start < t <= end):
        total += later - value if later >= value else later
        value = later
    return total


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """A counter scraped each 10 s from its birth to its end, which starts anew now and then."""
    born = draw(st.integers(0, 60)) * 10
    steps = draw(st.lists(st.one_of(st.integers(0, 9), st.none()), min_size=1, max_size=60))
    points, value = [], 0.0
    for at, step in enumerate(steps):
        value = 0.0 if step is None else value + step
        points.append((born + at * 10, value))
    return [point for point in points if point[0] <= END]


@given(lives(), st.integers(0, END - 1), st.integers(1, 200))
@example([(100, 3.0)], 50, 100)  # born with what it counted
@example([(100, 3.0)], 150, 100)  # gone before the start
@example([(0, 90.0), (10, 95.0)], 5, 100)  # gone within
@example([(0, 90.0), (10, 2.0), (20, 5.0)], 15, 100)  # reset before the start
@example([(0, 90.0), (10, 2.0), (20, 95.0)], 5, 100)  # reset, and more than before at the end
@example([(0, 0.0), (10, 7.0)], 10, 1)  # a sample at the very start belongs to what was before
def test_growth_is_what_was_counted_between_two_instants(
    points: Life, start: int, length: int
) -> None:
    """Goal: exactly the phase, whatever happens to a counter. Method: births, ends, resets.

    No life here pauses for longer than Prometheus looks back.
    """
    assert grown(points, start, start + length) == counted(points, start, start + length)


@given(lives(), st.lists(st.integers(0, END), min_size=2, max_size=6, unique=True))
def test_growth_of_phases_adds_up_to_that_of_the_run(points: Life, edges: list[int]) -> None:
    """Goal: no event is lost or counted twice at an edge. Method: any tiling of a run."""
    ordered = sorted(edges)
    pieces = [grown(points, first, last) for first, last in pairwise(ordered)]
    assert sum(pieces) == grown(points, ordered[0], ordered[-1])


def test_a_series_that_paused_for_longer_than_is_looked_back_is_as_if_born() -> None:
    """What is known is told, and no more: 4 since it was seen again, from 0."""
    pause = [(0, 50.0), (int(LOOKBACK_S) + 100, 4.0)]
    assert grown(pause, LOOKBACK_S + 50, LOOKBACK_S + 150) == 4.0


def test_a_long_interval_is_asked_in_pieces_of_an_hour() -> None:
    """Goal: no question loads a day of samples. Method: 2.5 h of a counter, one a minute."""
    source = Prometheus([(t, t / 60) for t in range(0, 9000, 60)])
    found = growth(source, "x", "c{}", 0.0, 9000.0)  # type: ignore[arg-type]
    assert sum(found.values.values()) == 149
    assert len(source.asked) == 9
