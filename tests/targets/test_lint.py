"""Faults that could show nothing are refused with the reason: one case for each row of the table.

The table stands in ``docs/faults/lint.md``; its first column names the cases here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from conftest import ROOT
from pydantic import ValidationError
from worlds import NAMESPACE, deployment, destination_rule, node, pod, virtual_service, world

from runner.model.experiment import Experiment
from runner.model.fault import HttpAbort
from runner.model.faultmark import ANNOTATION
from runner.model.feasibility import mistakes_in
from runner.model.plan import Plan, make_plan
from runner.targets.faultfit import fault_symptoms
from runner.targets.preflight import plan_symptoms, problems
from runner.targets.reach import Reach
from runner.targets.symptom import remarks

ABORT: Mapping[str, Any] = {"kind": "http-abort", "status": 503}
SERVER: Mapping[str, Any] = {**ABORT, "side": "server"}
DENY: Mapping[str, Any] = {"kind": "network-deny"}
BREAKER = {"expects": "breaker"}


def experiment_of(fault: Mapping[str, Any]) -> Experiment:
    times = {"service": "payment-api", "at": "20s", "duration": "10s"}
    return Experiment.model_validate(
        {
            "name": "x",
            "description": "d",
            "load": {"locustfile": "x", "stages": [{"duration": "60s", "users": 1}]},
            "warmup": "5s",
            "faults": [{**times, **fault}],
            "objectives": ["errors < 1%"],
        }
    )


def plan_of(fault: Mapping[str, Any]) -> Plan:
    experiment = experiment_of(fault)
    assert mistakes_in(experiment) == ()
    return make_plan(experiment)


# -- what the file tells ---------------------------------------------------------------------------


def activity(**arguments: Any) -> dict[str, Any]:
    provider = {"type": "python", "module": "runner.chaos.actions", "func": "abort_requests"}
    return {"type": "action", "name": "ours", "provider": {**provider, "arguments": arguments}}


def foreign(*activities: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "chaostoolkit", "method": list(activities)}


BY_FILE: dict[str, tuple[Mapping[str, Any], str]] = {
    "same-hop": (
        {**ABORT, **BREAKER},
        "the breaker on the same hop never sees it",
    ),
    "status-not-counted": (
        {**SERVER, **BREAKER, "status": 404},
        "does not count answers",
    ),
    "out-in-good-order": ({"kind": "drain", **BREAKER}, "a drain takes pods out of the Service in"),
    "callers-still-reach-it": (
        {**DENY, **BREAKER, "direction": "egress"},
        "callers of payment-api still reach its pods",
    ),
    "killed-once": (
        {"kind": "pod-kill", "every": "5m"},
        "within 10s nothing is killed again every 300s",
    ),
    "zero-percent": ({**ABORT, "percent": 0}, "greater than or equal to 0.0001"),
    "no-pod-left": ({"kind": "pod-kill", "count": "all"}, "leaves no pod; accepted beside it: min"),
    "wrong-side": ({**SERVER, "route": "#1"}, "'source' and 'route' belong to the client side"),
    "beyond-the-load": ({**ABORT, "duration": "5m"}, "the fault lasts from 20s to 320s, but the"),
    "no-baseline": ({**ABORT, "at": "5s"}, "the fault starts where the warmup ends, so that there"),
    "pauses-beyond-the-end": (
        foreign(activity() | {"pauses": {"after": 30}}),
        "the activities pause for 30s, so that the rollbacks cannot begin at the end of 10s",
    ),
    "expires-before-its-end": (
        foreign(activity(expires_at_wall_s=100.0), activity(until_wall_s=200.0)),
        "a fault expires before it is held to its end",
    ),
}


@pytest.mark.parametrize("case", BY_FILE)
def test_a_futile_fault_is_a_mistake_in_the_file(case: str) -> None:
    """Goal: told by ``validate``. Method: what is said about one fault, and nothing else is."""
    fault, reason = BY_FILE[case]
    try:
        said = [one.message for one in mistakes_in(experiment_of(fault))]
    except ValidationError as error:
        said = [one["msg"] for one in error.errors()]
    assert len(said) == 1
    assert reason in said[0]


def test_no_percentage_of_our_own_activities_is_zero() -> None:
    (said,) = mistakes_in(experiment_of(foreign(activity(percent=0))))
    assert said.loc == ("faults", 0, "method")
    assert said.message.startswith("0 % of the requests is none")


@pytest.mark.parametrize(
    "fault",
    [
        {**SERVER, **BREAKER},
        {"kind": "http-delay", "delay": "2s", "side": "server", **BREAKER},
        {"kind": "pod-kill", **BREAKER},
        {**DENY, **BREAKER},
        {**ABORT, "expects": "no-breaker"},
        {"kind": "pod-kill", "every": "4s"},
        foreign(activity(expires_at_wall_s=300.0), activity(until_wall_s=200.0)),
    ],
)
def test_what_can_show_something_is_no_mistake(fault: Mapping[str, Any]) -> None:
    assert mistakes_in(experiment_of(fault)) == ()


# -- what the target tells -------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A fault, what is different on the target, and what is said."""

    fault: Mapping[str, Any]
    said: str
    changed: dict[str, list[Any]] = field(default_factory=dict)
    reach: Reach | None = None


