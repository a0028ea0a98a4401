"""The fit of the Universal Scalability Law recovers what it was fed with, and owns up to noise."""

from __future__ import annotations

import numpy as np
import pytest

from runner.analysis.usl import fit_usl, usl

LOADS = (1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 48.0, 64.0)


def test_exact_points_give_back_their_parameters() -> None:
    """Nine points of a known law: all three parameters to 1e-5, and its peak."""
    fit = fit_usl([(load, usl(load, 100.0, 0.02, 0.0005)) for load in LOADS])
    assert fit is not None
    assert fit.gamma.value == pytest.approx(100.0, rel=1e-5)
    assert fit.alpha.value == pytest.approx(0.02, rel=1e-4)
    assert fit.beta.value == pytest.approx(0.0005, rel=1e-4)
    assert fit.peak_load == pytest.approx(44.2719, rel=1e-3)  # sqrt(0.98 / 0.0005)
    assert fit.peak_per_s == pytest.approx(usl(44.2719, 100.0, 0.02, 0.0005), rel=1e-4)
    assert fit.throughput(30.0) == pytest.approx(usl(30.0, 100.0, 0.02, 0.0005), rel=1e-4)
    assert fit.fit_ratio > 0.999999


def test_intervals_cover_the_truth() -> None:
    """With 2 % of noise on each point, the 95 % interval of beta holds it in 88 to 100 % of 150."""
    rng = np.random.default_rng(8)
    held = 0
    for _ in range(150):
        points = [(n, usl(n, 50.0, 0.05, 0.001) * (1 + rng.normal(0, 0.02))) for n in LOADS]
        fit = fit_usl(points)
        assert fit is not None
        held += fit.beta.low <= 0.001 <= fit.beta.high
    assert 132 <= held <= 150


def test_throughput_that_does_not_fall_has_no_peak() -> None:
    """Contention without coherency: beta is held at 0, and the limit is gamma / alpha."""
    fit = fit_usl([(load, usl(load, 10.0, 0.1, 0.0) * (1 + 1e-4 * (-1) ** i))
                   for i, load in enumerate(LOADS)])  # fmt: skip
    assert fit is not None
    assert fit.peak_load is None
    assert fit.peak_per_s == pytest.approx(100.0, rel=0.01)


def test_linear_growth_has_neither_peak_nor_limit() -> None:
    """Throughput in proportion to load: both penalties are 0."""
    fit = fit_usl([(load, 7.0 * load) for load in LOADS])
    assert fit is not None
    assert (fit.alpha.value, fit.beta.value) == (0.0, 0.0)
    assert fit.gamma.value == pytest.approx(7.0)
    assert (fit.peak_load, fit.peak_per_s) == (None, None)


@pytest.mark.parametrize(
    "points",
    [
        [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0)],
        [(10.0, 5.0)] * 9,
        [(10.0 + n, 5.0 + n) for n in range(9)],
        [(0.0, 0.0)] * 9,
    ],
)
def test_too_little_to_fit(points: list[tuple[float, float]]) -> None:
    """Four loads, one load, loads within a factor of 2, or none at all determine nothing."""
    assert fit_usl(points) is None
