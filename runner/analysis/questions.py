"""The questions that a run can answer beside its objectives, and the answers. Pure.

A question is asked where the plan gives reason to: an uneven load (how did each stage fare, where
do latencies shoot up, was all normal again), a fault (whom did it affect), or what was seen itself
(a service was scaled, a pool overflowed). What the recording does not tell has no answer. None of
this touches the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.analysis.blast import affected_by_fault, affected_by_load
from runner.analysis.loadsteps import stage_figures
from runner.analysis.pools import breakers_acted, pool_headroom, pool_uses
from runner.analysis.profile import Plateau, plateaus, rising, spike_of, varied
from runner.analysis.question import Question
from runner.analysis.scaling import replicas_over_time
from runner.analysis.spike import back_to_normal, seen_in_stages
from runner.analysis.stageknee import find_knee_in_stages
from runner.analysis.windows import LoadTable
from runner.model.evaluation import Finding
from runner.model.objective import Objective
from runner.model.recording import Recording

FEWEST_STAGES = 4
"""Fewer rising stages than this do not show where latencies shoot up."""


def answers(
    recording: Recording, table: LoadTable, objectives: Sequence[Objective]
) -> tuple[Finding, ...]:
    """All questions that there is reason to ask, each with its answer or why there is none."""
    return tuple(_answers(recording, table, objectives))


def _answers(
    recording: Recording, table: LoadTable, objectives: Sequence[Objective]
) -> Iterator[Finding]:
    plan, signals = recording.plan, recording.signals
    stages = varied(plateaus(plan))
    spike = spike_of(stages)
    if len(rising(stages)) >= FEWEST_STAGES:
        yield _breaking_point(recording, table, rising(stages), objectives)
    if stages:
        yield seen_in_stages(table, stages, spike)
    if spike is not None:
        yield back_to_normal(table, spike, plan)
    if stages:
        yield affected_by_load(signals, stages, spike, plan)
    for fault in plan.faults:
        if fault.start_s >= table.recorded_s:
            continue  # the run was over before it: there is no such question
        yield affected_by_fault(signals, fault, plan.phases)
    uses = pool_uses(recording)
    found = (
        replicas_over_time(recording, varied=bool(stages)),
        pool_headroom(uses, plan.duration_s, varied=bool(stages)),
        breakers_acted(uses, asked=bool(stages or plan.faults)),
    )
    yield from (one for one in found if one is not None)


def _breaking_point(
    recording: Recording,
    table: LoadTable,
    stages: Sequence[Plateau],
    objectives: Sequence[Objective],
) -> Finding:
    """Between which stages latencies shot up; a promise about p95 is a bound for it, too."""
    question = Question("breaking-point", "At which load do latencies shoot up?")
    figures = stage_figures(table, recording.load.generator, stages)
    if len(figures) < FEWEST_STAGES:
        return question.open(
            f"No answer: {len(figures)} of {len(stages)} stages came to their end, and it takes "
            f"{FEWEST_STAGES}."
        )
    knee = find_knee_in_stages(figures, latency_s=_promised_p95_s(objectives))
    if not knee.answered:
        return question.open(knee.sentence)
    return question.answered(knee.sentence)


def _promised_p95_s(objectives: Sequence[Objective]) -> float | None:
    """The strictest bound on the p95 of all requests as users see it."""
    bounds = [
        one.bound.value
        for one in objectives
        if (one.bound.sli, one.bound.statistic) == ("latency", "p95")
        and one.effective_source == "client"
        and one.of is None
        and one.stage is None
    ]
    return min(bounds, default=None)
