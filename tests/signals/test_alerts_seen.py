"""Alerts out of samples: spans, hours, warnings, and rules that may or may not be asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

import pytest
from fake_prometheus import send, server
from history import plan_with_abort

from runner.process import SystemClock
from runner.signals.alerts import Alerts, alerts_of, rules_in
from runner.signals.client import PromClient
from runner.signals.queries import ISTIO
from runner.signals.scope import Scope

ZERO_S = 1_700_000_000
HOUR_S = 3600
RULES = {"status": "success", "data": {"groups": []}}


def seen(
    times: range | list[int],
    end_s: float = 120.0,
    rules: tuple[int, Any] = (200, RULES),
    **more: Any,
) -> tuple[Alerts, list[str]]:
    """What is known when one alert fired at ``times``, and the ranges that were asked."""
    asked: list[str] = []

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        if urlsplit(handler.path).path == "/api/v1/rules":
            send(handler, json.dumps(rules[1]).encode(), rules[0])
            return
        asked.append(query["query"])
        length = re.search(r"\[(\d+)ms\]", query["query"])
        assert length is not None
        last = float(query["time"]) - ZERO_S
        first = last - int(length[1]) / 1000
        points = [[ZERO_S + at, "1"] for at in times if first <= at <= last]
        labels = {"__name__": "ALERTS", "alertname": "A", "alertstate": "firing", "pod": "x"}
        result = [{"metric": labels, "values": points}] if points else []
        data = {"resultType": "matrix", "result": result}
        send(handler, json.dumps({"status": "success", "data": data, **more}).encode())

    with server(respond) as url:
        client = PromClient(url, SystemClock(), timeout_s=5, total_s=20)
        scope = Scope(
            client=client,
            dialect=ISTIO,
            namespace="shop",
            plan=plan_with_abort(),
            zero_s=float(ZERO_S),
            end_s=end_s,
            interval_s=1.0,
        )
        found = alerts_of(scope)
        client.close()
    return found, asked


def spans(found: Alerts) -> list[tuple[float, float]]:
    return [(one.start_s, one.end_s) for one in found.spans]


def test_samples_that_follow_each_other_are_one_span() -> None:
    """Goal: one that fires twice fired twice. Method: a pause longer than three evaluations."""
    found, asked = seen([-20, -15, -10, -5, 0, 5, 40, 45, 50])
    assert spans(found) == [(-20.0, 5.0), (40.0, 50.0)]
    assert found.spans[0].labels == {"pod": "x"}
    assert asked == ['ALERTS{namespace=~"|shop"}[420000ms]']


def test_two_missed_evaluations_are_no_pause() -> None:
    assert spans(seen([0, 5, 20, 25])[0]) == [(0.0, 25.0)]


def test_a_single_sample_is_a_span_of_no_length() -> None:
    assert spans(seen([30])[0]) == [(30.0, 30.0)]


def test_a_long_run_is_asked_hour_by_hour_without_a_seam() -> None:
    """Goal: no answer is too large, no sample counts twice. Method: 3 h of one alert."""
    found, asked = seen(range(0, 3 * HOUR_S, 30), end_s=3.0 * HOUR_S)
    assert spans(found) == [(0.0, 3.0 * HOUR_S - 30)]
    assert len(asked) == 4


def test_a_warning_is_a_gap_in_what_is_known() -> None:
    found, _ = seen([30], warnings=["a store is away"])
    assert found.missing == "Prometheus warned: a store is away"
    assert spans(found) == [(30.0, 30.0)]


@pytest.mark.parametrize(
    "rules",
    [
        (403, {}),
        (404, {}),
        (401, {}),
        (302, {}),
        (200, []),
        (200, {"data": {}}),
        (200, {"data": 1}),
    ],
)
def test_rules_that_nobody_tells_are_unknown_and_no_error(rules: tuple[int, Any]) -> None:
    """Goal: alerts count also where rules may not be asked for. Method: seven refusals."""
    found, _ = seen([30], rules=rules)
    assert (found.rules, found.missing, spans(found)) == (None, "", [(30.0, 30.0)])


def test_rules_are_those_that_alert_with_severity_and_trouble() -> None:
    rule = {"name": "A", "type": "alerting", "health": "ok", "labels": {"severity": "page"}}
    rules = [
        rule,
        {**rule, "labels": {"severity": "info"}},
        {"name": "B", "type": "alerting", "health": "err", "lastError": "boom"},
        {"name": "c:d", "type": "recording", "health": "err"},
    ]
    data = {"groups": [{"rules": rules}, {"rules": None}]}
    assert rules_in(data) == [("A", "page", ""), ("A", "info", ""), ("B", "", "boom")]
    found, _ = seen([], rules=(200, {"status": "success", "data": data}))
    assert found.rules == ("A", "B")
    assert found.severities == {"A": ("info", "page"), "B": ("",)}
    assert found.broken == {"B": "boom"}


def test_no_rules_are_known_to_be_none() -> None:
    assert seen([])[0].rules == ()
