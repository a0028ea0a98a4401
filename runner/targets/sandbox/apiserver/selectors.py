"""Label and field selectors: parsed once, then a predicate over objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import bad_request

Labels = Mapping[str, str]
LabelTest = Callable[[Labels], bool]
ObjectTest = Callable[[Obj], bool]

_KEY = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?"
_SET = re.compile(rf"^({_KEY})\s+(in|notin)\s*\(([^()]*)\)$")
_EQUAL = re.compile(rf"^({_KEY})\s*(==|=|!=)\s*([A-Za-z0-9._-]*)$")
_EXISTS = re.compile(rf"^(!?)\s*({_KEY})$")
_FIELD = re.compile(r"^\s*([A-Za-z0-9_.\[\]]+)\s*(==|=|!=)\s*(.*?)\s*$")


def label_test(text: str) -> LabelTest:
    """The predicate of a selector in kubectl's writing; the empty text selects all.

    Raises:
        StatusError: 400 for a selector that cannot be parsed.
    """
    tests = [_requirement(part.strip(), text) for part in _parts(text)]
    return lambda labels: all(test(labels) for test in tests)


def _parts(text: str) -> list[str]:
    """Split at the commas that are outside of parentheses."""
    return [part for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _requirement(part: str, text: str) -> LabelTest:
    if found := _EQUAL.match(part):
        key, operator, value = found.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _SET.match(part):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EXISTS.match(part):
        negated, key = found.groups()
        return (lambda labels: key not in labels) if negated else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: found {part!r} in selector {text!r}")


def structured_test(selector: Mapping[str, Any] | None) -> LabelTest:
    """The predicate of a ``LabelSelector`` object; an empty one selects all, ``None`` nothing."""
    if selector is None:
        return lambda labels: False
    wanted = dict(selector.get("matchLabels") or {})
    rules = [
        (rule.get("key", ""), rule.get("operator", ""), set(rule.get("values") or []))
        for rule in selector.get("matchExpressions") or []
    ]

    def matches(labels: Labels) -> bool:
        if any(labels.get(key) != value for key, value in wanted.items()):
            return False
        return all(_holds(labels, *rule) for rule in rules)

    return matches


def _holds(labels: Labels, key: str, operator: str, values: set[str]) -> bool:
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    return operator == "DoesNotExist" and key not in labels


def field_test(text: str) -> ObjectTest:
    """The predicate of a field selector: dotted paths compared with texts.

    A field that an object does not have counts as the empty text. Real servers know only a few
    fields of each kind; this one looks at any scalar.

    Raises:
        StatusError: 400 for a selector that cannot be parsed.
    """
    rules: list[tuple[tuple[str, ...], bool, str]] = []
    for part in filter(None, text.split(",")):
        found = _FIELD.match(part)
        if found is None:
            raise bad_request(f"invalid field selector: {part!r}; can't understand it")
        path, operator, value = found.groups()
        rules.append((tuple(path.split(".")), operator != "!=", value))
    return lambda obj: all((_scalar(obj, path) == value) is same for path, same, value in rules)


def _scalar(obj: Obj, path: tuple[str, ...]) -> str:
    value: Any = obj
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if value is None or isinstance(value, dict | list):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def object_test(labels: str, fields: str) -> ObjectTest:
    """The conjunction of a label selector and a field selector, over whole objects."""
    by_label, by_field = label_test(labels), field_test(fields)

    def matches(obj: Obj) -> bool:
        return by_label(obj["metadata"].get("labels") or {}) and by_field(obj)

    return matches
