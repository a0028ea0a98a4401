"""Nodes that take no new pods for a time, and pods that are evicted from them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from runner.chaos.activities.around import activity
from runner.chaos.activities.holding import hold
from runner.chaos.activities.placing import in_place, set_field
from runner.chaos.activities.shared import BY_HAND, connect, make_tag, subject_of
from runner.chaos.annotation import Tag, fault_key
from runner.chaos.carriers import UNSCHEDULABLE
from runner.chaos.client import ApiRefusalError, Cluster, patiently
from runner.chaos.drains import Drain
from runner.chaos.effects import log, record
from runner.chaos.fields import faults_on
from runner.chaos.kills import at_most, service_selector
from runner.chaos.nodes import chosen_node, evictable, is_cordoned, takes_pods
from runner.chaos.objects import NODES, PODS, Object
from runner.chaos.pods import is_leaving, is_ready
from runner.chaos.recovery import pause_after
from runner.errors import FaultError


@activity
def cordon_node(
    *,
    namespace: str,
    node: str = "",
    service: str = "",
    selector: str = "",
    seed: int = 0,
    kind: str = "cordon",
    run: str = BY_HAND,
    fault: str = "",
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> str:
    """Let a node take no new pods; what was before is written onto it in the same request.

    The way back is ``remove_fault`` with ``kinds: [nodes]``, or ``seatrial heal``.

    Args:
        namespace: Where the pods of the service are.
        node: Name of the node; by default one that holds a ready pod of the service.
        service: The service whose pods' nodes are drawn from when ``node`` is empty.
        selector: Label selector of those pods; the Service's own by default.
        seed: Seed of the draw.
        kind: What this is a part of, for people: ``cordon`` or ``drain``.
        run: Id of the run; with ``fault``, the name under which it is found again.
        fault: Id of the fault in the run; ``cordon-<service or node>`` by default.
        expires_at_wall_s: Unix time from which anybody may remove it; in an hour by default.
        owner: Who is responsible; user and host by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        The node, as ``node/<name>``.
    """
    cluster = connect(kubeconfig, context)
    found = _meant(cluster, namespace, node, service=service, selector=selector, seed=seed)
    tag = make_tag(
        run,
        fault or f"{kind}-{service or node}",
        owner=owner,
        expires_at_wall_s=expires_at_wall_s,
        service=service,
        kind=kind,
    )
    return subject_of(
        set_field(cluster, NODES, found, tag, path=UNSCHEDULABLE, value=True, effects=effects)
    )


@activity
def node_can_be_cordoned(
    *,
    namespace: str,
    node: str = "",
    service: str = "",
    selector: str = "",
    seed: int = 0,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Whether the node is there and takes pods; arguments are those of :func:`cordon_node`."""
    cluster = connect(kubeconfig, context)
    _meant(cluster, namespace, node, service=service, selector=selector, seed=seed)
    return True


