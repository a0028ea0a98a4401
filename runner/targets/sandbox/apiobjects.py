"""The kinds of object that the sandbox's parts read and write, as a client addresses them.

Data only: how they are fetched is in ``apiclient``; which kinds the embedded server has is in
``apiserver.kinds``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

Obj = dict[str, Any]


class Resource(NamedTuple):
    """One kind of object, as a client addresses it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` that stands in an object of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version


PODS = Resource("", "v1", "pods", "Pod")
SERVICES = Resource("", "v1", "services", "Service")
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints")
EVENTS = Resource("", "v1", "events", "Event")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICEACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
REPLICASETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
STATEFULSETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
HPAS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
PDBS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
NETWORKPOLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
VIRTUALSERVICES = Resource("networking.istio.io", "v1", "virtualservices", "VirtualService")
DESTINATIONRULES = Resource("networking.istio.io", "v1", "destinationrules", "DestinationRule")
GATEWAYS = Resource("networking.istio.io", "v1", "gateways", "Gateway")
SERVICEENTRIES = Resource("networking.istio.io", "v1", "serviceentries", "ServiceEntry")
SIDECARS = Resource("networking.istio.io", "v1", "sidecars", "Sidecar")
# Istio itself serves EnvoyFilter under v1alpha3 only.
ENVOYFILTERS = Resource("networking.istio.io", "v1alpha3", "envoyfilters", "EnvoyFilter")
PEERAUTHENTICATIONS = Resource(
    "security.istio.io", "v1", "peerauthentications", "PeerAuthentication"
)
AUTHORIZATIONPOLICIES = Resource(
    "security.istio.io", "v1", "authorizationpolicies", "AuthorizationPolicy"
)
REQUESTAUTHENTICATIONS = Resource(
    "security.istio.io", "v1", "requestauthentications", "RequestAuthentication"
)


def timestamp() -> str:
    """Now, as Kubernetes writes it (UTC, whole seconds)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key_of(obj: Obj) -> tuple[str, str]:
    """``(namespace, name)`` of an object; the namespace is empty for cluster-wide kinds."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def event_body(about: Obj, name: str, namespace: str) -> Obj:
    """A core/v1 Event about an object, without its reason, message, type and source."""
    now = timestamp()
    metadata = about["metadata"]
    involved = {
        "apiVersion": about.get("apiVersion", ""),
        "kind": about.get("kind", ""),
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
    }
    return {
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {key: value for key, value in involved.items() if value},
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
    }
