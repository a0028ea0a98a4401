"""Merge, JSON and strategic merge patches, as functions over objects."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import BY_PLURAL, PODS, SERVICES
from runner.targets.sandbox.apiserver.patches import json_patch, merge_patch, strategic_patch

DEPLOYMENTS = BY_PLURAL["apps", "deployments"]
VIRTUALSERVICES = BY_PLURAL["networking.istio.io", "virtualservices"]

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", max_size=1), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_its_standard(target: Any, patch: Any, result: Any) -> None:
    """The examples of RFC 7386, appendix A."""
    before = copy.deepcopy(target)
    assert merge_patch(target, patch) == result
    assert target == before


@given(JSON_VALUES, JSON_VALUES)
def test_merge_patch_is_idempotent(target: Any, patch: Any) -> None:
    """Applying a patch twice is applying it once."""
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


def test_json_patch_applies_in_order_and_leaves_its_target() -> None:
    """Add, test, move and remove; the argument stays as it was."""
    target = {"a": [1, 2], "b": {"c": 3}}
    operations = [
        {"op": "test", "path": "/b/c", "value": 3},
        {"op": "add", "path": "/a/-", "value": 9},
        {"op": "move", "from": "/b/c", "path": "/d"},
        {"op": "remove", "path": "/a/0"},
    ]
    assert json_patch(target, operations) == {"a": [2, 9], "b": {}, "d": 3}
    assert target == {"a": [1, 2], "b": {"c": 3}}


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ({"a": 1}, 400),
        (["x"], 400),
        ([{"op": "fly", "path": "/a"}], 400),
        ([{"op": "add"}], 400),
        ([{"op": "remove", "path": "/none"}], 422),
        ([{"op": "test", "path": "/a", "value": 2}], 422),
        ([{"op": "add", "path": "/a/b/c", "value": 2}], 422),
        ([{"op": "replace", "path": "", "value": 2}], 400),
        ([{"op": "remove", "path": "/a"}] * 10_001, 413),
    ],
)
def test_json_patch_refuses_what_does_not_fit(operations: Any, code: int) -> None:
    """Malformed patches are the caller's mistake (400); unfitting ones are invalid (422)."""
    with pytest.raises(StatusError) as refused:
        json_patch({"a": 1}, operations)
    assert refused.value.code == code


def containers(*listed: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(listed), **more}}}}


def test_strategic_patch_merges_lists_by_their_keys() -> None:
    """A container is found by name, its variables by name, its ports by number; the rest stays."""
    port = {"containerPort": 80, "name": "http"}
    app = {"name": "app", "image": "a:1", "env": [{"name": "A", "value": "1"}], "ports": [port]}
    target = containers({"name": "side", "image": "s:1"}, app)
    patch = containers(
        {
            "name": "app",
            "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "9"}],
            "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81}],
        }
    )
    merged = {
        "name": "app",
        "image": "a:1",
        "env": [{"name": "A", "value": "9"}, {"name": "B", "value": "2"}],
        "ports": [port | {"protocol": "TCP"}, {"containerPort": 81}],
    }
    expected = containers({"name": "side", "image": "s:1"}, merged)
    assert strategic_patch(DEPLOYMENTS, target, patch) == expected


def test_strategic_patch_knows_service_ports_by_their_number() -> None:
    """``port`` is the key in a Service, where ``containerPort`` does not exist."""
    target = {"spec": {"ports": [{"port": 80, "targetPort": 1}, {"port": 90}]}}
    result = strategic_patch(SERVICES, target, {"spec": {"ports": [{"port": 80, "targetPort": 2}]}})
    assert result == {"spec": {"ports": [{"port": 80, "targetPort": 2}, {"port": 90}]}}


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ([{"name": "b", "$patch": "delete"}], [{"name": "a", "v": 1}]),
        ([{"$patch": "replace"}, {"name": "c"}], [{"name": "c"}]),
        ([{"name": "a", "v": None}], [{"name": "a"}, {"name": "b"}]),
        ([{"name": "a", "$patch": "replace", "w": 2}], []),
    ],
)
def test_strategic_directives_in_lists(patch: list[Any], expected: list[Any]) -> None:
    """Delete one item, replace the whole list (by what does not bear the sign), drop a field."""
    target = {"spec": {"containers": [{"name": "a", "v": 1}, {"name": "b"}]}}
    result = strategic_patch(PODS, target, {"spec": {"containers": patch}})
    assert result["spec"]["containers"] == expected


def test_strategic_order_moves_the_named_and_leaves_the_others_in_place() -> None:
    """``$setElementOrder`` sorts what it names; an item that it does not name keeps its place."""
    target = {"spec": {"containers": [{"name": n} for n in ("server", "a", "b")]}}
    order = {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}
    result = strategic_patch(PODS, target, {"spec": order})
    assert [one["name"] for one in result["spec"]["containers"]] == ["server", "b", "a"]


def test_strategic_directives_in_maps() -> None:
    """``$retainKeys`` keeps only those, ``$patch: replace`` and ``delete`` empty a map first."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
    result = strategic_patch(DEPLOYMENTS, {"spec": {"strategy": strategy}}, {"spec": patch})
    assert result["spec"]["strategy"] == {"type": "Recreate"}
    labels = {"metadata": {"labels": {"a": "1"}}}
    replaced = {"metadata": {"labels": {"$patch": "replace", "b": "2"}}}
    assert strategic_patch(PODS, labels, replaced) == {"metadata": {"labels": {"b": "2"}}}
    deleted = {"metadata": {"labels": {"$patch": "delete"}}}
    assert strategic_patch(PODS, labels, deleted) == {"metadata": {"labels": {}}}


def test_strategic_sets_of_plain_values() -> None:
    """Finalizers are united, and taken away by their own directive."""
    target = {"metadata": {"finalizers": ["x", "y"]}}
    added = strategic_patch(PODS, target, {"metadata": {"finalizers": ["y", "z"]}})
    assert added["metadata"]["finalizers"] == ["x", "y", "z"]
    directive = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}}
    assert strategic_patch(PODS, target, directive)["metadata"]["finalizers"] == ["y"]


@pytest.mark.parametrize(
    ("kind", "patch", "code"),
    [
        (VIRTUALSERVICES, {"spec": {}}, 415),
        (PODS, [], 400),
        (PODS, {"spec": {"containers": [{"image": "a"}]}}, 400),
        (PODS, {"spec": {"$patch": "melt"}}, 400),
    ],
)
def test_strategic_patch_refuses(kind: Any, patch: Any, code: int) -> None:
    """Custom resources take none; an item without its key and unknown directives are mistakes."""
    with pytest.raises(StatusError) as refused:
        strategic_patch(kind, {"spec": {"containers": []}}, patch)
    assert refused.value.code == code
