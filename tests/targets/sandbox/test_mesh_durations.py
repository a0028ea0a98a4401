"""Istio's durations and percentages in Envoy's words."""

from __future__ import annotations

import pytest

from runner.targets.sandbox.mesh.durations import duration_s, envoy_duration, fractional_percent


@pytest.mark.parametrize(
    ("text", "seconds", "envoy"),
    [
        ("5s", 5.0, "5s"),
        ("250ms", 0.25, "0.25s"),
        ("1h30m", 5400.0, "5400s"),
        ("1.5s", 1.5, "1.5s"),
        ("0s", 0.0, "0s"),
        ("1m0.5s", 60.5, "60.5s"),
        ("100us", 0.0001, "0.0001s"),
    ],
)
def test_durations(text: str, seconds: float, envoy: str) -> None:
    assert duration_s(text) == pytest.approx(seconds)
    assert envoy_duration(text) == envoy


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5s ", "1d", "5sx"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration_s(text)


@pytest.mark.parametrize(
    ("percent", "numerator"), [(100, 1_000_000), (50, 500_000), (0.1, 1000), (0.0001, 1), (0, 0)]
)
def test_percentages_are_exact_to_a_millionth(percent: float, numerator: int) -> None:
    assert fractional_percent(percent) == {"numerator": numerator, "denominator": "MILLION"}
