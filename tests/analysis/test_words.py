"""Figures in sentences: plain, with a unit, and never rounded to a lie."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.analysis.stats import statistic_s
from runner.analysis.words import compared, count, figure, listed
from runner.model.histogram import bucket_of


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.34, "ratio", "34 %"),
        (0.000512, "ratio", "0.0512 %"),
        (1.0, "ratio", "100 %"),
        (0.1204, "s", "120 ms"),
        (0.00042, "s", "420 µs"),
        (1.5, "s", "1.5 s"),
        (1234.5, "s", "1,234 s"),
        (0.0, "s", "0 s"),
        (98.74, "per_s", "98.7/s"),
        (12_345.0, "count", "12,345"),
        (float("nan"), "s", "not a number"),
        (float("inf"), "s", "infinite"),
    ],
)
def test_figures_are_plain(value: float, unit: str, text: str) -> None:
    assert figure(value, unit) == text


def test_comparison_adds_digits_until_it_shows() -> None:
    """500.4 ms against 500 ms must not read "500 ms; the bound is < 500 ms"."""
    assert compared(0.5004, 0.5, "s") == ("500.4 ms", "500 ms")
    assert compared(0.1, 0.5, "s") == ("100 ms", "500 ms")
    assert compared(0.5, 0.5, "s") == ("500 ms", "500 ms")


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_different_figures_read_differently(one: float, other: float) -> None:
    first, second = compared(one, other, "s")
    assert (first == second) == math.isclose(one, other, rel_tol=1e-9) or first != second


def test_counts_and_lists() -> None:
    assert [count(n, "request") for n in (0, 1, 1.2, 3200)] == [
        "0 requests",
        "1 request",
        "1 request",
        "3,200 requests",
    ]
    assert listed(["a", "b"]) == "a, b"
    assert listed("abcde") == "a, b, c and 2 more"


def test_statistics_of_a_histogram() -> None:
    """10, 20, 30 and 40 ms, once each, within 0.4 %."""
    counts = {bucket_of(value * 1000): 1 for value in (10, 20, 30, 40)}
    known = {name: statistic_s(counts, name) for name in ("p50", "p75", "avg", "min", "max")}
    assert known == {
        "p50": pytest.approx(0.020, rel=0.004),
        "p75": pytest.approx(0.030, rel=0.004),
        "avg": pytest.approx(0.025, rel=0.004),
        "min": pytest.approx(0.010, rel=0.004),
        "max": pytest.approx(0.040, rel=0.004),
    }
    assert statistic_s({}, "p50") is None
    with pytest.raises(ValueError, match="median"):
        statistic_s(counts, "median")
