"""Did the run prove anything? One finding for each thing that must be true before judging.

The run went to its end; the load was delivered as planned, is on record, and was not slowed down
by its generator; each fault was injected, seen by those it was meant for, and gone afterwards; the
signals are complete. A finding that is neither pass nor warn makes the whole run inconclusive,
whatever the objectives say. Nothing here looks at an objective's bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.analysis.arrivalchecks import arrivals_kept, sent_in_time, workers_stayed
from runner.analysis.checks import Check, phase_signal
from runner.analysis.expectations import expected
from runner.analysis.faultchecks import fault_gone, fault_injected, fault_seen
from runner.analysis.figures import services_judged, subject_service
from runner.analysis.loadchecks import (
    generator_had_room,
    load_delivered,
    load_recorded,
    run_finished,
)
from runner.analysis.places import NOT_COLLECTED, places_of
from runner.analysis.searched import Searched
from runner.analysis.searchfindings import search_delivered, search_generator
from runner.analysis.windows import LoadTable, phase_label
from runner.analysis.words import figure
from runner.model.evaluation import Finding, Verdict
from runner.model.faultrecord import FaultRecord
from runner.model.objective import Objective
from runner.model.plan import Phase, Plan
from runner.model.recording import PhaseSignal, Recording, Signals, SignalSeries

SKEW_TOLERANCE_S = 1.0
"""Clocks further apart than this are worth a warning; the figures are corrected for it."""


def validity_findings(
    recording: Recording,
    table: LoadTable,
    objectives: Sequence[Objective],
    search: Searched | None = None,
) -> tuple[Finding, ...]:
    """All findings of kind ``validity``, in the order in which a reader wants them."""
    findings = [
        run_finished(recording),
        load_delivered(recording, table) if search is None else search_delivered(recording, search),
        load_recorded(recording, table),
        generator_had_room(recording, table)
        if search is None
        else search_generator(recording, search),
    ]
    if recording.plan.experiment.load.model == "rate":
        findings += [arrivals_kept(recording), sent_in_time(recording)]
    if workers := workers_stayed(recording):
        findings.append(workers)
    records = {record.id: record for record in recording.faults}
    for fault in recording.plan.faults:
        record = records.get(fault.id, FaultRecord(id=fault.id))
        findings.append(fault_injected(fault, record, recording))
        findings.append(fault_seen(fault, record, recording))
        findings.append(fault_gone(fault, record, recording))
        if fault.fault.expects is not None:
            findings.append(expected(fault, recording))
    findings.append(signals_complete(recording, objectives))
    skew = clock_skew(recording)
    return (*findings, *((skew,) if skew else ()))


# -- signals ---------------------------------------------------------------------------------------


def signals_complete(recording: Recording, objectives: Sequence[Objective]) -> Finding:
    """Prometheus answered everything that this run rests on, without gaps and warnings."""
    check = Check("signals-complete", "The signals are complete")
    needed = bool(recording.plan.faults) or any(o.effective_source == "mesh" for o in objectives)
    problem = _signal_problem(recording, objectives)
    if problem and needed:
        return check.unproven(problem)
    if problem:
        return check.warned(f"{problem} No objective of this run needs it.")
    return check.passed("Prometheus answered for the whole run, without a gap.")


_ANSWERS_ONLY = ("replicas.", "pool.", "signal.")
"""Signals that answers rest on, and no validity: without them, there are fewer answers.

A reader's own signal may be wrong by itself; then what is judged by it is inconclusive.
"""

_OF_THE_MESH = ("latency", "errors", "traffic", "saturation.cpu", "saturation.memory")


def _signal_problem(recording: Recording, objectives: Sequence[Objective]) -> str:
    signals = recording.signals
    if signals is None:
        return "No signals were collected."
    if signals.error:
        return f"Prometheus gave no usable answer: {signals.error.rstrip('.')}."
    if signals.scrape_gaps:
        more = len(signals.scrape_gaps) - 1
        also = f" (and {more} more)" if more else ""
        return f"{signals.scrape_gaps[0].rstrip('.')}{also}."
    items: list[PhaseSignal | SignalSeries] = [*signals.phases, *signals.series]
    for item in items:
        if item.sli.startswith(_ANSWERS_ONLY):
            continue
        if item.warnings:
            return f"Prometheus warned about {item.sli}: {item.warnings[0].rstrip('.')}."
        if item.state == "error":
            return f"Prometheus could not answer for {item.sli}: {item.message.rstrip('.')}."
    for phase, sli, service in _required(recording, signals, objectives):
        signal = phase_signal(signals, phase.index, sli, service)
        if signal is None or signal.state != "ok" or signal.value is None:
            label = phase_label(recording.plan, phase)
            why = f": {signal.message.rstrip('.')}" if signal and signal.message else ""
            return f"There is no figure of {sli} of {service or 'the ingress'} in {label}{why}."
    return ""


def _required(
    recording: Recording, signals: Signals, objectives: Sequence[Objective]
) -> Iterable[tuple[Phase, str, str]]:
    """Phase, indicator and service of each figure that faults and objectives rest on."""
    plan = recording.plan
    for fault in plan.faults:
        for phase in plan.phases:
            if fault.id in phase.faults:
                yield phase, "traffic", fault.fault.service
    for objective in objectives:
        if objective.effective_source == "mesh" and objective.bound.sli in _OF_THE_MESH:
            yield from _required_by(objective, plan, signals)


def _required_by(
    objective: Objective, plan: Plan, signals: Signals
) -> Iterable[tuple[Phase, str, str]]:
    sli, services = objective.bound.indicator, services_judged(objective, signals)
    for place in places_of(objective, plan):
        if place.phase.index == NOT_COLLECTED:
            continue
        if services is None:
            yield place.phase, sli, subject_service(objective)
            continue
        for service in services:
            if not _was_quiet(signals, place.phase, sli, service):
                yield place.phase, sli, service


def _was_quiet(signals: Signals, phase: Phase, sli: str, service: str) -> bool:
    """Whether Prometheus answered that there was nothing: no request to that one of many services.

    It leaves the objective unproven, but not the run: others may have missed theirs.
    """
    signal = phase_signal(signals, phase.index, sli, service)
    usage = sli.startswith("saturation")  # A pod has that without requests.
    return not usage and signal is not None and signal.state == "empty"


def clock_skew(recording: Recording) -> Finding | None:
    """Whether Prometheus' clock and ours agree; nothing to say when there were no signals."""
    check = Check("clock-skew", "The clocks agree")
    if recording.signals is None or recording.signals.error or recording.manifest.anchor is None:
        return None
    skew_s = recording.manifest.anchor.prometheus_skew_s
    if skew_s is None:
        return check.warned("How far Prometheus' clock is off could not be measured.")
    text = f"Prometheus' clock is {figure(abs(skew_s), 's')} {'ahead' if skew_s > 0 else 'behind'}"
    within = abs(skew_s) <= SKEW_TOLERANCE_S
    return Finding(
        kind="validity",
        check=check.name,
        title=check.title,
        verdict=Verdict.PASS if within else Verdict.WARN,
        reason=f"{text}; the signals were read with that in mind.",
        operator="<=",
        observed=abs(skew_s),
        bound=SKEW_TOLERANCE_S,
        unit="s",
    )
