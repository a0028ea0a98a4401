"""Alerts in the time of a run: what Prometheus' own series ``ALERTS`` says, and which rules it has.

``ALERTS`` has a sample for each evaluation of a rule whose alert is pending or firing. Samples that
follow on each other are one span. No sample at all is no knowledge by itself: only the rules tell
whether there is anything that could have fired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Literal

from runner.errors import SignalError
from runner.model.alertspan import AlertSpan
from runner.signals.growth import LOOKBACK_S
from runner.signals.queries import escaped, seconds
from runner.signals.scope import Scope

RULES_PATH = "/api/v1/rules"
_SPAN_S = 3600.0
_MISSED_EVALUATIONS = 3.5
_SLOWEST_S = 60.0
"""Interval of evaluations that is assumed where a run has too few of them to tell."""
_MOST_SPANS = 2000

Series = dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Alerts:
    """What is known about alerts; see :class:`runner.model.recording.Signals`."""

    spans: tuple[AlertSpan, ...] = ()
    missing: str = ""
    rules: tuple[str, ...] | None = None
    severities: Mapping[str, tuple[str, ...]] | None = None
    broken: Mapping[str, str] | None = None


def alerts_of(scope: Scope) -> Alerts:
    """The alerts of the target's namespace, or of none, from some time before the load on."""
    try:
        series, warnings = _samples(scope)
    except SignalError as error:
        return Alerts(missing=error.message)
    spans = tuple(sorted(_spans(series, scope.zero_s), key=lambda one: (one.start_s, one.name)))
    missing = f"Prometheus warned: {warnings[0]}" if warnings else ""
    if len(spans) > _MOST_SPANS:
        missing = f"there were {len(spans)} alerts, and no more than {_MOST_SPANS} are looked at"
    try:
        known = rules_in(scope.client.data("rules", RULES_PATH, {"type": "alert"}))
    except SignalError:  # Not everybody may ask for them, and not every Prometheus knows.
        known = None
    if known is None:
        return Alerts(spans[:_MOST_SPANS], missing)
    names = tuple(dict.fromkeys(name for name, _, _ in known))
    severities = {
        name: tuple(sorted({severity for other, severity, _ in known if other == name}))
        for name in names
    }
    broken = {name: why for name, _, why in known if why}
    return Alerts(spans[:_MOST_SPANS], missing, names, severities, broken)


def rules_in(data: Any) -> list[tuple[str, str, str]] | None:
    """Name, severity and trouble of each alerting rule in an answer; None when it is no such."""
    try:
        return [
            (
                str(rule["name"]),
                str((rule.get("labels") or {}).get("severity", "")),
                str(rule.get("lastError") or "it cannot be evaluated")
                if rule.get("health") == "err"
                else "",
            )
            for group in data["groups"]
            for rule in group.get("rules") or ()
            if rule.get("type") == "alerting"
        ]
    except (KeyError, TypeError, AttributeError):
        return None


def _samples(scope: Scope) -> tuple[Series, list[str]]:
    """Every sample of ``ALERTS``, hour by hour, so that no answer is too large."""
    selector = f'ALERTS{{namespace=~"|{escaped(scope.namespace)}"}}'
    found: Series = {}
    warnings: list[str] = []
    start_s, end_s = scope.zero_s - LOOKBACK_S, scope.zero_s + scope.end_s
    while start_s < end_s:
        stop_s = min(end_s, start_s + _SPAN_S)
        answer = scope.client.query("alerts", f"{selector}[{seconds(stop_s - start_s)}]", stop_s)
        warnings += [text for text in answer.warnings if text not in warnings]
        for one in answer.series:
            known = found.setdefault(tuple(sorted(one.labels.items())), [])
            last_s = known[-1][0] if known else float("-inf")
            known.extend(point for point in one.points if point[0] > last_s)
        start_s = stop_s
    return found, warnings


def _spans(series: Series, zero_s: float) -> Iterator[AlertSpan]:
    allowed_s = _MISSED_EVALUATIONS * _interval(series.values())
    for key, points in series.items():
        labels = dict(key)
        state = labels.pop("alertstate", "")
        if state not in ("pending", "firing"):
            continue
        name, severity = labels.pop("alertname", ""), labels.pop("severity", "")
        for first_s, last_s in _pieces([at_s for at_s, _ in points], allowed_s):
            yield AlertSpan(
                name=name,
                severity=severity,
                state=_state(state),
                labels=labels,
                start_s=round(first_s - zero_s, 3),
                end_s=round(last_s - zero_s, 3),
            )


def _state(text: str) -> Literal["pending", "firing"]:
    return "firing" if text == "firing" else "pending"


def _interval(series: Iterable[list[tuple[float, float]]]) -> float:
    steps = [b - a for points in series for (a, _), (b, _) in pairwise(points) if b > a]
    return median(steps) if steps else _SLOWEST_S


def _pieces(times: list[float], allowed_s: float) -> Iterator[tuple[float, float]]:
    """First and last of the times that follow on each other without a longer pause."""
    if not times:
        return
    first_s = times[0]
    for earlier_s, later_s in pairwise(times):
        if later_s - earlier_s > allowed_s:
            yield first_s, earlier_s
            first_s = later_s
    yield first_s, times[-1]
