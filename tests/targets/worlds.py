"""A small namespace by hand: two services of two pods in the mesh, as its API server tells it."""

from __future__ import annotations

from typing import Any

from runner.targets.inspection import Objects

Object = dict[str, Any]
NAMESPACE = "shop"
HOST = "api.c4ang.com"
SERVICES = ("order-api", "payment-api")


def pod(service: str, letter: str, *, ready: bool = True, sidecar: bool = True) -> Object:
    containers = [service, "istio-proxy"] if sidecar else [service]
    return {
        "kind": "Pod",
        "metadata": {"name": f"{service}-{letter}", "labels": {"app": service, "version": "v1"}},
        "spec": {"nodeName": "node-a", "containers": [{"name": name} for name in containers]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": name, "ready": ready} for name in containers],
        },
    }


def virtual_service(service: str, **spec: Any) -> Object:
    route = {
        "name": f"{service}-all",
        "match": [{"uri": {"prefix": f"/api/v1/{service.removesuffix('-api')}s"}}],
        "route": [{"destination": {"host": service}}],
    }
    whole = {"hosts": [HOST, service], "gateways": ["edge", "mesh"], "http": [route]} | spec
    return {"kind": "VirtualService", "metadata": {"name": service}, "spec": whole}


def destination_rule(service: str, detection: Object | None) -> Object:
    policy = {} if detection is None else {"outlierDetection": detection}
    spec = {"host": service, "trafficPolicy": policy}
    return {"kind": "DestinationRule", "metadata": {"name": service}, "spec": spec}


def deployment(service: str, replicas: int = 2) -> Object:
    template = {"metadata": {"labels": {"app": service, "version": "v1"}}}
    return {
        "kind": "Deployment",
        "metadata": {"name": service},
        "spec": {"replicas": replicas, "template": template},
    }


def node(name: str, *, cordoned: bool = False) -> Object:
    spec = {"unschedulable": True} if cordoned else {}
    return {"kind": "Node", "metadata": {"name": name}, "spec": spec}


def world(**changed: list[Object]) -> Objects:
    """The namespace in good health, but for the kinds in ``changed``."""
    kinds: dict[str, list[Object]] = {
        "pods": [pod(service, letter) for service in SERVICES for letter in "ab"],
        "services": [
            {"metadata": {"name": name}, "spec": {"selector": {"app": name}}} for name in SERVICES
        ],
        "endpoints": [
            {"metadata": {"name": name}, "subsets": [{"addresses": [{"ip": "127.0.0.2"}]}]}
            for name in SERVICES
        ],
        "deployments": [deployment(name) for name in SERVICES],
        "virtualservices": [virtual_service(name) for name in SERVICES],
        "destinationrules": [
            destination_rule(name, {"maxEjectionPercent": 50}) for name in SERVICES
        ],
        "gateways": [
            {
                "metadata": {"name": "edge"},
                "spec": {"selector": {"istio": "gw"}, "servers": [{"hosts": [HOST]}]},
            }
        ],
        "gatewayproxies": [{"metadata": {"name": "gw", "labels": {"istio": "gw"}}}],
        "nodes": [node("node-a"), node("node-b")],
    }
    return Objects(kinds=kinds | changed, errors={})
