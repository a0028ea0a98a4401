"""How sure a mean of few, correlated values is: Student's t, batch means, ratio bounds. Pure.

Standard library only, because the search for a breaking point runs inside of the supervisor.
Values that follow each other in time are rarely independent; a caller first joins them to
batches that are long against their memory. What a figure means, and whether it is good, is not
known here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()


@lru_cache(maxsize=512)
def t_quantile(ratio: float, freedom: float) -> float:
    """The ``ratio`` quantile of Student's t with ``freedom`` degrees of freedom (at least 1).

    Bisection on the distribution function, which is a sum over the incomplete beta function's
    continued fraction; good to 1e-9.
    """
    if ratio < 0.5:
        return -t_quantile(1 - ratio, freedom)
    low, high = 0.0, 1e8
    for _ in range(120):
        middle = (low + high) / 2 if high < 1e3 else math.sqrt(max(low, 1e-3) * high)
        if _t_below(middle, freedom) < ratio:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_below(t: float, freedom: float) -> float:
    """P(T <= t) for t >= 0."""
    return 1 - 0.5 * incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function (DLMF 8.17.22, by Lentz's method)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    total = d
    for m in range(1, 300):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            total *= c * d
        if abs(c * d - 1) < 1e-13:
            break
    return front * total / a


def ratio_interval(hits: float, trials: float, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share, each side at one-sided ``confidence`` (Wilson 1927)."""
    if trials <= 0:
        return 0.0, 1.0
    z = _NORMAL.inv_cdf(confidence)
    share = hits / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def mean_margin(values: Sequence[float], confidence: float) -> float:
    """How far the true mean may lie to one side of the mean of independent ``values``.

    Student's t; infinite for fewer than two values.
    """
    number = len(values)
    if number < 2:
        return math.inf
    mean = sum(values) / number
    variance = sum((value - mean) ** 2 for value in values) / (number - 1)
    return t_quantile(confidence, number - 1) * math.sqrt(variance / number)


def share_margin(hits: Sequence[float], trials: Sequence[float], confidence: float) -> float:
    """How far a share may lie to one side of ``sum(hits) / sum(trials)``, over batches.

    The ratio estimator of survey sampling (Cochran 1977, 6.5): requests of one batch may depend on
    each other, batches do not. Infinite for fewer than two batches.
    """
    number, total = len(trials), sum(trials)
    if number < 2 or not total:
        return math.inf
    share = sum(hits) / total
    pairs = zip(hits, trials, strict=True)
    variance = sum((hit - share * trial) ** 2 for hit, trial in pairs) / (number - 1)
    return t_quantile(confidence, number - 1) * math.sqrt(number * variance) / total
