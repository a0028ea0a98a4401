"""Nodes as data: which one is disturbed, and which pods a drain takes away from it. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from runner.chaos.objects import Object
from runner.chaos.pods import candidates, is_leaving
from runner.errors import FaultError

MIRROR = "kubernetes.io/config.mirror"
"""The annotation of a pod that a kubelet runs from a file: nobody can evict it."""


def is_cordoned(node: Object) -> bool:
    """Whether the node takes no new pods."""
    return bool((node.get("spec") or {}).get("unschedulable"))


def is_node_ready(node: Object) -> bool:
    """Whether the node's kubelet says that it is ready."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def takes_pods(nodes: Iterable[Object], but: str) -> list[str]:
    """Names of the nodes other than ``but`` that take new pods: ready, and not cordoned.

    Taints, affinities and free room are not looked at.
    """
    return sorted(
        str(node["metadata"]["name"])
        for node in nodes
        if node["metadata"]["name"] != but and is_node_ready(node) and not is_cordoned(node)
    )


def node_of(pod: Object) -> str:
    """Name of the pod's node; empty while it has none."""
    return str((pod.get("spec") or {}).get("nodeName") or "")


def chosen_node(pods: Iterable[Object], nodes: Mapping[str, Object], seed: int) -> str:
    """A node that holds a ready one of ``pods`` and is not cordoned, drawn with ``seed``.

    Args:
        pods: Those of the service.
        nodes: All nodes by name.
        seed: Seed of the draw, from the names in order.

    Raises:
        FaultError: When there is none.
    """
    holding = {node_of(pod) for pod in candidates(pods)} & nodes.keys()
    free = sorted(name for name in holding if not is_cordoned(nodes[name]))
    if not free:
        where = f": {', '.join(sorted(holding))} cordoned already" if holding else ""
        raise FaultError(
            f"no node that takes pods holds a ready pod of the service{where}",
            accepted="a node by name, or a service with ready pods",
        )
    return random.Random(seed).choice(free)  # noqa: S311 - a repeatable draw is the point


def on_node(pods: Iterable[Object], node: str) -> list[Object]:
    """The pods that a drain of ``node`` is about, in the order of their names.

    As with ``kubectl drain``: not those of a DaemonSet, which would be back at once on the same
    node, not those that a kubelet runs from a file, not those that have ended or are leaving.
    """
    found = [
        pod
        for pod in pods
        if node_of(pod) == node
        and not is_leaving(pod)
        and MIRROR not in (pod["metadata"].get("annotations") or {})
        and _owner(pod) != "DaemonSet"
    ]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def why_not_evicted(pod: Object) -> str:
    """Why a pod must stay, as a sentence; empty for one that somebody will replace."""
    if _owner(pod):
        return ""
    return f"pod/{pod['metadata']['name']} has no controller, so nobody would replace it"


def evictable(pods: Iterable[Object], node: str) -> list[Object]:
    """The pods on ``node`` that a drain takes away from it."""
    return [pod for pod in on_node(pods, node) if not why_not_evicted(pod)]


def _owner(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(o.get("kind", "")) for o in owners if o.get("controller", True)), "")
