"""What in a plan is possible, but cannot come to a clear answer. Pure; nothing is refused here.

An experiment may be right in every word and still be unable to prove what it asks: a phase too
short for the mesh's figures, a recovery that nobody could watch for long enough, a guard that can
never act. Whoever is told before a run of half an hour has won half an hour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from runner.analysis.alertsight import alert_doubts
from runner.analysis.guardsight import guard_doubts
from runner.analysis.lengths import (
    FEWEST_WINDOWS,
    RECOVERY_WINDOW_S,
    SHORTEST_WINDOW_S,
    steady_from_s,
)
from runner.analysis.placesight import place_doubts
from runner.analysis.profile import Spike, plateaus, spike_of, varied
from runner.analysis.words import count, phase_label
from runner.model.fault import HttpDelay, PodKill
from runner.model.faultname import faults_meant, named_faults
from runner.model.feasibility import Mistake, edge_of
from runner.model.objective import Objective
from runner.model.plan import Phase, Plan, PlannedFault

SHORTEST_MESH_PHASE_S = 5.0
"""Prometheus needs four scrapes within a phase; the sandbox has one each second."""


def doubts_about(plan: Plan) -> tuple[Mistake, ...]:
    """Sentences on what ``plan`` cannot answer, each with its place in the experiment's file."""
    return (
        *_short_phases(plan),
        *_recoveries(plan),
        *_spikes(plan),
        *_beyond_breaking(plan),
        *_few_steps(plan),
        *guard_doubts(plan),
        *alert_doubts(plan),
        *place_doubts(plan, SHORTEST_MESH_PHASE_S),
        *_twice(plan),
        *_long_delays(plan),
    )


def _short_phases(plan: Plan) -> Iterator[Mistake]:
    for phase in plan.phases:
        why = _mesh_needed(phase, plan)
        if why and phase.duration_s < SHORTEST_MESH_PHASE_S:
            yield Mistake(
                edge_of(phase, plan),
                f"{phase_label(plan, phase)} lasts {phase.duration_s:g}s, but {why} needs the "
                f"mesh's figures, and these {SHORTEST_MESH_PHASE_S:g}s or more (four scrapes); "
                "likely to be inconclusive",
            )


def _mesh_needed(phase: Phase, plan: Plan) -> str:
    """What needs figures of the mesh in ``phase``; empty for nothing."""
    if phase.faults:
        return "the proof of the fault"
    for objective in plan.experiment.objectives:
        mesh = objective.effective_source == "mesh" and objective.bound.sli != "recovery"
        if mesh and phase.name in objective.phases:
            return repr(objective.objective)
    return ""


def _beyond_breaking(plan: Plan) -> Iterator[Mistake]:
    """Objectives that a search cannot meet: it goes on until the target gives in."""
    search = plan.experiment.load.search
    if search is None:
        return
    for index, objective in enumerate(plan.experiment.objectives):
        bound = objective.bound
        if bound.sli == "breaking-point" and not bound.holds(search.end):
            yield Mistake(
                ("objectives", index),
                f"this search ends at {search.end:g}/s, so that {objective.objective!r} can be "
                "missed, but not met",
            )
        elif bound.sli in ("latency", "errors", "traffic"):
            yield Mistake(
                ("objectives", index),
                f"{objective.objective!r} is judged over the whole search, which goes beyond the "
                "breaking point; what must hold at a rate stands in 'until'",
            )


def _few_steps(plan: Plan) -> Iterator[Mistake]:
    """A search that may be over before both ends of its answer were tried often enough."""
    search = plan.experiment.load.search
    if search is None:
        return
    # Only here: all others who look at a plan shall not wait for it.
    from runner.analysis.searched import settings_of

    settings = settings_of(search)
    climb = math.ceil(math.log(search.end / search.start, settings.growth)) + 1
    needed = climb + 2 * settings.repeats
    if search.max_steps < needed:
        yield Mistake(
            ("load", "search", "max_steps"),
            f"{count(search.max_steps, 'step')} may end before an answer: from {search.start:g}/s "
            f"to {search.end:g}/s it is up to {count(climb, 'step')}, and a rate is an end of "
            f"the answer after {settings.repeats}; {needed} or more leave room for both ends",
        )


