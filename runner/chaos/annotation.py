"""The annotation that says which faults an object carries: whose, and until when. Pure.

It is written in the same request as the fault itself, so an object never carries one without the
other. With it, anybody who can read the object can take the fault away; nothing else is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final

from runner.chaos.objects import Object
from runner.errors import FaultError
from runner.model import faultmark

ANNOTATION: Final = faultmark.ANNOTATION
PREFIX: Final = faultmark.PREFIX


@dataclass(frozen=True, slots=True)
class Tag:
    """One fault on one object.

    Attributes:
        run: Id of the run.
        fault: Id of the fault in its run.
        owner: Who injected it, for people.
        expires_at: UTC, ISO 8601; from then on anybody may remove it.
        service: Service whose routes are disturbed.
        block: Istio's ``fault`` block.
        headers: Only requests with these headers are hit: names in lower case, to Istio's string
            match (a plain text means exactly that value).
        source: Only requests of callers with these labels are hit.
        route: Only this route is disturbed: its name, or ``#2`` for the user's second one.
        kind: Kind of the fault, for people.
        state: What the way back needs, where the object itself does not tell.
    """

    run: str
    fault: str
    owner: str
    expires_at: str
    service: str = ""
    block: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    route: str = ""
    kind: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The fault's name on objects, and the start of the names of its routes."""
        return fault_key(self.run, self.fault)

    @property
    def conditions(self) -> dict[str, dict[str, str]]:
        """``headers`` with every condition as a string match."""
        return {
            name: {"exact": value} if isinstance(value, str) else dict(value)
            for name, value in self.headers.items()
        }

    def expired(self, now_s: float) -> bool:
        """Whether its time is over at Unix time ``now_s``; unreadable times are over."""
        try:
            until = datetime.fromisoformat(self.expires_at)
        except (ValueError, TypeError):
            return True
        return now_s >= (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp()


def fault_key(run: str, fault: str) -> str:
    """``seatrial-<run>-<fault>`` in lower case."""
    return f"{PREFIX}{run}-{fault}".lower()


def timestamp(wall_s: float) -> str:
    """Unix time as UTC in ISO 8601, to the second, rounded up."""
    return datetime.fromtimestamp(-(-wall_s // 1), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_ours(name: str, key: str | None = None) -> bool:
    """Whether ``name`` is the name of a copied route: of ``key``, or of any fault."""
    start = re.escape(key) if key else re.escape(PREFIX) + r".+"
    return re.fullmatch(start + r"-\d+", name) is not None


def read_tags(obj: Object) -> dict[str, Tag]:
    """The faults that ``obj`` says it carries, by key, oldest first.

    Raises:
        FaultError: When the annotation is there but cannot be read.
    """
    text = annotations_of(obj).get(ANNOTATION)
    if text is None:
        return {}
    try:
        tags = [_tag(entry) for entry in json.loads(text).values()]
        return {tag.key: tag for tag in tags}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        metadata = obj.get("metadata") or {}
        raise FaultError(
            f"annotation {ANNOTATION} of {metadata.get('name')!r} cannot be read: {error}",
            hint="seatrial heal --all removes it, with every route that is named seatrial-…",
        ) from error


def _tag(entry: Mapping[str, Any]) -> Tag:
    """The tag of an entry; what a newer version of this program wrote beside it is passed over."""
    tag = Tag(**{name: value for name, value in entry.items() if name in _KINDS_OF_VALUES})
    for name, kind in _KINDS_OF_VALUES.items():
        if not isinstance(getattr(tag, name), kind):
            raise TypeError(f"{name} is {getattr(tag, name)!r}")
    return tag


_KINDS_OF_VALUES: Final = {
    each.name: Mapping if str(each.type).startswith("Mapping") else str for each in fields(Tag)
}


def write_tags(obj: Object, tags: Mapping[str, Tag]) -> Object:
    """``obj`` with exactly these faults in its annotation; without it when there are none.

    The ``annotations`` map is made when it is needed, and removed when nothing is left in it. An
    object that has no annotation of ours, and is to have none, stays as it is.
    """
    if not tags and ANNOTATION not in annotations_of(obj):
        return obj
    metadata = dict(obj.get("metadata") or {})
    annotations = dict(annotations_of(obj))
    if tags:
        entries = {key: asdict(tag) for key, tag in tags.items()}
        annotations[ANNOTATION] = json.dumps(entries, separators=(",", ":"))
    else:
        annotations.pop(ANNOTATION, None)
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    return {**obj, "metadata": metadata}


def annotations_of(obj: Object) -> dict[str, str]:
    """The annotations of ``obj``; empty when it has none."""
    return (obj.get("metadata") or {}).get("annotations") or {}
