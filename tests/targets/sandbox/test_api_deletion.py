"""Deleting and evicting objects in the store: grace, owners, finalizers, budgets."""

from __future__ import annotations

from typing import Any

import pytest
from api_rig import READY_STATUS, deployment, pod
from api_store_rig import CONFIGMAPS, DEPLOYMENTS, STATUS, Obj, at, make, new_store, running, update

from runner.targets.sandbox.apiserver.deletion import DeleteOptions, delete, delete_options
from runner.targets.sandbox.apiserver.disruption import budget_status, refresh
from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import BUDGETS, NAMESPACES, PODS
from runner.targets.sandbox.apiserver.store import Store
from runner.targets.sandbox.apiserver.subresources import bind, evict


@pytest.fixture
def store() -> Store:
    return new_store()


def test_a_pod_on_a_node_is_marked_then_deleted_by_its_kubelet(store: Store) -> None:
    """With grace it stays, marked; a shorter grace shortens; grace 0 removes."""
    live = running(store, "p", grace_s=30)
    marked, gone = delete(store, PODS, live, DeleteOptions())
    assert (marked["metadata"]["deletionGracePeriodSeconds"], gone) == (30, False)
    sooner, _ = delete(store, PODS, marked, DeleteOptions(grace_s=5))
    assert sooner["metadata"]["deletionGracePeriodSeconds"] == 5
    same, _ = delete(store, PODS, sooner, DeleteOptions(grace_s=20))
    assert same["metadata"]["deletionGracePeriodSeconds"] == 5
    reported = update(store, PODS, "p", STATUS, status={"phase": "Running"})
    _, gone = delete(store, PODS, reported, DeleteOptions(grace_s=0))
    assert (gone, store.get(PODS, "n", "p")) == (True, None)


@pytest.mark.parametrize("state", ["unassigned", "Failed", "Succeeded"])
def test_a_pod_that_nobody_runs_goes_at_once(store: Store, state: str) -> None:
    """Without a node, or ended: no grace."""
    live = make(store, PODS, pod("p", grace_s=30))
    if state != "unassigned":
        running(store, "q", grace_s=30)
        live = update(store, PODS, "q", STATUS, status={"phase": state})
    assert delete(store, PODS, live, DeleteOptions(grace_s=30))[1]


def test_preconditions_of_a_deletion(store: Store) -> None:
    """Another UID or version conflicts, and nothing is deleted."""
    live = make(store, PODS, pod("p"))
    for options in (DeleteOptions(uid="x"), DeleteOptions(version="1")):
        with pytest.raises(StatusError, match="Precondition failed") as refused:
            delete(store, PODS, live, options)
        assert refused.value.code == 409
    assert store.get(PODS, "n", "p") == live


def test_finalizers_hold_an_object_until_they_are_taken_away(store: Store) -> None:
    """Marked at deletion, gone with the last finalizer, and its dependents with it."""
    body = {"metadata": {"name": "c", "finalizers": ["x", "y"]}}
    live = make(store, CONFIGMAPS, body)
    child = {"metadata": {"name": "d", "ownerReferences": [owner(live)]}}
    make(store, CONFIGMAPS, child)
    assert delete(store, CONFIGMAPS, live, DeleteOptions())[1] is False
    update(store, CONFIGMAPS, "c", metadata={"finalizers": ["y"]})
    assert store.get(CONFIGMAPS, "n", "d") is not None
    update(store, CONFIGMAPS, "c", metadata={"finalizers": []})
    assert [store.get(CONFIGMAPS, "n", name) for name in "cd"] == [None, None]


def owner(obj: Obj) -> Obj:
    return {"uid": obj["metadata"]["uid"], "name": obj["metadata"]["name"], "controller": True}


def chain(store: Store) -> list[Obj]:
    """Three objects, each owned by the one before."""
    made: list[Obj] = []
    for name in ("a", "b", "c"):
        metadata: Obj = {"name": name}
        if made:
            metadata["ownerReferences"] = [owner(made[-1])]
        made.append(make(store, CONFIGMAPS, {"metadata": metadata}))
    return made


def left(store: Store) -> list[str]:
    return [one["metadata"]["name"] for one in store.select(CONFIGMAPS, "n")]


@pytest.mark.parametrize(
    ("propagation", "remaining"), [("Background", []), ("Foreground", []), ("Orphan", ["b", "c"])]
)
def test_what_is_owned_follows_its_owner(
    store: Store, propagation: str, remaining: list[str]
) -> None:
    """Transitively, in every propagation but Orphan, which cuts the tie."""
    first = chain(store)[0]
    delete(store, CONFIGMAPS, first, DeleteOptions(propagation=propagation))
    assert left(store) == remaining
    if remaining:
        orphan = store.get(CONFIGMAPS, "n", "b")
        assert orphan is not None
        assert "ownerReferences" not in orphan["metadata"]


def test_a_second_owner_keeps_it_alive(store: Store) -> None:
    """Garbage is what has lost all its owners."""
    one, two = (make(store, CONFIGMAPS, {"metadata": {"name": name}}) for name in ("a", "b"))
    owners = [owner(one), owner(two)]
    make(store, CONFIGMAPS, {"metadata": {"name": "c", "ownerReferences": owners}})
    delete(store, CONFIGMAPS, one, DeleteOptions())
    assert left(store) == ["b", "c"]
    delete(store, CONFIGMAPS, two, DeleteOptions())
    assert left(store) == []


