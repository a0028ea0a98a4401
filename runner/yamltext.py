"""YAML texts of our own: plain data, and the place of everything in it. What it means is not known.

YAML 1.2 is read, so that ``NO`` is text and ``12:30`` is text. A mistake is answered with
``file:line:col`` and the line itself; all mistakes of a file at once.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from runner.errors import InvalidFileError, Located, UsageError
from runner.model.feasibility import Loc, Mistake
from runner.textfile import read_bounded

MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 40


@dataclass(frozen=True, slots=True)
class Place:
    """Position of a key and of its value, both ``(line, column)`` and counted from 1."""

    key: tuple[int, int]
    value: tuple[int, int]


def read_text(path: Path) -> str:
    """The text of ``path``.

    Raises:
        InvalidFileError: When it is no text.
        UsageError: When it cannot be read, or is too large.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UsageError(f"{path} has {size} bytes", accepted=f"at most {MAX_BYTES} bytes")
        text = read_bounded(path, MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{path} is not UTF-8 text: {error.reason}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # A NUL in the name.
        raise UsageError(f"{str(path)!r} is the name of no file: {error}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse(text: str, path: Path) -> tuple[Any, dict[Loc, Place]]:
    """The plain data of ``text``, one document, and the place of everything in it.

    Raises:
        InvalidFileError: When it is not YAML, or too large; says where.
    """
    with _told(text, path):
        constructor, _ = YAML(typ="safe", pure=True).get_constructor_parser(text)
        node = constructor.composer.get_single_node()
        if node is None:
            return None, {}
        places = _all_places([(node, ())], path)  # First: it is bounded, and construction is not.
        return constructor.construct_document(node), places


def parse_all(text: str, path: Path) -> tuple[list[Any], dict[Loc, Place]]:
    """As :func:`parse`, of several documents; each place begins with its document's index.

    Raises:
        InvalidFileError: When it is not YAML, or too large; says where.
    """
    with _told(text, path):
        nodes = enumerate(YAML(typ="rt", pure=True).compose_all(text))
        places = _all_places([(node, (at,)) for at, node in nodes if node is not None], path)
        return list(YAML(typ="safe", pure=True).load_all(text)), places


def _all_places(nodes: Iterable[tuple[Node, Loc]], path: Path) -> dict[Loc, Place]:
    places: dict[Loc, Place] = {}
    for node, loc in nodes:
        for loc_within, place in _places(node, loc, _start(node), 0):
            if len(places) > MAX_NODES:
                raise InvalidFileError(f"{path} has more than {MAX_NODES} values")
            places[loc_within] = place
    return places


@contextlib.contextmanager
def _told(text: str, path: Path) -> Iterator[None]:
    """Say of YAML's errors where in ``path`` they are."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows it.
            yield
    except MarkedYAMLError as error:
        said = _yaml_mistake(error, text)
        raise InvalidFileError(_excerpt(path, text, said), mistakes=(said,)) from None
    except ReaderError as error:
        at = max(0, text.find(chr(error.character)))
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        said = Located(line, column, f"{chr(error.character)!r} has no place in a text")
        raise InvalidFileError(_excerpt(path, text, said), mistakes=(said,)) from None
    except (YAMLError, ValueError) as error:
        raise InvalidFileError(f"{path} is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise InvalidFileError(
            f"{path} is nested too deeply; accepted: {MAX_DEPTH} levels"
        ) from None


def read_yaml(path: Path) -> Any:
    """The plain data of a YAML file that is somebody else's, such as a kubeconfig."""
    text = read_text(path)
    with secrets_hidden(text, path):
        return parse(text, path)[0]


@contextlib.contextmanager
def secrets_hidden(text: str, path: Path) -> Iterator[None]:
    """Within it, mistakes in ``text`` are told without the secrets that stand in it.

    Those are the values of keys whose names speak of one, and users in URLs.
    """
    try:
        yield
    except InvalidFileError as error:
        found = {match["value"].strip() for match in _SECRET.finditer(text)}
        found |= {match["value"] for match in _USER.finditer(text)}
        words = sorted((word.strip("[]\"'") for word in found), key=len, reverse=True)
        shown = text
        for pattern in (_SECRET, _USER):
            shown = pattern.sub(lambda one: f"{one['key']}{'*' * len(one['value'])}", shown)
        mistakes = tuple(
            Located(one.line, one.column, _without(one.message, words)) for one in error.mistakes
        )
        if not mistakes:
            raise
        raise _listed(path, shown, mistakes) from None


_SECRET = re.compile(
    r"(?P<key>[\w-]*(?:auth|token|key|secret|cookie|passw|credential)[\w-]*(?<!_env)(?<!_file)"
    r"[\"']?[ ]*:[ ]+)(?P<value>\[[^\]\n]*\]?|"
    r"\"[^\"\n]*\"?|'[^'\n]*'?|[^\s,{}\[\]#&*|>][^,}\]\n]*)",
    re.IGNORECASE,
)
_USER = re.compile(r"(?P<key>://)(?P<value>[^/?#\s'\"@]+)(?=@)")


def _without(text: str, words: Iterable[str]) -> str:
    for word in words:
        text = text.replace(word, "[hidden]") if len(word) > 3 else text
    return text


_OPENED = {
    "while parsing a flow sequence": "the bracket [",
    "while parsing a flow mapping": "the brace {",
    "while scanning a quoted scalar": "the quote",
}


def _yaml_mistake(error: MarkedYAMLError, text: str) -> Located:
    problem = (error.problem or "no more is known").split("\n")[0]
    mark, opened_at = error.problem_mark, error.context_mark
    opened = _OPENED.get((error.context or "").strip())
    if "duplicate key" in problem:
        key = problem.split('"')[1] if '"' in problem else "a key"
        said = f"the key {key!r} stands here twice; accepted: each key once"
    elif opened and opened_at and ("end of stream" in problem or "<stream end>" in problem):
        mark = opened_at
        said = f"this is not YAML: {opened} that is opened here is never closed"
    elif opened and opened_at:
        said = f"this is not YAML: {problem}; is {opened} of line {opened_at.line + 1} closed?"
    elif problem.startswith("mapping values are not allowed"):
        said = f"this is not YAML: {problem}; text with ': ' in it needs quotes"
    else:
        said = f"this is not YAML: {problem}"
    mark = mark or opened_at
    if mark is None:
        return Located(1, 1, said)
    last = max(1, len(text.splitlines()))
    return (
        Located(mark.line + 1, mark.column + 1, said)
        if mark.line < last
        else Located(last, 1, said)
    )


def _start(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _places(node: Node, loc: Loc, key: tuple[int, int], depth: int) -> Iterator[tuple[Loc, Place]]:
    if depth > MAX_DEPTH:
        raise RecursionError
    yield loc, Place(key=key, value=_start(node))
    if isinstance(node, ScalarNode) and any("\ud800" <= c <= "\udfff" for c in node.value):
        problem = "half a character, which no file can hold"
        raise MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                problem = "a key must be plain text"
                raise MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            yield from _places(value_node, (*loc, key_node.value), _start(key_node), depth + 1)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _places(item, (*loc, index), _start(item), depth + 1)


def invalid(
    path: Path, text: str, mistakes: Iterable[Mistake], places: Mapping[Loc, Place]
) -> InvalidFileError:
    """The error that lists ``mistakes`` with their places in ``text``, the file ``path``."""
    return _listed(path, text, located(mistakes, places))


def _listed(path: Path, text: str, found: tuple[Located, ...]) -> InvalidFileError:
    listed = "\n".join(_excerpt(path, text, mistake) for mistake in found)
    count = f"{len(found)} mistakes" if len(found) > 1 else "1 mistake"
    return InvalidFileError(f"{listed}\n{count} in {path}", mistakes=found)


def located(mistakes: Iterable[Mistake], places: Mapping[Loc, Place]) -> tuple[Located, ...]:
    """``mistakes`` with their lines and columns, in the order of the file, each once."""
    found = sorted((_position(mistake, places), mistake.message) for mistake in mistakes)
    return tuple(Located(line, column, message) for (line, column), message in dict.fromkeys(found))


def _position(mistake: Mistake, places: Mapping[Loc, Place]) -> tuple[int, int]:
    """Of the key where the key is what is wrong, else of the value, or of the nearest parent."""
    at_key = mistake.message.startswith("unknown key")
    loc = mistake.loc
    while loc and loc not in places:
        loc = loc[:-1]
    place = places.get(loc)
    if place is None:
        return 1, 1
    return place.key if at_key and loc == mistake.loc else place.value


def _excerpt(path: Path, text: str, mistake: Located) -> str:
    line_number, column = mistake.line, mistake.column
    lines = text.splitlines()
    line = lines[line_number - 1] if line_number <= len(lines) else ""
    shown = "".join(c if c.isprintable() else " " for c in line)[:160]
    number = f"{line_number:5d}"
    return (
        f"{path}:{line_number}:{column}: {mistake.message}\n"
        f"{number} | {shown}\n"
        f"{' ' * len(number)} | {' ' * (min(column, 160) - 1)}^"
    )
