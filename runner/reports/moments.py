"""Alerts and events of a run, on the timeline and in words. Pure; no markup.

An alert is a lane with the times in which it was pending or firing. An event is what happened to
the run itself: a guard that stopped it, a worker that was lost, an effect that did not take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from runner.model.alertspan import AlertSpan
from runner.model.plan import Plan
from runner.model.recording import Event, Recording, worker_sentence
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.rows import window
from runner.reports.text import Shown

MOST_LANES = 20
MOST_EVENTS = 30
_GUARDS = {"guard": "A guard", "guardian": "The guardian"}
_STOPS = {"interrupted": "Ctrl-C was pressed", "terminated": "The run was told to terminate"}
_ORDERLY = "exit code 0"
_NOT_ASKED = "alerts were not asked for"


class AlertTime(Model):
    """A time in which an alert was pending or firing; positions as percentages of the run."""

    state: str
    window: str
    length: str
    start_s: float
    end_s: float
    left_percent: float
    width_percent: float


Side = Literal["left", "right", "below"]
"""Where the words of a lane stand: where there is room for them."""

_ROOM_PERCENT = 30.0


def side_of(left_percent: float, right_percent: float) -> Side:
    """Where the words of a lane fit, whose bars go from ``left_percent`` to ``right_percent``."""
    before, after = left_percent, 100 - right_percent
    if max(before, after) < _ROOM_PERCENT:
        return "below"
    return "right" if after >= before else "left"


class AlertLane(Model):
    """One alert, told from others of its name by its labels.

    Attributes:
        text: All its times in words.
        short: When it fired, or that it was pending only.
        side: Where the words stand on the timeline.
        during: Faults in effect while it fired, or the last one before that.
    """

    name: Shown
    severity: Shown
    labels: Shown
    fired: bool
    times: Items[AlertTime]
    during: Shown
    text: Shown
    short: Shown
    side: Side


class AlertStory(Model):
    """What is known of alerts.

    Attributes:
        more: Alerts that are not shown.
        watched: How many rules there are.
        missing: Why nothing is known.
    """

    lanes: Items[AlertLane]
    more: int = 0
    watched: str = ""
    missing: Shown = ""


class Moment(Model):
    """An event, at its place on the timeline."""

    at: str
    at_s: float
    left_percent: float
    kind: str
    text: Shown


def alert_lanes(recording: Recording) -> tuple[AlertLane, ...]:
    """A lane for each alert, those that fired first, then in order of time."""
    if recording.signals is None:
        return ()
    plan = recording.plan
    by_labels: dict[tuple[str, str, str], list[AlertSpan]] = {}
    for span in sorted(recording.signals.alerts, key=lambda one: one.start_s):
        if span.end_s >= 0 and span.start_s <= plan.duration_s:
            key = (span.name, span.severity, _labels(span))
            by_labels.setdefault(key, []).append(span)
    lanes = [_lane(*key, spans, plan) for key, spans in by_labels.items()]
    return tuple(sorted(lanes, key=lambda lane: (not lane.fired, lane.times[0].start_s)))


def _labels(span: AlertSpan) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(span.labels.items()))


def _lane(name: str, severity: str, labels: str, spans: list[AlertSpan], plan: Plan) -> AlertLane:
    times = tuple(_time(span, plan) for span in spans)
    fired = [span for span in spans if span.state == "firing"]
    told = "; ".join(f"{one.state} from {one.window}" for one in times)
    kind = f"{severity} alert" if severity else "alert"
    when = [one.window for one in times if one.state == "firing"] or [times[0].window]
    more = f" and {len(when) - 1} more" if len(when) > 1 else ""
    last = times[-1]
    return AlertLane(
        name=name,
        severity=severity,
        labels=labels,
        fired=bool(fired),
        times=times,
        during=_during([span.start_s for span in fired], [span.end_s for span in fired], plan),
        text=f"{kind} {name}: {told}",
        short=f"{kind} {name}, {'firing' if fired else 'pending'} {when[0]}{more}",
        side=side_of(times[0].left_percent, last.left_percent + last.width_percent),
    )


def _during(starts_s: list[float], ends_s: list[float], plan: Plan) -> str:
    """The faults in which an alert fired, or else the last one before it; empty without one."""
    times = list(zip(starts_s, ends_s, strict=True))
    held = [
        fault.id
        for fault in plan.faults
        if any(start < fault.end_s and end > fault.start_s for start, end in times)
    ]
    if held:
        return f"during {', '.join(held)}"
    before = [f for f in plan.faults if any(f.end_s <= start for start in starts_s)]
    return f"after {max(before, key=lambda fault: fault.end_s).id}" if before else ""


def _time(span: AlertSpan, plan: Plan) -> AlertTime:
    start_s, end_s = max(0.0, span.start_s), min(plan.duration_s, max(0.0, span.end_s))
    return AlertTime(
        state=span.state,
        window=window(start_s, end_s),
        length=fmt.span(end_s - start_s),
        start_s=start_s,
        end_s=end_s,
        left_percent=position_percent(start_s, plan),
        width_percent=position_percent(end_s - start_s, plan),
    )


def alert_story(recording: Recording) -> AlertStory | None:
    """What is known of alerts; None where no signal was collected, or nobody asked for alerts."""
    signals = recording.signals
    if signals is None or (signals.alerts_missing and not signals.alerts and signals.rules is None):
        missing = "" if signals is None else signals.alerts_missing
        return AlertStory(lanes=(), missing=missing) if missing not in ("", _NOT_ASKED) else None
    lanes = alert_lanes(recording)
    rules = signals.rules
    watched = "" if rules is None else f"Prometheus has {_rules(len(rules))}."
    return AlertStory(
        lanes=lanes[:MOST_LANES],
        more=max(0, len(lanes) - MOST_LANES),
        watched=watched,
        missing=signals.alerts_missing,
    )


def _rules(number: int) -> str:
    return {0: "no alerting rules", 1: "1 alerting rule"}.get(number, f"{number} alerting rules")


def moments_of(recording: Recording) -> tuple[Moment, ...]:
    """The events of the run in order, the first ones only where there are very many."""
    plan = recording.plan
    known = sorted([*_of_journal(recording), *_of_workers(recording)], key=lambda one: one[0])
    return tuple(
        Moment(
            at=fmt.clock_offset(max(0.0, at_s)),
            at_s=at_s,
            left_percent=position_percent(min(max(0.0, at_s), plan.duration_s), plan),
            kind=kind,
            text=text,
        )
        for at_s, kind, text in known[:MOST_EVENTS]
    )


def _of_journal(recording: Recording) -> Iterator[tuple[float, str, str]]:
    for event in recording.events:
        told = _told(event)
        if event.offset_s is not None and told is not None:
            yield (event.offset_s, *told)


def _told(event: Event) -> tuple[str, str] | None:
    """Kind and sentence of an event that a reader should know of; None for the usual ones."""
    match (event.source, event.action, event.kind):
        case (source, action, "failed" | "unknown"):
            how = "failed" if event.kind == "failed" else "has an unknown outcome"
            head = f"{source}: {action} {how}"
            return "trouble", f"{head}: {event.detail}" if event.detail else head
        case ("guard" | "guardian" as who, "abort", "note"):
            return "guard", f"{_GUARDS[who]} stopped the run: {event.detail}"
        case ("run", action, "note") if not action.startswith("phase "):
            return "stop", _STOPS.get(action, f"The run was asked to stop: {action}")
        case ("load", "end", "note") if event.detail != _ORDERLY:
            return "trouble", f"The load generator ended: {event.detail}"
        case (source, "lost", "note"):
            return "trouble", f"{source}: {event.detail}"
        case _:
            return None


def _of_workers(recording: Recording) -> Iterator[tuple[float, str, str]]:
    for worker in recording.load.workers:
        if worker.what != "joined":
            yield float(worker.second), "worker", worker_sentence(worker)


def position_percent(seconds: float, plan: Plan) -> float:
    """Where on the timeline an offset is, or how wide a length."""
    return round(100 * seconds / plan.duration_s, 3)
