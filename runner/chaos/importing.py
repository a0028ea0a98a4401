"""A Chaos Toolkit experiment as a seatrial experiment file. Pure: its caller reads and writes.

The activities are taken as they are, into one fault of the kind ``chaostoolkit``. What a Chaos
Toolkit experiment does not have (load, phases, objectives) is assumed, and each assumption is told
in the file. What seatrial does not carry out is told, or refused where it would change what
happens. An experiment that seatrial has exported comes back as it was.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from runner.chaos.exporting import EXTENSION, digest
from runner.chaos.importtext import Parts, Wishes, file_text
from runner.errors import InvalidFileError
from runner.model.activity import activity_mistakes, environment_names, plain_secrets
from runner.model.fault import NAME_PATTERN

LONGEST_NAME: Final = 63
MOST_NODES: Final = 50_000

__all__ = ["Imported", "Mistake", "NotImportableError", "Wishes", "imported", "slug"]

ACCEPTED: Final = (
    "a Chaos Toolkit experiment: a mapping with title, description and method, in JSON or YAML"
)
_TELLING: Final = {
    "tags": "tags",
    "contributions": "contributions",
    "dry": "'dry', which is an option of 'chaos run'",
}


@dataclass(frozen=True, slots=True)
class Imported:
    """A seatrial experiment file.

    Attributes:
        name: Of the experiment, and of its file.
        text: The file.
        notes: What is not carried over, and what has to be there when it runs; sentences.
        modules: Python modules that its activities import.
        programs: Programs that its activities call.
        native: Whether it came back as it was exported.
    """

    name: str
    text: str
    notes: tuple[str, ...]
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    native: bool = False


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, and the keys that lead to it."""

    path: tuple[str | int, ...]
    message: str


class NotImportableError(InvalidFileError):
    """The document is none, or says what would change its meaning. Holds every mistake."""

    def __init__(self, found: Sequence[Mistake]) -> None:
        super().__init__("\n".join(_where(one.path) + one.message for one in found))
        self.found = tuple(found)
        self.accepted = ACCEPTED


def imported(document: Any, wishes: Wishes, *, origin: str = "") -> Imported:
    """The experiment file for ``document``.

    Args:
        document: What a Chaos Toolkit experiment file holds.
        wishes: What is not to be assumed.
        origin: The file's name, for the first line.

    Raises:
        NotImportableError: When it is no experiment, or cannot be carried out as it is meant.
    """
    _require_experiment(document)
    exported = _exported(document)
    if exported is not None:
        return _as_it_was(document, exported, wishes)
    document = _as_json(document)
    mistakes = list(_mistakes(document))
    if mistakes:
        raise NotImportableError(mistakes)
    parts = _carried_over(document)
    name = wishes.name or slug(str(document["title"]))
    return Imported(
        name=name,
        text=file_text(document, parts, wishes, name, origin),
        notes=tuple(parts.notes),
        modules=(*_named(parts, "python", "module"), *_jsonpath(parts)),
        programs=tuple(_named(parts, "process", "path")),
    )


def slug(title: str) -> str:
    """``title`` as a name: lower case, dashes, at most 63 letters."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    cut = words[:LONGEST_NAME].rsplit("-", 1)[0] if len(words) > LONGEST_NAME else words
    return cut if re.fullmatch(NAME_PATTERN, cut) else "imported"


# -- is it one? ------------------------------------------------------------------------------------


def _require_experiment(document: Any) -> None:
    if not isinstance(document, Mapping):
        raise NotImportableError([Mistake((), "this is not a mapping")])
    if "chaoslib-version" in document and "experiment" in document:
        said = "this is the journal of an experiment; the experiment itself stands in it"
        raise NotImportableError([Mistake(("experiment",), said)])
    try:
        nodes = _nodes(document)
    except RecursionError as error:
        said = "something in this holds itself, or is nested too deeply"
        raise NotImportableError([Mistake((), said)]) from error
    if nodes > MOST_NODES:
        raise NotImportableError([Mistake((), f"this has more than {MOST_NODES:,} values")])
    missing = [key for key in ("title", "description", "method") if not document.get(key)]
    if missing:
        kind = "null or empty" if set(missing) <= set(document) else "missing"
        raise NotImportableError([Mistake((), f"{', '.join(missing)}: {kind}")])


def _as_json(value: Any) -> Any:
    """``value`` as JSON has it: dates, and keys that are numbers, are texts."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    if isinstance(value, date):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _nodes(value: Any, so_far: int = 0) -> int:
    """Values in ``value``; gives up beyond the bound, because aliases can multiply."""
    if so_far > MOST_NODES:
        return so_far
    so_far += 1
    inner: Any = ()
    if isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    for one in inner:
        so_far = _nodes(one, so_far)
    return so_far


