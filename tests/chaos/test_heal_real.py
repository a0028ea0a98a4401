"""Healing every kind of object on a real API server: exact, everywhere, and beside others."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from bare_api import NAMESPACE, BareApi
from chaos_carriers import deployment, node, tag
from chaos_objects import pod, virtual_service

from runner.chaos import fields, labelled, owned
from runner.chaos.annotation import Tag
from runner.chaos.carriers import CARRIERS, REPLICAS, UNSCHEDULABLE
from runner.chaos.client import ApiRefusalError, KubeCluster, edit
from runner.chaos.heal import Scope, heal
from runner.chaos.objects import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENVOY_FILTERS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    VIRTUAL_SERVICES,
    Kind,
    Object,
)
from runner.chaos.virtualservice import abort_block, add_fault, delay_block

pytestmark = pytest.mark.sandbox

RUN = "2026-11-20T101500Z-feed"
OTHER_NAMESPACE = "elsewhere"
OURS = ("resourceVersion", "generation", "managedFields")


def fault(number: int = 1) -> Tag:
    block = abort_block(503, 50) if number % 2 else delay_block(1.0, 100)
    return tag(f"0{number}-x", RUN, service="payment-api", block=block)


DEPLOYMENT = {
    **deployment(),
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "order-api"}},
        "template": {
            "metadata": {"labels": {"app": "order-api"}},
            "spec": {"containers": [{"name": "app", "image": "shop"}]},
        },
    },
}
POD = pod("hr-pod")
del POD["metadata"]["uid"], POD["metadata"]["ownerReferences"], POD["status"]
USERS: tuple[tuple[Kind, Object], ...] = (
    (VIRTUAL_SERVICES, virtual_service()),
    (VIRTUAL_SERVICES, virtual_service("annotated", annotations={"his": "1"})),
    (DEPLOYMENTS, DEPLOYMENT),
    (PODS, POD),
    (NODES, node()),
)
"""What the user has."""

INJECT: dict[Kind, Callable[[Object, Tag], Object]] = {
    VIRTUAL_SERVICES: lambda obj, one: add_fault(
        obj, Tag(**{**_fields(one), "service": obj["metadata"]["name"]})
    ),
    DEPLOYMENTS: lambda obj, one: fields.push(obj, one, REPLICAS, 0),
    NODES: lambda obj, one: fields.push(obj, one, UNSCHEDULABLE, True),
    PODS: labelled.mark,
}
POLICY = {"podSelector": {"matchLabels": {"app": "x"}}, "policyTypes": ["Ingress"]}
OWNED: dict[Kind, Object] = {
    ENVOY_FILTERS: {"spec": {"workloadSelector": {"labels": {"app": "x"}}}},
    NETWORK_POLICIES: {"spec": POLICY},
}


def _fields(one: Tag) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def bare(obj: Object) -> str:
    """Everything but what the API server keeps for itself, as JSON."""
    kept = {name: value for name, value in obj["metadata"].items() if name not in OURS}
    return json.dumps({**obj, "metadata": kept}, sort_keys=True)


def state(cluster: KubeCluster) -> dict[str, str]:
    """All objects of all kinds that can carry a fault, everywhere."""
    return {
        f"{carrier.kind.plural}/{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}": (
            bare(obj)
        )
        for carrier in CARRIERS
        for obj in cluster.items(carrier.kind, None)
    }


def inject(cluster: KubeCluster, one: Tag, namespace: str = NAMESPACE) -> int:
    """Put a fault on each of the user's objects, and make each that is one; how many."""
    for kind, obj in USERS:
        where = namespace if kind.namespaced else ""
        now = cluster.read(kind, where, obj["metadata"]["name"])
        edit(cluster, kind, now, lambda at, kind=kind: INJECT[kind](at, one))  # type: ignore[misc]
    for kind, content in OWNED.items():
        cluster.create(kind, owned.make(kind, namespace, one, content))
    return len(USERS) + len(OWNED)


