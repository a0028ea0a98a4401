"""The search for the breaking point: at which arrival rate does a target give in? Pure.

A state machine without a clock: :meth:`Search.next_step` says which rate to offer next,
:meth:`Search.add` takes what was seen, :meth:`Search.outcome` says what is known so far. The rate
grows geometrically until one fails, twice; then the interval between the highest rate that holds
and the lowest that fails is halved, around rates that nobody can tell, until it is narrow enough
or the steps are used up; both of its ends are repeated before they count. The answer is an
interval and a reason, or an honest "no answer".

How one rate is judged stands in ``ratejudge``; nothing here sends a request.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from runner.analysis.breakpointanswer import BreakingPoint, RateFigures, answer
from runner.analysis.ratejudge import Idle, RateVerdict, judge_rate
from runner.analysis.steps import Criteria, SearchSettings, Step, StepResult, StepSecond, pool

__all__ = [
    "BreakingPoint",
    "Criteria",
    "RateFigures",
    "Search",
    "SearchSettings",
    "Step",
    "StepResult",
    "StepSecond",
]

POOL_LATENCY_FACTOR = 2.0
"""Requests dropped while the mean latency is below this multiple of the idle target's were dropped
for a pool that is too small, not for a target that is too slow."""

IDLE_REQUESTS = 5.0
"""How many requests above the quantile it takes to know the idle target's quantile."""

DIGITS = 4
"""Significant digits of the rates that are tried."""


