"""NetworkPolicies without a rule: pods that nobody reaches, or that reach nobody. Pure.

A pod that a policy selects for a direction lets through only what some policy allows, so one
without rules allows nothing. Rules themselves are not honoured, and reported: a pod with any is
left alone, because to refuse what they allow would be worse than to let pass what they do not.

Who sends to a denied pod, or from one, finds a port on which nobody listens: the connection is
refused at once (a real network mostly drops it, and the caller waits). The kubelet looks at pods
past the mesh, as in a cluster, so they stay ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from runner.targets.sandbox.mesh.model import Object, UnsupportedField, ref_of
from runner.targets.sandbox.mesh.registry import Pod

NOBODY_LISTENS = 1
"""A port of every pod's address that is always closed."""
_WAYS = {"Ingress": "ingress", "Egress": "egress"}


class Denials(NamedTuple):
    """Addresses of pods that nobody reaches, and of pods that reach nobody."""

    unreachable: frozenset[str] = frozenset()
    confined: frozenset[str] = frozenset()


def denials(
    policies: Iterable[Object], pods: Iterable[Pod]
) -> tuple[Denials, list[UnsupportedField]]:
    """What the policies forbid to ``pods``, and which of their fields have no effect."""
    unused: list[UnsupportedField] = []
    selected: dict[tuple[str, bool], set[str]] = {}
    pods = list(pods)
    for policy in policies:
        spec: Mapping[str, Any] = policy.get("spec") or {}
        namespace = (policy.get("metadata") or {}).get("namespace", "")
        chosen = {
            pod.address
            for pod in pods
            if pod.namespace == namespace and _selects(spec.get("podSelector") or {}, pod.labels)
        }
        for way in spec.get("policyTypes") or (
            "Ingress",
            *(["Egress"] if "egress" in spec else []),
        ):
            field = _WAYS.get(way, "")
            selected.setdefault((field, bool(spec.get(field))), set()).update(chosen)
            if spec.get(field):
                reason = "the sandbox honours only policies without rules"
                unused.append(UnsupportedField(ref_of(policy), f"spec.{field}", reason))

    def denied(field: str) -> frozenset[str]:
        return frozenset(selected.get((field, False), set()) - selected.get((field, True), set()))

    return Denials(denied("ingress"), denied("egress")), unused


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    equal = selector.get("matchLabels") or {}
    return all(labels.get(name) == value for name, value in equal.items()) and all(
        _meets(rule, labels) for rule in selector.get("matchExpressions") or ()
    )


def _meets(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(rule.get("key", "")), rule.get("values") or ()
    return {
        "In": value is not None and value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(rule.get("operator", ""), False)
