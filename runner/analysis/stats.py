"""Statistics of latency histograms. Pure; the histogram itself is ``runner.model.histogram``."""

from __future__ import annotations

from runner.model.histogram import Counts, bucket_value_us, quantile_us

_US_PER_S = 1e6


def total(counts: Counts) -> int:
    """Number of values in ``counts``."""
    return sum(counts.values())


def statistic_s(counts: Counts, statistic: str) -> float | None:
    """A statistic of ``counts`` in seconds; None when nothing was counted.

    Args:
        counts: Histogram of microseconds.
        statistic: ``pNN`` (such as p95 or p99.9, nearest rank), ``avg``, ``min`` or ``max``. Each
            rests on the buckets' representatives, so it is within 0.4 % of the exact one.

    Raises:
        ValueError: When ``statistic`` is none of these.
    """
    if not counts:
        return None
    match statistic:
        case "min":
            value: float | None = bucket_value_us(min(counts))
        case "max":
            value = bucket_value_us(max(counts))
        case "avg":
            weighted = sum(bucket_value_us(index) * n for index, n in counts.items())
            value = weighted / total(counts)
        case _ if statistic.startswith("p"):
            value = quantile_us(counts, float(statistic[1:]) / 100)
        case _:
            raise ValueError(f"{statistic!r} is not pNN, avg, min or max")
    return None if value is None else value / _US_PER_S
