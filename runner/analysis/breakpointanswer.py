"""The answer of a search for the breaking point: figures and words. Pure.

Nothing is decided here but which of the possible answers it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from runner.analysis.ratejudge import RateVerdict, Reason, Verdict
from runner.analysis.steps import Criteria, SearchSettings
from runner.analysis.words import count, figure

AnswerReason = Literal[
    "latency", "errors", "throughput-flat", "none", "generator-limited", "unclear"
]
Ends = tuple[RateVerdict | None, RateVerdict | None]


@dataclass(frozen=True, slots=True)
class RateFigures:
    """What became of one rate, over all its steps."""

    rate_per_s: float
    steps: int
    verdict: Verdict | Literal["generator-limited"]
    reason: Reason | None
    offered: int
    achieved_ratio: float | None
    error_ratio: float | None
    mean_s: float | None
    quantile_s: float | None
    quantile_high_s: float | None


@dataclass(frozen=True, slots=True)
class BreakingPoint:
    """The answer.

    Attributes:
        low_per_s: Highest rate that was shown to hold; 0 when none was.
        high_per_s: Lowest rate that was shown to fail; None when there is no such rate.
        reason: Why it fails there; ``none`` for "no breaking point up to the last rate",
            ``generator-limited`` and ``unclear`` for "no answer".
        confirmed: Whether both ends of the interval are known; each was repeated.
        converged: Whether the interval is as narrow as was asked for.
        rates: Figures of all rates, rising.
        sentence: All of this in words.
    """

    low_per_s: float
    high_per_s: float | None
    reason: AnswerReason
    confirmed: bool
    converged: bool
    rates: tuple[RateFigures, ...]
    sentence: str

    @property
    def answered(self) -> bool:
        """Whether the question has an answer: an interval, or that there is none in range."""
        return self.reason not in ("generator-limited", "unclear")


def answer(
    settings: SearchSettings,
    verdicts: Sequence[RateVerdict],
    limited: Mapping[float, Sequence[str]],
    ends: Ends,
    steps: int,
) -> BreakingPoint:
    """The answer after ``steps`` steps.

    Args:
        settings: What was searched for.
        verdicts: What is known of each rate, rising.
        limited: Rate to what kept the generator from delivering it.
        ends: The rates that hold and that fail, as far as they count.
        steps: How many steps were done.
    """
    low, high = ends
    low_per_s = 0.0 if low is None else low.pooled.rate_per_s
    high_per_s = None if high is None else high.pooled.rate_per_s
    reason = _reason(settings, verdicts, limited, ends)
    top = settings.max_rate if high_per_s is None else high_per_s
    return BreakingPoint(
        low_per_s=low_per_s,
        high_per_s=high_per_s,
        reason=reason,
        confirmed=reason == "none" or None not in ends,
        converged=low_per_s > 0 and top / low_per_s <= 1 + settings.tolerance_ratio,
        rates=tuple(_rates(verdicts, limited)),
        sentence=_sentence(settings, verdicts, limited, ends, reason, steps=steps),
    )


def _reason(
    settings: SearchSettings,
    verdicts: Sequence[RateVerdict],
    limited: Mapping[float, Sequence[str]],
    ends: Ends,
) -> AnswerReason:
    low, high = ends
    if high is not None:
        return high.reason or "unclear"
    low_per_s = 0.0 if low is None else low.pooled.rate_per_s
    held_last = low is not None and low_per_s == settings.max_rate
    if held_last and low is verdicts[-1]:
        return "none"
    return "generator-limited" if any(rate >= low_per_s for rate in limited) else "unclear"


def _rates(
    verdicts: Sequence[RateVerdict], limited: Mapping[float, Sequence[str]]
) -> list[RateFigures]:
    known = [_figures(verdict) for verdict in verdicts]
    seen = {item.rate_per_s for item in known}
    for rate, problems in limited.items():
        if rate not in seen:
            nothing = (None, None, None, None)
            known.append(
                RateFigures(rate, len(problems), "generator-limited", None, 0, *nothing, None)
            )
    return sorted(known, key=lambda item: item.rate_per_s)


def _figures(verdict: RateVerdict) -> RateFigures:
    pooled = verdict.pooled
    return RateFigures(
        rate_per_s=pooled.rate_per_s,
        steps=pooled.steps,
        verdict=verdict.verdict,
        reason=verdict.reason,
        offered=pooled.offered,
        achieved_ratio=pooled.achieved_ratio,
        error_ratio=pooled.error_ratio,
        mean_s=pooled.mean_s,
        quantile_s=verdict.quantile_s,
        quantile_high_s=verdict.quantile_high_s,
    )


# -- words -----------------------------------------------------------------------------------------


def _seemed(verdicts: Sequence[RateVerdict]) -> str:
    """The highest rate that holds by its figures, where no rate counts as one that does."""
    seemed = max((v.pooled.rate_per_s for v in verdicts if v.verdict == "holds"), default=None)
    if seemed is None:
        return ""
    return f" for sure ({figure(seemed, 'per_s', 4)} seemed to, and was not confirmed)"


def _sentence(
    settings: SearchSettings,
    verdicts: Sequence[RateVerdict],
    limited: Mapping[float, Sequence[str]],
    ends: Ends,
    reason: AnswerReason,
    *,
    steps: int,
) -> str:
    low, high = ends
    held = "no rate was shown to hold" + _seemed(verdicts)
    if low is not None:
        held = f"{figure(low.pooled.rate_per_s, 'per_s', 4)} was shown to hold"
    if high is not None:
        return _found(settings, ends, held)
    last = figure(settings.max_rate, "per_s", 4)
    if reason == "none":
        return f"No breaking point up to {last}: {held} there, more than once."
    if reason == "generator-limited":
        rate = min(limited)
        why = limited[rate][0].rstrip(".")
        return (
            f"No answer: the generator was the limit at {figure(rate, 'per_s', 4)} ({why}); "
            f"{held}. Give it more workers or processors."
        )
    return (
        f"No answer: {held}, and none up to {last} was shown to fail, in {count(steps, 'step')}. "
        "Longer steps or more of them may tell."
    )


def _found(settings: SearchSettings, ends: Ends, held: str) -> str:
    low, high = ends
    assert high is not None  # noqa: S101 - the caller looked
    rate = high.pooled.rate_per_s
    text = figure(rate, "per_s", 4)
    why = _why(settings.criteria, high)
    if low is not None:
        between = f"between {figure(low.pooled.rate_per_s, 'per_s', 4)} and {text}"
        return f"The breaking point is {between}: at {text} {why}."
    if rate <= settings.start_rate:
        return f"The breaking point is below the first step: at {text} {why} already."
    return f"The breaking point is below {text}, where {why}; {held}."


def _why(criteria: Criteria, high: RateVerdict) -> str:
    pooled = high.pooled
    match high.reason:
        case "latency":
            name = f"p{criteria.quantile * 100:g}"
            bound = figure(criteria.latency_s or 0.0, "s")
            seen = "there was no answer" if high.quantile_s is None else ""
            if high.quantile_s is not None:
                seen = f"latency {name} was {figure(high.quantile_s, 's')}"
            return f"{seen}, above {bound}"
        case "errors":
            bound = figure(criteria.error_ratio or 0.0, "ratio")
            return f"{figure(pooled.error_ratio, 'ratio')} of requests failed, more than {bound}"
        case _:
            achieved = figure(pooled.achieved_ratio, "ratio")
            return f"throughput stayed behind: {achieved} of the offered requests came back in time"
