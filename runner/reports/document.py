"""The document: everything that any form of a report shows, computed once. Pure.

Each figure stands there twice, as a number in base units and as the text that people read; the
forms (page, JSON, JUnit, Markdown) only arrange it. Drawing and markup are not done here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from runner.analysis.searched import carried_out
from runner.analysis.words import crew_size, figure, load_size
from runner.model.evaluation import Evaluation, Verdict
from runner.model.recording import Recording
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.bounds import bounds_of
from runner.reports.budget import BudgetStory, budget_story
from runner.reports.charts import Chart, ChartGroup, chart_groups, failures_chart
from runner.reports.distribution import Distribution, distribution_of
from runner.reports.faults import FaultStory, fault_stories
from runner.reports.grid import Grid, grid_of
from runner.reports.loadseen import busiest, load_seen
from runner.reports.moments import AlertStory, alert_story
from runner.reports.openmodel import OpenModel, open_model
from runner.reports.recoveries import RecoveryRow, recovery_rows
from runner.reports.rows import (
    WORDS,
    AnswerRow,
    FailureRow,
    FindingRow,
    LoadRow,
    answer_row,
    endpoint_rows,
    failed_rows,
    failure_rows,
    finding_row,
    load_row,
)
from runner.reports.score import ScoreStory, score_story
from runner.reports.search import SearchStory, search_story
from runner.reports.text import Printable, Shown, command_line
from runner.reports.timeline import Timeline, ended_early_s, timeline_of
from runner.reports.views import ViewGroup, view_groups

DOCUMENT_SCHEMA = 1
MOST_NOTES = 20


class Fact(Model):
    """A named fact about the run."""

    name: Shown
    text: Shown


class Document(Model):
    """A report, but for its form."""

    schema_version: int = DOCUMENT_SCHEMA
    run_id: Shown
    experiment: Shown
    question: Shown
    verdict: Verdict
    word: str
    valid: bool
    sentence: Shown
    because: Shown
    rehearsal: str
    judged_by: Shown
    created: str
    started_iso: str
    load_started_wall_s: float | None = None
    facts: Items[Fact]
    objectives: Items[FindingRow]
    validity: Items[FindingRow]
    answers: Items[AnswerRow] = ()
    search: SearchStory | None = None
    open_model: OpenModel | None = None
    remarks: Items[Shown]
    notes: Items[Shown]
    timeline: Timeline
    grid: Grid
    at_s: Items[float]
    charts: Items[ChartGroup]
    signals_missing: Shown
    phases: Items[LoadRow]
    endpoints: Items[Items[LoadRow]]
    endpoints_left_out: str = ""
    failures: Items[FailureRow]
    failures_left_out: str = ""
    failed: Items[LoadRow] = ()
    failed_left_out: str = ""
    failures_chart: Chart | None = None
    faults: Items[FaultStory]
    distribution: Distribution | None = None
    recoveries: Items[RecoveryRow] = ()
    budget: BudgetStory | None = None
    score: ScoreStory | None = None
    views: Items[ViewGroup] = ()
    alerts: AlertStory | None = None
    environment: Items[Fact]
    command: Printable
    plan: Printable


def build_document(recording: Recording, evaluation: Evaluation) -> Document:
    """Compute everything that a report of ``recording`` and ``evaluation`` shows."""
    recording = carried_out(recording)
    plan = recording.plan
    grid = grid_of(plan, recording.signals)
    seen = load_seen(recording, grid, busiest(evaluation.endpoints))
    failed, failed_left_out = failed_rows(evaluation.endpoints)
    endpoints, endpoints_left_out = endpoint_rows(evaluation.endpoints)
    failures, failures_left_out = failure_rows(evaluation.failures)
    findings = [(finding.kind, finding_row(finding)) for finding in evaluation.findings]
    _, colon, because = evaluation.sentence.partition(": ")
    return Document(
        run_id=evaluation.run_id,
        experiment=evaluation.experiment,
        question=plan.experiment.description,
        verdict=evaluation.verdict,
        word=WORDS[evaluation.verdict],
        valid=evaluation.valid,
        sentence=evaluation.sentence,
        because=because[:1].upper() + because[1:] if colon else evaluation.sentence,
        rehearsal=_rehearsal(evaluation),
        judged_by=evaluation.judged_by and f"Judged by the objectives of {evaluation.judged_by}",
        created=_created(recording),
        started_iso=_started_iso(recording),
        load_started_wall_s=_load_started_wall_s(recording),
        facts=_facts(recording, evaluation),
        objectives=tuple(row for kind, row in findings if kind == "objective"),
        validity=tuple(row for kind, row in findings if kind == "validity"),
        answers=tuple(answer_row(one) for one in evaluation.findings if one.kind == "answer"),
        search=None if evaluation.search is None else search_story(evaluation.search),
        open_model=open_model(plan),
        remarks=tuple(_remarks(recording))[:MOST_NOTES],
        notes=recording.load.notes[:MOST_NOTES],
        timeline=timeline_of(recording, evaluation, grid),
        grid=grid,
        at_s=grid.centers_s,
        charts=chart_groups(recording, evaluation, grid, seen),
        signals_missing=_signals_missing(recording),
        phases=tuple(load_row(figures) for figures in evaluation.phases),
        endpoints=endpoints,
        endpoints_left_out=endpoints_left_out,
        failures=failures,
        failures_left_out=failures_left_out,
        failed=failed,
        failed_left_out=failed_left_out,
        failures_chart=failures_chart(seen, grid),
        faults=fault_stories(recording, evaluation),
        distribution=distribution_of(seen, grid, bounds_of(evaluation.findings)),
        recoveries=recovery_rows(evaluation, plan.experiment.objectives),
        budget=None if evaluation.budget is None else budget_story(evaluation.budget),
        score=None if evaluation.score is None else score_story(evaluation.score),
        views=view_groups(evaluation),
        alerts=alert_story(recording),
        environment=_environment(recording),
        command=command_line(recording.manifest.argv),
        plan=json.dumps(plan.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False),
    )


def _remarks(recording: Recording) -> Iterator[str]:
    """What the preflight remarked on."""
    for event in recording.events:
        if (event.source, event.action, event.kind) == ("target", "preflight", "note"):
            yield event.detail


# -- verdict ---------------------------------------------------------------------------------------


def _rehearsal(evaluation: Evaluation) -> str:
    if evaluation.time_scale == 1.0:
        return ""
    return f"Rehearsal: every duration × {evaluation.time_scale:g}"


def _created(recording: Recording) -> str:
    anchor = recording.manifest.anchor
    return recording.manifest.created_at if anchor is None else fmt.utc(anchor.load_started_wall_s)


def _started_iso(recording: Recording) -> str:
    """ISO 8601 in UTC without a zone, as JUnit has it."""
    return _created(recording).removesuffix(" UTC").replace(" ", "T").removesuffix("+00:00")


def _load_started_wall_s(recording: Recording) -> float | None:
    """Unix time of offset 0; None when no load was started."""
    anchor = recording.manifest.anchor
    return None if anchor is None else anchor.load_started_wall_s


def _facts(recording: Recording, evaluation: Evaluation) -> tuple[Fact, ...]:
    requests = sum(figures.requests for figures in evaluation.phases)
    failed = sum(figures.failures for figures in evaluation.phases)
    plan, target = recording.plan, recording.manifest.target
    ended_s = ended_early_s(recording)
    ended = f"{fmt.span(ended_s or 0.0)} of {fmt.span(plan.duration_s)}"
    known = {
        "Created" if recording.manifest.anchor is None else "Load started": _created(recording),
        "Length": fmt.span(plan.duration_s) if ended_s is None else ended,
        "Load": load_size(plan),
        "Requests": f"{fmt.count(requests)}, {fmt.count(failed)} failed",
        "Faults": fmt.count(len(plan.faults)) if plan.faults else "none",
        "Target": "" if target is None else f"{target.kind} {target.name}",
    }
    return tuple(Fact(name=name, text=text) for name, text in known.items() if text)


def _signals_missing(recording: Recording) -> str:
    if recording.signals is None:
        return "No signals of the services were collected."
    error = recording.signals.error
    return f"The signals of the services are incomplete: {error}" if error else ""


def _environment(recording: Recording) -> tuple[Fact, ...]:
    manifest, target = recording.manifest, recording.manifest.target
    known = {
        "Run": manifest.run_id,
        "State": manifest.state + (f" ({manifest.reason})" if manifest.reason else ""),
        "Experiment file": f"{manifest.experiment} (SHA-256 {manifest.experiment_sha256[:12]})",
        "Git revision": manifest.git_revision or "none, as the experiment is in no checkout",
        "Seed": str(manifest.seed),
        "Time scale": f"× {recording.plan.time_scale:g}",
    }
    if crew := crew_size(recording.plan.generator):
        known["Load generator"] = crew
    if arguments := recording.plan.generator.arguments:
        known["Arguments of Locust"] = command_line(arguments)
    if target is not None:
        known |= {
            "Target": f"{target.kind} {target.name}",
            "Identity": target.identity,
            "Context": target.context,
            "Namespace": target.namespace,
            "Ingress": f"{target.ingress_url} {target.host and f'(host {target.host})'}".strip(),
            "Prometheus": target.prometheus_url,
        }
        known |= {f"Target's {name}": text for name, text in sorted(target.parts.items())}
    anchor = manifest.anchor
    if anchor is not None and anchor.prometheus_skew_s is not None:
        skew_s = anchor.prometheus_skew_s
        side = "ahead" if skew_s > 0 else "behind"
        known["Clock of Prometheus"] = f"{figure(abs(skew_s), 's')} {side}"
    known |= {f"Host: {name}": text for name, text in sorted(manifest.host.items())}
    known |= {f"Version: {name}": text for name, text in sorted(manifest.versions.items())}
    return tuple(Fact(name=name, text=text) for name, text in known.items() if text)
