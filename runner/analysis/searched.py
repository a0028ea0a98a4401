"""A search for the breaking point as it stands on record: its steps, and what they lead to. Pure.

The conductor asks a search for its next step and feeds it with what the record says of the last
one; here the same is done again from the record alone, so that the answer of a run is the same
while it is under way and years later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from runner.analysis.breakpoint import BreakingPoint, Search
from runner.analysis.loadsteps import generator_problem
from runner.analysis.stats import statistic_s
from runner.analysis.steps import Criteria, SearchSettings, Step, StepResult, StepSecond, pool
from runner.analysis.usl import UslFit, fit_usl
from runner.analysis.windows import seconds_of
from runner.analysis.words import count, figure
from runner.model import experiment
from runner.model.bound import parse_bound
from runner.model.histogram import merge_into, quantile_us
from runner.model.packedrows import rows_within
from runner.model.plan import Plan
from runner.model.recording import ArrivalSecond, LoadRecord, Recording, SearchStep

LATE_SHARE = 0.1
"""How late a generator may send, as a share of the latency bound, and at most ``LATE_S``."""

LATE_S = 0.1
LATE_QUANTILE = 0.95

LATE_SECONDS_RATIO = 0.1
"""How much of a step the generator may be late, beyond two seconds."""

UNREST_RATIO = 0.01
"""Requests of an earlier step that may still be under way when a step begins, as a share of its
own."""

SOUND_FIT_RATIO = 0.95
"""A curve that explains less of the throughput than this explains nothing."""


@dataclass(frozen=True, slots=True)
class DoneStep:
    """A step that was carried out, and what it saw."""

    step: Step
    carried: SearchStep
    result: StepResult


@dataclass(frozen=True, slots=True)
class Searched:
    """A search as far as it came.

    Attributes:
        settings: What was searched for.
        steps: What was done, in order.
        due: The step that comes next; None when the search wants no more.
        answer: What is known after the steps.
        torn: Why the record is not that of this search; empty when it is.
        law: The Universal Scalability Law fitted to the rates, where that is sound.
    """

    settings: SearchSettings
    steps: tuple[DoneStep, ...]
    due: Step | None
    answer: BreakingPoint
    torn: str = ""
    law: UslFit | None = None


def settings_of(search: experiment.Search) -> SearchSettings:
    """What to search for, as the experiment says it."""
    bounds = {bound.sli: bound for bound in map(parse_bound, search.until)}
    latency, errors = bounds.get("latency"), bounds.get("errors")
    return SearchSettings(
        start_rate=search.start,
        max_rate=search.end,
        criteria=Criteria(
            latency_s=None if latency is None else latency.value,
            quantile=0.99 if latency is None else latency.quantile or 0.99,
            error_ratio=None if errors is None else errors.value,
        ),
        tolerance_ratio=search.tolerance / 100,
        step_s=search.step,
        transient_s=search.transient,
        max_steps=search.max_steps,
        max_repeats=min(4, search.max_steps),
    )


def searched(recording: Recording) -> Searched | None:
    """The search of ``recording``, done again; None when it was none."""
    wanted = recording.plan.experiment.load.search
    return None if wanted is None else search_again(recording.load, settings_of(wanted))


def search_again(load: LoadRecord, settings: SearchSettings) -> Searched:
    """Feed a search with the steps that are on record."""
    search = Search(settings)
    steps: list[DoneStep] = []
    torn = ""
    for carried in load.steps:
        step = search.next_step()
        if step is None or step.rate_per_s != carried.rate_per_s:
            wanted = "none" if step is None else figure(step.rate_per_s, "per_s", 4)
            rate = figure(carried.rate_per_s, "per_s", 4)
            torn = f"step {carried.number} was at {rate}, where {wanted} was due"
            break
        if not carried.ended:
            break
        before = steps[-1].carried if steps else None
        result = step_result(load, carried, settings.criteria, before)
        search.add(result)
        steps.append(DoneStep(step, carried, result))
    due = None if torn else search.next_step()
    law = fit_usl(_loads(steps, settings)) if due is None else None
    return Searched(
        settings=settings,
        steps=tuple(steps),
        due=due,
        answer=search.outcome(),
        torn=torn,
        law=law if law is not None and law.fit_ratio >= SOUND_FIT_RATIO else None,
    )


def _loads(steps: Sequence[DoneStep], settings: SearchSettings) -> list[tuple[float, float]]:
    """Mean requests under way and throughput of each rate, by Little's law."""
    by_rate: dict[float, list[StepResult]] = {}
    for done in steps:
        if not done.result.generator_problem:
            by_rate.setdefault(done.step.rate_per_s, []).append(done.result)
    points = []
    for results in by_rate.values():
        pooled = pool(results, settings.transient_s, settings.criteria)
        done_per_s = pooled.rate_per_s * pooled.achieved_ratio
        if pooled.mean_s and not pooled.failed:
            points.append((done_per_s * pooled.mean_s, done_per_s))
    return points


# -- one step --------------------------------------------------------------------------------------


