"""Counter arithmetic against what really happened, and Prometheus' quantile by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.signals.counters import (
    bucket_quantile,
    increases,
    key_of,
    summed_buckets,
    walked_increase,
)

A, B, C = (key_of({"n": name}) for name in "abc")


def test_increase_of_each_kind_of_series() -> None:
    """One that was there, one that was born, one that has gone before, one that was reset."""
    grown = increases({A: 10.0, C: 7.0}, {A: 15.0, B: 3.0}, {})
    assert grown == {A: 5.0, B: 3.0}
    assert increases({A: 100.0}, {A: 40.0}, {A: 65.0}) == {A: 65.0}


def test_unnoticed_decrease_never_counts_negative() -> None:
    """Without the samples in between, what is known is what was counted since the reset."""
    assert increases({A: 100.0}, {A: 4.0}, {}) == {A: 4.0}


def test_walk_starts_at_the_last_value_before_the_start() -> None:
    """Resets before the start do not count; those after it do, from 0."""
    points = [(1.0, 50.0), (2.0, 5.0), (3.0, 8.0), (4.0, 2.0), (5.0, 6.0)]
    assert walked_increase(points, 2.0) == 3 + 2 + 4
    assert walked_increase(points, 0.0) == 50 + 5 + 3 + 2 + 4
    assert walked_increase([], 2.0) == 0


@given(
    st.lists(st.one_of(st.integers(0, 50), st.none()), min_size=2, max_size=40),
    st.data(),
)
def test_walk_counts_every_event_that_a_scrape_could_see(
    steps: list[int | None], data: st.DataObject
) -> None:
    """A counter that lives through restarts (None) is walked to exactly what it counted.

    A restart is scraped at 0 before anything is counted again, so that nothing goes unseen.
    """
    value, counted = 0.0, [0.0]
    points = [(0.0, 0.0)]
    for at, step in enumerate(steps, start=1):
        value = 0.0 if step is None else value + step
        counted.append(counted[-1] + (step or 0))
        points.append((float(at), value))
    start = data.draw(st.integers(0, len(steps)))
    assert walked_increase(points, float(start)) == counted[-1] - counted[start]


def test_quantile_interpolates_as_prometheus_does() -> None:
    """The lowest bucket starts at 0, the highest has no end; values from histogram_quantile."""
    buckets = {0.1: 10.0, 0.5: 40.0, 1.0: 90.0, math.inf: 100.0}
    assert bucket_quantile(buckets, 0.05).value == pytest.approx(0.05)
    assert bucket_quantile(buckets, 0.4).value == pytest.approx(0.5)
    assert bucket_quantile(buckets, 0.65).value == pytest.approx(0.75)
    assert bucket_quantile(buckets, 0.9).value == pytest.approx(1.0)
    assert not bucket_quantile(buckets, 0.9).beyond
    assert bucket_quantile(buckets, 0.95) == bucket_quantile(buckets, 0.99)
    assert bucket_quantile(buckets, 0.99).value == 1.0
    assert bucket_quantile(buckets, 0.99).beyond


def test_no_quantile_without_a_count() -> None:
    """Nothing counted, no bucket at all, or no bucket that holds everything: no figure."""
    assert bucket_quantile({}, 0.5).value is None
    assert bucket_quantile({0.1: 0.0, math.inf: 0.0}, 0.5).value is None
    assert bucket_quantile({0.1: 5.0}, 0.5).value is None
    assert bucket_quantile({math.inf: 5.0}, 0.5).value is None


@given(
    st.lists(st.floats(0, 1000), min_size=2, max_size=12),
    st.floats(0.001, 1.0),
)
def test_quantile_lies_in_the_buckets(counts: list[float], ratio: float) -> None:
    """Whatever a torn scrape says, also counts that fall: a quantile is within the bounds."""
    bounds = [*(0.1 * 2**at for at in range(len(counts) - 1)), math.inf]
    found = bucket_quantile(dict(zip(bounds, counts, strict=True)), ratio)
    if max(counts) > 0:
        assert found.value is not None
        assert 0 <= found.value <= bounds[-2]


def test_buckets_of_several_series_add_up() -> None:
    """Pods and status codes have histograms of their own; +Inf is a bound like the others."""
    grown = [
        ({"le": "10", "pod": "a"}, 1.0),
        ({"le": "10", "pod": "b"}, 2.0),
        ({"le": "+Inf"}, 5.0),
    ]
    assert summed_buckets(grown) == {10.0: 3.0, math.inf: 5.0}
