"""Pod disruption budgets: what an eviction may still take away.

In Kubernetes a controller counts and the API server subtracts. Here the server does both: its
counts are computed from the stored pods at the moment of asking, so they are never stale.
"""

from __future__ import annotations

import math
from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import StatusError, bad_request
from runner.targets.sandbox.apiserver.kinds import BUDGETS, PODS, Kind
from runner.targets.sandbox.apiserver.selectors import structured_test
from runner.targets.sandbox.apiserver.store import Store


def allow_eviction(store: Store, pod: Obj) -> None:
    """Let an eviction of a pod pass, or refuse it.

    Raises:
        StatusError: 429 when a budget would be violated.
    """
    namespace = pod["metadata"]["namespace"]
    labels = pod["metadata"].get("labels") or {}
    phase = (pod.get("status") or {}).get("phase")
    if phase in {"Pending", "Succeeded", "Failed"}:
        return  # it serves nobody, so nobody misses it
    for budget in store.select(BUDGETS, namespace):
        if not structured_test(budget.get("spec", {}).get("selector"))(labels):
            continue
        counts = budget_status(store, budget)
        if counts["disruptionsAllowed"] > 0 or not is_ready(pod):
            continue
        name = budget["metadata"]["name"]
        message = (
            f"The disruption budget {name} needs {counts['desiredHealthy']} healthy pods and has"
            f" {counts['currentHealthy']} currently"
        )
        cause = {"reason": "DisruptionBudget", "message": message}
        raise StatusError(
            429,
            "Cannot evict pod as it would violate the pod's disruption budget.",
            details={"causes": [cause]},
        )


def is_ready(pod: Obj) -> bool:
    """Whether a pod counts as healthy: ready, and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def budget_status(store: Store, budget: Obj) -> Obj:
    """The status of a budget, counted now.

    Raises:
        StatusError: 400 for a number that is neither whole nor a percentage.
    """
    spec = budget.get("spec") or {}
    matches = structured_test(spec.get("selector"))
    pods = [
        pod
        for pod in store.select(PODS, budget["metadata"]["namespace"])
        if matches(pod["metadata"].get("labels") or {})
    ]
    healthy = sum(1 for pod in pods if is_ready(pod))
    expected = _expected(store, pods)
    if spec.get("maxUnavailable") is not None:
        desired = max(0, expected - _amount(spec["maxUnavailable"], expected))
    elif spec.get("minAvailable") is not None:
        desired = _amount(spec["minAvailable"], expected)
    else:
        desired = max(0, expected - 1)
    return {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": max(0, healthy - desired),
        "expectedPods": expected,
        "observedGeneration": budget["metadata"].get("generation", 1),
    }


def _expected(store: Store, pods: list[Obj]) -> int:
    """How many pods there should be: the sum of their top owners' replicas, or as many as are."""
    wanted: dict[str, int] = {}
    loose = 0
    for pod in pods:
        owner = _top_owner(store, pod)
        if owner is None or "replicas" not in (owner.get("spec") or {}):
            loose += 1
        else:
            wanted[owner["metadata"]["uid"]] = int(owner["spec"]["replicas"])
    return loose + sum(wanted.values())


def _top_owner(store: Store, obj: Obj) -> Obj | None:
    top: Obj | None = None
    for _ in range(4):  # pod → replica set → deployment; the bound stops a cycle
        owners = (top or obj)["metadata"].get("ownerReferences") or []
        uid = next((one.get("uid", "") for one in owners if one.get("controller")), "")
        found = store.by_uid(uid)
        if found is None:
            break
        top = found[1]
    return top


def _amount(value: Any, total: int) -> int:
    """A number of pods from a whole number or a percentage (rounded up, as Kubernetes does)."""
    text = str(value)
    try:
        if text.endswith("%"):
            return math.ceil(total * int(text[:-1]) / 100)
        return int(text)
    except ValueError as error:
        raise bad_request(f"neither a whole number nor a percentage: {value!r}") from error


def refresh(store: Store, kind: Kind, namespace: str) -> None:
    """Write the counts of a namespace's budgets anew, after a pod or a budget has changed."""
    if kind is not PODS and kind is not BUDGETS:
        return
    for budget in store.select(BUDGETS, namespace):
        status = (budget.get("status") or {}) | budget_status(store, budget)
        if status != budget.get("status"):
            store.put(BUDGETS, budget | {"status": status})
