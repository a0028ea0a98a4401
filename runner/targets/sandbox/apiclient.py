"""The client side of the Kubernetes API, in one place to import from.

``ApiClient`` sends requests, ``Informer`` keeps a local copy of a kind, and the constants name the
kinds. All of it works with the embedded API server and with a real one alike.
"""

from __future__ import annotations

from runner.targets.sandbox.apiobjects import (
    AUTHORIZATIONPOLICIES,
    CONFIGMAPS,
    DEPLOYMENTS,
    DESTINATIONRULES,
    ENDPOINTS,
    ENVOYFILTERS,
    EVENTS,
    GATEWAYS,
    HPAS,
    LEASES,
    NAMESPACES,
    NETWORKPOLICIES,
    NODES,
    PDBS,
    PEERAUTHENTICATIONS,
    PODS,
    REPLICASETS,
    REQUESTAUTHENTICATIONS,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICEENTRIES,
    SERVICES,
    SIDECARS,
    STATEFULSETS,
    VIRTUALSERVICES,
    Obj,
    Resource,
    key_of,
    timestamp,
)
from runner.targets.sandbox.apirequests import ApiClient, ApiError, PatchKind
from runner.targets.sandbox.informer import Informer

__all__ = [
    "AUTHORIZATIONPOLICIES",
    "CONFIGMAPS",
    "DEPLOYMENTS",
    "DESTINATIONRULES",
    "ENDPOINTS",
    "ENVOYFILTERS",
    "EVENTS",
    "GATEWAYS",
    "HPAS",
    "LEASES",
    "NAMESPACES",
    "NETWORKPOLICIES",
    "NODES",
    "PDBS",
    "PEERAUTHENTICATIONS",
    "PODS",
    "REPLICASETS",
    "REQUESTAUTHENTICATIONS",
    "SECRETS",
    "SERVICEACCOUNTS",
    "SERVICEENTRIES",
    "SERVICES",
    "SIDECARS",
    "STATEFULSETS",
    "VIRTUALSERVICES",
    "ApiClient",
    "ApiError",
    "Informer",
    "Obj",
    "PatchKind",
    "Resource",
    "key_of",
    "timestamp",
]
