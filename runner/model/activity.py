"""What an activity of Chaos Toolkit must look like to be carried out in a fault. Pure.

The format is Chaos Toolkit's own (its reference, "Experiment: Action, Probe"); what is not carried
out here, because it would be dropped without a word, is a mistake: references to other activities,
``dry`` activities, controls. Whether a module, a function or a program exists is not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator, JsonValue

from runner.model.shape import Items

PROVIDERS: Final = ("python", "process", "http")
_NEEDED: Final = {"python": ("module", "func"), "process": ("path",), "http": ("url",)}
_NOT_CARRIED_OUT: Final = {
    "ref": "a reference to another activity; accepted: that activity itself",
    "dry": "'dry', with which nothing would be broken; accepted: an activity without it",
    "controls": "controls; accepted: an activity without them",
}


def activity_mistakes(activities: Sequence[Any], *, hypothesis: bool = False) -> list[str]:
    """What is wrong with ``activities``, each a sentence that begins with its place.

    Args:
        activities: As in the ``method``, the ``rollbacks`` or the ``probes`` of a hypothesis.
        hypothesis: Whether they are the latter: probes with a tolerance.
    """
    found: list[str] = []
    for number, activity in enumerate(activities):
        if not isinstance(activity, Mapping):
            found.append(f"[{number}] is not an activity; accepted: a mapping with type and name")
            continue
        name = activity.get("name")
        place = f"[{number}] ({name!r})" if isinstance(name, str) and name else f"[{number}]"
        mistakes = [*_mistakes(activity), *(_no_probe(activity) if hypothesis else ())]
        found += [f"{place} {mistake}" for mistake in mistakes]
    return found


def _mistakes(activity: Mapping[str, Any]) -> Iterator[str]:
    left_out = [key for key in _NOT_CARRIED_OUT if key in activity]
    yield from (f"has {_NOT_CARRIED_OUT[key]}" for key in left_out)
    if "ref" in left_out:
        return
    if activity.get("type") not in ("action", "probe"):
        yield f"is of type {activity.get('type')!r}; accepted: action, probe"
    if not isinstance(activity.get("name"), str) or not activity.get("name"):
        yield "has no name"
    if not isinstance(activity.get("background", False), bool):
        yield "has a 'background' that is neither true nor false"
    yield from _pauses(activity.get("pauses"))
    yield from _provider(activity.get("provider"))


def _provider(provider: Any) -> Iterator[str]:
    if not isinstance(provider, Mapping) or provider.get("type") not in PROVIDERS:
        kind = provider.get("type") if isinstance(provider, Mapping) else None
        what = f"the unknown provider {kind!r}" if kind else "no provider"
        yield f"has {what}; accepted: {', '.join(PROVIDERS)}"
        return
    kind = str(provider["type"])
    for key in _NEEDED[kind]:
        if not isinstance(provider.get(key), str) or not provider.get(key):
            yield f"has a {kind} provider without {key!r}"
    arguments = provider.get("arguments")
    if kind == "python" and not isinstance(arguments, Mapping | None):
        yield "has arguments that are not a mapping"
    if not isinstance(provider.get("headers"), Mapping | None):
        yield "has headers that are not a mapping"
    timeout = provider.get("timeout")
    limits = timeout if isinstance(timeout, list) else [] if timeout is None else [timeout]
    if not all(_seconds(limit) and limit != 0 for limit in limits):
        yield f"has a timeout of {timeout!r}; accepted: seconds, more than 0, or ${{variable}}"


def _seconds(value: Any) -> bool:
    """Whether ``value`` is finite seconds, or a variable that may be."""
    if isinstance(value, str):
        return value.startswith("${") and value.endswith("}")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _pauses(pauses: Any) -> Iterator[str]:
    if pauses is None:
        return
    if not isinstance(pauses, Mapping):
        yield "has pauses that are not a mapping; accepted: before, after"
        return
    for key in ("before", "after"):
        value = pauses.get(key, 0)
        if not _seconds(value):
            yield f"has a pause {key} of {value!r}; accepted: seconds, or ${{variable}}"


def _no_probe(probe: Mapping[str, Any]) -> Iterator[str]:
    if probe.get("type") == "action":
        yield "is an action; accepted in a steady state: probes"
    tolerance = probe.get("tolerance")
    if "tolerance" not in probe:
        yield "has no tolerance, so nothing could be missed"
    elif not isinstance(tolerance, bool | int | str | list | Mapping):
        yield (
            f"has the tolerance {tolerance!r}, which nothing can meet; accepted: true, false, a "
            "whole number, a text, a list, or a mapping with type range, regex, jsonpath or probe"
        )
    if probe.get("background"):
        yield "is in the background; accepted in a steady state: probes that are waited for"


def plain_secrets(secrets: Mapping[str, Any], place: str = "") -> list[str]:
    """Places in ``secrets`` where the secret itself stands, instead of where it is to be had."""
    found: list[str] = []
    for key, value in secrets.items():
        here = f"{place}.{key}" if place else str(key)
        if not isinstance(value, Mapping):
            found.append(here)
        elif value.get("type") not in ("env", "vault"):
            found += plain_secrets(value, here)
    return found


def environment_names(value: Any) -> Iterator[tuple[str, bool]]:
    """Each ``{type: env, key: …}`` in ``value``: its key, and whether it has a default."""
    if isinstance(value, Mapping):
        if value.get("type") == "env" and isinstance(value.get("key"), str):
            yield value["key"], "default" in value
        else:
            for inner in value.values():
                yield from environment_names(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from environment_names(inner)


def unset_variables(
    configuration: Mapping[str, Any], secrets: Mapping[str, Any], known: Container[str]
) -> list[str]:
    """The variables that are named, have no default, and are not among those that are ``known``."""
    names = environment_names([dict(configuration), dict(secrets)])
    return sorted({name for name, has_default in names if not has_default and name not in known})


def _activities(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return _checked(value, activity_mistakes(value))


def _probes(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return _checked(value, activity_mistakes(value, hypothesis=True))


def _checked(value: tuple[Any, ...], mistakes: list[str]) -> tuple[Any, ...]:
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return value


def _secrets(value: dict[str, Any]) -> dict[str, Any]:
    if plain := plain_secrets(value):
        raise ValueError(
            f"{', '.join(plain)} would stand in the run's folder in plain text; "
            "accepted: {type: env, key: NAME}, or type: vault"
        )
    return value


Activities = Annotated[Items[dict[str, JsonValue]], AfterValidator(_activities)]
Probes = Annotated[Items[dict[str, JsonValue]], AfterValidator(_probes)]
Secrets = Annotated[dict[str, JsonValue], AfterValidator(_secrets)]
