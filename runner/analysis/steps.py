"""The steps of a search for the breaking point: what to do, and what was seen. Data and sums.

A step offers one constant arrival rate to a target that was idle before. A request belongs to the
second in which it was *meant* to start, and its latency counts from there, so that a target that
stalls cannot hide behind requests that were sent late. Nothing is judged here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from runner.analysis.stats import statistic_s
from runner.model.histogram import Counts, bucket_value_us, merged, quantile_us

US_PER_S = 1e6


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a rate must do in order to hold.

    Attributes:
        latency_s: Bound of the latency quantile; None for no bound.
        quantile: Which quantile, as a ratio.
        error_ratio: Highest share of failed requests; None for no bound.
        achieved_ratio: Least share of the offered requests that must come back in time.
    """

    latency_s: float | None = None
    quantile: float = 0.99
    error_ratio: float | None = 0.01
    achieved_ratio: float = 0.99

    def __post_init__(self) -> None:
        if self.latency_s is not None and not 0 < self.latency_s < math.inf:
            raise ValueError(f"the latency bound {self.latency_s} is not a time above zero")
        if not 0 < self.quantile < 1:
            raise ValueError(f"the quantile {self.quantile} is not between 0 and 1")
        if self.error_ratio is not None and not 0 <= self.error_ratio < 1:
            raise ValueError(f"the error ratio {self.error_ratio} is not from 0 to below 1")
        if not 0 < self.achieved_ratio < 1:
            raise ValueError(f"the achieved ratio {self.achieved_ratio} is not between 0 and 1")


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How to search.

    Attributes:
        start_rate: First rate, per second; far below the expected breaking point, because what the
            target does there counts as idle.
        max_rate: Last rate.
        criteria: What a rate must do in order to hold.
        growth: Factor from one rate to the next while all is well.
        tolerance_ratio: The interval is narrow enough when high / low is at most 1 + this.
        step_s: Length of a step, its transient included.
        transient_s: Start of each step that does not count.
        repeats: Steps that it takes for a rate to count as an end of the interval.
        max_repeats: Steps after which a rate that nobody can tell is left alone.
        max_steps: Steps in all.
    """

    start_rate: float
    max_rate: float
    criteria: Criteria = field(default_factory=Criteria)
    growth: float = 2.0
    tolerance_ratio: float = 0.15
    step_s: float = 20.0
    transient_s: float = 5.0
    repeats: int = 2
    max_repeats: int = 4
    max_steps: int = 34

    def __post_init__(self) -> None:
        if not 0 < self.start_rate < self.max_rate < math.inf:
            raise ValueError(
                f"the rates {self.start_rate} to {self.max_rate} do not rise from above 0"
            )
        if not self.growth > 1 or not self.tolerance_ratio > 0:
            raise ValueError("growth must be above 1 and the tolerance above 0")
        if not 0 <= self.transient_s <= self.step_s - 6:
            raise ValueError("a step must last at least 6 s longer than its transient")
        if not 1 <= self.repeats <= self.max_repeats <= self.max_steps:
            raise ValueError("repeats, max_repeats and max_steps must rise from at least 1")

    @property
    def longest_s(self) -> float:
        """Seconds that the search takes at most, without the pauses between its steps."""
        return self.max_steps * self.step_s


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next: offer a constant rate to an idle target.

    Attributes:
        number: From 1.
        repeat: How often this rate has been tried, this time included.
        why: A few words for the one who watches.
    """

    rate_per_s: float
    duration_s: float
    number: int = 1
    repeat: int = 1
    why: str = ""


