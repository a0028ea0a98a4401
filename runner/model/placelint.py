"""Objectives about what an experiment does not have, told before a run: places, groups, weights.

Pure; sentences with the key they are about. Where that stands in a file is ``feasibility``'s work.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from runner.model.experiment import Experiment
from runner.model.faultname import faults_called, faults_meant, named_faults, names_of
from runner.model.objective import Objective
from runner.model.plan import Plan
from runner.model.span import STAGE, window_s

SHORTEST_WINDOW_S = 2.0
"""The load is recorded in whole seconds: a window of this length surely has one for itself."""

Told = tuple[str, str]
"""The key of an objective, empty for the whole of it, and what is wrong there."""


def place_mistakes(objective: Objective, experiment: Experiment, plan: Plan) -> Iterator[Told]:
    """What ``objective`` asks for that ``plan``, which is of ``experiment``, cannot give."""
    for name in named_faults(objective):
        if why := _fault(name, plan):
            yield "during", why
    for span in objective.during:
        if why := _stage(span, plan) or _window(span, objective, plan):
            yield "during", why
    if why := _elsewhere(objective, plan):
        yield "stage", why
    if objective.service is not None and objective.source == "client":
        yield "source", "services are seen by the mesh only; drop 'source: client'"
    if why := _group(objective.of, experiment.groups):
        yield "of", why
    if why := _reference(objective, plan):
        yield "", why


def score_mistake(experiment: Experiment) -> str:
    """What makes a score impossible; empty for nothing."""
    if experiment.score is None or any(one.weight for one in experiment.objectives):
        return ""
    return "every objective has the weight 0, so that nothing adds up; accepted: a weight above 0"


def group_mistakes(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Groups without an endpoint, by name, and what is wrong with each."""
    for name, items in experiment.groups.items():
        if not items:
            yield name, f"the group {name!r} has no endpoint; accepted: one such as 'GET /items'"


def _fault(name: str, plan: Plan) -> str:
    found = faults_called(name, plan.faults)
    if len(found) == 1:
        return ""
    if found:
        alike = ", ".join(repr(one.id) for one in found)
        return f"{name!r} can mean more than one fault; accepted: {alike}"
    known = names_of(plan.faults)
    if not known:
        return f"there is no fault {name!r}: this experiment has none"
    return f"there is no fault {name!r}; {_near(name, known)}accepted: {', '.join(known)}"


def _stage(span: str, plan: Plan) -> str:
    if not span.startswith(STAGE):
        return ""
    number, stages = int(span.removeprefix(STAGE)), len(plan.stages)
    if number <= stages:
        return ""
    accepted = f"stage:1 to stage:{stages}" if stages else "no stage, because the load has none"
    return f"there is no stage {number} in this experiment; accepted: {accepted}"


def _window(span: str, objective: Objective, plan: Plan) -> str:
    edges = window_s(span)
    if edges is None:
        return ""
    if edges[1] > plan.duration_s:
        return (
            f"the window {span} is not within the run, which ends at {plan.duration_s:g}s; "
            f"accepted: an end of at most {plan.duration_s:g}s"
        )
    least_s = max(SHORTEST_WINDOW_S, objective.sustained or 0.0)
    if edges[1] - edges[0] < least_s:
        of = f"so long as 'for' ({least_s:g}s)" if objective.sustained else f"{least_s:g}s"
        return f"the window {span} is too short to be judged; accepted: {of} or more"
    return ""


def _elsewhere(objective: Objective, plan: Plan) -> str:
    """A stage of which no part is where the objective holds."""
    number = objective.stage
    if number is None or number > len(plan.stages):
        return ""
    stage = plan.stages[number - 1]
    edges = [window_s(span) for span in objective.during]
    edges += [
        (one.start_s, one.end_s)
        for at, one in enumerate(plan.stages, start=1)
        if f"{STAGE}{at}" in objective.during
    ]
    ids = {one.id for one in faults_meant(objective, plan)} if named_faults(objective) else set()
    edges += [
        (phase.start_s, phase.end_s)
        for phase in plan.phases
        if phase.name in objective.during or ids.intersection(phase.faults)
    ]
    known = [one for one in edges if one is not None]
    met = any(max(start, stage.start_s) < min(end, stage.end_s) for start, end in known)
    if met or not known:
        return ""
    where = ", ".join(objective.during)
    return (
        f"stage {number} is from {stage.start_s:g}s to {stage.end_s:g}s, and no part of {where} "
        "is in it: nothing would be judged; accepted: a stage and 'during' that meet"
    )


def _group(of: str | None, groups: Iterable[str]) -> str:
    """An endpoint is a method and a name; one word that is nearly a group's was meant as that."""
    known = tuple(groups)
    if of is None or of in known or " " in of or "*" in of:
        return ""
    near = _near(of, known)
    return f"there is no group {of!r}; {near}accepted: {', '.join(known)}" if near else ""


def _reference(objective: Objective, plan: Plan) -> str:
    reference = objective.bound.reference
    if reference is None or reference.run:
        return ""
    if not plan.phases_named("baseline"):
        return (
            f"{objective.objective!r} compares with the baseline, and this run has none; accepted: "
            "a warmup that ends before the first fault starts"
        )
    if objective.everywhere and not plan.phases_named("fault", "recovery"):
        return (
            f"{objective.objective!r} compares a fault and a recovery with the baseline, and this "
            "experiment has no fault; accepted: a fault, 'during' with windows or stages, or an "
            "earlier run: 'run:NAME'"
        )
    return ""


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""