def _sections(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any, bool]]:
    hypothesis = document.get("steady-state-hypothesis")
    if hypothesis:
        probes = hypothesis.get("probes") if isinstance(hypothesis, Mapping) else hypothesis
        yield ("steady-state-hypothesis", "probes"), probes or [], True
    yield ("method",), document["method"], False
    yield ("rollbacks",), document.get("rollbacks") or [], False


def _mistakes(document: Mapping[str, Any]) -> Iterator[Mistake]:
    names = _by_name(document)
    for path, activities, hypothesis in _sections(document):
        if not isinstance(activities, list):
            yield Mistake(path, "this is not a list of activities")
            continue
        for number, written in enumerate(activities):
            activity = written
            here: tuple[str | int, ...] = (*path, number)
            if isinstance(activity, Mapping) and "ref" in activity:
                if activity["ref"] not in names:
                    yield Mistake((*here, "ref"), f"no activity is called {activity['ref']!r}")
                    continue
                activity = _merged(activity, names)
            for said in activity_mistakes([_bare(activity)], hypothesis=hypothesis):
                yield Mistake(here, said.removeprefix("[0] ").removeprefix("[0]"))
    for key in ("configuration", "secrets"):
        if not isinstance(document.get(key) or {}, Mapping):
            yield Mistake((key,), "this is not a mapping")


