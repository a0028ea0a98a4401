"""Where in one run an objective holds: its phases, the phases of its faults, its windows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from runner.analysis.words import figure, listed, phase_label
from runner.mistakes import closest
from runner.model.faultname import faults_called, faults_meant, named_faults, names_of
from runner.model.objective import Objective
from runner.model.plan import Phase, Plan
from runner.model.span import STAGE, window_s

NOT_COLLECTED = -1
"""Index of a window of which no figures of the mesh were collected."""

WINDOW: Literal["window"] = "window"

_SAME_S = 1e-5


@dataclass(frozen=True, slots=True)
class Place:
    """One window of time in which an objective is judged by itself.

    Attributes:
        phase: Its edges, and the index under which the mesh's figures of it stand.
        label: What a reader calls it.
    """

    phase: Phase
    label: str

    @property
    def name(self) -> str:
        """Name of the phase; ``window`` for windows and stages."""
        return self.phase.name


@dataclass(frozen=True, slots=True)
class Absent:
    """A place that an objective names and a run does not have.

    Attributes:
        label: What a reader calls it.
        name: Name of the phase, or ``window``.
        reason: Why it is not there, as the end of a sentence.
    """

    label: str
    name: str
    reason: str


def places_of(objective: Objective, plan: Plan) -> tuple[Place, ...]:
    """The places in ``plan`` that ``objective`` names: phases in order, then windows, each once."""
    phases = tuple(Place(phase, phase_label(plan, phase)) for phase in _phases(objective, plan))
    windows = tuple(
        place for span in objective.during if (place := _window(span, plan)) is not None
    )
    found = (*phases, *windows)
    if objective.stage is None:
        return found
    cut = (_within(place, objective.stage, plan) for place in found)
    return tuple(place for place in cut if place is not None)


def absent_from(objective: Objective, plan: Plan) -> tuple[Absent, ...]:
    """The places that ``objective`` asks for by name and ``plan`` does not have.

    None where it holds wherever it applies: then no place in particular is asked for.
    """
    return () if objective.everywhere else tuple(_absent(objective, plan))


def _phases(objective: Objective, plan: Plan) -> tuple[Phase, ...]:
    names = {span for span in objective.during if ":" not in span}
    reference = objective.bound.reference
    if reference is not None and not reference.run and objective.everywhere:
        names.discard("baseline")  # It would be compared with itself.
    ids = {one.id for one in faults_meant(objective, plan)} if named_faults(objective) else set()
    return tuple(
        phase for phase in plan.phases if phase.name in names or ids.intersection(phase.faults)
    )


def _window(span: str, plan: Plan) -> Place | None:
    edges, label = window_s(span), ""
    if span.startswith(STAGE):
        number = int(span.removeprefix(STAGE))
        stages = plan.stages[number - 1 : number]
        edges = next(((stage.start_s, stage.end_s) for stage in stages), None)
        label = f"stage {number}"
    if edges is None or edges[0] >= plan.duration_s:
        return None
    index = next((one.index for one in plan.windows if _same(one, edges, plan)), NOT_COLLECTED)
    phase = Phase(index=index, name=WINDOW, start_s=edges[0], end_s=edges[1])
    return Place(phase, label or phase_label(plan, phase))


def _same(window: Phase, edges: tuple[float, float], plan: Plan) -> bool:
    """Whether ``window`` is from and to ``edges``; the plan's are cut at the end of the run."""
    end_s = min(edges[1], max(plan.duration_s, window.end_s))
    return abs(window.start_s - edges[0]) < _SAME_S and abs(window.end_s - end_s) < _SAME_S


def _within(place: Place, number: int, plan: Plan) -> Place | None:
    """What of ``place`` lies in a stage; None for nothing."""
    for stage in plan.stages[number - 1 : number]:
        edges = {
            "start_s": max(place.phase.start_s, stage.start_s),
            "end_s": min(place.phase.end_s, stage.end_s),
        }
        if edges["start_s"] < edges["end_s"]:
            phase = place.phase.model_copy(update=edges)
            return Place(phase, f"{place.label}, stage {number}")
    return None


def _absent(objective: Objective, plan: Plan) -> Iterator[Absent]:
    present = {phase.name for phase in plan.phases}
    for span in objective.during:
        edges = window_s(span)
        if edges is not None:
            if edges[0] >= plan.duration_s:
                end = figure(plan.duration_s, "s")
                yield Absent(span, WINDOW, f"this run ended at {end}, before that window")
        elif span.startswith(STAGE):
            number = int(span.removeprefix(STAGE))
            if number > len(plan.stages):
                yield Absent(f"stage {number}", WINDOW, f"this run has no stage {number}")
        elif ":" not in span and span not in present:
            yield Absent(span, span, f"this run has no {span} phase")
    for name in named_faults(objective):
        problem = fault_problem(name, plan)
        if problem:
            yield Absent(f"fault {name}", "fault", problem)


def fault_problem(name: str, plan: Plan) -> str:
    """Why ``name`` does not mean one fault of ``plan``, as the end of a sentence; else empty."""
    found = faults_called(name, plan.faults)
    if len(found) == 1:
        return ""
    if found:
        return f"{name!r} can mean {listed(one.id for one in found)}"
    known = names_of(plan.faults)
    if not known:
        return "this run has no fault"
    guess = closest(name, known)
    meant = f"; did you mean {guess}?" if guess else f", only {listed(known, 6)}"
    return f"this run has no fault {name!r}{meant}"
