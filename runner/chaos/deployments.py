"""Deployments as data: whose autoscaler they are, and how far their pods have come. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.chaos.objects import Object

DEFAULT_REPLICAS = 1
"""What Kubernetes takes a Deployment without ``spec.replicas`` to want."""

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation of the pod template by which ``kubectl rollout restart`` makes it a new one."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a Deployment is, by its own status.

    Attributes:
        wanted: Replicas that its spec asks for.
        there: Pods that are there, old and new.
        updated: Pods of the newest template.
        ready: Pods that are ready.
        available: Pods that have been ready for long enough.
        is_current: Whether the status is about the spec as it is now.
    """

    wanted: int
    there: int
    updated: int
    ready: int
    available: int
    is_current: bool

    @property
    def scaled(self) -> bool:
        """Whether exactly the wanted number of pods is there, and ready."""
        return self.is_current and self.there == self.ready == self.wanted

    @property
    def complete(self) -> bool:
        """Whether all pods are of the newest template, ready and available."""
        return self.scaled and self.updated == self.available == self.wanted

    @property
    def sentence(self) -> str:
        """``1 of 2 pods ready, 2 updated, 1 available``."""
        shown = f"{self.ready} of {self.wanted} pods ready, {self.updated} updated"
        return f"{shown}, {self.available} available"


def progress(deployment: Object) -> Progress:
    """How far ``deployment`` is."""
    status = deployment.get("status") or {}
    generation = (deployment.get("metadata") or {}).get("generation", 0)
    return Progress(
        wanted=replicas_of(deployment),
        there=int(status.get("replicas") or 0),
        updated=int(status.get("updatedReplicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
        available=int(status.get("availableReplicas") or 0),
        is_current=int(status.get("observedGeneration") or 0) >= generation,
    )


def replicas_of(deployment: Object) -> int:
    """Replicas that the spec asks for."""
    stated = (deployment.get("spec") or {}).get("replicas")
    return DEFAULT_REPLICAS if stated is None else int(stated)


def selector_of(deployment: Object) -> str:
    """The label selector of its pods, as a query states it."""
    selector = (deployment.get("spec") or {}).get("selector") or {}
    parts = [f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items())]
    return ",".join(parts + [_expression(one) for one in selector.get("matchExpressions") or ()])


def _expression(rule: Mapping[str, Any]) -> str:
    key, values = rule["key"], ",".join(rule.get("values") or ())
    forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})"}
    return forms.get(rule["operator"]) or (key if rule["operator"] == "Exists" else f"!{key}")


def autoscaler_of(autoscalers: Iterable[Object], deployment: str) -> str:
    """Name of the HorizontalPodAutoscaler of a Deployment; empty when it has none."""
    for autoscaler in autoscalers:
        target = (autoscaler.get("spec") or {}).get("scaleTargetRef") or {}
        if (target.get("kind"), target.get("name")) == ("Deployment", deployment):
            return str(autoscaler["metadata"]["name"])
    return ""


def restarted(deployment: Object, at: str) -> Object:
    """``deployment`` with a pod template that was restarted ``at`` (ISO 8601)."""
    spec = dict(deployment["spec"])
    template = dict(spec["template"])
    metadata = dict(template.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), RESTARTED_AT: at}
    template["metadata"] = metadata
    return {**deployment, "spec": {**spec, "template": template}}
