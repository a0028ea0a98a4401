"""How often the search for the breaking point is right, against queues of known capacity.

    python benchmarks/bench_breakpoint.py [--trials 200] [--seed 1] [--kind latency ...]

Everything runs in virtual time (tests/queue_model.py), so a search of minutes takes a fraction of
a second. Servers have 1 to 32 slots and a capacity of 20 to 600/s; service times are exponential or
lognormal (standard deviation 1.5 times the mean); arrivals follow an exact schedule or are random;
the bound is 1.3 to 10 times the idle quantile (p95 or p99). What is right:

    latency    the interval holds the rate at which the stationary quantile crosses the bound
    capacity   without a latency bound: the interval holds slots / service time
    uncounted  as latency, but nobody counted the requests in flight
    errors     the server refuses what is above a rate: the interval holds that rate
    early      the first rate is too much already: the interval reaches from 0 to it
    none       slots without end: "no breaking point up to ..."
    generator  the generator gives in before the server: no answer

It also repeats the simulation behind the constant of ``runner/analysis/ratejudge.py``, and judges
stepped profiles of users: flat noise, and closed systems of known capacity.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from breakpoint_trials import Kind, Result, draw, run_trial
from stage_profiles import closed, flat

from runner.analysis.breakpoint import StepResult
from runner.analysis.confidence import ratio_interval
from runner.analysis.ratejudge import CALM_A
from runner.analysis.stageknee import find_knee_in_stages

MOST_PER_S = 600.0
KINDS: dict[str, Kind] = {
    "latency": "latency",
    "capacity": "capacity",
    "uncounted": "latency",
    "errors": "errors",
    "early": "early",
    "none": "none",
    "generator": "generator",
}


def uncounted(result: StepResult) -> StepResult:
    seconds = tuple(replace(second, in_flight=None) for second in result.seconds)
    return replace(result, seconds=seconds)


def trials(name: str, number: int, seed: int, verbose: bool) -> list[Result]:
    found = []
    for at in range(number):
        rng = np.random.default_rng([seed, list(KINDS).index(name), at])
        trial = draw(KINDS[name], rng, MOST_PER_S)
        change: Callable[[StepResult], StepResult] | None = None
        if name == "uncounted":
            change = uncounted
        result = run_trial(trial, rng, change)
        found.append(result)
        if verbose and not result.right:
            print(f"    wrong: trial {at}, {trial.server}, truth {trial.truth_per_s:.4g}/s")
            print(f"           {result.found.sentence}")
    return found


def report(name: str, results: Sequence[Result]) -> None:
    number, right = len(results), sum(result.right for result in results)
    low, high = ratio_interval(right, number, 0.975)
    widths = sorted(result.width_ratio for result in results)
    answered = name in ("latency", "capacity", "uncounted", "errors")
    width = "        -        "
    if answered:
        width = " ".join(f"{100 * quantile_of(widths, p):5.0f}" for p in (0.5, 0.75, 0.9))
    minutes = [result.virtual_s / 60 for result in results]
    steps = sum(result.steps for result in results) / number
    print(
        f"{name:10} {right:4}/{number:<4} {100 * low:5.1f} - {100 * high:5.1f} %   {width}   "
        f"{steps:5.1f}   {sum(minutes) / number:5.1f} {max(minutes):5.1f}"
    )


def quantile_of(ordered: Sequence[float], ratio: float) -> float:
    return ordered[min(len(ordered) - 1, int(ratio * len(ordered)))]


def calm_constants(rng: np.random.Generator) -> None:
    """The 1 % quantile of the mean of reflected Brownian motion, as the ``A`` of the formula.

    Drift -1, variance 1, so the stationary mean is 1/2 and the relaxation time 1. Each path starts
    empty and leaves out its first quarter. Between two samples the lowest point of the Brownian
    bridge is drawn exactly, so the reflection has no error of discretisation.
    """
    print("\nreflected Brownian motion: A at 1 % for windows of x relaxation times")
    print("       x   1 step  2 steps  4 steps")
    for x in (0.0625, 0.25, 1.0, 4.0, 16.0, 64.0, 256.0):
        means = brownian_means(x, 8000, rng) / 0.5
        row = []
        for steps in (1, 2, 4):
            joined = means[: len(means) // steps * steps].reshape(-1, steps).mean(axis=1)
            low = float(np.quantile(joined, 0.01))
            row.append((1 / low - 1) * math.sqrt(x * steps))
        print(f"{x:8.4g}   " + "   ".join(f"{a:6.2f}" for a in row))
    print(f"   ratejudge.CALM_A = {CALM_A}")


def brownian_means(x: float, paths: int, rng: np.random.Generator) -> np.ndarray:
    parts = max(200, min(4000, int(x / 0.02)))
    step = x * 4 / 3 / parts
    level, total, counted = np.zeros(paths), np.zeros(paths), 0
    for at in range(parts):
        move = rng.normal(-step, math.sqrt(step), paths)
        lowest = (move - np.sqrt(move * move - 2 * step * np.log(rng.random(paths)))) / 2
        level = np.maximum(level + move, move - lowest)
        if at >= parts // 4:
            total += level
            counted += 1
    return total / counted


def stage_profiles(seed: int) -> None:
    print("\nstepped profiles of users, 1000 each")
    reasons = Counter(
        find_knee_in_stages(flat(np.random.default_rng([seed, 1, at]))).reason for at in range(1000)
    )
    print(f"    flat noise of up to 25 %: {dict(reasons)}")
    right, answers = 0, Counter[str]()
    for at in range(1000):
        rng = np.random.default_rng([seed, 2, at])
        capacity = float(rng.uniform(120, 930))
        knee = find_knee_in_stages(closed(rng, capacity))
        answers[knee.reason] += 1
        # Latency doubles at 1.05 times the capacity; noise of 10 % moves that by less than 3 %.
        doubles = 1.05 * capacity
        top = knee.high_users
        right += top is not None and knee.low_users / 1.03 <= doubles <= top * 1.03
    print(f"    closed systems: {dict(answers)}; {right} intervals hold the truth")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--verbose", action="store_true", help="show each wrong answer")
    options = parser.parse_args()
    began = time.monotonic()
    print("kind        right     95 % interval    width % p50 75 90   steps   minutes mean max")
    for name in options.kind:
        report(name, trials(name, options.trials, options.seed, options.verbose))
    calm_constants(np.random.default_rng(options.seed))
    stage_profiles(options.seed)
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
