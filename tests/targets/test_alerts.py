"""Alerts that fire before a run, as a Prometheus tells of them, or does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from fake_prometheus import send, server

from runner.model.recording import TargetInfo
from runner.model.target import Rules
from runner.targets.alerts import alert_findings, query_for

QUERY = (
    'count by (alertname) (ALERTS{alertstate="firing", severity="critical", namespace=~"|shop"})'
)


def target(prometheus: str) -> TargetInfo:
    return TargetInfo(
        kind="cluster",
        name="staging",
        namespace="shop",
        ingress_url="http://127.0.0.1:1",
        host="",
        prometheus_url=prometheus,
    )


def answer(*alerts: tuple[str, int], **more: Any) -> bytes:
    series = [{"metric": {"alertname": name}, "value": [1.0, str(n)]} for name, n in alerts]
    data = {"resultType": "vector", "result": series}
    return json.dumps({"status": "success", "data": data, **more}).encode()


def findings(
    body: bytes, rules: Rules, *, status: int = 200, ignored: bool = False
) -> tuple[list[str], list[str]]:
    """What follows from one answer of a Prometheus; the question is checked, too."""
    asked: list[str] = []

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        asked.append(query["query"])
        send(handler, body, status)

    with server(respond) as url:
        found = alert_findings(target(url), rules, ignored=ignored)
    assert asked == ([] if rules.alerts == "ignore" else [query_for("shop", rules.alert_selector)])
    return found


def test_the_question_is_about_the_namespace_and_what_has_none() -> None:
    """Goal: other teams' fires are theirs. Method: the default query, and another selector."""
    assert query_for("shop", Rules().alert_selector) == QUERY
    assert query_for("shop", "") == (
        'count by (alertname) (ALERTS{alertstate="firing", namespace=~"|shop"})'
    )


def test_nothing_fires_where_there_are_no_alerts() -> None:
    assert findings(answer(), Rules()) == ([], [])


def test_alerts_that_fire_are_a_refusal_that_lists_them() -> None:
    """Goal: who fights a fire needs no fault. Method: two alerts, one of three series."""
    refusals, notes = findings(answer(("PodsMissing", 3), ("HighErrorRate", 1)), Rules())
    assert notes == []
    assert refusals == [
        "2 alerts fire: HighErrorRate, PodsMissing (3 series); to begin all the same: "
        "--ignore-alerts"
    ]


def test_many_alerts_are_not_all_named() -> None:
    (refusal,), _ = findings(answer(*((f"A{n}", 1) for n in range(8))), Rules())
    assert refusal.startswith("8 alerts fire: A0, A1, A2, A3, A4 and 3 more;")


@pytest.mark.parametrize(
    ("rules", "ignored"), [(Rules(alerts="warn"), False), (Rules(), True)], ids=["warn", "flag"]
)
def test_alerts_are_told_where_they_are_no_reason(rules: Rules, ignored: bool) -> None:
    found = findings(answer(("HighErrorRate", 1)), rules, ignored=ignored)
    assert found == ([], ["1 alert fires: HighErrorRate"])


def test_the_sandbox_is_there_to_be_broken() -> None:
    """Goal: the alerts of one run do not stop the next. Method: by default, and when told."""
    sandbox = target("http://127.0.0.1:1").model_copy(update={"kind": "sandbox"})
    assert [len(found) for found in alert_findings(sandbox, Rules())] == [0, 1]
    assert [len(found) for found in alert_findings(sandbox, Rules(alerts="refuse"))] == [1, 0]


def test_who_does_not_want_to_know_is_not_asked() -> None:
    assert findings(answer(("HighErrorRate", 1)), Rules(alerts="ignore")) == ([], [])


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b"{}", 503, "HTTP 503: no reason given"),
        (b'{"status": "error", "error": "overload"}', 422, "HTTP 422: overload"),
        (b"<html>", 200, "a web page instead of Prometheus' JSON"),
        (b'{"status": "success", "data": {}}', 200, "KeyError: 'result'"),
        (b"[]", 200, "HTTP 200: no reason given"),
    ],
)
def test_no_answer_is_a_refusal_too(body: bytes, status: int, why: str) -> None:
    """Goal: no data is never a pass. Method: answers of a Prometheus that is not well."""
    (refusal,), notes = findings(body, Rules(), status=status)
    assert refusal.startswith(
        'nobody knows whether alerts fire: Prometheus\' ALERTS with severity="critical" could not '
        "be asked ("
    )
    assert why in refusal
    assert notes == []


def test_a_prometheus_that_is_away_is_a_refusal() -> None:
    (refusal,), _ = alert_findings(target("http://127.0.0.1:1"), Rules())
    assert "Connection refused" in refusal