KILL = {"kind": "pod-kill"}
SCALER = {
    "metadata": {"name": "pay"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "payment-api"}},
}
V2_ONLY = {
    "match": [{"headers": {"x-version": {"exact": "v2"}}}],
    "route": [{"destination": {"host": "payment-api"}}],
}
MARK = '{"k": {"run": "2026-01-02T030405Z-abcd", "fault": "01-x"}}'
PODS_OF_ORDER = [pod("order-api", letter) for letter in "ab"]

BY_TARGET: dict[str, Case] = {
    "no-such-service": Case(
        {**ABORT, "service": "paymnt-api"},
        "there is no Service paymnt-api in shop; did you mean payment-api?; there are: order-api, "
        "payment-api",
    ),
    "no-endpoint": Case(
        ABORT,
        "the Service payment-api has no ready endpoint",
        {"endpoints": [{"metadata": {"name": "payment-api"}, "subsets": []}]},
    ),
    "too-few-pods": Case(
        {**KILL, "count": 2},
        "01-pod-kill: 2 pods of payment-api are ready, but killing 2 and leaving 1 healthy needs 3",
    ),
    "no-selector": Case(
        KILL,
        "01-pod-kill: the Service payment-api has no selector; state one in the fault",
        {"services": [{"metadata": {"name": "payment-api"}, "spec": {}}]},
    ),
    "no-route": Case(
        ABORT,
        "01-http-abort: no VirtualService in shop has an HTTP route to payment-api, so that there "
        "is nothing to inject into",
        {"virtualservices": [virtual_service("order-api")]},
    ),
    "no-such-route": Case(
        {**ABORT, "route": "payment-api-al"},
        "01-http-abort: no route to payment-api is called 'payment-api-al'; did you mean "
        "payment-api-all?; there are: payment-api-all",
    ),
    "no-such-number": Case(
        {**ABORT, "route": "#2"},
        "01-http-abort: there is no route #2 to payment-api; accepted: #1 to #1",
    ),
    "headers-of-no-route": Case(
        {**ABORT, "headers": {"X-Version": "v1"}},
        "01-http-abort: no route to payment-api can match these headers (x-version): each one asks "
        "for other values",
        {"virtualservices": [virtual_service("payment-api", http=[V2_ONLY])]},
    ),
    "source-at-a-gateway": Case(
        {**ABORT, "source": {"app": "order-api"}},
        "01-http-abort: 'source' is about callers inside of the mesh, and the VirtualServices of "
        "payment-api are for gateways only",
        {"virtualservices": [virtual_service("payment-api", gateways=["edge"])]},
    ),
    "more-pods-than-there-are": Case(
        {**SERVER, "count": 3},
        "01-http-abort: it is for 3 pods, but payment-api has 2 pods that are ready",
    ),
    "no-sidecar": Case(
        SERVER,
        "01-http-abort: on the server side, the pods' own proxies act, and there is no istio-proxy "
        "in payment-api-b",
        {"pods": [pod("payment-api", "a"), pod("payment-api", "b", sidecar=False)]},
    ),
    "no-such-deployment": Case(
        {"kind": "rollout-restart", "deployment": "payment"},
        "01-rollout-restart: there is no Deployment payment in shop; did you mean payment-api?; "
        "there are: order-api, payment-api",
    ),
    "nothing-would-change": Case(
        {"kind": "scale", "replicas": 2},
        "01-scale: deployment/payment-api has 2 replicas already, so that nothing would change",
    ),
    "autoscaler": Case(
        {"kind": "scale", "replicas": 1},
        "01-scale: horizontalpodautoscaler/pay takes care of deployment/payment-api, and would set "
        "the replicas back; accepted: replicas: 0, which an autoscaler leaves alone",
        {"horizontalpodautoscalers": [SCALER]},
    ),
    "no-such-node": Case(
        {"kind": "cordon", "node": "node-c"},
        "01-cordon: there is no node node-c; did you mean node-b?; there are: node-a, node-b",
    ),
    "no-node-holds-it": Case(
        {"kind": "drain"}, "01-drain: no node holds a pod of payment-api", {"pods": PODS_OF_ORDER}
    ),
    "cordoned-already": Case(
        {"kind": "cordon"},
        "01-cordon: node-a is cordoned already, so that nothing would change",
        {"nodes": [node("node-a", cordoned=True), node("node-b")]},
    ),
    "no-other-node": Case(
        {"kind": "drain"},
        "01-drain: there is no other node that takes pods, so that evicted ones wait for the end; "
        "accepted: last_node: true",
        {"nodes": [node("node-a"), node("node-b", cordoned=True)]},
    ),
    "no-breaker": Case(
        {**KILL, **BREAKER},
        "01-pod-kill: it is meant to show a breaker, but no DestinationRule of payment-api has an "
        "outlierDetection",
        {"destinationrules": [destination_rule("payment-api", None)]},
    ),
    "ejects-no-pod": Case(
        SERVER,
        "01-http-abort: no breaker can eject a pod of payment-api: 10 % (the default of "
        "destinationrule/payment-api) of 2 pods is less than one pod; accepted: a higher "
        "maxEjectionPercent, or expects: no-breaker, if that is what it is to show",
        {"destinationrules": [destination_rule("payment-api", {"interval": "10s"})]},
    ),
    "ejects-none-at-all": Case(
        {**KILL, **BREAKER},
        "01-pod-kill: no breaker can eject a pod of payment-api: 0 % (maxEjectionPercent of "
        "destinationrule/payment-api) of 2 pods is less than one pod; accepted: a higher "
        "maxEjectionPercent, or expects: no-breaker, if that is what it is to show",
        {"destinationrules": [destination_rule("payment-api", {"maxEjectionPercent": 0})]},
    ),
    "never-reached": Case(
        ABORT,
        "01-http-abort: the load never reaches payment-api: its paths lead to order-api, and in "
        "the last hour none of these called payment-api; if one does, send it a few such requests "
        "first",
        reach=Reach(frozenset({"order-api"}), frozenset({"order-api"}), whole=True),
    ),
    "left-behind": Case(
        ABORT,
        "envoyfilter/old still carries the fault 01-x of run 2026-01-02T030405Z-abcd; remove it "
        "with `seatrial heal 2026-01-02T030405Z-abcd`",
        {
            "envoyfilters": [
                {
                    "kind": "EnvoyFilter",
                    "metadata": {"name": "old", "annotations": {ANNOTATION: MARK}},
                }
            ]
        },
    ),
}


