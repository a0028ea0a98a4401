"""What a fault did, told in order: planned, seen, who was hit, errors, alerts, gone, recovered.

Sentences for people, from figures that stand elsewhere in the report too. Pure; no markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.model.alertspan import AlertSpan
from runner.model.evaluation import Evaluation, FaultFigure, LoadFigures, RecoveryFigure, Verdict
from runner.model.recording import Recording
from runner.reports import format as fmt
from runner.reports.rows import KINDS

_OF_PODS = ("pod-kill", "rollout-restart")
_MOST_SUBJECTS, _MOST_ALERTS, _MOST_ENDPOINTS = 3, 4, 2


def tale_of(figure: FaultFigure, recording: Recording, evaluation: Evaluation) -> tuple[str, ...]:
    """The sentences about one fault, in the order in which things happened."""
    recovered = [one for one in evaluation.recoveries if one.after == figure.id]
    fired = _firing(figure, recording, recovered)
    ended_s = figure.end_s if figure.gone_s is None else figure.gone_s
    later = bool(fired) and fired[0].start_s > ended_s
    alerts, ended = _alerts(figure, recording, fired), _ended(figure)
    told = (
        _begun(figure),
        _hit(figure),
        errors_seen(figure, recording, evaluation),
        _services(figure, evaluation),
        *((ended, alerts) if later else (alerts, ended)),
        _recovered(figure, recovered),
    )
    return tuple(filter(None, told))


def _begun(figure: FaultFigure) -> str:
    planned = fmt.clock_offset(figure.start_s)
    if figure.injected_s is None:
        return f"It was planned for {planned} and was never seen in place."
    if figure.kind == "pod-kill":
        many = len(figure.kills_s) > 1
        begins = f"The first of {len(figure.kills_s)} kills was" if many else "The kill was"
    else:
        restart = figure.kind == "rollout-restart"
        begins = "The restart began" if restart else "It was seen in place"
    late_s = figure.injected_s - figure.start_s
    late = f", {fmt.seconds(late_s)} after its planned time" if late_s >= 0.05 else ", on time"
    return f"{begins} at {fmt.clock_offset(figure.injected_s)}{late}."


def _hit(figure: FaultFigure) -> str:
    said = []
    if figure.subjects:
        said.append(f"It struck {_listed(figure.subjects, _MOST_SUBJECTS)}")
    if figure.flagged is not None:
        flagged = "1 request" if figure.flagged == 1 else f"{fmt.count(figure.flagged)} requests"
        said.append(f"the mesh counted {flagged} that it hit")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def errors_seen(figure: FaultFigure, recording: Recording, evaluation: Evaluation) -> str:
    """What the users saw while it lasted, against the baseline."""
    active = {phase.index for phase in recording.plan.phases if figure.id in phase.faults}
    during = [one for one in evaluation.phases if one.phase_index in active]
    requests, failures = sum(f.requests for f in during), sum(f.failures for f in during)
    if not requests:
        return ""
    share = f"{fmt.count(failures)} of {fmt.count(requests)} requests"
    if failures:
        said = f"While it lasted, {share} failed ({fmt.percent(failures / requests)}"
        said += f"; {_by_kind(during)})"
        if places := _places(evaluation.endpoints, active):
            said += f", {places}"
    else:
        said = f"While it lasted, none of {fmt.count(requests)} requests failed"
    return f"{said}. {_slower(during, evaluation)}".strip()


def _by_kind(during: Sequence[LoadFigures]) -> str:
    kinds: dict[str, int] = {}
    for figures in during:
        for name, count in figures.outcomes.items():
            if name != "success" and count:
                kinds[name] = kinds.get(name, 0) + count
    ordered = sorted(kinds.items(), key=lambda item: -item[1])
    return ", ".join(f"{fmt.count(count)} {KINDS.get(name, name)}" for name, count in ordered)


def _places(endpoints: Iterable[LoadFigures], active: set[int]) -> str:
    found: dict[str, int] = {}
    for figures in endpoints:
        if figures.phase_index in active and figures.failures:
            found[figures.endpoint] = found.get(figures.endpoint, 0) + figures.failures
    worst = sorted(found, key=lambda name: -found[name])[:_MOST_ENDPOINTS]
    if len(worst) > 1 and found[worst[1]] < found[worst[0]] / 4:
        worst = worst[:1]
    share = "all" if len(worst) == len(found) else "most"
    return f"{share} of them at {' and '.join(worst)}" if worst else ""


def _slower(during: Sequence[LoadFigures], evaluation: Evaluation) -> str:
    before = [f.p95_s for f in evaluation.phases if f.phase == "baseline" and f.p95_s is not None]
    now = [f.p95_s for f in during if f.p95_s is not None]
    if not before or not now:
        return ""
    was, became = before[0], max(now)
    if became > 1.2 * was:
        return f"p95 rose from {fmt.seconds(was)} in the baseline to {fmt.seconds(became)}."
    if became < was / 1.2:
        return f"p95 fell from {fmt.seconds(was)} in the baseline to {fmt.seconds(became)}."
    return f"p95 stayed near the baseline's {fmt.seconds(was)}: {fmt.seconds(became)}."


def _services(figure: FaultFigure, evaluation: Evaluation) -> str:
    """Which services it affected and which it did not, as the answer to that question has it."""
    for finding in evaluation.findings:
        about = (finding.check, finding.where) == ("affected-by-fault", figure.id)
        if about and finding.verdict is Verdict.PASS:
            said = finding.reason.partition(" Affected means:")[0]
            return said.replace("Affected:", "Services affected:", 1)
    return ""


def _firing(
    figure: FaultFigure, recording: Recording, recovered: Sequence[RecoveryFigure]
) -> list[AlertSpan]:
    """Alerts that began to fire from its start until the view of its recovery ends, in order."""
    signals = recording.signals
    if signals is None:
        return []
    later = [f.start_s for f in recording.plan.faults if f.start_s > figure.start_s]
    until_s = max([min([recording.plan.duration_s, *later]), *(one.end_s for one in recovered)])
    firing = [
        span
        for span in signals.alerts
        if span.state == "firing" and figure.start_s <= span.start_s < until_s
    ]
    return sorted(firing, key=lambda span: span.start_s)


def _alerts(figure: FaultFigure, recording: Recording, firing: Sequence[AlertSpan]) -> str:
    if firing:
        return f"{_listed([_fired(span, figure) for span in firing], _MOST_ALERTS, '; ')}."
    signals = recording.signals
    asked = signals is not None and not signals.alerts_missing
    return "No alert fired." if asked and signals is not None and signals.rules else ""


def _fired(span: AlertSpan, figure: FaultFigure) -> str:
    after = fmt.span(span.start_s - figure.start_s)
    return f"{span.name} fired {after} after its start, until {fmt.clock_offset(span.end_s)}"


def _ended(figure: FaultFigure) -> str:
    if figure.injected_s is None:
        return ""
    pods = figure.kind in _OF_PODS
    if figure.gone_s is None:
        return "The pods were never all seen ready again." if pods else "Nobody saw it gone."
    ends = "All pods were ready again" if pods else "It was gone"
    return f"{ends} at {fmt.clock_offset(figure.gone_s)}."


def _recovered(figure: FaultFigure, recovered: Sequence[RecoveryFigure]) -> str:
    counted = "the kill" if figure.kind == "pod-kill" else "its planned end"
    if figure.recovery_s is None:
        reasons = [one.reason for one in recovered if one.reason]
        return f"No recovery was seen: {reasons[0]}." if reasons else "No recovery was seen."
    if figure.recovery_s == 0:
        return f"The objectives held again from {counted} on."
    return f"The objectives held again {fmt.seconds(figure.recovery_s)} after {counted}."


def _listed(items: Sequence[str], most: int, comma: str = ", ") -> str:
    shown = comma.join(items[:most])
    rest = len(items) - most
    return f"{shown} and {rest} more" if rest > 0 else shown
