"""Objectives on recovery, and the series that shows each recovery. What one is: ``recovery``.

Such an objective is about each fault that it names (all of them, where it names none), and about
the spike of the load, if there is one; each is a part, and the worst decides. What must hold again
stands in its ``until``; without it, the promises of all objectives; with ``of``, at that endpoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from runner.analysis.evidence import Evidence, Judged, against, missing
from runner.analysis.lengths import RECOVERY_WINDOW_S
from runner.analysis.recovery import (
    SPIKE,
    Recoveries,
    Recovery,
    Watched,
    all_recoveries,
    watched,
    worst_recovery,
)
from runner.analysis.windows import LoadTable
from runner.analysis.words import figure
from runner.model.evaluation import Part, RecoveryFigure, Verdict
from runner.model.experiment import Experiment
from runner.model.faultname import faults_meant, named_faults, unknown_faults
from runner.model.objective import Objective, promises
from runner.model.recording import Recording

MOST_POINTS = 600
"""Most points of the series of one recovery: ten minutes by the second, or longer and thinned."""

_MOST_SHOWN = 20
"""Most recoveries that are shown of one fault; pods may be killed again and again for hours."""

_SHORTEST_VIEW_S = 120.0


def recoveries_by(
    objectives: Sequence[Objective], recording: Recording, table: LoadTable, rules: Experiment
) -> Recoveries:
    """All recoveries that ``objectives`` ask for; first those by the promises of all of them."""
    asked = [one for one in objectives if one.bound.sli == "recovery"]
    kept = [
        usual_promises(objectives, table, rules),
        *(_kept(one, objectives, table, rules) for one in asked),
    ]
    return {one: all_recoveries(recording, table, one) for one in dict.fromkeys(kept)}


def usual_promises(
    objectives: Sequence[Objective], table: LoadTable, rules: Experiment
) -> tuple[Watched, ...]:
    """What must hold again where nothing else is said."""
    return watched(promises(objectives), table, rules.groups)


def _kept(
    objective: Objective, objectives: Sequence[Objective], table: LoadTable, rules: Experiment
) -> tuple[Watched, ...]:
    """What must hold again for ``objective``."""
    own = [Objective(objective=text, of=objective.of) for text in objective.until]
    usual = [
        one if objective.of is None else one.model_copy(update={"of": objective.of})
        for one in promises(objectives)
        if objective.of is None or one.of in (None, objective.of)
    ]
    return watched(own or usual, table, rules.groups)


def recovery_parts(objective: Objective, evidence: Evidence) -> list[Judged]:
    """A part for each fault that ``objective`` is about, and one for the spike, if any."""
    rules, plan = evidence.rules, evidence.recording.plan
    kept = _kept(objective, rules.objectives, evidence.table, rules)
    about = {fault.id for fault in faults_meant(objective, plan)}
    if not named_faults(objective):
        about.add(SPIKE)
    unknown = [_unknown(objective, name) for name in unknown_faults(objective, plan)]
    return unknown + [
        Judged(_part(objective, worst_recovery(found)))
        for found in evidence.recoveries.get(kept, ())
        if found[0].fault_id in about
    ]


def _unknown(objective: Objective, name: str) -> Judged:
    why = f"{name!r} is not the name of one fault of this run"
    return Judged(
        Part(label=f"after {name}", start_s=0.0, end_s=0.0, verdict=missing(objective), reason=why)
    )


def recovery_figures(recoveries: Recoveries) -> tuple[RecoveryFigure, ...]:
    """The series of each recovery, of what must hold again after each other.

    Of a fault with many kills, the first ones and the worst. Where nothing is promised, there is
    nothing to show.
    """
    figures: list[RecoveryFigure] = []
    for kept, each in recoveries.items():
        titles = tuple(one.title for one in kept)
        for found in each if kept else ():
            shown = {*found[: _MOST_SHOWN - 1], worst_recovery(found)}
            figures += (_figure(one, titles) for one in sorted(shown, key=lambda r: r.start_s))
    return tuple(figures)


def _part(objective: Objective, one: Recovery) -> Part:
    observed = one.seconds
    if observed is not None:
        verdict = against(objective.bound, objective.warn_bound, observed)
    elif one.unwell and not objective.bound.holds(one.watched_s):
        # It took longer than was watched, and that was too long already.
        verdict, observed = Verdict.FAIL, one.watched_s
    else:
        verdict = missing(objective)
    return Part(
        label=f"after {'the spike' if one.fault_id == SPIKE else one.fault_id}",
        start_s=one.start_s,
        end_s=one.end_s,
        verdict=verdict,
        observed=observed,
        reason=_reason(one, verdict),
    )


def _reason(one: Recovery, verdict: Verdict) -> str:
    """Why there is no figure; and, where it is missed, that all was not well before the fault."""
    if not one.before or not (verdict is Verdict.FAIL or one.unwell):
        return one.reason
    seen = (
        one.reason or f"it took {figure(one.seconds or 0.0, 's')} until the objectives held again"
    )
    return f"{seen}, but {one.before}"


def _figure(one: Recovery, titles: tuple[str, ...]) -> RecoveryFigure:
    """The series of ``one``; of a long view, the part that tells, and no more points than shown."""
    view_s = len(one.holds)
    if one.seconds is not None and view_s > MOST_POINTS:
        view_s = min(view_s, math.ceil(max(_SHORTEST_VIEW_S, 2.0 * one.seconds)))
    step = max(1, math.ceil(view_s / MOST_POINTS))
    shown = one.holds[:view_s]
    return RecoveryFigure(
        after=one.fault_id,
        start_s=one.start_s,
        end_s=one.end_s,
        seconds=one.seconds,
        window_s=float(RECOVERY_WINDOW_S),
        step_s=float(step),
        holds=tuple(all(shown[at : at + step]) for at in range(0, len(shown), step)),
        titles=titles,
        reason=". ".join(filter(None, (one.reason, one.before))),
    )
