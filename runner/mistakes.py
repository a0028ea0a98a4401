"""The wording of mistakes in an experiment file: pydantic's findings in the reader's language.

Pure. Every sentence says what is wrong and what would be accepted; names that are close to a known
one get a "did you mean".
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from runner.model.access import URL_PATTERN
from runner.model.experiment import Experiment
from runner.model.fault import NAME_PATTERN
from runner.model.feasibility import Mistake
from runner.model.shape import Model

Detail = Any
"""One entry of ``ValidationError.errors()``."""

_NUMBER = "a number without quotes"
_WHOLE = "a whole number without quotes"
_TYPES = {
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "bool_type": "true or false",
}


def closest(word: object, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was perhaps meant to be."""
    matches = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def describe(detail: Detail, data: Any, model: type[Model] = Experiment) -> Mistake | None:
    """The mistake that ``detail`` is about, located by keys and indices that ``data`` has.

    None when it only follows from another one: a list whose items are wrong counts as too short.
    """
    if detail["type"] == "too_short" and detail["input"]:
        return None
    loc = _loc_in(detail["loc"], data, missing=detail["type"] == "missing")
    if detail["type"] == "union_tag_invalid":
        loc = (*loc, "kind")
    if detail["type"] == "extra_forbidden":
        return Mistake(loc, _unknown_key(loc, known_keys(loc[:-1], data, model)))
    if detail["input"] is None and detail["type"] != "missing":
        return Mistake(loc, _no_value(detail, loc, model))
    wording = _WORDINGS.get(detail["type"], _other)
    return Mistake(loc, wording(detail, loc, data))


def _loc_in(loc: tuple[str | int, ...], data: Any, *, missing: bool) -> tuple[str | int, ...]:
    """``loc`` without what pydantic adds for unions: keys that the data does not have.

    Only of a key that is ``missing`` the data has all but the last part.
    """
    found: list[str | int] = []
    here = data
    for position, part in enumerate(loc):
        last = missing and position == len(loc) - 1
        here_has_it = (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        )
        if here_has_it:
            here = here[part]
        elif not (last and isinstance(here, dict) and isinstance(part, str)):
            continue
        found.append(part)
    return tuple(found)


