"""Sets of fields of an object, and their ``FieldsV1`` form. Pure functions.

A field is a path of steps as ``FieldsV1`` writes them: ``f:<name>``, ``k:<keys of a list item>``,
``v:<value in a set>``. A set of fields holds the leaves, and for a list of items each item itself.
Source: the structured-merge-diff format of Kubernetes' server-side apply.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.kinds import Kind
from runner.targets.sandbox.apiserver.shapes import (
    FieldPath,
    ListShape,
    is_atomic_map,
    item_key,
    list_shape,
)

Steps = tuple[str, ...]
FieldSet = frozenset[Steps]

UNOWNED_METADATA = frozenset(
    {
        "name",
        "namespace",
        "generateName",
        "uid",
        "selfLink",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    }
)
ITEM = object()
"""The value of a list item as such, apart from what is in it."""


def leaves(kind: Kind, obj: Obj) -> dict[Steps, Any]:
    """The fields of an object that can be owned, with their values."""
    owned = {key: value for key, value in obj.items() if key not in {"apiVersion", "kind"}}
    metadata = owned.get("metadata") or {}
    kept = {key: value for key, value in metadata.items() if key not in UNOWNED_METADATA}
    owned = {key: value for key, value in owned.items() if key != "metadata"}
    return dict(_walk(kind, owned | ({"metadata": kept} if kept else {}), (), ()))


def _walk(kind: Kind, value: Any, steps: Steps, names: FieldPath) -> Iterator[tuple[Steps, Any]]:
    if isinstance(value, dict) and not (value == {} or is_atomic_map(kind, names)):
        for key, inner in value.items():
            yield from _walk(kind, inner, (*steps, f"f:{key}"), (*names, key))
        return
    shape = list_shape(kind, names) if isinstance(value, list) and value else None
    if shape is None:
        if steps:
            yield steps, value
        return
    for item in value:
        step = item_step(item, shape)
        yield (*steps, step), ITEM
        if shape.keys and isinstance(item, dict):
            yield from _walk(kind, item, (*steps, step), names)


def item_step(item: Any, shape: ListShape) -> str:
    """The step into a list that leads to an item."""
    key = item_key(item, shape)
    if not shape.keys:
        return "v:" + _compact(item)
    return "k:" + _compact(dict(zip(shape.keys, key, strict=False)))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def to_fields_v1(fields: Iterable[Steps]) -> Obj:
    """The nested form of a set of fields."""
    root: Obj = {}
    ends: list[Obj] = []
    for steps in sorted(fields):
        node = root
        for step in steps:
            node = node.setdefault(step, {})
        ends.append(node)
    for node in ends:
        if node:
            node["."] = {}
    return root


def from_fields_v1(nested: Any) -> FieldSet:
    """The set of fields of its nested form; what is malformed is left out."""
    return frozenset(_ends(nested, ()))


def _ends(node: Any, steps: Steps) -> Iterator[Steps]:
    if not isinstance(node, dict):
        return
    inner = [key for key in node if key != "."]
    if steps and (not inner or "." in node):
        yield steps
    for key in inner:
        yield from _ends(node[key], (*steps, key))


def merged(kind: Kind, live: Any, config: Any, names: FieldPath = ()) -> Any:
    """The live value with the configured fields set; neither is changed."""
    if isinstance(config, dict):
        if not isinstance(live, dict) or is_atomic_map(kind, names):
            return config
        result = dict(live)
        for key, value in config.items():
            known = result.get(key)
            result[key] = value if known is None else merged(kind, known, value, (*names, key))
        return result
    shape = list_shape(kind, names) if isinstance(config, list) and names else None
    if shape is None or not isinstance(live, list):
        return config
    places = {item_key(item, shape): index for index, item in enumerate(live)}
    items = list(live)
    for item in config:
        index = places.get(item_key(item, shape))
        if index is None:
            items.append(item)
        elif shape.keys:
            items[index] = merged(kind, items[index], item, names)
    return items


def without(kind: Kind, obj: Obj, fields: Iterable[Steps], kept: Iterable[Steps]) -> Obj:
    """The object without some fields; list items stay while a kept field is in them."""
    guarded = {steps[:depth] for steps in kept for depth in range(1, len(steps) + 1)}
    result: Any = obj
    for steps in sorted(fields, key=len):
        if steps not in guarded:
            result = _removed(kind, result, steps, ())
    return dict(result)


def _removed(kind: Kind, value: Any, steps: Steps, names: FieldPath) -> Any:
    """A value without the field at ``steps``; maps and lists that this empties go too."""
    step, rest = steps[0], steps[1:]
    if step.startswith("f:") and isinstance(value, dict):
        name = step[2:]
        if name not in value:
            return value
        inner = _removed(kind, value[name], rest, (*names, name)) if rest else None
        if inner is None or (inner in ({}, []) and value[name] not in ({}, [])):
            return {key: old for key, old in value.items() if key != name}
        return value | {name: inner}
    shape = list_shape(kind, names) if isinstance(value, list) else None
    if shape is None:
        return value
    items = []
    for item in value:
        if item_step(item, shape) != step:
            items.append(item)
        elif rest:
            is_key = len(rest) == 1 and rest[0][2:] in shape.keys
            items.append(item if is_key else _removed(kind, item, rest, names))
    return items
