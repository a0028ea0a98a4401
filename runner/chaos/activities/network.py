"""Traffic to or from a service's pods that is forbidden: a NetworkPolicy without any rule.

Who enforces it is the cluster's network: one without a plug-in for it takes the object and does
nothing. So this says only that the object is there; that connections failed is seen in the mesh's
metrics (:mod:`runner.signals.flags`).
"""

from __future__ import annotations

from typing import Final

from runner.chaos import owned
from runner.chaos.activities.around import activity
from runner.chaos.activities.holding import hold
from runner.chaos.activities.owning import place, placed, selector_of, tag_of
from runner.chaos.activities.shared import BY_HAND, connect, make_tag, subject_of
from runner.chaos.annotation import Tag, fault_key
from runner.chaos.budgets import selects
from runner.chaos.ceilings import check
from runner.chaos.client import Cluster, patiently
from runner.chaos.effects import record
from runner.chaos.kills import at_most
from runner.chaos.objects import NETWORK_POLICIES, PODS, Object
from runner.chaos.pods import candidates
from runner.errors import FaultError
from runner.model.labels import selector_text
from runner.model.target import Bounds

WAYS: Final = {"ingress": ["Ingress"], "egress": ["Egress"], "both": ["Ingress", "Egress"]}


@activity
def deny_network(
    *,
    service: str,
    namespace: str,
    direction: str = "ingress",
    max_pods: int | None = None,
    max_percent: float | None = None,
    min_healthy: int = 0,
    run: str = BY_HAND,
    fault: str = "",
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Forbid all traffic to (or from) the pods of ``service``, also those that start meanwhile.

    Args:
        service: Kubernetes Service, whose selector finds the pods.
        namespace: Its namespace.
        direction: ``ingress`` (to the pods), ``egress`` (from them, name lookups too) or ``both``.
        max_pods: Refuse to cut off more ready pods.
        max_percent: Refuse to cut off a larger share of them (0 to 100, rounded down). All of them
            are, so that less than 100 allows none.
        min_healthy: Refuse to leave fewer ready ones alone; from 1 on, that allows none.
        run: Id of the run; with ``fault``, the name under which it is found again.
        fault: Id of the fault in the run; ``network-deny-<service>`` by default.
        expires_at_wall_s: Unix time from which anybody may remove it; in an hour by default.
        owner: Who is responsible; user and host by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        The NetworkPolicy, and the ready pods that it selects, as ``pod/<name>``.
    """
    tag = make_tag(
        run,
        fault or f"network-deny-{service}",
        owner=owner,
        expires_at_wall_s=expires_at_wall_s,
        service=service,
        kind="network-deny",
    )
    cluster = connect(kubeconfig, context)
    labels = selector_of(cluster, namespace, service)
    bounds = at_most(max_pods, max_percent, min_healthy)
    names = _deniable(cluster, namespace, labels, service, direction, bounds=bounds)
    body = policy(namespace, tag, labels, direction)
    subject = place(cluster, NETWORK_POLICIES, body)
    record("injected", subject, f"{direction} of {', '.join(names)}", effects)
    return [subject, *names]


@activity
def network_can_be_denied(
    *,
    service: str,
    namespace: str,
    direction: str = "ingress",
    max_pods: int | None = None,
    max_percent: float | None = None,
    min_healthy: int = 0,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Whether ``service`` has ready pods whose traffic no other policy allows, and not too many."""
    cluster = connect(kubeconfig, context)
    labels = selector_of(cluster, namespace, service)
    bounds = at_most(max_pods, max_percent, min_healthy)
    _deniable(cluster, namespace, labels, service, direction, bounds=bounds)
    return True


@activity
def network_is_denied(
    *,
    namespace: str,
    fault: str,
    run: str = BY_HAND,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Whether the fault's NetworkPolicy, read back, is there and lets nothing pass."""
    there = _denial(connect(kubeconfig, context), namespace, run, fault)
    ways = " and ".join(there["spec"]["policyTypes"])
    subject = NETWORK_POLICIES.subject(there["metadata"]["name"])
    record("verified", subject, f"no rule for {ways}", effects)
    return True


@activity
def network_denial_holds(
    *,
    namespace: str,
    fault: str,
    until_wall_s: float,
    run: str = BY_HAND,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Wait until the Unix time ``until_wall_s`` and see that the NetworkPolicy stays in place.

    Fails at once when somebody takes it away before its end, or when it expires before that.
    """
    cluster = connect(kubeconfig, context)

    def look() -> list[Tag | None]:
        there = _denial(cluster, namespace, run, fault)
        return [tag_of(there, fault_key(run, fault))]

    hold(until_wall_s, look)
    return True


def policy(namespace: str, tag: Tag, labels: dict[str, str], direction: str) -> Object:
    """The NetworkPolicy that forbids all traffic of pods with ``labels`` in a direction.

    Raises:
        FaultError: For a direction that there is not.
    """
    spec = {"podSelector": {"matchLabels": labels}, "policyTypes": _ways(direction)}
    return owned.make(NETWORK_POLICIES, namespace, tag, {"spec": spec})


def _denial(cluster: Cluster, namespace: str, run: str, fault: str) -> Object:
    there = placed(cluster, NETWORK_POLICIES, namespace, run, fault)
    spec: Object = there.get("spec") or {}
    if spec.get("ingress") or spec.get("egress") or not spec.get("policyTypes"):
        name = there["metadata"]["name"]
        raise FaultError(f"{NETWORK_POLICIES.subject(name)} was changed, and lets something pass")
    return there


def _deniable(
    cluster: Cluster,
    namespace: str,
    labels: dict[str, str],
    service: str,
    direction: str,
    *,
    bounds: Bounds,
) -> list[str]:
    """The ready pods whose traffic can be forbidden.

    Raises:
        FaultError: When there are none, or more than ``bounds`` allow; or when a policy of the
            user's allows them something, which one more policy cannot take away: what a pod lets
            through is the sum of all of them.
    """
    wanted = selector_text(labels)
    ready = candidates(patiently(lambda: cluster.items(PODS, namespace, wanted)))
    if not ready:
        raise FaultError(
            f"{service} has no ready pod whose traffic could be forbidden",
            accepted="a Service with ready pods",
        )
    check(bounds, len(ready), len(ready), f"{service} has {len(ready)} ready pods, all cut off")
    for other in patiently(lambda: cluster.items(NETWORK_POLICIES, namespace)):
        spec = other.get("spec") or {}
        allows = any(spec.get(way.lower()) for way in _ways(direction))
        chosen = [pod["metadata"].get("labels") or {} for pod in ready]
        if allows and any(selects(spec.get("podSelector") or {}, one) for one in chosen):
            raise FaultError(
                f"{subject_of(other)} allows pods of {service} some traffic, and no other policy "
                "can take that away",
                accepted="pods that no NetworkPolicy with rules selects for this direction",
            )
    return [f"pod/{pod['metadata']['name']}" for pod in ready]


def _ways(direction: str) -> list[str]:
    if direction not in WAYS:
        raise FaultError(f"{direction!r} is no direction", accepted=", ".join(WAYS))
    return WAYS[direction]
