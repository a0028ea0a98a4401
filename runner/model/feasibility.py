"""What makes an experiment impossible to carry out or to judge, before anything is touched. Pure.

Each value of the file is right by itself here; that is the models' work. What is found is a
``Mistake``: a place in the file and a sentence. Positions in the text are ``runner.source``'s work.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.model.experiment import Experiment
from runner.model.faultlint import futile
from runner.model.objective import Objective, promises
from runner.model.placelint import group_mistakes, place_mistakes, score_mistake
from runner.model.plan import OFFSET_DIGITS, Phase, Plan, make_plan
from runner.model.signallint import alert_mistake, signal_mistake

SHORTEST_PHASE_S = 2.0
"""The load is recorded in whole seconds, and a second in which a fault starts is the fault's: a
phase of this length surely has one for itself."""

SPIKE_FACTOR = 2.0
"""A load that grows at least so many times over is a spike, if it comes back."""

BACK_FACTOR = 1.2
"""A load of at most so many times that of before the spike has come back."""

RESERVED_NAMES = ("latest",)
"""Names of links in the results folder, which no experiment can have."""

_ALMOST = 1 + 1e-9

Loc = tuple[str | int, ...]

LENGTH: Loc = ("load", "stages")
WARMUP: Loc = ("warmup",)
FAULTS: Loc = ("faults",)
OBJECTIVES: Loc = ("objectives",)
BUDGET: Loc = ("budget",)
SIGNALS: Loc = ("signals",)
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
        phases = [*_phase_mistakes(experiment), *_objective_mistakes(experiment, unknown)]
    stages = _stage_mistakes(experiment, unknown)
    search = _search_mistakes(experiment, unknown)
    lint = _futile_faults(experiment)
    budget = () if BUDGET in unknown else _budget_mistakes(experiment)
    signals = _signal_mistakes(experiment, unknown)
    return (
        *_name_mistakes(experiment),
        *stages,
        *search,
        *times,
        *lint,
        *phases,
        *budget,
        *signals,
        *_sum_mistakes(experiment, unknown),
    )


def _sum_mistakes(experiment: Experiment, unknown: frozenset[Loc]) -> list[Mistake]:
    """What adds nothing up: a score of no weight, a group of no endpoint."""
    mistakes = [Mistake(("groups", name), why) for name, why in group_mistakes(experiment)]
    if (why := score_mistake(experiment)) and OBJECTIVES not in unknown:
        mistakes.append(Mistake(("score",), why))
    return mistakes


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


def _budget_mistakes(experiment: Experiment) -> list[Mistake]:
    """Objectives on an error budget that nobody has named."""
    return [
        Mistake(
            ("objectives", index),
            f"{objective.objective!r} needs to know what may fail; accepted: beside the "
            "objectives, a budget such as 'budget: {slo: 99.9%}'",
        )
        for index, objective in enumerate(experiment.objectives)
        if objective.bound.sli in ("budget", "burn-rate") and experiment.budget is None
    ]


def _signal_mistakes(experiment: Experiment, unknown: frozenset[Loc]) -> list[Mistake]:
    """Objectives on own signals and alerts that nothing can answer."""
    has_faults = bool(experiment.faults) or FAULTS in unknown
    mistakes = []
    for index, objective in enumerate(experiment.objectives):
        why = alert_mistake(objective, faults=has_faults)
        if SIGNALS not in unknown:
            why = why or signal_mistake(objective, experiment.signals)
        if why:
            mistakes.append(Mistake(("objectives", index), why))
    return mistakes


def _objective_mistakes(experiment: Experiment, unknown: frozenset[Loc]) -> list[Mistake]:
    plan = make_plan(experiment)
    present = {str(phase.name) for phase in plan.phases}
    mistakes = []
    for index, objective in enumerate(experiment.objectives):
        mistakes.extend(_one_objective(index, objective, present, experiment))
        mistakes.extend(
            Mistake(("objectives", index, key) if key else ("objectives", index), why)
            for key, why in place_mistakes(objective, experiment, plan)
        )
        if objective.bound.sli == "recovery":
            mistakes.extend(_recovery_mistakes(index, objective, experiment, unknown))
    return mistakes


def _recovery_mistakes(
    index: int, objective: Objective, experiment: Experiment, unknown: frozenset[Loc]
) -> list[Mistake]:
    """What a recovery lacks: something to recover from, or what must hold again."""
    stages_known = not any(loc[:2] == ("load", "stages") for loc in unknown)
    if not experiment.faults and not may_spike(experiment) and stages_known:
        return [
            Mistake(
                ("objectives", index),
                f"{objective.objective!r} needs something to recover from; this experiment has no "
                "fault, and no load that doubles and comes back",
            )
        ]
    if not objective.until and not promises(experiment.objectives):
        return [
            Mistake(
                ("objectives", index),
                f"{objective.objective!r} needs to know what well means; accepted: 'until', or "
                "beside it, an objective on latency or errors of the load, in the baseline or the "
                "recovery",
            )
        ]
    if objective.source == "mesh":
        return [
            Mistake(
                ("objectives", index, "source"),
                "a recovery is watched second by second, as the load sees it; accepted: no "
                "'source'",
            )
        ]
    return []


def may_spike(experiment: Experiment) -> bool:
    """Whether the load grows to the double at least and comes back, in some of its stages.

    It need not be a spike that is seen: stages may be over in the warmup, or too short.
    """
    levels = [float(stage.rate or stage.users or 0) for stage in experiment.load.stages]
    return any(
        before > 0
        and SPIKE_FACTOR * before <= top
        and before / BACK_FACTOR <= after <= before * BACK_FACTOR
        for at, top in enumerate(levels)
        for before in levels[:at]
        for after in levels[at + 1 :]
    )


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
    if (
        objective.bound.sli != "recovery" and not objective.everywhere
    ):  # 'all' is: all that there are
        for name in objective.phases:
            if name in objective.during and name not in present:
                known = ", ".join(sorted(present))
                mistakes.append(
                    Mistake(
                        ("objectives", index, "during"),
                        f"there is no {name} phase in this experiment; accepted: {known}",
                    )
                )
    return mistakes
