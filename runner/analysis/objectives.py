"""Objectives against what was seen: one finding for each, one part for each phase.

An objective is judged in every phase that it names, each by itself, and the worst part decides.
What cannot be judged is never a pass: no requests, too few, a figure that is not a number, a
signal with gaps, a phase that was not reached; ``on_missing`` says what it is instead. Whether the
run proved anything is not decided here but in ``validity``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runner.analysis.checks import has_pods
from runner.analysis.profile import phases_judged
from runner.analysis.recovery import Recovery
from runner.analysis.stats import statistic_s
from runner.analysis.windows import LoadTable, phase_label
from runner.analysis.words import capitalised, compared, count, figure, listed
from runner.mistakes import closest
from runner.model.bound import Bound
from runner.model.evaluation import Finding, Part, Verdict, worst
from runner.model.objective import Objective
from runner.model.plan import Phase, Plan
from runner.model.recording import PhaseSignal, Recording

ALL_SERVICES = ""
"""The service name under which signals stand that are about the ingress as a whole."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The figure of one phase, or why there is none.

    Attributes:
        value: In the unit of the bound; None when there is nothing to judge.
        samples: Requests or scrapes that it rests on.
        missing: Why there is no value, as the end of a sentence.
        service: Service that decided, where the objective names none.
    """

    value: float | None
    samples: float | None = None
    missing: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that objectives are judged by."""

    recording: Recording
    table: LoadTable
    signals: dict[tuple[int, str, str], PhaseSignal]
    services: tuple[str, ...]
    recoveries: tuple[Recovery, ...]


def evidence_of(recording: Recording, table: LoadTable, recoveries: Sequence[Recovery]) -> Evidence:
    """Index the signals of ``recording`` by phase, indicator and service."""
    signals = recording.signals
    known = () if signals is None else signals.phases
    return Evidence(
        recording=recording,
        table=table,
        signals={(signal.phase, signal.sli, signal.service): signal for signal in known},
        services=() if signals is None else signals.services,
        recoveries=tuple(recoveries),
    )


def judge(objective: Objective, evidence: Evidence) -> Finding:
    """The finding about one objective."""
    parts: list[tuple[Part, str, str]]
    if objective.bound.sli == "recovery":
        parts = [(_recovery_part(objective, one), "", "") for one in evidence.recoveries]
    else:
        parts = [
            _phase_part(objective, phase, evidence)
            for phase in phases_judged(objective, evidence.recording.plan)
        ]
        if parts:
            parts += _absent_parts(objective, evidence.recording.plan)
    if not parts:
        return _not_judged(objective)
    verdict = worst(part.verdict for part, _, _ in parts)
    shown = [item for item in parts if item[0].verdict is verdict]
    cut = [part.label for part, _, _ in parts if _is_cut(part, evidence.table)]
    kept = [item for item in parts if item[0].verdict in (Verdict.PASS, Verdict.WARN)]
    if verdict is Verdict.INCONCLUSIVE and kept and len(cut) == len(shown):
        shown = kept  # All that can be said, and it is more than nothing.
    deciding, phase_name, service = min(
        shown, key=lambda item: _margin_or_zero(objective.bound, item[0].observed)
    )
    where = ", ".join(filter(None, (deciding.label, service or objective.of)))
    seen = sum(part.observed is not None for part, _, _ in (kept if shown is kept else parts))
    reason = _reason(objective, deciding, where, seen)
    if shown is kept:
        reason = f"{reason.rstrip('.')}, but the load ended before the end of {listed(cut)}."
    return _finding(
        objective,
        verdict=verdict,
        reason=reason,
        where=where,
        phase=phase_name,
        service=service,
        observed=deciding.observed,
        margin_ratio=margin_ratio(objective.bound, deciding.observed),
        samples=deciding.samples,
        parts=tuple(part for part, _, _ in parts),
    )


def _absent_parts(objective: Objective, plan: Plan) -> list[tuple[Part, str, str]]:
    """A part for each phase that the objective asks for by name and the run does not have."""
    if objective.everywhere:
        return []  # Wherever it applies: no phase in particular is asked for.
    present = {phase.name for phase in plan.phases}
    return [
        (
            Part(
                label=name,
                start_s=0.0,
                end_s=0.0,
                verdict=Verdict(objective.on_missing),
                reason=f"this run has no {name} phase",
            ),
            name,
            "",
        )
        for name in objective.phases
        if name not in present
    ]


def margin_ratio(bound: Bound, observed: float | None) -> float | None:
    """Distance from ``observed`` to the bound as a share of it; negative when it was missed."""
    if observed is None or not math.isfinite(observed) or bound.value == 0:
        return None
    distance = bound.value - observed
    return (distance if bound.operator in ("<", "<=") else -distance) / bound.value


