"""Did the run prove anything? One finding for each thing that must be true before judging.

The load was delivered as planned; each fault was injected, seen by those it was meant for, and
gone afterwards; the signals are complete; the run went to its end. A finding that is neither pass
nor warn makes the whole run inconclusive, whatever the objectives say. Nothing here looks at an
objective's bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from runner.analysis.checks import Check, has_pods, phase_signal
from runner.analysis.faultchecks import fault_gone, fault_injected, fault_seen
from runner.analysis.objectives import ALL_SERVICES
from runner.analysis.windows import LoadTable, phase_label, seconds_of
from runner.analysis.words import count, figure
from runner.model.evaluation import Finding, Verdict
from runner.model.objective import Objective
from runner.model.plan import Phase, Plan
from runner.model.recording import FaultRecord, PhaseSignal, Recording, Signals, SignalSeries

LOAD_TOLERANCE_RATIO = 0.05
"""How far running users may be from planned users, as a mean over a phase."""

SKEW_TOLERANCE_S = 1.0
"""Clocks further apart than this are worth a warning; the figures are corrected for it."""


def validity_findings(
    recording: Recording, table: LoadTable, objectives: Sequence[Objective]
) -> tuple[Finding, ...]:
    """All findings of kind ``validity``, in the order in which a reader wants them."""
    findings = [run_finished(recording), load_delivered(recording, table)]
    records = {record.id: record for record in recording.faults}
    for fault in recording.plan.faults:
        record = records.get(fault.id, FaultRecord(id=fault.id))
        findings.append(fault_injected(fault, record))
        findings.append(fault_seen(fault, record, recording))
        findings.append(fault_gone(fault, record, recording))
    findings.append(signals_complete(recording, objectives))
    skew = clock_skew(recording)
    return (*findings, *((skew,) if skew else ()))


def run_finished(recording: Recording) -> Finding:
    """The run came to its planned end: nobody stopped it and nothing broke it off."""
    check = Check("run-finished", "The run went to its end")
    manifest = recording.manifest
    if manifest.state == "recorded":
        return check.passed("The run came to its planned end.")
    because = f": {manifest.reason.rstrip('.')}" if manifest.reason else ""
    how = {
        "interrupted": "was interrupted",
        "aborted": "was aborted by a guard",
        "failed": "broke off",
    }.get(manifest.state, "was not finished")
    return check.unproven(f"The run {how}{because}.")


# -- load ------------------------------------------------------------------------------------------


def load_delivered(recording: Recording, table: LoadTable) -> Finding:
    """The generator ran as many users as were planned, without a hole, to the end."""
    check = Check("load-delivered", "The load was delivered")
    plan = recording.plan
    problem = _record_problem(recording, table)
    if problem:
        return check.unproven(problem)
    worst_ratio, text, where = 0.0, "", ""
    for phase in plan.phases:
        if phase.name == "warmup":
            continue
        ratio, sentence = _user_deviation(plan, phase, table)
        if abs(ratio) >= abs(worst_ratio):
            worst_ratio, text, where = ratio, sentence, phase_label(plan, phase)
    delivered = abs(worst_ratio) <= LOAD_TOLERANCE_RATIO
    return Finding(
        kind="validity",
        check=check.name,
        title=check.title,
        verdict=Verdict.PASS if delivered else Verdict.INCONCLUSIVE,
        reason=text or "Only the warmup had load.",
        where=where,
        operator="<=",
        observed=abs(worst_ratio),
        bound=LOAD_TOLERANCE_RATIO,
        unit="ratio",
    )


def _record_problem(recording: Recording, table: LoadTable) -> str:
    plan = recording.plan
    if table.frame.empty or not table.slice(0.0, plan.duration_s).requests:
        return "No request was sent, so nothing was tried."
    if table.recorded_s < math.floor(plan.duration_s):
        return (
            f"The load ended after {figure(table.recorded_s, 's')} of the planned "
            f"{figure(plan.duration_s, 's')}."
        )
    if not recording.load.finished:
        return "The load generator did not close its record, so requests may be missing from it."
    holes = [s for s in seconds_of(0.0, table.recorded_s) if s not in table.users]
    if holes:
        return (
            f"The load generator recorded nothing in {count(len(holes), 'second')}, the first "
            f"{holes[0]} s after its start."
        )
    return ""


def _user_deviation(plan: Plan, phase: Phase, table: LoadTable) -> tuple[float, str]:
    """How far the mean of the running users is outside of what was planned, and a sentence."""
    # The users of the last second are counted at its end, when they are being stopped already.
    end_s = min(phase.end_s, plan.duration_s - 1.0)
    actual = table.mean_users(phase.start_s, end_s)
    seconds = seconds_of(phase.start_s, end_s)
    if actual is None or not seconds:
        return 0.0, ""
    low, high = _planned_users(plan, seconds)
    nearest = min(max(actual, low), high)
    ratio = (actual - nearest) / nearest if nearest else float(actual > 0)
    text = (
        f"On average {figure(actual, 'count')} users were running in {phase_label(plan, phase)}, "
        f"where {figure(nearest, 'count')} were planned."
    )
    return ratio, text


def _planned_users(plan: Plan, seconds: range) -> tuple[float, float]:
    """Bounds of the mean of planned users; each second may lead or lag by one."""
    last_s = math.nextafter(plan.duration_s, 0.0)

    def at(second: int) -> float:
        return plan.users_at(min(max(float(second), 0.0), last_s))

    around = [(at(s - 1), at(s), at(s + 1), at(s + 2)) for s in seconds]
    low = sum(min(values) for values in around) / len(around)
    high = sum(max(values) for values in around) / len(around)
    return low, high


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
        if item.warnings:
            return f"Prometheus warned about {item.sli}: {item.warnings[0].rstrip('.')}."
        if item.state == "error":
            return f"Prometheus could not answer for {item.sli}: {item.message.rstrip('.')}."
    for phase, sli, service in _required(recording, signals, objectives):
        signal = phase_signal(signals, phase.index, sli, service)
        if signal is None or signal.state != "ok" or signal.value is None:
            label = phase_label(recording.plan, phase)
            why = f": {signal.message.rstrip('.')}" if signal and signal.message else ""
            return f"There is no {sli} of {service or 'the ingress'} in {label}{why}."
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
        if objective.effective_source != "mesh" or objective.bound.sli == "recovery":
            continue
        bound = objective.bound
        sli = f"latency.{bound.statistic}" if bound.sli == "latency" else bound.sli
        services: tuple[str, ...] = (objective.service or ALL_SERVICES,)
        if sli.startswith("saturation") and objective.service is None:
            services = tuple(name for name in signals.services if has_pods(name))
        for phase in plan.phases_named(*objective.during):
            yield from ((phase, sli, service) for service in services)


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
