"""Between which stages of a profile in users did latencies shoot up? Pure.

A curve of latency over load has no natural knee, and methods that look for one find it in noise
too. So a stage must first be *hot*: far from the calm stages before it, in absolute terms and in
units of their own scatter, or over a bound; and all later stages must be hot as well, because a
system that is past its limit does not come back under more load. The answer is the pair of stages
between which that begins. Stages are steps of users (a closed model), where latency and pauses
alone decide how much a user sends: less throughput at the same latency is the generator's doing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from runner.analysis.confidence import ratio_interval
from runner.analysis.profile import level_name
from runner.analysis.words import figure

KneeReason = Literal[
    "latency", "errors", "throughput-flat", "none", "unclear", "generator-limited", "no-data"
]

LATENCY_FACTOR = 2.0
"""Latency that has shot up is at least this multiple of that of the calm stages."""

SCATTER_FACTOR = 5.0
"""And this many times their scatter above it, on a logarithmic scale."""

LEAST_SCATTER = 0.05
UNKNOWN_SCATTER = 0.2
"""Standard deviation of the logarithm of a calm stage's latency: the least that is believed, and
what is taken when there is only one calm stage, without batches."""

CALM_STAGES = 3
"""The first so many stages say what calm is."""

LARGEST_LEFT_OUT = 1.3
"""What the root of a mean of 3 to 9 squares lacks without the largest one, for normal values."""

PER_USER_RATIO = 0.75
"""Throughput per user below this share of the calm stages' is flat."""

SLOWER_RATIO = 1.2
"""Latency that is not even this multiple of the calm stages' does not explain less throughput."""

