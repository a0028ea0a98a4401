"""DestinationRules: which one holds for a host, and the policy of each subset and port. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.targets.sandbox.mesh.model import ObjectRef, UnsupportedField
from runner.targets.sandbox.mesh.parsed import Parsed
from runner.targets.sandbox.mesh.registry import Registry

_COMPONENTS = ("connectionPool", "outlierDetection", "loadBalancer")


@dataclass(frozen=True, slots=True)
class Rule:
    """What all DestinationRules of one host say together.

    Attributes:
        policy: The host's traffic policy, empty when none is given.
        subsets: Subset name → its labels and traffic policy, as in the object.
    """

    policy: Mapping[str, Any]
    subsets: Mapping[str, Mapping[str, Any]]


NO_RULE = Rule({}, {})


def collect_rules(
    objects: Iterable[Parsed], registry: Registry
) -> tuple[dict[str, Rule], list[UnsupportedField]]:
    """The rule of each host, and what is not used of the objects.

    Several DestinationRules of one host are merged as Istio does: the oldest one with a
    ``trafficPolicy`` gives it, and subsets are added in order of age, the first of a name winning.
    """
    rules: dict[str, Rule] = {}
    owners: dict[str, ObjectRef] = {}
    unused: list[UnsupportedField] = []
    for item in objects:
        host = item.spec.get("host", "")
        service = registry.find(host, item.ref.namespace)
        if service is None:
            unused.append(UnsupportedField(item.ref, "spec.host", f"no service {host!r} here"))
            continue
        known = rules.get(service.host, NO_RULE)
        policy = item.spec.get("trafficPolicy") or {}
        if policy and known.policy:
            reason = f"{owners[service.host]} is older and gives the host's policy"
            unused.append(UnsupportedField(item.ref, "spec.trafficPolicy", reason))
        subsets = dict(known.subsets)
        for position, subset in enumerate(item.spec.get("subsets") or []):
            name = (subset or {}).get("name", "")
            if not name or name in subsets:
                reason = "a subset needs a name of its own" if not name else "defined already"
                path = f"spec.subsets[{position}]"
                unused.append(UnsupportedField(item.ref, path, reason))
                continue
            subsets[name] = subset
        rules[service.host] = Rule(known.policy or policy, subsets)
        if policy:
            owners.setdefault(service.host, item.ref)
    return rules, unused


def effective_policy(rule: Rule, subset: str, port: int) -> dict[str, Any]:
    """The traffic policy of one cluster: connectionPool, outlierDetection, loadBalancer.

    A subset's components replace the host's one by one. Settings for a port replace everything
    above them, and what they leave out takes its default (Istio: they do not inherit).
    """
    merged: dict[str, Any] = {}
    layers = [rule.policy]
    if subset:
        layers.append((rule.subsets.get(subset) or {}).get("trafficPolicy") or {})
    for layer in layers:
        merged |= {name: layer[name] for name in _COMPONENTS if name in layer}
        for setting in layer.get("portLevelSettings") or []:
            if setting and (setting.get("port") or {}).get("number") == port:
                merged = {name: setting[name] for name in _COMPONENTS if name in setting}
    return merged
