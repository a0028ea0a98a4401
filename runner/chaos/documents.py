"""Files of Chaos Toolkit, read as it reads them, and the places of what is in them. Pure."""

from __future__ import annotations

import json
from typing import Any

import yaml

from runner.errors import InvalidFileError

ACCEPTED = "JSON, in a file that ends in .json, or YAML"


def read_document(text: str, name: str) -> tuple[Any, yaml.Node | None]:
    """What ``text`` holds, and its nodes.

    Args:
        text: The file.
        name: Its name, which decides between JSON and YAML.

    Raises:
        InvalidFileError: When it is neither; says where.
    """
    if name.endswith(".json"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            at = f":{error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise _unreadable(f"{name}{at}: this is not JSON: {said}") from error
        return document, _nodes(text)
    try:
        return yaml.safe_load(text), _nodes(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        said = f"{text[error.position : error.position + 1]!r} has no place in a text"
        raise _unreadable(f"{name}:{line}:{column}: this is not YAML: {said}") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = getattr(error, "problem", None) or "it cannot be read"
        raise _unreadable(f"{name}{at}: this is not YAML: {said}") from error


def _unreadable(message: str) -> InvalidFileError:
    problem = InvalidFileError(message)
    problem.accepted = ACCEPTED
    return problem


def _nodes(text: str) -> yaml.Node | None:
    """JSON is YAML, but for oddities that cost no more than the places."""
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None
    return node


def place_of(node: yaml.Node | None, path: tuple[str | int, ...]) -> tuple[int, int]:
    """Line and column, from 1, of what the keys of ``path`` lead to, as far as it is there."""
    if node is None:
        return 1, 1
    for key in path:
        inner = _inner(node, key)
        if inner is None:
            break
        node = inner
    return node.start_mark.line + 1, node.start_mark.column + 1


def _inner(node: yaml.Node, key: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        found: yaml.Node = node.value[key]
        return found
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                inner: yaml.Node = value
                return inner
    return None
