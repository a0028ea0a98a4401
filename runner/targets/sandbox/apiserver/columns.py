"""The columns that kubectl shows of each kind: data, and small functions from object to cell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.kinds import Kind

NONE = "<none>"
WIDE = 1


class Column(NamedTuple):
    """One column; ``priority`` 1 shows it in wide output only."""

    name: str
    show: Callable[[Obj], Any]
    priority: int = 0
    type: str = "string"


def age(stamp: str | None, now: datetime | None = None) -> str:
    """How long ago a timestamp was, in kubectl's short form (``5s``, ``3m20s``, ``4d2h``)."""
    if not stamp:
        return "<unknown>"
    text = stamp.replace("Z", "+00:00")
    seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds())
    return short_duration(max(0, seconds))


def short_duration(seconds: int) -> str:
    """A duration with at most two units, as kubectl rounds it."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"


def _at(*path: str, default: Any = "") -> Callable[[Obj], Any]:
    def show(obj: Obj) -> Any:
        value: Any = obj
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return default if value is None else value

    return show


def _joined(*path: str) -> Callable[[Obj], str]:
    def show(obj: Obj) -> str:
        return ",".join(str(item) for item in _at(*path, default=[])(obj)) or NONE

    return show


def _pairs(*path: str) -> Callable[[Obj], str]:
    def show(obj: Obj) -> str:
        pairs = _at(*path, default={})(obj)
        return ",".join(f"{key}={value}" for key, value in sorted(pairs.items())) or NONE

    return show


def _containers(field: str) -> Callable[[Obj], str]:
    def show(obj: Obj) -> str:
        containers = obj["spec"]["template"]["spec"]["containers"]
        return ",".join(str(one.get(field, "")) for one in containers)

    return show


def _pod_ready(obj: Obj) -> str:
    statuses = obj.get("status", {}).get("containerStatuses") or []
    total = max(len(obj["spec"].get("containers") or []), len(statuses))
    return f"{sum(1 for one in statuses if one.get('ready'))}/{total}"


def _pod_status(obj: Obj) -> str:
    status = obj.get("status", {})
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for one in status.get("containerStatuses") or []:
        state = one.get("state") or {}
        for name in ("waiting", "terminated"):
            if (state.get(name) or {}).get("reason"):
                return str(state[name]["reason"])
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _pod_restarts(obj: Obj) -> str:
    statuses = obj.get("status", {}).get("containerStatuses") or []
    total = sum(int(one.get("restartCount", 0)) for one in statuses)
    ends = [
        (one.get("lastState") or {}).get("terminated", {}).get("finishedAt") for one in statuses
    ]
    last = max(filter(None, ends), default="")
    return f"{total} ({age(last)} ago)" if total and last else str(total)


def _readiness_gates(obj: Obj) -> str:
    return (
        str(len(obj["spec"].get("readinessGates") or []))
        if obj["spec"].get("readinessGates")
        else NONE
    )


def _deployment_ready(obj: Obj) -> str:
    return f"{obj.get('status', {}).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 0)}"


def _service_address(obj: Obj) -> str:
    entries = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    shown = [entry.get("ip") or entry.get("hostname") or "" for entry in entries]
    return ",".join(filter(None, shown)) or obj["spec"].get("externalName") or NONE


def _service_ports(obj: Obj) -> str:
    shown = [
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}"
        f"/{port.get('protocol', 'TCP')}"
        for port in obj["spec"].get("ports") or []
    ]
    return ",".join(shown) or NONE


def _endpoints(obj: Obj) -> str:
    shown = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    if len(shown) > 3:
        return f"{','.join(shown[:3])} + {len(shown) - 3} more..."
    return ",".join(shown) or NONE


def _node_status(obj: Obj) -> str:
    ready = [one for one in obj["status"].get("conditions") or [] if one["type"] == "Ready"]
    state = "Ready" if ready and ready[0]["status"] == "True" else "NotReady"
    if not ready:
        state = "Unknown"
    return state + (",SchedulingDisabled" if obj.get("spec", {}).get("unschedulable") else "")


def _node_roles(obj: Obj) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels") or {}
    return ",".join(key[len(prefix) :] for key in sorted(labels) if key.startswith(prefix)) or NONE


def _node_address(kind: str) -> Callable[[Obj], str]:
    def show(obj: Obj) -> str:
        addresses = obj.get("status", {}).get("addresses") or []
        return next((one["address"] for one in addresses if one["type"] == kind), NONE)

    return show


def _event_age(obj: Obj) -> str:
    last = obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"]["creationTimestamp"]
    count = obj.get("count", 1)
    if count > 1 and obj.get("firstTimestamp"):
        return f"{age(last)} (x{count} over {age(obj['firstTimestamp'])})"
    return age(last)


def _event_object(obj: Obj) -> str:
    about = obj.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _targets(obj: Obj) -> str:
    """What an autoscaler's metrics are, and what they should be: ``cpu: 24%/60%``."""
    seen = {
        (each.get("resource") or {}).get("name"): (each.get("resource") or {}).get("current") or {}
        for each in (obj.get("status") or {}).get("currentMetrics") or []
    }
    shown = []
    for metric in obj["spec"].get("metrics") or []:
        resource = metric.get("resource") or {}
        name, target = resource.get("name", ""), resource.get("target") or {}
        field, unit = (
            ("averageUtilization", "%")
            if "averageUtilization" in target
            else (
                "averageValue",
                "",
            )
        )
        now = seen.get(name, {}).get(field)
        have = "<unknown>" if now is None else f"{now}{unit}"
        shown.append(f"{name}: {have}/{target.get(field, '<auto>')}{unit}")
    if len(shown) > 2:
        return f"{', '.join(shown[:2])} + {len(shown) - 2} more..."
    return ", ".join(shown) or NONE


