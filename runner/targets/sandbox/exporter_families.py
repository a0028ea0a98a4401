"""The metrics of pods, workloads and the node under cAdvisor's and kube-state-metrics' names.

Pure: objects and usage figures in, metric families out. Two deviations, both because one Envoy
serves all pods: the ``istio-proxy`` container has no usage figures, and there is no second set of
series per pod (with an empty ``container`` label), so that a sum over a pod counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from runner.targets.sandbox.pods import condition, quantity, seconds_of
from runner.targets.sandbox.programs import PROXY_IMAGE

Object = Mapping[str, Any]

PHASES: Final = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
STATUSES: Final = ("true", "false", "unknown")
UNITS: Final = {"cpu": "core", "memory": "byte"}
_POD: Final = ("namespace", "pod", "uid")
_CONTAINER: Final = ("namespace", "pod", "uid", "container")
_CADVISOR: Final = ("namespace", "pod", "container", "image", "name", "id")


class Usage(NamedTuple):
    """What a pod's process has used: CPU seconds (user and system), resident bytes, start time."""

    cpu_s: float
    resident_bytes: int
    started_s: float


class World(NamedTuple):
    """All that the metrics are made of; ``usage`` by pod uid."""

    pods: tuple[Object, ...] = ()
    replicasets: tuple[Object, ...] = ()
    deployments: tuple[Object, ...] = ()
    endpoints: tuple[Object, ...] = ()
    nodes: tuple[Object, ...] = ()
    autoscalers: tuple[Object, ...] = ()
    usage: Mapping[str, Usage] = {}


def families(world: World) -> Iterator[Metric]:
    """All metric families."""
    yield from _usage(world.pods, world.usage)
    yield from _pods(world.pods)
    yield from _containers(world.pods)
    yield from _resources(world.pods)
    yield from _deployments(world.deployments)
    yield from _replicasets(world.replicasets)
    yield from _endpoints(world.endpoints)
    yield from _nodes(world.nodes)
    yield from _autoscalers(world.autoscalers)


def _gauge(name: str, text: str, labels: Iterable[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=list(labels))


def _usage(pods: Iterable[Object], usage: Mapping[str, Usage]) -> Iterator[Metric]:
    cpu = CounterMetricFamily(
        "container_cpu_usage_seconds", "CPU time used, seconds.", labels=[*_CADVISOR, "cpu"]
    )
    working = _gauge("container_memory_working_set_bytes", "Resident memory.", _CADVISOR)
    resident = _gauge("container_memory_rss", "Resident memory.", _CADVISOR)
    started = _gauge("container_start_time_seconds", "Start, Unix seconds.", _CADVISOR)
    for pod in pods:
        metadata = pod["metadata"]
        used = usage.get(metadata["uid"])
        main = _main_container(pod)
        if used is None or main is None:
            continue
        path = f"/kubepods/pod{metadata['uid']}/{main['name']}"
        labels = [metadata["namespace"], metadata["name"], main["name"], main["image"]]
        labels += [f"{metadata['uid']}-{main['name']}", path]
        cpu.add_metric([*labels, "total"], used.cpu_s)
        working.add_metric(labels, used.resident_bytes)
        resident.add_metric(labels, used.resident_bytes)
        started.add_metric(labels, used.started_s)
    yield from (cpu, working, resident, started)


def _main_container(pod: Object) -> Object | None:
    for container in pod["spec"].get("containers") or ():
        if container.get("image") != PROXY_IMAGE:
            found: Object = container
            return found
    return None


def _identity(obj: Object) -> list[str]:
    metadata = obj["metadata"]
    return [metadata.get("namespace", ""), metadata["name"], metadata.get("uid", "")]


def _owner(obj: Object) -> tuple[str, str]:
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["kind"]), str(reference["name"])
    return "<none>", "<none>"


def _pods(pods: Iterable[Object]) -> Iterator[Metric]:
    info = _gauge(
        "kube_pod_info",
        "Information about a pod.",
        [*_POD, "host_ip", "pod_ip", "node", "created_by_kind", "created_by_name"],
    )
    labels = _gauge("kube_pod_labels", "Labels of a pod.", [*_POD, "label_app", "label_version"])
    owners = _gauge(
        "kube_pod_owner",
        "A pod's owner.",
        [*_POD, "owner_kind", "owner_name", "owner_is_controller"],
    )
    created = _gauge("kube_pod_created", "Creation, Unix seconds.", _POD)
    deleted = _gauge("kube_pod_deletion_timestamp", "Deletion, Unix seconds.", _POD)
    phase = _gauge("kube_pod_status_phase", "A pod's phase.", [*_POD, "phase"])
    ready = _gauge("kube_pod_status_ready", "Whether a pod is ready.", [*_POD, "condition"])
    since = _gauge("kube_pod_status_ready_time", "Since when it is ready, Unix seconds.", _POD)
    for pod in pods:
        own, status, metadata = _identity(pod), pod.get("status") or {}, pod["metadata"]
        kind, name = _owner(pod)
        node = pod["spec"].get("nodeName", "")
        where = [status.get("hostIP", ""), status.get("podIP", ""), node]
        info.add_metric([*own, *where, kind, name], 1)
        marks = metadata.get("labels") or {}
        labels.add_metric([*own, marks.get("app", ""), marks.get("version", "")], 1)
        owners.add_metric([*own, kind, name, "true" if name != "<none>" else "<none>"], 1)
        created.add_metric(own, seconds_of(metadata.get("creationTimestamp", "")))
        if metadata.get("deletionTimestamp"):
            deleted.add_metric(own, seconds_of(metadata["deletionTimestamp"]))
        for each in PHASES:
            phase.add_metric([*own, each], status.get("phase", "Unknown") == each)
        is_ready = condition(pod, "Ready")
        _add_condition(ready, own, is_ready.get("status", "False"))
        if is_ready.get("status") == "True":
            since.add_metric(own, seconds_of(is_ready.get("lastTransitionTime", "")))
    yield from (info, labels, owners, created, deleted, phase, ready, since)


