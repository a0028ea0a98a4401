"""HorizontalPodAutoscalers: ``autoscaling/v1`` to and from what is stored (v2), and the checks.

``kubectl autoscale`` writes v1. As in Kubernetes, what v1 has no field for stands in annotations
of the object as v1 shows it, so that a client of v1 loses nothing when it writes back what it
read; their texts are in v2's form here. Pure functions.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from runner.targets.sandbox.apiobjects import Obj

OLD_VERSION = "v1"
PLURAL = "horizontalpodautoscalers"
_PREFIX = "autoscaling.alpha.kubernetes.io/"
# Annotation → where its value stands in v2.
_CARRIED = {
    "metrics": ("spec", "metrics"),
    "behavior": ("spec", "behavior"),
    "current-metrics": ("status", "currentMetrics"),
    "conditions": ("status", "conditions"),
}
_REQUIRED, _INVALID = "FieldValueRequired", "FieldValueInvalid"
_SELECTIONS = ("Max", "Min", "Disabled")
_UP = {"type": "Pods", "value": 4, "periodSeconds": 15}
_ALL = {"type": "Percent", "value": 100, "periodSeconds": 15}


def to_old(obj: Obj) -> Obj:
    """A stored object as ``autoscaling/v1`` shows it."""
    result = copy.deepcopy(obj)
    spec, status = result.setdefault("spec", {}), result.setdefault("status", {})
    cpu = _cpu_percent(spec.get("metrics"), "target")
    used = _cpu_percent(status.get("currentMetrics"), "current")
    if cpu is not None:
        spec["metrics"] = [each for each in spec["metrics"] if not _is_cpu_percent(each, "target")]
        spec["targetCPUUtilizationPercentage"] = cpu
    if used is not None:
        status["currentCPUUtilizationPercentage"] = used
    notes = {}
    for name, (part, field) in _CARRIED.items():
        if value := result[part].pop(field, None):
            notes[_PREFIX + name] = json.dumps(value, separators=(",", ":"))
    if notes:
        metadata = result["metadata"]
        metadata["annotations"] = (metadata.get("annotations") or {}) | notes
    return result


def from_old(obj: Obj) -> Obj:
    """What ``autoscaling/v1`` was given, as it is stored."""
    result = copy.deepcopy(obj)
    metadata, spec = result["metadata"], result.setdefault("spec", {})
    notes = metadata.get("annotations") or {}
    for name, (part, field) in _CARRIED.items():
        text = notes.pop(_PREFIX + name, None)
        value = _parsed(text) if text else None
        if value:
            result.setdefault(part, {})[field] = value
    if not notes:
        metadata.pop("annotations", None)
    (result.get("status") or {}).pop("currentCPUUtilizationPercentage", None)
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    if percent is not None:
        spec["metrics"] = [cpu_metric(percent), *(spec.get("metrics") or [])]
    return result


def cpu_metric(percent: int) -> Obj:
    """An entry of ``spec.metrics``: CPU in percent of the requests."""
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def set_defaults(spec: Obj) -> None:
    """Fill in what Kubernetes fills in: one replica, 80 % CPU, and the rest of a behavior."""
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        spec["metrics"] = [cpu_metric(80)]
    behavior = spec.get("behavior")
    if not isinstance(behavior, dict):
        return
    for way, window_s, policies in (("scaleUp", 0, [_UP, _ALL]), ("scaleDown", None, [_ALL])):
        rules = behavior.get(way) or {}
        if not isinstance(rules, dict):
            continue
        rules.setdefault("selectPolicy", "Max")
        if window_s is not None:
            rules.setdefault("stabilizationWindowSeconds", window_s)
        if not rules.get("policies"):
            rules["policies"] = copy.deepcopy(policies)
        behavior[way] = rules


def check(obj: Obj, _live: Obj | None) -> list[tuple[str, str, str]]:
    """The causes for which an object is refused."""
    spec = obj.get("spec") or {}
    causes = [
        (_REQUIRED, f"spec.scaleTargetRef.{field}", "Required value")
        for field in ("kind", "name")
        if not (spec.get("scaleTargetRef") or {}).get(field)
    ]
    fewest, most = int(spec.get("minReplicas", 1)), int(spec.get("maxReplicas") or 0)
    if fewest < 1:
        text = f"Invalid value: {fewest}: must be greater than or equal to 1"
        causes.append((_INVALID, "spec.minReplicas", text))
    if most < 1:
        text = f"Invalid value: {most}: must be greater than 0"
        causes.append((_INVALID, "spec.maxReplicas", text))
    elif most < fewest:
        text = f"Invalid value: {most}: must be greater than or equal to `minReplicas`"
        causes.append((_INVALID, "spec.maxReplicas", text))
    for index, metric in enumerate(spec.get("metrics") or []):
        causes += _metric_causes(metric, f"spec.metrics[{index}]")
    for way, rules in (spec.get("behavior") or {}).items():
        causes += _rules_causes(rules or {}, f"spec.behavior.{way}")
    return causes


def _metric_causes(metric: Obj, where: str) -> list[tuple[str, str, str]]:
    if not metric.get("type"):
        return [(_REQUIRED, f"{where}.type", "must specify a metric source type")]
    if metric["type"] != "Resource":
        return []
    resource = metric.get("resource") or {}
    target = resource.get("target") or {}
    causes = []
    if not resource.get("name"):
        text = "must specify a resource name"
        causes.append((_REQUIRED, f"{where}.resource.name", text))
    percent, value = target.get("averageUtilization"), target.get("averageValue")
    if (percent is None) == (value is None):
        text = "must set exactly one of: averageUtilization, averageValue"
        causes.append((_REQUIRED, f"{where}.resource.target", text))
    elif percent is not None and int(percent) < 1:
        text = f"Invalid value: {percent}: must be greater than 0"
        causes.append((_INVALID, f"{where}.resource.target.averageUtilization", text))
    return causes


def _rules_causes(rules: Obj, where: str) -> list[tuple[str, str, str]]:
    causes = []
    window_s = rules.get("stabilizationWindowSeconds")
    if window_s is not None and not 0 <= int(window_s) <= 3600:
        text = f"Invalid value: {window_s}: must be from 0 to 3600"
        causes.append((_INVALID, f"{where}.stabilizationWindowSeconds", text))
    if rules.get("selectPolicy", "Max") not in _SELECTIONS:
        text = f'Unsupported value: "{rules["selectPolicy"]}": supported values: Max, Min, Disabled'
        causes.append(("FieldValueNotSupported", f"{where}.selectPolicy", text))
    for index, policy in enumerate(rules.get("policies") or []):
        if policy.get("type") not in ("Pods", "Percent"):
            text = f'Unsupported value: "{policy.get("type", "")}": supported values: Pods, Percent'
            causes.append(("FieldValueNotSupported", f"{where}.policies[{index}].type", text))
        for field, most in (("value", 2**31), ("periodSeconds", 1800)):
            if not 1 <= int(policy.get(field) or 0) <= most:
                text = f"Invalid value: {policy.get(field)}: must be from 1 to {most}"
                causes.append((_INVALID, f"{where}.policies[{index}].{field}", text))
    return causes


def _is_cpu_percent(metric: Any, part: str) -> bool:
    resource = metric.get("resource") or {}
    percent = (resource.get(part) or {}).get("averageUtilization")
    return (
        metric.get("type") == "Resource" and resource.get("name") == "cpu" and percent is not None
    )


def _cpu_percent(metrics: Any, part: str) -> int | None:
    for metric in metrics or ():
        if _is_cpu_percent(metric, part):
            return int(metric["resource"][part]["averageUtilization"])
    return None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
