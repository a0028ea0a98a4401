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
from runner.analysis.ratejudge import Idle, RateVerdict, Verdict, judge_rate
from runner.analysis.steps import (
    Criteria,
    Pooled,
    SearchSettings,
    Step,
    StepResult,
    StepSecond,
    pool,
)

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

LAST_RATE_PATIENCE = 3
"""How many times as often as another rate the last one is tried, when nothing failed before."""

HOLD_SHARE = 0.75
"""How much of the interval lies below the crossing. More than half: a rate just below the crossing
that looks good may be luck, while a rate above it soon gets worse with time."""

WIDER = 1.5
"""How much farther from the crossing the next rate is, when nobody can tell about the last one."""

DIGITS = 4
"""Significant digits of the rates that are tried."""


class Search:
    """One search. Feed it with what it asks for until it asks for nothing more."""

    def __init__(self, settings: SearchSettings) -> None:
        self.settings = settings
        self._results: dict[float, list[StepResult]] = {}
        self._limited: dict[float, list[str]] = {}
        self._pooled: dict[float, Pooled] = {}
        self._verdicts: dict[float, RateVerdict] = {}
        self._history: dict[float, list[tuple[Verdict, Verdict]]] = {}
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
            self._judge(result)

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

        Only what was repeated counts. Where verdicts contradict each other, the interval spans all
        of the contradiction; and a rate does not hold while a lower one seems to fail, because
        latency can only rise with the rate.
        """
        settled = [v for v in self.verdicts if self._confirmed(v)]
        fails = [v for v in settled if v.verdict == "fails"]
        holds = [v for v in settled if v.verdict == "holds"]
        first_fail = min((_rate(v) for v in fails), default=math.inf)
        last_hold = max((_rate(v) for v in holds), default=0.0)
        doubts = (_rate(v) for v in self.verdicts if self._doubted(v))
        first_fail = min(first_fail, *doubts, math.inf)
        below = [v for v in holds if _rate(v) < first_fail]
        above = [v for v in fails if _rate(v) > last_hold]
        return (below[-1] if below else None), (above[0] if above else None)

    def _confirmed(self, verdict: RateVerdict) -> bool:
        """A verdict counts once it was reached, and a fresh step neither changed nor opposed it."""
        recent = self._history.get(_rate(verdict), [])[-self.settings.repeats :]
        return (
            len(recent) == self.settings.repeats
            and all(reached == verdict.verdict for reached, _ in recent)
            and recent[-1][1] == verdict.verdict
        )

    def _doubted(self, verdict: RateVerdict) -> bool:
        """Seems to fail, and not because of one bad step only."""
        opinions = [opinion for _, opinion in self._history.get(_rate(verdict), [])]
        return verdict.leans == "fails" and opinions.count("fails") >= self.settings.repeats

    def _spent(self, rate: float) -> bool:
        """Whether a rate has had its tries; a verdict on the last of them may be repeated."""
        most = self.settings.max_repeats
        known = self._verdicts.get(rate)
        if known is not None and known.verdict != "unclear" and not self._confirmed(known):
            most += self.settings.repeats - 1
        return self._tries(rate) >= most

    def _tries(self, rate: float) -> int:
        return len(self._results.get(rate, ())) + len(self._limited.get(rate, ()))

    def _tried(self) -> list[float]:
        return sorted({*self._results, *self._limited})

    def _judge(self, latest: StepResult) -> None:
        settings, rate = self.settings, latest.rate_per_s
        pooled = self._pooled
        pooled[rate] = pool(self._results[rate], settings.transient_s, settings.criteria)
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
            known: judge_rate(item, settings.criteria, idle) for known, item in pooled.items()
        }
        alone = pool([latest], settings.transient_s, settings.criteria)
        reached = self._verdicts[rate].verdict
        opinion = judge_rate(alone, settings.criteria, idle).leans
        self._history.setdefault(rate, []).append((reached, opinion))

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
        proven = _rate(low) if low is not None and self._confirmed(low) else 0.0
        top = _rate(high) if high is not None else self.ceiling or self.settings.max_rate
        if top <= self.settings.start_rate:
            return None
        narrow = proven and high and top / proven <= 1 + self.settings.tolerance_ratio
        left = self.settings.max_steps - self._count
        if not proven and left <= self.settings.repeats:
            return self._last_resort(top)
        chosen = None if narrow else self._cross(top) or self._prove(proven, top)
        return chosen or self._torn(proven, top)

    def _grow(self) -> tuple[float, str] | None:
        """Up by the factor, past rates that hold or are unclear; what fails is repeated."""
        settings = self.settings
        tried = self._tried()
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
        patience = LAST_RATE_PATIENCE * self.settings.max_repeats
        if known is None or self._tries(last) >= patience:
            return None
        done = known.verdict == "holds" and self._confirmed(known)
        return None if done else (last, "the last rate; once more")

    def _repeatable(self, verdicts: Iterable[RateVerdict]) -> list[float]:
        """Rates whose verdict is not yet confirmed, and that may be tried again."""
        return [_rate(v) for v in verdicts if not self._confirmed(v) and not self._spent(_rate(v))]

    def _last_resort(self, top: float) -> tuple[float, str] | None:
        """Nothing is known to hold and few steps are left: repeat the best guess."""
        holds = [_rate(v) for v in self.verdicts if v.verdict == "holds" and _rate(v) < top]
        open_ = [rate for rate in holds if not self._spent(rate)]
        return (open_[-1], "to know of a rate that holds") if open_ else None

    def _cross(self, top: float) -> tuple[float, str] | None:
        """Half-way between what seems to hold and what seems to fail, until they are close."""
        below, above = self._crossing(top)
        middle = round_rate(math.sqrt(below * above))
        far = above / below > 1 + self.settings.tolerance_ratio / 3
        if far and below < middle < above and not self._spent(middle):
            return middle, "between what seems to hold and what seems to fail"
        return None

    def _crossing(self, top: float) -> tuple[float, float]:
        """The neighbours between which the plain figures change sides with least contradiction.

        Sure or not, each rate votes for the side it leans to, once for each of its steps.
        """
        known = [v for v in self.verdicts if _rate(v) <= top]
        rates = [self.settings.start_rate, *(_rate(v) for v in known), top]
        against = [v.pooled.steps if v.leans == "holds" else 0 for v in known]
        wrong = sum(against)
        best, split = wrong, 0
        for at, verdict in enumerate(known):
            wrong += verdict.pooled.steps if verdict.leans == "fails" else -verdict.pooled.steps
            if wrong < best:
                best, split = wrong, at + 1
        return rates[split], rates[split + 1]

    def _prove(self, low: float, high: float) -> tuple[float, str] | None:
        """Try a little to either side of the crossing, and farther away where that stays unclear.

        The side with the wider gap comes first.
        """
        below, above = self._crossing(high)
        middle = math.sqrt(below * above)
        sides: list[tuple[Verdict, float]] = [("holds", low), ("fails", high)]
        if low and high / middle > middle / low:
            sides.reverse()
        for side, end in sides:
            rate = self._unproven(side, middle, end)
            if rate is not None:
                return rate, f"to see whether it {side}" + (
                    "; once more" if self._tries(rate) else ""
                )
        return None

    def _unproven(self, side: Verdict, middle: float, end: float) -> float | None:
        """The next rate on one side of ``middle``, nearer than ``end``, which is proven."""
        settings = self.settings
        near = 1 + settings.tolerance_ratio / 6
        away = settings.tolerance_ratio * (HOLD_SHARE if side == "holds" else 1 - HOLD_SHARE)
        while True:
            if side == "holds":
                wanted = max(middle / (1 + away), settings.start_rate)
                useless = wanted <= end * near
            else:
                wanted = middle * (1 + away)
                useless = wanted >= end / near
            if useless:
                return None
            tried = [rate for rate in self._tried() if wanted / near <= rate <= wanted * near]
            rate = min(tried, key=lambda r: abs(math.log(r / wanted)), default=round_rate(wanted))
            if not self._spent(rate):
                return rate
            if side == "holds" and wanted == settings.start_rate:
                return None
            away *= WIDER

    def _torn(self, low: float, high: float) -> tuple[float, str] | None:
        """A repeated verdict within the interval contradicts another one: once more."""
        inside = (_rate(v) for v in self.verdicts if low < _rate(v) < high and self._confirmed(v))
        rate = next((rate for rate in inside if not self._spent(rate)), None)
        return None if rate is None else (rate, "verdicts contradict each other; once more")


def _rate(verdict: RateVerdict) -> float:
    return verdict.pooled.rate_per_s


def round_rate(rate: float) -> float:
    """``rate`` with as many digits as a reader wants to see."""
    return float(f"{rate:.{DIGITS}g}")