@pytest.mark.parametrize("name", BY_TARGET)
def test_a_fault_that_could_show_nothing_here_is_refused(name: str) -> None:
    """Goal: told before the load starts. Method: one thing of a healthy namespace is different."""
    case = BY_TARGET[name]
    found = plan_symptoms(plan_of(case.fault), world(**case.changed), NAMESPACE, reach=case.reach)
    assert [one.sentence for one in found if one.state == "missing"] == [case.said]


@pytest.mark.parametrize(
    "fault",
    [
        ABORT,
        {**ABORT, "route": "payment-api-all", "headers": {"x-version": "v1"}},
        {**ABORT, "route": "#1", "source": {"app": "order-api"}},
        {**SERVER, "count": "50%", **BREAKER},
        KILL,
        {"kind": "scale", "replicas": 0},
        {"kind": "rollout-restart"},
        {"kind": "cordon"},
        {"kind": "drain", "node": "node-a"},
        DENY,
        foreign(activity()),
    ],
)
def test_a_healthy_namespace_takes_every_kind_of_fault(fault: Mapping[str, Any]) -> None:
    assert problems(plan_of(fault), world(), NAMESPACE) == []


def test_who_wants_to_see_no_breaker_may() -> None:
    """Goal: the refusal has a way out. Method: the same rule, with and without the expectation."""
    rules = world(destinationrules=[destination_rule("payment-api", {"maxEjectionPercent": 49})])
    assert len(problems(plan_of(SERVER), rules, NAMESPACE)) == 1
    assert problems(plan_of({**SERVER, "expects": "no-breaker"}), rules, NAMESPACE) == []
    late = {"kind": "http-delay", "side": "server", "delay": "1s"}
    assert len(problems(plan_of(late), rules, NAMESPACE)) == 1
    assert problems(plan_of({**SERVER, "status": 404}), rules, NAMESPACE) == []
    assert problems(plan_of(KILL), rules, NAMESPACE) == []


