"""The document: everything that any form of a report shows, computed once. Pure.

Each figure stands there twice, as a number in base units and as the text that people read; the
forms (page, JSON, JUnit, Markdown) only arrange it. Drawing and markup are not done here.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable

from runner.model.evaluation import Evaluation, Finding, LoadFigures, Part, Verdict
from runner.model.plan import Plan
from runner.model.recording import Recording
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.charts import KINDS, ChartGroup, Grid, Line, chart_groups, grid_of, users_lines
from runner.reports.faults import FaultStory, fault_stories
from runner.reports.text import Printable, Shown

DOCUMENT_SCHEMA = 1
MOST_ENDPOINTS = 40
MOST_FAILURES = 50

WORDS = {
    Verdict.PASS: "Pass",
    Verdict.WARN: "Pass with warnings",
    Verdict.FAIL: "Fail",
    Verdict.INCONCLUSIVE: "Inconclusive",
}
_OPERATORS = {"<=": "≤", ">=": "≥"}


class Number(Model):
    """A figure in base units, and as people read it."""

    value: float | None
    unit: str
    text: str


class PartRow(Model):
    """One window of a finding."""

    label: Shown
    window: str
    verdict: Verdict
    observed: Number
    samples: Number
    reason: Shown


class FindingRow(Model):
    """A line of the tables of objectives and of validity."""

    title: Shown
    check: Shown
    where: Shown
    source: Shown
    verdict: Verdict
    word: str
    observed: Number
    bound: Number
    bound_text: str
    warn_text: str
    margin: Number
    reason: Shown
    parts: Items[PartRow] = ()


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


class FaultSpan(Model):
    """A fault on the timeline, as planned and as it was seen."""

    number: int
    id: Shown
    kind: str
    start_s: float
    end_s: float
    left_percent: float
    width_percent: float
    text: Shown


class Timeline(Model):
    """The run from left to right."""

    duration_s: float
    duration: str
    phases: Items[PhaseSpan]
    faults: Items[FaultSpan]
    users: Items[Line]
    users_max: Number
    ticks: Items[tuple[float, str]]


class LoadRow(Model):
    """Load figures of a phase, or of an endpoint in a phase."""

    label: Shown
    phase: str
    endpoint: Shown
    window: str
    users: Number
    requests: Number
    rate: Number
    failures: Number
    error_ratio: Number
    p50: Number
    p95: Number
    p99: Number
    highest: Number
    kinds: str


class FailureRow(Model):
    """A kind of failure and how often it was seen."""

    endpoint: Shown
    outcome: Shown
    text: Shown
    count: Number


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
    created: str
    started_iso: str
    facts: Items[Fact]
    objectives: Items[FindingRow]
    validity: Items[FindingRow]
    timeline: Timeline
    grid: Grid
    at_s: Items[float]
    charts: Items[ChartGroup]
    phases: Items[LoadRow]
    endpoints: Items[Items[LoadRow]]
    endpoints_left_out: str = ""
    failures: Items[FailureRow]
    failures_left_out: str = ""
    faults: Items[FaultStory]
    environment: Items[Fact]
    command: Printable
    plan: Printable


def build_document(recording: Recording, evaluation: Evaluation) -> Document:
    """Compute everything that a report of ``recording`` and ``evaluation`` shows."""
    plan = recording.plan
    grid = grid_of(plan, recording.signals)
    endpoints, endpoints_left_out = _endpoints(evaluation.endpoints)
    failures, failures_left_out = _failures(evaluation)
    findings = [(finding.kind, _finding(finding)) for finding in evaluation.findings]
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
        created=_created(recording),
        started_iso=_started_iso(recording),
        facts=_facts(recording, evaluation),
        objectives=tuple(row for kind, row in findings if kind == "objective"),
        validity=tuple(row for kind, row in findings if kind == "validity"),
        timeline=_timeline(recording, evaluation, grid),
        grid=grid,
        at_s=grid.centers_s,
        charts=chart_groups(recording, evaluation, grid),
        phases=tuple(_load_row(figures) for figures in evaluation.phases),
        endpoints=endpoints,
        endpoints_left_out=endpoints_left_out,
        failures=failures,
        failures_left_out=failures_left_out,
        faults=fault_stories(recording, evaluation),
        environment=_environment(recording),
        command=shlex.join(recording.manifest.argv),
        plan=json.dumps(plan.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False),
    )


def number(value: float | None, unit: str) -> Number:
    """``value`` with its text."""
    return Number(value=value, unit=unit, text=fmt.quantity(value, unit))


def window(start_s: float, end_s: float) -> str:
    """A window as ``00:30 to 01:05``."""
    return f"{fmt.clock_offset(start_s)} to {fmt.clock_offset(end_s)}"


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


def _facts(recording: Recording, evaluation: Evaluation) -> tuple[Fact, ...]:
    requests = sum(figures.requests for figures in evaluation.phases)
    failed = sum(figures.failures for figures in evaluation.phases)
    plan, target = recording.plan, recording.manifest.target
    known = {
        "Load started": _created(recording),
        "Length": fmt.span(plan.duration_s),
        "Users": f"up to {fmt.count(max(stage.users_to for stage in plan.stages))}",
        "Requests": f"{fmt.count(requests)}, {fmt.count(failed)} failed",
        "Faults": fmt.count(len(plan.faults)) if plan.faults else "none",
        "Target": "" if target is None else f"{target.kind} {target.name}",
    }
    return tuple(Fact(name=name, text=text) for name, text in known.items() if text)


# -- findings --------------------------------------------------------------------------------------


def _finding(finding: Finding) -> FindingRow:
    operator = _OPERATORS.get(finding.operator, finding.operator)
    bound = number(finding.bound, finding.unit)
    warn = fmt.quantity(finding.warn, finding.unit)
    return FindingRow(
        title=finding.title,
        check=finding.check,
        where=finding.where,
        source={"client": "load", "mesh": "mesh"}.get(finding.source, finding.source),
        verdict=finding.verdict,
        word=WORDS[finding.verdict] if finding.verdict is not Verdict.WARN else "Warning",
        observed=number(finding.observed, finding.unit),
        bound=bound,
        bound_text="" if finding.bound is None else f"{operator} {bound.text}".strip(),
        warn_text="" if finding.warn is None else f"{operator} {warn}".strip(),
        margin=number(finding.margin_ratio, "ratio"),
        reason=finding.reason,
        parts=tuple(_part(part, finding) for part in finding.parts),
    )


def _part(part: Part, finding: Finding) -> PartRow:
    return PartRow(
        label=part.label,
        window=window(part.start_s, part.end_s),
        verdict=part.verdict,
        observed=number(part.observed, finding.unit),
        samples=number(part.samples, "count"),
        reason=part.reason,
    )


# -- timeline --------------------------------------------------------------------------------------


def _timeline(recording: Recording, evaluation: Evaluation, grid: Grid) -> Timeline:
    plan = recording.plan
    users = users_lines(recording, grid)
    highest = max((v for line in users for v in line.values if v is not None), default=0.0)
    labels = {figures.phase_index: figures.label for figures in evaluation.phases}
    return Timeline(
        duration_s=plan.duration_s,
        duration=fmt.span(plan.duration_s),
        phases=tuple(
            PhaseSpan(
                name=phase.name,
                label=labels.get(phase.index, phase.name),
                start_s=phase.start_s,
                end_s=phase.end_s,
                window=window(phase.start_s, phase.end_s),
                length=fmt.span(phase.duration_s),
                left_percent=_percent(phase.start_s, plan),
                width_percent=_percent(phase.duration_s, plan),
            )
            for phase in plan.phases
        ),
        faults=tuple(
            FaultSpan(
                number=number_,
                id=fault.id,
                kind=fault.kind,
                start_s=fault.start_s,
                end_s=fault.end_s,
                left_percent=_percent(fault.start_s, plan),
                width_percent=_percent(fault.end_s - fault.start_s, plan),
                text=f"{fault.kind} on {fault.service}, {window(fault.start_s, fault.end_s)}",
            )
            for number_, fault in enumerate(evaluation.faults, start=1)
        ),
        users=tuple(users),
        users_max=number(highest, "count"),
        ticks=tuple(
            (_percent(at_s, plan), fmt.clock_offset(at_s)) for at_s in ticks_s(plan.duration_s, 10)
        ),
    )


def ticks_s(duration_s: float, most: int) -> tuple[float, ...]:
    """Round offsets from 0 to ``duration_s``, at most ``most`` steps apart."""
    steps = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600)
    step_s = next((step for step in steps if duration_s / step <= most), 43200)
    return tuple(float(at_s) for at_s in range(0, int(duration_s) + 1, step_s))


def _percent(seconds: float, plan: Plan) -> float:
    return round(100 * seconds / plan.duration_s, 3)


# -- tables ----------------------------------------------------------------------------------------


def _load_row(figures: LoadFigures) -> LoadRow:
    kinds = {name: n for name, n in figures.outcomes.items() if name != "success" and n}
    return LoadRow(
        label=figures.label,
        phase=figures.phase,
        endpoint=figures.endpoint,
        window=window(figures.start_s, figures.end_s),
        users=number(figures.users, "count"),
        requests=number(figures.requests, "count"),
        rate=number(figures.rate_per_s, "per_s"),
        failures=number(figures.failures, "count"),
        error_ratio=number(figures.error_ratio, "ratio"),
        p50=number(figures.p50_s, "s"),
        p95=number(figures.p95_s, "s"),
        p99=number(figures.p99_s, "s"),
        highest=number(figures.max_s, "s"),
        kinds=", ".join(f"{fmt.count(n)} {KINDS.get(name, name)}" for name, n in kinds.items()),
    )


def _endpoints(figures: Iterable[LoadFigures]) -> tuple[tuple[tuple[LoadRow, ...], ...], str]:
    """Rows by endpoint, the busiest endpoints only, and what was left out."""
    by_endpoint: dict[str, list[LoadFigures]] = {}
    for one in figures:
        by_endpoint.setdefault(one.endpoint, []).append(one)
    busiest = sorted(by_endpoint, key=lambda name: -sum(f.requests for f in by_endpoint[name]))
    kept = sorted(busiest[:MOST_ENDPOINTS])
    rows = tuple(tuple(_load_row(one) for one in by_endpoint[name]) for name in kept)
    return rows, _left_out(len(busiest) - len(kept), "endpoints with fewer requests")


def _failures(evaluation: Evaluation) -> tuple[tuple[FailureRow, ...], str]:
    rows = tuple(
        FailureRow(
            endpoint=failure.endpoint,
            outcome=KINDS.get(failure.outcome, failure.outcome),
            text=failure.text,
            count=number(failure.count, "count"),
        )
        for failure in evaluation.failures[:MOST_FAILURES]
    )
    return rows, _left_out(
        len(evaluation.failures) - len(rows), "kinds of failure, seen less often"
    )


def _left_out(rest: int, what: str) -> str:
    return f"{fmt.count(rest)} more {what}, are not shown here." if rest > 0 else ""


def _environment(recording: Recording) -> tuple[Fact, ...]:
    manifest, target = recording.manifest, recording.manifest.target
    known = {
        "Run": manifest.run_id,
        "State": manifest.state + (f" ({manifest.reason})" if manifest.reason else ""),
        "Experiment file": f"{manifest.experiment} (SHA-256 {manifest.experiment_sha256[:12]})",
        "Git revision": manifest.git_revision,
        "Seed": str(manifest.seed),
    }
    if target is not None:
        known |= {
            "Target": f"{target.kind} {target.name}",
            "Identity": target.identity,
            "Context": target.context,
            "Namespace": target.namespace,
            "Ingress": f"{target.ingress_url} {target.host and f'(host {target.host})'}".strip(),
            "Prometheus": target.prometheus_url,
        }
    anchor = manifest.anchor
    if anchor is not None and anchor.prometheus_skew_s is not None:
        known["Clock of Prometheus"] = f"{fmt.seconds(anchor.prometheus_skew_s)} off"
    known |= {f"Host: {name}": text for name, text in sorted(manifest.host.items())}
    known |= {f"Version: {name}": text for name, text in sorted(manifest.versions.items())}
    return tuple(Fact(name=name, text=text) for name, text in known.items() if text)
