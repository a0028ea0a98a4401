"""Healing every kind of object that can carry a fault, whatever has happened to it meanwhile."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
from chaos_carriers import NEVER, OTHER, RUN, carried, healed, same_bytes, tag
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, pod

from runner.chaos import labelled, owned
from runner.chaos.annotation import ANNOTATION, timestamp
from runner.chaos.carriers import CARRIERS
from runner.chaos.heal import Scope, heal
from runner.chaos.objects import (
    DEPLOYMENTS,
    ENVOY_FILTERS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    VIRTUAL_SERVICES,
    Kind,
)
from runner.model.faultmark import all_marks, marks_on

Object = dict[str, Any]

KINDS = [carrier.kind for carrier in CARRIERS if not carrier.rollback_elsewhere]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("scope", [{"run": RUN}, {"run": RUN, "fault": "01-x"}, {}])
def test_every_kind_is_healed_to_the_byte_and_then_left_alone(
    kind: Kind, scope: dict[str, Any]
) -> None:
    """Goal: exact, and idempotent. Method: a fault on each kind; heal twice, and count writes."""
    before, after = carried(kind, tag())
    cluster = FakeCluster().put(after, kind=kind)
    name = after["metadata"]["name"]
    assert all_marks([after]) == ((kind.subject(name), RUN, "01-x", NEVER),)
    where = f" in {NAMESPACE}" if kind.namespaced else ""
    assert healed(cluster, **scope).removed == [f"{kind.subject(name)}{where}"]
    assert cluster.objects[kind.plural].keys() == ({name} if before else set())
    if before is not None:
        assert same_bytes(cluster.spec(name, kind), before)
    cluster.calls.clear()
    again = healed(cluster, **scope)
    assert (again.removed, again.left, again.others) == ([], [], [])
    assert {call.split()[0] for call in cluster.calls} == {"items"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_faults_of_others_stay_and_are_named(kind: Kind) -> None:
    """Goal: only what was asked for goes. Method: another run's fault on each kind."""
    _, after = carried(kind, tag(run=OTHER))
    cluster = FakeCluster().put(after, kind=kind)
    report = healed(cluster, run=RUN)
    assert (report.removed, report.left) == ([], [])
    assert report.others == [
        f"{kind.subject(after['metadata']['name'])} still carries the fault 01-x of run {OTHER}"
    ]
    assert cluster.spec(after["metadata"]["name"], kind) == after


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_conflict_a_bad_moment_and_a_recreated_object_do_no_harm(kind: Kind) -> None:
    """Goal: 409 and 500 are survived; who has taken the name of a deleted object is left alone.

    Method: refusals before the write; then a rival puts a new object of the name in its place.
    """
    before, after = carried(kind, tag())
    name = after["metadata"]["name"]
    refusals = {"replace": [409, 500, 0, 429], "delete": [409, 500, 0, 429]}
    cluster = FakeCluster(refuse=refusals).put({**after}, kind=kind)
    assert healed(cluster, run=RUN).left == []
    fresh = copy.deepcopy(before or {**after, "metadata": {"name": name, "namespace": NAMESPACE}})
    if before is None:  # Named as ours and nothing else: only a name without a run id is his.
        fresh["metadata"]["name"] = name = "seatrial-notes"
        after["metadata"]["name"] = name
    fresh["metadata"]["uid"] = "new"

    def recreate(rival: FakeCluster) -> None:
        rival.meanwhile = None
        rival.put(fresh, kind=kind)

    after["metadata"]["uid"] = "old"
    if before is None:
        after["metadata"]["labels"] = {owned.OWNED_SELECTOR.split("=")[0]: "seatrial-fault"}
        del after["metadata"]["annotations"]
    cluster = FakeCluster(meanwhile=recreate).put(after, kind=kind)
    report = healed(cluster)
    assert (report.left, report.others) == ([], [])
    assert cluster.spec(name, kind) == fresh


