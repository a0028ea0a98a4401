"""Stepped profiles of users: flat noise of several kinds, and closed systems of known capacity."""

from __future__ import annotations

import math

import numpy as np

from runner.analysis.stageknee import StageFigures

PIECES = 10
"""Batches of each stage."""


def flat(rng: np.random.Generator, stages: int = 10) -> list[StageFigures]:
    """A system without a knee: its p95 wanders, jumps and drifts a little, but not with the load.

    The noise between stages is white, autocorrelated or has spikes; up to 25 %.
    """
    spread = float(rng.uniform(0.01, 0.25))
    kind = rng.choice(["white", "autocorrelated", "spikes"])
    noise = rng.normal(0, spread, stages)
    if kind == "autocorrelated":
        for at in range(1, stages):
            noise[at] = 0.7 * noise[at - 1] + math.sqrt(1 - 0.49) * noise[at]
    if kind == "spikes":
        noise += rng.exponential(0.4, stages) * (rng.random(stages) < 0.1)
    base_s = float(rng.uniform(0.005, 0.3))
    return [
        _stage(100.0 * (at + 1), 100.0 * (at + 1), base_s * math.exp(noise[at]), spread, rng)
        for at in range(stages)
    ]


def closed(
    rng: np.random.Generator, capacity_per_s: float, pause_s: float = 0.95, stages: int = 10
) -> list[StageFigures]:
    """100, 200, … users that pause between requests, on a system of known capacity.

    The asymptotes of a closed system (Denning and Buzen 1978): latency is the unloaded one, or
    ``users / capacity - pause``, whichever is more; 10 % of noise.
    """
    figures = []
    for at in range(stages):
        users = 100.0 * (at + 1)
        latency_s = max(0.05, users / capacity_per_s - pause_s)
        rate = users / (latency_s + pause_s)
        p95_s = 2.5 * latency_s * math.exp(rng.normal(0, 0.1))
        figures.append(_stage(users, rate, p95_s, 0.1, rng))
    return figures


def _stage(
    users: float, rate: float, p95_s: float, spread: float, rng: np.random.Generator
) -> StageFigures:
    pieces = p95_s * np.exp(rng.normal(0, spread, PIECES))
    requests = int(rng.poisson(rate * 240))
    failed = int(rng.binomial(requests, 0.0005))
    return StageFigures(
        users, requests, requests / 240, failed / requests, p95_s, tuple(pieces.tolist())
    )
