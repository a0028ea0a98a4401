"""Deployments and their autoscalers, as an API server shows them."""

from __future__ import annotations

from chaos_objects import NAMESPACE, Object


def deployment(replicas: int | None = 2, *, ready: int = 2, **status: int) -> Object:
    """A Deployment whose status shows ``ready`` pods, all of them new."""
    counts = dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), ready
    )
    spec: Object = {
        "selector": {"matchLabels": {"app": "order-api"}},
        "template": {"metadata": {"labels": {"app": "order-api"}}, "spec": {"containers": []}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "order-api", "namespace": NAMESPACE, "generation": 4},
        "spec": spec if replicas is None else {**spec, "replicas": replicas},
        "status": {"observedGeneration": 4, **counts, **status},
    }


def autoscaler(name: str = "order-api", kind: str = "Deployment") -> Object:
    target = {"apiVersion": "apps/v1", "kind": kind, "name": "order-api"}
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"scaleTargetRef": target}}
