"""Who owns which field of an object: ``metadata.managedFields`` and server-side apply.

Rules (Kubernetes' "Field Management"): who changes a field by an update owns it, and nobody else
does any more; who applies a field shares it with others that want the same value, and conflicts
with those that want another; what an applier leaves out, and nobody else owns, is removed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.fieldsets import (
    ITEM,
    FieldSet,
    Steps,
    from_fields_v1,
    leaves,
    merged,
    to_fields_v1,
    without,
)
from runner.targets.sandbox.apiserver.kinds import Kind

APPLY, UPDATE = "Apply", "Update"
UPDATERS_MAX = 10
ANCIENT = "ancient-changes"


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, and how.

    Attributes:
        manager: Name of the field manager.
        operation: Apply or Update.
        api_version: The version that the fields' names belong to.
        time: When, as a timestamp.
        subresource: Through which subresource; empty for the object itself.
    """

    manager: str
    operation: str
    api_version: str
    time: str
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two entries one: versions are left out, for all show the same object."""
        return self.manager, self.operation, self.subresource


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of ``managedFields``."""

    author: Author
    fields: FieldSet


def entries_of(obj: Obj) -> list[Entry]:
    """The entries of an object; malformed ones are left out."""
    found = []
    for raw in obj["metadata"].get("managedFields") or []:
        if not isinstance(raw, dict) or raw.get("operation") not in {APPLY, UPDATE}:
            continue
        author = Author(
            manager=str(raw.get("manager") or ""),
            operation=raw["operation"],
            api_version=str(raw.get("apiVersion") or ""),
            time=str(raw.get("time") or ""),
            subresource=str(raw.get("subresource") or ""),
        )
        found.append(Entry(author, from_fields_v1(raw.get("fieldsV1"))))
    return found


def _written(entries: list[Entry]) -> list[Obj]:
    shown = []
    for entry in entries:
        if not entry.fields:
            continue
        author = entry.author
        raw = {
            "manager": author.manager,
            "operation": author.operation,
            "apiVersion": author.api_version,
            "time": author.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(entry.fields),
        }
        if author.subresource:
            raw["subresource"] = author.subresource
        shown.append(raw)
    return shown


def _with_own(entries: list[Entry], author: Author, fields: FieldSet) -> list[Entry]:
    """The entries with the author's own set to ``fields``; its time moves when they change."""
    others = [entry for entry in entries if entry.author.identity != author.identity]
    own = [entry for entry in entries if entry.author.identity == author.identity]
    if own and own[0].fields == fields:
        return entries
    return _bounded([*others, Entry(author, fields)])


def _bounded(entries: list[Entry]) -> list[Entry]:
    """At most UPDATERS_MAX updaters; the oldest become one."""
    updaters = [entry for entry in entries if entry.author.operation == UPDATE and entry.fields]
    if len(updaters) <= UPDATERS_MAX:
        return entries
    old = updaters[: len(updaters) - UPDATERS_MAX + 1]
    author = replace(old[-1].author, manager=ANCIENT, subresource="")
    ancient = Entry(author, frozenset().union(*(entry.fields for entry in old)))
    return [ancient, *(entry for entry in entries if entry not in old)]


def updated(kind: Kind, live: Obj | None, obj: Obj, author: Author) -> list[Obj]:
    """The ``managedFields`` after an update (or a creation) by ``author``.

    The entries are taken from ``obj``, in which the writer may have edited them.
    """
    before = leaves(kind, live) if live is not None else {}
    after = leaves(kind, obj)
    changed = frozenset(
        steps for steps, value in after.items() if steps not in before or before[steps] != value
    )
    lost = changed | (before.keys() - after.keys())
    entries = []
    own: FieldSet = frozenset()
    for entry in entries_of(obj):
        if entry.author.identity == author.identity:
            own = entry.fields
            entries.append(entry)
        else:
            entries.append(Entry(entry.author, entry.fields - lost))
    return _written(_with_own(entries, author, (own & after.keys()) | changed))


def applied(
    kind: Kind, live: Obj | None, config: Obj, author: Author, *, force: bool
) -> tuple[Obj, list[Obj]]:
    """An object after a server-side apply, and its ``managedFields``.

    Args:
        kind: The object's kind.
        live: The stored object; ``None`` when it is being created.
        config: What the author wants; fields that it leaves out are not touched, unless it
            applied them before.
        author: Who applies.
        force: Take fields over that others have with another value.

    Raises:
        StatusError: 409 with the fields and their owners, when there are such and no force.
    """
    config = _without_nulls(config)
    wanted = leaves(kind, config)
    if live is None:
        return config, _written([Entry(author, frozenset(wanted))])
    entries = entries_of(live)
    others = [entry for entry in entries if entry.author.identity != author.identity]
    have = leaves(kind, live)
    differing = frozenset(
        steps for steps, value in wanted.items() if value is not ITEM and have.get(steps) != value
    )
    conflicts = [(entry, entry.fields & differing) for entry in others]
    if not force and any(fields for _, fields in conflicts):
        raise _conflict_error([pair for pair in conflicts if pair[1]])
    others = [Entry(entry.author, entry.fields - differing) for entry in others]
    previous = next((e.fields for e in entries if e.author.identity == author.identity), None)
    shared: FieldSet = frozenset().union(*(entry.fields for entry in others))
    result = merged(kind, live, config)
    if previous:
        result = without(kind, result, previous - wanted.keys() - shared, shared | wanted.keys())
    own = [entry for entry in entries if entry.author.identity == author.identity]
    return result, _written(_with_own([*others, *own], author, frozenset(wanted)))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(inner) for k, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _conflict_error(conflicts: list[tuple[Entry, FieldSet]]) -> StatusError:
    causes = []
    said = []
    for entry, fields in conflicts:
        author = entry.author
        who = f'conflict with "{author.manager}"'
        if author.subresource:
            who += f' with subresource "{author.subresource}"'
        if author.operation == UPDATE:
            who += f" using {author.api_version}"
        shown = sorted(dotted(steps) for steps in fields)
        causes += [
            {"reason": "FieldManagerConflict", "message": who, "field": field} for field in shown
        ]
        said.append(f"{who}: {', '.join(shown)}")
    count = sum(len(fields) for _, fields in conflicts)
    noun = "conflict" if count == 1 else "conflicts"
    message = f"Apply failed with {count} {noun}: {'; '.join(said)}"
    return StatusError(409, message, details={"causes": causes})


def dotted(steps: Steps) -> str:
    """A path as a person reads it: ``.spec.template.spec.containers[name="x"].image``."""
    text = ""
    for step in steps:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            pairs = step[3:-1].replace('":', "=").replace('"', "", 1).replace(',"', ",")
            text += f"[{pairs}]"
        else:
            text += f"[={step[2:]}]"
    return text


def same_books(first: Obj, second: Obj) -> bool:
    """Whether two objects' ``managedFields`` say the same, whenever that was written."""
    return _timeless(first) == _timeless(second)


def _timeless(obj: Obj) -> list[Any]:
    shown = [(entry.author.identity, entry.fields) for entry in entries_of(obj)]
    return sorted(shown, key=lambda pair: pair[0])
