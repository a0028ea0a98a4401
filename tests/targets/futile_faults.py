"""Faults that could show nothing: a case for each row of the table in ``docs/faults/lint.md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worlds import destination_rule, node, pod, virtual_service

from runner.model.faultmark import ANNOTATION
from runner.targets.reach import Reach

ABORT: Mapping[str, Any] = {"kind": "http-abort", "status": 503}
SERVER: Mapping[str, Any] = {**ABORT, "side": "server"}
DENY: Mapping[str, Any] = {"kind": "network-deny"}
BREAKER = {"expects": "breaker"}


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
    "no-header": (
        {**ABORT, "headers": {":path": "/"}},
        "':path' is no request header that Istio matches; accepted: a header's name of letters",
    ),
    "no-label": (
        {**ABORT, "source": {"bad key!": "x"}},
        "'bad key!' is no key of a label; accepted: up to 63 letters",
    ),
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
    "selects-others": Case(
        {**KILL, "selector": "app=order-api"},
        "01-pod-kill: the selector 'app=order-api' picks no pod of payment-api; it picks pods of "
        "order-api; accepted: service: order-api, labels of payment-api's pods, or no selector, "
        "for the Service's own",
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
