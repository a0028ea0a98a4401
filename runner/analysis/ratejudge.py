"""Does a target hold an arrival rate? Three answers: it holds, it fails, or nobody can tell yet.

Near its capacity a target's queue has a long memory: it may look calm for as long as a step lasts
and still be lost, or be in trouble by bad luck only. A plain confidence interval over such seconds
is far too narrow. So a rate *holds* only when three things are true together:

* the share of requests above the latency bound is small enough (Wilson), and the quantile stays
  below the bound with Student's t over batches of seconds: this covers short fluctuations;
* the mean latency is so little above that of the idle target that a queue *at* the bound would
  have shown more. In heavy traffic any queue is a reflected Brownian motion (Kingman 1962), whose
  mean over a window of ``x`` relaxation times falls below ``1 / (1 + A / sqrt(x))`` of its
  stationary mean in 1 % of all windows. That ``A`` is one number for all ``x`` from 0.06 to 256 and
  one to four steps was found by simulation, which ``benchmarks/bench_breakpoint.py`` repeats;
* the requests in flight do not grow.

A rate *fails* when the share above the bound, or that of errors, is too large over batches, when
requests go missing, or when the requests in flight grow: increments of a backlog are independent
even where the backlog itself is not, so a t test on them is sound although a step is short.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from runner.analysis.confidence import mean_margin, ratio_interval, share_margin, t_quantile
from runner.analysis.steps import Criteria, Pooled

Verdict = Literal["holds", "fails", "unclear"]
Reason = Literal["latency", "errors", "throughput-flat"]

FAIL_CONFIDENCE = 0.98
"""One-sided confidence that a share is too large; a failure is repeated before it counts."""

HOLD_CONFIDENCE = 0.99
"""One-sided confidence that latency is below its bound; higher, because the search looks at several
rates close to the breaking point, and keeps the highest that looks good."""

GROWTH_CONFIDENCE = 0.995
"""One-sided confidence of the decision that a backlog grows; stricter, because it is final."""

CALM_T = 1.7
"""A backlog whose growth has a larger t than this is not calm."""

CALM_A = 3.1
"""The constant of reflected Brownian motion; see this module's docstring."""

VARIABILITY = 1.0
"""Variance of arrivals minus departures, per request. Exponential service: 1 with an exact
schedule of arrivals, 2 with random ones. A larger value than true would be overconfident."""

IDLE_SHARE = 0.85
"""The idle target's quantile is taken to be at most this share of the bound."""


@dataclass(frozen=True, slots=True)
class Idle:
    """The target with next to nothing to do: the best that was seen at any rate.

    Attributes:
        mean_s: Mean latency.
        quantile_s: The latency quantile; None when there were too few requests to tell.
    """

    mean_s: float
    quantile_s: float | None


@dataclass(frozen=True, slots=True)
class RateVerdict:
    """What is known of one rate.

    Attributes:
        verdict: ``holds``, ``fails`` or ``unclear``.
        reason: Why it fails; None unless it does.
        leans: To which side the plain figures point, sure or not.
        pooled: The figures it rests on.
        quantile_s: The latency quantile.
        quantile_high_s: Its upper confidence limit.
    """

    verdict: Verdict
    reason: Reason | None
    leans: Literal["holds", "fails"]
    pooled: Pooled
    quantile_s: float | None
    quantile_high_s: float | None


def judge_rate(pooled: Pooled, criteria: Criteria, idle: Idle) -> RateVerdict:
    """Decide about one rate from all of its steps."""
    quantile_s = pooled.quantile_s(criteria.quantile)
    high_s = None if quantile_s is None else _quantile_high_s(pooled, criteria, quantile_s)
    reason = _failure(pooled, criteria, quantile_s)
    verdict: Verdict = "fails" if reason else "unclear"
    if not reason and high_s is not None and _holds(pooled, criteria, idle, high_s):
        verdict = "holds"
    fails = reason or (verdict == "unclear" and _points_to_failure(pooled, criteria, quantile_s))
    return RateVerdict(verdict, reason, "fails" if fails else "holds", pooled, quantile_s, high_s)


def _points_to_failure(pooled: Pooled, criteria: Criteria, quantile_s: float | None) -> bool:
    if criteria.error_ratio is not None and pooled.error_ratio > criteria.error_ratio:
        return True
    if criteria.latency_s is not None and (quantile_s or 0.0) > criteria.latency_s:
        return True
    return pooled.achieved_ratio < criteria.achieved_ratio and _growth_t(pooled) > CALM_T


# -- failing ---------------------------------------------------------------------------------------


def _failure(pooled: Pooled, criteria: Criteria, quantile_s: float | None) -> Reason | None:
    if criteria.error_ratio is not None and _surely_above(
        [batch.failed for batch in pooled.batches],
        [batch.offered for batch in pooled.batches],
        criteria.error_ratio,
    ):
        return "errors"
    if criteria.latency_s is not None and _surely_above(
        [batch.over_bound for batch in pooled.batches],
        [batch.offered - batch.failed for batch in pooled.batches],
        1 - criteria.quantile,
    ):
        return "latency"
    if _missing(pooled, criteria) or backlog_grows(pooled, criteria.achieved_ratio):
        slow = criteria.latency_s is not None and (quantile_s or 0.0) > criteria.latency_s
        return "latency" if slow else "throughput-flat"
    return None


