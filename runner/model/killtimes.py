"""When the pods of a fault are killed, if they are killed again and again. Pure.

The moments follow from the plan and its seed alone, so they are known, and shown, beforehand.
"""

from __future__ import annotations

import hashlib
from typing import Final

MOST_KILLS: Final = 10_000
"""More often than this in one fault is no test of a crash any more."""

KILL_SEEDS_APART: Final = 1_000_003
"""Far enough apart that no kill of one fault draws as a kill of the next fault does."""


def kill_moments(
    duration_s: float, every_s: float | None, jitter_s: float = 0.0, seed: int = 0
) -> tuple[float, ...]:
    """Seconds from the fault's start at which pods are killed, in order; the first is always 0.

    Kill n is due at ``n * every_s``, as long as that is before ``duration_s`` is over, and comes
    by chance up to ``jitter_s`` earlier or later, though never at or after the end. How many kills
    there are does not depend on chance.

    Args:
        duration_s: Length of the fault.
        every_s: Seconds between two kills; None for a single one.
        jitter_s: Less than half of ``every_s``, so that kills keep their order.
        seed: Seed of the chance.

    Raises:
        ValueError: When there would be more than :data:`MOST_KILLS`, or the order could be lost.
    """
    if every_s is None:
        return (0.0,)
    if every_s <= 0 or duration_s / every_s > MOST_KILLS:
        raise ValueError(f"a kill every {every_s:g}s of {duration_s:g}s is more than {MOST_KILLS}")
    if not 0 <= jitter_s < every_s / 2:
        raise ValueError(f"a jitter of {jitter_s:g}s could swap kills that are {every_s:g}s apart")
    moments, number = [0.0], 1
    while (due_s := number * every_s) < duration_s:
        low_s, high_s = due_s - jitter_s, min(due_s + jitter_s, duration_s)
        moments.append(low_s + _chance(seed, number) * (high_s - low_s))
        number += 1
    return tuple(moments)


def _chance(seed: int, number: int) -> float:
    """From 0 to below 1, the same for the same seed and number wherever it is computed."""
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def kill_seed(seed: int, number: int) -> int:
    """The seed of the choice of pods for kill ``number`` (from 0); the fault's own for the first.

    Otherwise every kill would draw the same place in the list of names.
    """
    return seed + number * KILL_SEEDS_APART
