"""A mergeable latency histogram over integer microseconds with a bounded relative error.

Buckets are log-linear: every power of two is cut into ``2 ** SUB_BITS`` equal parts, and values
below ``2 ** SUB_BITS`` microseconds are exact. A bucket's representative is its middle, so the
relative error of any value, and of any quantile, is at most ``1 / 2 ** (SUB_BITS + 1)``: 0.4 %.
The layout is that of HdrHistogram (G. Tene), without its fixed maximum. Counts are a plain
``dict``; two histograms merge by adding counts. Imports next to nothing, because it runs in the
hot path of the load generator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, MutableMapping

SUB_BITS = 7
_SUB = 1 << SUB_BITS

Counts = Mapping[int, int]
"""Bucket index to number of values."""


def bucket_of(value_us: int) -> int:
    """Index of the bucket that holds ``value_us`` (microseconds; negative values count as 0)."""
    if value_us < _SUB:
        return value_us if value_us > 0 else 0
    shift = value_us.bit_length() - SUB_BITS - 1
    return (shift << SUB_BITS) + (value_us >> shift)


def bucket_bounds_us(index: int) -> tuple[int, int]:
    """The half-open interval ``[low, high)`` of microseconds that bucket ``index`` holds."""
    if index < 2 * _SUB:
        return index, index + 1
    shift = (index >> SUB_BITS) - 1
    low = (index - (shift << SUB_BITS)) << shift
    return low, low + (1 << shift)


def bucket_value_us(index: int) -> float:
    """The representative of bucket ``index``: exact where it holds one value, else its middle."""
    low, high = bucket_bounds_us(index)
    return float(low) if high - low == 1 else (low + high) / 2


def merge_into(total: MutableMapping[int, int], counts: Counts) -> None:
    """Add ``counts`` to ``total`` in place."""
    for index, count in counts.items():
        total[index] = total.get(index, 0) + count


def merged(histograms: Iterable[Counts]) -> dict[int, int]:
    """The sum of ``histograms``."""
    total: dict[int, int] = {}
    for counts in histograms:
        merge_into(total, counts)
    return total


def quantile_us(counts: Counts, ratio: float) -> float | None:
    """The ``ratio`` quantile in microseconds (nearest rank), or None when nothing was counted.

    Nearest rank: the smallest value such that at least ``ratio`` of all values are not above it
    (Hyndman and Fan 1996, definition 1).
    """
    total = sum(counts.values())
    if total == 0:
        return None
    # The tiny term keeps 0.07 * 100 = 7.000000000000001 at rank 7.
    rank = max(1, math.ceil(ratio * total - 1e-9))
    seen = 0
    for index in sorted(counts):
        seen += counts[index]
        if seen >= rank:
            return bucket_value_us(index)
    raise AssertionError("unreachable: the rank is at most the total")