def _margin_or_zero(bound: Bound, observed: float | None) -> float:
    margin = margin_ratio(bound, observed)
    return 0.0 if margin is None else margin


def _not_judged(objective: Objective) -> Finding:
    missing = Verdict(objective.on_missing)
    what = (
        "fault to recover from"
        if objective.bound.sli == "recovery"
        else (f"{' or '.join(objective.phases)} phase")
    )
    what += "" if objective.stage is None else f" in stage {objective.stage}"
    return _finding(
        objective,
        verdict=missing,
        reason=f"There was no {what} in this run, so nothing was judged.",
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
        "bound": bound.value,
        "warn": None if objective.warn_bound is None else objective.warn_bound.value,
        "unit": bound.unit,
        **known,
    }
    return Finding.model_validate(fields)


# -- one phase -------------------------------------------------------------------------------------


def _phase_part(objective: Objective, phase: Phase, evidence: Evidence) -> tuple[Part, str, str]:
    if phase.start_s >= evidence.table.recorded_s:
        seen = Seen(None, missing="the load had ended before this phase began")
    elif objective.effective_source == "client":
        seen = _client(objective, phase, evidence.table)
    else:
        seen = _mesh(objective, phase, evidence)
    service = seen.service or objective.service or ""
    verdict, reason = _verdict(objective, seen)
    if seen.value is not None and _ends_after(phase.end_s, evidence.table):
        known_s = evidence.table.recorded_s - phase.start_s
        verdict = Verdict(objective.on_missing)
        reason = f"the load ended after {figure(known_s, 's')} of {figure(phase.duration_s, 's')}"
    stage = "" if objective.stage is None else f", stage {objective.stage}"
    part = Part(
        label=phase_label(evidence.recording.plan, phase) + stage,
        start_s=phase.start_s,
        end_s=phase.end_s,
        verdict=verdict,
        observed=seen.value,
        samples=seen.samples,
        reason=reason,
    )
    return part, phase.name, service


def _ends_after(end_s: float, table: LoadTable) -> bool:
    return math.floor(end_s) > table.recorded_s


def _is_cut(part: Part, table: LoadTable) -> bool:
    """Whether ``part`` was not judged because the load had ended too early."""
    return part.verdict is Verdict.INCONCLUSIVE and _ends_after(part.end_s, table)


def _verdict(objective: Objective, seen: Seen) -> tuple[Verdict, str]:
    """The verdict over one figure, and the reason where there is nothing to judge."""
    missing = Verdict(objective.on_missing)
    if seen.value is None:
        return missing, seen.missing or "there is no figure"
    if seen.samples is None or seen.samples < objective.at_least:
        known = count(seen.samples or 0, "sample")
        return missing, f"{known} were seen, and at least {objective.at_least:,} are needed"
    return _against(objective, seen.value), ""


def _against(objective: Objective, value: float) -> Verdict:
    if not objective.bound.holds(value):
        return Verdict.FAIL
    if objective.warn is not None:
        stricter = objective.warn_bound
        if stricter is not None and not stricter.holds(value):
            return Verdict.WARN
    return Verdict.PASS


def _client(objective: Objective, phase: Phase, table: LoadTable) -> Seen:
    if objective.service is not None:
        return Seen(None, missing="the load sees endpoints, not services; name one with 'of'")
    seen = table.slice(phase.start_s, phase.end_s, objective.of)
    if seen.requests == 0:
        return Seen(None, 0.0, _no_requests(objective.of, table))
    match objective.bound.sli:
        case "errors":
            return Seen(seen.error_ratio, seen.requests)
        case "traffic":
            return Seen(seen.rate_per_s, seen.requests)
        case _:
            value = statistic_s(seen.latency_us, objective.bound.statistic)
            return Seen(value, seen.successes, "no request succeeded")


def _no_requests(endpoint: str | None, table: LoadTable) -> str:
    if endpoint is None:
        return "there were no requests"
    text = f"there were no requests to {endpoint}"
    if endpoint in table.endpoints:
        return text
    guess = closest(endpoint, table.endpoints)
    return (
        f"{text}; did you mean {guess}?"
        if guess
        else f"{text}, only to others: {listed(table.endpoints)}"
    )


def _mesh(objective: Objective, phase: Phase, evidence: Evidence) -> Seen:
    signals = evidence.recording.signals
    if signals is None:
        return Seen(None, missing="no signals were collected")
    if signals.error:
        return Seen(None, missing=f"the signals are missing: {signals.error}")
    bound = objective.bound
    sli = f"latency.{bound.statistic}" if bound.sli == "latency" else bound.sli
    if bound.sli.startswith("saturation") and objective.service is None:
        return _worst_service(bound, phase, evidence)
    service = ALL_SERVICES if objective.service is None else objective.service
    return _signal(evidence.signals.get((phase.index, sli, service)), sli)


