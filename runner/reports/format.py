"""Numbers as a person reads them: the only rounding of tables, charts and pages.

Three significant digits, because a load test has no more; a no-break space before the unit, a true
minus sign (U+2212), which stands as high as a plus, and an en dash where there is no number.
Sentences of findings have :mod:`runner.analysis.words`, which keeps figures that differ apart.
"""

from __future__ import annotations

from datetime import UTC, datetime

from runner.model.evaluation import Unit

NOTHING = "–"
MINUS = "\N{MINUS SIGN}"
_SPACE = "\u00a0"


def _digits(value: float) -> str:
    """Three significant digits without an exponent or superfluous zeros."""
    if value == 0:
        return "0"
    magnitude = abs(value)
    sign = MINUS if value < 0 else ""
    if magnitude >= 100:
        return f"{sign}{magnitude:,.0f}"
    places = 1 if magnitude >= 10 else 2 if magnitude >= 1 else 3
    text = f"{magnitude:.{places}f}"
    if float(text) == 0:
        if magnitude < 1e-4:
            return f">{MINUS}0.0001" if sign else "<0.0001"
        return f"{sign}{magnitude:.1g}"
    return sign + text.rstrip("0").rstrip(".")


def seconds(value: float | None) -> str:
    """A latency or a short span: microseconds to minutes, whichever fits."""
    if value is None:
        return NOTHING
    magnitude = abs(value)
    if magnitude == 0:
        return f"0{_SPACE}s"
    if magnitude < 1e-3:
        return f"{_digits(value * 1e6)}{_SPACE}µs"
    if magnitude < 1:
        return f"{_digits(value * 1e3)}{_SPACE}ms"
    return f"{_digits(value)}{_SPACE}s" if magnitude < 120 else span(value)


def span(value: float) -> str:
    """A length of time on the schedule, such as ``1h 30m`` or ``2m 5s``."""
    total = round(value)
    if abs(value) < 60 and abs(value - total) > 0.05:
        return f"{value:.1f}s"
    hours, rest = divmod(abs(total), 3600)
    minutes, secs = divmod(rest, 60)
    parts = [f"{hours}h" * bool(hours), f"{minutes}m" * bool(minutes), f"{secs}s" * bool(secs)]
    return (MINUS if total < 0 else "") + (" ".join(p for p in parts if p) or "0s")


def clock_offset(value: float) -> str:
    """An offset from the start of the load as ``mm:ss`` or ``h:mm:ss``."""
    total = int(value)
    hours, rest = divmod(total, 3600)
    text = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{hours}:{text}" if hours else text


def percent(ratio: float | None) -> str:
    """A ratio as a percentage."""
    return NOTHING if ratio is None else f"{_digits(ratio * 100)}{_SPACE}%"


def whole_percent(ratio: float) -> str:
    """A ratio that somebody wrote down, with all of its digits: 99.95 % is not 100 %."""
    return f"{100 * ratio:.6f}".rstrip("0").rstrip(".") + f"{_SPACE}%"


def points(ratio: float | None) -> str:
    """A difference of two ratios, in percentage points."""
    return NOTHING if ratio is None else f"{_digits(ratio * 100)}{_SPACE}pp"


def times(factor: float | None) -> str:
    """How many times as much."""
    return NOTHING if factor is None else f"{_digits(factor)}×"


def days(seconds_: float) -> str:
    """A long time in days, a shorter one as :func:`span` has it."""
    if seconds_ < 2 * 86400:
        return span(seconds_)
    return f"{_digits(seconds_ / 86400)}{_SPACE}days"


def rate(per_second: float | None) -> str:
    """Events per second."""
    return NOTHING if per_second is None else f"{_digits(per_second)}/s"


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return NOTHING if value is None else f"{value:,.0f}".replace("-", MINUS)


def quantity(value: float | None, unit: Unit | str) -> str:
    """``value`` in the way of its unit."""
    match unit:
        case "s":
            return seconds(value)
        case "ratio":
            return percent(value)
        case "per_s":
            return rate(value)
        case "count":  # Plain numbers, too: a burn rate of 14.4 is not one of 14.
            return count(value) if value is None or value % 1 == 0 else _digits(value)
        case _:
            return NOTHING if value is None else _digits(value)


def utc(wall_s: float) -> str:
    """A Unix time as UTC, to the second."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def day_minute(wall_s: float | None) -> str:
    """A Unix time as UTC, to the minute; for columns that say so in their head."""
    return NOTHING if wall_s is None else utc(wall_s)[:16]


def signed(value: float, unit: Unit | str) -> str:
    """A difference: with its sign, also when it is above 0."""
    text = quantity(value, unit)
    return f"+{text}" if value > 0 and text[:1].isdigit() else text


def difference(value: float, unit: Unit | str) -> str:
    """A difference as people say it: with its sign, and of ratios in percentage points."""
    text = signed(value, unit)
    return text.replace("%", "pp") if unit == "ratio" else text
