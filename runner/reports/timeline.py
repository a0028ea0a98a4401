"""The run from left to right: phases, faults and users over time. Pure; no markup."""

from __future__ import annotations

import math

from runner.analysis.windows import phase_label
from runner.model.evaluation import Evaluation
from runner.model.plan import Plan
from runner.model.recording import Recording
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.charts import Grid, Line, users_lines
from runner.reports.rows import Number, number, window
from runner.reports.text import Shown


class PhaseSpan(Model):
    """A phase on the timeline; positions as percentages of the whole."""

    name: str
    label: Shown
    start_s: float
    end_s: float
    window: str
    length: str
    left_percent: float
    width_percent: float


class FaultSpan(Model):
    """A fault on the timeline, as planned."""

    number: int
    id: Shown
    kind: str
    start_s: float
    end_s: float
    left_percent: float
    width_percent: float
    text: Shown


class Timeline(Model):
    """The run from left to right.

    Attributes:
        ended_percent: Where the load ended, if before its planned end; else None.
    """

    duration_s: float
    duration: str
    phases: Items[PhaseSpan]
    faults: Items[FaultSpan]
    users: Items[Line]
    users_max: Number
    ticks: Items[tuple[float, str]]
    ended_percent: float | None = None
    ended_text: Shown = ""


def timeline_of(recording: Recording, evaluation: Evaluation, grid: Grid) -> Timeline:
    """The timeline of ``recording``, with its users on ``grid``."""
    plan = recording.plan
    users = users_lines(recording, grid)
    highest = max((v for line in users for v in line.values if v is not None), default=0.0)
    ended_s = _ended_early_s(recording)
    return Timeline(
        ended_percent=None if ended_s is None else _percent(ended_s, plan),
        ended_text="" if ended_s is None else f"the load ended at {fmt.clock_offset(ended_s)}",
        duration_s=plan.duration_s,
        duration=fmt.span(plan.duration_s),
        phases=tuple(
            PhaseSpan(
                name=phase.name,
                label=phase_label(plan, phase),
                start_s=phase.start_s,
                end_s=phase.end_s,
                window=window(phase.start_s, phase.end_s),
                length=fmt.span(phase.duration_s),
                left_percent=_percent(phase.start_s, plan),
                width_percent=_percent(phase.duration_s, plan),
            )
            for phase in plan.phases
        ),
        faults=tuple(
            FaultSpan(
                number=number_,
                id=fault.id,
                kind=fault.kind,
                start_s=fault.start_s,
                end_s=fault.end_s,
                left_percent=_percent(fault.start_s, plan),
                width_percent=_percent(fault.end_s - fault.start_s, plan),
                text=f"{fault.kind} on {fault.service}, {window(fault.start_s, fault.end_s)}",
            )
            for number_, fault in enumerate(evaluation.faults, start=1)
        ),
        users=tuple(users),
        users_max=number(highest, "count"),
        ticks=tuple(
            (_percent(at_s, plan), fmt.clock_offset(at_s)) for at_s in ticks_s(plan.duration_s, 10)
        ),
    )


def _ended_early_s(recording: Recording) -> float | None:
    """The end of the record of the load, if whole seconds of the plan are missing; else None."""
    last = max(recording.load.users, default=-1)
    end_s = float(last + 1)
    return end_s if end_s < math.floor(recording.plan.duration_s) else None


def ticks_s(duration_s: float, most: int) -> tuple[float, ...]:
    """Round offsets from 0 to ``duration_s``, at most ``most`` steps apart."""
    steps = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600)
    step_s = next((step for step in steps if duration_s / step <= most), 43200)
    return tuple(float(at_s) for at_s in range(0, int(duration_s) + 1, step_s))


def _percent(seconds: float, plan: Plan) -> float:
    return round(100 * seconds / plan.duration_s, 3)
