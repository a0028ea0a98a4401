"""The run from left to right: phases, faults and load over time. Pure; no markup."""

from __future__ import annotations

import math

from runner.analysis.windows import phase_label
from runner.model.evaluation import Evaluation, FaultFigure
from runner.model.recording import Recording
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.grid import Grid, Line
from runner.reports.loadlines import LoadKind, load_kind, load_lines
from runner.reports.moments import (
    MOST_LANES,
    AlertLane,
    Moment,
    Side,
    alert_lanes,
    moments_of,
    position_percent,
    side_of,
)
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


MOST_MARKS = 60
"""More kills than this in one fault are a shade, not marks."""


class FaultSpan(Model):
    """A fault on the timeline, as planned, or as long as it was there if the run ended early.

    Attributes:
        begun: Whether it was there at all.
        kills_s: Offsets of its kills, if there were several, and no more than can be told apart.
        kills_percent: The same as positions.
        side: Where its words stand.
    """

    number: int
    id: Shown
    kind: str
    begun: bool = True
    start_s: float
    end_s: float
    left_percent: float
    width_percent: float
    kills_s: Items[float] = ()
    kills_percent: Items[float] = ()
    text: Shown
    side: Side = "right"


class Timeline(Model):
    """The run from left to right.

    Attributes:
        counted: What the load is counted in: users, or arrivals per second.
        load: The load as planned, as it was, and what was dropped of it.
        highest: The highest value of the line of what was.
        scale: The highest value of all lines.
        alerts: Lanes of alerts that fired or were pending.
        moments: What happened to the run itself.
        ended_percent: Where the load ended, if before its planned end; else None.
    """

    duration_s: float
    duration: str
    phases: Items[PhaseSpan]
    faults: Items[FaultSpan]
    counted: LoadKind
    load: Items[Line]
    highest: Number
    scale: float
    ticks: Items[tuple[float, str]]
    ended_percent: float | None = None
    ended_text: Shown = ""
    alerts: Items[AlertLane] = ()
    moments: Items[Moment] = ()


def timeline_of(recording: Recording, evaluation: Evaluation, grid: Grid) -> Timeline:
    """The timeline of ``recording``, with its load on ``grid``."""
    plan = recording.plan
    counted, load = load_kind(recording), load_lines(recording, grid)
    tops = [max((v for v in line.values if v is not None), default=0.0) for line in load]
    ended_s = ended_early_s(recording)
    return Timeline(
        ended_percent=None if ended_s is None else position_percent(ended_s, plan),
        alerts=alert_lanes(recording)[:MOST_LANES],
        moments=moments_of(recording),
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
                left_percent=position_percent(phase.start_s, plan),
                width_percent=position_percent(phase.duration_s, plan),
            )
            for phase in plan.phases
        ),
        faults=tuple(
            _fault_span(number_, fault, recording)
            for number_, fault in enumerate(evaluation.faults, start=1)
        ),
        counted=counted,
        load=tuple(load),
        highest=number(tops[1], "count" if counted == "users" else "per_s"),
        scale=max(tops) or 1.0,
        ticks=tuple(
            (position_percent(at_s, plan), fmt.clock_offset(at_s))
            for at_s in ticks_s(plan.duration_s, 10)
        ),
    )


def _fault_span(number_: int, fault: FaultFigure, recording: Recording) -> FaultSpan:
    end_s = _actual_end_s(fault, recording)
    begun = end_s > fault.start_s
    end_s = max(end_s, fault.start_s)
    when = window(fault.start_s, end_s)
    if not begun:
        when = f"not injected: the run ended before {fmt.clock_offset(fault.start_s)}"
    elif end_s < fault.end_s:
        when += f", planned to {fmt.clock_offset(fault.end_s)}"
    kills_s = fault.kills_s if 1 < len(fault.kills_s) <= MOST_MARKS else ()
    if len(fault.kills_s) > 1:
        when += f", {fmt.count(len(fault.kills_s))} kills"
    return FaultSpan(
        number=number_,
        id=fault.id,
        kind=fault.kind,
        begun=begun,
        start_s=fault.start_s,
        end_s=end_s,
        left_percent=position_percent(fault.start_s, recording.plan),
        width_percent=position_percent(end_s - fault.start_s, recording.plan),
        kills_s=kills_s,
        kills_percent=tuple(position_percent(at_s, recording.plan) for at_s in kills_s),
        text=f"{fault.kind} on {fault.service}, {when}",
        side=side_of(
            position_percent(fault.start_s, recording.plan), position_percent(end_s, recording.plan)
        ),
    )


def _actual_end_s(fault: FaultFigure, recording: Recording) -> float:
    """When ``fault`` was healed, if before its planned end; the planned end otherwise."""
    if ended_early_s(recording) is None:
        return fault.end_s
    healed = [
        event.offset_s
        for event in recording.events
        if (event.source, event.action, event.kind) == (fault.id, "heal", "ok")
        and event.offset_s is not None
    ]
    begun = any(e.source == fault.id and e.action == "inject" for e in recording.events)
    return min([fault.end_s, *healed]) if begun else fault.start_s


def ended_early_s(recording: Recording) -> float | None:
    """The end of the record of the load, if whole seconds of the plan are missing; else None."""
    last = max(recording.load.users, default=-1)
    end_s = float(last + 1)
    return end_s if end_s < math.floor(recording.plan.duration_s) else None


def ticks_s(duration_s: float, most: int) -> tuple[float, ...]:
    """Round offsets from 0 to ``duration_s``, at most ``most`` steps apart."""
    steps = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600)
    step_s = next((step for step in steps if duration_s / step <= most), 43200)
    return tuple(float(at_s) for at_s in range(0, int(duration_s) + 1, step_s))