def _workload(obj: Obj) -> str:
    reference = obj["spec"]["scaleTargetRef"]
    return f"{reference['kind']}/{reference['name']}"


def _job_done(obj: Obj) -> str:
    return f"{obj.get('status', {}).get('succeeded', 0)}/{obj['spec'].get('completions', 1)}"


def _hosts(obj: Obj) -> str:
    rules = obj.get("spec", {}).get("rules") or []
    return ",".join(rule.get("host", "*") for rule in rules) or "*"


_NAME = Column("Name", _at("metadata", "name"))
_AGE = Column("Age", lambda obj: age(obj["metadata"].get("creationTimestamp")))
_TEMPLATE = (
    Column("Containers", _containers("name"), WIDE),
    Column("Images", _containers("image"), WIDE),
    Column("Selector", _pairs("spec", "selector", "matchLabels"), WIDE),
)


def _count(name: str, *path: str) -> Column:
    return Column(name, _at(*path, default=0), 0, "integer")


def _between(*columns: Column) -> tuple[Column, ...]:
    """Columns after the name and before the age; wide ones go to the end."""
    narrow = [column for column in columns if not column.priority]
    return (_NAME, *narrow, _AGE, *(column for column in columns if column.priority))


_COLUMNS: dict[str, tuple[Column, ...]] = {
    "pods": _between(
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        Column("IP", _at("status", "podIP", default=NONE), WIDE),
        Column("Node", _at("spec", "nodeName", default=NONE), WIDE),
        Column("Nominated Node", _at("status", "nominatedNodeName", default=NONE), WIDE),
        Column("Readiness Gates", _readiness_gates, WIDE),
    ),
    "deployments": _between(
        Column("Ready", _deployment_ready),
        _count("Up-to-date", "status", "updatedReplicas"),
        _count("Available", "status", "availableReplicas"),
        *_TEMPLATE,
    ),
    "replicasets": _between(
        _count("Desired", "spec", "replicas"),
        _count("Current", "status", "replicas"),
        _count("Ready", "status", "readyReplicas"),
        *_TEMPLATE,
    ),
    "statefulsets": _between(Column("Ready", _deployment_ready), *_TEMPLATE[:2]),
    "services": _between(
        Column("Type", _at("spec", "type")),
        Column("Cluster-IP", _at("spec", "clusterIP", default=NONE)),
        Column("External-IP", _service_address),
        Column("Port(s)", _service_ports),
        Column("Selector", _pairs("spec", "selector"), WIDE),
    ),
    "endpoints": _between(Column("Endpoints", _endpoints)),
    "namespaces": _between(Column("Status", _at("status", "phase"))),
    "nodes": _between(
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        Column("Version", _at("status", "nodeInfo", "kubeletVersion")),
        Column("Internal-IP", _node_address("InternalIP"), WIDE),
        Column("External-IP", _node_address("ExternalIP"), WIDE),
        Column("OS-Image", _at("status", "nodeInfo", "osImage"), WIDE),
        Column("Kernel-Version", _at("status", "nodeInfo", "kernelVersion"), WIDE),
        Column("Container-Runtime", _at("status", "nodeInfo", "containerRuntimeVersion"), WIDE),
    ),
    "events": (
        Column("Last Seen", _event_age),
        Column("Type", _at("type")),
        Column("Reason", _at("reason")),
        Column("Object", _event_object),
        Column("Source", _at("source", "component"), WIDE),
        Column("Message", _at("message")),
        Column("Name", _at("metadata", "name"), WIDE),
    ),
    "configmaps": _between(Column("Data", lambda obj: len(obj.get("data") or {}))),
    "secrets": _between(
        Column("Type", _at("type", default="Opaque")),
        Column("Data", lambda obj: len(obj.get("data") or {})),
    ),
    "leases": _between(Column("Holder", _at("spec", "holderIdentity"))),
    "poddisruptionbudgets": _between(
        Column("Min Available", _at("spec", "minAvailable", default="N/A")),
        Column("Max Unavailable", _at("spec", "maxUnavailable", default="N/A")),
        _count("Allowed Disruptions", "status", "disruptionsAllowed"),
    ),
    "horizontalpodautoscalers": _between(
        Column("Reference", _workload),
        Column("Targets", _targets),
        _count("MinPods", "spec", "minReplicas"),
        _count("MaxPods", "spec", "maxReplicas"),
        _count("Replicas", "status", "currentReplicas"),
    ),
    "jobs": _between(Column("Completions", _job_done)),
    "cronjobs": _between(Column("Schedule", _at("spec", "schedule"))),
    "ingresses": _between(Column("Hosts", _hosts)),
    "networkpolicies": _between(
        Column("Pod-Selector", _pairs("spec", "podSelector", "matchLabels"))
    ),
    "customresourcedefinitions": (
        _NAME,
        Column("Created At", _at("metadata", "creationTimestamp")),
    ),
    "virtualservices": _between(
        Column("Gateways", _joined("spec", "gateways")), Column("Hosts", _joined("spec", "hosts"))
    ),
    "destinationrules": _between(Column("Host", _at("spec", "host"))),
    "gateways": _between(Column("Selector", _pairs("spec", "selector"))),
    "serviceentries": _between(
        Column("Hosts", _joined("spec", "hosts")),
        Column("Location", _at("spec", "location")),
        Column("Resolution", _at("spec", "resolution")),
    ),
}
_PLAIN = (_NAME, _AGE)


def columns_of(kind: Kind) -> tuple[Column, ...]:
    """The columns of a kind; name and age for one without columns of its own."""
    return _COLUMNS.get(kind.plural, _PLAIN)
