"""Faults that are an object of their own: made by us, named for the fault, deleted as a whole.

Such an object has the fault's name (``seatrial-<run>-<fault>``), our label, and the same annotation
as an object of the user's that carries a fault. The name and one of the other two are enough to
know it; where both are lost, a name that has a run id in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from runner.chaos.annotation import PREFIX, Tag, read_tags, write_tags
from runner.chaos.objects import Kind, Object
from runner.errors import FaultError
from runner.model.faultmark import OWNED_LABEL, OWNED_SELECTOR, OWNED_VALUE, names_a_run

MAX_NAME: Final = 253

__all__ = ["OWNED_SELECTOR", "faults_on", "make", "object_name", "without"]


def object_name(key: str) -> str:
    """``key`` as the name of an object; cut, with a checksum, where it is too long for one."""
    if len(key) <= MAX_NAME:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()[:10]
    return f"{key[: MAX_NAME - 11]}-{digest}"


def make(kind: Kind, namespace: str, tag: Tag, content: Mapping[str, Any]) -> Object:
    """The object of the fault of ``tag``; ``content`` is what it has beside its metadata."""
    bare: Object = {
        "apiVersion": f"{kind.group}/{kind.versions[0]}" if kind.group else kind.versions[0],
        "kind": kind.name,
        "metadata": {
            "name": object_name(tag.key),
            "namespace": namespace,
            "labels": {OWNED_LABEL: OWNED_VALUE},
        },
        **content,
    }
    return write_tags(bare, {tag.key: tag})


def faults_on(obj: Object) -> dict[str, Tag | None]:
    """The fault that ``obj`` is; empty for an object that is not ours."""
    metadata = obj.get("metadata") or {}
    name = str(metadata.get("name", ""))
    if not name.startswith(PREFIX):
        return {}
    try:
        tags = {key: tag for key, tag in read_tags(obj).items() if object_name(key) == name}
    except FaultError:
        tags = {}
    if tags:
        return dict(tags)
    labelled = (metadata.get("labels") or {}).get(OWNED_LABEL) == OWNED_VALUE
    return {name: None} if labelled or names_a_run(name) else {}


def without(obj: Object, keys: Iterable[str]) -> Object | None:
    """None, which is to say that the object goes, if it is one of these faults."""
    return None if set(keys) & set(faults_on(obj)) else obj