@dataclass(frozen=True, slots=True)
class StepSecond:
    """Requests whose intended start lies in one second.

    Attributes:
        offered: How many there were, whether or not they could be sent.
        failed: Of those, how many ended with an error.
        latency_us: Histogram of the successful ones, from the intended start to the end.
        in_flight: Requests that were under way at the end of this second; None when nobody counted.
    """

    offered: int
    failed: int
    latency_us: Counts
    in_flight: int | None = None

    @property
    def succeeded(self) -> int:
        return sum(self.latency_us.values())

    @property
    def missing(self) -> int:
        """Requests that were dropped, or never answered: slower than any bound."""
        return max(0, self.offered - self.failed - self.succeeded)


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step as it was seen.

    Attributes:
        rate_per_s: Arrival rate that was asked for.
        seconds: The whole step, its transient included.
        dropped: Requests that were not sent, because too many were in flight.
        generator_problem: Why the generator, not the target, was the limit; empty when it was not.
    """

    rate_per_s: float
    seconds: tuple[StepSecond, ...]
    dropped: int = 0
    generator_problem: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """A few seconds of a step as one value.

    Attributes:
        offered: Requests that were due.
        failed: Of those, how many failed.
        over_bound: Of those that did not fail, how many were slower than the bound, or missing.
        quantile_s: The latency quantile; infinite where it falls among the missing.
    """

    offered: int
    failed: int
    over_bound: int
    quantile_s: float


@dataclass(frozen=True, slots=True)
class Pooled:
    """All steps at one rate, without their transients.

    Attributes:
        rate_per_s: The arrival rate.
        steps: How many steps there were.
        length_s: Seconds that count.
        offered: Requests that were due in them.
        failed: Of those, how many failed.
        missing: Of those, how many were dropped or never answered.
        dropped_ratio: Share of all due requests, transients included, that was not sent.
        latency_us: Histogram of the successful ones.
        mean_s: Their mean latency; None when there are none.
        batches: A few seconds each, in order of time, step after step.
        backlog: Growth of the requests in flight, second by second.
    """

    rate_per_s: float
    steps: int
    length_s: float
    offered: int
    failed: int
    missing: int
    dropped_ratio: float
    latency_us: Counts
    mean_s: float | None
    batches: tuple[Batch, ...] = field(repr=False)
    backlog: tuple[int, ...] = field(repr=False)

    @property
    def error_ratio(self) -> float:
        return self.failed / self.offered if self.offered else 0.0

    @property
    def achieved_ratio(self) -> float:
        """Share of the offered requests for which one came back in the same time."""
        if not self.offered:
            return 0.0
        lost = self.missing + max(0, sum(self.backlog) - self.missing)
        return max(0.0, 1 - lost / self.offered)

    def quantile_s(self, ratio: float) -> float | None:
        """Latency quantile; infinite where it falls among the missing, None without requests."""
        return _quantile_s(self.latency_us, self.missing, ratio)


BATCH_S = 3
"""Length of a batch. Fluctuations that are shorter than this average out within one."""


def pool(results: Sequence[StepResult], transient_s: float, criteria: Criteria) -> Pooled:
    """Put the steps at one rate together.

    Raises:
        ValueError: When there are none, or their rates differ.
    """
    if len({result.rate_per_s for result in results}) != 1:
        raise ValueError("the steps that are put together must be of one rate")
    skip = math.ceil(transient_s)
    batches: list[Batch] = []
    backlog: list[int] = []
    counted: list[StepSecond] = []
    for result in results:
        kept = result.seconds[skip:]
        counted += kept
        batches += _batches(kept, criteria)
        backlog += _growth(in_flight(result.seconds)[max(0, skip - 1) :])
    due = sum(second.offered for result in results for second in result.seconds)
    latency_us = merged(second.latency_us for second in counted)
    return Pooled(
        rate_per_s=results[0].rate_per_s,
        steps=len(results),
        length_s=float(len(counted)),
        offered=sum(second.offered for second in counted),
        failed=sum(second.failed for second in counted),
        missing=sum(second.missing for second in counted),
        dropped_ratio=sum(result.dropped for result in results) / due if due else 0.0,
        latency_us=latency_us,
        mean_s=statistic_s(latency_us, "avg"),
        batches=tuple(batches),
        backlog=tuple(backlog),
    )


def in_flight(seconds: Sequence[StepSecond]) -> list[int]:
    """Requests under way at the end of each second.

    Where nobody counted, they are worked out from the latencies, with starts spread evenly over
    their second; a request that failed counts as ended, one that is missing never ends.
    """
    if all(second.in_flight is not None for second in seconds):
        return [second.in_flight or 0 for second in seconds]
    total = [0.0] * len(seconds)
    for start, second in enumerate(seconds):
        latencies_s = [(bucket_value_us(i) / US_PER_S, n) for i, n in second.latency_us.items()]
        for edge in range(start, len(seconds)):
            # Of the starts in one second, those count that are not older than the latency.
            whole = edge - start
            running = sum(n * min(1.0, max(0.0, s - whole)) for s, n in latencies_s)
            total[edge] += running + second.missing
            if not running and not second.missing:
                break
    return [round(level) for level in total]


def _growth(levels: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise(levels)]


def _batches(seconds: Sequence[StepSecond], criteria: Criteria) -> list[Batch]:
    whole = len(seconds) // BATCH_S * BATCH_S
    groups = [seconds[at : at + BATCH_S] for at in range(0, whole, BATCH_S)]
    if whole < len(seconds) and groups:
        groups[-1] = [*groups[-1], *seconds[whole:]]
    return [_batch(group, criteria) for group in groups if any(s.offered for s in group)]


def _batch(seconds: Iterable[StepSecond], criteria: Criteria) -> Batch:
    group = tuple(seconds)
    counts = merged(second.latency_us for second in group)
    missing = sum(second.missing for second in group)
    bound_us = math.inf if criteria.latency_s is None else criteria.latency_s * US_PER_S
    slow = sum(n for index, n in counts.items() if bucket_value_us(index) > bound_us)
    quantile_s = _quantile_s(counts, missing, criteria.quantile)
    return Batch(
        offered=sum(second.offered for second in group),
        failed=sum(second.failed for second in group),
        over_bound=slow + missing,
        quantile_s=0.0 if quantile_s is None else quantile_s,
    )


def _quantile_s(counts: Counts, missing: int, ratio: float) -> float | None:
    """Nearest rank, with ``missing`` values above all others."""
    total = sum(counts.values())
    if not total + missing:
        return None
    rank = max(1, math.ceil(ratio * (total + missing) - 1e-9))
    if rank > total:
        return math.inf
    value_us = quantile_us(counts, rank / total)
    return None if value_us is None else value_us / US_PER_S
