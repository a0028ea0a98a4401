"""A shop of two services on two nodes, in memory, and one fault of every kind to preview in it."""

from __future__ import annotations

import copy
from typing import Any

from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, Object, pod, service, virtual_service
from chaos_plans import planned

from runner.chaos.objects import (
    BUDGETS,
    DEPLOYMENTS,
    NODES,
    PODS,
    SERVICES,
    VIRTUAL_SERVICES,
)
from runner.model.plan import PlannedFault
from runner.model.recording import TargetInfo

NOW_S = 1_760_000_000.0
TARGET = TargetInfo(
    kind="sandbox",
    name="fake",
    namespace=NAMESPACE,
    ingress_url="http://127.0.0.1:1",
    host="",
    prometheus_url="http://127.0.0.1:1",
)

SAY = {"type": "action", "name": "say", "provider": {"type": "process", "path": "touch"}}

EVERY_KIND: tuple[PlannedFault, ...] = (
    planned("pod-kill", "order-api", number=1),
    planned("pod-kill", "order-api", number=2, duration_s=30.0, every="10s", jitter="2s"),
    planned("http-delay", number=3),
    planned("http-abort", number=4, percent=50),
    planned("http-abort", "order-api", number=5, side="server"),
    planned("http-delay", "order-api", number=6, side="server", count=1),
    planned("scale", "order-api", number=7, replicas=1),
    planned("rollout-restart", "order-api", number=8),
    planned("cordon", "order-api", number=9),
    planned("drain", "order-api", number=10, node="node-a"),
    planned("network-deny", "order-api", number=11),
    planned("chaostoolkit", "order-api", number=12, method=[SAY]),
    planned("drain", "order-api", number=13),
    planned("cordon", "order-api", number=14, node="node-b"),
    planned("pod-kill", "order-api", number=15, selector="app=order-api"),
)


def deployment(name: str = "order-api") -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": "uid-d", "generation": 1},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": []}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": 3,
            "readyReplicas": 3,
            "updatedReplicas": 3,
            "availableReplicas": 3,
        },
    }


def node(name: str) -> Object:
    ready = {"type": "Ready", "status": "True"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {},
        "status": {"conditions": [ready]},
    }


def budget(minimum: int, allowed: int) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "order-api", "namespace": NAMESPACE},
        "spec": {"minAvailable": minimum, "selector": {"matchLabels": {"app": "order-api"}}},
        "status": {"disruptionsAllowed": allowed},
    }


def shop(*budgets: Object) -> FakeCluster:
    """Three pods of the order service, two on node-a; a route to the payment service."""
    pods = [pod(f"order-api-{letter}") for letter in "abc"]
    pods[2]["spec"]["nodeName"] = "node-b"
    for one in pods:
        one["spec"]["containers"].append({"name": "istio-proxy", "image": "envoy"})
    cluster = FakeCluster()
    cluster.put(*pods, kind=PODS)
    cluster.put(service("order-api"), service("payment-api"), kind=SERVICES)
    cluster.put(virtual_service("payment-api"), kind=VIRTUAL_SERVICES)
    cluster.put(deployment(), kind=DEPLOYMENTS)
    cluster.put(node("node-a"), node("node-b"), kind=NODES)
    cluster.put(*budgets, kind=BUDGETS)
    return cluster


def stored(cluster: FakeCluster) -> dict[str, Any]:
    """All objects with their versions."""
    return copy.deepcopy({plural: found for plural, found in cluster.objects.items() if found})
