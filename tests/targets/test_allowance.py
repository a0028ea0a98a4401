"""What a target allows a plan: the sum of all bounds, on a cluster and on the sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from fake_prometheus import send, server, vector

from runner.model.access import PrometheusAccess
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import TargetInfo
from runner.model.rights import Right
from runner.model.target import Bounds, ClusterSpec, Rules
from runner.targets.bounds import Allowance, allowance
from runner.targets.inspection import Objects
from runner.targets.permissions import Permissions

OPTED_IN = Permissions(labels={"seatrial.dev/inject": "enabled"})
KILL = {"kind": "pod-kill", "service": "pay", "at": "5s", "duration": "5s"}


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    """A Prometheus for which nothing fires."""

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        send(handler, vector())

    with server(respond) as url:
        yield url


def plan_of(*faults: dict[str, Any]) -> Plan:
    return make_plan(
        Experiment.model_validate(
            {
                "name": "x",
                "description": "d",
                "load": {"locustfile": "x", "stages": [{"duration": "20s", "users": 1}]},
                "faults": list(faults),
                "objectives": ["errors < 1%"],
            }
        )
    )


def asked(
    prometheus: str,
    permissions: Permissions = OPTED_IN,
    *faults: dict[str, Any],
    sandbox: bool = False,
    **said: Any,
) -> Allowance:
    """What a target with two ready pods of ``pay`` allows ``faults``; ``said`` is of its file."""
    pods = [
        {
            "metadata": {"name": f"pay-{n}", "labels": {"app": "pay"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        for n in range(2)
    ]
    service = {"metadata": {"name": "pay"}, "spec": {"selector": {"app": "pay"}}}
    objects = Objects({"pods": pods, "services": [service]}, {}, permissions=permissions)
    rules = (
        Rules(**said)
        if sandbox
        else ClusterSpec(
            context="c",
            namespace="shop",
            ingress="http://a",
            prometheus=PrometheusAccess(url="http://b"),
            **said,
        )
    )
    target = TargetInfo(
        kind="sandbox" if sandbox else "cluster",
        name="t",
        namespace="shop",
        ingress_url="http://a",
        host="",
        prometheus_url=prometheus,
        bounds=rules.bounds,
    )
    return allowance(plan_of(*faults), target, objects, rules)


def test_a_plan_within_all_bounds_is_allowed(prometheus: str) -> None:
    assert asked(prometheus, OPTED_IN, KILL) == Allowance()


def test_a_cluster_must_opt_in_and_the_sandbox_need_not(prometheus: str) -> None:
    """Goal: safe by default. Method: no label; with faults and without, told or not to ask."""
    bare = Permissions(labels={})
    (refusal,) = asked(prometheus, bare, KILL).refusals
    assert refusal.startswith("the namespace shop does not carry the label seatrial.dev/inject")
    assert asked(prometheus, bare) == Allowance()
    assert asked(prometheus, bare, KILL, sandbox=True) == Allowance()
    told = asked(prometheus, bare, KILL, require_opt_in=False)
    assert told.refusals == ()
    assert told.notes == (
        "shop does not carry seatrial.dev/inject=enabled, and is disturbed all the same, because "
        "seatrial.yaml says `require_opt_in: false`",
    )
    assert asked(prometheus, OPTED_IN, KILL, require_opt_in=False) == Allowance()


def test_bounds_hold_on_every_target(prometheus: str) -> None:
    for sandbox in (False, True):
        found = asked(prometheus, OPTED_IN, KILL, sandbox=sandbox, bounds=Bounds(max_pods=0))
        assert found.refusals == (
            "01-pod-kill: hits 1 of 2 ready pods of pay; the bounds of this target allow 0 "
            "(max_pods: 0)",
        )


def test_what_is_forbidden_or_unknown_is_refused(prometheus: str) -> None:
    """Goal: no begin without an end. Method: a denied right, and a review that failed."""
    labels = OPTED_IN.labels
    denied = Permissions(denied=(Right("", "pods", "delete"),), labels=labels)
    found = asked(prometheus, denied, KILL)
    assert found.refusals == (
        "missing permissions in shop: delete pods; `seatrial role` prints the Role",
    )
    assert "resources: [pods]\n  verbs: [delete]\n" in found.role
    trouble = Permissions(labels=labels, trouble="HTTP 500: oops")
    assert asked(prometheus, trouble, KILL).refusals == (
        "permissions cannot be asked for: HTTP 500: oops",
    )


def test_a_silent_prometheus_refuses_on_a_cluster_and_warns_on_the_sandbox() -> None:
    away = "http://127.0.0.1:1"
    assert len(asked(away, OPTED_IN, KILL).refusals) == 1
    on_sandbox = asked(away, OPTED_IN, KILL, sandbox=True)
    assert (on_sandbox.refusals, len(on_sandbox.notes)) == ((), 1)