def _add_condition(family: GaugeMetricFamily, labels: list[str], status: str) -> None:
    for each in STATUSES:
        family.add_metric([*labels, each], status.lower() == each)


def _containers(pods: Iterable[Object]) -> Iterator[Metric]:
    info = _gauge("kube_pod_container_info", "A container.", [*_CONTAINER, "image"])
    ready = _gauge("kube_pod_container_status_ready", "Whether it is ready.", _CONTAINER)
    running = _gauge("kube_pod_container_status_running", "Whether it runs.", _CONTAINER)
    restarts = CounterMetricFamily(
        "kube_pod_container_status_restarts", "Restarts of a container.", labels=list(_CONTAINER)
    )
    waiting = _gauge(
        "kube_pod_container_status_waiting_reason", "Why it waits.", [*_CONTAINER, "reason"]
    )
    ended = _gauge(
        "kube_pod_container_status_terminated_reason", "Why it ended.", [*_CONTAINER, "reason"]
    )
    last = _gauge(
        "kube_pod_container_status_last_terminated_reason",
        "Why it ended the last time.",
        [*_CONTAINER, "reason"],
    )
    code = _gauge(
        "kube_pod_container_status_last_terminated_exitcode", "Its last exit code.", _CONTAINER
    )
    for pod in pods:
        for each in (pod.get("status") or {}).get("containerStatuses") or ():
            own, state = [*_identity(pod), each["name"]], each.get("state") or {}
            info.add_metric([*own, each.get("image", "")], 1)
            ready.add_metric(own, bool(each.get("ready")))
            running.add_metric(own, "running" in state)
            restarts.add_metric(own, each.get("restartCount", 0))
            if "waiting" in state:
                waiting.add_metric([*own, state["waiting"].get("reason", "")], 1)
            if "terminated" in state:
                ended.add_metric([*own, state["terminated"].get("reason", "")], 1)
            if "terminated" in (before := each.get("lastState") or {}):
                last.add_metric([*own, before["terminated"].get("reason", "")], 1)
                code.add_metric(own, before["terminated"].get("exitCode", 0))
    yield from (info, ready, running, restarts, waiting, ended, last, code)


def _resources(pods: Iterable[Object]) -> Iterator[Metric]:
    labels = [*_CONTAINER, "node", "resource", "unit"]
    requests = _gauge("kube_pod_container_resource_requests", "Requested resources.", labels)
    limits = _gauge("kube_pod_container_resource_limits", "Limits of resources.", labels)
    for pod in pods:
        node = pod["spec"].get("nodeName", "")
        for container in pod["spec"].get("containers") or ():
            own = [*_identity(pod), container.get("name", ""), node]
            resources = container.get("resources") or {}
            for family, field in ((requests, "requests"), (limits, "limits")):
                for resource, amount in (resources.get(field) or {}).items():
                    if resource in UNITS:
                        family.add_metric([*own, resource, UNITS[resource]], quantity(amount))
    yield from (requests, limits)


def _deployments(deployments: Iterable[Object]) -> Iterator[Metric]:
    labels = ("namespace", "deployment")
    fields = {
        "replicas": "replicas",
        "replicas_ready": "readyReplicas",
        "replicas_available": "availableReplicas",
        "replicas_unavailable": "unavailableReplicas",
        "replicas_updated": "updatedReplicas",
        "observed_generation": "observedGeneration",
    }
    counts = {
        field: _gauge(f"kube_deployment_status_{name}", f"Its status: {field}.", labels)
        for name, field in fields.items()
    }
    wanted = _gauge("kube_deployment_spec_replicas", "Wanted replicas.", labels)
    generation = _gauge("kube_deployment_metadata_generation", "Generation.", labels)
    created = _gauge("kube_deployment_created", "Creation, Unix seconds.", labels)
    conditions = _gauge(
        "kube_deployment_status_condition", "Conditions.", [*labels, "condition", "status"]
    )
    for each in deployments:
        own, status, metadata = _identity(each)[:2], each.get("status") or {}, each["metadata"]
        replicas = each["spec"].get("replicas")
        wanted.add_metric(own, 1 if replicas is None else replicas)
        generation.add_metric(own, metadata.get("generation", 1))
        created.add_metric(own, seconds_of(metadata.get("creationTimestamp", "")))
        for field, family in counts.items():
            family.add_metric(own, status.get(field, 0))
        for found in status.get("conditions") or ():
            _add_condition(conditions, [*own, found["type"]], found["status"])
    yield from (*counts.values(), wanted, generation, created, conditions)


