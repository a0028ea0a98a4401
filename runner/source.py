"""Experiment files: YAML in, a valid experiment or every mistake with its position out.

YAML 1.2 is read, so that ``NO`` is text and ``12:30`` is text. A mistake is answered with
``file:line:col``, the line itself, what is wrong, what would be accepted and what was perhaps
meant; all mistakes of a file at once. Wording lives in ``runner.mistakes``.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from runner.errors import InvalidFileError, Located, UsageError
from runner.mistakes import closest, describe
from runner.model.experiment import Experiment
from runner.model.feasibility import Loc, Mistake, mistakes_in
from runner.model.plan import GeneratorPlan, Plan, make_plan
from runner.model.salvage import salvage
from runner.model.target import Config

MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 40
MOST_REASONS = 3
"""Reasons of one kind that are told; the others are counted."""


@dataclass(frozen=True, slots=True)
class Source:
    """An experiment and where it came from.

    Attributes:
        text: The file, verbatim.
        locustfile: The Locust file that the experiment names, found.
        places: Where everything in it stands.
    """

    path: Path
    text: str
    experiment: Experiment
    locustfile: Path
    places: Mapping[Loc, Place] = field(default_factory=dict, repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def located(self, remarks: Iterable[Mistake]) -> tuple[Located, ...]:
        """``remarks`` with their lines and columns, in the order of the file."""
        return _located(remarks, self.places)


@dataclass(frozen=True, slots=True)
class Place:
    """Position of a key and of its value, both ``(line, column)`` and counted from 1."""

    key: tuple[int, int]
    value: tuple[int, int]


def experiment_files(folder: Path) -> list[Path]:
    """The experiment files of ``folder``, sorted by name."""
    return sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])


def find_experiment(name: str, folder: Path) -> Path:
    """The file that ``name`` means: a path, or the stem of a file in ``folder``.

    Raises:
        UsageError: When there is none; names the ones there are.
    """
    as_path = Path(name)
    if as_path.suffix in (".yaml", ".yml") or as_path.parent != Path():
        if _is_file(as_path):
            return as_path
        raise UsageError(
            f"there is no experiment file {name}", accepted=_known(folder), hint=_where(folder)
        )
    for path in experiment_files(folder):
        if path.stem == name:
            return path
    guess = closest(name, [path.stem for path in experiment_files(folder)])
    raise UsageError(
        f"there is no experiment {name!r} in {folder}/"
        + (f"; did you mean {guess!r}?" * bool(guess)),
        accepted=_known(folder),
        hint=_where(folder),
    )


def require_experiments(folder: Path) -> None:
    """See that there is a folder of experiments.

    Raises:
        UsageError: When there is none.
    """
    if not folder.is_dir():
        problem = f"there is no experiments folder {folder.absolute()}"
        raise UsageError(problem, hint=_where(folder))


def _where(folder: Path) -> str:
    return (
        f"experiments are looked for in {folder.absolute()}; go to the checkout, or name another "
        "folder with --experiments"
    )


def _known(folder: Path) -> str:
    names = ", ".join(path.stem for path in experiment_files(folder))
    return f"a path to a YAML file, or one of: {names or f'(no experiments in {folder}/)'}"


def load_experiment(path: Path) -> Source:
    """Read and check ``path``.

    Raises:
        InvalidFileError: Lists every mistake with its position.
        UsageError: When the file cannot be read at all.
    """
    return check_experiment(_read(path), path)


def check_experiment(text: str, path: Path) -> Source:
    """Check ``text``, which stands in ``path`` or is going to; raises as ``load_experiment``."""
    data, places = _parse(text, path)
    try:
        experiment = Experiment.model_validate(data)
    except ValidationError as error:
        described = (describe(detail, data) for detail in error.errors(include_url=False))
        mistakes = [mistake for mistake in described if mistake is not None]
        remains = salvage(data)
        if remains is not None:
            mistakes += remains.mistakes()
            mistakes += _name_mistakes(remains.name, path)
            mistakes += _locustfile_mistakes(remains.locustfile, path)
        raise _invalid(path, text, mistakes, places) from None
    mistakes = [*mistakes_in(experiment), *_name_mistakes(experiment.name, path)]
    mistakes += _locustfile_mistakes(experiment.load.locustfile, path)
    locustfile = find_locustfile(experiment.load.locustfile, path)
    if mistakes or locustfile is None:
        raise _invalid(path, text, mistakes, places)
    return Source(path, text, experiment, locustfile, places)


def _name_mistakes(name: str | None, path: Path) -> list[Mistake]:
    if name is None or name == path.stem:
        return []
    said = f"the name {name!r} is not the file's; accepted: {path.stem!r}"
    return [Mistake(("name",), said)]


def _locustfile_mistakes(name: str | None, path: Path) -> list[Mistake]:
    if name is None:
        return []
    found = find_locustfile(name, path)
    if found is None:
        said = _no_locustfile(name, path)
    elif found.suffix != ".py" or "," in str(found):
        said = (
            f"Locust cannot load {str(found)!r}; accepted: a file that ends in .py, with no comma "
            "in its path"
        )
    else:
        return []
    return [Mistake(("load", "locustfile"), said)]


def plan_of(
    source: Source,
    time_scale: float = 1.0,
    generator: GeneratorPlan = GeneratorPlan(),  # noqa: B008 - a frozen value
) -> Plan:
    """The plan of an experiment file, shortened by ``time_scale``, with the load of ``generator``.

    Raises:
        UsageError: When so little time is left that nothing could be judged.
    """
    plan = make_plan(source.experiment, time_scale=time_scale, generator=generator)
    mistakes = mistakes_in(plan.experiment) if plan.rehearsal else ()
    if mistakes:
        said = list(dict.fromkeys(mistake.message for mistake in mistakes))
        rest = len(said) - MOST_REASONS
        lines = [*said[:MOST_REASONS], *([f"and {rest} more of the kind"] if rest > 0 else ())]
        raise UsageError(
            f"{source.path} cannot be rehearsed at a time scale of {time_scale:g}:"
            + "".join(f"\n  {line}" for line in lines),
            accepted=f"a time scale of {_least_scale(source.experiment, time_scale):g} or more",
        )
    return plan


def _least_scale(experiment: Experiment, low: float) -> float:
    """The smallest time scale that leaves something to judge, in hundredths or thousandths."""
    high = 1.0
    for _ in range(24):
        middle = (low + high) / 2
        impossible = mistakes_in(make_plan(experiment, time_scale=middle).experiment)
        low, high = (middle, high) if impossible else (low, middle)
    step = 1000 if high < 0.1 else 100
    return min(1.0, math.ceil(high * step - 1e-3) / step)


def find_locustfile(name: str, experiment_path: Path) -> Path | None:
    """The Locust file ``name``: beside the experiment, or in ``locustfiles/`` near it."""
    for folder in locustfile_folders(experiment_path):
        candidate = folder / name
        if _is_file(candidate):
            return candidate.resolve()
    return None


def locustfile_folders(experiment_path: Path) -> tuple[Path, ...]:
    """Where a locustfile that the experiment names is looked for, in this order."""
    here = experiment_path.resolve().parent
    return here, here.parent / "locustfiles", Path.cwd() / "locustfiles", Path.cwd()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # Such as a name of more than 255 characters.
        return False


def _no_locustfile(name: str, path: Path) -> str:
    _, *folders = locustfile_folders(path)[:3]  # The others hold anything, not just Locust files.
    known = sorted({p.name for folder in folders for p in folder.glob("*.py")})
    guess = closest(name, known)
    hint = f"; did you mean {guess!r}?" if guess else ";"
    return (
        f"there is no Locust file {name!r}{hint} accepted: a path, or one of locustfiles/: "
        f"{', '.join(known) or '(none)'}"
    )


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UsageError(f"{path} has {size} bytes", accepted=f"at most {MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{path} is not UTF-8 text: {error.reason}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _parse(text: str, path: Path) -> tuple[Any, dict[Loc, Place]]:
    """The plain data of ``text`` and the place of everything in it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows it.
            node = YAML(typ="rt", pure=True).compose(text)
            places: dict[Loc, Place] = {}
            if node is not None:
                for count, (loc, place) in enumerate(_places(node, (), _start(node), 0)):
                    if count > MAX_NODES:
                        raise InvalidFileError(f"{path} has more than {MAX_NODES} values")
                    places[loc] = place
            return YAML(typ="safe", pure=True).load(text), places
    except MarkedYAMLError as error:
        said = _yaml_mistake(error, text)
        raise InvalidFileError(_excerpt(path, text, said), mistakes=(said,)) from None
    except (YAMLError, ValueError) as error:
        raise InvalidFileError(f"{path} is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise InvalidFileError(
            f"{path} is nested too deeply; accepted: {MAX_DEPTH} levels"
        ) from None


def read_yaml(path: Path) -> Any:
    """The plain data of a YAML file that is somebody else's, such as a kubeconfig."""
    return _parse(_read(path), path)[0]


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


def _invalid(
    path: Path, text: str, mistakes: list[Mistake], places: dict[Loc, Place]
) -> InvalidFileError:
    located = _located(mistakes, places)
    listed = "\n".join(_excerpt(path, text, mistake) for mistake in located)
    count = f"{len(located)} mistakes" if len(located) > 1 else "1 mistake"
    return InvalidFileError(f"{listed}\n{count} in {path}", mistakes=located)


def _located(mistakes: Iterable[Mistake], places: Mapping[Loc, Place]) -> tuple[Located, ...]:
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


def load_config(path: Path) -> Config:
    """Read ``seatrial.yaml``; an absent file names no targets beside the sandbox.

    Raises:
        InvalidFileError: Lists every mistake with its position.
    """
    if not path.exists():
        return Config()
    text = _read(path)
    data, places = _parse(text, path)
    try:
        return Config.model_validate({} if data is None else data)
    except ValidationError as error:
        described = (describe(detail, data, Config) for detail in error.errors(include_url=False))
        raise _invalid(path, text, [m for m in described if m is not None], places) from None
