"""Durations, percentages and rates as people write them, and as the program keeps them.

Inside seatrial a duration is a float of seconds, a share is a ratio from 0 to 1 and a rate is a
float per second. Text with a unit exists only in files that people write. This module is the one
place that parses it and the one place that writes it back; rounding for reports is not done here.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNIT_S = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:us|µs|ms|s|m|h|d))+")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|min|m|h)")
_RATE_UNIT_S = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}

MAX_DURATION_S = 366 * 86400.0

DURATION_ACCEPTED = "a duration with its unit, such as 500ms, 30s, 5m, 1h30m or 1d, up to 366d"
PERCENT_ACCEPTED = "a percentage from 0 to 100, such as 50 or 0.1%"
SHARE_ACCEPTED = "a percentage with its unit, from 0% to 100%, such as 1% or 0.1%"
RATE_ACCEPTED = "a rate with its unit, such as 90/s or 1200/min"


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``1h30m``.

    Raises:
        ValueError: When ``text`` has no unit, is not a duration, or lasts more than
            :data:`MAX_DURATION_S`; says what is accepted.
    """
    squeezed = text.replace(" ", "")
    if not _DURATION.fullmatch(squeezed):
        raise ValueError(f"{text!r} is not {DURATION_ACCEPTED}")
    # A sum of floats, not fsum: that raises where a part is infinite.
    seconds = sum(float(n) * _UNIT_S[unit] for n, unit in _PART.findall(squeezed))
    if seconds > MAX_DURATION_S:
        raise ValueError(f"{text[:40]!r} is too long for {DURATION_ACCEPTED}")
    return seconds


def format_duration(seconds: float) -> str:
    """Text that :func:`parse_duration` reads back to the same number of seconds."""
    for unit in ("d", "h", "m"):
        size = _UNIT_S[unit]
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    if seconds == int(seconds):
        return f"{int(seconds)}s"
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def parse_percent(text: str) -> float:
    """Ratio of a percentage such as ``0.1%``.

    Raises:
        ValueError: When ``text`` is not a percentage from 0 to 100.
    """
    match = _PERCENT.fullmatch(text.strip())
    if match is None or float(match[1]) > 100:
        raise ValueError(f"{text!r} is not {PERCENT_ACCEPTED}")
    return float(match[1]) / 100


def parse_rate(text: str) -> float:
    """Events per second of a rate such as ``90/s``.

    Raises:
        ValueError: When ``text`` is not a finite rate.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or not math.isfinite(float(match[1])):
        raise ValueError(f"{text!r} is not {RATE_ACCEPTED}")
    return float(match[1]) / _RATE_UNIT_S[match[2]]


def _duration(value: Any) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"{value!r} has no unit; write {DURATION_ACCEPTED}")


def _percent(value: Any) -> float:
    """Accept ``50``, ``0.1`` and ``"50%"``: the key's name, percent, is the unit."""
    if isinstance(value, str):
        return parse_percent(value) * 100
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError(f"{value!r} is not {PERCENT_ACCEPTED}")
    return float(value)


def format_rate(per_s: float) -> str:
    """Text that :func:`parse_rate` reads back to the same rate."""
    return f"{per_s:.9f}".rstrip("0").rstrip(".") + "/s"


def _rate(value: Any) -> float:
    if isinstance(value, str):
        return parse_rate(value)
    raise ValueError(f"{value!r} has no unit; write {RATE_ACCEPTED}")


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(\d+(\.\d+)?(us|µs|ms|s|m|h|d))+$",
            "examples": ["500ms", "30s", "5m", "1h30m"],
            "description": "A duration with its unit.",
        }
    ),
]
"""Seconds in memory; text with a unit in files."""

Rate = Annotated[
    float,
    BeforeValidator(_rate),
    PlainSerializer(format_rate, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d+(\.\d+)?\s*/\s*(s|min|m|h)$",
            "examples": ["200/s", "1200/min"],
            "description": "A rate with its unit.",
        }
    ),
]
"""Events per second in memory; text with a unit in files."""

Percent = Annotated[
    float,
    BeforeValidator(_percent),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 100},
                {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"},
            ],
            "examples": [50, "0.1%"],
            "description": "A percentage from 0 to 100.",
        }
    ),
]
"""A percentage, 0 to 100, under a key that is called ``percent``."""
