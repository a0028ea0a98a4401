"""What users saw in each stage of an uneven load, and when all was normal again after a spike.

Normal is what it was before the spike, with a margin: the band is taken from the windows of the
plateau before, and it must hold again and go on holding. As in :mod:`runner.analysis.recovery`, one
bad second that is surrounded by good ones is forgiven. No bound of an objective is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from runner.analysis.confidence import ratio_interval
from runner.analysis.lengths import (
    FEWEST_WINDOWS,
    LONGEST_WINDOW_S,
    SHORTEST_WINDOW_S,
    steady_from_s,
)
from runner.analysis.profile import Plateau, Spike
from runner.analysis.question import Question
from runner.analysis.recovery import first_lasting
from runner.analysis.seconds import rolling
from runner.analysis.stats import statistic_s
from runner.analysis.windows import LoadTable, Slice, first_second, joined
from runner.analysis.words import capitalised, count, figure, moment
from runner.model.evaluation import Finding, Part, Verdict
from runner.model.plan import Plan

REQUESTS_IN_WINDOW = 200
"""A window is long enough for so many requests, within these lengths."""

LATENCY_MARGIN = 1.5
ERROR_MARGIN_RATIO = 0.005
"""A p95 half as much again as before, and half a percent more errors, are normal still."""

SCATTERS = 4.0
"""And so is a p95 within so many standard deviations (of its logarithm) of the windows before."""

UNSTEADY_FACTOR = 4.0
"""Where the band would reach this far, the time before was not steady enough to compare with."""

CONFIDENCE = 0.99


@dataclass(frozen=True, slots=True)
class Band:
    """What is normal.

    Attributes:
        p95_s: Highest normal 95th percentile of a window.
        error_ratio: Highest normal share of failed requests of a window.
        window_s: Length of a window.
    """

    p95_s: float
    error_ratio: float
    window_s: int

    def holds(self, p95_s: float | None, errors: float | None) -> bool:
        """Whether a window is normal; one without a request that succeeded is not."""
        return (
            p95_s is not None
            and errors is not None
            and p95_s <= self.p95_s
            and errors <= self.error_ratio
        )


def back_to_normal(table: LoadTable, spike: Spike, plan: Plan) -> Finding:
    """How long it took after the spike until users saw what they had seen before it."""
    question = Question(
        "back-to-normal", "How long did it take to be back to normal after the spike?"
    )
    start_s = spike.after.start_s
    end_s = min([table.recorded_s, spike.after.end_s, *_faults_after(plan, start_s)])
    if any(f.start_s < start_s and f.end_s > spike.before.start_s for f in plan.faults):
        return question.open("No answer: a fault was in effect before or during the spike.")
    if table.recorded_s < start_s:
        return question.open("No answer: the run ended before the spike did.")
    band = band_before(table, spike.before)
    if isinstance(band, str):
        return question.open(f"No answer: {band}.")
    holding = _holding(table, band, start_s, end_s)
    if len(holding) < band.window_s:
        return question.open(
            f"No answer: only {moment(max(0.0, end_s - start_s))} were seen after the spike, too "
            "short to tell."
        )
    normal = (
        f"Normal is as before it, at {spike.before.name}: in {band.window_s} s, a p95 up to "
        f"{figure(band.p95_s, 's')} and errors up to {figure(band.error_ratio, 'ratio')}."
    )
    first = first_lasting(holding, band.window_s)
    if first is None:
        seen = moment(end_s - start_s)
        return question.answered(
            f"It was not back to normal in the {seen} that were seen. {normal}"
        )
    seconds = first_second(start_s) + first - start_s if first else 0.0
    back = f"back at {spike.after.name}"
    if not first:
        return question.answered(f"At once, as soon as the load was {back}. {normal}", 0.0, "s")
    return question.answered(
        f"{figure(seconds, 's')} after the load was {back}. {normal}", seconds, "s"
    )


def band_before(table: LoadTable, before: Plateau) -> Band | str:
    """What is normal, by the steady part of the plateau before the spike; else why nobody knows."""
    start_s = steady_from_s(before)
    seen = table.slice(start_s, before.end_s)
    if not seen.successes or seen.rate_per_s <= 0:
        return "no request succeeded before the spike"
    length = math.ceil(REQUESTS_IN_WINDOW / seen.rate_per_s)
    window_s = min(max(length, SHORTEST_WINDOW_S), LONGEST_WINDOW_S)
    seconds = table.per_second(start_s, before.end_s, None)
    starts = range(0, len(seconds) - window_s + 1, window_s)
    windows = [joined(seconds[at : at + window_s]) for at in starts]
    values = [statistic_s(window.latency_us, "p95") for window in windows]
    known = [value for value in values if value]
    if len(windows) < FEWEST_WINDOWS:
        return (
            f"{moment(before.end_s - start_s)} before the spike are too few to tell what is normal"
        )
    if len(known) < len(windows):
        return "before the spike there were times without a request that succeeded"
    centre = median(known)
    logs = [math.log(value / centre) for value in known]
    scatter = math.sqrt(sum(value * value for value in logs) / (len(logs) - 1))
    reach = max(LATENCY_MARGIN, math.exp(SCATTERS * scatter))
    if reach > UNSTEADY_FACTOR:
        return "latency before the spike was not steady enough to compare with"
    highest = ratio_interval(seen.failures, seen.requests, CONFIDENCE)[1]
    return Band(centre * reach, highest + ERROR_MARGIN_RATIO, window_s)


def _faults_after(plan: Plan, start_s: float) -> list[float]:
    return [max(start_s, fault.start_s) for fault in plan.faults if fault.end_s > start_s]


def _holding(table: LoadTable, band: Band, start_s: float, end_s: float) -> list[bool]:
    """For each whole second from ``start_s`` on: whether the window that begins there is normal."""
    whole_end_s = float(math.floor(end_s + 1e-6))
    seconds = table.per_second(start_s, max(start_s, whole_end_s), None)
    p95_s, errors = (rolling(seconds, figure, band.window_s) for figure in ("p95", "errors"))
    return [band.holds(*window) for window in zip(p95_s, errors, strict=True)]


# -- stage by stage --------------------------------------------------------------------------------


def seen_in_stages(table: LoadTable, stages: Sequence[Plateau], spike: Spike | None) -> Finding:
    """What the users saw in each stage, the way to its level included."""
    text = (
        "How many requests failed in the spike?" if spike else "What did users see in each stage?"
    )
    question = Question("seen-in-stages", text)
    seen = {
        one.index: table.slice(one.from_s, one.end_s)
        for one in stages
        if one.from_s < table.recorded_s
    }
    reached = [one for one in stages if one.index in seen and seen[one.index].requests]
    parts = [_part(one, seen[one.index], min(one.end_s, table.recorded_s)) for one in reached]
    if not reached:
        return question.open("No answer: no request is on record.")
    if spike is not None and spike.top in reached:
        top = seen[spike.top.index]
        rest = [
            f"{figure(seen[one.index].error_ratio or 0.0, 'ratio')} {when}"
            for one, when in ((spike.before, "before it"), (spike.after, "after it"))
            if one in reached
        ]
        reason = (
            f"{figure(top.error_ratio or 0.0, 'ratio')} of {count(top.requests, 'request')} failed "
            f"at {spike.top.name}; {' and '.join(rest)}. {_latencies(reached, seen)}"
        )
        return question.answered(reason, top.error_ratio, "ratio", parts)
    worst = max(reached, key=lambda one: seen[one.index].error_ratio or 0.0)
    highest = seen[worst.index].error_ratio or 0.0
    if highest:
        errors = f"Errors were highest at {worst.name}: {figure(highest, 'ratio')} of requests."
    else:
        errors = "No request failed in any stage."
    return question.answered(f"{errors} {_latencies(reached, seen)}", highest, "ratio", parts)


def _latencies(reached: Sequence[Plateau], seen: dict[int, Slice]) -> str:
    known = [(one, statistic_s(seen[one.index].latency_us, "p95")) for one in reached]
    texts = {one.level: f"{figure(p95, 's')} at {one.name}" for one, p95 in known if p95}
    if not texts:
        return "No request succeeded."
    ends = [texts[level] for level in dict.fromkeys((min(texts), max(texts)))]
    return capitalised(f"latency p95 was {' and '.join(ends)}.")


def _part(one: Plateau, seen: Slice, end_s: float) -> Part:
    p95_s = statistic_s(seen.latency_us, "p95")
    latency = "no request succeeded" if p95_s is None else f"p95 {figure(p95_s, 's')}"
    return Part(
        label=one.name,
        start_s=one.from_s,
        end_s=end_s,
        verdict=Verdict.PASS,
        observed=seen.error_ratio,
        samples=seen.requests,
        reason=f"{figure(seen.rate_per_s, 'per_s')}, {latency}",
    )
