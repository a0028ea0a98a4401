"""Objectives against what was seen: one finding for each, one part for each place.

An objective is judged in every place that it names, and of services one by one, each by itself;
the worst part decides. What cannot be judged is never a pass: no requests, too few, a figure that
is not a number, a signal with gaps, a phase that was not reached, nothing to compare with;
``on_missing`` says what it is instead. Whether the run proved anything is not decided here but in
``validity``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from runner.analysis.evidence import (
    Evidence,
    Judged,
    Seen,
    against,
    missing,
    too_few,
)
from runner.analysis.figures import figure_in, services_judged, subject_service
from runner.analysis.indicators import WHOLE
from runner.analysis.places import Absent, Place, absent_from, places_of
from runner.analysis.relative import resolved
from runner.analysis.sentences import Scene, allowed_words, reason_of, reference_words
from runner.analysis.sustainedjudge import sustained_part
from runner.analysis.windows import LoadTable
from runner.analysis.words import capitalised, figure, listed
from runner.model.bound import Bound, Unit
from runner.model.evaluation import Finding, Part, Verdict, worst
from runner.model.objective import Objective

_KEPT = (Verdict.PASS, Verdict.WARN)


def judge(objective: Objective, evidence: Evidence) -> Finding:
    """The finding about one objective."""
    whole = WHOLE.get(objective.bound.sli)
    found = _in_places(objective, evidence) if whole is None else whole(objective, evidence)
    if isinstance(found, Finding):
        return found.model_copy(update={"weight": objective.weight, "key": objective.key})
    if not found:
        return _not_judged(objective, evidence)
    return _concluded(objective, found, evidence)


def margin_ratio(bound: Bound, observed: float | None) -> float | None:
    """Distance from ``observed`` to the bound as a share of it; negative when it was missed."""
    if observed is None or not math.isfinite(observed):
        return None
    if bound.value == 0 or not math.isfinite(bound.value):
        return None
    distance = bound.value - observed
    return (distance if bound.upper else -distance) / abs(bound.value)


def unit_of(objective: Objective, evidence: Evidence) -> Unit:
    """The unit of figures: that of the bound, or the one that an own signal is declared with."""
    own = evidence.rules.signals.get(objective.bound.statistic)
    return own.unit if objective.bound.sli == "signal" and own else objective.bound.unit


# -- the finding -----------------------------------------------------------------------------------


def _concluded(objective: Objective, parts: Sequence[Judged], evidence: Evidence) -> Finding:
    """The finding that ``parts`` add up to: the worst of them decides."""
    verdict = worst(one.part.verdict for one in parts)
    shown = [one for one in parts if one.part.verdict is verdict]
    cut = [one.part.label for one in parts if _is_cut(one.part, evidence.table)]
    kept = [one for one in parts if one.part.verdict in _KEPT]
    partly = verdict is Verdict.INCONCLUSIVE and bool(kept) and len(cut) == len(shown)
    if partly:
        shown = kept  # All that can be said, and it is more than nothing.
    deciding = min(shown, key=lambda one: _nearness(objective, one))
    bound = deciding.bound or objective.bound
    scene = Scene(
        where=_where(objective, deciding),
        parts=sum(one.part.observed is not None for one in (kept if partly else parts)),
        unit=unit_of(objective, evidence),
    )
    reason = reason_of(objective, replace(deciding, bound=bound), scene)
    if partly:
        reason = f"{reason.rstrip('.')}, but the load ended before the end of {listed(cut)}."
    warn = deciding.warn or objective.warn_bound
    return _finding(
        objective,
        verdict=verdict,
        reason=reason,
        where=scene.where,
        phase=deciding.phase,
        service=deciding.service,
        observed=deciding.part.observed,
        bound=_number(bound),
        warn=_number(warn),
        unit=scene.unit,
        margin_ratio=_margin(bound, deciding.part),
        samples=deciding.part.samples,
        reference=deciding.reference,
        parts=tuple(one.part for one in parts),
    )


def _margin(bound: Bound, part: Part) -> float | None:
    """The margin, where it says the same as the verdict: one sustained is not missed so soon."""
    margin = margin_ratio(bound, part.observed)
    return None if part.verdict in _KEPT and margin is not None and margin < 0 else margin


def _number(bound: Bound | None) -> float | None:
    return None if bound is None or math.isnan(bound.value) else bound.value


def _nearness(objective: Objective, one: Judged) -> float:
    margin = margin_ratio(one.bound or objective.bound, one.part.observed)
    return 0.0 if margin is None else margin


def _where(objective: Objective, one: Judged) -> str:
    """Phase, and whom it is about, unless the part's own name says that already."""
    subject = one.service or objective.of or ""
    named = not subject or one.part.label.endswith(f", {subject}")
    return one.part.label if named else f"{one.part.label}, {subject}"


def _is_cut(part: Part, table: LoadTable) -> bool:
    """Whether ``part`` was not judged because the load had ended too early."""
    return part.verdict is Verdict.INCONCLUSIVE and _ends_after(part.end_s, table)


def _ends_after(end_s: float, table: LoadTable) -> bool:
    return math.floor(end_s) > table.recorded_s


def _not_judged(objective: Objective, evidence: Evidence) -> Finding:
    sli = objective.bound.sli
    if sli in ("recovery", "alert"):
        what = (
            "fault and no spike to recover from"
            if sli == "recovery"
            else "fault that an alert could be of"
        )
    elif objective.phases:
        what = f"{' or '.join(objective.phases)} phase"
    else:
        what = listed(objective.during)
    what += "" if objective.stage is None else f" in stage {objective.stage}"
    reason = f"There was no {what} in this run, so nothing was judged."
    absent = absent_from(objective, evidence.recording.plan)
    if absent and absent[0].label != absent[0].name:  # A fault, a stage or a window by its name.
        end = "" if absent[0].reason.endswith("?") else ", so nothing was judged."
        reason = f"{capitalised(absent[0].reason)}{end}"
    return _finding(
        objective,
        verdict=missing(objective),
        reason=reason,
        unit=unit_of(objective, evidence),
    )


