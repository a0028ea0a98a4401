"""The kinds of Kubernetes objects that faults read and change. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

ISTIO_GROUP = "networking.istio.io"
ISTIO_VERSIONS = ("v1", "v1beta1", "v1alpha3")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object, and where the API has it.

    Attributes:
        plural: Name in URLs.
        name: Name in objects, such as ``VirtualService``.
        group: API group; empty for the core group.
        versions: Versions that we can speak, the best one first.
        namespaced: Whether its objects live in namespaces.
    """

    plural: str
    name: str
    group: str = ""
    versions: tuple[str, ...] = ("v1",)
    namespaced: bool = True

    def subject(self, name: str) -> str:
        """``virtualservice/<name>``: how an object of this kind is called in records."""
        return f"{self.name.lower()}/{name}"


VIRTUAL_SERVICES = Kind("virtualservices", "VirtualService", ISTIO_GROUP, ISTIO_VERSIONS)
DESTINATION_RULES = Kind("destinationrules", "DestinationRule", ISTIO_GROUP, ISTIO_VERSIONS)
ENVOY_FILTERS = Kind("envoyfilters", "EnvoyFilter", ISTIO_GROUP, ISTIO_VERSIONS[::-1])
NETWORK_POLICIES = Kind("networkpolicies", "NetworkPolicy", "networking.k8s.io")
DEPLOYMENTS = Kind("deployments", "Deployment", "apps")
AUTOSCALERS = Kind(
    "horizontalpodautoscalers", "HorizontalPodAutoscaler", "autoscaling", ("v2", "v1")
)
BUDGETS = Kind("poddisruptionbudgets", "PodDisruptionBudget", "policy")
PODS = Kind("pods", "Pod")
SERVICES = Kind("services", "Service")
CONFIG_MAPS = Kind("configmaps", "ConfigMap")
NODES = Kind("nodes", "Node", namespaced=False)
LEASES = Kind("leases", "Lease", "coordination.k8s.io")
