"""Student's t, Wilson's interval and batch means against published values and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runner.analysis.confidence import mean_margin, ratio_interval, share_margin, t_quantile


@pytest.mark.parametrize(
    ("ratio", "freedom", "expected"),
    [
        (0.975, 1, 12.7062),
        (0.975, 4, 2.7764),
        (0.995, 9, 3.2498),
        (0.95, 30, 1.6973),
        (0.99, 1000, 2.3301),
    ],
)
def test_quantiles_of_students_t(ratio: float, freedom: int, expected: float) -> None:
    """Against the printed table (Fisher and Yates), on both sides of zero."""
    assert t_quantile(ratio, freedom) == pytest.approx(expected, abs=6e-5)
    assert t_quantile(1 - ratio, freedom) == pytest.approx(-expected, abs=6e-5)


def test_wilsons_interval() -> None:
    """Against the textbook example of 2 in 10, and at the edges where Wald's has no width."""
    low, high = ratio_interval(2, 10, 0.975)
    assert low == pytest.approx(0.0567, abs=1e-4)
    assert high == pytest.approx(0.5098, abs=1e-4)
    assert ratio_interval(0, 380, 0.975)[0] == 0.0
    assert ratio_interval(0, 380, 0.975)[1] == pytest.approx(0.0100, abs=1e-4)
    assert ratio_interval(0, 0, 0.975) == (0.0, 1.0)


def test_mean_margin_covers_the_mean() -> None:
    """The one-sided bound at 95 % misses the true mean in 5 % of 4000 samples of six."""
    rng = np.random.default_rng(4)
    samples = rng.normal(3.0, 2.0, (4000, 6)).tolist()
    missed = sum(sum(s) / 6 + mean_margin(s, 0.95) < 3.0 for s in samples)
    assert 0.04 < missed / 4000 < 0.06
    assert mean_margin([1.0], 0.95) == math.inf


def test_share_margin_knows_that_hits_come_in_clusters() -> None:
    """Equal shares have no margin; the same hits in one of five batches have a large one."""
    trials = [100] * 5
    assert share_margin([4] * 5, trials, 0.95) == 0.0
    # Standard error by hand: residuals 16, -4, -4, -4, -4 around a share of 0.04.
    variance = (16**2 + 4 * 4**2) / 4
    expected = t_quantile(0.95, 4) * math.sqrt(5 * variance) / 500
    assert share_margin([20, 0, 0, 0, 0], trials, 0.95) == pytest.approx(expected)
    assert expected > 0.04
    assert share_margin([1], [10], 0.95) == math.inf
