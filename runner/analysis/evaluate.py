"""From a recording to an evaluation: the one entry of this package. Pure.

The same recording always gives the same evaluation, on the machine of the run or years later on
another, with its own objectives or with others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runner.analysis.budget import budget_figures
from runner.analysis.evidence import ALL_SERVICES, Evidence, ReferenceRun, evidence_of
from runner.analysis.faultseen import kills_of
from runner.analysis.headline import because, headline
from runner.analysis.objectives import judge
from runner.analysis.questions import answers
from runner.analysis.recoveries import recoveries_by, recovery_figures, usual_promises
from runner.analysis.recovery import Recovery, worst_recovery
from runner.analysis.score import by_score, score_figures
from runner.analysis.searched import Searched, carried_out, searched
from runner.analysis.searchfindings import judge_breaking_point, search_answer, search_figures
from runner.analysis.validity import validity_findings
from runner.analysis.views import view_figures, views_agree, views_of
from runner.analysis.windows import LoadTable, endpoint_figures, phase_figures
from runner.model.evaluation import (
    Evaluation,
    FailureFigure,
    FaultFigure,
    Finding,
    SignalFigures,
    overall,
)
from runner.model.experiment import Experiment
from runner.model.faultrecord import FaultRecord
from runner.model.objective import Objective
from runner.model.plan import PlannedFault
from runner.model.recording import LoadRecord, Recording

_SIGNAL_FIELDS = {
    "traffic": "traffic_per_s",
    "errors": "error_ratio",
    "latency.p50": "p50_s",
    "latency.p95": "p95_s",
    "latency.p99": "p99_s",
    "saturation.cpu": "cpu_ratio",
    "saturation.memory": "memory_ratio",
}


def evaluate(
    recording: Recording,
    objectives: tuple[Objective, ...] | None = None,
    judged_by: str = "",
    *,
    rules: Experiment | None = None,
    references: Mapping[str, ReferenceRun] | None = None,
) -> Evaluation:
    """Judge ``recording``.

    Args:
        recording: A run, read back from its folder.
        objectives: What to judge it by, with offsets as in its plan; None for the experiment's own.
        judged_by: Whose objectives these are; empty for the experiment's own.
        rules: Experiment whose groups, score and budget go with ``objectives``; None for the run's.
        references: Earlier runs that objectives name, by that name; see ``relative.reference_run``.
    """
    recording = carried_out(recording)
    plan = recording.plan
    chosen = plan.experiment.objectives if objectives is None else objectives
    table = LoadTable(recording.load, plan)
    rules = (rules or plan.experiment).model_copy(update={"objectives": chosen})
    recoveries = recoveries_by(chosen, recording, table, rules)
    evidence = evidence_of(recording, table, recoveries, rules=rules, references=references)
    search = searched(recording)
    views = views_of(recording, table)
    findings = (
        *validity_findings(recording, table, chosen, search),
        *filter(None, [views_agree(recording, views, chosen)]),
        *(_judged(objective, evidence, search) for objective in chosen),
        *(() if search is None else (search_answer(search, recording.signals),)),
        *answers(recording, table, chosen),
    )
    score = None if rules.score is None else score_figures(findings, rules.score)
    verdict, valid = overall(findings, None if score is None else by_score(findings, score))
    said = headline(verdict, findings, plan, judged_by, score)
    return Evaluation(
        run_id=recording.manifest.run_id,
        experiment=recording.manifest.experiment,
        verdict=verdict,
        valid=valid,
        headline=said,
        sentence=f"{said} {because(verdict, findings, score)}".strip(),
        judged_by=judged_by,
        time_scale=plan.time_scale,
        findings=findings,
        phases=phase_figures(table, plan),
        endpoints=endpoint_figures(table, plan),
        signals=signal_figures(recording),
        failures=failure_figures(recording.load),
        faults=fault_figures(
            recording,
            [worst_recovery(found) for found in recoveries[usual_promises(chosen, table, rules)]],
        ),
        search=None if search is None else search_figures(search),
        recoveries=recovery_figures(recoveries),
        budget=budget_figures(evidence),
        views=view_figures(views),
        score=score,
    )


def _judged(objective: Objective, evidence: Evidence, search: Searched | None) -> Finding:
    if objective.bound.sli == "breaking-point":
        found = judge_breaking_point(objective, search)
    else:
        found = judge(objective, evidence)
    return found.model_copy(update={"weight": objective.weight, "key": objective.key})


def signal_figures(recording: Recording) -> tuple[SignalFigures, ...]:
    """The golden signals of each service in each phase, as far as they are known."""
    if recording.signals is None:
        return ()
    values: dict[tuple[str, int], dict[str, float | None]] = {}
    for signal in recording.signals.phases:
        field = _SIGNAL_FIELDS.get(signal.sli)
        if field is not None and signal.service != ALL_SERVICES:
            values.setdefault((signal.service, signal.phase), {})[field] = signal.value
    phases = {phase.index: phase for phase in recording.plan.phases}
    return tuple(
        SignalFigures(
            service=service,
            phase=phases[index].name,
            phase_index=index,
            start_s=phases[index].start_s,
            end_s=phases[index].end_s,
            **known,
        )
        for (service, index), known in sorted(values.items())
        if index in phases
    )


def failure_figures(load: LoadRecord) -> tuple[FailureFigure, ...]:
    """The kinds of failure that the load saw, the most frequent first."""
    ordered = sorted(load.failures.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        FailureFigure(endpoint=endpoint, outcome=outcome, text=text, count=number)
        for (endpoint, outcome, text), number in ordered
    )


def fault_figures(recording: Recording, recoveries: Iterable[Recovery]) -> tuple[FaultFigure, ...]:
    """What became of each fault, in figures."""
    records = {record.id: record for record in recording.faults}
    recovered = {recovery.fault_id: recovery.seconds for recovery in recoveries}
    return tuple(
        _fault_figure(
            fault,
            records.get(fault.id, FaultRecord(id=fault.id)),
            recording,
            recovered.get(fault.id),
        )
        for fault in recording.plan.faults
    )


def _fault_figure(
    fault: PlannedFault, record: FaultRecord, recording: Recording, recovery_s: float | None
) -> FaultFigure:
    recovers, proofs = fault.fault.recovers, fault.fault.proofs
    first = "verified" if "verified" in proofs else proofs[0]
    begun = [e.wall_s for e in record.effects if e.what == first]
    kills = [kill[0].wall_s for kill in kills_of(record)]
    ended = [e.wall_s for e in record.effects if e.what == ("ready" if recovers else "gone")]
    acted = ("killed", "injected", "evicted")
    flags = {} if recording.signals is None else recording.signals.fault_flags
    details = [
        *record.failed_activities,
        *(e.detail for e in record.effects if e.what == "skipped"),
    ]
    return FaultFigure(
        id=fault.id,
        kind=fault.fault.kind,
        service=fault.fault.service,
        start_s=fault.start_s,
        end_s=fault.end_s,
        injected_s=recording.offset_s(min(begun)) if begun else None,
        gone_s=recording.offset_s(max(ended)) if ended else None,
        recovery_s=recovery_s,
        flagged=flags.get(fault.id),
        kills_s=tuple(at_s for kill in kills if (at_s := recording.offset_s(kill)) is not None),
        subjects=tuple(sorted({e.subject for e in record.effects if e.what in acted})),
        detail="; ".join(filter(None, details)),
    )