def test_a_last_node_is_drained_only_by_who_says_so() -> None:
    one = world(nodes=[node("node-a")])
    plan = plan_of({"kind": "drain", "last_node": True})
    assert problems(plan, one, NAMESPACE) == []
    said = remarks(fault_symptoms(plan, one, NAMESPACE))
    assert said == [
        "01-drain: there is no other node that takes pods, so that evicted ones wait for the end"
    ]


def test_a_node_may_be_drained_whose_service_is_on_the_other_one_too() -> None:
    """Goal: only one node is drained. Method: pods of the service on both of two nodes."""
    pods = [pod("payment-api", letter) for letter in "ab"]
    pods[1]["spec"]["nodeName"] = "node-b"
    assert problems(plan_of({"kind": "drain"}), world(pods=pods), NAMESPACE) == []


def test_an_autoscaler_leaves_zero_replicas_alone() -> None:
    scaled = world(horizontalpodautoscalers=[SCALER], deployments=[deployment("payment-api")])
    assert problems(plan_of({"kind": "scale", "replicas": 0}), scaled, NAMESPACE) == []


def test_headers_and_source_that_may_match_are_no_matter() -> None:
    """Goal: only what is surely impossible is refused. Method: conditions that overlap."""
    regex = {"match": [{"headers": {"x-version": {"regex": "v[12]"}}}], **_to_payment()}
    vs = world(virtualservices=[virtual_service("payment-api", http=[regex])])
    for wanted in ("v1", {"prefix": "v"}, {"regex": "v1|v3"}):
        assert problems(plan_of({**ABORT, "headers": {"x-version": wanted}}), vs, NAMESPACE) == []
    exact = {"match": [{"headers": {"x-version": {"exact": "v2"}}}], **_to_payment()}
    vs = world(virtualservices=[virtual_service("payment-api", http=[exact])])
    late = {**ABORT, "headers": {"x-version": {"prefix": "w"}}}
    assert len(problems(plan_of(late), vs, NAMESPACE)) == 1
    plan = plan_of({**ABORT, "source": {"app": "nobody"}})
    assert remarks(fault_symptoms(plan, world(), NAMESPACE)) == [
        "01-http-abort: no pod of this namespace has the labels of 'source' (app=nobody)"
    ]


def _to_payment() -> dict[str, Any]:
    return {"route": [{"destination": {"host": "payment-api"}}]}


def test_what_is_not_known_is_told_and_no_obstacle() -> None:
    reach = Reach(frozenset({"order-api"}), frozenset({"order-api"}), whole=False, why="who knows")
    found = plan_symptoms(plan_of(ABORT), world(), NAMESPACE, reach=reach)
    assert [(one.state, one.found) for one in found] == [
        (
            "warn",
            "01-http-abort: whether the load reaches payment-api is not known before the run: who "
            "knows",
        )
    ]


# -- the table -------------------------------------------------------------------------------------


def test_the_table_names_each_case_and_no_other() -> None:
    """Goal: the document is whole. Method: its first column against the cases tried here."""
    text = (ROOT / "docs" / "faults" / "lint.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)
    assert sorted(named) == sorted([*BY_FILE, *BY_TARGET])
    assert f"{len(named)} cases are refused" in text
    grammar = (ROOT / "docs" / "experiment-file.md").read_text(encoding="utf-8")
    assert f"[{len(named) - 3} cases more](faults/lint.md)" in grammar
    meaning = HttpAbort.model_fields["expects"].description
    assert meaning is not None
    assert meaning in " ".join(text.split())