def step_result(
    load: LoadRecord, step: SearchStep, criteria: Criteria, before: SearchStep | None = None
) -> StepResult:
    """What ``step`` saw, with latencies from when each request was due.

    Args:
        load: The record; all of the step's seconds must be written.
        step: The step as it was carried out.
        criteria: Says how late a send may be.
        before: The step before it, whose requests should have ended.
    """
    seconds = seconds_of(step.start_s, step.start_s + step.duration_s)
    arrivals = [load.arrivals.get(second, ArrivalSecond()) for second in seconds]
    failed = [0] * len(seconds)
    latency_us: list[dict[int, int]] = [{} for _ in seconds]
    for row in rows_within(load.rows, seconds):
        if row.late:
            continue  # what came later was not known when the search went on, or ended
        at = row.second - seconds.start
        if row.outcome == "success":
            merge_into(latency_us[at], row.latency_us)
        else:
            failed[at] += row.count
    seen = [sum(counts.values()) + bad for counts, bad in zip(latency_us, failed, strict=True)]
    # Where one arrival makes several requests, arrivals cannot tell how many were due.
    several = sum(seen) > sum(one.offered for one in arrivals)
    problem = _problem(load, seconds, arrivals, criteria) or _unrest(load, step, before)
    return StepResult(
        rate_per_s=step.rate_per_s,
        seconds=tuple(
            StepSecond(
                offered=number + one.dropped if several else one.offered,
                failed=bad,
                latency_us=counts,
                in_flight=level,
            )
            for number, one, bad, counts, level in zip(
                seen, arrivals, failed, latency_us, _levels(arrivals), strict=True
            )
        ),
        dropped=sum(one.dropped for one in arrivals),
        generator_problem=problem,
    )


def _levels(arrivals: Sequence[ArrivalSecond]) -> list[int]:
    """Arrivals that were due and are neither done nor given up, at the end of each second."""
    levels, level = [], 0
    for one in arrivals:
        level = max(0, level + one.offered - one.dropped - one.completed)
        levels.append(level)
    return levels


def _unrest(load: LoadRecord, step: SearchStep, before: SearchStep | None) -> str:
    """Whether the target was still busy with the step before; empty when it was idle."""
    if before is None:
        return ""
    left = under_way(load.arrivals, seconds_of(before.start_s, step.start_s))
    if left <= max(1.0, UNREST_RATIO * step.rate_per_s * step.duration_s):
        return ""
    return f"{count(left, 'request')} of the step before had not ended"


def under_way(arrivals: Mapping[int, ArrivalSecond], seconds: Iterable[int]) -> int:
    """Arrivals of ``seconds`` that are neither done nor given up by their end."""
    known = (arrivals[second] for second in seconds if second in arrivals)
    return max(0, sum(one.offered - one.dropped - one.completed for one in known))


def _problem(
    load: LoadRecord, seconds: range, arrivals: Sequence[ArrivalSecond], criteria: Criteria
) -> str:
    """Why the generator was the limit in a step; empty when it was not."""
    holes = sum(second not in load.users or second not in load.arrivals for second in seconds)
    if holes:
        return f"it recorded nothing in {count(holes, 'second')}"
    allowed_s = LATE_S
    if criteria.latency_s is not None:
        allowed_s = min(LATE_S, LATE_SHARE * criteria.latency_s)
    late = sum(_late_s(one) > allowed_s for one in arrivals)
    if late > max(2.0, LATE_SECONDS_RATIO * len(arrivals)):
        return (
            f"in {late} of {len(arrivals)} seconds it sent requests more than "
            f"{figure(allowed_s, 's')} late"
        )
    lost = [event for event in load.workers if event.what == "lost" and event.second in seconds]
    if lost:
        return f"it lost {count(len(lost), 'worker')}"
    return generator_problem(load.generator, seconds)


def _late_s(one: ArrivalSecond) -> float:
    value_us = quantile_us(one.late_us, LATE_QUANTILE)
    return 0.0 if value_us is None else value_us / 1e6


def step_quantile_s(done: DoneStep, settings: SearchSettings) -> float | None:
    """The latency quantile of one step, its transient left out; None without answers."""
    pooled = pool([done.result], settings.transient_s, settings.criteria)
    return statistic_s(pooled.latency_us, f"p{settings.criteria.quantile * 100:g}")


# -- the run that it was ---------------------------------------------------------------------------


def carried_out(recording: Recording) -> Recording:
    """``recording`` with the plan that was carried out.

    A search ends when it knows enough, before the longest time that it was given. That is its
    orderly end, and nothing is missing after it. Anything else is returned as it is.
    """
    plan, load = recording.plan, recording.load
    end_s = float(max(load.users, default=-1) + 1)
    ended = recording.manifest.state == "recorded" and load.complete
    if plan.experiment.load.search is None or not ended or not 0 < end_s < plan.duration_s:
        return recording
    return replace(recording, plan=_cut(plan, end_s))


def _cut(plan: Plan, end_s: float) -> Plan:
    phases = tuple(
        phase.model_copy(update={"end_s": min(phase.end_s, end_s)})
        for phase in plan.phases
        if phase.start_s < end_s
    )
    return plan.model_copy(update={"duration_s": end_s, "phases": phases})