class Search:
    """One search. Feed it with what it asks for until it asks for nothing more."""

    def __init__(self, settings: SearchSettings) -> None:
        self.settings = settings
        self._results: dict[float, list[StepResult]] = {}
        self._limited: dict[float, list[str]] = {}
        self._verdicts: dict[float, RateVerdict] = {}
        self._count = 0
        self._pending: Step | None = None

    @property
    def steps_done(self) -> int:
        return self._count

    def next_step(self) -> Step | None:
        """The step that is due; the same one until its result is added. None when all is done."""
        if self._pending is None and self._count < self.settings.max_steps:
            chosen = self._choose()
            if chosen is not None:
                rate, why = chosen
                self._pending = Step(
                    rate_per_s=rate,
                    duration_s=self.settings.step_s,
                    number=self._count + 1,
                    repeat=self._tries(rate) + 1,
                    why=why,
                )
        return self._pending

    def add(self, result: StepResult) -> None:
        """Take what the pending step saw.

        Raises:
            ValueError: When no step is pending, or the result is of another rate or too short.
        """
        step = self._pending
        if step is None or result.rate_per_s != step.rate_per_s:
            raise ValueError(f"nobody asked for a step at {result.rate_per_s:g}/s")
        if not result.generator_problem and len(result.seconds) < math.floor(step.duration_s):
            raise ValueError(f"the step at {result.rate_per_s:g}/s is shorter than it was planned")
        self._pending = None
        self._count += 1
        problem = result.generator_problem or self._pool_problem(result)
        if problem:
            self._limited.setdefault(result.rate_per_s, []).append(problem)
        else:
            self._results.setdefault(result.rate_per_s, []).append(result)
        self._judge()

    def outcome(self) -> BreakingPoint:
        """What is known so far; final once :meth:`next_step` returns None."""
        low, high = self.interval()
        return answer(self.settings, self.verdicts, self._limited, (low, high), self._count)

    # -- what is known -----------------------------------------------------------------------------

    @property
    def verdicts(self) -> tuple[RateVerdict, ...]:
        """What is known of each rate, rising; steps that the generator limited do not count."""
        return tuple(self._verdicts[rate] for rate in sorted(self._verdicts))

    @property
    def ceiling(self) -> float | None:
        """Lowest rate that the generator could not deliver, twice; None when there is none."""
        limited = (
            rate
            for rate, problems in self._limited.items()
            if len(problems) >= self.settings.repeats and not self._results.get(rate)
        )
        return min(limited, default=None)

    def interval(self) -> tuple[RateVerdict | None, RateVerdict | None]:
        """The highest rate that holds with none below it that fails, and its counterpart.

        Where verdicts contradict each other, the interval spans all of the contradiction.
        """
        settled = [v for v in self.verdicts if self._settled(v)]
        first_fail = min((_rate(v) for v in settled if v.verdict == "fails"), default=math.inf)
        holding = [v for v in settled if v.verdict == "holds"]
        last_hold = max((_rate(v) for v in holding), default=0.0)
        below = [v for v in holding if _rate(v) < first_fail]
        above = [v for v in settled if v.verdict == "fails" and _rate(v) > last_hold]
        return (below[-1] if below else None), (above[0] if above else None)

    def _settled(self, verdict: RateVerdict) -> bool:
        """A failure counts when it was repeated; what holds may wait until it is an end."""
        return verdict.verdict == "holds" or self._confirmed(verdict)

    def _confirmed(self, verdict: RateVerdict) -> bool:
        return verdict.pooled.steps >= self.settings.repeats

    def _tries(self, rate: float) -> int:
        return len(self._results.get(rate, ())) + len(self._limited.get(rate, ()))

    def _judge(self) -> None:
        settings = self.settings
        pooled = {
            rate: pool(results, settings.transient_s, settings.criteria)
            for rate, results in self._results.items()
        }
        enough = IDLE_REQUESTS / (1 - settings.criteria.quantile)
        quantiles = [
            quantile_s
            for item in pooled.values()
            if item.offered >= enough
            and (quantile_s := item.quantile_s(settings.criteria.quantile)) is not None
        ]
        means = [mean_s for item in pooled.values() if (mean_s := item.mean_s) is not None]
        idle = Idle(min(means, default=0.0), min(quantiles, default=None))
        self._verdicts = {
            rate: judge_rate(item, settings.criteria, idle) for rate, item in pooled.items()
        }

    def _pool_problem(self, result: StepResult) -> str:
        """Requests were dropped although the target was as quick as ever."""
        settings = self.settings
        seen = pool([result], settings.transient_s, settings.criteria)
        known = [v.pooled.mean_s for v in self.verdicts if v.pooled.mean_s is not None]
        if seen.dropped_ratio <= 1 - settings.criteria.achieved_ratio or not known:
            return ""
        if (seen.mean_s or math.inf) > POOL_LATENCY_FACTOR * min(known):
            return ""
        return "the in-flight pool was too small for this rate"

    # -- what to do next ---------------------------------------------------------------------------

    def _choose(self) -> tuple[float, str] | None:
        low, high = self.interval()
        if high is None and self.ceiling is None:
            return self._grow()
        confirm = self._confirm(low, high)
        if confirm and self.settings.max_steps - self._count <= 1:
            return confirm
        return self._doubt(low, high) or self._narrow(low, high) or confirm

    def _grow(self) -> tuple[float, str] | None:
        """Up by the factor, past rates that hold or are unclear; what fails is repeated."""
        settings = self.settings
        tried = sorted({*self._results, *self._limited})
        if not tried:
            return settings.start_rate, "start"
        last = tried[-1]
        doubtful = self._repeatable(v for v in self.verdicts if v.verdict == "fails")
        if doubtful:
            return doubtful[0], "it failed; once more"
        if self._limited.get(last) and self._tries(last) < settings.max_repeats:
            known = self._verdicts.get(last)
            if known is None or not self._confirmed(known):
                return last, "the generator was the limit; once more"
        if last >= settings.max_rate:
            return self._last_rate(last)
        # A last step that would be small is joined with the one before it.
        grown = round_rate(last * settings.growth)
        near_end = grown * math.sqrt(settings.growth) >= settings.max_rate
        return (settings.max_rate if near_end else grown), "higher"

    def _last_rate(self, last: float) -> tuple[float, str] | None:
        """The last rate is repeated until it is clear, because all of the answer rests on it."""
        known = self._verdicts.get(last)
        if known is None or self._tries(last) >= self.settings.max_repeats:
            return None
        done = known.verdict == "holds" and self._confirmed(known)
        return None if done else (last, "the last rate; once more")

    def _repeatable(self, verdicts: Iterable[RateVerdict]) -> list[float]:
        """Rates whose verdict is not yet confirmed, and that may be tried again."""
        return [
            _rate(v)
            for v in verdicts
            if not self._confirmed(v) and self._tries(_rate(v)) < self.settings.max_repeats
        ]

    def _doubt(self, low: RateVerdict | None, high: RateVerdict | None) -> tuple[float, str] | None:
        """A failure below the interval's upper end is repeated at once; so are contradictions."""
        top = math.inf if high is None else _rate(high)
        failed = self._repeatable(
            v for v in self.verdicts if v.verdict == "fails" and _rate(v) < top
        )
        if failed:
            return failed[0], "it failed; once more"
        bottom = 0.0 if low is None else _rate(low)
        torn = [
            _rate(v)
            for v in self.verdicts
            if v.verdict != "unclear"
            and bottom < _rate(v) < top
            and self._tries(_rate(v)) < self.settings.max_repeats
        ]
        return (torn[0], "verdicts contradict each other; once more") if torn else None

    def _narrow(
        self, low: RateVerdict | None, high: RateVerdict | None
    ) -> tuple[float, str] | None:
        """Half-way into the widest gap at either end of what is unclear."""
        settings = self.settings
        start = settings.start_rate if low is None else _rate(low)
        top = _rate(high) if high is not None else self.ceiling or settings.max_rate
        if low is None and start not in self._verdicts:
            return None
        if low is None and self._tries(start) < settings.max_repeats and start < top:
            return start, "nothing holds yet; once more"
        if top / start <= 1 + settings.tolerance_ratio:
            return None
        unclear = sorted(rate for rate in {*self._verdicts, *self._limited} if start < rate < top)
        ends = [(start, unclear[0]), (unclear[-1], top)] if unclear else [(start, top)]
        below, above = max(ends, key=lambda gap: gap[1] / gap[0])
        enough = settings.tolerance_ratio / 2 if unclear else settings.tolerance_ratio
        middle = round_rate(math.sqrt(below * above))
        if above / below > 1 + enough and below < middle < above:
            return middle, "between what holds and what fails"
        open_ = [rate for rate in unclear if self._tries(rate) < settings.max_repeats]
        if not open_:
            return None
        return min(open_, key=lambda rate: (self._tries(rate), rate)), "unclear; once more"

    def _confirm(
        self, low: RateVerdict | None, high: RateVerdict | None
    ) -> tuple[float, str] | None:
        ends = self._repeatable(v for v in (low, high) if v is not None)
        return (ends[0], "an end of the interval; once more") if ends else None


def _rate(verdict: RateVerdict) -> float:
    return verdict.pooled.rate_per_s


def round_rate(rate: float) -> float:
    """``rate`` with as many digits as a reader wants to see."""
    return float(f"{rate:.{DIGITS}g}")
