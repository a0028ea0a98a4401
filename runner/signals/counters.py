"""Arithmetic of Prometheus counters over exactly one interval. Pure.

``increase()`` extrapolates, and it misses what a series was born with: a flag that is first seen in
a fault starts at its first value, not at 0. So the increase is taken from values at both ends: a
series that was not there at the start began at 0, one that has gone ends at its last value, and
one that was reset is walked sample by sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Labels = frozenset[tuple[str, str]]
Points = Sequence[tuple[float, float]]


def key_of(labels: Mapping[str, str]) -> Labels:
    """Labels as a dictionary key."""
    return frozenset(labels.items())


def increases(
    at_start: Mapping[Labels, float],
    at_end: Mapping[Labels, float],
    walked: Mapping[Labels, float],
) -> dict[Labels, float]:
    """What each counter grew by.

    Args:
        at_start: Last value at or before the start, of the series that were there.
        at_end: Last value at or before the end, of all series seen since then.
        walked: Increase of the series that were reset, counted sample by sample.
    """
    grown = {}
    for key, end in at_end.items():
        start = at_start.get(key, 0.0)
        # A decrease that nobody noticed as a reset: all that is known is counted since then.
        grown[key] = walked[key] if key in walked else (end - start if end >= start else end)
    return grown


def walked_increase(points: Points, start_s: float) -> float:
    """The increase from ``start_s`` on, over raw samples, with every reset counted from 0.

    Args:
        points: ``(unix time, value)`` in order; the last at or before ``start_s`` is where it
            starts; without one, it starts at 0.
        start_s: Unix time.
    """
    before = [value for at_s, value in points if at_s <= start_s]
    values = [before[-1] if before else 0.0, *(value for at_s, value in points if at_s > start_s)]
    return sum(
        later - earlier if later >= earlier else later for earlier, later in pairwise(values)
    )


@dataclass(frozen=True, slots=True)
class BucketQuantile:
    """A quantile from cumulative buckets.

    Attributes:
        value: In the buckets' unit; None when nothing was counted.
        beyond: Whether it lies above the highest finite bound; ``value`` is that bound then.
    """

    value: float | None
    beyond: bool = False


def bucket_quantile(buckets: Mapping[float, float], ratio: float) -> BucketQuantile:
    """The ``ratio`` quantile, as ``histogram_quantile`` of Prometheus computes it.

    Linear interpolation within the bucket that holds the rank; the lowest bucket starts at 0; in
    the highest bucket, the answer is the highest finite bound.

    Args:
        buckets: Upper bound (``inf`` for the last) to cumulative count.
        ratio: From 0 to 1.
    """
    bounds = sorted(buckets)
    counts: list[float] = []
    for bound in bounds:  # Scrapes are not atomic; a later bucket may lag behind an earlier one.
        counts.append(max(buckets[bound], counts[-1] if counts else 0.0))
    if not bounds or not math.isinf(bounds[-1]) or counts[-1] <= 0:
        return BucketQuantile(None)
    rank = ratio * counts[-1]
    at = next(index for index, count in enumerate(counts) if count >= rank)
    if math.isinf(bounds[at]):
        finite = bounds[-2] if len(bounds) > 1 else None
        return BucketQuantile(finite, beyond=finite is not None)
    low, before = (bounds[at - 1], counts[at - 1]) if at else (0.0, 0.0)
    within = counts[at] - before
    share = (rank - before) / within if within > 0 else 1.0
    return BucketQuantile(low + (bounds[at] - low) * share)


def summed_buckets(grown: Iterable[tuple[Mapping[str, str], float]]) -> dict[float, float]:
    """Increases of bucket series, added up by their ``le``."""
    total: dict[float, float] = {}
    for labels, value in grown:
        bound = float(labels["le"])
        total[bound] = total.get(bound, 0.0) + value
    return total
