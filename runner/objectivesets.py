"""Objective sets: ``- use: NAME`` in an experiment's objectives, put in place of the word.

A set is a file ``objectives/NAME.yaml`` beside the experiment (or a path from there). Its
objectives stand where the word stood; its signals, groups, budget and score are added to the
experiment's own. Where both define the same thing differently, that is a mistake: nobody would know
which one counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runner.mistakes import closest, describe
from runner.model.feasibility import Loc, Mistake
from runner.model.objectiveset import ObjectiveSet
from runner.yamltext import invalid, parse, read_text

FOLDER = "objectives"
USE = "use"
_SHARED = ("signals", "groups")
_ONCE = ("budget", "score")


@dataclass(frozen=True, slots=True)
class Expanded:
    """An experiment's data with its sets in it.

    Attributes:
        data: As if everything stood in the one file.
        origins: For each objective of ``data``: the index of the entry that it came from.
        named: For each of them: the set that it came from; empty for the experiment's own.
        texts: The sets, verbatim, in the order of their use.
        mistakes: What is wrong with the uses themselves, with places in the experiment.
    """

    data: Any
    origins: tuple[int, ...] = ()
    named: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    mistakes: tuple[Mistake, ...] = ()

    def placed(self, mistake: Mistake) -> Mistake:
        """``mistake``, which is about ``data``, with its place in the experiment's own text."""
        match mistake.loc:
            case ("objectives", int(index), *rest) if index < len(self.origins):
                name, origin = self.named[index], self.origins[index]
                here = f"objectives[{origin}]"
                said = mistake.message.replace(f"objectives[{index}]", here)
                if not name:
                    return Mistake(("objectives", origin, *rest), said)
                said = f"of the objective set {name!r}: {said}"
                return Mistake(("objectives", origin, USE), said)
            case _:
                return mistake


def set_folder(experiment_path: Path) -> Path:
    """Where the sets of an experiment are looked for by name."""
    return experiment_path.parent / FOLDER


def load_set(path: Path) -> tuple[ObjectiveSet, Any, str]:
    """The set in ``path``: checked, as plain data, and verbatim.

    Raises:
        InvalidFileError: Lists every mistake with its position.
        UsageError: When the file cannot be read at all.
    """
    text = read_text(path)
    return *check_set(text, path), text


def check_set(text: str, path: Path) -> tuple[ObjectiveSet, Any]:
    """The set that ``text`` is, which stands in ``path`` or is going to, and its plain data.

    Raises:
        InvalidFileError: Lists every mistake with its position.
    """
    data, places = parse(text, path)
    try:
        found = ObjectiveSet.model_validate(data)
    except ValidationError as error:
        described = (
            describe(detail, data, ObjectiveSet) for detail in error.errors(include_url=False)
        )
        raise invalid(path, text, [one for one in described if one], places) from None
    if found.name != path.stem:
        said = f"the name {found.name!r} is not the file's; accepted: {path.stem!r}"
        raise invalid(path, text, [Mistake(("name",), said)], places)
    return found, data


def expand(data: Any, path: Path) -> Expanded:
    """Put the sets that ``data``, the experiment in ``path``, uses in their places.

    Raises:
        InvalidFileError: When a set has mistakes; they are placed in its own file.
    """
    entries = data.get("objectives") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not any(_uses(entry) for entry in entries):
        count = len(entries) if isinstance(entries, list) else 0
        return Expanded(data, tuple(range(count)), ("",) * count)
    merged = dict(data)
    objectives: list[Any] = []
    origins: list[int] = []
    named: list[str] = []
    texts: list[str] = []
    mistakes: list[Mistake] = []
    for index, entry in enumerate(entries):
        if not _uses(entry):
            objectives.append(entry)
            origins.append(index)
            named.append("")
            continue
        loc: Loc = ("objectives", index, USE)
        if refused := _refused(entry, path, named):
            mistakes.append(Mistake(loc, refused))
            continue
        one, raw, text = load_set(_file(entry[USE], path))
        objectives += raw["objectives"]
        origins += [index] * len(raw["objectives"])
        named += [one.name] * len(raw["objectives"])
        texts.append(text)
        mistakes += [Mistake(loc, said) for said in _merge(merged, raw, one.name)]
    # Where no set could be read, the experiment is not accused of having no objectives.
    merged["objectives"] = objectives or ["traffic >= 0/s"]
    return Expanded(merged, tuple(origins), tuple(named), tuple(texts), tuple(mistakes))


def _uses(entry: Any) -> bool:
    return isinstance(entry, dict) and USE in entry


def _refused(entry: Mapping[str, Any], path: Path, named: Sequence[str]) -> str:
    """Why a use cannot be followed; empty when it can."""
    name = entry[USE]
    others = [key for key in entry if key != USE]
    if others:
        return f"'use' stands alone; drop {', '.join(map(repr, others))}"
    if not isinstance(name, str) or not name:
        return "'use' names a set: text"
    file = _file(name, path)
    if not _is_file(file):
        known = sorted(one.stem for one in set_folder(path).glob("*.y*ml"))
        guess = closest(name, known)
        meant = f"; did you mean {guess!r}?" if guess else ";"
        there = ", ".join(known) or f"none in {FOLDER}/ yet"
        return f"there is no objective set {name!r}{meant} accepted: a path, or one of: {there}"
    if file.stem in named:
        return f"the objective set {file.stem!r} is used twice; accepted: each set once"
    return ""


def _file(name: str, path: Path) -> Path:
    """The file that ``name`` means to the experiment in ``path``."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return path.parent / name
    return set_folder(path) / f"{name}.yaml"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # Such as a name of more than 255 characters, or with a NUL.
        return False


def _merge(merged: dict[str, Any], raw: Mapping[str, Any], name: str) -> list[str]:
    """Add what the set ``raw`` defines to ``merged``; what both define differently."""
    said = []
    for part in _SHARED:
        added, known = raw.get(part) or {}, merged.get(part)
        if not added or not isinstance(known, dict | None):
            continue
        both = [key for key in added if known and key in known and known[key] != added[key]]
        said += [
            f"{part}.{key} stands here and in the objective set {name!r}, with other values; "
            "accepted: one of them"
            for key in both
        ]
        merged[part] = {**added, **(known or {})}
    for part in _ONCE:
        if raw.get(part) is None:
            continue
        if merged.get(part) not in (None, raw[part]):
            said.append(
                f"'{part}' stands here and in the objective set {name!r}, with other values; "
                "accepted: one of them"
            )
        merged[part] = raw[part]
    return said