@activity
def node_can_be_drained(
    *,
    namespace: str,
    node: str = "",
    service: str = "",
    selector: str = "",
    pods: str = "",
    last_node: bool = False,
    seed: int = 0,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Whether the node takes pods, has any to evict, and another node would take them.

    Args:
        namespace: Where the pods are.
        node: As for :func:`cordon_node`, like ``service``, ``selector`` and ``seed``.
        service: See there.
        selector: See there.
        pods: Label selector of the pods to evict; all of the namespace by default.
        last_node: Go ahead although no other node takes pods: those that are evicted stay away
            until the node takes pods again.
        seed: See there.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
    """
    cluster = connect(kubeconfig, context)
    found = _meant(cluster, namespace, node, service=service, selector=selector, seed=seed)
    name = found["metadata"]["name"]
    all_pods = patiently(lambda: cluster.items(PODS, namespace, pods))
    if not evictable(all_pods, name):
        which = f" with {pods}" if pods else ""
        raise FaultError(f"node/{name} holds no pod of {namespace}{which} that could be evicted")
    if not last_node and not takes_pods(patiently(lambda: cluster.items(NODES, None)), name):
        raise FaultError(
            f"no other node than node/{name} takes pods: whatever is evicted would stay away",
            accepted="last_node: true, to do it all the same; or another node that takes pods",
        )
    return True


@activity
def node_is_cordoned(
    *,
    namespace: str = "",
    fault: str,
    run: str = BY_HAND,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Whether a node, read back, carries the fault and takes no new pods."""
    del namespace  # Nodes have none; all probes are asked with one.
    obj, _ = in_place(connect(kubeconfig, context), NODES, "", fault_key(run, fault), UNSCHEDULABLE)
    record("verified", subject_of(obj), "unschedulable", effects)
    return True


@activity
def cordon_holds(
    *,
    namespace: str = "",
    fault: str,
    until_wall_s: float,
    run: str = BY_HAND,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Wait until the Unix time ``until_wall_s`` and see that the node stays cordoned.

    Fails at once when somebody uncordons it, or takes the fault away.
    """
    del namespace
    cluster, key = connect(kubeconfig, context), fault_key(run, fault)

    def look() -> list[Tag]:
        return [in_place(cluster, NODES, "", key, UNSCHEDULABLE)[1]]

    hold(until_wall_s, look)
    return True


@activity
def evict_pods(
    *,
    namespace: str,
    node: str = "",
    selector: str = "",
    until_wall_s: float | None = None,
    grace_period_s: float | None = None,
    max_pods: int | None = None,
    max_percent: float | None = None,
    min_healthy: int = 0,
    run: str = BY_HAND,
    fault: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> dict[str, Any]:
    """Evict the pods of a namespace from a node, and watch until as many are ready elsewhere.

    Never pods of a DaemonSet, of a kubelet's own files, without a controller, or that have ended.
    A PodDisruptionBudget that forbids an eviction is asked again until the time is over; a pod that
    it has held until then is on record as ``skipped``, with what the API server said.

    Args:
        namespace: Where.
        node: Name of the node; the one that carries the cordon of ``run`` and ``fault`` by default.
        selector: Label selector of the pods; all of the namespace by default.
        until_wall_s: Unix time until which to try, and to watch; one attempt by default.
        grace_period_s: Grace of each pod, in whole seconds; each pod's own by default.
        max_pods: Evict no more ready pods of any service; as many as may go do.
        max_percent: Evict no larger share of them (0 to 100, rounded down).
        min_healthy: Leave at least so many ready pods of each service, on whatever node. Who stays
            because of a bound is on record as ``skipped``, and is not waited for.
        run: Id of the run of the cordon.
        fault: Id of the cordon in it.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        ``{"node": name, "evicted": [names], "left": {name: reason}, "recovered_after_s": …}``;
        the last is None when fewer are ready than before, at the end.

    Raises:
        FaultError: When there is nothing to evict, or nothing could be.
    """
    cluster = connect(kubeconfig, context)
    key = "" if node else fault_key(run, fault)
    drain = Drain(
        cluster,
        namespace,
        node or _cordoned_by(cluster, key),
        selector=selector,
        grace_s=grace_period_s,
        effects=effects,
        bounds=at_most(max_pods, max_percent, min_healthy),
        still=partial(in_place, cluster, NODES, "", key, UNSCHEDULABLE) if key else None,
    )
    return drain.run(time.time() if until_wall_s is None else until_wall_s)


@activity
def watch_pods(
    *,
    namespace: str,
    until_wall_s: float,
    selector: str = "",
    not_before_wall_s: float = 0.0,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> float | None:
    """Watch until every pod of a namespace is ready; that is on record as ``ready``.

    Args:
        namespace: Where.
        until_wall_s: Unix time until which to watch.
        selector: Label selector of the pods; all of the namespace by default.
        not_before_wall_s: Before this Unix time nobody watches: a fault that is cut short has to
            be undone, and nothing else.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        Seconds until they were; None when they were not in time, which is a finding, no failure.
    """
    begun_s = time.time()
    if begun_s < not_before_wall_s:
        return None
    cluster = connect(kubeconfig, context)
    while True:
        try:
            pods = [p for p in cluster.items(PODS, namespace, selector) if not is_leaving(p)]
            if pods and all(map(is_ready, pods)):
                break
        except ApiRefusalError as error:
            if not error.transient:
                raise
            log.warning("cannot see the pods: %s", error.message)
        if (left_s := until_wall_s - time.time()) <= 0:
            return None
        time.sleep(min(pause_after(time.time() - begun_s), left_s))
    took_s = time.time() - begun_s
    detail = f"all {len(pods)} pods ready, {took_s:.2f} s after the fault"
    record("ready", f"pods/{selector or namespace}", detail, effects)
    return round(took_s, 3)


def _meant(
    cluster: Cluster, namespace: str, node: str, *, service: str, selector: str, seed: int
) -> Object:
    """The node that is named, or drawn, if a cordon changes it.

    Raises:
        FaultError: When there is no such node, or it takes no pods already.
    """
    nodes = {obj["metadata"]["name"]: obj for obj in patiently(lambda: cluster.items(NODES, None))}
    if not node:
        wanted = selector or service_selector(cluster, namespace, service)
        pods = patiently(lambda: cluster.items(PODS, namespace, wanted))
        node = chosen_node(pods, nodes, seed)
        log.info("node %s, drawn with seed %s", node, seed)
    if node not in nodes:
        raise FaultError(f"there is no node/{node}", accepted=", ".join(sorted(nodes)) or "none")
    found: Object = nodes[node]
    # A cordon of ours may be stacked on another one: the node is free when the last one ends.
    if is_cordoned(found) and not faults_on(found):
        raise FaultError(
            f"node/{node} takes no pods already: somebody has cordoned it, nothing would change",
            hint=f"kubectl uncordon {node}",
        )
    return found


def _cordoned_by(cluster: Cluster, key: str) -> str:
    nodes = patiently(lambda: cluster.items(NODES, None))
    for obj in nodes:
        if key in faults_on(obj):
            return str(obj["metadata"]["name"])
    raise FaultError(
        f"no node carries {key}", accepted="a node by name, or run and fault of a cordon"
    )
