"""The status of a Deployment: the counts and conditions that kubectl and chaos probes wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from runner.targets.sandbox.pods import condition, seconds_of, time_of
from runner.targets.sandbox.rollout import is_complete, limits, newest, wanted

Object = Mapping[str, Any]

DEFAULT_DEADLINE_S: Final = 600


def deployment_status(
    deployment: Object, replicasets: Sequence[Object], now_s: float
) -> dict[str, Any]:
    """The whole status of a Deployment that controls these ReplicaSets."""
    new = newest(deployment, replicasets)
    old = [each for each in replicasets if each is not new]
    available = _sum(replicasets, "availableReplicas")
    counts = {
        "replicas": _sum(replicasets, "replicas"),
        "updatedReplicas": _sum([new], "replicas") if new is not None else 0,
        "readyReplicas": _sum(replicasets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(sum(map(wanted, replicasets)) - available, 0),
    }
    if new is None:
        counts["unavailableReplicas"] = max(wanted(deployment) - available, 0)
    status: dict[str, Any] = {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        **counts,
    }
    progressing = _progressing(deployment, counts, new, old, now_s)
    status["conditions"] = [_availability(deployment, available, now_s), progressing]
    return status


def _sum(replicasets: Sequence[Object], field: str) -> int:
    return sum(int(each.get("status", {}).get(field, 0)) for each in replicasets)


def _availability(deployment: Object, available: int, now_s: float) -> dict[str, Any]:
    enough = available >= wanted(deployment) - limits(deployment).unavailable
    if enough:
        reason, message = "MinimumReplicasAvailable", "Deployment has minimum availability."
    else:
        reason = "MinimumReplicasUnavailable"
        message = "Deployment does not have minimum availability."
    return _condition(
        deployment, "Available", "True" if enough else "False", (reason, message), now_s
    )


def _progressing(
    deployment: Object,
    counts: Mapping[str, int],
    new: Object | None,
    old: Sequence[Object],
    now_s: float,
) -> dict[str, Any]:
    before = condition(deployment, "Progressing")
    name = deployment["metadata"]["name"]
    deadline_s = float(deployment["spec"].get("progressDeadlineSeconds") or DEFAULT_DEADLINE_S)
    if is_complete(deployment, new, old) and new is not None:
        reason = "NewReplicaSetAvailable"
        message = f'ReplicaSet "{new["metadata"]["name"]}" has successfully progressed.'
    elif new is None:
        reason, message = "NewReplicaSetCreated", f'Created the ReplicaSet of "{name}".'
    elif _has_moved(deployment, counts) or not before:
        reason = "ReplicaSetUpdated"
        message = f'ReplicaSet "{new["metadata"]["name"]}" is progressing.'
    elif before.get("reason") == "NewReplicaSetAvailable":
        # A pod that died after the rollout is no new rollout: it has no deadline.
        return dict(before)
    elif now_s - seconds_of(str(before.get("lastUpdateTime", ""))) > deadline_s:
        reason = "ProgressDeadlineExceeded"
        message = f'ReplicaSet "{new["metadata"]["name"]}" has timed out progressing.'
        return _condition(deployment, "Progressing", "False", (reason, message), now_s)
    else:
        return dict(before)
    moved = _has_moved(deployment, counts)
    return _condition(deployment, "Progressing", "True", (reason, message), now_s, moved=moved)


def _has_moved(deployment: Object, counts: Mapping[str, int]) -> bool:
    """Whether this is another template than last time, or its pods came nearer to the end."""
    before = deployment.get("status") or {}
    if before.get("observedGeneration") != deployment["metadata"].get("generation", 1):
        return True
    gained = ("updatedReplicas", "readyReplicas", "availableReplicas")
    if any(counts[field] > before.get(field, 0) for field in gained):
        return True
    old_before = int(before.get("replicas", 0)) - int(before.get("updatedReplicas", 0))
    return counts["replicas"] - counts["updatedReplicas"] < old_before


def _condition(
    deployment: Object,
    kind: str,
    status: str,
    why: tuple[str, str],
    now_s: float,
    *,
    moved: bool = False,
) -> dict[str, Any]:
    """A condition whose times move only when what they stand for has changed."""
    reason, message = why
    before = condition(deployment, kind)
    now = time_of(now_s)
    same = before.get("status") == status
    unchanged = same and before.get("reason") == reason and not moved
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": before.get("lastUpdateTime", now) if unchanged else now,
        "lastTransitionTime": before.get("lastTransitionTime", now) if same else now,
    }
