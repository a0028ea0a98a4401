"""The Universal Scalability Law, fitted to throughput at several loads. Pure; an explanation only.

``X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1))`` (Gunther, Guerrilla Capacity Planning,
2007): ``gamma`` is the throughput of one, ``alpha`` what must be done one after the other, ``beta``
what each must agree on with each. Beyond ``sqrt((1 - alpha) / beta)`` throughput falls. No
breaking point is decided by this curve, because it fits almost everything more or less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.analysis.confidence import t_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_POINTS = 5
"""Three parameters and two points to contradict them."""

NOTHING = 1e-9
"""A penalty that adds less than this at the highest load is none."""

_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """A parameter and its two-sided 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class UslFit:
    """The fitted law.

    Attributes:
        gamma: Throughput per second of one user, or of one request in flight.
        alpha: Contention, 0 to 1.
        beta: Coherency; 0 or more.
        peak_load: Load of the highest throughput; None when throughput does not fall (the interval
            of ``beta`` holds 0).
        peak_per_s: Throughput there; without a peak, the limit ``gamma / alpha``, or None.
        fit_ratio: Share of the variance that the curve explains (R squared).
    """

    gamma: Estimate
    alpha: Estimate
    beta: Estimate
    peak_load: float | None
    peak_per_s: float | None
    fit_ratio: float

    def throughput(self, load: float) -> float:
        """Throughput per second that the law predicts at ``load``."""
        return usl(load, self.gamma.value, self.alpha.value, self.beta.value)


def usl(load: float, gamma: float, alpha: float, beta: float) -> float:
    """Throughput after the Universal Scalability Law."""
    return gamma * load / (1 + alpha * (load - 1) + beta * load * (load - 1))


def fit_usl(points: Sequence[tuple[float, float]]) -> UslFit | None:
    """Fit the law by non-linear least squares.

    Args:
        points: Load (users, or mean requests in flight: throughput times mean latency) and
            throughput per second.

    Returns:
        The fit; None for fewer than five different loads or a spread of less than a factor of 2,
        which determine nothing. A parameter that would be negative is held at 0.
    """
    import numpy as np

    known = [(load, rate) for load, rate in points if load > 0 and rate > 0]
    loads = np.array([load for load, _ in known], dtype=np.float64)
    rates = np.array([rate for _, rate in known], dtype=np.float64)
    if len(set(loads.tolist())) < LEAST_POINTS or loads.max() < 2 * loads.min():
        return None
    free = [0, 1, 2]
    while True:
        start = np.array([float(np.max(rates / loads)), 0.01, 1e-6])
        found = _least_squares(loads, rates, free, np.where(np.isin(range(3), free), start, 0.0))
        # What each adds at the highest load; the more negative one goes first.
        adds = {at: float(found[at] * loads.max() ** at) for at in free if at > 0}
        below = [at for at in adds if adds[at] < NOTHING]
        if not below:
            return _described(loads, rates, free, found)
        free.remove(min(below, key=adds.__getitem__))


def _curve(loads: Floats, parameters: Floats) -> tuple[Floats, Floats]:
    """Throughput, and its derivatives by gamma, alpha and beta as columns."""
    import numpy as np

    gamma, alpha, beta = parameters
    below = 1 + alpha * (loads - 1) + beta * loads * (loads - 1)
    rates = gamma * loads / below
    slopes = np.stack(
        [loads / below, -rates * (loads - 1) / below, -rates * loads * (loads - 1) / below], axis=1
    )
    return rates, slopes


def _least_squares(loads: Floats, rates: Floats, free: list[int], start: Floats) -> Floats:
    """Levenberg and Marquardt's method over the parameters ``free``."""
    import numpy as np

    best, damping = start.copy(), 1e-2
    predicted, slopes = _curve(loads, best)
    error = float(np.sum((rates - predicted) ** 2))
    for _ in range(_ROUNDS):
        wanted = slopes[:, free]
        normal = wanted.T @ wanted
        damped = normal + damping * np.diag(np.diag(normal) + 1e-30)
        move = np.linalg.lstsq(damped, wanted.T @ (rates - predicted), rcond=None)[0]
        trial = best.copy()
        trial[free] += move
        below = 1 + trial[1] * (loads - 1) + trial[2] * loads * (loads - 1)
        trial_error = math.inf
        if bool(np.all(below > 1e-9)):
            trial_error = float(np.sum((rates - _curve(loads, trial)[0]) ** 2))
        if trial_error < error:
            small = error - trial_error < 1e-14 * error
            best, error, damping = trial, trial_error, damping / 3
            predicted, slopes = _curve(loads, best)
            if small:
                break
        else:
            damping *= 4
            if damping > 1e12:
                break
    return best


def _described(loads: Floats, rates: Floats, free: list[int], found: Floats) -> UslFit:
    import numpy as np

    predicted, slopes = _curve(loads, found)
    left = float(np.sum((rates - predicted) ** 2))
    freedom = len(loads) - len(free)
    wanted = slopes[:, free]
    scale = np.sqrt(np.diag(wanted.T @ wanted)) + 1e-300
    inverse = np.linalg.pinv((wanted.T @ wanted) / np.outer(scale, scale)) / np.outer(scale, scale)
    errors = np.zeros(3)
    errors[free] = np.sqrt(np.maximum(0.0, np.diag(inverse)) * left / freedom)
    reach = t_quantile(0.975, freedom) * errors
    gamma, alpha, beta = (
        Estimate(float(value), float(value - margin), float(value + margin))
        for value, margin in zip(found, reach, strict=True)
    )
    peak_load = peak_per_s = None
    if beta.low > 0 and alpha.value < 1:
        peak_load = math.sqrt((1 - alpha.value) / beta.value)
        peak_per_s = usl(peak_load, gamma.value, alpha.value, beta.value)
    elif alpha.low > 0:
        peak_per_s = gamma.value / alpha.value
    total = float(np.sum((rates - rates.mean()) ** 2))
    fit_ratio = 1 - left / total if total else 0.0
    return UslFit(gamma, alpha, beta, peak_load, peak_per_s, fit_ratio)