def _by_name(document: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _, activities, _ in _sections(document):
        for activity in activities if isinstance(activities, list) else ():
            if isinstance(activity, Mapping) and isinstance(activity.get("name"), str):
                found.setdefault(activity["name"], activity)
    return found


def _bare(activity: Any) -> Any:
    """An activity without its controls, which are told and not carried over."""
    if not isinstance(activity, Mapping):
        return activity
    return {key: value for key, value in activity.items() if key != "controls"}


# -- what is carried over --------------------------------------------------------------------------


def _carried_over(document: Mapping[str, Any]) -> Parts:
    parts = Parts(
        configuration=dict(document.get("configuration") or {}),
        secrets=copy.deepcopy(dict(document.get("secrets") or {})),
    )
    names = _by_name(document)
    lists = {
        "method": parts.method,
        "rollbacks": parts.rollbacks,
        "steady-state-hypothesis": parts.steady_state,
    }
    for path, activities, hypothesis in _sections(document):
        resolved = [_resolved(one, names, parts.notes, hypothesis) for one in activities]
        lists[str(path[0])].extend(resolved)
    parts.notes += _told(document)
    parts.notes += _strategies(document)
    _hide_secrets(parts)
    needed = sorted(
        {
            name
            for name, has_default in environment_names([parts.configuration, parts.secrets])
            if not has_default
        }
    )
    if needed:
        parts.notes.append(f"it needs the environment variables {', '.join(needed)}")
    if not parts.rollbacks:
        parts.notes.append("it has no rollbacks: nobody can say whether its method is undone")
    return parts


def _resolved(
    activity: Any, names: Mapping[str, Any], notes: list[str], hypothesis: bool
) -> dict[str, Any]:
    if "ref" in activity:
        notes.append(f"the reference to {activity['ref']!r} is the activity itself now")
        activity = _merged(activity, names)
        if not hypothesis:  # Where nobody asks for it, a tolerance only confuses.
            activity.pop("tolerance", None)
    if controls := _names_in(activity.get("controls")):
        notes.append(
            f"controls of {activity.get('name')!r} are not carried over: {', '.join(controls)}"
        )
    bare: dict[str, Any] = copy.deepcopy(_bare(activity))
    return bare


def _merged(reference: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The activity that a reference means, with what the reference says of its own."""
    own = {key: reference[key] for key in ("background", "tolerance") if key in reference}
    return {**names[reference["ref"]], **own}


def _names_in(blocks: Any) -> list[str]:
    """The names of controls or extensions; older files have them as a mapping."""
    if isinstance(blocks, Mapping):
        return [str(name) for name in blocks]
    found = [_mapping(one) for one in blocks] if isinstance(blocks, list) else []
    return [str(one.get("name") or one.get("ref") or "?") for one in found]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _told(document: Mapping[str, Any]) -> Iterator[str]:
    hypothesis = _mapping(document.get("steady-state-hypothesis"))
    for place, where in ((document, ""), (hypothesis, " of the steady state")):
        if controls := _names_in(place.get("controls")):
            yield f"controls{where} are not carried over: {', '.join(controls)}"
    yield from (f"{text} are not carried over" for key, text in _TELLING.items() if key in document)
    if blocks := _names_in(document.get("extensions")):
        yield f"extension blocks are not carried over: {', '.join(blocks)}"


def _strategies(document: Mapping[str, Any]) -> Iterator[str]:
    runtime = _mapping(document.get("runtime"))
    rollbacks = _mapping(runtime.get("rollbacks")).get("strategy", "default")
    hypothesis = _mapping(runtime.get("hypothesis")).get("strategy", "default")
    if rollbacks != "always":
        yield f"rollbacks are always played here, not by the strategy {rollbacks!r}"
    if hypothesis not in ("default", "before-method-only"):
        yield (
            f"the steady state is looked at before the method and after the rollbacks, not by the "
            f"strategy {hypothesis!r}; objectives and guards watch the time between"
        )
    elif document.get("steady-state-hypothesis"):
        yield "the steady state is looked at before the method and after the rollbacks"


def _hide_secrets(parts: Parts) -> None:
    """Secrets that stand in the file come by environment from now on."""
    for place in plain_secrets(parts.secrets):
        *way, last = place.split(".")
        inside = parts.secrets
        for key in way:
            inside = inside[key]
        variable = re.sub(r"[^A-Z0-9]+", "_", "_".join((*way, last)).upper())
        inside[last] = {"type": "env", "key": variable}
        parts.notes.append(
            f"the secret {place} is not carried over: it is read from the environment variable "
            f"{variable}"
        )


def _named(parts: Parts, kind: str, key: str) -> list[str]:
    activities = (*parts.steady_state, *parts.method, *parts.rollbacks)
    providers = (one["provider"] for one in activities)
    return list(dict.fromkeys(str(one[key]) for one in providers if one["type"] == kind))


def _jsonpath(parts: Parts) -> list[str]:
    """The module that the tool needs for tolerances of this type, and does not bring along."""
    tolerances = [_mapping(probe.get("tolerance")) for probe in parts.steady_state]
    return ["jsonpath2"] if any(one.get("type") == "jsonpath" for one in tolerances) else []


# -- our own ---------------------------------------------------------------------------------------


def _exported(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    blocks = document.get("extensions")
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, Mapping) and block.get("name") == EXTENSION:
            return block if isinstance(block.get("experiment"), str) else None
    return None


def _as_it_was(document: Mapping[str, Any], block: Mapping[str, Any], wishes: Wishes) -> Imported:
    text = str(block["experiment"])
    found = re.search(r"^name:\s*(\S+)", text, re.MULTILINE)
    name = wishes.name or (found[1] if found else slug(str(document["title"])))
    if found and name != found[1]:
        text = f"{text[: found.start(1)]}{name}{text[found.end(1) :]}"
    notes = []
    now = digest(document.get("method") or [], document.get("rollbacks") or [])
    if now != block.get("digest"):
        notes.append(
            "its activities were changed after it was exported; that is not carried over, because "
            "the experiment comes back as it was"
        )
    given = (wishes.service, wishes.locustfile, wishes.at_s, wishes.duration_s)
    if any(one not in ("", None) for one in given):
        notes.append("it has its own service, Locust file and times; edit them in the file")
    return Imported(name=name, text=text, notes=tuple(notes), native=True)


def _where(path: tuple[str | int, ...]) -> str:
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return f"{text}: " if text else ""
