"""Experiment files: YAML in, a valid experiment or every mistake with its position out.

A mistake is answered with ``file:line:col``, the line itself, what is wrong, what would be accepted
and what was perhaps meant; all mistakes of a file at once. Wording lives in ``runner.mistakes``,
reading in ``runner.yamltext``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from runner.errors import Located, UsageError
from runner.mistakes import closest, describe
from runner.model.experiment import Experiment
from runner.model.feasibility import Loc, Mistake, mistakes_in
from runner.model.objectiveset import ObjectiveSet
from runner.model.plan import GeneratorPlan, Plan, make_plan
from runner.model.salvage import salvage
from runner.model.shape import Model
from runner.model.target import Config
from runner.objectivesets import Expanded, expand, load_set, set_folder
from runner.yamltext import Place, invalid, located, parse, read_text, secrets_hidden

M = TypeVar("M", bound=Model)

MOST_REASONS = 3
"""Reasons of one kind that are told; the others are counted."""


@dataclass(frozen=True, slots=True)
class Source:
    """An experiment and where it came from.

    Attributes:
        text: The file, verbatim.
        locustfile: The Locust file that the experiment names, found.
        places: Where everything in it stands.
        expanded: What it says with its objective sets in it.
    """

    path: Path
    text: str
    experiment: Experiment
    locustfile: Path
    places: Mapping[Loc, Place] = field(default_factory=dict, repr=False)
    expanded: Expanded = field(default_factory=lambda: Expanded(None), repr=False)

    @property
    def sha256(self) -> str:
        """Of the file and of the objective sets that it uses."""
        return hashlib.sha256("\0".join((self.text, *self.expanded.texts)).encode()).hexdigest()

    def located(self, remarks: Iterable[Mistake]) -> tuple[Located, ...]:
        """``remarks`` with their lines and columns, in the order of the file."""
        return located(map(self.expanded.placed, remarks), self.places)


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
    return check_experiment(read_text(path), path)


def check_experiment(text: str, path: Path) -> Source:
    """Check ``text``, which stands in ``path`` or is going to; raises as ``load_experiment``."""
    written, places = parse(text, path)
    expanded = expand(written, path)
    data = expanded.data
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
        told = [*expanded.mistakes, *map(expanded.placed, mistakes)]
        raise invalid(path, text, told, places) from None
    mistakes = [*mistakes_in(experiment), *_name_mistakes(experiment.name, path)]
    mistakes += _locustfile_mistakes(experiment.load.locustfile, path)
    locustfile = find_locustfile(experiment.load.locustfile, path)
    mistakes = [*expanded.mistakes, *map(expanded.placed, mistakes)]
    if mistakes or locustfile is None:
        raise invalid(path, text, mistakes, places)
    return Source(path, text, experiment, locustfile, places, expanded)


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


def objectives_named(name: str, folder: Path) -> ObjectiveSet:
    """The objectives that ``name`` means: an experiment's, or a set's.

    Args:
        name: An experiment as :func:`find_experiment` has it, or a set in ``folder``'s sets; or a
            path to a file of either kind.
        folder: The experiments folder.

    Raises:
        InvalidFileError: Lists every mistake of the file with its position.
        UsageError: When there is none; names those there are.
    """
    in_sets = set_folder(folder / "x") / f"{name}.yaml"
    try:
        path = in_sets if _is_file(in_sets) else find_experiment(name, folder)
    except UsageError as error:
        sets = ", ".join(sorted(one.stem for one in in_sets.parent.glob("*.yaml"))) or "none"
        raise UsageError(
            f"there is neither an experiment nor an objective set {name!r} in {folder}/",
            accepted=f"{error.accepted}; sets: {sets}",
            hint=error.hint,
        ) from None
    data, _ = parse(read_text(path), path)
    if not isinstance(data, dict) or "objectives" not in data or "load" in data:
        experiment = load_experiment(path).experiment
        return ObjectiveSet.model_construct(
            **{key: getattr(experiment, key) for key in ObjectiveSet.model_fields}
        )
    return load_set(path)[0]


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
    except (OSError, ValueError):  # Such as a name of more than 255 characters, or with a NUL.
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


def load_config(path: Path) -> Config:
    """Read ``seatrial.yaml`` as :func:`load_checked`; an absent file names no targets."""
    return load_checked(path, Config) if path.exists() else Config()


def load_checked(path: Path, model: type[M]) -> M:
    """The settings in a YAML file.

    Raises:
        InvalidFileError: Lists every mistake with its position.
        UsageError: When the file cannot be read at all.
    """
    text = read_text(path)
    with secrets_hidden(text, path):
        data, places = parse(text, path)
        try:
            return model.model_validate({} if data is None else data)
        except ValidationError as error:
            told = (describe(detail, data, model) for detail in error.errors(include_url=False))
            raise invalid(path, text, [m for m in told if m is not None], places) from None