def _place(loc: tuple[str | int, ...]) -> str:
    """``faults[0].at`` for ``("faults", 0, "at")``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def _missing(detail: Detail, loc: tuple[str | int, ...], data: Any) -> str:
    return f"{_place(loc[:-1])} lacks the key {loc[-1]!r}, which is required"


def _unknown_key(loc: tuple[str | int, ...], known: list[str]) -> str:
    guess = closest(loc[-1], known)
    hint = f"; did you mean {guess!r}?" if guess else ";"
    return f"unknown key {loc[-1]!r} in {_place(loc[:-1])}{hint} accepted: {', '.join(known)}"


def _no_value(detail: Detail, loc: tuple[str | int, ...], model: type[Model]) -> str:
    if not loc:
        keys = [name for name, one in model.model_fields.items() if one.is_required()]
        return f"the file is empty; accepted: at least the keys {', '.join(keys)}"
    accepted = _TYPES.get(detail["type"], "a value, or no such key")
    return f"{_place(loc)} has no value; accepted: {accepted}"


def _value(detail: Detail, loc: tuple[str | int, ...], data: Any) -> str:
    return f"{_place(loc)}: {detail['msg'].removeprefix('Value error, ')}"


def _tag(detail: Detail, loc: tuple[str | int, ...], data: Any) -> str:
    accepted = str(detail["ctx"].get("expected_tags", "")).replace("'", "")
    given = detail["ctx"].get("tag")
    if given is None:
        return f"{_place(loc)} lacks the key 'kind'; accepted: {', '.join(_fault_kinds())}"
    guess = closest(given, _fault_kinds())
    hint = f"did you mean {guess!r}? " if guess else ""
    return f"{_place(loc)}: there is no fault kind {given!r}; {hint}accepted: {accepted}"


def _literal(detail: Detail, loc: tuple[str | int, ...], data: Any) -> str:
    accepted = [part.strip(" '") for part in detail["ctx"]["expected"].split(" or ")]
    accepted = [word.strip(" '") for part in accepted for word in part.split(",")]
    guess = closest(detail["input"], accepted)
    hint = f"did you mean {guess!r}? " if guess else ""
    return f"{_place(loc)}: {detail['input']!r} is unknown; {hint}accepted: {', '.join(accepted)}"


_PATTERNS = {
    NAME_PATTERN: "a name; accepted: lower-case letters, digits and dashes, at most 63, such as "
    "'order-api'",
    URL_PATTERN: "a URL; accepted: http://… or https://…, such as http://127.0.0.1:8080",
}


def _pattern(detail: Detail, loc: tuple[str | int, ...], data: Any) -> str:
    pattern = detail["ctx"]["pattern"]
    expected = _PATTERNS.get(pattern, f"right here; accepted: text of the pattern {pattern}")
    return f"{_place(loc)}: {str(detail['input'])[:80]!r} is not {expected}"


def _type(detail: Detail, loc: tuple[str | int, ...], data: Any) -> str:
    given = detail["input"]
    shown = "nothing" if given is None else repr(given)
    if isinstance(given, str) and detail["type"] == "float_type":
        return f"{_place(loc)}: {shown[:80]} is not a number; accepted: a plain one, without unit"
    return f"{_place(loc)}: {shown[:80]} is not right here; accepted: {_TYPES[detail['type']]}"


def _too_short(detail: Detail, loc: tuple[str | int, ...], data: Any) -> str:
    accepted = "some text" if isinstance(detail["input"], str) else "at least one"
    return f"{_place(loc)} is empty; accepted: {accepted}"


_LIMITS = {
    "greater_than": ("gt", "too small", "more than"),
    "greater_than_equal": ("ge", "too small", "at least"),
    "less_than": ("lt", "too large", "less than"),
    "less_than_equal": ("le", "too large", "at most"),
}


def _limit(detail: Detail, loc: tuple[str | int, ...], data: Any) -> str:
    key, problem, relation = _LIMITS[detail["type"]]
    given = _at(loc, data)
    bound = f"{detail['ctx'][key]:.10g}"
    if isinstance(given, str):  # What has a unit in the file has it here, too.
        bound += "%" if "%" in given else "/s" if "/" in given else "s"
    return f"{_place(loc)}: {str(given)[:80]} is {problem}; accepted: {relation} {bound}"


def _infinite(detail: Detail, loc: tuple[str | int, ...], data: Any) -> str:
    return f"{_place(loc)}: {str(_at(loc, data))[:80]} is no finite number; accepted: one"


def _at(loc: tuple[str | int, ...], data: Any) -> Any:
    """What ``data`` has at ``loc``."""
    for part in loc:
        data = data[part]
    return data


def _other(detail: Detail, loc: tuple[str | int, ...], data: Any) -> str:
    message = str(detail["msg"])
    return f"{_place(loc)}: {str(detail['input'])[:80]!r}: {message[:1].lower()}{message[1:]}"


_WORDINGS: dict[str, Callable[[Detail, tuple[str | int, ...], Any], str]] = {
    "missing": _missing,
    "value_error": _value,
    "union_tag_invalid": _tag,
    "union_tag_not_found": _tag,
    "literal_error": _literal,
    "string_pattern_mismatch": _pattern,
    "too_short": _too_short,
    "string_too_short": _too_short,
    "finite_number": _infinite,
    **dict.fromkeys(_LIMITS, _limit),
    **dict.fromkeys(_TYPES, _type),
}


@cache
def _schema(model: type[Model]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


def _fault_kinds() -> list[str]:
    return list(_schema(Experiment)["properties"]["faults"]["items"]["discriminator"]["mapping"])


def known_keys(loc: tuple[str | int, ...], data: Any, model: type[Model]) -> list[str]:
    """The keys that a file of ``model`` may have at ``loc``; empty when it has none there."""
    whole = schema = _schema(model)
    here = data
    for part in loc:
        here = here[part]
        inner = schema.get("items") if isinstance(part, int) else _inner(schema, part)
        if not isinstance(inner, dict):
            return []
        schema = _resolve(inner, here, whole)
    return list(schema.get("properties", {}))


def _inner(schema: dict[str, Any], key: str) -> Any:
    any_key = next(iter(schema.get("patternProperties", {}).values()), None)
    others = any_key or schema.get("additionalProperties")
    return schema.get("properties", {}).get(key, others)


def _resolve(schema: dict[str, Any], here: Any, whole: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, and a discriminator by the data's own ``kind``."""
    if "discriminator" in schema and isinstance(here, dict):
        target = schema["discriminator"]["mapping"].get(here.get("kind"))
        schema = {"$ref": target} if target else {}
    while "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(here, dict) and "anyOf" in schema:  # A text for short, or no value at all.
        forms = [_resolve(one, here, whole) for one in schema["anyOf"]]
        return next((one for one in forms if "properties" in one), schema)
    return schema
