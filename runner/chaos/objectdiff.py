"""The difference between two states of an object: a unified diff of its YAML. Pure."""

from __future__ import annotations

import difflib
from typing import Any

from runner.chaos.drycluster import Change
from runner.chaos.objects import Object

CONTEXT_LINES = 3
_OF_THE_SERVER = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
_FIRST = ("name", "namespace", "labels", "annotations")
"""Keys of the metadata whose order the server does not keep."""


def diff_of(change: Change) -> str:
    """Unified diff from what the object is to what it would be; lines end in newlines."""
    subject = change.kind.subject(change.name)
    lines = difflib.unified_diff(
        _lines(change.before),
        _lines(change.after),
        fromfile=subject if change.before is not None else "/dev/null",
        tofile=subject if change.after is not None else "/dev/null",
        n=CONTEXT_LINES,
    )
    return "".join(lines)


def cleaned(obj: Object) -> Object:
    """``obj`` without its status and what the server keeps for itself."""
    given = {k: v for k, v in obj.get("metadata", {}).items() if k not in _OF_THE_SERVER}
    first = {key: given.pop(key) for key in _FIRST if key in given}
    metadata = {**first, **given}
    ordered: Object = {key: obj[key] for key in ("apiVersion", "kind") if key in obj}
    rest = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata", "status")}
    return {**ordered, "metadata": metadata, **rest}


def _lines(obj: Object | None) -> list[str]:
    if obj is None:
        return []
    import yaml

    text: Any = yaml.dump(
        cleaned(obj), Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=1000
    )
    return str(text).splitlines(keepends=True)


def _dumper() -> Any:
    """Text of several lines stands as such, and lists are indented, as kubectl has it."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper
