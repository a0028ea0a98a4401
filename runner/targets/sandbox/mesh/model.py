"""The data of the mesh: what the translator is given and what it gives back. No behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runner.targets.sandbox.manifests import INGRESS_NAMESPACE, INGRESS_SERVICE

Object = Mapping[str, Any]
"""One Kubernetes object as the API server sends it."""

Xds = dict[str, Any]
"""One Envoy resource in the JSON form of its protobuf message."""

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
CLUSTER_DOMAIN = "cluster.local"

GATEWAY_WORKLOAD = INGRESS_SERVICE
GATEWAY_NAMESPACE = INGRESS_NAMESPACE
GATEWAY_LABELS = {"app": GATEWAY_WORKLOAD, "istio": "ingressgateway"}
GATEWAY_PORT = 80
"""The one port on which Gateway servers are honoured; it is served on the ingress port."""


class ObjectRef(NamedTuple):
    """Which object is meant; enough to find it and to write an Event about it."""

    kind: str
    namespace: str
    name: str
    api_version: str = ""
    uid: str = ""
    generation: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class UnsupportedField(NamedTuple):
    """A field of an object that has no effect here, and why.

    ``path`` is written as kubectl explains it, with list positions: ``spec.http[0].mirror``.
    """

    ref: ObjectRef
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class MeshInput:
    """Everything that the mesh is made from, as lists of objects in any order.

    Attributes:
        others: Objects of kinds that the mesh knows of and does not honour at all
            (ServiceEntry, Sidecar, PeerAuthentication, …); each is reported.
        inbound_pods: ``namespace/name`` of pods whose requests already pass an inbound
            listener. Such a pod keeps it for as long as it lives: its address in the
            endpoints stays the same, so a client's ejection outlives the fault, as it does
            where every pod has its proxy from birth.
    """

    pods: tuple[Object, ...] = ()
    endpoints: tuple[Object, ...] = ()
    services: tuple[Object, ...] = ()
    virtual_services: tuple[Object, ...] = ()
    destination_rules: tuple[Object, ...] = ()
    gateways: tuple[Object, ...] = ()
    envoy_filters: tuple[Object, ...] = ()
    network_policies: tuple[Object, ...] = ()
    others: tuple[Object, ...] = ()
    inbound_pods: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """One consistent configuration of the Envoy, by resource name.

    Attributes:
        listeners: Envoy ``Listener`` by name.
        routes: ``RouteConfiguration`` by name.
        clusters: ``Cluster`` by name.
        endpoints: ``ClusterLoadAssignment`` by EDS service name.
        unsupported: What the objects ask for and do not get.
        inbound_pods: ``namespace/name`` of the pods that have an inbound listener now.
    """

    listeners: dict[str, Xds] = field(default_factory=dict)
    routes: dict[str, Xds] = field(default_factory=dict)
    clusters: dict[str, Xds] = field(default_factory=dict)
    endpoints: dict[str, Xds] = field(default_factory=dict)
    unsupported: tuple[UnsupportedField, ...] = ()
    inbound_pods: frozenset[str] = frozenset()


def ref_of(obj: Object) -> ObjectRef:
    """The reference of an object as the API server sends it; absent parts are empty."""
    meta = obj.get("metadata") or {}
    return ObjectRef(
        kind=str(obj.get("kind", "")),
        namespace=str(meta.get("namespace", "")),
        name=str(meta.get("name", "")),
        api_version=str(obj.get("apiVersion", "")),
        uid=str(meta.get("uid", "")),
        generation=int(meta.get("generation") or 0),
    )
