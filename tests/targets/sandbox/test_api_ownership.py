"""Server-side apply and ``managedFields``: who owns what, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from api_rig import deployment, virtual_service
from api_store_rig import DEPLOYMENTS, Obj, at, new_store
from hypothesis import given
from hypothesis import strategies as st

from runner.targets.sandbox.apiserver.bodies import APPLY, MERGE
from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.fieldsets import from_fields_v1, leaves, to_fields_v1
from runner.targets.sandbox.apiserver.kinds import BY_PLURAL
from runner.targets.sandbox.apiserver.lifecycle import Place, WriteOptions, create
from runner.targets.sandbox.apiserver.ownership import UPDATERS_MAX, dotted, entries_of
from runner.targets.sandbox.apiserver.patching import patch_object
from runner.targets.sandbox.apiserver.store import Store

WEB = at(DEPLOYMENTS, "web")


@pytest.fixture
def store() -> Store:
    return new_store()


def apply(
    store: Store, config: Obj, manager: str = "one", *, place: Place = WEB, **more: Any
) -> Obj:
    return patch_object(store, place, APPLY, config, WriteOptions(manager=manager, **more))[0]


def merge(store: Store, patch: Obj, manager: str, **more: Any) -> Obj:
    return patch_object(store, WEB, MERGE, patch, WriteOptions(manager=manager, **more))[0]


def partial(**spec: Any) -> Obj:
    """A configuration that speaks of a few fields of an existing deployment only."""
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}


def owners(obj: Obj) -> dict[tuple[str, str], set[str]]:
    """(manager, operation) → the fields, as people read them."""
    return {
        (entry.author.manager, entry.author.operation): {dotted(one) for one in entry.fields}
        for entry in entries_of(obj)
    }


def test_apply_creates_and_owns_exactly_what_it_says(store: Store) -> None:
    """Defaults that the server filled in belong to nobody; neither does the identity."""
    obj, created = patch_object(store, WEB, APPLY, deployment(), WriteOptions(manager="one"))
    assert created
    app = '.spec.template.spec.containers[name="app"]'
    assert owners(obj) == {
        ("one", "Apply"): {
            ".metadata.labels.app",
            ".spec.replicas",
            ".spec.selector",
            ".spec.template.metadata.labels.app",
            ".spec.template.spec.terminationGracePeriodSeconds",
            app,
            f"{app}.name",
            f"{app}.image",
            f'{app}.env[name="A"]',
            f'{app}.env[name="A"].name',
            f'{app}.env[name="A"].value',
        }
    }


def test_another_value_conflicts_and_the_same_value_is_shared(store: Store) -> None:
    """The Status lists field and manager; a second applier of the same value co-owns it."""
    apply(store, deployment())
    with pytest.raises(StatusError) as refused:
        apply(store, partial(replicas=9), "two")
    assert refused.value.code == 409
    assert refused.value.details["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "one"',
            "field": ".spec.replicas",
        }
    ]
    shared = owners(apply(store, partial(replicas=2), "two"))
    assert shared["two", "Apply"] == {".spec.replicas"}
    assert ".spec.replicas" in shared["one", "Apply"]


def test_force_takes_a_field_over(store: Store) -> None:
    """The value changes, the former owner loses that field and keeps its others."""
    apply(store, deployment())
    obj = apply(store, partial(replicas=9), "two", force=True)
    assert obj["spec"]["replicas"] == 9
    assert ".spec.replicas" not in owners(obj)["one", "Apply"]
    assert ".metadata.labels.app" in owners(obj)["one", "Apply"]


def test_an_update_takes_what_it_changes(store: Store) -> None:
    """After another manager's patch, applying the old value is a conflict with that manager."""
    apply(store, deployment())
    obj = merge(store, {"spec": {"replicas": 5}}, "scaler")
    assert owners(obj)["scaler", "Update"] == {".spec.replicas"}
    with pytest.raises(StatusError, match='conflict with "scaler" using apps/v1'):
        apply(store, deployment())


def test_what_an_applier_leaves_out_goes_unless_another_owns_it(store: Store) -> None:
    """Three variables: mine alone goes, the shared one stays, the foreign one was never mine."""
    first = deployment()
    container = first["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": "1"} for name in ("mine", "shared", "kept")]
    apply(store, first)
    shared = {"name": "app", "env": [{"name": "shared", "value": "1"}]}
    apply(store, partial(template={"spec": {"containers": [shared]}}), "two")
    container["env"] = [{"name": "kept", "value": "2"}]
    obj = apply(store, first)
    found = obj["spec"]["template"]["spec"]["containers"][0]["env"]
    assert found == [{"name": "shared", "value": "1"}, {"name": "kept", "value": "2"}]


def test_the_last_field_left_out_takes_its_empty_map_along(store: Store) -> None:
    """No empty ``labels`` or ``annotations`` remains."""
    first = deployment()
    first["metadata"]["annotations"] = {"a": "1"}
    apply(store, first)
    del first["metadata"]["annotations"]
    assert "annotations" not in apply(store, first)["metadata"]


