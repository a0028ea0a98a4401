"""What a Deployment and a ReplicaSet should do next: pure decisions, as Kubernetes takes them.

The rules are those of Kubernetes' deployment and replicaset controllers (rolling update: surge
rounds up, unavailable rounds down, new pods before old ones, unhealthy old ones first). Left out
on purpose: proportional scaling in the middle of a rollout, and the adoption of orphans.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from runner.targets.sandbox.pods import (
    HASH_LABEL,
    REVISION,
    is_active,
    is_available,
    is_ready,
    owner_reference,
    seconds_of,
    template_hash,
)

Object = Mapping[str, Any]

CHANGE_CAUSE: Final = "kubernetes.io/change-cause"
DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
DEFAULT_HISTORY: Final = 10


class CreateReplicaSet(NamedTuple):
    body: dict[str, Any]


class ScaleReplicaSet(NamedTuple):
    name: str
    replicas: int


class SetRevision(NamedTuple):
    """Mark a ReplicaSet (a new one, or one that a rollback took up again) as the newest."""

    name: str
    revision: int


class DeleteReplicaSet(NamedTuple):
    name: str


Action = CreateReplicaSet | ScaleReplicaSet | SetRevision | DeleteReplicaSet


class Limits(NamedTuple):
    """How far a rolling update may stray from the wanted number of pods."""

    surge: int
    unavailable: int


def limits(deployment: Object) -> Limits:
    """``maxSurge`` (percentages round up) and ``maxUnavailable`` (round down); 25 % by default."""
    strategy = deployment["spec"].get("strategy") or {}
    replicas = wanted(deployment)
    if strategy.get("type") == "Recreate":
        return Limits(0, replicas)
    rolling = strategy.get("rollingUpdate") or {}
    surge = math.ceil(_share(rolling.get("maxSurge", "25%"), replicas))
    unavailable = math.floor(_share(rolling.get("maxUnavailable", "25%"), replicas))
    if surge == 0 and unavailable == 0:
        unavailable = 1  # as Kubernetes does: with neither nothing could ever move
    return Limits(surge, min(unavailable, replicas))


def _share(value: object, replicas: int) -> float:
    text = str(value)
    if text.endswith("%"):
        # Whole numbers first: 0.07 * 100 in floating point would round up to 8.
        return int(text[:-1]) * replicas / 100
    return float(int(text))


def wanted(scalable: Object) -> int:
    """``spec.replicas`` of a Deployment or ReplicaSet; 1 when it is not stated."""
    value = scalable["spec"].get("replicas")
    return 1 if value is None else int(value)


def newest(deployment: Object, replicasets: Sequence[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's present template; None before it is made."""
    digest = template_hash(deployment["spec"]["template"])
    for each in replicasets:
        if (each["metadata"].get("labels") or {}).get(HASH_LABEL) == digest:
            return each
    return None


def plan_rollout(deployment: Object, replicasets: Sequence[Object]) -> list[Action]:
    """What has to be done now to bring a Deployment nearer to what it asks for.

    Args:
        deployment: The Deployment.
        replicasets: Those that it controls, oldest first, with their status.

    Returns:
        The next step only; the plan is made again when it has shown its effect.
    """
    if deployment["metadata"].get("deletionTimestamp"):
        return []
    new = newest(deployment, replicasets)
    if deployment["spec"].get("paused"):
        return _plan_paused(deployment, replicasets)
    if new is None:
        return [CreateReplicaSet(_new_replicaset(deployment, replicasets))]
    revision = _next_revision(new, replicasets)
    if revision != _revision(new):
        return [SetRevision(new["metadata"]["name"], revision)]
    old = [each for each in replicasets if each is not new]
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        steps = _plan_recreate(deployment, new, old)
    else:
        steps = _grow_new(deployment, new, old) or _shrink_old(deployment, new, old)
    return steps or _forget_old(deployment, new, old)


def _plan_paused(deployment: Object, replicasets: Sequence[Object]) -> list[Action]:
    active = [each for each in replicasets if wanted(each) > 0]
    if len(active) == 1 and wanted(active[0]) != wanted(deployment):
        return [ScaleReplicaSet(active[0]["metadata"]["name"], wanted(deployment))]
    return []


def _plan_recreate(deployment: Object, new: Object, old: Sequence[Object]) -> list[Action]:
    running: list[Action] = [
        ScaleReplicaSet(each["metadata"]["name"], 0) for each in old if wanted(each) > 0
    ]
    if running:
        return running
    if any(each.get("status", {}).get("replicas", 0) > 0 for each in old):
        return []
    if wanted(new) != wanted(deployment):
        return [ScaleReplicaSet(new["metadata"]["name"], wanted(deployment))]
    return []


def _grow_new(deployment: Object, new: Object, old: Sequence[Object]) -> list[Action]:
    target, have = wanted(deployment), wanted(new)
    if have > target:
        return [ScaleReplicaSet(new["metadata"]["name"], target)]
    total = have + sum(map(wanted, old))
    room = target + limits(deployment).surge - total
    step = min(room, target - have)
    if step <= 0:
        return []
    return [ScaleReplicaSet(new["metadata"]["name"], have + step)]