def _surely_above(hits: list[int], trials: list[int], bound: float) -> bool:
    if not sum(trials):
        return False
    share = sum(hits) / sum(trials)
    low, _ = ratio_interval(sum(hits), sum(trials), FAIL_CONFIDENCE)
    return low > bound and share - share_margin(hits, trials, FAIL_CONFIDENCE) > bound


def _missing(pooled: Pooled, criteria: Criteria) -> bool:
    low, _ = ratio_interval(pooled.missing, pooled.offered, FAIL_CONFIDENCE)
    return low > 1 - criteria.achieved_ratio


def backlog_grows(pooled: Pooled, achieved_ratio: float) -> bool:
    """Whether the requests in flight surely grow, and by more than is left to be achieved."""
    t = _growth_t(pooled)
    lost_ratio = sum(pooled.backlog) / pooled.offered if pooled.offered else 0.0
    enough = len(pooled.backlog) > 2
    return (
        enough
        and lost_ratio > 1 - achieved_ratio
        and t > t_quantile(GROWTH_CONFIDENCE, len(pooled.backlog) - 1)
    )


def _growth_t(pooled: Pooled) -> float:
    """Student's t of the mean growth of the backlog; 0 when nothing moves."""
    number = len(pooled.backlog)
    if number < 2:
        return 0.0
    mean = sum(pooled.backlog) / number
    # One request more or less at an edge says nothing: without it, a queue that grows by exactly
    # one each second would be infinitely significant.
    margin = max(mean_margin(pooled.backlog, 0.75), 0.05)
    return mean / (margin / t_quantile(0.75, number - 1))


# -- holding ---------------------------------------------------------------------------------------


def _holds(pooled: Pooled, criteria: Criteria, idle: Idle, high_s: float) -> bool:
    missing_ratio = pooled.missing / pooled.offered
    if criteria.error_ratio is not None and pooled.error_ratio > criteria.error_ratio:
        return False
    if missing_ratio > 1 - criteria.achieved_ratio or _growth_t(pooled) > CALM_T:
        return False
    if criteria.latency_s is not None and not _quick(pooled, criteria, high_s):
        return False
    mean_s = pooled.mean_s
    return mean_s is not None and mean_s - idle.mean_s < calm_limit_s(pooled, criteria, idle)


def _quick(pooled: Pooled, criteria: Criteria, high_s: float) -> bool:
    """Whether the quantile is below its bound, apart from slow fluctuations."""
    assert criteria.latency_s is not None  # noqa: S101 - the only caller looked
    over = sum(batch.over_bound for batch in pooled.batches)
    judged = sum(batch.offered - batch.failed for batch in pooled.batches)
    _, share_high = ratio_interval(over, judged, HOLD_CONFIDENCE)
    return share_high < 1 - criteria.quantile and high_s < criteria.latency_s


def _quantile_high_s(pooled: Pooled, criteria: Criteria, quantile_s: float) -> float:
    """Upper limit of the quantile: Student's t over the logarithms of the batches' quantiles."""
    if math.isinf(quantile_s) or any(math.isinf(batch.quantile_s) for batch in pooled.batches):
        return math.inf
    logs = [math.log(batch.quantile_s) for batch in pooled.batches if batch.quantile_s > 0]
    if quantile_s <= 0 or len(logs) < 2:
        return quantile_s if quantile_s <= 0 and pooled.batches else math.inf
    return math.exp(math.log(quantile_s) + min(50.0, mean_margin(logs, HOLD_CONFIDENCE)))


def calm_limit_s(pooled: Pooled, criteria: Criteria, idle: Idle) -> float:
    """Mean wait that a queue at its limit would exceed in all but 1 % of such windows.

    With stationary mean wait ``w``, the relaxation time of the queue is ``4 w^2 rate / v``. For
    ``w`` without bound, at capacity, the limit tends to ``sqrt(v * length / rate) / (2 A)``.
    """
    noise = 2 * CALM_A * math.sqrt(pooled.rate_per_s / (VARIABILITY * pooled.length_s))
    wait_s = _wait_at_bound_s(criteria, idle)
    return 1 / noise if math.isinf(wait_s) else wait_s / (1 + wait_s * noise)


def _wait_at_bound_s(criteria: Criteria, idle: Idle) -> float:
    """Mean of an exponential wait that lifts the quantile from the idle target's to the bound.

    The idle latency is taken as exponential beyond its quantile's scale; the quantile of the sum
    of two exponentials is the bound. Infinite without a bound.
    """
    if criteria.latency_s is None:
        return math.inf
    bound_s, share = criteria.latency_s, 1 - criteria.quantile
    idle_s = min(IDLE_SHARE * bound_s, idle.quantile_s or math.inf) / -math.log(share)
    low_s, high_s = 0.0, bound_s / -math.log(share)
    for _ in range(50):
        middle_s = (low_s + high_s) / 2
        if _sum_tail(idle_s, middle_s, bound_s) > share:
            high_s = middle_s
        else:
            low_s = middle_s
    return low_s


def _sum_tail(a_s: float, b_s: float, t_s: float) -> float:
    """P(A + B > t) of two independent exponential times with means ``a_s`` and ``b_s``."""
    if abs(a_s - b_s) < 1e-6 * a_s:
        return math.exp(-t_s / a_s) * (1 + t_s / a_s)
    weighted = a_s * math.exp(-t_s / a_s)
    return (weighted - (b_s * math.exp(-t_s / b_s) if b_s > 0 else 0.0)) / (a_s - b_s)