def test_a_foreign_part_of_an_item_keeps_the_item_and_its_key(store: Store) -> None:
    """An applier drops a container that another has given a variable: the other's part stays."""
    first = deployment()
    containers = first["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "side", "image": "s:1"})
    apply(store, first)
    side = {"name": "side", "image": "s:1", "tty": True}
    apply(store, partial(template={"spec": {"containers": [side]}}), "two")
    containers.pop()
    obj = apply(store, first)
    assert obj["spec"]["template"]["spec"]["containers"][1]["tty"] is True
    assert obj["spec"]["template"]["spec"]["containers"][1]["name"] == "side"


def test_applying_the_same_again_changes_nothing(store: Store) -> None:
    """No new version, no new generation, no new time of the entry."""
    first = apply(store, deployment())
    assert apply(store, deployment()) == first
    assert apply(store, deployment(), dry_run=True) == first


def test_a_dry_run_of_apply_stores_nothing(store: Store) -> None:
    """Neither the creation nor a change."""
    assert apply(store, deployment(), dry_run=True)["spec"]["replicas"] == 2
    assert store.get(DEPLOYMENTS, "n", "web") is None
    apply(store, deployment())
    assert (
        apply(store, partial(replicas=7), "two", dry_run=True, force=True)["spec"]["replicas"] == 7
    )
    live = store.get(DEPLOYMENTS, "n", "web")
    assert live is not None
    assert live["spec"]["replicas"] == 2


def test_status_is_applied_through_its_own_door(store: Store) -> None:
    """The entry bears the subresource, and the spec in the body is not looked at."""
    apply(store, deployment())
    config = partial(replicas=99) | {"status": {"replicas": 2}}
    obj = apply(store, config, "controller", subresource="status")
    assert (obj["spec"]["replicas"], obj["status"]["replicas"]) == (2, 2)
    raw = obj["metadata"]["managedFields"][-1]
    assert (raw["manager"], raw["subresource"]) == ("controller", "status")
    assert raw["fieldsV1"] == {"f:status": {"f:replicas": {}}}


def test_lists_of_custom_resources_are_one_value(store: Store) -> None:
    """``spec.http`` of a VirtualService is owned and replaced whole."""
    place = at(BY_PLURAL["networking.istio.io", "virtualservices"], "web")
    apply(store, virtual_service(), place=place)
    other = virtual_service()
    other["spec"]["http"] = [{"name": "only"}]
    with pytest.raises(StatusError, match=r'conflict with "one": \.spec\.http'):
        apply(store, other, "two", place=place)
    forced = apply(store, other, "two", place=place, force=True)
    assert forced["spec"]["http"] == [{"name": "only"}]


def test_nulls_are_left_out(store: Store) -> None:
    """A null in a configuration neither sets nor owns a field."""
    config = deployment()
    config["spec"]["paused"] = None
    obj = apply(store, config)
    assert "paused" not in obj["spec"]
    assert ".spec.paused" not in owners(obj)["one", "Apply"]


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"spec": {}}, 400),
        ([], 400),
        ({"apiVersion": "apps/v1", "kind": "Pod"}, 400),
        (partial() | {"metadata": {"managedFields": [{}]}}, 400),
        (partial() | {"metadata": {"uid": "nobody"}}, 409),
        (partial(replicas=1), 422),
    ],
)
def test_apply_refuses(store: Store, config: Any, code: int) -> None:
    """No type, another kind, made-up books, a UID of nothing, and an object that is not valid."""
    with pytest.raises(StatusError) as refused:
        apply(store, config)
    assert refused.value.code == code
    assert store.get(DEPLOYMENTS, "n", "web") is None


def test_updaters_are_bounded(store: Store) -> None:
    """Many managers that each set one label: the oldest become one entry, no field is lost."""
    create(store, at(DEPLOYMENTS), deployment(), WriteOptions(manager="maker"))
    for number in range(UPDATERS_MAX + 5):
        patch = {"metadata": {"labels": {f"l{number}": "x"}}}
        obj = merge(store, patch, f"manager-{number}")
    found = owners(obj)
    assert len(found) == UPDATERS_MAX
    assert ".metadata.labels.l0" in found["ancient-changes", "Update"]
    everything = set().union(*found.values())
    assert {f".metadata.labels.l{number}" for number in range(UPDATERS_MAX + 5)} <= everything


def test_books_can_be_rewritten_and_reset(store: Store) -> None:
    """kubectl hands fields from one manager to another; an empty list forgets all owners."""
    obj = apply(store, deployment())
    books = [entry | {"manager": "heir"} for entry in obj["metadata"]["managedFields"]]
    moved = merge(store, {"metadata": {"managedFields": books}}, "mover")
    assert set(owners(moved)) == {("heir", "Apply")}
    reset = merge(store, {"metadata": {"managedFields": [{}]}}, "mover")
    assert owners(reset) == {}


STEPS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"1"'])


@given(st.frozensets(st.lists(STEPS, min_size=1, max_size=4).map(tuple), max_size=12))
def test_fields_survive_their_written_form(fields: frozenset[tuple[str, ...]]) -> None:
    """Any set of paths, nested and read back, is the same set."""
    assert from_fields_v1(to_fields_v1(fields)) == fields


def test_leaves_stop_at_atomic_values() -> None:
    """A label selector and an ordinary list are leaves; so is an empty map."""
    obj = {
        "metadata": {"name": "x", "finalizers": ["f"]},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "strategy": {}, "args": [1, 2]},
    }
    assert {dotted(steps) for steps in leaves(DEPLOYMENTS, obj)} == {
        '.metadata.finalizers[="f"]',
        ".spec.selector",
        ".spec.strategy",
        ".spec.args",
    }
