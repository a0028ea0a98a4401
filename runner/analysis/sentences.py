"""Sentences of findings about objectives: what was seen, where, and against what. Words only."""

from __future__ import annotations

from dataclasses import dataclass

from runner.analysis.evidence import Judged
from runner.analysis.words import capitalised, compared, figure, listed
from runner.model.bound import Bound, Operator
from runner.model.evaluation import Reference, Verdict
from runner.model.objective import Objective

_SUBJECT = {
    "errors": "the share of failed requests",
    "traffic": "the rate of all requests, failed ones included,",
    "saturation.cpu": "CPU use against requests",
    "saturation.memory": "the highest memory use against limits",
    "recovery": "the time until the objectives held again",
    "budget": "the share of the error budget that this run burned",
    "burn-rate": "the burn rate of the error budget (at 1 it just lasts its period)",
    "breaking-point": "the highest rate that holds",
}
_STATISTIC = {"avg": "mean", "min": "lowest", "max": "highest"}
_ALLOWED: dict[Operator, str] = {
    "<": "less than",
    "<=": "at most",
    ">": "more than",
    ">=": "at least",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What a sentence tells beside the part that decides.

    Attributes:
        where: Phase, and service or endpoint.
        parts: How many parts had a figure; the one that decides is the worst of them.
        unit: Of the figures.
    """

    where: str
    parts: int
    unit: str

    @property
    def bracket(self) -> str:
        """``(baseline; the worst of 3)``."""
        worst_of = f"; the worst of {self.parts}" if self.parts > 1 else ""
        return f"({self.where}{worst_of})"


def subject_of(bound: Bound) -> str:
    """What the figure of ``bound`` is, as the beginning of a sentence."""
    match bound.sli:
        case "latency":
            statistic = _STATISTIC.get(bound.statistic, bound.statistic)
            return f"the {statistic} latency of successful requests"
        case "signal":
            return f"the signal {bound.statistic}"
        case "alert":
            return f"the time until the alert {bound.statistic} fired"
        case "alerts":
            severity = f"{bound.statistic} " if bound.statistic else ""
            return f"the number of {severity}alerts that fired"
        case _:
            return _SUBJECT[bound.sli]


def reason_of(objective: Objective, judged: Judged, scene: Scene) -> str:
    """The sentence of a finding that ``judged`` decides."""
    part, bound = judged.part, judged.bound
    subject = subject_of(objective.bound)
    unproven = part.verdict not in (Verdict.FAIL, Verdict.WARN, Verdict.PASS)
    if part.observed is None or bound is None or (unproven and part.reason):
        end = "" if part.reason.endswith("?") else "."
        if objective.other_than and judged.service:
            subject = f"services other than {_others(objective)}"
        return f"Nothing could be said about {subject} ({scene.where}): {part.reason}{end}"
    if judged.said:
        return judged.said
    if judged.reference is not None:
        return _relative(subject, judged, bound, judged.reference, scene)
    if objective.other_than:
        return _blast_radius(objective, judged, bound, scene)
    observed, limit = compared(part.observed, bound.value, scene.unit)
    if part.reason:
        tail = f"; the bound is {bound.operator} {limit}."
        return f"{capitalised(part.reason)} ({scene.where}){tail}"
    text = f"{capitalised(subject)} was {observed} {scene.bracket}"
    if part.verdict is Verdict.FAIL:
        return f"{text}; the bound is {bound.operator} {limit}."
    return f"{text}{_within(judged, limit, scene)}"


def _within(judged: Judged, limit: str, scene: Scene) -> str:
    if judged.part.verdict is Verdict.WARN and judged.warn is not None:
        near = figure(judged.warn.value, scene.unit)
        return f": within the bound of {limit}, but past the warning at {near}."
    return f", within the bound of {limit}."


def _relative(
    subject: str, judged: Judged, bound: Bound, reference: Reference, scene: Scene
) -> str:
    part = judged.part
    observed, limit = compared(part.observed or 0.0, bound.value, scene.unit)
    was = reference_words(reference, scene.unit)
    allowed = f"{_ALLOWED[bound.operator]} {limit}"
    text = f"{capitalised(subject)} was {observed} {scene.bracket}, {was}"
    notes = f" ({reference.reason})" if reference.reason else ""
    if part.verdict is Verdict.FAIL:
        return f"{text}; {allowed} was allowed{notes}."
    if part.verdict is Verdict.WARN and judged.warn is not None:
        near = figure(judged.warn.value, scene.unit)
        return f"{text}; {allowed} is allowed, but it is past the warning at {near}{notes}."
    return f"{text}; {allowed} is allowed{notes}."


def reference_words(reference: Reference, unit: str) -> str:
    """``the baseline's was 100 ms``; empty when there is no figure."""
    if reference.observed is None:
        return ""
    known = figure(reference.observed, unit)
    return (
        f"that of {whose(reference)} was {known}"
        if reference.run_id
        else (f"the {reference.name}'s was {known}")
    )


def allowed_words(bound: Bound, unit: str) -> str:
    """``at most 110 ms``."""
    return f"{_ALLOWED[bound.operator]} {figure(bound.value, unit)}"


def whose(reference: Reference) -> str:
    """The run that ``reference`` is, by its own name too where it was called otherwise."""
    called = reference.name.removeprefix("run ")
    if reference.run_id in ("", called):
        return reference.name
    return f"{reference.name} ({reference.run_id})"


def _blast_radius(objective: Objective, judged: Judged, bound: Bound, scene: Scene) -> str:
    observed, limit = compared(judged.part.observed or 0.0, bound.value, scene.unit)
    beyond = f"Services other than {_others(objective)}"
    worst = f"{subject_of(bound)} of {judged.service} was {observed}"
    where = f"({judged.part.label.removesuffix(f', {judged.service}')})"
    if judged.part.verdict is Verdict.FAIL:
        return (
            f"{beyond} did not stay within the bound of {limit}: {worst} {where}; the bound is "
            f"{bound.operator} {limit}."
        )
    if judged.part.verdict is Verdict.WARN and judged.warn is not None:
        near = figure(judged.warn.value, scene.unit)
        return (
            f"{beyond} stayed within the bound of {limit}, but {worst} {where}, past the warning "
            f"at {near}."
        )
    return f"{beyond} stayed within the bound of {limit}: at worst, {worst} {where}."


def _others(objective: Objective) -> str:
    return listed(objective.other_than)
