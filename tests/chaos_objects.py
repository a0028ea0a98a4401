"""Objects to break: VirtualServices, Services and pods as an API server shows them."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

NAMESPACE = "ecommerce"


def route(host: str = "payment-api", **more: Any) -> Object:
    """A user's route as the shop has it: a prefix, a timeout and retries, no name."""
    return {
        "match": [{"uri": {"prefix": "/api/v1/payments"}}],
        "route": [{"destination": {"host": host, "port": {"number": 80}}}],
        "timeout": "30s",
        "retries": {"attempts": 3, "perTryTimeout": "10s"},
        **more,
    }


def virtual_service(name: str = "payment-api", *routes: Object, **metadata: Any) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": {
            "hosts": ["api.c4ang.com", name],
            "gateways": ["ecommerce-gateway", "mesh"],
            "http": list(routes) or [route(name)],
        },
    }


def service(name: str = "order-api") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]},
    }


def pod(name: str, *, uid: str = "", owner: str = "rs-1", ready: bool = True) -> Object:
    """A pod of the order service, as the API shows it."""
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid or f"uid-{name}",
            "labels": {"app": "order-api"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "order-api-1",
                    "uid": owner,
                    "controller": True,
                }
            ],
        },
        "spec": {"nodeName": "node-a", "containers": [{"name": "app", "image": "shop"}]},
        "status": {"phase": "Running" if ready else "Pending", "conditions": [condition]},
    }
