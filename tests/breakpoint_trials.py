"""Trials of the breaking-point search against servers whose truth is known, in virtual time.

A trial draws a server, bounds and settings from a wide range, lets the search ask for its steps,
and compares the answer with the truth. What real runs would take is counted in virtual seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from queue_model import QUANTILES, Server, run_step, service_times, true_rate

from runner.analysis.breakpoint import BreakingPoint, Criteria, Search, SearchSettings, StepResult

Kind = Literal["latency", "capacity", "errors", "none", "generator", "early"]

PAUSE_S = 1.0
"""Pause between two steps, in which the target becomes idle."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A server, what is searched for, and the truth.

    Attributes:
        truth_per_s: The breaking point; infinite when there is none in range.
        generator_max: The most that the generator can send.
    """

    kind: Kind
    server: Server
    settings: SearchSettings
    truth_per_s: float
    generator_max: float = math.inf


@dataclass(frozen=True, slots=True)
class Result:
    trial: Trial
    found: BreakingPoint
    steps: int
    virtual_s: float

    @property
    def right(self) -> bool:
        """Whether the answer is true; no answer is right only where none can be given."""
        trial, found = self.trial, self.found
        if trial.kind == "none":
            return found.reason == "none" and found.high_per_s is None
        if trial.kind == "generator":
            return found.reason == "generator-limited" and not found.answered
        return self.holds_truth

    @property
    def holds_truth(self) -> bool:
        found = self.found
        high = found.high_per_s
        return high is not None and found.low_per_s <= self.trial.truth_per_s <= high

    @property
    def width_ratio(self) -> float:
        """High / low - 1; infinite when an end is missing."""
        found = self.found
        if found.high_per_s is None or found.low_per_s <= 0:
            return math.inf
        return found.high_per_s / found.low_per_s - 1


def run_trial(
    trial: Trial,
    rng: np.random.Generator,
    change: Callable[[StepResult], StepResult] | None = None,
) -> Result:
    """Drive one search to its end; ``change`` is applied to what each step saw."""
    search = Search(trial.settings)
    virtual_s = 0.0
    while (step := search.next_step()) is not None:
        virtual_s += step.duration_s + PAUSE_S
        seen = run_step(trial.server, step, rng, generator_max=trial.generator_max)
        search.add(change(seen) if change else seen)
    return Result(trial, search.outcome(), search.steps_done, virtual_s)


def draw_server(rng: np.random.Generator, most_per_s: float, services: Sequence[str]) -> Server:
    """1 to 32 slots, 4 to 100 ms, capacity 20 to ``most_per_s``."""
    while True:
        slots = int(rng.choice([1, 2, 4, 8, 16, 32]))
        service_s = float(np.exp(rng.uniform(math.log(0.004), math.log(0.1))))
        if 20 <= slots / service_s <= most_per_s:
            break
    service = str(rng.choice(list(services)))
    arrivals = str(rng.choice(["even", "random"]))
    return Server(slots, service_s, service, arrivals)  # type: ignore[arg-type]


def draw(
    kind: Kind,
    rng: np.random.Generator,
    most_per_s: float,
    services: Sequence[str] = ("exponential", "exponential", "lognormal"),
) -> Trial:
    """A trial of ``kind`` with one of ``services``, each as likely as it is often named."""
    server = draw_server(rng, most_per_s, services)
    quantile = float(rng.choice(QUANTILES))
    idle_s = idle_quantile(server.service, quantile) * server.service_s
    match kind:
        case "latency":
            bound_s = idle_s * float(rng.choice([1.3, 1.6, 2.0, 3.0, 5.0, 10.0]))
            truth = true_rate(server, quantile, bound_s)
            return _around(kind, server, Criteria(bound_s, quantile), truth, rng)
        case "capacity":
            return _around(kind, server, Criteria(), server.capacity_per_s, rng)
        case "generator":
            limit = server.capacity_per_s * float(rng.uniform(0.2, 0.9))
            trial = _around(kind, server, Criteria(), server.capacity_per_s, rng)
            return replace(trial, generator_max=limit)
        case "errors":
            return _failing(server, rng)
        case "none":
            return _endless(server, Criteria(idle_s * float(rng.uniform(1.3, 5)), quantile), rng)
        case "early":
            truth = true_rate(server, quantile, 2 * idle_s)
            start = truth * float(rng.uniform(1.1, 3.0))
            settings = SearchSettings(start, 10 * start, Criteria(2 * idle_s, quantile))
            return Trial(kind, server, settings, truth)


def _failing(server: Server, rng: np.random.Generator) -> Trial:
    """Above a rate below its capacity, the server refuses the excess."""
    allowed = float(rng.choice([0.001, 0.01, 0.05]))
    most = server.capacity_per_s * float(rng.uniform(0.3, 0.8))
    criteria = Criteria(error_ratio=allowed)
    return _around("errors", replace(server, fails_above=most), criteria, most / (1 - allowed), rng)


def _endless(server: Server, criteria: Criteria, rng: np.random.Generator) -> Trial:
    """Slots without end: latency does not depend on the rate."""
    server = replace(server, slots=0, error_ratio=0.0005)
    if rng.random() < 0.3:
        criteria = Criteria()
    top = float(rng.uniform(100, 1000))
    return Trial("none", server, SearchSettings(top / rng.uniform(4, 20), top, criteria), math.inf)


def _around(
    kind: Kind, server: Server, criteria: Criteria, truth: float, rng: np.random.Generator
) -> Trial:
    """The search starts far below the truth, and may go on above it."""
    start = max(2.0, truth / float(rng.uniform(4, 40)))
    top = truth * float(rng.uniform(1.5, 10))
    return Trial(kind, server, SearchSettings(start, top, criteria), truth)


@lru_cache(maxsize=64)
def idle_quantile(service: str, quantile: float) -> float:
    """The quantile of service times with mean 1."""
    if service == "exponential":
        return -math.log(1 - quantile)
    unit = Server(0, 1.0, service)  # type: ignore[arg-type]
    return float(np.quantile(service_times(unit, 1_000_000, np.random.default_rng(3)), quantile))
