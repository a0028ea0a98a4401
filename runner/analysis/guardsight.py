"""What guards of a plan cannot do, or would do to a healthy run. Pure; nothing is refused here.

Part of ``runner.analysis.foresight``: a guard that can never act is no safety, and one that acts
whenever all is well ends every run.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.analysis.guards import ANSWER_LATE_S, SETTLE_S
from runner.analysis.words import figure
from runner.model.experiment import SEARCH_PAUSE_S
from runner.model.feasibility import Mistake
from runner.model.guard import Guard
from runner.model.plan import Plan
from runner.model.promql import compares, counts_failures


def guard_doubts(plan: Plan) -> Iterator[Mistake]:
    """Sentences on the guards of ``plan``, each with its place in the experiment's file."""
    for index, guard in enumerate(plan.experiment.guards):
        place = ("guards", index)
        for key, said in _doubts(guard, plan):
            yield Mistake((*place, key) if key else place, said)


def _doubts(guard: Guard, plan: Plan) -> Iterator[tuple[str, str]]:
    """Key, or nothing for the guard as a whole, and sentence."""
    late = _too_late(guard, plan)
    if late:
        yield "", late
    pause = _pause_of_search(guard, plan)
    if pause:
        yield "for", pause
    match guard.kind:
        case "load":
            fixed = _foregone(guard)
            if fixed:
                yield "abort_when", fixed
        case "silent":
            for said in _slow_answers(guard, plan):
                yield "for", said
        case "promql":
            blind = _empty_when_well(guard)
            if blind:
                yield "promql", blind


def _too_late(guard: Guard, plan: Plan) -> str:
    """Why the load is over before ``guard`` could act; empty when it is not."""
    waits = {"load": guard.window + SETTLE_S, "silent": ANSWER_LATE_S, "promql": 0.0}
    view_s = waits[guard.kind]
    needed_s = guard.grace + view_s + guard.for_
    if needed_s < plan.duration_s:
        return ""
    figures = f"{view_s:g}s until there is a figure, " if view_s else ""
    return (
        f"this guard can never act: its grace of {guard.grace:g}s, {figures}and its 'for' of "
        f"{guard.for_:g}s are {needed_s:g}s, but the load ends at {plan.duration_s:g}s"
    )


def _pause_of_search(guard: Guard, plan: Plan) -> str:
    """Why ``guard`` would take what is between the steps of a search for trouble; empty if not."""
    load = plan.experiment.load
    pause_s = load.stop_timeout + SEARCH_PAUSE_S
    if load.search is None or guard.kind == "promql" or guard.for_ > pause_s:
        return ""
    return (
        f"'for' is {guard.for_:g}s, and between two steps of the search nobody may send for "
        f"{pause_s:g}s, which looks like silence; accepted: more than that"
    )


def _foregone(guard: Guard) -> str:
    """Why the condition holds always, or never, whatever happens; empty when it does not."""
    bound = guard.bound
    highest = 1.0 if bound.sli == "errors" else float("inf")
    never = not bound.holds(0.0) and not bound.holds(highest)
    always = bound.holds(0.0) and bound.holds(highest)
    if never:
        return f"{guard.abort_when!r} can never hold, so that this guard never acts"
    if always:
        return f"{guard.abort_when!r} holds whatever happens, so that this guard ends every run"
    return ""


def _slow_answers(guard: Guard, plan: Plan) -> Iterator[str]:
    """What may take as long as a target may be silent, and is as it should be."""
    ends = "; answers that are all so slow look like none"
    for planned in plan.faults:
        fault = planned.fault
        if fault.kind == "http-delay" and fault.delay >= guard.for_:
            yield (
                f"'for' is {guard.for_:g}s, and the fault {planned.id} delays requests by "
                f"{fault.delay:g}s{ends}"
            )
    for objective in plan.experiment.objectives:
        bound = objective.bound
        if bound.sli == "latency" and bound.value >= guard.for_:
            yield (
                f"'for' is {guard.for_:g}s, and {objective.objective!r} allows for answers that "
                f"take {figure(bound.value, 's')}{ends}"
            )
            return


def _empty_when_well(guard: Guard) -> str:
    """Why the query has no answer when all is well, which counts as a breach; empty if it has."""
    promql = guard.promql or ""
    if guard.on_missing == "ignore":
        return ""
    filtered = compares(promql)
    if filtered:
        return (
            f"the query compares by itself ({filtered}): where that does not hold its answer is "
            "empty, and no answer counts as breached; leave the comparison to 'abort_when'"
        )
    if counts_failures(promql):
        return (
            "the query may count what has not happened yet: its answer is empty until then, and "
            "no answer counts as breached; add 'or vector(0)', or 'on_missing: ignore'"
        )
    return ""
