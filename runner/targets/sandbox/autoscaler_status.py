"""What a HorizontalPodAutoscaler's status says, made of what was decided. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.targets.sandbox.pods import condition, time_of
from runner.targets.sandbox.scaling import Proposal, Target
from runner.targets.sandbox.scaling_rules import Condition

Object = Mapping[str, Any]
Obj = dict[str, Any]


def status_of(
    autoscaler: Object,
    now_s: float,
    conditions: Iterable[Condition],
    *,
    current: int | None = None,
    desired: int | None = None,
    metrics: Sequence[Object] = (),
) -> Obj:
    """The status after one look.

    Args:
        autoscaler: The object with its status so far; its conditions that are not mentioned stay.
        now_s: Unix seconds.
        conditions: What was found; of two of one type the later one counts.
        current: Replicas that the workload was asked to have; None when unknown.
        desired: Replicas that it is asked to have now; None when nothing was decided.
        metrics: Entries of ``currentMetrics``; see :func:`metric_status`.
    """
    before = autoscaler.get("status") or {}
    shown = {each["type"]: dict(each) for each in before.get("conditions") or ()}
    for found in conditions:
        shown[found.type] = _condition(autoscaler, found, now_s)
    status: Obj = {
        "currentReplicas": before.get("currentReplicas", 0) if current is None else current,
        "desiredReplicas": before.get("desiredReplicas", 0) if desired is None else desired,
        "currentMetrics": [dict(each) for each in metrics],
        "conditions": list(shown.values()),
    }
    if current is not None and desired is not None and current != desired:
        status["lastScaleTime"] = time_of(now_s)
    return status


def _condition(autoscaler: Object, found: Condition, now_s: float) -> Obj:
    """A condition with the time since which it holds, whatever its reason."""
    status = "True" if found.is_true else "False"
    known = condition(autoscaler, found.type)
    is_old = known.get("status") == status
    return {
        "type": found.type,
        "status": status,
        "reason": found.reason,
        "message": found.message,
        "lastTransitionTime": known["lastTransitionTime"] if is_old else time_of(now_s),
    }


def metric_status(target: Target, found: Proposal) -> Obj:
    """An entry of ``currentMetrics``."""
    current: Obj = {"averageValue": quantity_text(target.resource, found.average_milli)}
    if found.utilization is not None:
        current["averageUtilization"] = found.utilization
    return {"type": "Resource", "resource": {"name": target.resource, "current": current}}


def quantity_text(resource: str, milli: int) -> str:
    """Thousandths as a quantity: ``37m`` of a core, whole bytes of memory."""
    if resource == "memory" or milli % 1000 == 0:
        return str(milli // 1000)
    return f"{milli}m"


def name_of(target: Target) -> str:
    """A metric as Kubernetes' events and conditions name it."""
    if target.utilization is None:
        return f"{target.resource} resource"
    return f"{target.resource} resource utilization (percentage of request)"
