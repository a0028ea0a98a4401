"""One part of an objective with ``for``: the verdict over its seconds, and the sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runner.analysis.endpoints import endpoints_meant
from runner.analysis.evidence import Evidence, Judged, Seen, missing, too_few
from runner.analysis.figures import figure_in
from runner.analysis.places import Place
from runner.analysis.sentences import reference_words, subject_of
from runner.analysis.sustained import Stretch, Sustained, sustained
from runner.analysis.windows import Slice
from runner.analysis.words import capitalised, compared, figure, moment
from runner.model.bound import Bound
from runner.model.evaluation import Verdict
from runner.model.objective import Objective
from runner.model.plan import Phase


def sustained_part(
    objective: Objective, judged: Judged, place: Place, evidence: Evidence
) -> Judged:
    """``judged`` with the verdict over the seconds of ``place``.

    Args:
        objective: One with ``for``.
        judged: What is known beforehand: place and absolute bounds.
        place: Where.
        evidence: The run.
    """
    bound, phase = judged.bound or objective.bound, place.phase
    length = round(objective.sustained or 1)
    whole = figure_in(objective, (phase,), "", evidence)
    problem = _unknown(objective, whole, phase, length)
    if problem:
        return _told(objective, judged, Seen(None, whole.samples, problem))
    seconds = _seconds(objective, phase, evidence)
    seen = sustained(seconds, bound, length)
    warned = None if judged.warn is None else sustained(seconds, judged.warn, length)
    if seen.missed is not None:
        worst, verdict = seen.missed, Verdict.FAIL
    elif seen.hole is not None or seen.nearest is None or seen.nearest.observed is None:
        return _told(objective, judged, Seen(None, whole.samples, _hole(seen, phase)))
    elif warned is not None and warned.missed is not None:
        worst, verdict = warned.missed, Verdict.WARN
    else:
        worst, verdict = seen.nearest, Verdict.PASS
    update = {"verdict": verdict, "observed": worst.observed, "samples": whole.samples}
    told = _sentence(objective, judged, worst, seen.longest, verdict, bound)
    return replace(judged, said=told, part=judged.part.model_copy(update=update))


def _unknown(objective: Objective, whole: Seen, phase: Phase, length: int) -> str:
    """Why the seconds of ``phase`` say nothing, as the end of a sentence; empty when they do."""
    if whole.value is None:
        return whole.missing or "there is no figure"
    few = too_few(whole.samples, objective)
    if few:
        return few
    if phase.duration_s < length:
        return (
            f"it lasts {figure(phase.duration_s, 's')}, shorter than the {length} s after which "
            "the objective would be missed"
        )
    return ""


def _seconds(objective: Objective, phase: Phase, evidence: Evidence) -> Sequence[Slice]:
    """The recorded seconds of ``phase``, one by one."""
    table = evidence.table
    meant = endpoints_meant(objective.of, evidence.rules.groups, table.endpoints)
    end_s = min(phase.end_s, table.recorded_s)
    return table.per_second(phase.start_s, end_s, meant.names)


def _told(objective: Objective, judged: Judged, seen: Seen) -> Judged:
    update = {"verdict": missing(objective), "samples": seen.samples, "reason": seen.missing}
    return replace(judged, part=judged.part.model_copy(update=update))


def _hole(seen: Sustained, phase: Phase) -> str:
    if seen.hole is None:
        return "too few seconds were recorded"
    start, stop = seen.hole
    return f"no request succeeded for {stop - start} s from {moment(phase.start_s + start)} on"


def _sentence(  # noqa: PLR0917 - all that is said
    objective: Objective,
    judged: Judged,
    stretch: Stretch,
    longest: int,
    verdict: Verdict,
    bound: Bound,
) -> str:
    """What was seen, second by second, in one sentence."""
    unit, held = bound.unit, figure(objective.sustained or 1.0, "s")
    observed, limit = compared(stretch.observed or 0.0, bound.value, unit)
    of = f", {objective.of}" if objective.of else ""
    where = f"({judged.part.label}{of})"
    subject = capitalised(subject_of(bound))
    compare = "" if judged.reference is None else (f" ({reference_words(judged.reference, unit)})")
    span_s = stretch.stop - stretch.start
    start = moment(judged.part.start_s + stretch.start)
    over = f"over the {span_s} s from {start} on"
    if verdict is Verdict.FAIL:
        return (
            f"{subject} was {observed} {over} {where}, and in every second of them beyond the "
            f"bound of {limit}{compare}; less than {held} of that was allowed."
        )
    if verdict is Verdict.WARN and judged.warn is not None:
        near = figure(judged.warn.value, unit)
        return (
            f"{subject} was {observed} {over} {where}: never beyond the bound of "
            f"{limit}{compare} for {held}, but in every second of them past the warning at {near}."
        )
    if longest:
        return (
            f"{subject} was beyond the bound of {limit}{compare} for at most {longest} s on end "
            f"{where}, less than the {held} that are a miss; over the worst {held}, from {start} "
            f"on, it was {observed}."
        )
    return (
        f"{subject} was never beyond the bound of {limit}{compare}, not for a second {where}; over "
        f"the worst {held}, from {start} on, it was {observed}."
    )