LEAST_REQUESTS = 100
CONFIDENCE = 0.99


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage's plateau, without its ramp and its transient.

    Attributes:
        users: Users on the plateau; in the open model, arrivals per second.
        requests: Requests that were sent in it.
        rate_per_s: Requests per second.
        error_ratio: Share of them that failed.
        p95_s: 95th percentile of the latency of those that did not; None when all failed.
        batches_s: The same for equal pieces of the plateau; may be empty.
        generator_problem: Why the generator was the limit; empty when it was not.
        unit: What ``users`` counts: ``users`` or ``per_s``.
    """

    users: float
    requests: int
    rate_per_s: float
    error_ratio: float
    p95_s: float | None
    batches_s: tuple[float, ...] = ()
    generator_problem: str = ""
    unit: str = "users"

    @property
    def level(self) -> str:
        """Its load in words, such as ``500 users``."""
        return level_name(self.users, self.unit)


@dataclass(frozen=True, slots=True)
class StageKnee:
    """Where latencies shot up.

    Attributes:
        low_users: Last stage at which all was well; 0 when none was.
        high_users: First stage at which it was not; None when there is none.
        reason: Why; ``none`` for "no breaking point up to the last stage"; ``unclear`` (only the
            last stage was slow, and not very), ``generator-limited`` and ``no-data`` for "no
            answer".
        sentence: All of this in words.
    """

    low_users: float
    high_users: float | None
    reason: KneeReason
    sentence: str

    @property
    def answered(self) -> bool:
        return self.reason not in ("unclear", "generator-limited", "no-data")


@dataclass(frozen=True, slots=True)
class _Calm:
    p95_s: float
    per_user: float
    scatter: float


def find_knee_in_stages(
    stages: Sequence[StageFigures],
    *,
    latency_s: float | None = None,
    error_ratio: float = 0.01,
) -> StageKnee:
    """Find the stage from which on the system no longer coped.

    Args:
        stages: The profile; what follows its highest stage, such as a way down, is ignored.
        latency_s: Bound of the p95; None to look only for latencies that shoot up.
        error_ratio: Share of failed requests that is too much.
    """
    rising = _rising(stages)
    broken = next((at for at, s in enumerate(rising) if s.generator_problem), len(rising))
    clean = rising[:broken]
    empty = next((at for at, stage in enumerate(clean) if not _has_data(stage)), len(clean))
    clean = clean[:empty]
    for at in range(len(clean)):
        if all(_reason(clean, i, latency_s, error_ratio) for i in range(at, len(clean))):
            reason = _reason(clean, at, latency_s, error_ratio)
            if reason == "latency" and at == len(clean) - 1 and _maybe_luck(clean, latency_s):
                return _unclear(clean)
            if reason:
                return _knee(clean, at, reason, latency_s, error_ratio)
    return _nothing(rising, clean)


def _rising(stages: Sequence[StageFigures]) -> list[StageFigures]:
    rising: list[StageFigures] = []
    for stage in stages:
        if rising and stage.users <= rising[-1].users:
            break
        rising.append(stage)
    return rising


def _has_data(stage: StageFigures) -> bool:
    figures = (stage.users, stage.rate_per_s, stage.error_ratio, stage.p95_s or 0.0)
    known = stage.p95_s is not None or stage.error_ratio >= 1
    return stage.requests >= LEAST_REQUESTS and known and all(math.isfinite(x) for x in figures)


def _reason(
    stages: Sequence[StageFigures], at: int, latency_s: float | None, error_ratio: float
) -> KneeReason | None:
    """Why stage ``at`` is hot; None when it is calm."""
    stage = stages[at]
    failed = stage.error_ratio * stage.requests
    too_many = ratio_interval(failed, stage.requests, CONFIDENCE)[0] > error_ratio
    if stage.p95_s is None:
        return "errors" if too_many else None
    if latency_s is not None and stage.p95_s > latency_s:
        return "latency"
    calm = _calm(stages[:at])
    slower = 0.0 if calm is None else stage.p95_s / calm.p95_s
    if calm is not None and slower > _hot_factor(calm):
        return "latency"
    if too_many:
        return "errors"
    behind = calm is not None and stage.rate_per_s / stage.users < PER_USER_RATIO * calm.per_user
    if behind:
        return "throughput-flat" if slower >= SLOWER_RATIO else "generator-limited"
    return None


def _maybe_luck(stages: Sequence[StageFigures], latency_s: float | None) -> bool:
    """Nothing came after the last stage to confirm it, so it must be much slower to count."""
    calm, p95_s = _calm(stages[:-1]), stages[-1].p95_s
    if calm is None or p95_s is None or (latency_s is not None and p95_s > latency_s):
        return False
    return p95_s / calm.p95_s < _hot_factor(calm) ** 2


def _hot_factor(calm: _Calm) -> float:
    return max(LATENCY_FACTOR, math.exp(SCATTER_FACTOR * calm.scatter))


def _calm(before: Sequence[StageFigures]) -> _Calm | None:
    """What the first stages were like, and how much calm stages differ; None without any."""
    known = [(s, s.p95_s) for s in before if s.p95_s is not None and s.p95_s > 0]
    if not known:
        return None
    first = known[:CALM_STAGES]
    p95_s = median(value for _, value in first)
    logs = [math.log(value) for _, value in known if value <= LATENCY_FACTOR * p95_s]
    return _Calm(
        p95_s=p95_s,
        per_user=median(stage.rate_per_s / stage.users for stage, _ in first),
        scatter=max(LEAST_SCATTER, _scatter(logs, known[0][0].batches_s)),
    )


def _scatter(logs: Sequence[float], batches_s: Sequence[float]) -> float:
    """Standard deviation from differences of neighbours, without the largest one.

    A slow rise hardly touches them, and one jump is just what must not count. With few stages the
    scatter of the first one's batches is the better witness; a mean over a stage of independent
    batches would vary less.
    """
    moves = sorted(abs(after - before) for before, after in pairwise(logs))[:-1]
    if len(moves) >= CALM_STAGES - 1:
        squares = sum(move * move for move in moves) / (2 * len(moves))
        return LARGEST_LEFT_OUT * math.sqrt(squares)
    pieces = [math.log(value) for value in batches_s if value > 0]
    if len(pieces) < CALM_STAGES:
        return UNKNOWN_SCATTER
    mean = sum(pieces) / len(pieces)
    return math.sqrt(sum((piece - mean) ** 2 for piece in pieces) / (len(pieces) - 1))


# -- words -----------------------------------------------------------------------------------------


def _knee(
    stages: Sequence[StageFigures],
    at: int,
    reason: KneeReason,
    latency_s: float | None,
    error_ratio: float,
) -> StageKnee:
    stage = stages[at]
    low = stages[at - 1].users if at else 0.0
    if reason == "generator-limited":
        less = "each sent" if stage.unit == "users" else "it sent"
        problem = f"at {stage.level} {less} less than before, although latency did not rise"
        return _limited(problem, low, stage.unit)
    where = f"between {low:g} and {stage.level}"
    if not at:
        where = f"below the first stage of {stage.level}"
    why = _why(stages, at, reason, latency_s, error_ratio)
    return StageKnee(low, stage.users, reason, f"The breaking point is {where}: {why}.")


def _why(
    stages: Sequence[StageFigures],
    at: int,
    reason: KneeReason,
    latency_s: float | None,
    error_ratio: float,
) -> str:
    stage, calm = stages[at], _calm(stages[:at])
    if reason == "errors":
        bound = figure(error_ratio, "ratio")
        return f"{figure(stage.error_ratio, 'ratio')} of requests failed, more than {bound}"
    seen = figure(stage.p95_s or 0.0, "s")
    if calm is None:
        return f"latency p95 was {seen}, above {figure(latency_s or 0.0, 's')}"
    before = figure(calm.p95_s, "s")
    if reason == "latency" and (stage.p95_s or 0.0) / calm.p95_s > _hot_factor(calm):
        return f"latency p95 rose from {before} to {seen}, and did not come back"
    if reason == "latency":
        bound = figure(latency_s or 0.0, "s")
        return f"latency p95 was {seen}, above {bound}, after {before} in calm stages"
    share = stage.rate_per_s / stage.users / calm.per_user
    what = "throughput per user" if stage.unit == "users" else "throughput per arrival"
    return (
        f"{what} fell to {figure(share, 'ratio')} of that in calm stages, while "
        f"latency p95 rose from {before} to {seen}"
    )


def _unclear(stages: Sequence[StageFigures]) -> StageKnee:
    low, last = stages[-2].users, stages[-1]
    seen = figure(last.p95_s or 0.0, "s")
    sentence = (
        f"No answer: up to {level_name(low, last.unit)} all was well; in the last stage, of "
        f"{last.level}, latency p95 rose to {seen}, and no later stage confirms it."
    )
    return StageKnee(low, None, "unclear", sentence)


def _nothing(rising: Sequence[StageFigures], clean: Sequence[StageFigures]) -> StageKnee:
    low, unit = (clean[-1].users, clean[-1].unit) if clean else (0.0, "users")
    if len(clean) < len(rising):
        stage = rising[len(clean)]
        if stage.generator_problem:
            where = f"at {stage.level}"
            return _limited(f"{where}: {stage.generator_problem.rstrip('.')}", low, unit)
        what = f"the stage of {stage.level} has too few requests"
        return StageKnee(low, None, "no-data", f"No answer: {what}.")
    if len(clean) < 2:
        return StageKnee(low, None, "no-data", "No answer: it takes stages of rising load to tell.")
    return StageKnee(low, None, "none", f"No breaking point up to {level_name(low, unit)}.")


def _limited(problem: str, low: float, unit: str) -> StageKnee:
    seen = f"; up to {level_name(low, unit)} all was well" if low else ""
    sentence = f"No answer: the generator was the limit {problem}{seen}."
    return StageKnee(low, None, "generator-limited", sentence)
