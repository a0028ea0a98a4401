"""Durations and percentages: Istio's notation to Envoy's. Pure."""

from __future__ import annotations

import re
from typing import Any

_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")
_MILLION_PER_PERCENT = 10_000


def duration_s(text: str) -> float:
    """Seconds of a duration in Go's notation (``1h30m``, ``1.5s``, ``250ms``).

    Raises:
        ValueError: When the text is no such duration.
    """
    parts = list(_PART.finditer(text))
    if not parts or "".join(part.group(0) for part in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 5s, 250ms or 1h30m")
    return sum(float(part.group(1)) * _UNIT_S[part.group(2)] for part in parts)


def envoy_duration(text: str) -> str:
    """The same duration in protobuf's JSON notation: seconds with up to nine decimals and ``s``."""
    digits = f"{duration_s(text):.9f}".rstrip("0").rstrip(".")
    return f"{digits}s"


def fractional_percent(percent: Any) -> dict[str, Any]:
    """Envoy's FractionalPercent of a percentage 0-100, exact to one in a million."""
    return {"numerator": round(float(percent) * _MILLION_PER_PERCENT), "denominator": "MILLION"}
