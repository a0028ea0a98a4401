"""Trials of the breaking-point search against servers whose truth is known, in virtual time.

A trial draws a server, bounds and settings from a wide range, lets the search ask for its steps,
and compares the answer with the truth. What real runs would take is counted in virtual seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from queue_model import Server, run_step, service_times, true_rate

from runner.analysis.breakpoint import BreakingPoint, Criteria, Search, SearchSettings

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


def run_trial(trial: Trial, rng: np.random.Generator) -> Result:
    """Drive one search to its end."""
    search = Search(trial.settings)
    virtual_s = 0.0
    while (step := search.next_step()) is not None:
        virtual_s += step.duration_s + PAUSE_S
        search.add(run_step(trial.server, step, rng, generator_max=trial.generator_max))
    return Result(trial, search.outcome(), search.steps_done, virtual_s)


def draw_server(rng: np.random.Generator, most_per_s: float = 1200.0) -> Server:
    """1 to 32 slots, 4 to 100 ms, capacity 20 to ``most_per_s``."""
    while True:
        slots = int(rng.choice([1, 2, 4, 8, 16, 32]))
        service_s = float(np.exp(rng.uniform(math.log(0.004), math.log(0.1))))
        if 20 <= slots / service_s <= most_per_s:
            break
    service = str(rng.choice(["exponential", "exponential", "lognormal"]))
    arrivals = str(rng.choice(["even", "random"]))
    return Server(slots, service_s, service, arrivals)  # type: ignore[arg-type]


def draw(kind: Kind, rng: np.random.Generator, most_per_s: float = 1200.0) -> Trial:
    """A trial of ``kind``."""
    server = draw_server(rng, most_per_s)
    quantile = float(rng.choice([0.95, 0.99]))
    match kind:
        case "latency":
            factor = float(rng.choice([1.3, 1.6, 2.0, 3.0, 5.0, 10.0]))
            bound_s = factor * idle_quantile(server.service, quantile) * server.service_s
            return _trial(kind, server, Criteria(bound_s, quantile), true_rate(server, quantile, bound_s), rng)
        case "capacity" | "generator":
            criteria = Criteria(None, 0.95)
            if kind == "capacity":
                return _trial(kind, server, criteria, server.capacity_per_s, rng)
            limit = server.capacity_per_s * float(rng.uniform(0.2, 0.9))
            trial = _trial(kind, server, criteria, server.capacity_per_s, rng)
            return Trial(kind, server, trial.settings, trial.truth_per_s, limit)
        case "errors":
            allowed = float(rng.choice([0.001, 0.01, 0.05]))
            start_of_errors = server.capacity_per_s * float(rng.uniform(0.3, 0.8))
            failing = Server(
                server.slots, server.service_s, server.service, server.arrivals,
                fails_above=start_of_errors,
            )
            truth = start_of_errors / (1 - allowed)
            return _trial(kind, failing, Criteria(None, 0.95, allowed), truth, rng)
        case "none":
            endless = Server(0, server.service_s, server.service, server.arrivals, error_ratio=0.0005)
            bound_s = float(rng.uniform(1.3, 5.0)) * server.service_s
            bound_s *= idle_quantile(server.service, quantile)
            bound = bound_s if rng.random() < 0.7 else None
            top = float(rng.uniform(100, 1000))
            settings = SearchSettings(top / float(rng.uniform(4, 20)), top, Criteria(bound, quantile))
            return Trial(kind, endless, settings, math.inf)
        case "early":
            bound_s = 2 * idle_quantile(server.service, quantile) * server.service_s
            truth = true_rate(server, quantile, bound_s)
            start = truth * float(rng.uniform(1.1, 3.0))
            return Trial(kind, server, SearchSettings(start, 10 * start, Criteria(bound_s, quantile)), truth)


def _trial(
    kind: Kind, server: Server, criteria: Criteria, truth: float, rng: np.random.Generator
) -> Trial:
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
