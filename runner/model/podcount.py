"""How many pods a fault hits: a number, a share, or all. Pure."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from runner.model.units import parse_percent

EVERY_POD = "all"
COUNT_ACCEPTED = "a number of pods from 1, a share such as 50%, or all"


def _count(value: Any) -> int | str:
    if value == "one":
        return 1
    if isinstance(value, str) and value != EVERY_POD and parse_percent(value) <= 0:
        raise ValueError(f"{value!r} is no pod; accepted: {COUNT_ACCEPTED}")
    if isinstance(value, str):
        return value.replace(" ", "")
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not {COUNT_ACCEPTED}")
    return value


PodCount = Annotated[
    int | str,
    BeforeValidator(_count),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^(one|all|\d+(\.\d+)?\s*%)$"},
            ],
            "examples": [1, "50%", "all"],
            "description": "How many of the ready pods: a number, a share, or all.",
        }
    ),
]
"""How many pods: an int, ``"50%"`` or ``"all"``."""


def pods_meant(count: int | str, ready: int) -> int:
    """How many of ``ready`` pods ``count`` means.

    A share is rounded down, so that it never hits more than was allowed, but to one pod at least: a
    fault on no pod would measure nothing.
    """
    if isinstance(count, int):
        return count
    if count == EVERY_POD:
        return ready
    return max(1, math.floor(ready * parse_percent(count) + 1e-9))


def pods_text(count: int | str) -> str:
    """``1 pod``, ``2 pods``, ``50% of the pods``, ``all pods``."""
    if isinstance(count, int):
        return "1 pod" if count == 1 else f"{count} pods"
    return "all pods" if count == EVERY_POD else f"{count} of the pods"
