"""Tables: lists as kubectl prints them (meta.k8s.io/v1 Table); see ``columns`` for the cells."""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.columns import columns_of
from runner.targets.sandbox.apiserver.kinds import Kind

INCLUDES = ("Metadata", "Object", "None")


def wants_table(accept: str) -> bool:
    """Whether the first media type that a client accepts is a table."""
    return "as=table" in accept.split(",", maxsplit=1)[0].lower().replace(" ", "")


def wants_metadata(accept: str) -> bool:
    """Whether a client wants objects reduced to their metadata."""
    return "as=partialobjectmetadata" in accept.split(",", maxsplit=1)[0].lower().replace(" ", "")


def metadata_only(obj: Obj) -> Obj:
    """An object reduced to its metadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def table(
    kind: Kind, shown: list[Obj], version: str, include: str = "", *, head: bool = True
) -> Obj:
    """A table of objects.

    Args:
        kind: Their kind, which decides the columns.
        shown: The objects, with their types.
        version: resourceVersion of the table.
        include: How much of each object its row carries: Metadata (the default), Object or None.
        head: Whether the columns are described; a watch does so in its first event only.
    """
    columns = columns_of(kind)
    definitions = [
        {
            "name": column.name,
            "type": column.type,
            "format": "name" if column.name == "Name" else "",
            "description": column.name,
            "priority": column.priority,
        }
        for column in columns
    ]
    result: Obj = {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": definitions if head else [],
        "rows": [],
    }
    for obj in shown:
        row: dict[str, Any] = {"cells": [_cell(column.show, obj) for column in columns]}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            row["object"] = metadata_only(obj)
        result["rows"].append(row)
    return result


def _cell(show: Any, obj: Obj) -> Any:
    """A cell; an object with unexpected fields must not break the whole list."""
    try:
        return show(obj)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        return "<unknown>"
