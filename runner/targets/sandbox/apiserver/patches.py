"""Merge patch, JSON patch and strategic merge patch: pure functions over objects.

Sources: RFC 7386, RFC 6902, and the directives of Kubernetes' strategic merge patch (``$patch``,
``$retainKeys``, ``$setElementOrder/…``, ``$deleteFromPrimitiveList/…``).
"""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import jsonpointer

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import StatusError, bad_request
from runner.targets.sandbox.apiserver.kinds import Kind
from runner.targets.sandbox.apiserver.shapes import FieldPath, list_shape

ORDER = "$setElementOrder/"
DROP = "$deleteFromPrimitiveList/"
OPERATIONS_MAX = 10_000


def merge_patch(target: Any, patch: Any) -> Any:
    """The target after a JSON merge patch (RFC 7386); neither argument is changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Obj, operations: Any) -> Obj:
    """The target after a JSON patch (RFC 6902); the target is not changed.

    Raises:
        StatusError: 400 for a patch that is none; 422 for one that does not fit the object.
    """
    if not isinstance(operations, list):
        raise bad_request("a JSON patch must be a list of operations")
    if len(operations) > OPERATIONS_MAX:
        raise StatusError(413, f"a JSON patch may have at most {OPERATIONS_MAX} operations")
    try:
        patch = jsonpatch.JsonPatch(operations)
    except (jsonpatch.InvalidJsonPatch, jsonpointer.JsonPointerException, TypeError) as error:
        raise bad_request(f"error decoding patch: {error}") from error
    try:
        result = patch.apply(target)
    except (
        jsonpatch.JsonPatchException,
        jsonpointer.JsonPointerException,
        TypeError,
        ValueError,
        KeyError,
    ) as error:
        message = f"the server rejected our request due to an error in our request: {error}"
        raise StatusError(422, message) from error
    if not isinstance(result, dict):
        raise bad_request("a JSON patch must leave an object")
    return result


def strategic_patch(kind: Kind, target: Obj, patch: Any) -> Obj:
    """The target after a strategic merge patch; neither argument is changed.

    Raises:
        StatusError: 415 for a custom resource, 400 for a malformed patch.
    """
    if kind.custom:
        message = (
            "the body of the request was in an unknown format - accepted media types include:"
            " application/json-patch+json, application/merge-patch+json,"
            " application/apply-patch+yaml"
        )
        raise StatusError(415, message)
    if not isinstance(patch, dict):
        raise bad_request("a strategic merge patch must be an object")
    return _merge_map(kind, target, patch, ())


def _merge_map(kind: Kind, target: Any, patch: Obj, path: FieldPath) -> Obj:
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: _clean(value) for key, value in patch.items() if not key.startswith("$")}
    if directive == "delete":
        return {}
    if directive not in {None, "merge"}:
        raise bad_request(f"unknown patch type: {directive!r}")
    result: Obj = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merge_map(kind, result.get(key), value, (*path, key))
        elif isinstance(value, list):
            result[key] = _merge_list(kind, result.get(key), value, (*path, key))
        else:
            result[key] = value
    _directives(kind, result, patch, path)
    return result


def _directives(kind: Kind, result: Obj, patch: Obj, path: FieldPath) -> None:
    """Carry out the directives that stand beside the fields of a map."""
    if isinstance(patch.get("$retainKeys"), list):
        for key in [key for key in result if key not in patch["$retainKeys"]]:
            del result[key]
    for key, value in patch.items():
        if key.startswith(DROP) and isinstance(result.get(key.removeprefix(DROP)), list):
            name = key.removeprefix(DROP)
            result[name] = [item for item in result[name] if item not in value]
    for key, value in patch.items():
        if key.startswith(ORDER) and isinstance(result.get(key.removeprefix(ORDER)), list):
            name = key.removeprefix(ORDER)
            shape = list_shape(kind, (*path, name))
            merge_key = shape.merge_key if shape else ""
            result[name] = _ordered(result[name], value, merge_key)


def _merge_list(kind: Kind, target: Any, patch: list[Any], path: FieldPath) -> list[Any]:
    shape = list_shape(kind, path)
    live: list[Any] = target if isinstance(target, list) else []
    if shape is None:
        return [_clean(item) for item in patch]
    if not shape.merge_key:
        return [*live, *(item for item in patch if item not in live)]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [_clean(item) for item in patch if item.get("$patch") != "replace"]
    result = list(live)
    for item in patch:
        if not isinstance(item, dict) or shape.merge_key not in item:
            field = ".".join(path)
            raise bad_request(f"map: {item} does not contain declared merge key of {field}")
        index = _position(result, shape.merge_key, item[shape.merge_key])
        if item.get("$patch") == "delete":
            result = [one for one in result if one.get(shape.merge_key) != item[shape.merge_key]]
        elif index is None:
            result.append(_merge_map(kind, {}, item, path))
        else:
            result[index] = _merge_map(kind, result[index], item, path)
    return result


def _position(items: list[Any], key: str, value: Any) -> int | None:
    for index, item in enumerate(items):
        if isinstance(item, dict) and item.get(key) == value:
            return index
    return None


def _ordered(items: list[Any], order: list[Any], merge_key: str) -> list[Any]:
    """The items in the order asked for; items that the order does not name keep their places."""

    def identity(item: Any) -> Any:
        return item.get(merge_key) if merge_key and isinstance(item, dict) else item

    ranks = {repr(identity(item)): rank for rank, item in enumerate(order)}
    named = [item for item in items if repr(identity(item)) in ranks]
    named.sort(key=lambda item: ranks[repr(identity(item))])
    queue = iter(named)
    return [next(queue) if repr(identity(item)) in ranks else item for item in items]


def _clean(value: Any) -> Any:
    """A copy without directives and without nulls, for what is newly put in place."""
    if isinstance(value, dict):
        return {
            key: _clean(inner)
            for key, inner in value.items()
            if not key.startswith("$") and inner is not None
        }
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value
