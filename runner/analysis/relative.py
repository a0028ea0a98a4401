"""What a relative bound is relative to: the baseline of the same run, or an earlier run.

An earlier run says something only when it was valid and had the same load at the same pace; its
phase of the same name is what counts. What else differs is said beside the figure. Of the load,
several phases are taken together; of the mesh, whose quantiles cannot be added up, there must be
just one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.analysis.evidence import Evidence, ReferenceRun, Seen, evidence_of, too_few
from runner.analysis.figures import figure_in
from runner.analysis.places import Place, places_of
from runner.analysis.searched import carried_out, searched
from runner.analysis.validity import validity_findings
from runner.analysis.windows import LoadTable, phase_label
from runner.analysis.words import figure, load_size
from runner.model.bound import BASELINE, Bound
from runner.model.bound import Reference as ReferenceRule
from runner.model.evaluation import Reference, Verdict
from runner.model.experiment import Experiment
from runner.model.objective import Objective
from runner.model.plan import Phase, Plan
from runner.model.recording import Recording
from runner.model.span import STAGE


@dataclass(frozen=True, slots=True)
class Resolved:
    """A bound with a value, or why it has none.

    Attributes:
        bound: Absolute; None when there is nothing to compare with.
        reference: What it was relative to; None when it was absolute from the start.
    """

    bound: Bound | None
    reference: Reference | None = None


def resolved(
    bound: Bound, objective: Objective, place: Place, service: str, evidence: Evidence
) -> Resolved:
    """``bound`` of ``objective`` (its own, or that of its warning) in ``place``, absolute."""
    rule = bound.reference
    if rule is None:
        return Resolved(bound)
    known = _reference(rule, objective, place, service, evidence)
    if known.observed is None:
        return Resolved(None, known)
    return Resolved(bound.resolved(known.observed), known)


def _reference(
    rule: ReferenceRule, objective: Objective, place: Place, service: str, evidence: Evidence
) -> Reference:
    if not rule.run:
        return _in_baseline(objective, service, evidence)
    run = evidence.references.get(rule.run)
    if run is None:
        return Reference(name=rule.name, reason=f"there is no run {rule.run}")
    if run.evidence is None or run.reason:
        return Reference(name=rule.name, run_id=run.run_id, reason=run.reason or "it is not there")
    phases, differs = _alike(place, objective, run.evidence.recording.plan)
    if not phases:
        why = f"the run {run.run_id} has no {_kind(place)}"
        return Reference(name=rule.name, run_id=run.run_id, reason=why)
    seen = _seen(objective, phases, service, run.evidence)
    if seen.value is None:
        why = f"in the run {run.run_id}, {seen.missing}"
        return Reference(name=rule.name, run_id=run.run_id, samples=seen.samples, reason=why)
    notes = [*_differences(run.evidence.recording, evidence.recording), *differs]
    return Reference(
        name=rule.name,
        run_id=run.run_id,
        observed=seen.value,
        samples=seen.samples,
        reason="; ".join(notes),
    )


def _in_baseline(objective: Objective, service: str, evidence: Evidence) -> Reference:
    phases = evidence.recording.plan.phases_named(BASELINE)
    if not phases:
        return Reference(name=BASELINE, reason="this run has no baseline to compare with")
    seen = _seen(objective, phases, service, evidence)
    if seen.value is None:
        why = f"of the baseline, {seen.missing}"
        return Reference(name=BASELINE, samples=seen.samples, reason=why)
    return Reference(name=BASELINE, observed=seen.value, samples=seen.samples)


def _seen(objective: Objective, phases: Sequence[Phase], service: str, evidence: Evidence) -> Seen:
    """The figure there, if it rests on as much as the objective asks for."""
    if phases[-1].end_s > evidence.table.recorded_s + 1.0:
        return Seen(None, missing="the load ended before its end")
    seen = figure_in(objective, phases, service, evidence)
    if seen.value is None:
        return Seen(None, seen.samples, seen.missing or "there is no figure")
    few = too_few(seen.samples, objective)
    return Seen(None, seen.samples, few) if few else seen


# -- earlier runs ----------------------------------------------------------------------------------


def reference_run(
    name: str, recording: Recording, plan: Plan, rules: Experiment | None = None
) -> ReferenceRun:
    """What ``recording`` is worth as a reference for a run of ``plan``.

    Args:
        name: As objectives have it.
        recording: The earlier run.
        plan: Of the run that is compared with it.
        rules: Experiment whose objectives are judged; None for that of ``plan``.
    """
    recording = carried_out(recording)
    table = LoadTable(recording.load, recording.plan)
    own = recording.plan.experiment.objectives
    findings = validity_findings(recording, table, own, searched(recording))
    evidence = evidence_of(recording, table, rules=rules or plan.experiment)
    bad = [one for one in findings if one.verdict not in (Verdict.PASS, Verdict.WARN)]
    reason = _incomparable(recording.plan, plan)
    if bad:
        reason = f"it was not valid: {bad[0].reason.rstrip('.')}"
    run_id = recording.manifest.run_id
    return ReferenceRun(name, evidence, f"of the run {run_id}, {reason}" if reason else "")


def _incomparable(earlier: Plan, plan: Plan) -> str:
    """Why two runs cannot be compared, as the end of a sentence; empty when they can."""
    if earlier.time_scale != plan.time_scale:
        return (
            f"durations were multiplied by {earlier.time_scale:g}, and those of this one by "
            f"{plan.time_scale:g}"
        )
    if earlier.experiment.load.locustfile != plan.experiment.load.locustfile:
        return (
            f"the load was that of {earlier.experiment.load.locustfile}, and this one's is that of "
            f"{plan.experiment.load.locustfile}"
        )
    if _levels(earlier) != _levels(plan):
        sizes = load_size(earlier), load_size(plan)
        other = f": {sizes[0]} instead of {sizes[1]}" if sizes[0] != sizes[1] else ""
        return f"the load was another{other}"
    return ""


def _levels(plan: Plan) -> object:
    """What makes the load what it is, but for how long it lasts."""
    load = plan.experiment.load
    stages = tuple((stage.users_to, stage.rate_to) for stage in plan.stages)
    search = None if load.search is None else (load.search.start, load.search.end)
    return load.model, stages, search


def _differences(earlier: Recording, recording: Recording) -> list[str]:
    """What else differs, as sentences' ends; it is for the reader to judge."""
    notes = []
    then_s, now_s = earlier.plan.duration_s, recording.plan.duration_s
    if then_s != now_s:
        notes.append(f"it lasted {figure(then_s, 's')}, this one {figure(now_s, 's')}")
    then, now = earlier.manifest.target, recording.manifest.target
    if then is not None and now is not None and then.identity != now.identity:
        notes.append(f"it was of another target, {then.identity or then.name}")
    return notes


def _alike(place: Place, objective: Objective, plan: Plan) -> tuple[tuple[Phase, ...], list[str]]:
    """What in an earlier ``plan`` is to be compared with ``place``, and how it differs."""
    for other in places_of(objective, plan):
        if other.label == place.label:
            return (other.phase,), []
    if place.name == "window" or objective.stage is not None:
        return (), []
    phases = plan.phases_named(place.name)
    if place.name != "fault" or not phases:
        return phases, []
    labels = ", ".join(phase_label(plan, phase) for phase in phases)
    return phases, [f"its faults were others: {labels}"]


def _kind(place: Place) -> str:
    """What an earlier run lacks that has nothing like ``place``."""
    if place.name != "window":
        return f"{place.name} phase"
    return place.label if place.label.startswith(STAGE.rstrip(":")) else f"window {place.label}"
