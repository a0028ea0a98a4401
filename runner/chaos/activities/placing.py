"""A fault on one field of somebody's object: put there, read back, held. What activities share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from runner.chaos import fields
from runner.chaos.activities.shared import subject_of
from runner.chaos.annotation import Tag, read_tags
from runner.chaos.client import Cluster, edit, patiently
from runner.chaos.effects import record
from runner.chaos.objects import Kind, Object
from runner.errors import FaultError


def set_field(
    cluster: Cluster,
    kind: Kind,
    obj: Object,
    tag: Tag,
    *,
    path: Sequence[str],
    value: Any,
    effects: str,
) -> Object:
    """Set the field at ``path`` of ``obj`` by the fault of ``tag``, in one request with the tag.

    Raises:
        FaultError: When a fault of this name is there already, or the object is gone.
    """
    if tag.key in read_tags(obj):
        raise FaultError(
            f"{subject_of(obj)} carries a fault that is named {tag.key} already",
            accepted="another name for this fault",
            hint=f"if nobody needs the old one: seatrial heal {tag.run}",
        )
    after = edit(cluster, kind, obj, partial(fields.push, tag=tag, path=path, value=value))
    if after is None:
        raise FaultError(f"{subject_of(obj)} was deleted while the fault was injected")
    was = read_tags(after)[tag.key].state.get(fields.WAS)
    detail = f"{'.'.join(path)} {_shown(was)} → {_shown(value)}"
    record("injected", subject_of(obj), detail, effects)
    return after


def in_place(
    cluster: Cluster, kind: Kind, namespace: str, key: str, path: Sequence[str]
) -> tuple[Object, Tag]:
    """The object that carries the fault ``key``, and its tag, as read now.

    Raises:
        FaultError: When there is none (any more), or somebody has changed the field.
    """
    found = [
        (obj, tags[key])
        for obj in patiently(lambda: cluster.items(kind, namespace))
        if key in (tags := fields.faults_on(obj)) and tags[key] is not None
    ]
    if not found:
        raise FaultError(f"no {kind.name.lower()} carries {key} (any more)")
    obj, tag = found[0]
    if tag is None:  # pragma: no cover - sorted out above; for the type checker
        raise FaultError(f"{subject_of(obj)} carries {key} without saying what it was")
    newest = list(read_tags(obj).values())[-1]
    # A newer fault on the same field may have set it to something else.
    expected, now = newest.state.get(fields.SET), fields.read(obj, path)
    if now != expected:
        raise FaultError(
            f"somebody has set {'.'.join(path)} of {subject_of(obj)} to {_shown(now)}, "
            f"while {newest.key} has set it to {_shown(expected)}"
        )
    return obj, tag


def _shown(value: Any) -> str:
    return (
        "unset" if value is None else str(value).lower() if isinstance(value, bool) else f"{value}"
    )