def _autoscalers(autoscalers: Iterable[Object]) -> Iterator[Metric]:
    labels = ("namespace", "horizontalpodautoscaler")
    prefix = "kube_horizontalpodautoscaler"
    fewest = _gauge(f"{prefix}_spec_min_replicas", "Fewest replicas.", labels)
    most = _gauge(f"{prefix}_spec_max_replicas", "Most replicas.", labels)
    current = _gauge(f"{prefix}_status_current_replicas", "Replicas found.", labels)
    desired = _gauge(f"{prefix}_status_desired_replicas", "Replicas asked for.", labels)
    conditions = _gauge(
        f"{prefix}_status_condition", "Conditions.", [*labels, "condition", "status"]
    )
    for each in autoscalers:
        own, spec, status = _identity(each)[:2], each["spec"], each.get("status") or {}
        floor = spec.get("minReplicas")
        fewest.add_metric(own, 1 if floor is None else floor)
        most.add_metric(own, spec.get("maxReplicas", 0))
        if status.get("conditions"):  # before the first look the numbers say nothing
            current.add_metric(own, status.get("currentReplicas", 0))
            desired.add_metric(own, status.get("desiredReplicas", 0))
        for found in status.get("conditions") or ():
            _add_condition(conditions, [*own, found["type"]], found["status"])
    yield from (fewest, most, current, desired, conditions)


def _replicasets(replicasets: Iterable[Object]) -> Iterator[Metric]:
    labels = ("namespace", "replicaset")
    wanted = _gauge("kube_replicaset_spec_replicas", "Wanted replicas.", labels)
    have = _gauge("kube_replicaset_status_replicas", "Replicas.", labels)
    ready = _gauge("kube_replicaset_status_ready_replicas", "Ready replicas.", labels)
    owners = _gauge(
        "kube_replicaset_owner",
        "A ReplicaSet's owner.",
        [*labels, "owner_kind", "owner_name", "owner_is_controller"],
    )
    for each in replicasets:
        own, status = _identity(each)[:2], each.get("status") or {}
        kind, name = _owner(each)
        wanted.add_metric(own, each["spec"].get("replicas") or 0)
        have.add_metric(own, status.get("replicas", 0))
        ready.add_metric(own, status.get("readyReplicas", 0))
        owners.add_metric([*own, kind, name, "true"], 1)
    yield from (wanted, have, ready, owners)


def _endpoints(endpoints: Iterable[Object]) -> Iterator[Metric]:
    labels = ("namespace", "endpoint")
    there = _gauge("kube_endpoint_address_available", "Addresses that are ready.", labels)
    missing = _gauge("kube_endpoint_address_not_ready", "Addresses that are not ready.", labels)
    for each in endpoints:
        own, subsets = _identity(each)[:2], each.get("subsets") or ()
        there.add_metric(own, sum(len(subset.get("addresses") or ()) for subset in subsets))
        not_ready = sum(len(subset.get("notReadyAddresses") or ()) for subset in subsets)
        missing.add_metric(own, not_ready)
    yield from (there, missing)


def _nodes(nodes: Iterable[Object]) -> Iterator[Metric]:
    info = _gauge("kube_node_info", "The node.", ("node", "kubelet_version", "internal_ip"))
    conditions = _gauge(
        "kube_node_status_condition", "Conditions.", ("node", "condition", "status")
    )
    labels = ("node", "resource", "unit")
    capacity = _gauge("kube_node_status_capacity", "Capacity.", labels)
    allocatable = _gauge("kube_node_status_allocatable", "What pods may use.", labels)
    cordoned = _gauge("kube_node_spec_unschedulable", "Whether it takes no new pods.", ("node",))
    for node in nodes:
        name, status = node["metadata"]["name"], node.get("status") or {}
        addresses = {each["type"]: each["address"] for each in status.get("addresses") or ()}
        version = (status.get("nodeInfo") or {}).get("kubeletVersion", "")
        info.add_metric([name, version, addresses.get("InternalIP", "")], 1)
        for found in status.get("conditions") or ():
            _add_condition(conditions, [name, found["type"]], found["status"])
        for family, field in ((capacity, "capacity"), (allocatable, "allocatable")):
            for resource, amount in (status.get(field) or {}).items():
                family.add_metric(
                    [name, resource, UNITS.get(resource, "integer")], quantity(amount)
                )
        cordoned.add_metric([name], bool((node.get("spec") or {}).get("unschedulable")))
    yield from (info, conditions, capacity, allocatable, cordoned)
