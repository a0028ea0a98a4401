"""What the API server fills in for the author of an object, as Kubernetes does: pure functions.

Only those defaults that somebody reads: kubectl, the controllers, the mesh. A pod's
``terminationGracePeriodSeconds`` is left open, so that the sandbox's own grace period applies.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver import autoscalers
from runner.targets.sandbox.apiserver.kinds import Kind


def with_defaults(kind: Kind, obj: Obj) -> Obj:
    """The object with the defaults of its kind; the argument is not changed."""
    if kind.plural == "secrets":
        return _secret(obj)
    fill = _BY_KIND.get(kind.plural) if not kind.custom else None
    if fill is None or not isinstance(obj.get("spec"), dict):
        return obj
    spec = copy.deepcopy(obj["spec"])
    fill(spec)
    return obj | {"spec": spec}


def initial_status(kind: Kind, obj: Obj) -> Obj | None:
    """The status that a new object of a kind begins with; ``None`` when it has none."""
    if kind.plural == "pods":
        return {"phase": "Pending", "qosClass": _quality(obj.get("spec", {}))}
    if kind.plural == "namespaces":
        return {"phase": "Active"}
    if kind.plural in {"nodes", "customresourcedefinitions"}:
        return obj.get("status")
    if kind.plural == "services":
        return {"loadBalancer": {}}
    if kind.group in {"apps", "autoscaling", "batch"}:
        return dict.fromkeys(_COUNTS.get(kind.plural, ()), 0)
    return None


_COUNTS: dict[str, tuple[str, ...]] = {
    "replicasets": ("replicas",),
    "statefulsets": ("replicas",),
    autoscalers.PLURAL: ("currentReplicas", "desiredReplicas"),
    "daemonsets": (
        "currentNumberScheduled",
        "desiredNumberScheduled",
        "numberMisscheduled",
        "numberReady",
    ),
}
_NODE_INFO = (
    "architecture",
    "bootID",
    "containerRuntimeVersion",
    "kernelVersion",
    "kubeProxyVersion",
    "kubeletVersion",
    "machineID",
    "operatingSystem",
    "osImage",
    "systemUUID",
)
_CONTAINER_STATUS: Obj = {
    "image": "",
    "imageID": "",
    "ready": False,
    "restartCount": 0,
    "state": {},
    "lastState": {},
}


def with_full_status(kind: Kind, obj: Obj) -> Obj:
    """The object with those fields of its status that Kubernetes shows even when empty.

    Clients that check types (the Python client) refuse an object without them.
    """
    status = obj.get("status")
    if not isinstance(status, dict):
        return obj
    if kind.plural == "nodes" and isinstance(status.get("nodeInfo"), dict):
        full = dict.fromkeys(_NODE_INFO, "") | status["nodeInfo"]
        return obj | {"status": status | {"nodeInfo": full}}
    if kind.plural == "pods" and isinstance(status.get("containerStatuses"), list):
        statuses = [
            _CONTAINER_STATUS | one if isinstance(one, dict) else one
            for one in status["containerStatuses"]
        ]
        return obj | {"status": status | {"containerStatuses": statuses}}
    return obj


def _pod(spec: Obj) -> None:
    for key, value in {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "enableServiceLinks": True,
    }.items():
        spec.setdefault(key, value)
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    for container in containers:
        if isinstance(container, dict):
            _container(container)


def _container(container: Obj) -> None:
    container.setdefault("resources", {})
    resources = container["resources"]
    if isinstance(resources, dict) and isinstance(resources.get("limits"), dict):
        requests = resources.setdefault("requests", {})
        for name, amount in resources["limits"].items():
            requests.setdefault(name, amount)
    image = str(container.get("image", ""))
    newest = image.endswith(":latest") or ":" not in image.rpartition("/")[2]
    container.setdefault("imagePullPolicy", "Always" if newest else "IfNotPresent")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or []:
        if isinstance(port, dict):
            port.setdefault("protocol", "TCP")
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        if isinstance(container.get(name), dict):
            _probe(container[name])


def _probe(probe: Obj) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    if isinstance(probe.get("httpGet"), dict):
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")


def _template(spec: Obj) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
        if isinstance(template.get("spec"), dict):
            _pod(template["spec"])


def _deployment(spec: Obj) -> None:
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if isinstance(strategy, dict) and strategy.setdefault("type", "RollingUpdate") != "Recreate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    _template(spec)


def _replicated(spec: Obj) -> None:
    spec.setdefault("replicas", 1)
    _template(spec)


def _service(spec: Obj) -> None:
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    for port in spec.get("ports") or []:
        if isinstance(port, dict):
            port.setdefault("protocol", "TCP")
            if "port" in port:
                port.setdefault("targetPort", port["port"])


def _secret(obj: Obj) -> Obj:
    """Plain ``stringData`` becomes ``data``."""
    result = {"type": "Opaque"} | {key: obj[key] for key in obj if key != "stringData"}
    plain = obj.get("stringData") or {}
    if plain:
        encoded = {key: base64.b64encode(str(plain[key]).encode()).decode() for key in plain}
        result["data"] = (obj.get("data") or {}) | encoded
    return result


def _namespace(spec: Obj) -> None:
    spec.setdefault("finalizers", ["kubernetes"])


def _job(spec: Obj) -> None:
    for key, value in {"parallelism": 1, "completions": 1, "backoffLimit": 6}.items():
        spec.setdefault(key, value)
    _template(spec)


_BY_KIND: dict[str, Any] = {
    "pods": _pod,
    "deployments": _deployment,
    "replicasets": _replicated,
    "statefulsets": _replicated,
    "daemonsets": _template,
    "services": _service,
    "namespaces": _namespace,
    autoscalers.PLURAL: autoscalers.set_defaults,
    "jobs": _job,
}


def _quality(spec: Obj) -> str:
    """Quality-of-service class: by whether requests and limits are stated, and are equal."""
    resources = [one.get("resources") or {} for one in spec.get("containers") or []]
    stated = [(one.get("requests") or {}, one.get("limits") or {}) for one in resources]
    if not any(requests or limits for requests, limits in stated):
        return "BestEffort"
    full = all(limits.keys() >= {"cpu", "memory"} for _, limits in stated)
    if full and all(requests == limits for requests, limits in stated):
        return "Guaranteed"
    return "Burstable"
