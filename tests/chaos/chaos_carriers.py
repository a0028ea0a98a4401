"""Objects of every kind with a fault on them, and a heal that waits for nothing."""

from __future__ import annotations

import json
from typing import Any

from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, pod, virtual_service

from runner.chaos import fields, labelled, owned
from runner.chaos import virtualservice as vs_
from runner.chaos.annotation import Tag
from runner.chaos.carriers import REPLICAS, UNSCHEDULABLE
from runner.chaos.heal import Healing, Play, Scope, heal
from runner.chaos.objects import DEPLOYMENTS, NODES, PODS, VIRTUAL_SERVICES, Kind

Object = dict[str, Any]
RUN = "2026-11-20T092337Z-ab12"
OTHER = "2026-11-20T092338Z-cd34"
NEVER = "2999-01-01T00:00:00Z"


def tag(fault: str = "01-x", run: str = RUN, until: str = NEVER, **more: Any) -> Tag:
    return Tag(run, fault, "ann@laptop", until, **more)


def deployment(replicas: int = 3) -> Object:
    metadata = {"name": "order-api", "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata} | {
        "spec": {"replicas": replicas}
    }


def node() -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"}, "spec": {}}


def carried(kind: Kind, one: Tag) -> tuple[Object | None, Object]:
    """An object of ``kind`` without and with the fault of ``one``; None where it is the fault."""
    if kind is VIRTUAL_SERVICES:
        abort = {"service": "payment-api", "block": vs_.abort_block(503, 50)}
        full = Tag(one.run, one.fault, one.owner, one.expires_at, **abort)  # type: ignore[arg-type]
        return virtual_service(), vs_.add_fault(virtual_service(), full)
    if kind is DEPLOYMENTS:
        return deployment(), fields.push(deployment(), one, REPLICAS, 0)
    if kind is NODES:
        return node(), fields.push(node(), one, UNSCHEDULABLE, True)
    if kind is PODS:
        return pod("a"), labelled.mark(pod("a"), one)
    return None, owned.make(kind, NAMESPACE, one, {"spec": {}})


def healed(cluster: FakeCluster, /, play: Play | None = None, **scope: Any) -> Healing:
    return heal(
        cluster,
        Scope(NAMESPACE, **scope),
        deadline_s=5.0,
        sleep=lambda seconds: None,
        play=play,
    )


def same_bytes(one: Object, other: Object) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
