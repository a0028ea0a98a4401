"""The reference shop as the mesh translator sees it, and short ways to write objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.targets.sandbox import manifests
from runner.targets.sandbox.mesh.model import MeshConfig, MeshInput
from runner.targets.sandbox.settings import SandboxSettings

SETTINGS = SandboxSettings("t", Path("/sandbox"), 1, 20001, 20002, 20003, 20004, 20005, 20006)
GATEWAY = "istio-ingressgateway"
Obj = dict[str, Any]
Golden = Callable[[str, object], None]


def shop() -> MeshInput:
    """The reference shop with both pods of each service ready, as the parts would have made it."""
    objects = manifests.shop(SETTINGS)
    pods: list[Obj] = []
    endpoints: list[Obj] = []
    for service in manifests.SERVICES:
        addresses = []
        template = manifests.deployment(service, SETTINGS)["spec"]["template"]["metadata"]
        for letter in "ab":
            address = SETTINGS.pod_address(len(pods))
            owner = {"kind": "ReplicaSet", "name": f"{service.name}-5d8f", "controller": True}
            meta = {**template, "name": f"{service.name}-5d8f-{letter}", "namespace": "ecommerce"}
            pods.append(
                {
                    "kind": "Pod",
                    "metadata": meta | {"ownerReferences": [owner]},
                    "status": {"phase": "Running", "podIP": address},
                }
            )
            addresses.append({"ip": address})
        subset = {"addresses": addresses, "ports": [{"name": "http", "port": 8080}]}
        meta = {"name": service.name, "namespace": "ecommerce"}
        endpoints.append({"kind": "Endpoints", "metadata": meta, "subsets": [subset]})

    def of(kind: str) -> tuple[Obj, ...]:
        return tuple(
            item
            for item in objects
            if item["kind"] == kind and item["metadata"]["namespace"] == "ecommerce"
        )

    return MeshInput(
        pods=tuple(pods),
        endpoints=tuple(endpoints),
        services=of("Service"),
        virtual_services=of("VirtualService"),
        destination_rules=of("DestinationRule"),
        gateways=of("Gateway"),
    )


def virtual_service(name: str, http: list[Obj], *, age: int = 0, **spec: Any) -> Obj:
    meta = {
        "name": name,
        "namespace": "ecommerce",
        "creationTimestamp": f"2026-01-01T00:00:{age:02d}Z",
    }
    given = {"hosts": [name], "http": http} | spec
    return {"kind": "VirtualService", "metadata": meta, "spec": given}


def rule(name: str, *, age: int = 0, **spec: Any) -> Obj:
    made = virtual_service(name, [], age=age)
    return made | {"kind": "DestinationRule", "spec": {"host": "payment-api"} | spec}


def to(service: str, **more: Any) -> Obj:
    return {"destination": {"host": service, **more}}


def routes(config: MeshConfig, name: str, domain: str) -> list[Obj]:
    """The routes of one client for one domain."""
    (found,) = [host for host in config.routes[name]["virtual_hosts"] if domain in host["domains"]]
    answer: list[Obj] = found["routes"]
    return answer
