"""Queues of known capacity in virtual time: the oracle of the breaking-point search.

A server has ``slots`` that each work on one request at a time, first come first served, with a
mean service time; its capacity is ``slots / service_s``. Whatever the arrivals, the end of each
request follows from the recursion of Kiefer and Wolfowitz (1955; Lindley 1952 for one slot), so
minutes of real time cost milliseconds. The truth that a search must find is the rate at which the
stationary latency quantile crosses a bound: exact for exponential service and random arrivals
(Erlang C), from one very long simulation otherwise. No network and no clock.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runner.analysis.breakpoint import Step, StepResult, StepSecond
from runner.model.histogram import FINE_BELOW_US, LOWEST_BUCKET, SUB_BITS

Floats = NDArray[np.float64]
Arrivals = Literal["random", "even"]
Service = Literal["exponential", "lognormal", "constant"]

LOGNORMAL_CV = 1.5
"""Standard deviation over mean of lognormal service times."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server of known capacity.

    Attributes:
        slots: Requests served at the same time; 0 for no limit (no queue, so no knee).
        service_s: Mean service time.
        service: Distribution of service times.
        arrivals: ``random`` (Poisson) or ``even`` (an exact schedule).
        fails_above: Rate above which the excess is answered with errors; infinite for never.
        error_ratio: Share of requests that fails at any rate.
    """

    slots: int
    service_s: float
    service: Service = "exponential"
    arrivals: Arrivals = "random"
    fails_above: float = math.inf
    error_ratio: float = 0.0

    @property
    def capacity_per_s(self) -> float:
        return self.slots / self.service_s if self.slots else math.inf


def arrival_times(
    server: Server, rate: float, duration_s: float, rng: np.random.Generator
) -> Floats:
    """Offsets of arrivals in ``[0, duration_s)``."""
    if server.arrivals == "even":
        return np.arange(math.floor(rate * duration_s), dtype=np.float64) / rate
    number = rng.poisson(rate * duration_s)
    return np.sort(rng.random(number) * duration_s)


def service_times(server: Server, number: int, rng: np.random.Generator) -> Floats:
    mean_s = server.service_s
    match server.service:
        case "exponential":
            return rng.exponential(mean_s, number)
        case "constant":
            return np.full(number, mean_s)
        case "lognormal":
            variance = math.log(1 + LOGNORMAL_CV**2)
            return rng.lognormal(math.log(mean_s) - variance / 2, math.sqrt(variance), number)


def end_times(slots: int, arrivals: Floats, services: Floats) -> Floats:
    """When each request ends, on ``slots`` slots that start empty, first come first served."""
    if slots == 0:
        return arrivals + services
    if slots == 1:
        done = np.cumsum(services)
        return done + np.maximum.accumulate(arrivals - done + services)
    free = [0.0] * slots
    ends = []
    for arrival, service in zip(arrivals.tolist(), services.tolist(), strict=True):
        end = max(arrival, free[0]) + service
        heapq.heapreplace(free, end)
        ends.append(end)
    return np.array(ends)


def buckets_of(latencies_s: Floats) -> NDArray[np.int64]:
    """``runner.model.histogram.bucket_of`` over an array of seconds, in whole microseconds."""
    values = np.maximum(0, np.rint(latencies_s * 1e6)).astype(np.int64)
    _, exponents = np.frexp(values.astype(np.float64))
    shift = np.maximum(0, exponents.astype(np.int64) - SUB_BITS - 1)
    fine = LOWEST_BUCKET - LOWEST_BUCKET // FINE_BELOW_US * values
    return np.where(values < FINE_BELOW_US, fine, (shift << SUB_BITS) + (values >> shift))


def run_step(
    server: Server,
    step: Step,
    rng: np.random.Generator,
    *,
    generator_max: float = math.inf,
    drain_s: float = 10.0,
) -> StepResult:
    """What a search would see if it sent ``step`` to ``server``.

    Args:
        server: The server.
        step: Rate and length.
        rng: Source of all randomness.
        generator_max: The most that the generator can send per second; above, it says so.
        drain_s: How long requests are waited for after the step; later ones are never answered.
    """
    sent_rate = min(step.rate_per_s, generator_max)
    arrivals = arrival_times(server, sent_rate, step.duration_s, rng)
    ends = end_times(server.slots, arrivals, service_times(server, len(arrivals), rng))
    refused = max(0.0, 1 - server.fails_above / sent_rate)
    failed = rng.random(len(arrivals)) < refused + (1 - refused) * server.error_ratio
    seconds = tuple(_seconds(arrivals, ends, failed, step.duration_s, drain_s))
    healthy = step.rate_per_s <= generator_max
    return StepResult(
        rate_per_s=step.rate_per_s,
        seconds=seconds,
        generator_problem="" if healthy else "the generator used more than 90 % of its core",
    )


def _seconds(
    arrivals: Floats, ends: Floats, failed: NDArray[np.bool_], duration_s: float, drain_s: float
) -> Iterator[StepSecond]:
    edges = np.arange(1, math.ceil(duration_s) + 1, dtype=np.float64)
    after = np.searchsorted(arrivals, edges)
    in_flight = after - np.searchsorted(np.sort(ends), edges)
    answered = ends <= duration_s + drain_s
    buckets = buckets_of(ends - arrivals)
    start = 0
    for stop, flying in zip(after.tolist(), in_flight.tolist(), strict=True):
        good = answered[start:stop] & ~failed[start:stop]
        values, counts = np.unique(buckets[start:stop][good], return_counts=True)
        yield StepSecond(
            offered=stop - start,
            failed=int(np.count_nonzero(failed[start:stop] & answered[start:stop])),
            latency_us=dict(zip(values.tolist(), counts.tolist(), strict=True)),
            in_flight=flying,
        )
        start = stop


# -- the truth -------------------------------------------------------------------------------------


def wait_of(server: Server, rate: float) -> tuple[float, float]:
    """P(wait > 0) and decay rate of the wait, for exponential service.

    Erlang C (1917) for random arrivals. For even arrivals, GI/M/c: the wait is exponential with
    rate ``slots * mu * (1 - root)``, where ``root = exp(-slots * mu * (1 - root) / rate)``, and its
    weight is that of Takacs (1962; Gross and Harris, Fundamentals of Queueing Theory, GI/M/c).
    """
    slots, mu = server.slots, 1 / server.service_s
    if server.arrivals == "random":
        return erlang_c(slots, rate / mu), slots * mu - rate
    root = 0.0
    for _ in range(100_000):
        before, root = root, math.exp(-slots * mu * (1 - root) / rate)
        if abs(root - before) < 1e-14:
            break
    total, product = 1 / (1 - root), 1.0
    for n in range(1, slots + 1):
        falls = math.exp(-n * mu / rate)
        product *= falls / (1 - falls)
        ratio = (slots * (1 - falls) - n) / (slots * (1 - root) - n)
        total += math.comb(slots, n) / (product * (1 - falls)) * ratio
    return 1 / total / (1 - root), slots * mu * (1 - root)


def erlang_c(slots: int, load: float) -> float:
    """Probability of having to wait in M/M/c with ``load`` Erlang."""
    blocked = 1.0
    for n in range(1, slots + 1):
        blocked = load * blocked / (n + load * blocked)
    ratio = load / slots
    return blocked / (1 - ratio * (1 - blocked))


def exact_tail(server: Server, rate: float, latency_s: float) -> float:
    """P(latency > ``latency_s``) of the stationary queue, for exponential service."""
    mu = 1 / server.service_s
    weight, theta = wait_of(server, rate)
    own = math.exp(-mu * latency_s)
    if abs(theta - mu) < 1e-9 * mu:
        return own * (1 + weight * mu * latency_s)
    joint = (theta * own - mu * math.exp(-theta * latency_s)) / (theta - mu)
    return (1 - weight) * own + weight * joint


LOADS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)
"""Load ratios of the simulated curve."""

QUANTILES = (0.95, 0.99)


@lru_cache(maxsize=64)
def simulated_curve(unit: Server, number: int = 300_000) -> dict[float, Floats]:
    """Quantile to the latencies at :data:`LOADS`, each from one long simulation, seed fixed.

    The same random numbers serve all loads, so that the curve is smooth.
    """
    rng = np.random.default_rng(7)
    gaps = rng.exponential(1.0, number) if unit.arrivals == "random" else np.ones(number)
    services = service_times(unit, number, rng)
    rows = []
    for load in LOADS:
        arrivals = np.cumsum(gaps) / (load * unit.slots)
        latencies = end_times(unit.slots, arrivals, services) - arrivals
        rows.append(np.quantile(latencies[number // 20 :], QUANTILES))
    return {quantile: np.array(rows)[:, at] for at, quantile in enumerate(QUANTILES)}


def true_rate(server: Server, quantile: float, bound_s: float) -> float:
    """The rate at which the stationary ``quantile`` of latency reaches ``bound_s``."""
    unit, bound = replace(server, service_s=1.0), bound_s / server.service_s
    if server.service == "exponential":
        load = _exact_load(unit, quantile, bound)
    else:
        curve = np.maximum.accumulate(simulated_curve(unit)[quantile])
        load = float(np.interp(math.log(bound), np.log(curve), LOADS))
    return load * server.capacity_per_s


def _exact_load(unit: Server, quantile: float, bound: float) -> float:
    low, high = 0.02, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if exact_tail(unit, middle * unit.slots, bound) > 1 - quantile:
            high = middle
        else:
            low = middle
    return (low + high) / 2
