"""What a search for the breaking point found, in figures: a part of the evaluation."""

from __future__ import annotations

from typing import Literal

from runner.model.shape import Items, Model

RateWord = Literal["holds", "fails", "unclear", "generator-limited"]


class RateFigure(Model):
    """One rate of a search, over all its steps and without their transients.

    Attributes:
        tries: How often it was offered.
        verdict: What is known of it.
        reason: Why it fails: ``latency``, ``errors`` or ``throughput-flat``; else empty.
        achieved_ratio: Share of the offered requests that came back in the same time.
        quantile_s: Latency from when requests were due; None where there was none, or where it
            falls among requests without an answer.
        quantile_high_s: Its upper confidence limit.
    """

    rate_per_s: float
    tries: int
    verdict: RateWord
    reason: str = ""
    offered: int = 0
    achieved_ratio: float | None = None
    error_ratio: float | None = None
    mean_s: float | None = None
    quantile_s: float | None = None
    quantile_high_s: float | None = None


class StepFigure(Model):
    """One step of a search.

    Attributes:
        why: Why this rate was tried then.
        dropped: Arrivals that were not sent, because too many were under way.
        in_flight: Arrivals that were still under way when they were waited for no longer.
        problem: Why the generator was the limit; empty when it was not.
    """

    number: int
    rate_per_s: float
    start_s: float
    duration_s: float
    why: str = ""
    quantile_s: float | None = None
    failed: int = 0
    dropped: int = 0
    in_flight: int = 0
    problem: str = ""


class LawFigure(Model):
    """The Universal Scalability Law, fitted to the rates.

    Attributes:
        alpha: Contention.
        beta: Coherency.
        peak_per_s: The most that the curve can reach; None where it has no limit.
        fit_ratio: Share of the variance of the throughput that it explains.
        sentence: What it says, in words.
    """

    gamma: float
    alpha: float
    beta: float
    peak_per_s: float | None = None
    fit_ratio: float
    sentence: str


class SearchFigures(Model):
    """All that a search found.

    Attributes:
        low_per_s: Highest rate that was shown to hold; 0 when none was.
        high_per_s: Lowest rate that was shown to fail; None when none was.
        reason: Why it fails there, ``none`` for no breaking point up to the last rate, or
            ``generator-limited`` or ``unclear`` for no answer.
        converged: Whether the interval is as narrow as was asked for.
        statistic: The latency statistic that was watched; empty when none was.
    """

    low_per_s: float
    high_per_s: float | None
    reason: str
    answered: bool
    converged: bool
    sentence: str
    start_per_s: float
    end_per_s: float
    statistic: str = ""
    latency_bound_s: float | None = None
    error_bound_ratio: float | None = None
    rates: Items[RateFigure] = ()
    steps: Items[StepFigure] = ()
    law: LawFigure | None = None
