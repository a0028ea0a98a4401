"""Was every scrape target that matters scraped through the whole run? Pure, over ``up``.

A target that is gone for good (a killed pod's) is no gap; one that comes back is, and so is one
that is down to the end, and a time in which nothing at all was scraped. A single failed scrape
is bridged by the next one; a gap is more than three intervals without a good one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

from runner.signals.client import Sampled

MISSED_SCRAPES = 3
_SLACK = 0.5


def interval_of(series: Iterable[Sampled]) -> float | None:
    """Seconds between two scrapes: the median over all targets; None when it cannot be told."""
    steps = [
        later - earlier
        for one in series
        for (earlier, _), (later, _) in pairwise(one.points)
        if later > earlier
    ]
    return median(steps) if steps else None


def scrape_gaps(
    series: Sequence[Sampled], start_s: float, end_s: float, zero_s: float, interval_s: float
) -> tuple[str, ...]:
    """A sentence for each gap.

    Args:
        series: Raw samples of ``up``, one series per target.
        start_s: Unix time at which the run began.
        end_s: Unix time at which the view ends.
        zero_s: Unix time of offset 0, for the sentences.
        interval_s: Seconds between two scrapes.
    """
    allowed_s = (MISSED_SCRAPES + _SLACK) * interval_s
    if not series:
        return ("Prometheus has scraped nothing that tells about this target",)
    everything = sorted({at_s for one in series for at_s, _ in one.points})
    silent = [
        f"Prometheus scraped nothing at all {_span(low, high, zero_s)}"
        for low, high in _holes(everything, start_s, end_s, allowed_s)
    ]
    if silent:
        return tuple(silent)
    sentences = []
    for one in series:
        name = _name(one)
        scraped = [at_s for at_s, _ in one.points]
        good = [at_s for at_s, value in one.points if value == 1]
        # It lives from its first scrape on; the last one is its end if nobody scrapes it any more.
        first_s = start_s if scraped[0] <= start_s + allowed_s else scraped[0]
        last_s = end_s if scraped[-1] >= end_s - allowed_s else good[-1] if good else scraped[-1]
        sentences += [
            f"{name} was not scraped {_span(low, high, zero_s)}"
            for low, high in _holes(good, first_s, last_s, allowed_s)
        ]
    return tuple(sentences)


def _holes(
    times: Sequence[float], start_s: float, end_s: float, allowed_s: float
) -> list[tuple[float, float]]:
    within = [at_s for at_s in times if start_s <= at_s <= end_s]
    before = [at_s for at_s in times if at_s < start_s]
    edges = [before[-1] if before else start_s, *within, end_s]
    return [(max(low, start_s), high) for low, high in pairwise(edges) if high - low > allowed_s]


def _name(one: Sampled) -> str:
    job, instance = one.labels.get("job", ""), one.labels.get("instance", "")
    return (
        f"The scrape target {instance or 'unknown'} ({job})"
        if job
        else f"The scrape target {instance}"
    )


def _span(low_s: float, high_s: float, zero_s: float) -> str:
    return f"for {high_s - low_s:.0f} s, from {max(0.0, low_s - zero_s):.0f} s after the start on"
