"""Looks at the ingress and at Prometheus of a target, a few bounded questions each. Reading only.

What was seen is judged elsewhere (``sighting``). Nothing here raises for what does not answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from runner.model.recording import TargetInfo
from runner.process import SystemClock
from runner.targets.reachability import ask
from runner.targets.sighting import Answered, Seen

CLOCK = SystemClock()

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
    calls: dict[tuple[str, str], float] = {}
    try:
        skew_s = _skew_s(target)
        for one in _query(target, _AGES % within):
            labels = one["metric"]
            service, reporter = labels.get("destination_service_name"), labels.get("reporter")
            if service and reporter:
                ages[service, reporter] = float(one["value"][1])
        for one in _query(target, _CALLS % within):
            labels = one["metric"]
            key = (
                str(labels.get("source_workload", "")),
                str(labels.get("destination_service_name", "")),
            )
            calls[key] = float(one["value"][1])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        problem = f"Prometheus gave no answer about the mesh: {error}"
    return Seen(
        host=host,
        answers=answers,
        data_age_s=ages,
        calls=calls,
        prometheus_skew_s=skew_s,
        data_problem=problem,
    )


def _asked(target: TargetInfo, host: str, path: str) -> Answered:
    try:
        answer = ask(f"{target.ingress_url.rstrip('/')}{path}", host=host)
    except OSError as error:
        text = f"the ingress of {target.name} at {target.ingress_url} does not answer: {error}"
        return Answered(path, 0, problem=text)
    return Answered(path, answer.status, answer.headers)


def _skew_s(target: TargetInfo) -> float:
    began_s = CLOCK.wall_s()
    told_s = float(_answer(target, "time()")["result"][1])
    return told_s - (began_s + CLOCK.wall_s()) / 2


def _query(target: TargetInfo, promql: str) -> Sequence[Any]:
    found: list[Any] = _answer(target, promql)["result"]
    return found


def _answer(target: TargetInfo, promql: str) -> dict[str, Any]:
    query = urlencode({"query": promql})
    url = f"{target.prometheus_url.rstrip('/')}/api/v1/query?{query}"
    answer = ask(url, most_bytes=4_000_000)
    if answer.status != 200:
        raise OSError(f"HTTP {answer.status}")
    data: dict[str, Any] = json.loads(answer.body)["data"]
    return data
