"""What makes an experiment impossible to carry out or to judge, before anything is touched. Pure.

Each value of the file is right by itself here; that is the models' work. What is found is a
``Mistake``: a place in the file and a sentence. Positions in the text are ``runner.source``'s work.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.model.experiment import Experiment
from runner.model.faultlint import futile
from runner.model.objective import Objective, promises
from runner.model.plan import OFFSET_DIGITS, Phase, Plan, make_plan

SHORTEST_PHASE_S = 2.0
"""The load is recorded in whole seconds, and a second in which a fault starts is the fault's: a
phase of this length surely has one for itself."""

RESERVED_NAMES = ("latest",)
"""Names of links in the results folder, which no experiment can have."""

_ALMOST = 1 + 1e-9

Loc = tuple[str | int, ...]

LENGTH: Loc = ("load", "stages")
WARMUP: Loc = ("warmup",)
FAULTS: Loc = ("faults",)
OBJECTIVES: Loc = ("objectives",)
"""Parts that may be unknown, because the file is wrong there; see ``runner.model.salvage``."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that is wrong in an experiment, at a place in it.

    Attributes:
        loc: Path of keys and indices, such as ``("faults", 0, "at")``.
        message: What is wrong and what would be accepted.
    """

    loc: Loc
    message: str


def mistakes_in(
    experiment: Experiment, unknown: frozenset[Loc] = frozenset()
) -> tuple[Mistake, ...]:
    """What makes ``experiment`` impossible to carry out or to judge, all of it at once.

    Args:
        experiment: What to check.
        unknown: Parts of it that are stand-ins; nothing that rests on them is said.
    """
    times: list[Mistake] = []
    if not unknown & {LENGTH, WARMUP}:
        times += _warmup_mistakes(experiment)
    times += _fault_mistakes(experiment)
    phases: list[Mistake] = []
    # Where times are impossible, phases would be nonsense, and so would what is said about them.
    if not times and not unknown & {LENGTH, WARMUP, FAULTS}:
        phases = [*_phase_mistakes(experiment), *_objective_mistakes(experiment)]
    stages = _stage_mistakes(experiment, unknown)
    search = _search_mistakes(experiment, unknown)
    lint = _futile_faults(experiment)
    return (*_name_mistakes(experiment), *stages, *search, *times, *lint, *phases)


def _name_mistakes(experiment: Experiment) -> list[Mistake]:
    if experiment.name not in RESERVED_NAMES:
        return []
    return [
        Mistake(
            ("name",),
            f"{experiment.name!r} is how the newest run is called; accepted: any other name",
        )
    ]


def _stage_mistakes(experiment: Experiment, unknown: frozenset[Loc]) -> list[Mistake]:
    mistakes = []
    stages = experiment.load.stages
    known = [("load", "stages", index, "users") not in unknown for index in range(len(stages))]
    if stages and not any(stage.users or stage.rate for stage in stages):
        mistakes.append(
            Mistake(
                ("load", "stages"),
                "no stage has a user or a rate, so nothing would be tried; accepted: at least one "
                "user, or a rate above 0/s",
            )
        )
    users = 0
    for index, stage in enumerate(stages):
        wanted = stage.users or 0
        change, users = abs(wanted - users), wanted
        if not all(known[max(0, index - 1) : index + 1]):
            continue
        if stage.spawn_rate is not None and change > stage.spawn_rate * stage.duration * _ALMOST:
            mistakes.append(
                Mistake(
                    ("load", "stages", index, "spawn_rate"),
                    f"{change} users at {stage.spawn_rate:g} per second take "
                    f"{change / stage.spawn_rate:g}s, but the stage lasts {stage.duration:g}s; "
                    f"accepted: {change / stage.duration:g} per second or more",
                )
            )
    return mistakes


def _search_mistakes(experiment: Experiment, unknown: frozenset[Loc]) -> list[Mistake]:
    """What a search cannot be combined with, and what no other load can answer."""
    asked = [o.bound.sli == "breaking-point" for o in experiment.objectives]
    if LENGTH in unknown:
        return []
    if experiment.load.search is None:
        return [
            Mistake(
                ("objectives", index),
                f"{experiment.objectives[index].objective!r} needs a load that looks for it; "
                "accepted: 'search' in the load, or another objective",
            )
            for index, one in enumerate(asked)
            if one
        ]
    mistakes = []
    if not any(asked) and OBJECTIVES not in unknown:
        mistakes.append(
            Mistake(
                OBJECTIVES,
                "a search asks for the breaking point, and no objective is about it; accepted: one "
                f"such as 'breaking-point >= {experiment.load.search.start:g}/s'",
            )
        )
    if experiment.faults:
        mistakes.append(
            Mistake(
                ("faults", 0, "at"),
                "nobody knows which rate a search will be at then; accepted: no faults in a search",
            )
        )
    if experiment.warmup:
        mistakes.append(
            Mistake(
                ("warmup",),
                "each step of a search has a transient that is not judged, so that it needs no "
                "warmup; accepted: 0s",
            )
        )
    return mistakes


def _warmup_mistakes(experiment: Experiment) -> list[Mistake]:
    total_s = round(experiment.duration_s, OFFSET_DIGITS)
    if experiment.warmup < total_s:
        return []
    return [
        Mistake(
            ("warmup",),
            f"the warmup of {experiment.warmup:g}s leaves nothing of the {total_s:g}s of load; "
            f"accepted: less than {total_s:g}s",
        )
    ]


def _fault_mistakes(experiment: Experiment) -> list[Mistake]:
    mistakes = []
    total_s = round(experiment.duration_s, OFFSET_DIGITS)
    for index, fault in enumerate(experiment.faults):
        end_s = round(fault.at + fault.duration, OFFSET_DIGITS)
        if fault.at >= total_s or end_s > total_s:
            mistakes.append(
                Mistake(
                    ("faults", index, "at"),
                    f"the fault lasts from {fault.at:g}s to {end_s:g}s, but the load ends at "
                    f"{total_s:g}s; accepted: an end of at most {total_s:g}s",
                )
            )
        if fault.at < experiment.warmup:
            mistakes.append(
                Mistake(
                    ("faults", index, "at"),
                    f"the fault starts at {fault.at:g}s, in the warmup, which no objective "
                    f"judges; accepted: {experiment.warmup:g}s or later",
                )
            )
        elif fault.at == experiment.warmup:
            mistakes.append(
                Mistake(
                    ("faults", index, "at"),
                    "the fault starts where the warmup ends, so that there is no baseline to "
                    f"compare with; accepted: later than {experiment.warmup:g}s",
                )
            )
    return mistakes


def _futile_faults(experiment: Experiment) -> list[Mistake]:
    return [
        Mistake(("faults", index, found.key), found.why)
        for index, fault in enumerate(experiment.faults)
        for found in futile(fault)
    ]


def _phase_mistakes(experiment: Experiment) -> list[Mistake]:
    """Phases that are judged, but too short for a recorded second."""
    judged = {
        name
        for objective in experiment.objectives
        for name in objective.phases
        if objective.bound.sli not in ("recovery", "alert")
    }
    plan = make_plan(experiment)
    return [
        Mistake(
            edge_of(phase, plan),
            f"the {phase.name} phase, from {phase.start_s:g}s to {phase.end_s:g}s, is too short to "
            f"be judged; accepted: phases of at least {SHORTEST_PHASE_S:g}s",
        )
        for phase in plan.phases
        if phase.name in judged and phase.duration_s < SHORTEST_PHASE_S
    ]


def edge_of(phase: Phase, plan: Plan) -> tuple[str | int, ...]:
    """Where the file says when ``phase`` begins or ends."""
    edges = (phase.start_s, phase.end_s)
    for index, fault in enumerate(plan.faults):
        if fault.start_s in edges:
            return "faults", index, "at"
        if fault.end_s in edges:
            return "faults", index, "duration"
    return ("warmup",) if plan.experiment.warmup else ("load", "stages")


def _objective_mistakes(experiment: Experiment) -> list[Mistake]:
    present = {str(phase.name) for phase in make_plan(experiment).phases}
    mistakes = []
    for index, objective in enumerate(experiment.objectives):
        mistakes.extend(_one_objective(index, objective, present, experiment))
    return mistakes


def _one_objective(
    index: int, objective: Objective, present: set[str], experiment: Experiment
) -> list[Mistake]:
    mistakes = []
    stages = len(experiment.load.stages)
    if objective.stage is not None and objective.stage > stages:
        mistakes.append(
            Mistake(
                ("objectives", index, "stage"),
                f"there is no stage {objective.stage} in this experiment; accepted: "
                + (f"1 to {stages}" if stages else "no 'stage', because the load has none"),
            )
        )
    if objective.bound.sli == "recovery" and not experiment.faults:
        mistakes.append(
            Mistake(
                ("objectives", index),
                f"{objective.objective!r} needs a fault to recover from; this experiment has none",
            )
        )
    elif objective.bound.sli == "recovery" and not promises(experiment.objectives):
        mistakes.append(
            Mistake(
                ("objectives", index),
                f"{objective.objective!r} needs to know what well means; accepted: beside it, an "
                "objective on latency or errors of the load, in the baseline or the recovery",
            )
        )
    elif not objective.everywhere:  # 'all' is: all that there are
        for name in objective.phases:
            if name not in present:
                known = ", ".join(sorted(present))
                mistakes.append(
                    Mistake(
                        ("objectives", index, "during"),
                        f"there is no {name} phase in this experiment; accepted: {known}",
                    )
                )
    return mistakes
