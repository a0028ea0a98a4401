"""Which fields are honoured, and the walk that finds every one that is not. Pure.

A schema is a tree of the same shape as the object: a mapping of field names (``"*"`` stands for
any name, as in a map of headers), a one-element list for a list, or a leaf that checks a value.
``prune`` returns what the translator may rely on (only honoured fields, each of the right shape)
and says what it left out, so that a field nobody thought of can not pass in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from runner.targets.sandbox.mesh.durations import duration_s

NOT_HONOURED = "the sandbox does not honour this field"


class Problem(NamedTuple):
    """A part of an object that is left out: its path and the reason."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """An honoured value.

    Attributes:
        accepts: Whether the value is one that is honoured.
        expected: What would be, in words.
    """

    accepts: Callable[[Any], bool]
    expected: str


Schema = Leaf | Mapping[str, Any] | list[Any]


def _is_duration(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        duration_s(value)
    except ValueError:
        return False
    return True


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32


def _is_percent(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


STRING = Leaf(lambda value: isinstance(value, str), "a string")
COUNT = Leaf(_is_count, "a whole number from 0 to 4294967295")
PERCENT = Leaf(_is_percent, "a number from 0 to 100")
BOOL = Leaf(lambda value: isinstance(value, bool), "true or false")
DURATION = Leaf(_is_duration, "a duration such as 5s or 250ms")
ANYTHING = Leaf(lambda _value: True, "anything")


def one_of(*values: str | int) -> Leaf:
    """A leaf that honours just these values."""
    return Leaf(lambda value: value in values, " or ".join(map(str, values)))


def prune(value: Any, schema: Schema, path: str) -> tuple[Any, list[Problem]]:
    """What of ``value`` is honoured, and what is not.

    Args:
        value: The object or a part of it.
        schema: What is honoured at this place.
        path: Where this place is, for the problems.

    Returns:
        The honoured part (None when nothing of it can be used), and a problem for each part
        that was left out. An explicit null counts as absent, as in Kubernetes.
    """
    if value is None:
        return None, []
    if isinstance(schema, Leaf):
        if schema.accepts(value):
            return value, []
        return None, [
            Problem(path, f"{_shown(value)} is not honoured; accepted: {schema.expected}")
        ]
    if isinstance(schema, list):
        return _prune_list(value, schema[0], path)
    return _prune_mapping(value, schema, path)


def _prune_list(value: Any, schema: Schema, path: str) -> tuple[Any, list[Problem]]:
    if not isinstance(value, list):
        return None, [Problem(path, f"{_shown(value)} is not honoured; accepted: a list")]
    kept: list[Any] = []
    problems: list[Problem] = []
    for position, item in enumerate(value):
        part, more = prune(item, schema, f"{path}[{position}]")
        problems += more
        # A dropped item keeps its place, so that later positions still mean what they say.
        kept.append(part)
    return kept, problems


def _prune_mapping(value: Any, schema: Mapping[str, Any], path: str) -> tuple[Any, list[Problem]]:
    if not isinstance(value, Mapping):
        return None, [Problem(path, f"{_shown(value)} is not honoured; accepted: a mapping")]
    kept: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, item in value.items():
        if item is None:
            continue
        inner = schema.get(name, schema.get("*"))
        if inner is None:
            problems.append(Problem(f"{path}.{name}", NOT_HONOURED))
            continue
        part, more = prune(item, inner, f"{path}.{name}")
        problems += more
        if part is not None:
            kept[name] = part
    return kept, problems


def _shown(value: Any, longest: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def field_paths(schema: Schema, path: str) -> Iterator[str]:
    """Every honoured field path of a schema, depth first (``spec.http[].timeout``)."""
    if isinstance(schema, Leaf):
        yield path
    elif isinstance(schema, list):
        yield from field_paths(schema[0], f"{path}[]")
    else:
        for name, inner in schema.items():
            yield from field_paths(inner, f"{path}.{name}")


def problems_below(problems: list[Problem], path: str) -> bool:
    """Whether anything at or below ``path`` was left out."""
    return any(
        problem.path == path or problem.path.startswith((f"{path}.", f"{path}["))
        for problem in problems
    )
