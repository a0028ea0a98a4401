"""Objectives on alerts: one that must fire after a fault, and none that may fire at all.

An alert that nobody could have raised proves nothing: where Prometheus has no such rule, cannot
evaluate it, or could not be asked, nothing is judged. One that was seen to fire is always told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.analysis.evidence import Evidence, Judged, against, missing
from runner.analysis.places import Absent, Place, absent_from, fault_problem, places_of
from runner.analysis.words import capitalised, figure, listed, moment
from runner.mistakes import closest
from runner.model.alertspan import AlertSpan
from runner.model.evaluation import Part, Verdict
from runner.model.faultname import faults_meant, unknown_faults
from runner.model.objective import Objective
from runner.model.plan import PlannedFault
from runner.model.recording import Signals

_SHOWN = 5


def alert_parts(objective: Objective, evidence: Evidence) -> list[Judged]:
    """Of an alert that is expected: a part for each fault, counted from its start."""
    plan = evidence.recording.plan
    return [
        *(
            _unproven(objective, f"fault {name}", fault_problem(name, plan))
            for name in unknown_faults(objective, plan)
        ),
        *(_awaited(objective, fault, evidence) for fault in faults_meant(objective, plan)),
    ]


def alerts_parts(objective: Objective, evidence: Evidence) -> list[Judged]:
    """Of alerts that must not be: a part for each phase and window."""
    plan = evidence.recording.plan
    places = places_of(objective, plan)
    if not places:
        return []
    quiet = f"No {_kind(objective)} fired ({listed((place.label for place in places), 4)})."
    return [
        *(_in_place(objective, place, quiet, evidence) for place in places),
        *(_absent(objective, one) for one in absent_from(objective, plan)),
    ]


# -- one that must fire ----------------------------------------------------------------------------


def _awaited(objective: Objective, fault: PlannedFault, evidence: Evidence) -> Judged:
    name, label = objective.bound.statistic, f"from the start of {fault.id}"
    end_s = min(float(evidence.table.recorded_s), evidence.recording.plan.duration_s)
    watched_s = end_s - fault.start_s
    part = Part(
        label=label,
        start_s=fault.start_s,
        end_s=max(fault.start_s, end_s),
        verdict=missing(objective),
    )
    signals = evidence.recording.signals
    problem = _nobody_knows(signals) or _no_such_rule(name, signals)
    if watched_s <= 0:
        problem = "the load had ended before the fault began"
    if problem or signals is None:
        return Judged(part.model_copy(update={"reason": problem}), phase="fault")
    spans = [span for span in signals.alerts if span.name == name]
    firing = [span for span in spans if span.state == "firing"]
    before = [span for span in firing if span.start_s <= fault.start_s <= span.end_s]
    if before:
        reason = f"it fired already when the fault began, since {_since(before)}"
        return Judged(part.model_copy(update={"reason": reason}), phase="fault")
    after = min((span.start_s for span in firing if span.start_s > fault.start_s), default=None)
    if after is not None and after <= end_s:
        observed_s = after - fault.start_s
        verdict = against(objective.bound, objective.warn_bound, observed_s)
        update = {"verdict": verdict, "observed": observed_s, "samples": 1.0}
        return Judged(part.model_copy(update=update), phase="fault")
    return _silent(objective, fault, part, _pending(spans, fault), signals)


def _silent(
    objective: Objective, fault: PlannedFault, part: Part, pending: str, signals: Signals
) -> Judged:
    """It did not fire: too late, when it was watched for as long as it had time."""
    name, bound = objective.bound.statistic, objective.bound
    watched_s = part.end_s - part.start_s
    known = pending or name in (signals.rules or ()) or any(a.name == name for a in signals.alerts)
    if not known:
        reason = "it did not fire, and whether Prometheus has a rule for it is not known"
    elif watched_s < bound.value:
        reason = (
            f"it did not fire, but was watched for {figure(watched_s, 's')} only of "
            f"{figure(bound.value, 's')}{pending}"
        )
    else:
        said = (
            f"The alert {name} did not fire in the {moment(watched_s)} from the start of "
            f"{fault.id} to the end of the run{pending}; the bound is {bound.operator} "
            f"{figure(bound.value, 's')}."
        )
        update = {
            "verdict": Verdict.FAIL,
            "observed": watched_s,
            "reason": f"it did not fire{pending}",
        }
        return Judged(part.model_copy(update=update), phase="fault", said=said)
    return Judged(part.model_copy(update={"reason": reason}), phase="fault")


def _no_such_rule(name: str, signals: Signals | None) -> str:
    """Why the alert ``name`` could never fire; empty when it can, or that is not known."""
    if signals is None or any(span.name == name for span in signals.alerts):
        return ""
    if name in signals.broken_rules:
        return f"Prometheus cannot evaluate its rule: {signals.broken_rules[name].rstrip('.')}"
    if signals.rules is None or name in signals.rules:
        return ""
    if not signals.rules:
        return "Prometheus has no alerting rules"
    guess = closest(name, signals.rules)
    return f"Prometheus has no rule for an alert {name}" + (
        f"; did you mean {guess}?" if guess else f", only for {listed(signals.rules, _SHOWN)}"
    )


def _pending(spans: Iterable[AlertSpan], fault: PlannedFault) -> str:
    """``, though it was pending from 10s after that on``; empty when it was not."""
    seen = [one for one in spans if one.state == "pending" and one.end_s >= fault.start_s]
    if not seen:
        return ""
    first = min(seen, key=lambda one: one.start_s)
    if first.start_s <= fault.start_s:
        return ", though it was pending when the fault began"
    after = moment(first.start_s - fault.start_s)
    return f", though it was pending from {after} after that on, for {moment(_length(first))}"


def _length(span: AlertSpan) -> float:
    return span.end_s - span.start_s


def _since(spans: Sequence[AlertSpan]) -> str:
    start_s = min(span.start_s for span in spans)
    return f"{moment(-start_s)} before the load at least" if start_s < 0 else moment(start_s)


# -- none that may fire ----------------------------------------------------------------------------


def _kind(objective: Objective) -> str:
    severity = objective.bound.statistic
    return f"{severity} alert" if severity else "alert"


def _in_place(objective: Objective, place: Place, quiet: str, evidence: Evidence) -> Judged:
    part = Part(
        label=place.label,
        start_s=place.phase.start_s,
        end_s=place.phase.end_s,
        verdict=missing(objective),
    )
    recorded_s = evidence.table.recorded_s
    if place.phase.start_s >= recorded_s:
        update: dict[str, object] = {"reason": "the load had ended before this phase began"}
        return Judged(part.model_copy(update=update), phase=place.name)
    signals = evidence.recording.signals
    fired = [] if signals is None else _fired(objective, place, signals)
    number = float(len({(one.name, tuple(sorted(one.labels.items()))) for one in fired}))
    verdict = against(objective.bound, objective.warn_bound, number)
    problem = _nobody_knows(signals) or _could_not_fire(objective, signals)
    if not problem and place.phase.end_s > recorded_s + 1:
        problem = "the load ended before the end of this phase"
    if problem and verdict is not Verdict.FAIL:
        return Judged(part.model_copy(update={"reason": problem}), phase=place.name)
    update = {"verdict": verdict, "observed": number, "samples": 1.0}
    said = _told(objective, place, fired, number) if fired else quiet
    if fired:
        update["reason"] = f"{_names(fired)}{_earlier(fired)}"
    return Judged(part.model_copy(update=update), phase=place.name, said=said)


def _fired(objective: Objective, place: Place, signals: Signals) -> list[AlertSpan]:
    severity = objective.bound.statistic
    return [
        one
        for one in signals.alerts
        if one.state == "firing"
        and severity in ("", one.severity.lower())
        and one.start_s < place.phase.end_s
        and one.end_s >= place.phase.start_s
    ]


def _told(objective: Objective, place: Place, fired: list[AlertSpan], number: float) -> str:
    bound = objective.bound
    kind = _kind(objective) + ("" if number == 1 else "s")
    held = bound.holds(number)
    tail = (
        f", within the bound of {bound.value:g}."
        if held
        else (
            "."
            if bound.value == 1 and bound.operator == "<"
            else f"; the bound is {bound.operator} {bound.value:g}."
        )
    )
    return capitalised(
        f"{number:g} {kind} fired ({place.label}): {_names(fired)}{_earlier(fired)}{tail}"
    )


def _names(fired: Iterable[AlertSpan]) -> str:
    return listed(dict.fromkeys(one.name for one in fired), _SHOWN)


def _earlier(fired: Iterable[AlertSpan]) -> str:
    """Which of them fired before the load began already."""
    names = dict.fromkeys(one.name for one in fired if one.start_s < 0)
    return f"; {listed(names, _SHOWN)} fired already before the load" if names else ""


def _could_not_fire(objective: Objective, signals: Signals | None) -> str:
    """Why no such alert proves nothing; empty when it does."""
    if signals is None:
        return ""
    severity = objective.bound.statistic
    if signals.rules is None:
        seen = any(severity in ("", one.severity.lower()) for one in signals.alerts)
        return "" if seen else "which alerting rules Prometheus has is not known, and none fired"
    if not signals.rules:
        return "Prometheus has no alerting rules"
    known = {
        name: {one.lower() for one in severities}
        for name, severities in signals.rule_severities.items()
    }
    all_known = set().union(*known.values()) - {""}
    if severity and not known:
        return "of which severities Prometheus' alerting rules are is not known, and none fired"
    if severity and severity not in all_known:
        only = f", only of {listed(sorted(all_known), _SHOWN)}" if all_known else ""
        return f"Prometheus has no alerting rule of the severity {severity!r}{only}"
    broken = [
        name for name in signals.broken_rules if not severity or severity in known.get(name, {""})
    ]
    return f"Prometheus cannot evaluate the rule {broken[0]}" if broken else ""


# -- both ------------------------------------------------------------------------------------------


def _nobody_knows(signals: Signals | None) -> str:
    if signals is None:
        return "no signals were collected"
    if signals.error:
        return f"the signals are missing: {signals.error}"
    return f"nobody knows about alerts: {signals.alerts_missing}" if signals.alerts_missing else ""


def _unproven(objective: Objective, label: str, why: str) -> Judged:
    part = Part(label=label, start_s=0.0, end_s=0.0, verdict=missing(objective), reason=why)
    return Judged(part, phase="fault")


def _absent(objective: Objective, one: Absent) -> Judged:
    part = _unproven(objective, one.label, one.reason)
    return Judged(part.part, phase=one.name)