def _shrink_old(deployment: Object, new: Object, old: Sequence[Object]) -> list[Action]:
    total = wanted(new) + sum(map(wanted, old))
    least = wanted(deployment) - limits(deployment).unavailable
    spare = total - least - (wanted(new) - _available(new))
    if spare <= 0:
        return []
    sizes = {each["metadata"]["name"]: wanted(each) for each in old}
    # Pods that serve nobody go first: they cost no availability.
    for each in old:
        name = each["metadata"]["name"]
        step = min(spare, sizes[name] - _available(each))
        if step > 0:
            sizes[name] -= step
            spare -= step
    # No more of the healthy ones than are available beyond the least.
    spare = min(spare, _available(new) + sum(map(_available, old)) - least)
    for each in old:
        name = each["metadata"]["name"]
        step = min(spare, sizes[name])
        if step > 0:
            sizes[name] -= step
            spare -= step
    return [
        ScaleReplicaSet(each["metadata"]["name"], sizes[each["metadata"]["name"]])
        for each in old
        if sizes[each["metadata"]["name"]] != wanted(each)
    ]


def _forget_old(deployment: Object, new: Object, old: Sequence[Object]) -> list[Action]:
    if not is_complete(deployment, new, old):
        return []
    keep = deployment["spec"].get("revisionHistoryLimit", DEFAULT_HISTORY)
    idle = [each for each in old if wanted(each) == 0]
    idle.sort(key=_revision)
    return [DeleteReplicaSet(each["metadata"]["name"]) for each in idle[: max(len(idle) - keep, 0)]]


def is_complete(deployment: Object, new: Object | None, old: Sequence[Object]) -> bool:
    """Whether all wanted pods are new and available, and no old one is left."""
    if new is None:
        return False
    target = wanted(deployment)
    left = sum(each.get("status", {}).get("replicas", 0) for each in old)
    return wanted(new) == target and _available(new) == target and left == 0


def _available(replicaset: Object) -> int:
    return int(replicaset.get("status", {}).get("availableReplicas", 0))


def _revision(replicaset: Object) -> int:
    return int((replicaset["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _next_revision(new: Object, replicasets: Sequence[Object]) -> int:
    """Its own number while it is the highest; otherwise one more than the highest."""
    others = max((_revision(each) for each in replicasets if each is not new), default=0)
    own = _revision(new)
    return own if own > others else others + 1


def _new_replicaset(deployment: Object, replicasets: Sequence[Object]) -> dict[str, Any]:
    digest = template_hash(deployment["spec"]["template"])
    template = copy.deepcopy(dict(deployment["spec"]["template"]))
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), HASH_LABEL: digest}
    selector = copy.deepcopy(dict(deployment["spec"]["selector"]))
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    own = deployment["metadata"]
    annotations = {REVISION: str(max(map(_revision, replicasets), default=0) + 1)}
    if cause := (own.get("annotations") or {}).get(CHANGE_CAUSE):
        annotations[CHANGE_CAUSE] = cause
    spec: dict[str, Any] = {"replicas": 0, "selector": selector, "template": template}
    if minimum := deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = minimum
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{own['name']}-{digest}",
            "namespace": own["namespace"],
            "labels": dict(metadata["labels"]),
            "annotations": annotations,
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": spec,
    }


class ReplicaPlan(NamedTuple):
    """How many pods to create, and which to delete."""

    create: int
    delete: tuple[Object, ...]


def plan_replicas(replicaset: Object, pods: Sequence[Object]) -> ReplicaPlan:
    """What a ReplicaSet has to do about the pods that it controls."""
    if replicaset["metadata"].get("deletionTimestamp"):
        return ReplicaPlan(0, ())
    active = [pod for pod in pods if is_active(pod)]
    surplus = len(active) - wanted(replicaset)
    if surplus <= 0:
        return ReplicaPlan(-surplus, ())
    return ReplicaPlan(0, tuple(sorted(active, key=_expendable)[:surplus]))


def _expendable(pod: Object) -> tuple[object, ...]:
    """Kubernetes' order of who goes first: those that serve least, then the youngest."""
    status = pod.get("status") or {}
    cost = int((pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0"))
    restarts = sum(each.get("restartCount", 0) for each in status.get("containerStatuses") or ())
    return (
        bool(pod["spec"].get("nodeName")),
        status.get("phase") == "Running",
        is_ready(pod),
        cost,
        -restarts,
        -seconds_of(str(pod["metadata"].get("creationTimestamp", ""))),
        pod["metadata"]["name"],
    )


def replicaset_status(replicaset: Object, pods: Sequence[Object], now_s: float) -> dict[str, Any]:
    """The status of a ReplicaSet with these pods."""
    active = [pod for pod in pods if is_active(pod)]
    minimum = float(replicaset["spec"].get("minReadySeconds") or 0)
    return {
        "replicas": len(active),
        "fullyLabeledReplicas": len(active),
        "readyReplicas": sum(map(is_ready, active)),
        "availableReplicas": sum(is_available(pod, minimum, now_s) for pod in active),
        "observedGeneration": replicaset["metadata"].get("generation", 1),
    }