def _recoveries(plan: Plan) -> Iterator[Mistake]:
    spike = spike_of(varied(plateaus(plan)))
    for index, objective in enumerate(plan.experiment.objectives):
        if objective.bound.sli != "recovery":
            continue
        seen = [(fault.id, _watched_s(fault, plan)) for fault in faults_meant(objective, plan)]
        if spike is not None and not named_faults(objective):
            seen.append(("the spike", _after_spike_s(spike, plan)))
        if not seen:
            yield Mistake(
                ("objectives", index),
                f"{objective.objective!r} has nothing to recover from: there is no fault, and the "
                "spike of the load is over in the warmup, or too short; this is inconclusive",
            )
            continue
        unseen = [(name, left_s) for name, left_s in seen if left_s < RECOVERY_WINDOW_S]
        short = [(name, left_s) for name, left_s in seen if left_s < objective.bound.value]
        if unseen:
            end = (
                f"a recovery can be seen only in {RECOVERY_WINDOW_S}s or more, so that this is "
                "inconclusive"
            )
            yield _unwatched(index, unseen, end)
        elif short:
            end = f"whether {objective.objective!r} is missed cannot be seen in that time"
            yield _unwatched(index, short, end)


def _after_spike_s(spike: Spike, plan: Plan) -> float:
    """How long the recovery from a spike is watched: to the next load or fault, or to the end."""
    start_s = spike.after.start_s
    faults = [max(start_s, one.start_s) for one in plan.faults if one.end_s > start_s]
    return max(0.0, min([spike.after.end_s, *faults]) - start_s)


def _watched_s(fault: PlannedFault, plan: Plan) -> float:
    """How long the recovery from ``fault`` is watched: to the next fault, or to the end.

    Of many kills, the shortest time in which a recovery can be seen at all.
    """
    broken = fault.fault
    starts = [fault.start_s if broken.recovers else fault.end_s]
    if isinstance(broken, PodKill):
        starts = [fault.start_s + after_s for after_s in broken.moments(fault.seed)]
    watched = []
    for start_s, next_s in zip(starts, [*starts[1:], plan.duration_s], strict=True):
        others = [one.start_s for one in plan.faults if one.id != fault.id and one.end_s > start_s]
        watched.append(max(0.0, min([next_s, plan.duration_s, *others]) - start_s))
    return min((one for one in watched if one >= RECOVERY_WINDOW_S), default=max(watched))


def _unwatched(index: int, seen: list[tuple[str, float]], end: str) -> Mistake:
    name, left_s = min(seen, key=lambda one: one[1])
    others = f" ({count(len(seen) - 1, 'other')} alike)" if len(seen) > 1 else ""
    return Mistake(
        ("objectives", index),
        f"the recovery from {name} is watched for {round(left_s, 1):g}s only, until the next fault "
        f"or the end{others}; {end}",
    )


def _spikes(plan: Plan) -> Iterator[Mistake]:
    """What is too short to tell when all was normal again after a spike."""
    spike = spike_of(varied(plateaus(plan)))
    if spike is None:
        return
    before_s = spike.before.end_s - steady_from_s(spike.before)
    least_s = float(FEWEST_WINDOWS * SHORTEST_WINDOW_S)
    if before_s < least_s:
        yield _unanswered(f"the steady time before the spike lasts {before_s:.3g}s", least_s)
    after_s, least_s = spike.after.end_s - spike.after.start_s, float(SHORTEST_WINDOW_S)
    if after_s < least_s:
        yield _unanswered(f"the time after the spike lasts {after_s:.3g}s", least_s)


def _unanswered(what: str, least_s: float) -> Mistake:
    return Mistake(
        ("load", "stages"),
        f"{what} only; when all is back to normal cannot be told from less than {least_s:g}s",
    )


def _long_delays(plan: Plan) -> Iterator[Mistake]:
    """Delays of which no request that is hit comes back while the fault is on."""
    for index, fault in enumerate(plan.experiment.faults):
        if isinstance(fault, HttpDelay) and fault.delay > fault.duration:
            yield Mistake(
                ("faults", index, "delay"),
                f"each request that is hit waits for {fault.delay:g}s, longer than the fault's "
                f"{fault.duration:g}s: unless its caller gives up before, it is answered after the "
                "fault, and counts there",
            )


def _twice(plan: Plan) -> Iterator[Mistake]:
    first: dict[object, int] = {}
    for index, objective in enumerate(plan.experiment.objectives):
        key = _meaning(objective)
        if key in first:
            yield Mistake(
                ("objectives", index),
                f"{objective.objective!r} says the same as objective {first[key] + 1}; it is "
                "judged and counted twice",
            )
        first.setdefault(key, index)


def _meaning(objective: Objective) -> object:
    bound = objective.bound
    return (
        (bound.sli, bound.statistic, bound.operator, bound.reference or bound.value),
        (objective.of, objective.service, objective.effective_source, objective.stage),
        (objective.other_than, objective.sustained, objective.until),
        frozenset(objective.during),
    )