def _signal(signal: PhaseSignal | None, sli: str) -> Seen:
    if signal is None:
        return Seen(None, missing=f"the mesh has no figure of {sli} here")
    if signal.state != "ok" or signal.value is None:
        why = signal.message or {"empty": "there is no data", "gaps": "the data has gaps"}.get(
            signal.state, "Prometheus gave no figure"
        )
        return Seen(None, signal.samples, why)
    if not math.isfinite(signal.value):
        return Seen(None, signal.samples, "the figure is not a number")
    if not signal.samples:
        return Seen(None, signal.samples, "the figure rests on no samples")
    return Seen(signal.value, signal.samples)


def _worst_service(bound: Bound, phase: Phase, evidence: Evidence) -> Seen:
    """The service nearest to the bound or beyond it; one without a figure leaves all unproven."""
    seen = {
        service: _signal(evidence.signals.get((phase.index, bound.sli, service)), bound.sli)
        for service in evidence.services
        if has_pods(service)
    }
    known = {service: one.value for service, one in seen.items() if one.value is not None}
    silent = [service for service in seen if service not in known]
    sign = -1.0 if bound.operator in ("<", "<=") else 1.0
    name = min(known, key=lambda service: sign * known[service], default=None)
    if name is not None and not bound.holds(known[name]):
        return Seen(known[name], seen[name].samples, service=name)
    if silent:
        return Seen(None, None, f"of {silent[0]}: {seen[silent[0]].missing}", silent[0])
    if name is None:
        return Seen(None, missing="no service was seen")
    return Seen(known[name], seen[name].samples, service=name)


# -- recovery --------------------------------------------------------------------------------------


def _recovery_part(objective: Objective, one: Recovery) -> Part:
    observed = one.seconds
    if observed is not None:
        verdict = _against(objective, observed)
    elif one.unwell and not objective.bound.holds(one.watched_s):
        # It took longer than was watched, and that was too long already.
        verdict, observed = Verdict.FAIL, one.watched_s
    else:
        verdict = Verdict(objective.on_missing)
    return Part(
        label=f"after {one.fault_id}",
        start_s=one.start_s,
        end_s=one.end_s,
        verdict=verdict,
        observed=observed,
        reason=_recovery_reason(one, verdict),
    )


def _recovery_reason(one: Recovery, verdict: Verdict) -> str:
    """Why there is no figure; and, where it is missed, that all was not well before the fault."""
    if not one.before or not (verdict is Verdict.FAIL or one.unwell):
        return one.reason
    seen = (
        one.reason or f"it took {figure(one.seconds or 0.0, 's')} until the objectives held again"
    )
    return f"{seen}, but {one.before}"


# -- sentences -------------------------------------------------------------------------------------

_SUBJECT = {
    "errors": "the share of failed requests",
    "traffic": "the rate of all requests, failed ones included,",
    "saturation.cpu": "CPU use against requests",
    "saturation.memory": "the highest memory use against limits",
    "recovery": "the time until the objectives held again",
}
_STATISTIC = {"avg": "mean", "min": "lowest", "max": "highest"}


def _subject(bound: Bound) -> str:
    if bound.sli == "latency":
        statistic = _STATISTIC.get(bound.statistic, bound.statistic)
        return f"the {statistic} latency of successful requests"
    return _SUBJECT[bound.sli]


def _reason(objective: Objective, part: Part, where: str, parts: int) -> str:
    bound = objective.bound
    subject = _subject(bound)
    if part.observed is None or (part.reason and part.verdict is not Verdict.FAIL):
        end = "" if part.reason.endswith("?") else "."
        return f"Nothing could be said about {subject} ({where}): {part.reason}{end}"
    observed, limit = compared(part.observed, bound.value, bound.unit)
    if part.reason:
        return f"{capitalised(part.reason)} ({where}); the bound is {bound.operator} {limit}."
    worst_of = f"; the worst of {parts}" if parts > 1 else ""
    text = f"{capitalised(subject)} was {observed} ({where}{worst_of})"
    if part.verdict is Verdict.FAIL:
        return f"{text}; the bound is {bound.operator} {limit}."
    if part.verdict is Verdict.WARN:
        near = figure(objective.warn_bound.value, bound.unit) if objective.warn_bound else ""
        return f"{text}: within the bound of {limit}, but past the warning at {near}."
    return f"{text}, within the bound of {limit}."
