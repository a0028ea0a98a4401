"""Faults that set one field of an object of the user's: pushed on a stack, and taken off it. Pure.

Each fault's tag, in the object's own annotation, says what the field was and what it was set to, so
that the stack needs no other memory. Taking a fault off restores what was before it, also from the
middle of the stack; but only what the fault itself had set: where somebody else has changed the
field meanwhile, his edit stays, and no older fault of the stack has anything to restore any more.
(Who sets the field to the very value that a fault has set it to cannot be told from the fault.)
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from runner.chaos.annotation import ANNOTATION, Tag, read_tags, write_tags
from runner.chaos.objects import Object
from runner.errors import FaultError

WAS, SET = "was", "set"

Path = Sequence[str]


def push(obj: Object, tag: Tag, path: Path, value: Any) -> Object:
    """``obj`` with the field at ``path`` set to ``value`` by the fault of ``tag``.

    Pushing the same fault again changes nothing, also when somebody else has changed the field.
    """
    tags = read_tags(obj)
    if tag.key in tags:
        return obj
    state = {WAS: read(obj, path), SET: value}
    tagged = write_tags(obj, {**tags, tag.key: replace(tag, state=state)})
    return written(tagged, path, value)


def without(obj: Object, keys: Iterable[str], path: Path) -> Object:
    """``obj`` without the faults of these keys; the field is what it would be without them.

    Raises:
        FaultError: When the annotation is damaged: nobody knows what the field was.
    """
    try:
        tags = read_tags(obj)
    except FaultError as error:
        raise FaultError(
            f"{error.message}, so nobody can tell what {'.'.join(path)} was before a fault made it "
            f"{json.dumps(read(obj, path))}",
            hint=f"set it by hand, then take the annotation away: {_kubectl(obj)}",
        ) from error
    for key in keys:
        if key in tags:
            obj, tags = _popped(obj, tags, key, path)
    return write_tags(obj, tags)


def _kubectl(obj: Object) -> str:
    metadata, kind = obj["metadata"], str(obj.get("kind", "")).lower()
    where = f" -n {metadata['namespace']}" if metadata.get("namespace") else ""
    return f"kubectl{where} annotate {kind} {metadata['name']} {ANNOTATION}-"


def _popped(
    obj: Object, tags: dict[str, Tag], key: str, path: Path
) -> tuple[Object, dict[str, Tag]]:
    order = list(tags)
    gone, above = tags[key], order[order.index(key) + 1 :]
    kept = {name: tag for name, tag in tags.items() if name != key}
    was, had_set = gone.state.get(WAS), gone.state.get(SET)
    if above:
        upper = tags[above[0]]
        if upper.state.get(WAS) == had_set:
            kept[upper.key] = replace(upper, state={**upper.state, WAS: was})
    elif read(obj, path) == had_set:
        obj = written(obj, path, was)
    else:
        now = read(obj, path)  # Somebody's edit, which is above all of them.
        kept = {name: replace(tag, state={WAS: now, SET: now}) for name, tag in kept.items()}
    return obj, kept


def faults_on(obj: Object) -> dict[str, Tag | None]:
    """The faults that ``obj`` says it carries; a damaged annotation shows as its own name."""
    try:
        return dict(read_tags(obj))
    except FaultError:
        return {ANNOTATION: None}


def read(obj: Object, path: Path) -> Any:
    """The value at ``path``; None where there is none."""
    value: Any = obj
    for step in path:
        value = (value or {}).get(step)
    return value


def written(obj: Object, path: Path, value: Any) -> Object:
    """A copy of ``obj`` with ``value`` at ``path``; None takes the field away."""
    made = copy.deepcopy(obj)
    holder = made
    for step in path[:-1]:
        holder = holder.setdefault(step, {})
    if value is None:
        holder.pop(path[-1], None)
    else:
        holder[path[-1]] = value
    return made
