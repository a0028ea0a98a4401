"""Rounding happens in one place; these are its rules."""

from __future__ import annotations

import pytest

from runner.reports import format as fmt


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0 s"),
        (0.000312, "312 µs"),
        (0.0832, "83.2 ms"),
        (0.49996, "500 ms"),
        (1.2749, "1.27 s"),
        (61.26, "61.3 s"),
        (130.0, "2m 10s"),
    ],
)
def test_latencies_have_three_digits_and_a_fitting_unit(value: float | None, text: str) -> None:
    assert fmt.seconds(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.0, "0 %"), (0.001, "0.1 %"), (0.0123, "1.23 %"), (0.256, "25.6 %"), (1.0, "100 %")],
)
def test_ratios_become_percentages(ratio: float, text: str) -> None:
    assert fmt.percent(ratio).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.9, "90 %"), (0.9995, "99.95 %"), (0.99999, "99.999 %"), (1.0, "100 %")]
)
def test_what_was_promised_keeps_its_digits(ratio: float, text: str) -> None:
    assert fmt.whole_percent(ratio).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fmt.percent(-0.5), "−50 %"),
        (fmt.percent(-19.451), "−1,945 %"),
        (fmt.seconds(-0.0021), "−2.1 ms"),
        (fmt.span(-90), "−1m 30s"),
        (fmt.count(-3), "−3"),
        (fmt.percent(-0.0000004), ">−0.0001 %"),
    ],
)
def test_less_than_nothing_has_a_true_minus(text: str, expected: str) -> None:
    assert text.replace("\u00a0", " ") == expected


def test_a_tiny_ratio_is_never_shown_as_zero() -> None:
    assert fmt.percent(0.0000004).replace("\u00a0", " ") == "<0.0001 %"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0s"), (0.5, "0.5s"), (59.9, "59.9s"), (60, "1m"), (125.4, "2m 5s"), (5400, "1h 30m")],
)
def test_spans_read_like_the_files_that_state_them(value: float, text: str) -> None:
    assert fmt.span(value) == text


def test_offsets_are_clock_like() -> None:
    assert [fmt.clock_offset(v) for v in (0, 65.9, 3725)] == ["00:00", "01:05", "1:02:05"]


def test_every_unit_is_written_in_its_own_way() -> None:
    values = [fmt.quantity(0.5, unit).replace("\u00a0", " ") for unit in ("s", "ratio", "per_s")]
    assert values == ["500 ms", "50 %", "0.5/s"]
    assert fmt.quantity(1234.0, "count") == "1,234"
    assert fmt.quantity(14.4, "count") == "14.4"


def test_a_difference_of_shares_is_in_points() -> None:
    """1 % more errors could mean 1.01 times as many; 1 pp more cannot."""
    said = [fmt.difference(0.0127, unit).replace("\u00a0", " ") for unit in ("ratio", "per_s")]
    assert said == ["+1.27 pp", "+0.013/s"]
    assert fmt.difference(-0.02, "ratio").replace("\u00a0", " ") == "−2 pp"