def test_an_object_that_was_renewed_since_it_was_listed_is_not_expired_any_more() -> None:
    """Goal: the reaper never ends a fault that goes on. Method: its time is extended before the
    write, which conflicts."""
    old = carried(VIRTUAL_SERVICES, tag(until="2001-01-01T00:00:00Z"))[1]
    renewed = carried(VIRTUAL_SERVICES, tag())[1]

    def renew(rival: FakeCluster) -> None:
        rival.meanwhile = None
        rival.put(renewed)

    cluster = FakeCluster(meanwhile=renew).put(old)
    assert healed(cluster, expired=True).left == []
    assert cluster.spec("payment-api") == renewed


def test_clocks_may_differ_before_a_fault_counts_as_expired() -> None:
    """Goal: a margin, stated. Method: 20 s and 40 s past its time."""
    for seconds, removed in ((20, []), (40, ["deployment/order-api in ecommerce"])):
        until = timestamp(time.time() - seconds)
        after = carried(DEPLOYMENTS, tag(until=until))[1]
        cluster = FakeCluster().put(after, kind=DEPLOYMENTS)
        assert healed(cluster, expired=True).removed == removed
        assert healed(cluster, expired=True, margin_s=0.0).removed == (
            [] if removed else ["deployment/order-api in ecommerce"]
        )


# -- marks that were damaged -----------------------------------------------------------------------


def stripped(obj: Object, *parts: str) -> Object:
    made = copy.deepcopy(obj)
    for part in parts:
        made["metadata"].pop(part, None)
    return made


@pytest.mark.parametrize("kind", [ENVOY_FILTERS, NETWORK_POLICIES], ids=lambda kind: kind.name)
@pytest.mark.parametrize("lost", [("labels",), ("annotations",), ("labels", "annotations")])
def test_an_object_of_ours_is_known_by_what_is_left_of_its_marks(
    kind: Kind, lost: tuple[str, ...]
) -> None:
    damaged = stripped(carried(kind, tag())[1], *lost)
    (mark,) = marks_on(damaged)
    assert (mark.run, mark.fault) == (RUN, "01-x")
    cluster = FakeCluster().put(damaged, kind=kind)
    assert healed(cluster, run=OTHER).removed == []
    assert len(healed(cluster, run=RUN, fault="01-x").removed) == 1
    assert cluster.objects[kind.plural] == {}


def test_a_name_that_was_cut_is_still_that_of_its_fault() -> None:
    """Goal: a checksum is enough. Method: a fault with an endless id, its annotation lost."""
    fault = "f" * 300
    whole = carried(ENVOY_FILTERS, tag(fault))[1]
    name = whole["metadata"]["name"]
    assert len(name) == 253
    lost = stripped(whole, "annotations")
    cluster = FakeCluster().put(lost, kind=ENVOY_FILTERS)
    assert healed(cluster, run=RUN, fault="f" * 299).removed == []
    assert healed(cluster, run=RUN, fault=fault).removed == [f"envoyfilter/{name} in ecommerce"]
    cluster = FakeCluster().put(whole, kind=ENVOY_FILTERS)
    assert healed(cluster, run=RUN).removed == [f"envoyfilter/{name} in ecommerce"]


def test_users_objects_that_are_called_alike_are_not_ours() -> None:
    """Goal: nothing of his is deleted. Method: our prefix, a copy of a fault under his name."""
    his = {"kind": "NetworkPolicy", "metadata": {"name": "seatrial-allow", "namespace": NAMESPACE}}
    taken = carried(NETWORK_POLICIES, tag())[1]
    taken["metadata"]["name"] = "mine"
    cluster = FakeCluster().put(his, taken, kind=NETWORK_POLICIES)
    assert healed(cluster).removed == []
    assert cluster.objects["networkpolicies"].keys() == {"seatrial-allow", "mine"}


