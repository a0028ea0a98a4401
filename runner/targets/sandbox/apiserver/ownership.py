"""Who owns which field of an object: ``managedFields`` and server-side apply."""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.kinds import Kind


def first_applied(kind: Kind, api_version: str, config: Obj, manager: str, time: str) -> list[Any]:
    return []


def updated(
    kind: Kind, live: Obj | None, obj: Obj, manager: str, time: str, subresource: str
) -> list[Any]:
    return []


def applied(kind: Kind, live: Obj, config: Obj, manager: str) -> tuple[Obj, list[Any]]:
    from runner.targets.sandbox.apiserver.patches import merge_patch, strategic_patch

    if kind.custom:
        return merge_patch(live, config), []
    return strategic_patch(kind, live, config), []
