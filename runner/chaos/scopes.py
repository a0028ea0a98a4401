"""Which requests a fault is for: conditions on headers, labels of the callers. Pure.

Istio's match is an AND of at most one condition on each header, so two conditions on one header can
be put together only where one of them implies the other. Where they cannot, that is said: a copy
with the wider of the two would disturb requests that nobody meant.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from runner.chaos.objects import Object
from runner.errors import FaultError
from runner.model.headermatch import is_header_name, regex_mistake

Condition = dict[str, str]
"""Istio's string match: one of ``exact``, ``prefix``, ``regex``; an empty one asks for presence."""

KINDS: Final = ("exact", "prefix", "regex")
MAX_SCOPES: Final = 4
"""Each set of scopes needs a copy of the route: four of them make fifteen."""

_ANYTHING: Final = (".*", "*")


class CannotCombineError(FaultError):
    """What Istio has no match for: two conditions on one thing."""


def conditions(headers: Mapping[str, Any] | None) -> dict[str, Condition]:
    """Header name in lower case to its condition; a plain text means exactly that value.

    Raises:
        FaultError: For a name or condition that Istio would refuse or ignore.
    """
    found: dict[str, Condition] = {}
    for name, wanted in (headers or {}).items():
        condition = {"exact": wanted} if isinstance(wanted, str) else wanted
        if not is_header_name(name):
            raise FaultError(
                f"{name!r} is no request header that Istio matches",
                accepted="a header's name, such as x-user-group",
            )
        if not isinstance(condition, Mapping) or len(condition) != 1 or not _sound(condition):
            raise FaultError(
                f"{condition!r} is no condition on the header {name}",
                accepted="a text that is not empty, or one of exact, prefix and regex with one",
            )
        mistake = regex_mistake(condition["regex"]) if "regex" in condition else None
        if mistake:
            raise FaultError(
                f"{condition['regex']!r} is no regular expression of RE2 (header {name}): {mistake}"
            )
        if name.lower() in found:
            raise FaultError(
                f"the header {name} has two conditions; names differ by more than case"
            )
        found[name.lower()] = dict(condition)
    return found


def _sound(condition: Mapping[str, Any]) -> bool:
    ((kind, value),) = condition.items()
    return kind in KINDS and isinstance(value, str) and value != ""


def key_of(headers: Mapping[str, Condition], source: Mapping[str, str]) -> str:
    """The same text for the same requests; empty for all requests."""
    if not headers and not source:
        return ""
    return json.dumps([headers, source], sort_keys=True)


def subsets(keys: Sequence[str], *, strict: bool) -> Iterator[tuple[str, ...]]:
    """All subsets of ``keys`` but the empty one, the biggest first.

    Of the subsets whose requests a request belongs to, the one of all its scopes is the first.

    Raises:
        FaultError: When there are too many, and ``strict``; otherwise each key is alone then.
    """
    if len(keys) > MAX_SCOPES:
        if not strict:
            yield from ((key,) for key in keys)
            return
        raise FaultError(
            f"{len(keys)} faults for different requests meet on one route",
            accepted=f"at most {MAX_SCOPES} at a time",
        )
    for size in range(len(keys), 0, -1):
        yield from itertools.combinations(keys, size)


def narrowed(
    match: Object, headers: Mapping[str, Condition], source: Mapping[str, str]
) -> Object | None:
    """``match`` for requests that also meet ``headers`` and come from callers with ``source``.

    None when no request can meet both.

    Raises:
        CannotCombineError: When Istio has no match for both.
    """
    found: Object | None = dict(match)
    if headers:
        found = _with_headers(match, headers)
    if source and found is not None:
        found = _with_source(found, source)
    return found


def _with_headers(match: Object, headers: Mapping[str, Condition]) -> Object | None:
    wanted = dict(match.get("headers") or {})
    excluded = match.get("withoutHeaders") or {}
    for name, condition in headers.items():
        both: Condition | None = dict(condition)
        for known in [known for known in wanted if known.lower() == name]:
            both = both and conjunction(name, wanted.pop(known) or {}, both)
        if both is None:
            return None
        # What is excluded stays excluded beside it; only where nothing is left, that must be known.
        if any(known.lower() == name and implies(both, no or {}) for known, no in excluded.items()):
            return None
        wanted[name] = both
    return {**match, "headers": wanted}


def _with_source(match: Object, source: Mapping[str, str]) -> Object | None:
    if match.get("gateways"):
        raise CannotCombineError(
            "a match of the route names gateways, and beside them Istio takes no notice of the "
            "labels of callers",
            accepted="a fault without 'source', or on another route",
        )
    labels = dict(match.get("sourceLabels") or {})
    if any(labels.get(name, value) != value for name, value in source.items()):
        return None
    return {**match, "sourceLabels": {**labels, **source}}


def conjunction(name: str, one: Condition, other: Condition) -> Condition | None:
    """The condition on a header that holds where both do; None when no value meets both.

    Raises:
        CannotCombineError: When that is no condition that Istio has.
    """
    if implies(one, other):
        return one
    if implies(other, one):
        return other
    if "exact" in one or "exact" in other:
        return None  # The other one would have been met by it.
    if "prefix" in one and "prefix" in other:
        return None
    raise CannotCombineError(
        f"the header {name} would need two conditions in one match: {_text(one)}, {_text(other)}",
        accepted="an exact value, for which it can be told whether it meets both",
    )


def implies(one: Condition, other: Condition) -> bool:
    """Whether every value that meets ``one`` is known to meet ``other``."""
    if one == other or _asks_presence(other):
        return True
    if "exact" in one:
        return meets(one["exact"], other)
    return "prefix" in one and "prefix" in other and one["prefix"].startswith(other["prefix"])


def meets(value: str, condition: Condition) -> bool:
    """Whether a header's ``value`` meets a condition."""
    if _asks_presence(condition):
        return True
    for kind, wanted in condition.items():
        if kind == "exact":
            return value == wanted
        if kind == "prefix":
            return value.startswith(wanted)
        if kind == "regex":
            try:
                return re.fullmatch(wanted, value) is not None
            except re.error:
                return False
    return True


def _asks_presence(condition: Condition) -> bool:
    """Whether any value meets it, as an empty one does in Istio."""
    return not condition or "" in condition.values() or condition.get("regex") in _ANYTHING


def _text(condition: Condition) -> str:
    return " ".join(f"{kind} {value!r}" for kind, value in condition.items())