def test_foreground_waits_for_what_is_slow_to_go(store: Store) -> None:
    """The owner stays, marked, until the pod that it owns has been ended by its kubelet."""
    parent = make(store, DEPLOYMENTS, deployment())
    body = pod("p", grace_s=30)
    body["metadata"]["ownerReferences"] = [owner(parent)]
    make(store, PODS, body)
    bind(store, at(PODS, "p"), {"target": {"name": "node"}}, dry_run=False)
    delete(store, DEPLOYMENTS, parent, DeleteOptions(propagation="Foreground"))
    waiting = store.get(DEPLOYMENTS, "n", "web")
    assert waiting is not None
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    child = store.get(PODS, "n", "p")
    assert child is not None
    delete(store, PODS, child, DeleteOptions(grace_s=0))
    assert store.get(DEPLOYMENTS, "n", "web") is None


def test_a_namespace_goes_when_it_is_empty(store: Store) -> None:
    """Terminating, it takes nothing new while a pod in it ends; with a thousand objects in it."""
    for number in range(1000):
        make(store, CONFIGMAPS, {"metadata": {"name": f"c{number}"}})
    running(store, "p", grace_s=30)
    space = store.get(NAMESPACES, "", "n")
    assert space is not None
    delete(store, NAMESPACES, space, DeleteOptions())
    waiting = store.get(NAMESPACES, "", "n")
    assert waiting is not None
    assert (waiting["status"]["phase"], left(store)) == ("Terminating", [])
    with pytest.raises(StatusError, match="it is being terminated") as refused:
        make(store, CONFIGMAPS, {"metadata": {"name": "late"}})
    assert refused.value.code == 403
    child = store.get(PODS, "n", "p")
    assert child is not None
    delete(store, PODS, child, DeleteOptions(grace_s=0))
    assert store.get(NAMESPACES, "", "n") is None


def test_the_default_namespace_stays(store: Store) -> None:
    """403, as in Kubernetes."""
    space = store.get(NAMESPACES, "", "default")
    assert space is not None
    with pytest.raises(StatusError, match="may not be deleted"):
        delete(store, NAMESPACES, space, DeleteOptions())


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        (None, {}, DeleteOptions()),
        ({"gracePeriodSeconds": 5}, {"gracePeriodSeconds": "9"}, DeleteOptions(grace_s=5)),
        ({}, {"gracePeriodSeconds": "9", "dryRun": "All"}, DeleteOptions(grace_s=9, dry_run=True)),
        ({"orphanDependents": True}, {}, DeleteOptions(propagation="Orphan")),
        (
            {"preconditions": {"uid": "u"}, "dryRun": ["All"]},
            {},
            DeleteOptions(uid="u", dry_run=True),
        ),
    ],
)
def test_options_of_a_deletion(body: Any, query: dict[str, str], expected: DeleteOptions) -> None:
    """From the body and from the query; the body wins."""
    assert delete_options(body, query) == expected


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"gracePeriodSeconds": "soon"},
        {"gracePeriodSeconds": -1},
        {"propagationPolicy": "Maybe"},
    ],
)
def test_options_of_a_deletion_that_make_no_sense(body: Any) -> None:
    """They are refused, never ignored."""
    with pytest.raises(StatusError):
        delete_options(body or [1], {})


def budget(store: Store, **spec: Any) -> Obj:
    body = {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "web"}}} | spec}
    made = make(store, BUDGETS, body)
    refresh(store, BUDGETS, "n")
    return made


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({"minAvailable": 2}, 1),
        ({"minAvailable": 3}, 0),
        ({"minAvailable": "50%"}, 1),
        ({"minAvailable": "34%"}, 1),
        ({"maxUnavailable": 1}, 1),
        ({"maxUnavailable": 0}, 0),
        ({"maxUnavailable": "100%"}, 3),
        ({}, 1),
    ],
)
def test_budget_counts(store: Store, spec: Obj, allowed: int) -> None:
    """Three ready pods; percentages are rounded up."""
    for name in "abc":
        running(store, name)
    status = budget_status(store, budget(store, **spec))
    assert status["disruptionsAllowed"] == allowed
    assert (status["currentHealthy"], status["expectedPods"]) == (3, 3)
    live = store.get(BUDGETS, "n", "b")
    assert live is not None
    assert live["status"]["disruptionsAllowed"] == allowed


def test_the_owner_says_how_many_pods_are_expected(store: Store) -> None:
    """One of a deployment's two pods is missing: maxUnavailable 1 is used up already."""
    parent = make(store, DEPLOYMENTS, deployment())
    body = pod("p")
    body["metadata"]["ownerReferences"] = [owner(parent)]
    make(store, PODS, body)
    bind(store, at(PODS, "p"), {"target": {"name": "node"}}, dry_run=False)
    update(store, PODS, "p", STATUS, status=READY_STATUS)
    status = budget_status(store, budget(store, maxUnavailable=1))
    assert (status["expectedPods"], status["disruptionsAllowed"]) == (2, 0)


def test_an_eviction_is_a_deletion_that_asks(store: Store) -> None:
    """Allowed once, then refused with 429 and the budget's name; an unready pod may always go."""
    for name in ("a", "b"):
        running(store, name, grace_s=0)
    budget(store, minAvailable=1)
    eviction = {"kind": "Eviction", "metadata": {"name": "a"}}
    assert evict(store, at(PODS, "a"), eviction, dry_run=False)["status"] == "Success"
    assert store.get(PODS, "n", "a") is None
    with pytest.raises(StatusError) as refused:
        evict(store, at(PODS, "b"), eviction, dry_run=False)
    assert (refused.value.code, refused.value.reason) == (429, "TooManyRequests")
    assert "The disruption budget b needs 1" in refused.value.details["causes"][0]["message"]
    update(store, PODS, "b", STATUS, status={"phase": "Running", "conditions": []})
    evict(store, at(PODS, "b"), eviction, dry_run=True)
    assert store.get(PODS, "n", "b") is not None
    evict(store, at(PODS, "b"), eviction, dry_run=False)
    assert store.get(PODS, "n", "b") is None
