"""A mergeable latency histogram over microseconds with a bounded relative error.

Buckets are log-linear: every power of two is cut into ``2 ** SUB_BITS`` equal parts. Values below
``2 ** SUB_BITS`` microseconds are rounded to whole ones, and below ``FINE_BELOW_US`` to eighths. A
bucket's representative is its middle, so the relative error of any value, and of any quantile, is
below 0.8 % from 10 us on, and below 0.45 % from 1 ms on. The layout is HdrHistogram's (G. Tene),
without its fixed maximum, and with a finer start: the fine buckets have the numbers below 0. (The
numbers from 0 up to ``FINE_BELOW_US`` are whole microseconds; older records have them.)

Counts are a plain ``dict``; two histograms merge by adding counts. Imports next to nothing, because
it runs in the hot path of the load generator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, MutableMapping

SUB_BITS = 7
_SUB = 1 << SUB_BITS
FINE_BELOW_US = 64
FINE = 8
LOWEST_BUCKET = -FINE * FINE_BELOW_US
"""The bucket of 0 us."""

Counts = Mapping[int, int]
"""Bucket index to number of values."""


def bucket_of(value_us: float) -> int:
    """Index of the bucket that holds ``value_us`` (microseconds; negative values count as 0)."""
    if value_us < FINE_BELOW_US:
        fine = LOWEST_BUCKET + int(value_us * FINE + 0.5) if value_us > 0 else LOWEST_BUCKET
        return fine or FINE_BELOW_US
    value = int(value_us + 0.5)
    if value < _SUB:
        return value
    shift = value.bit_length() - SUB_BITS - 1
    return (shift << SUB_BITS) + (value >> shift)


def bucket_bounds_us(index: int) -> tuple[float, float]:
    """The half-open interval ``[low, high)`` of microseconds that bucket ``index`` holds."""
    if index < 0:
        middle = (index - LOWEST_BUCKET) / FINE
        return max(0.0, middle - 0.5 / FINE), middle + 0.5 / FINE
    if index < 2 * _SUB:
        return index - 0.5, index + 0.5
    shift = (index >> SUB_BITS) - 1
    low = (index - (shift << SUB_BITS)) << shift
    return low - 0.5, low + (1 << shift) - 0.5


def bucket_value_us(index: int) -> float:
    """The representative of bucket ``index``: exact where it holds one value, else its middle."""
    if index < 0:
        return (index - LOWEST_BUCKET) / FINE
    if index < 2 * _SUB:
        return float(index)
    shift = (index >> SUB_BITS) - 1
    low = (index - (shift << SUB_BITS)) << shift
    return low + (1 << shift) / 2


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
