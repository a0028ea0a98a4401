"""Units: what people write becomes seconds, ratios and rates, and goes back unchanged."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.units import format_duration, parse_duration, parse_percent, parse_rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("1h30m", 5400), ("1d", 86400), ("1.5m", 90), ("250us", 0.00025)],
)
def test_a_duration_is_a_sum_of_parts_with_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-5s", "5 parsecs", "1h30", "1,5s", "1e3s", "367d", "9" * 400 + "s"]
)
def test_what_is_not_a_duration_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="500ms, 30s, 5m, 1h30m or 1d"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**15))
def test_a_duration_survives_the_way_out_and_back(nanoseconds: int) -> None:
    """Goal: files round-trip. Method: any whole number of nanoseconds, formatted and parsed."""
    seconds = nanoseconds / 1e9
    assert math.isclose(parse_duration(format_duration(seconds)), seconds, abs_tol=1e-9)


@pytest.mark.parametrize(("text", "ratio"), [("50%", 0.5), ("0.1 %", 0.001), ("100%", 1.0)])
def test_a_percentage_is_a_ratio(text: str, ratio: float) -> None:
    assert parse_percent(text) == pytest.approx(ratio, rel=1e-12)


@pytest.mark.parametrize("text", ["50", "101%", "-1%", "%", "half"])
def test_what_is_not_a_percentage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="from 0 to 100"):
        parse_percent(text)


@pytest.mark.parametrize(("text", "rate"), [("90/s", 90), ("1200/min", 20), ("3600/h", 1)])
def test_a_rate_is_per_second(text: str, rate: float) -> None:
    assert parse_rate(text) == pytest.approx(rate, rel=1e-12)


def test_a_rate_is_finite() -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate("9" * 400 + "/s")