@pytest.fixture
def cluster(bare_api: BareApi) -> Iterator[KubeCluster]:
    """A client, and the user's objects in two namespaces."""
    from kubernetes.client.exceptions import ApiException

    found = KubeCluster(str(bare_api.kubeconfig), "seatrial-bare")
    with suppress(ApiException):
        bare_api.core.create_namespace({"metadata": {"name": OTHER_NAMESPACE}})
    made = []
    for namespace in (NAMESPACE, OTHER_NAMESPACE):
        for kind, obj in USERS:
            one = copy.deepcopy(obj)
            if kind.namespaced:
                one["metadata"]["namespace"] = namespace
            with suppress(ApiRefusalError):  # A node is in both.
                made.append((kind, found.create(kind, one)))
    yield found
    for kind, obj in made:
        with suppress(ApiRefusalError):
            now = found.read(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            found.delete(kind, now, 0.0)


def test_every_object_is_what_it_was_byte_for_byte(cluster: KubeCluster) -> None:
    """Goal: restore exactness on a real server. Method: two faults on every kind in each of two
    namespaces; everything is compared with before, and a second heal writes nothing."""
    before = state(cluster)
    put = 0
    for number in (1, 2):
        for namespace in (NAMESPACE, OTHER_NAMESPACE):
            put += inject(cluster, fault(number), namespace)
    assert len(state(cluster)) == len(before) + 2 * 2 * len(OWNED)
    report = heal(cluster, Scope(NAMESPACE, run=RUN, everywhere=True), settle_s=0.0)
    assert (report.left, report.notes) == ([], [])
    # Each of the user's objects carried two; the node belongs to no namespace.
    assert len(report.removed) == 2 * (len(USERS) - 1) + 1 + 2 * 2 * len(OWNED)
    assert state(cluster) == before
    versions = [obj["metadata"]["resourceVersion"] for obj in cluster.items(DEPLOYMENTS, None)]
    assert heal(cluster, Scope(NAMESPACE, everywhere=True), settle_s=0.0).removed == []
    assert versions == [
        obj["metadata"]["resourceVersion"] for obj in cluster.items(DEPLOYMENTS, None)
    ]


def test_only_the_namespace_that_was_asked_for(cluster: KubeCluster) -> None:
    before = state(cluster)
    inject(cluster, fault(), OTHER_NAMESPACE)
    report = heal(cluster, Scope(NAMESPACE, run=RUN), settle_s=0.0)
    assert report.removed == ["node/node-a"]  # It belongs to no namespace.
    assert state(cluster) != before
    heal(cluster, Scope(OTHER_NAMESPACE, run=RUN), settle_s=0.0)
    assert state(cluster) == before


def noted(obj: Object, text: str) -> Object:
    """``obj`` with a note of the user's; without it when it is empty."""
    metadata = copy.deepcopy(obj["metadata"])
    annotations = {**metadata.pop("annotations", {}), "his-note": text}
    if not text:
        del annotations["his-note"]
    return {**obj, "metadata": metadata | ({"annotations": annotations} if annotations else {})}


def test_healers_at_the_same_time_and_a_user_who_edits_do_each_other_no_harm(
    cluster: KubeCluster,
) -> None:
    """Goal: optimistic concurrency. Method: three healers, while the user writes into the very
    objects again and again; without his notes all is as before."""
    before = state(cluster)
    inject(cluster, fault(1))
    inject(cluster, fault(2))
    problems: list[str] = []
    over = threading.Event()

    def work() -> None:
        report = heal(cluster, Scope(NAMESPACE, run=RUN), deadline_s=20.0, settle_s=0.05)
        problems.extend(report.left)

    def write(text: str) -> None:
        for kind, obj in USERS:
            where = NAMESPACE if kind.namespaced else ""
            now = cluster.read(kind, where, obj["metadata"]["name"])
            edit(cluster, kind, now, lambda at: noted(at, text), deadline_s=20.0)

    def scribble() -> None:
        count = 0
        while not over.is_set():
            write(str(count := count + 1))

    user = threading.Thread(target=scribble)
    healers = [threading.Thread(target=work) for _ in range(3)]
    for thread in (user, *healers):
        thread.start()
    for thread in healers:
        thread.join()
    over.set()
    user.join()
    assert problems == []
    write("")
    assert state(cluster) == before


def test_a_marker_is_found_and_stays(cluster: KubeCluster) -> None:
    """Goal: a marker is never just deleted, on a real server either. Method: heal everything."""
    marker = cluster.create(CONFIG_MAPS, owned.make(CONFIG_MAPS, NAMESPACE, fault(), {"data": {}}))
    report = heal(cluster, Scope(NAMESPACE), settle_s=0.0)
    name = marker["metadata"]["name"]
    assert report.left[0].startswith(f"configmap/{name} in {NAMESPACE}: fault 01-x of run {RUN}: ")
    cluster.delete(CONFIG_MAPS, cluster.read(CONFIG_MAPS, NAMESPACE, name))
