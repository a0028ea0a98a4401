"""Which rights a run takes on a cluster: one table, for the questions before a run and for Roles.

A test plays every kind of fault and holds what it asks for against this table. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runner.model.fault import (
    Cordon,
    Drain,
    Fault,
    HttpAbort,
    HttpDelay,
    PodKill,
)
from runner.model.plan import Plan

ISTIO: Final = "networking.istio.io"
_SECURITY: Final = "security.istio.io"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource.

    Attributes:
        group: API group; empty for the core group.
        resource: Plural, with its subresource, such as ``pods/eviction``.
        namespaced: Whether a Role of the namespace can grant it.
    """

    group: str
    resource: str
    verb: str
    namespaced: bool = True

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")


def _rights(group: str, resource: str, verbs: str, *, namespaced: bool = True) -> tuple[Right, ...]:
    return tuple(Right(group, resource, verb, namespaced) for verb in verbs.split())


LOOK: Final = (
    *_rights("", "pods", "list"),
    *_rights("", "services", "list"),
    *_rights("", "endpoints", "list"),
    *_rights("apps", "deployments", "list"),
    *_rights(ISTIO, "virtualservices", "list"),
    *_rights(ISTIO, "destinationrules", "list"),
    *_rights(ISTIO, "gateways", "list"),
    *_rights(ISTIO, "envoyfilters", "list"),
    # Of its own namespace, which a Role there can grant.
    *_rights("", "namespaces", "get"),
)
"""What every run looks at."""

LOOK_MORE: Final = (
    *_rights("autoscaling", "horizontalpodautoscalers", "list"),
    *_rights("networking.k8s.io", "networkpolicies", "list"),
    *_rights("", "configmaps", "list"),
    *_rights(ISTIO, "serviceentries", "list"),
    *_rights(_SECURITY, "authorizationpolicies", "list"),
    *_rights(_SECURITY, "requestauthentications", "list"),
    *_rights(_SECURITY, "peerauthentications", "list"),
)
"""What a run can do without: less is known then."""

HOLD: Final = (
    *_rights("coordination.k8s.io", "leases", "get create update delete"),
    *_rights("", "configmaps", "get"),
)
"""The Lease of a run, and the switch that stops it: without them, rivals are not noticed."""

_BUDGETS: Final = _rights("policy", "poddisruptionbudgets", "list")
_OWNED: Final = "list get create delete"
_NODES: Final = _rights("", "nodes", "list get update", namespaced=False)
_PODS_OF_SERVICE: Final = (*_rights("", "services", "get"), *_rights("", "pods", "list"))

OF_KIND: Final[dict[str, tuple[Right, ...]]] = {
    "pod-kill": (*_PODS_OF_SERVICE, *_rights("", "pods", "delete"), *_BUDGETS),
    "http-delay": _rights(ISTIO, "virtualservices", "list get update"),
    "http-abort": _rights(ISTIO, "virtualservices", "list get update"),
    "scale": (
        *_rights("apps", "deployments", "list get update"),
        *_rights("autoscaling", "horizontalpodautoscalers", "list"),
    ),
    "rollout-restart": (
        *_rights("apps", "deployments", "get update"),
        *_rights("", "pods", "list"),
    ),
    "cordon": (*_NODES, *_PODS_OF_SERVICE),
    "drain": (*_NODES, *_PODS_OF_SERVICE, *_rights("", "pods/eviction", "create")),
    "network-deny": (
        *_PODS_OF_SERVICE,
        *_rights("networking.k8s.io", "networkpolicies", _OWNED),
    ),
    "chaostoolkit": _rights("", "configmaps", "list create delete"),
}
"""Kind of fault to the rights that inject it, look at it and undo it."""

SERVER_SIDE: Final = (*_PODS_OF_SERVICE, *_rights(ISTIO, "envoyfilters", _OWNED))
"""Instead of the kind's own, where an HTTP fault is on the server side."""

OF_SOME_PODS: Final = _rights("", "pods", "get update")
"""Beside :data:`SERVER_SIDE`, where it is in front of some of the pods: they get a label."""


def rights_of(fault: Fault) -> tuple[Right, ...]:
    """The rights that ``fault`` takes, in order, each once."""
    if isinstance(fault, HttpDelay | HttpAbort) and fault.side == "server":
        return _once((*SERVER_SIDE, *(OF_SOME_PODS if fault.count is not None else ())))
    found = OF_KIND[fault.kind]
    if isinstance(fault, PodKill) and fault.selector is not None:
        found = tuple(right for right in found if right.resource != "services")
    if isinstance(fault, Cordon | Drain) and fault.node is not None:
        unneeded = {"services"} if isinstance(fault, Drain) else {"services", "pods"}
        found = tuple(right for right in found if right.resource not in unneeded)
    return _once(found)


def rights_needed(plan: Plan) -> tuple[Right, ...]:
    """The rights without which the faults of ``plan`` cannot be carried out and undone."""
    return _once(right for one in plan.faults for right in rights_of(one.fault))


def all_rights(plan: Plan | None = None) -> tuple[Right, ...]:
    """Everything that a run of ``plan`` (of any plan, when None) may make use of."""
    of_kinds = (right for rights in OF_KIND.values() for right in rights)
    every = (*of_kinds, *SERVER_SIDE, *OF_SOME_PODS)
    of_faults = every if plan is None else rights_needed(plan)
    return _once((*LOOK, *LOOK_MORE, *HOLD, *of_faults))


def _once(rights: Iterable[Right]) -> tuple[Right, ...]:
    return tuple(sorted(set(rights)))


def roles_text(rights: Iterable[Right], namespace: str, name: str = "seatrial") -> str:
    """YAML of the least Role (and ClusterRole, if one is needed) that grants ``rights``."""
    kept = _once(rights)
    inside = [right for right in kept if right.namespaced]
    outside = [right for right in kept if not right.namespaced]
    documents = [_role("Role", f"{name}\n  namespace: {namespace}", inside)] if inside else []
    if outside:
        documents.append(_role("ClusterRole", f"{name}-{namespace}", outside))
    return "---\n".join(documents)


def _role(kind: str, name: str, rights: Iterable[Right]) -> str:
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        verbs.setdefault((right.group, right.resource), []).append(right.verb)
    # What has the same verbs in the same group is one rule, as people write them.
    rules: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), found in verbs.items():
        rules.setdefault((group, tuple(found)), []).append(resource)
    lines = [
        "apiVersion: rbac.authorization.k8s.io/v1",
        f"kind: {kind}",
        "metadata:",
        f"  name: {name}",
        "rules:",
    ]
    for (group, found_verbs), resources in rules.items():
        group_text = group or '""'
        lines += [
            f"- apiGroups: [{group_text}]",
            f"  resources: [{', '.join(resources)}]",
            f"  verbs: [{', '.join(found_verbs)}]",
        ]
    return "\n".join(lines) + "\n"
