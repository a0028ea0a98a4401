"""Looks at the ingress and at Prometheus of a target, a few bounded questions each. Reading only.

What was seen is judged elsewhere (``sighting``). Nothing here raises for what does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.errors import SignalError
from runner.model.access import without_userinfo
from runner.model.recording import TargetInfo
from runner.process import SystemClock
from runner.targets.reachability import ask, prometheus_says
from runner.targets.sighting import Answered, Seen

CLOCK = SystemClock()
_UNUSABLE = (SignalError, OSError, ValueError, KeyError, TypeError, IndexError)
"""Nobody there, or an answer that is none."""

_IN = 'destination_service_namespace="%s"'
_AGES = "max by (destination_service_name, reporter) (time() - timestamp(istio_requests_total{%s}))"
_CALLS = (
    "sum by (source_workload, destination_service_name) "
    '(max_over_time(istio_requests_total{reporter="source",%s}[1h]))'
)


def look(target: TargetInfo, host: str, paths: Sequence[str]) -> Seen:
    """Ask the ingress for ``paths`` under ``host``, and Prometheus for its time and its data."""
    answers = tuple(_asked(target, host, path) for path in paths)
    within = _IN % target.namespace
    skew_s, problem = None, ""
    ages: dict[tuple[str, str], float] = {}
    try:
        skew_s = _skew_s(target)
        ages = _by(target, _AGES % within, "destination_service_name", "reporter")
    except _UNUSABLE as error:
        problem = f"Prometheus gave no answer about the mesh: {_said(error)}"
    return Seen(
        host=host,
        answers=answers,
        data_age_s=ages,
        calls=_calls(target, within),
        prometheus_skew_s=skew_s,
        data_problem=problem,
    )


def _calls(target: TargetInfo, within: str) -> dict[tuple[str, str], float]:
    """Who called whom; empty, too, where that is too much to ask."""
    try:
        return _by(target, _CALLS % within, "source_workload", "destination_service_name")
    except _UNUSABLE:
        return {}


def _by(target: TargetInfo, promql: str, first: str, second: str) -> dict[tuple[str, str], float]:
    """The values of an answer, by two labels that its series have."""
    found: list[Any] = prometheus_says(target, promql)["result"]
    labelled = ((one["metric"], float(one["value"][1])) for one in found)
    return {
        (labels[first], labels[second]): value
        for labels, value in labelled
        if labels.get(first) and labels.get(second)
    }


def _asked(target: TargetInfo, host: str, path: str) -> Answered:
    try:
        answer = ask(f"{target.ingress_url.rstrip('/')}{path}", host=host)
    except OSError as error:
        shown = without_userinfo(target.ingress_url)
        text = f"the ingress of {target.name} at {shown} does not answer: {error}"
        return Answered(path, 0, problem=text)
    return Answered(path, answer.status, answer.headers)


def _skew_s(target: TargetInfo) -> float:
    began_s = CLOCK.wall_s()
    told_s = float(prometheus_says(target, "time()")["result"][1])
    return told_s - (began_s + CLOCK.wall_s()) / 2


def _said(error: Exception) -> str:
    return error.message if isinstance(error, SignalError) else str(error)
