"""Commands that speak with Chaos Toolkit: ``import`` and ``export``."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from runner.cli.options import NamedPath, experiments_option, namespace_named
from runner.cli.saying import say
from runner.errors import InvalidFileError, UsageError
from runner.legible import json_legible
from runner.model.units import parse_duration
from runner.source import check_experiment, find_experiment, load_experiment, plan_of
from runner.textfile import read_bounded

MAX_BYTES = 1024 * 1024
SANDBOX_NAMESPACE = "ecommerce"


class _Duration(click.ParamType):  # type: ignore[type-arg]
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("import")
@click.argument("file", type=NamedPath(path_type=Path))
@click.option("--name", default="", help="Of the experiment. Default: made from its title.")
@click.option("--service", default="", help="Service that it is about. Default: guessed, and told.")
@click.option("--locustfile", default="", help="Who makes the load. Default: one that is there.")
@click.option("--at", "at_s", type=_Duration(), help="When it begins. Default: 60s.")
@click.option("--duration", "duration_s", type=_Duration(), help="Default: what its pauses need.")
@click.option(
    "-o",
    "--output",
    type=NamedPath(dir_okay=False, path_type=Path),
    help="File to write; '-' for standard output. Default: <experiments>/<name>.yaml.",
)
@experiments_option
def import_command(
    file: Path,
    name: str,
    service: str,
    locustfile: str,
    at_s: float | None,
    duration_s: float | None,
    output: Path | None,
    experiments: Path,
) -> None:
    """Make an experiment file of a Chaos Toolkit experiment, or an objective set of OpenSLO.

    Chaos Toolkit (JSON or YAML): what is assumed (load, objectives) stands in the file as comments,
    to be edited. OpenSLO v1 (YAML): its SLOs become objectives over own signals, in a file that
    experiments use. What is not carried over is told on standard error.

    \b
    Example:
      seatrial import chaos/kill-backend.json --service backend
      seatrial import slo/checkout.yaml --name checkout
    """
    if _is_openslo(file):
        refused = {"--service": service, "--locustfile": locustfile, "--at": at_s}
        _import_openslo(file, name, output, experiments, refused | {"--duration": duration_s})
        return
    from runner.chaos.importing import NotImportableError, Wishes, imported

    document, places = _document(file)
    name = name or (output.stem if output is not None and str(output) != "-" else "")
    wishes = Wishes(name, service, locustfile or _locustfile(experiments), at_s, duration_s)
    try:
        made = imported(document, wishes, origin=file.name)
    except NotImportableError as error:
        found = [f"{file}:{_at(places, one.path)}: {one.message}" for one in error.found]
        problem = InvalidFileError("\n".join(found))
        problem.accepted = error.accepted
        raise problem from error
    for note in made.notes:
        say(f"note: {note}")
    _say_what_is_missing(made.modules, made.programs)
    if str(output) == "-":
        click.echo(made.text, nl=False)
        return
    path = output or experiments / f"{made.name}.yaml"
    _write_new(path, made.text, check_experiment)
    click.echo(f"{path}: written, and valid")
    if not made.native:
        click.echo("edit its load and its objectives: they are assumed", err=True)


def _write_new(path: Path, text: str, check: Callable[[str, Path], object]) -> None:
    """Write ``text`` to ``path``, where nothing is yet, once ``check`` has found it right."""
    from runner.store import write_atomically

    if path.exists():
        raise UsageError(f"{path} is there already", accepted="another --name, or another --output")
    check(text, path)  # Before it is there, so that nothing stands in the way.
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def _is_openslo(file: Path) -> bool:
    from runner.openslo import is_openslo

    with contextlib.suppress(OSError):  # Told by who reads it next.
        if not file.is_file():
            return False
        return is_openslo(read_bounded(file, MAX_BYTES).decode("utf-8", "replace"))
    return False


def _import_openslo(
    file: Path, name: str, output: Path | None, experiments: Path, refused: dict[str, Any]
) -> None:
    """Write the objective set that the OpenSLO objects in ``file`` come to."""
    from runner.objectivesets import FOLDER, check_set
    from runner.openslo import NotImportableError, imported, written
    from runner.yamltext import invalid, parse_all, read_text

    given = [option for option, value in refused.items() if value]
    if given:
        problem = f"{', '.join(given)}: an OpenSLO file has neither faults nor load"
        raise UsageError(problem, accepted="--name, --output, --experiments")
    text = read_text(file)
    documents, places = parse_all(text, file)
    to_stdout = str(output) == "-"
    try:
        made = imported(documents, name or ("" if output is None or to_stdout else output.stem))
    except NotImportableError as error:
        raise invalid(file, text, error.found, places) from None
    for note in made.notes:
        say(f"note: {note}")
    path = output or experiments / FOLDER / f"{made.data['name']}.yaml"
    result = written(made, file.name)
    if to_stdout:
        click.echo(result, nl=False)
        return
    _write_new(path, result, check_set)
    click.echo(f"{path}: written, and valid; in an experiment: - use: {path.stem}")


def _document(file: Path) -> tuple[Any, Any]:
    """What is in ``file``, and where; as Chaos Toolkit reads it."""
    from runner.chaos.documents import read_document

    if not file.is_file():
        raise UsageError(f"there is no file {file}", accepted="a Chaos Toolkit experiment")
    if file.stat().st_size > MAX_BYTES:
        raise InvalidFileError(f"{file} is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = read_bounded(file, MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFileError(f"{file} cannot be read: {error}") from error
    return read_document(text, str(file))


def _at(places: Any, path: tuple[str | int, ...]) -> str:
    from runner.chaos.documents import place_of

    line, column = place_of(places, path)
    return f"{line}:{column}"


def _locustfile(experiments: Path) -> str:
    """A Locust file that is there."""
    folder = experiments.absolute().parent / "locustfiles"
    names = sorted(path.name for path in folder.glob("*.py"))
    return "shop.py" if not names or "shop.py" in names else names[0]


def _say_what_is_missing(modules: tuple[str, ...], programs: tuple[str, ...]) -> None:
    for module in modules:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            say(f"note: the Python module {module} is not installed here")
    for program in programs:
        if "${" not in program and shutil.which(program) is None:
            say(f"note: the program {program} is not found here")


@click.command("export")
@click.argument("name", metavar="EXPERIMENT")
@click.option(
    "-o",
    "--output",
    type=NamedPath(dir_okay=False, path_type=Path),
    help="File to write. Default: standard output.",
)
@click.option(
    "-n",
    "--namespace",
    default=SANDBOX_NAMESPACE,
    show_default=True,
    callback=namespace_named,
    help="Where the faults act, unless SEATRIAL_NAMESPACE says otherwise.",
)
@click.option(
    "-H",
    "--host",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="Where the load goes, unless SEATRIAL_HOST says otherwise.",
)
@experiments_option
def export_command(
    name: str, output: Path | None, namespace: str, host: str, experiments: Path
) -> None:
    """Write an experiment as a Chaos Toolkit experiment that 'chaos run' carries out.

    Load and faults are in it; objectives are not, because Chaos Toolkit cannot judge them.

    \b
    Example:
      seatrial export payment-abort -o payment-abort.json
    """
    from runner.chaos.exporting import exported
    from runner.store import to_json, write_atomically

    source = load_experiment(find_experiment(name, experiments))
    made = exported(
        plan_of(source),
        source.text,
        locustfile=_relative(source.locustfile),
        namespace=namespace,
        host=host,
    )
    if output is None:
        click.echo(json_legible(to_json(made)), nl=False)
        return
    write_atomically(output, to_json(made))
    say(f"{output}: written")


def _relative(path: Path) -> str:
    """``path`` as seen from here, so that no path of this machine is in what is written."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return path.name
