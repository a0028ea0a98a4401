"""The histogram's error bound, its merge and its quantiles, against exact values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.histogram import (
    bucket_bounds_us,
    bucket_of,
    bucket_value_us,
    merged,
    quantile_us,
)

values_us = st.floats(min_value=0, max_value=600_000_000) | st.integers(0, 600_000_000)


@given(values_us)
def test_a_bucket_holds_its_value_within_eight_per_mille(value: float) -> None:
    low, high = bucket_bounds_us(bucket_of(value))
    assert low <= value < high
    middle = bucket_value_us(bucket_of(value))
    assert abs(middle - value) <= max(0.008 * value, 1 / 16)
    if value >= 1000:
        assert abs(middle - value) <= 0.0045 * value


@given(st.integers(0, 127))
def test_whole_microseconds_below_128_are_exact(value: int) -> None:
    assert bucket_value_us(bucket_of(value)) == value
    # What older records say.
    assert bucket_value_us(value) == value


@given(values_us, values_us)
def test_buckets_are_ordered_as_values_are(a: float, b: float) -> None:
    assert (bucket_of(a) <= bucket_of(b)) == (a <= b) or bucket_of(a) == bucket_of(b)


def test_where_the_fine_buckets_end() -> None:
    """Goal: no bucket has two meanings. Method: values around the edge, and none at all."""
    assert [bucket_of(value) for value in (63.9, 63.93, 63.94, 64, 64.4)] == [-1, -1, 64, 64, 64]
    assert [bucket_of(value) for value in (-5, 0, 0.06, 0.07, 1)] == [-512, -512, -512, -511, -504]


@given(st.lists(values_us, min_size=1, max_size=300), st.floats(min_value=0.01, max_value=1))
def test_every_quantile_is_within_one_percent_of_exact(values: list[float], ratio: float) -> None:
    """Goal: 1 % of exact, from 10 us on. Method: nearest rank on the sorted list is exact."""
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    exact = sorted(values)[max(1, math.ceil(ratio * len(values) - 1e-9)) - 1]
    assert quantile_us(counts, ratio) == pytest.approx(exact, rel=0.01, abs=0.1)


histograms = st.dictionaries(st.integers(0, 3000), st.integers(1, 100), max_size=20)


@given(histograms, histograms, histograms)
def test_merging_is_addition_in_any_order(
    a: dict[int, int], b: dict[int, int], c: dict[int, int]
) -> None:
    assert merged([merged([a, b]), c]) == merged([c, merged([b, a])])
    assert sum(merged([a, b, c]).values()) == sum(map(sum, (h.values() for h in (a, b, c))))


def test_nothing_has_no_quantile() -> None:
    assert quantile_us({}, 0.5) is None


def test_a_rank_is_not_pushed_up_by_rounding() -> None:
    """Goal: 7 % of 100 values is the 7th. Method: 0.07 * 100 is a bit more than 7 in floats."""
    assert quantile_us(dict.fromkeys(range(100), 1), 0.07) == 6
