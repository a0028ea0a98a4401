"""PATCH requests: which kind of patch, applied to what, stored how."""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.bodies import APPLY, JSON_PATCH, MERGE, PATCH_TYPES, STRATEGIC
from runner.targets.sandbox.apiserver.errors import StatusError, bad_request
from runner.targets.sandbox.apiserver.lifecycle import (
    Place,
    WriteOptions,
    apply,
    bare,
    change,
    existing,
    show,
)
from runner.targets.sandbox.apiserver.patches import json_patch, merge_patch, strategic_patch
from runner.targets.sandbox.apiserver.store import Store
from runner.targets.sandbox.apiserver.subresources import scale_of, set_scale


def patch_type(content_type: str) -> str:
    """The kind of patch of a request.

    Raises:
        StatusError: 415 when it is none of the four.
    """
    media = content_type.partition(";")[0].strip().lower()
    if media not in PATCH_TYPES:
        accepted = ", ".join(PATCH_TYPES)
        message = (
            "the body of the request was in an unknown format - accepted media types include:"
            f" {accepted}"
        )
        raise StatusError(415, message)
    return media


def patched(place: Place, media: str, target: Obj, patch: Any) -> Obj:
    """A shown object after a patch.

    Raises:
        StatusError: 400, 415 or 422.
    """
    if media == JSON_PATCH:
        return json_patch(target, patch)
    if not isinstance(patch, dict):
        raise bad_request("json: cannot unmarshal a list into an object: a patch of this type")
    if media == STRATEGIC:
        return strategic_patch(place.kind, target, patch)
    result: Obj = merge_patch(target, patch)
    return result


def patch_object(
    store: Store, place: Place, media: str, body: Any, options: WriteOptions
) -> tuple[Obj, bool]:
    """Patch an object or its status: the new state, and whether it was created (by apply).

    Raises:
        StatusError: 400, 404, 409, 415 or 422.
    """
    if media == APPLY:
        return _apply(store, place, body, options)
    live = existing(store, place)
    result = patched(place, media, show(place, live), body)
    # A version in the object at hand is the live one, unless the patch itself states another.
    return change(store, place, live, bare(place, result), options), False


def patch_scale(store: Store, place: Place, media: str, body: Any, options: WriteOptions) -> Obj:
    """Patch the Scale of a workload; the new Scale."""
    scale = scale_of(existing(store, place))
    kind = MERGE if media in {STRATEGIC, APPLY} else media
    return set_scale(store, place, patched(place, kind, scale, body), options)


def _apply(store: Store, place: Place, body: Any, options: WriteOptions) -> tuple[Obj, bool]:
    if not isinstance(body, dict) or not body.get("apiVersion") or not body.get("kind"):
        raise bad_request("apply needs an object with apiVersion and kind")
    config = bare(place, body)
    if config["metadata"].get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    return apply(store, place, config, options)
