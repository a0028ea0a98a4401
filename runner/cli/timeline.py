"""``seatrial plan``: the timeline of a run as text."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from runner.analysis.places import WINDOW, places_of
from runner.analysis.windows import phase_label
from runner.analysis.words import crew_size, load_size
from runner.cli.addingup import adding_up
from runner.cli.doubts import as_records, doubts_of, say_doubts
from runner.cli.options import print_json
from runner.cli.tables import console, make_table, safe, safe_lines
from runner.model.access import hidden_words
from runner.model.faultname import faults_meant
from runner.model.guard import LOAD_WINDOW_S, Guard
from runner.model.objective import Objective
from runner.model.plan import Phase, Plan
from runner.reports import format as fmt
from runner.reports.deeds import deed
from runner.reports.openmodel import RESPONSE_TIME, pool_sentence
from runner.source import Source

if TYPE_CHECKING:
    from rich.table import Table


def show_plan(source: Source, plan: Plan, output: str) -> None:
    """What ``plan`` will do, as a ``table`` or as ``json``, and what it cannot answer."""
    doubts = doubts_of(source, plan)
    if output == "json":
        record = plan.model_dump(mode="json", by_alias=True)
        print_json({**record, "warnings": as_records(doubts)})
        return
    print_plan(plan)
    say_doubts(source.path, doubts)


def print_plan(plan: Plan) -> None:
    """Everything that ``plan`` will do, on standard output."""
    out = console()
    experiment = plan.experiment
    out.print(safe(f"{experiment.name}: {experiment.description}", "bold"))
    if plan.rehearsal:
        out.print(
            safe(f"REHEARSAL: every duration is multiplied by {plan.time_scale:g}.", "bold yellow")
        )
    most = "at most " if experiment.load.search is not None else ""
    out.print(
        f"{most}{fmt.span(plan.duration_s)} of load from {experiment.load.locustfile}, "
        f"seed {plan.seed}"
    )
    if plan.generator.arguments:
        out.print(safe(f"Given to Locust: {shlex.join(hidden_words(plan.generator.arguments))}"))
    if plan.generator.crew:
        out.print(safe(f"Made by {crew_size(plan.generator)}"))
    out.print()
    out.print(_load(plan))
    if experiment.load.is_open:
        out.print(f"{pool_sentence(plan)}\n{RESPONSE_TIME}\n")
    phases = make_table("Phase", "From", "To", "Length", "Objectives judged", title="Phases")
    for phase in plan.phases:
        phases.add_row(
            safe(phase_label(plan, phase)),
            fmt.clock_offset(phase.start_s),
            fmt.clock_offset(phase.end_s),
            fmt.span(phase.duration_s),
            safe_lines(_objectives_in(phase, plan)),
        )
    out.print(phases)
    if windows := _windows(plan):
        out.print(windows)
    if plan.faults:
        faults = make_table("Fault", "Inject", "Undo", "Healed by", "What", title="Faults")
        for fault in plan.faults:
            faults.add_row(
                fault.id,
                fmt.clock_offset(fault.start_s),
                fmt.clock_offset(fault.end_s),
                fmt.clock_offset(fault.undo_by_s),
                safe(deed(fault.fault)),
            )
        out.print(faults)
        out.print("Healed by: a fault that is still there at that time is removed by force.\n")
    for line in (*adding_up(experiment), *map(describe_guard, experiment.guards)):
        out.print(safe(line))


def _load(plan: Plan) -> Table:
    """What the load does, stage by stage where it has stages."""
    load = plan.experiment.load
    if not plan.stages:
        table = make_table("From", "To", "Load", title="Load")
        how = load_size(plan)
        if load.search is not None:
            until = " and ".join(load.search.until)
            how = (
                f"arrivals {how}, in at most {load.search.max_steps} steps of "
                f"{fmt.span(load.search.step)}, until {until} no longer hold"
            )
        table.add_row(fmt.clock_offset(0.0), fmt.clock_offset(plan.duration_s), safe(how))
        return table
    of_rate = load.model == "rate"
    headers = ("Stage", "From", "To", "Arrivals/s" if of_rate else "Users", "Ramp")
    table = make_table(*headers, title="Load", right=(0,))
    for number, stage in enumerate(plan.stages, start=1):
        before, after = f"{stage.users_from}", f"{stage.users_to}"
        speed = f"{stage.spawn_rate:g}/s "
        if of_rate:
            before, after, speed = f"{stage.rate_from:.9g}", f"{stage.rate_to:.9g}", ""
        ramp = f"{speed}until {fmt.clock_offset(stage.ramp_end_s)}"
        if before == after or stage.ramp_end_s == stage.start_s:
            ramp = "hold"
        table.add_row(
            str(number),
            fmt.clock_offset(stage.start_s),
            fmt.clock_offset(stage.end_s),
            after if ramp == "hold" else f"{before} → {after}",
            ramp,
        )
    return table


def _objectives_in(phase: Phase, plan: Plan) -> list[str]:
    """Titles of the objectives that are judged in ``phase``."""
    return [one.title for one in plan.experiment.objectives if _is_judged(one, phase, plan)]


def _is_judged(objective: Objective, phase: Phase, plan: Plan) -> bool:
    if objective.bound.sli == "recovery":
        return phase.name == "recovery"
    if objective.bound.sli == "alert":
        return any(fault.id in phase.faults for fault in faults_meant(objective, plan))
    if objective.bound.sli == "budget":
        return False  # One of the whole run; said where the budget is.
    edges = (place.phase for place in places_of(objective, plan) if place.name != WINDOW)
    return any(phase.start_s <= one.start_s < phase.end_s for one in edges)


def _windows(plan: Plan) -> Table | None:
    """Windows and stages that objectives name, and which do; None where none does."""
    found: dict[str, tuple[Phase, list[str]]] = {}
    for objective in plan.experiment.objectives:
        for place in places_of(objective, plan):
            if place.name == WINDOW:
                found.setdefault(place.label, (place.phase, []))[1].append(objective.title)
    if not found:
        return None
    table = make_table("Window", "From", "To", "Length", "Objectives judged", title="Windows")
    for label, (phase, titles) in found.items():
        table.add_row(
            safe(label),
            fmt.clock_offset(phase.start_s),
            fmt.clock_offset(phase.end_s),
            fmt.span(phase.duration_s),
            safe_lines(titles),
        )
    return table


def describe_guard(guard: Guard) -> str:
    """When ``guard`` acts, in a line."""
    held, grace = fmt.span(guard.for_), fmt.span(guard.grace)
    own = guard.kind == "load" and guard.window != LOAD_WINDOW_S
    over = f" over {fmt.span(guard.window)}" if own else ""
    blind = "; no figure is ignored" if guard.on_missing == "ignore" else ""
    return f"Guard: abort when {guard.title}{over} for {held} (after {grace}{blind})"