def _finding(objective: Objective, *, verdict: Verdict, reason: str, **known: object) -> Finding:
    bound = objective.bound
    fields: dict[str, object] = {
        "kind": "objective",
        "check": "objective",
        "title": objective.title,
        "verdict": verdict,
        "reason": reason,
        "source": objective.effective_source,
        "operator": bound.operator,
        "bound": _number(bound),
        "warn": _number(objective.warn_bound),
        "weight": objective.weight,
        "key": objective.key,
        **known,
    }
    return Finding.model_validate(fields)


# -- the parts -------------------------------------------------------------------------------------


def _in_places(objective: Objective, evidence: Evidence) -> list[Judged]:
    """A part for each place, and there for each service where they are judged one by one."""
    services = services_judged(objective, evidence.recording.signals)
    parts: list[Judged] = []
    for place in places_of(objective, evidence.recording.plan):
        if services is None:
            parts.append(_part(objective, place, subject_service(objective), evidence))
        elif services:
            for service in services:
                one = _part(objective, place, service, evidence)
                label = f"{place.label}, {service}"
                parts.append(replace(one, part=one.part.model_copy(update={"label": label})))
        else:
            parts.append(_silent(objective, place, _no_services(evidence)))
    if parts:
        parts += [
            _absent_part(objective, one) for one in absent_from(objective, evidence.recording.plan)
        ]
    return parts


def _no_services(evidence: Evidence) -> str:
    signals = evidence.recording.signals
    if signals is None:
        return "no signals were collected"
    if signals.error:
        return f"the signals are missing: {signals.error}"
    return "no service was seen"


def _absent_part(objective: Objective, absent: Absent) -> Judged:
    part = Part(
        label=absent.label,
        start_s=0.0,
        end_s=0.0,
        verdict=missing(objective),
        reason=absent.reason,
    )
    return Judged(part, phase=absent.name)


def _silent(objective: Objective, place: Place, why: str, samples: float | None = None) -> Judged:
    part = Part(
        label=place.label,
        start_s=place.phase.start_s,
        end_s=place.phase.end_s,
        verdict=missing(objective),
        samples=samples,
        reason=why,
    )
    return Judged(part, phase=place.name)


def _part(objective: Objective, place: Place, service: str, evidence: Evidence) -> Judged:
    """The part about one place and one service, which is empty where there is none."""
    if place.phase.start_s >= evidence.table.recorded_s:
        silent = _silent(objective, place, "the load had ended before this phase began")
        return replace(silent, service=service)
    bound = resolved(objective.bound, objective, place, service, evidence)
    if bound.bound is None:
        why = (
            "there is nothing to compare with"
            if bound.reference is None
            else (bound.reference.reason)
        )
        silent = _silent(objective, place, why)
        return replace(silent, service=service, reference=bound.reference)
    warn, warn_why = None, ""
    if objective.warn_bound is not None:
        stricter = resolved(objective.warn_bound, objective, place, service, evidence)
        warn = stricter.bound
        if warn is None and stricter.reference is not None:
            warn_why = f"of the warning, {stricter.reference.reason}"
    judged = Judged(
        _silent(objective, place, "").part,
        phase=place.name,
        service=service,
        bound=bound.bound,
        warn=warn,
        reference=bound.reference,
    )
    if objective.sustained is not None:
        judged = sustained_part(objective, judged, place, evidence)
    else:
        seen = figure_in(objective, (place.phase,), service, evidence)
        judged = _compared(objective, judged, seen, evidence)
    judged = _unless_cut(objective, judged, place, evidence.table)
    return _unless_unwarned(objective, judged, warn_why)


def _compared(objective: Objective, judged: Judged, seen: Seen, evidence: Evidence) -> Judged:
    """``judged`` with the verdict over one figure, and the reason where there is none."""
    bound = judged.bound or objective.bound
    verdict, reason = missing(objective), ""
    if seen.value is None:
        reason = seen.missing or "there is no figure"
    elif few := too_few(seen.samples, objective):
        reason = few
    else:
        verdict = against(bound, judged.warn, seen.value)
        if judged.reference is not None:
            unit = unit_of(objective, evidence)
            was = reference_words(judged.reference, unit)
            reason = f"{was}; {allowed_words(bound, unit)}"
    update = {
        "verdict": verdict,
        "observed": seen.value,
        "samples": seen.samples,
        "reason": reason,
    }
    return replace(judged, part=judged.part.model_copy(update=update))


def _unless_cut(objective: Objective, judged: Judged, place: Place, table: LoadTable) -> Judged:
    """``judged``, unless the load ended in the midst of its place: that proves nothing."""
    definite = objective.sustained is not None and judged.part.verdict is Verdict.FAIL
    if judged.part.observed is None or definite or not _ends_after(place.phase.end_s, table):
        return judged
    known_s = table.recorded_s - place.phase.start_s
    why = f"the load ended after {figure(known_s, 's')} of {figure(place.phase.duration_s, 's')}"
    update = {"verdict": missing(objective), "reason": why}
    return replace(judged, said="", part=judged.part.model_copy(update=update))


def _unless_unwarned(objective: Objective, judged: Judged, why: str) -> Judged:
    """``judged``, unless it passed and nobody knows whether that is worth a warning."""
    if not why or judged.part.verdict is not Verdict.PASS:
        return judged
    update = {"verdict": missing(objective), "reason": why}
    return replace(judged, said="", part=judged.part.model_copy(update=update))
