"""When a fault's flags are expected, and when they must not be seen any more."""

from __future__ import annotations

from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler

import pytest
from fake_prometheus import send, server, vector
from history import plan_with_abort

from runner.model.plan import PlannedFault
from runner.process import SystemClock
from runner.signals.client import PromClient
from runner.signals.flags import before_window, fault_flags, grace_s, late_windows, planned_window
from runner.signals.queries import ISTIO
from runner.signals.scope import Scope

ABORT = {"kind": "http-abort", "service": "payment-api", "status": 503}
DELAY = {"kind": "http-delay", "service": "payment-api", "delay": "5s"}
DENY = {"kind": "network-deny", "service": "payment-api"}


def faults(*documents: dict[str, object]) -> list[dict[str, object]]:
    return list(documents)


def test_grace_includes_the_delay() -> None:
    """A request delayed at the last moment is counted when it ends."""
    plan = plan_with_abort(
        faults=faults(
            {**ABORT, "at": "20s", "duration": "10s"}, {**DELAY, "at": "40s", "duration": "10s"}
        )
    )
    assert [grace_s(fault) for fault in plan.faults] == [3.0, 8.0]
    assert planned_window(plan.faults[1], 120.0) == (40.0, 58.0)
    assert planned_window(plan.faults[1], 52.0) == (40.0, 52.0)
    assert planned_window(plan.faults[1], 30.0) is None


def test_late_windows_leave_out_faults_that_look_the_same() -> None:
    """Two aborts of one service share their flag; one of another service or kind does not."""
    plan = plan_with_abort(
        faults=faults(
            {**ABORT, "at": "20s", "duration": "10s"},
            {**ABORT, "at": "50s", "duration": "10s"},
            {**DELAY, "at": "70s", "duration": "10s"},
            {**ABORT, "at": "90s", "duration": "10s", "service": "order-api"},
        )
    )
    first, second, third, fourth = plan.faults
    assert late_windows(plan, first, 120.0) == ((33.0, 50.0), (63.0, 120.0))
    assert late_windows(plan, second, 120.0) == ((63.0, 120.0),)
    assert late_windows(plan, third, 120.0) == ((88.0, 120.0),)
    assert late_windows(plan, fourth, 120.0) == ((103.0, 120.0),)
    assert late_windows(plan, fourth, 102.0) == ()


def test_hits_on_the_other_side_look_different() -> None:
    """An abort in front of the pods is flagged there, one in the callers' proxies is not."""
    plan = plan_with_abort(
        faults=faults(
            {**ABORT, "at": "20s", "duration": "10s"},
            {**ABORT, "at": "50s", "duration": "10s", "side": "server"},
        )
    )
    assert late_windows(plan, plan.faults[0], 120.0) == ((33.0, 120.0),)
    assert late_windows(plan, plan.faults[1], 120.0) == ((63.0, 120.0),)


def test_connections_fail_for_other_reasons_too() -> None:
    """After forbidden traffic, the time of every other fault tells nothing; and it needs longer."""
    plan = plan_with_abort(
        faults=faults(
            {**DENY, "at": "20s", "duration": "10s"},
            {**ABORT, "at": "50s", "duration": "10s", "service": "order-api"},
        )
    )
    deny, abort = plan.faults
    assert grace_s(deny) == 13.0
    assert planned_window(deny, 120.0) == (20.0, 43.0)
    assert late_windows(plan, deny, 120.0) == ((43.0, 50.0), (63.0, 120.0))
    assert late_windows(plan, abort, 120.0) == ((63.0, 120.0),)
    assert before_window(deny) == (10.0, 20.0)
    assert before_window(earlier(deny, 4.0)) == (0.0, 4.0)


def earlier(fault: PlannedFault, start_s: float) -> PlannedFault:
    """The same fault, earlier."""
    return fault.model_copy(update={"start_s": start_s, "end_s": start_s + 10})


@pytest.mark.parametrize(
    ("direction", "seen", "late"),
    [("ingress", 33.0, 5.0), ("egress", 33.0, 5.0), ("both", 66.0, 10.0)],
)
def test_failed_connections_beyond_the_usual_ones_are_evidence(
    direction: str, seen: float, late: float
) -> None:
    """A Prometheus that knows 1/s failed connections before 20 s and 2.43…/s up to 43 s: 56 in the
    fault's 23 s, of which 23 would have been there anyway. After it, only UF is asked for."""
    asked: list[str] = []

    def failed(t: float) -> float:
        return t if t <= 20 else 20 + 56 if t <= 43 else 76 + 5 if t >= 120 else 76

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        asked.append(query["query"])
        if query["query"].startswith("resets"):
            send(handler, vector())
        else:
            send(handler, vector(str(failed(float(query["time"]) - 1000.0))))

    plan = plan_with_abort(
        faults=faults({**DENY, "at": "20s", "duration": "10s", "direction": direction})
    )
    with server(respond) as url:
        client = PromClient(url, SystemClock(), timeout_s=5, total_s=20)
        scope = Scope(client, ISTIO, "ecommerce", plan, 1000.0, 120.0, 1.0)
        assert fault_flags(scope, plan.faults[0], ["payment.v1"]) == (seen, late)
        assert fault_flags(scope, plan.faults[0], []) == (None, None)
        client.close()
    assert any('source_workload=~"payment\\\\.v1"' in text for text in asked) is (
        direction != "ingress"
    )
    assert any('service_name="payment-api"' in text for text in asked) is (direction != "egress")
    assert any('=~"(.*,)?(UF)(,.*)?"' in text for text in asked)
    assert any("(UF|UC|UH|UT)" in text for text in asked)
