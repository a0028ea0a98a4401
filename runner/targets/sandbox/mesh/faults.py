"""Faults: a route's own (VirtualService), and a pod's inbound ones (EnvoyFilter). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runner.targets.sandbox.mesh.durations import envoy_duration, fractional_percent
from runner.targets.sandbox.mesh.model import GATEWAY_NAMESPACE, UnsupportedField, Xds
from runner.targets.sandbox.mesh.parsed import Parsed
from runner.targets.sandbox.mesh.registry import Pod
from runner.targets.sandbox.mesh.schema import HTTP_FAULT_TYPE

FAULT_FILTER = "envoy.filters.http.fault"
INBOUND_FAULTS = 4
"""How many inbound faults one pod can have at the same time."""


def route_fault(fault: Mapping[str, Any]) -> Xds | None:
    """Envoy's fault of ``http[].fault``, or None when there is nothing to inject.

    A missing percentage means that no request is affected, for delay and abort alike.
    """
    result: Xds = {"@type": HTTP_FAULT_TYPE}
    delay, abort = fault.get("delay") or {}, fault.get("abort") or {}
    if "fixedDelay" in delay:
        percent = (delay.get("percentage") or {}).get("value", delay.get("percent", 0))
        result["delay"] = {
            "fixed_delay": envoy_duration(delay["fixedDelay"]),
            "percentage": fractional_percent(percent),
        }
    if "httpStatus" in abort:
        percent = (abort.get("percentage") or {}).get("value", 0)
        result["abort"] = {
            "http_status": abort["httpStatus"],
            "percentage": fractional_percent(percent),
        }
    return result if len(result) > 1 else None


def inbound_faults(
    filters: Iterable[Parsed], pods: Iterable[Pod]
) -> tuple[dict[str, list[Xds]], list[UnsupportedField]]:
    """The faults that EnvoyFilters put before pods, and what cannot be done.

    A patch is taken only when every field of it is honoured: half of a patch would be another
    fault than the one that was asked for.

    Returns:
        ``namespace/name`` of a pod → its faults, oldest first (at most :data:`INBOUND_FAULTS`).
    """
    found: dict[str, list[Xds]] = {}
    unused: list[UnsupportedField] = []
    pods = list(pods)
    for item in filters:
        if item.incomplete("spec.workloadSelector"):
            continue
        chosen = [pod for pod in pods if _selects(item, pod)]
        for position, patch in enumerate(item.spec.get("configPatches") or []):
            path = f"spec.configPatches[{position}]"
            if item.incomplete(path):
                continue
            config, reason = _fault_of(patch or {})
            if config is None:
                unused.append(UnsupportedField(item.ref, path, reason))
                continue
            for pod in chosen:
                faults = found.setdefault(pod.key, [])
                if len(faults) < INBOUND_FAULTS:
                    faults.append(config)
                else:
                    reason = f"pod {pod.name} has {INBOUND_FAULTS} inbound faults already"
                    unused.append(UnsupportedField(item.ref, path, reason))
    return found, unused


def _selects(item: Parsed, pod: Pod) -> bool:
    if item.ref.namespace not in {pod.namespace, GATEWAY_NAMESPACE}:
        return False
    labels = (item.spec.get("workloadSelector") or {}).get("labels") or {}
    return all(pod.labels.get(name) == value for name, value in labels.items())


def _fault_of(patch: Mapping[str, Any]) -> tuple[Xds | None, str]:
    if patch.get("applyTo") != "HTTP_FILTER":
        return None, "only patches of HTTP_FILTER are honoured"
    if (patch.get("match") or {}).get("context") != "SIDECAR_INBOUND":
        return None, "only the context SIDECAR_INBOUND is honoured"
    if not (patch.get("patch") or {}).get("operation"):
        return None, "a patch needs the operation INSERT_BEFORE or INSERT_FIRST"
    value = (patch.get("patch") or {}).get("value") or {}
    config = value.get("typed_config") or value.get("typedConfig")
    if not isinstance(config, Mapping) or config.get("@type") != HTTP_FAULT_TYPE:
        return None, f"only a filter of type {HTTP_FAULT_TYPE} is honoured"
    return dict(config), ""
