"""From a recording to an evaluation: the one entry of this package. Pure.

The same recording always gives the same evaluation, on the machine of the run or years later on
another, with its own objectives or with others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.analysis.faultseen import kills_of
from runner.analysis.loadchecks import RUN_FINISHED
from runner.analysis.objectives import ALL_SERVICES, evidence_of, judge
from runner.analysis.questions import answers
from runner.analysis.recoveries import usual_promises
from runner.analysis.recovery import Recovery, recovery_of
from runner.analysis.searched import carried_out, searched
from runner.analysis.searchfindings import judge_breaking_point, search_answer, search_figures
from runner.analysis.validity import validity_findings
from runner.analysis.windows import LoadTable, endpoint_figures, phase_figures
from runner.analysis.words import count
from runner.model.evaluation import (
    Evaluation,
    FailureFigure,
    FaultFigure,
    Finding,
    SignalFigures,
    Verdict,
    overall,
)
from runner.model.faultrecord import FaultRecord
from runner.model.objective import Objective
from runner.model.plan import Plan, PlannedFault
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
    recording: Recording, objectives: tuple[Objective, ...] | None = None, judged_by: str = ""
) -> Evaluation:
    """Judge ``recording``.

    Args:
        recording: A run, read back from its folder.
        objectives: What to judge it by; None for the experiment's own.
        judged_by: Whose objectives these are; empty for the experiment's own.
    """
    recording = carried_out(recording)
    plan = recording.plan
    chosen = plan.experiment.objectives if objectives is None else objectives
    table = LoadTable(recording.load, plan)
    kept = usual_promises(chosen, table, plan.experiment)
    recoveries = tuple(recovery_of(fault, recording, table, kept) for fault in plan.faults)
    evidence = evidence_of(recording, table, recoveries)
    search = searched(recording)
    findings = (
        *validity_findings(recording, table, chosen, search),
        *(
            judge_breaking_point(objective, search)
            if objective.bound.sli == "breaking-point"
            else judge(objective, evidence)
            for objective in chosen
        ),
        *(() if search is None else (search_answer(search, recording.signals),)),
        *answers(recording, table, chosen),
    )
    verdict, valid = overall(findings)
    said = headline(verdict, findings, plan, judged_by)
    return Evaluation(
        run_id=recording.manifest.run_id,
        experiment=recording.manifest.experiment,
        verdict=verdict,
        valid=valid,
        headline=said,
        sentence=f"{said} {_because(verdict, findings)}".strip(),
        judged_by=judged_by,
        time_scale=plan.time_scale,
        findings=findings,
        phases=phase_figures(table, plan),
        endpoints=endpoint_figures(table, plan),
        signals=signal_figures(recording),
        failures=failure_figures(recording.load),
        faults=fault_figures(recording, recoveries),
        search=None if search is None else search_figures(search),
    )


def headline(verdict: Verdict, findings: Sequence[Finding], plan: Plan, judged_by: str = "") -> str:
    """The verdict in one sentence, without reasons; says so when the run was a rehearsal."""
    marks = [f"REHEARSAL (durations × {plan.time_scale:g})"] * plan.rehearsal
    marks += [f"judged by the objectives of {judged_by}"] * bool(judged_by)
    marks.append(f"{verdict.value.upper()}: {_what(verdict, findings)}")
    text = ", ".join(marks)
    return text[:1].upper() + text[1:]


def _what(verdict: Verdict, findings: Sequence[Finding]) -> str:
    objectives = [finding for finding in findings if finding.kind == "objective"]
    if _invalid(findings):
        return "the run proves nothing."
    if not objectives:
        return "the run has no objective, so nothing was judged."
    met = f"all {len(objectives)} objectives were" if len(objectives) > 1 else "the objective was"
    if verdict is Verdict.PASS:
        return f"{met} met and the run was valid."
    if verdict is Verdict.WARN:
        warnings = sum(finding.verdict is Verdict.WARN for finding in findings)
        return f"{met} met, with {count(warnings, 'warning')}."
    deciding = [finding for finding in objectives if finding.verdict is verdict]
    was = "was" if len(deciding) == 1 else "were"
    how = "missed" if verdict is Verdict.FAIL else "not proven"
    return f"{len(deciding)} of {count(len(objectives), 'objective')} {was} {how}."


def _because(verdict: Verdict, findings: Sequence[Finding]) -> str:
    """The first reason of ``verdict``, and how many there are; empty for a pass."""
    invalid = _invalid(findings)
    if invalid and invalid[0].check == RUN_FINISHED:
        return invalid[0].reason  # Whatever else is missing follows from it.
    kinds = ("objective", "validity") if verdict is Verdict.WARN else ("objective",)
    deciding = invalid or [f for f in findings if f.verdict is verdict and f.kind in kinds]
    if verdict is Verdict.PASS or not deciding:
        return ""
    rest = len(deciding) - 1
    return deciding[0].reason + (f" (And {count(rest, 'more reason')}.)" if rest else "")


def _invalid(findings: Iterable[Finding]) -> list[Finding]:
    return [
        finding
        for finding in findings
        if finding.kind == "validity" and finding.verdict not in (Verdict.PASS, Verdict.WARN)
    ]


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
            fault, records.get(fault.id, FaultRecord(id=fault.id)), recording, recovered[fault.id]
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
