"""A plan held against the bounds of a target: how many pods of which service does it hit? Pure.

Pods are counted that are ready now; a share is rounded down, so that a bound is never exceeded. The
hits of faults that are in effect at the same time are added up, service by service. Faults in the
callers' proxies hit requests and no pods; activities of other people cannot be counted at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.model.fault import (
    ChaosToolkit,
    Cordon,
    Drain,
    Fault,
    HttpAbort,
    HttpDelay,
    NetworkDeny,
    PodKill,
    RolloutRestart,
    Scale,
)
from runner.model.labels import matches, selector_text
from runner.model.plan import Plan, PlannedFault
from runner.model.podcount import pods_meant
from runner.model.target import Bounds

Object = Mapping[str, Any]
DEFAULT_MAX_UNAVAILABLE = "25%"


@dataclass(frozen=True, slots=True)
class World:
    """What there is in the namespace, as it was read."""

    services: Sequence[Object]
    pods: Sequence[Object]
    deployments: Sequence[Object]

    def selector(self, service: str) -> str:
        """The selector of a Service as text; empty when there is none."""
        for one in self.services:
            if one["metadata"]["name"] == service:
                return selector_text((one.get("spec") or {}).get("selector") or {})
        return ""

    def ready(self, selector: str) -> list[Object]:
        """The ready pods that ``selector`` finds; none for an empty one."""
        return [
            pod
            for pod in self.pods
            if selector
            and matches(selector, pod["metadata"].get("labels") or {})
            and _is_ready(pod)
        ]

    def deployment(self, name: str) -> Object:
        for one in self.deployments:
            if one["metadata"]["name"] == name:
                return one
        return {}


def violations(plan: Plan, world: World, bounds: Bounds, *, nodes: bool) -> list[str]:
    """Reasons why ``plan`` breaks more than ``bounds`` allow; empty when it does not.

    Args:
        plan: The plan.
        world: The target's objects now.
        bounds: What may be broken at a time.
        nodes: Whether nodes may be touched where the bounds do not say.
    """
    found = []
    for planned in plan.faults:
        sentence = _forbidden(planned.fault, bounds, nodes=nodes)
        found += [f"{planned.id}: {sentence}"] if sentence else []
        if not sentence:  # How much of what is forbidden would be too much says nothing.
            found += _too_many(planned, plan, world, bounds)
    return found


def _forbidden(fault: Fault, bounds: Bounds, *, nodes: bool) -> str:
    allowed = bounds.allow_nodes if bounds.allow_nodes is not None else nodes
    if bounds.kinds is not None and fault.kind not in bounds.kinds:
        kinds = ", ".join(bounds.kinds) or "none"
        return f"the bounds of this target allow no {fault.kind}; they allow: {kinds}"
    if isinstance(fault, Cordon | Drain) and not allowed:
        return (
            "this target's nodes may not be touched; who may allow it writes "
            "`bounds: {allow_nodes: true}` into seatrial.yaml"
        )
    if isinstance(fault, ChaosToolkit) and bounds.counts_pods and bounds.kinds is None:
        return (
            "nobody can count what activities of other people hit, and this target bounds the "
            "number of pods; to allow it all the same, name chaostoolkit in `bounds: {kinds: […]}`"
        )
    return ""


def _too_many(planned: PlannedFault, plan: Plan, world: World, bounds: Bounds) -> list[str]:
    """What is too much from the start of ``planned`` on, with what is in effect then."""
    others = [
        other
        for other in plan.faults
        if other is not planned and other.start_s <= planned.start_s < other.end_s
    ]
    sentences = []
    for service, hit in hits(planned.fault, world).items():
        # A selector of the fault's own may find other pods than the Service's, and more.
        selectors = (world.selector(service), _selector_of(planned.fault))
        ready = max(len(world.ready(selector)) for selector in selectors)
        beside = [o for o in others if hits(o.fault, world).get(service)]
        total = min(ready, hit + sum(hits(o.fault, world)[service] for o in beside))
        most = bounds.most_of(ready)
        if total > most:
            with_them = f" together with {', '.join(o.id for o in beside)}" if beside else ""
            sentences.append(
                f"{planned.id}: hits {total} of {ready} ready pods of {service}{with_them}; "
                f"{why_at_most(bounds, ready)}"
            )
    return sentences


def why_at_most(bounds: Bounds, ready: int) -> str:
    """How many of ``ready`` pods ``bounds`` allow, and which of them says so."""
    most = bounds.most_of(ready)
    reasons = []
    if bounds.max_pods == most:
        reasons.append(f"max_pods: {bounds.max_pods}")
    if bounds.max_percent is not None:
        share = math.floor(ready * bounds.max_percent / 100.0 + 1e-9)
        if share == most:
            reasons.append(f"max_percent: {bounds.max_percent:g}% of {ready}, rounded down")
    if max(0, ready - bounds.min_healthy) == most and bounds.min_healthy:
        reasons.append(f"min_healthy: {bounds.min_healthy}")
    return f"the bounds of this target allow {most} ({'; '.join(reasons)})"


def hits(fault: Fault, world: World) -> dict[str, int]:
    """How many ready pods of which service ``fault`` takes away or disturbs at a time."""
    ready = world.ready(_selector_of(fault) or world.selector(fault.service))
    match fault:
        case PodKill():
            hit = pods_meant(fault.count, len(ready))
        case HttpDelay() | HttpAbort():
            if fault.side == "client":
                return {}
            hit = len(ready) if fault.count is None else pods_meant(fault.count, len(ready))
        case NetworkDeny():
            hit = len(ready)
        case Scale():
            spec = world.deployment(fault.of).get("spec") or {}
            hit = max(0, int(spec.get("replicas", len(ready))) - fault.replicas)
        case RolloutRestart():
            hit = _unavailable(world.deployment(fault.of), len(ready))
        case Drain():
            return _drained(fault, world)
        case _:
            return {}
    return {fault.service: hit} if hit else {}


def _selector_of(fault: Fault) -> str:
    return (fault.selector or "") if isinstance(fault, PodKill) else ""


def _unavailable(deployment: Object, ready: int) -> int:
    """How many pods a rollout takes away at a time, as the Deployment controller rounds it."""
    strategy = (deployment.get("spec") or {}).get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return ready
    rolling = strategy.get("rollingUpdate") or {}
    most = rolling.get("maxUnavailable", DEFAULT_MAX_UNAVAILABLE)
    if isinstance(most, str):
        replicas = int((deployment.get("spec") or {}).get("replicas", ready))
        return math.floor(replicas * float(most.rstrip("%")) / 100.0)
    return int(most)


def _drained(fault: Drain, world: World) -> dict[str, int]:
    """Pods by service on the node; on the one with most of them, where none is named."""
    found: dict[str, int] = {}
    for service in world.services:
        name = service["metadata"]["name"]
        by_node: dict[str, int] = {}
        for pod in world.ready(world.selector(name)):
            labels = pod["metadata"].get("labels") or {}
            if fault.selector is None or matches(fault.selector, labels):
                node = str((pod.get("spec") or {}).get("nodeName") or "")
                by_node[node] = by_node.get(node, 0) + 1
        most = by_node.get(fault.node, 0) if fault.node else max(by_node.values(), default=0)
        if most:
            found[name] = most
    return found


def _is_ready(pod: Object) -> bool:
    status = pod.get("status") or {}
    ready = any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
    return ready and "deletionTimestamp" not in pod["metadata"]