def test_a_pods_label_without_its_tag_goes_with_the_fault_that_selects_it() -> None:
    """Goal: a label that nobody explains. Method: the annotation of a pod is overwritten; heal the
    run while its EnvoyFilter is there, the fault by its id, everything, and another run."""
    lost = stripped(carried(PODS, tag())[1], "annotations")
    (label,) = [name for name in lost["metadata"]["labels"] if name.startswith("seatrial")]
    assert marks_on(lost) == (("pod/a", "", label, ""),)

    def cluster() -> FakeCluster:
        return FakeCluster().put(lost, kind=PODS)

    envoy = carried(ENVOY_FILTERS, tag())[1]
    scopes: list[tuple[FakeCluster, dict[str, Any]]] = [
        (cluster().put(envoy, kind=ENVOY_FILTERS), {"run": RUN}),
        (cluster(), {"run": RUN, "fault": "01-x"}),
        (cluster(), {}),
        (cluster(), {"expired": True}),
    ]
    for found, scope in scopes:
        assert "pod/a in ecommerce" in healed(found, **scope).removed
        assert found.spec("a", PODS) == pod("a")
    apart = cluster()
    assert healed(apart, run=OTHER).removed == []
    assert apart.spec("a", PODS) == lost


def test_a_label_of_another_fault_stays_when_one_is_taken_off() -> None:
    both = labelled.mark(carried(PODS, tag())[1], tag("02-y"))
    del both["metadata"]["annotations"]
    cluster = FakeCluster().put(both, kind=PODS)
    assert healed(cluster, run=RUN, fault="01-x").removed == ["pod/a in ecommerce"]
    assert labelled.label_of(tag("02-y").key) in cluster.spec("a", PODS)["metadata"]["labels"]


@pytest.mark.parametrize(("kind", "field"), [(DEPLOYMENTS, "replicas"), (NODES, "unschedulable")])
def test_a_field_that_nobody_knows_the_value_of_is_left_and_named(kind: Kind, field: str) -> None:
    """Goal: exit 5 rather than a guess. Method: an annotation that is cut off, and one that says
    nothing; the run it speaks of, another one, and all."""
    after = carried(kind, tag())[1]
    annotations = after["metadata"]["annotations"]
    annotations[ANNOTATION] = annotations[ANNOTATION][:-9]
    cluster = FakeCluster().put(after, kind=kind)
    scopes: list[dict[str, Any]] = [{"run": RUN}, {}]
    for scope in scopes:
        (left,) = healed(cluster, **scope).left
        assert left.startswith(kind.subject(after["metadata"]["name"]))
        assert f"what spec.{field} was before" in left
        assert "kubectl " in left
    report = healed(cluster, run=OTHER)
    assert report.left == []
    assert len(report.others) == 1
    annotations[ANNOTATION] = "?"
    cluster = FakeCluster().put(after, kind=kind)
    assert healed(cluster, run=RUN).left == []
    subject = kind.subject(after["metadata"]["name"])
    assert len(healed(cluster, run=RUN, expected=frozenset({subject})).left) == 1


def test_what_a_newer_version_wrote_beside_a_tag_is_passed_over() -> None:
    """Goal: an older reaper heals newer faults. Method: a field that nobody knows yet."""
    before, after = carried(DEPLOYMENTS, tag())
    assert before is not None
    annotations = after["metadata"]["annotations"]
    entries = json.loads(annotations[ANNOTATION])
    entries[tag().key]["weather"] = {"wind": 7}
    annotations[ANNOTATION] = json.dumps(entries)
    cluster = FakeCluster().put(after, kind=DEPLOYMENTS)
    assert healed(cluster, run=RUN).left == []
    assert cluster.spec("order-api", DEPLOYMENTS) == before


def test_an_object_that_waits_for_a_finalizer_is_named_with_it() -> None:
    """Goal: why it is still there. Method: a delete that only marks the object."""
    after = carried(NETWORK_POLICIES, tag())[1]
    after["metadata"] |= {"finalizers": ["net/x"], "deletionTimestamp": "2026-11-20T00:00:00Z"}
    cluster = FakeCluster()

    def back(seconds: float) -> None:
        cluster.put(after, kind=NETWORK_POLICIES)

    back(0)
    report = heal(cluster, Scope(NAMESPACE, run=RUN), sleep=back)
    assert report.left[0].endswith("it is being deleted, but waits for net/x")
