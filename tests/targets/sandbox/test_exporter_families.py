"""The exporter's metrics: names, labels and values, made of objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import Metric

from runner.targets.sandbox.exporter import Meter
from runner.targets.sandbox.exporter_families import Usage, World, families

OWNER = {"kind": "ReplicaSet", "name": "order-api-x", "controller": True}
POD = {
    "metadata": {
        "name": "order-api-x-1",
        "namespace": "ecommerce",
        "uid": "u1",
        "creationTimestamp": "1970-01-01T00:01:40Z",
        "labels": {"app": "order-api", "version": "v1"},
        "ownerReferences": [OWNER],
    },
    "spec": {
        "nodeName": "n",
        "containers": [
            {
                "name": "order-api",
                "image": "seatrial.dev/shop:1",
                "resources": {
                    "requests": {"cpu": "50m", "memory": "64Mi"},
                    "limits": {"cpu": "500m", "memory": "128Mi"},
                },
            },
            {"name": "istio-proxy", "image": "seatrial.dev/proxy:1"},
        ],
    },
    "status": {
        "phase": "Running",
        "podIP": "127.64.0.2",
        "hostIP": "127.0.0.1",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [
            {
                "name": "order-api",
                "ready": False,
                "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            },
            {"name": "istio-proxy", "ready": True, "restartCount": 0, "state": {"running": {}}},
        ],
    },
}
DEPLOYMENT = {
    "metadata": {"name": "order-api", "namespace": "ecommerce", "generation": 3},
    "spec": {"replicas": 2},
    "status": {
        "replicas": 2,
        "availableReplicas": 1,
        "observedGeneration": 3,
        "conditions": [{"type": "Available", "status": "False"}],
    },
}
NODE = {
    "metadata": {"name": "n"},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "capacity": {"cpu": "2", "memory": "1Ki", "pods": "250"},
    },
}
WORLD = World(
    pods=(POD,), deployments=(DEPLOYMENT,), nodes=(NODE,), usage={"u1": Usage(1.5, 2048, 7.0)}
)


def samples(name: str, world: World = WORLD) -> dict[frozenset[tuple[str, str]], float]:
    def all_of() -> Iterator[tuple[str, dict[str, str], float]]:
        metric: Metric
        for metric in families(world):
            for each in metric.samples:
                yield each.name, each.labels, each.value

    return {frozenset(labels.items()): value for own, labels, value in all_of() if own == name}


def value(name: str, **labels: str) -> float:
    """The value of the only sample that has these labels among its own."""
    found = [number for own, number in samples(name).items() if frozenset(labels.items()) <= own]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def test_the_queries_of_the_reference_system_find_their_series() -> None:
    """CPU over requests and memory over limits: one series per pod, in core and byte."""
    pod = {"namespace": "ecommerce", "pod": "order-api-x-1", "container": "order-api"}
    assert value("container_cpu_usage_seconds_total", **pod) == 1.5
    assert value("container_memory_working_set_bytes", **pod) == 2048
    requests, limits = "kube_pod_container_resource_requests", "kube_pod_container_resource_limits"
    assert value(requests, **pod, resource="cpu", unit="core", node="n") == 0.05
    assert value(requests, **pod, resource="memory", unit="byte") == 64 * 2**20
    assert value(limits, **pod, resource="cpu") == 0.5
    assert value(limits, **pod, resource="memory") == 128 * 2**20
    assert len(samples("container_cpu_usage_seconds_total")) == 1


def test_a_pods_state() -> None:
    """Phase and readiness are one series per possible value, of which one is 1."""
    pod = {"namespace": "ecommerce", "pod": "order-api-x-1", "uid": "u1"}
    assert value("kube_pod_status_phase", **pod, phase="Running") == 1
    assert sum(samples("kube_pod_status_phase").values()) == 1
    assert value("kube_pod_status_ready", **pod, condition="true") == 0
    assert value("kube_pod_status_ready", **pod, condition="false") == 1
    assert value("kube_pod_created", **pod) == 100
    info = {"created_by_kind": "ReplicaSet", "created_by_name": "order-api-x", "node": "n"}
    assert value("kube_pod_info", **pod, pod_ip="127.64.0.2", **info) == 1
    assert value("kube_pod_labels", **pod, label_app="order-api", label_version="v1") == 1


def test_a_containers_state() -> None:
    """Restarts, reasons and exit codes are those of its container, not of the pod."""
    app, proxy = {"container": "order-api"}, {"container": "istio-proxy"}
    assert value("kube_pod_container_status_restarts_total", **app) == 4
    assert value("kube_pod_container_status_restarts_total", **proxy) == 0
    assert value("kube_pod_container_status_ready", **app) == 0
    assert value("kube_pod_container_status_ready", **proxy) == 1
    waiting = "kube_pod_container_status_waiting_reason"
    assert value(waiting, **app, reason="CrashLoopBackOff") == 1
    last = "kube_pod_container_status_last_terminated_reason"
    assert value(last, **app, reason="OOMKilled") == 1
    assert value("kube_pod_container_status_last_terminated_exitcode", **app) == 137
    assert len(samples(waiting)) == 1


def test_a_deployments_state() -> None:
    """Wanted and available replicas, for the PodDown alert; counts that are missing are 0."""
    own = {"namespace": "ecommerce", "deployment": "order-api"}
    assert value("kube_deployment_spec_replicas", **own) == 2
    assert value("kube_deployment_status_replicas_available", **own) == 1
    assert value("kube_deployment_status_replicas_updated", **own) == 0
    assert value("kube_deployment_metadata_generation", **own) == 3
    conditions = "kube_deployment_status_condition"
    assert value(conditions, **own, condition="Available", status="false") == 1


def autoscaled(status: dict[str, Any]) -> World:
    metadata = {"name": "order-api", "namespace": "ecommerce"}
    spec = {"minReplicas": 2, "maxReplicas": 4}
    return World(autoscalers=({"metadata": metadata, "spec": spec, "status": status},))


def test_an_autoscalers_state() -> None:
    """Its bounds and what it has and wants; before its first look it has and wants nothing."""
    labels = {"namespace": "ecommerce", "horizontalpodautoscaler": "order-api"}
    own = frozenset(labels.items())
    conditions = [{"type": "ScalingLimited", "status": "True"}]
    world = autoscaled({"currentReplicas": 2, "desiredReplicas": 3, "conditions": conditions})
    prefix = "kube_horizontalpodautoscaler"
    assert samples(f"{prefix}_spec_min_replicas", world) == {own: 2}
    assert samples(f"{prefix}_spec_max_replicas", world) == {own: 4}
    assert samples(f"{prefix}_status_current_replicas", world) == {own: 2}
    assert samples(f"{prefix}_status_desired_replicas", world) == {own: 3}
    limited = labels | {"condition": "ScalingLimited", "status": "true"}
    assert samples(f"{prefix}_status_condition", world)[frozenset(limited.items())] == 1
    new = autoscaled({"currentReplicas": 0, "desiredReplicas": 0})
    assert samples(f"{prefix}_status_desired_replicas", new) == {}
    assert samples(f"{prefix}_spec_max_replicas", new) == {own: 4}


def test_the_nodes_state() -> None:
    """Ready is a condition with three possible values; sizes have units."""
    assert value("kube_node_status_condition", condition="Ready", status="true") == 1
    assert value("kube_node_status_condition", condition="Ready", status="unknown") == 0
    assert value("kube_node_status_capacity", resource="memory", unit="byte") == 1024
    assert value("kube_node_status_capacity", resource="pods", unit="integer") == 250


def test_a_pod_without_a_process_has_no_usage() -> None:
    """No figure is better than a wrong one: no series, not 0."""
    assert samples("container_cpu_usage_seconds_total", WORLD._replace(usage={})) == {}


def test_a_replicaset_without_replicas_is_zero() -> None:
    """Old ReplicaSets stay as history; they are shown with 0 replicas and their owner."""
    metadata: dict[str, Any] = {"name": "old", "namespace": "ecommerce", "ownerReferences": [OWNER]}
    world = World(replicasets=({"metadata": metadata, "spec": {"replicas": 0}},))
    assert list(samples("kube_replicaset_spec_replicas", world).values()) == [0]


def test_the_meter_reads_living_processes_and_skips_others() -> None:
    """Our own process has used CPU and memory; a pid that cannot be has no figures."""
    meter = Meter()
    for _ in range(2):
        found = meter.read({"me": os.getpid(), "gone": 2**22 + 1})
    assert list(found) == ["me"]
    assert found["me"].cpu_s > 0
    assert found["me"].resident_bytes > 2**20
    assert list(meter._handles) == [os.getpid()]
