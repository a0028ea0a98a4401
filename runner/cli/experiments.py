"""Commands that only read: ``list``, ``validate``, ``plan``, ``schema``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.analysis.words import load_size
from runner.cli.crew import crew_options, generator_of
from runner.cli.doubts import as_records, doubts_of, say_doubts
from runner.cli.github import annotate_files, ci_option
from runner.cli.onward import LocustCommand
from runner.cli.options import experiments_option, output_option, print_json, time_scale_option
from runner.cli.saying import say
from runner.cli.whereto import split_target, target_choice, target_options
from runner.errors import ExitCode, InvalidFileError, Located, SeatrialError, UsageError
from runner.model.plan import make_plan
from runner.source import (
    experiment_files,
    find_experiment,
    load_experiment,
    plan_of,
    require_experiments,
)


@click.command("list")
@experiments_option
@output_option
def list_command(experiments: Path, output: str) -> None:
    """List the experiments, with their length, load and faults.

    \b
    Example:
      seatrial list
    """
    require_experiments(experiments)
    entries = [_entry(path) for path in experiment_files(experiments)]
    if output == "json":
        print_json(entries)
        return
    if not entries:
        say(f"no experiments in {experiments}/")
        return
    from runner.cli.tables import experiments_table, print_table

    print_table(experiments_table(entries))


def _entry(path: Path) -> dict[str, Any]:
    try:
        source = load_experiment(path)
    except SeatrialError as error:
        return {"name": path.stem, "path": str(path), "error": error.message.splitlines()[0]}
    experiment = source.experiment
    stages, search = experiment.load.stages, experiment.load.search
    return {
        "name": experiment.name,
        "path": str(path),
        "description": experiment.description,
        "duration_s": experiment.duration_s,
        "load_model": experiment.load.model,
        "users_max": max((stage.users or 0 for stage in stages), default=0),
        "rate_max_per_s": max(
            [search.end] if search else [stage.rate or 0.0 for stage in stages], default=0.0
        ),
        "load": load_size(make_plan(experiment)),
        "faults": [f"{fault.kind} {fault.service}" for fault in experiment.faults],
        "objectives": len(experiment.objectives),
    }


@click.command("validate")
@click.argument("names", nargs=-1, metavar="[EXPERIMENT]...")
@experiments_option
@ci_option
@output_option
def validate_command(names: tuple[str, ...], experiments: Path, ci: str, output: str) -> int:
    """Check experiment files; without names, all of them. All mistakes are shown at once.

    Warnings tell what an experiment cannot answer, such as a phase that is too short to be judged;
    they do not change the exit code.

    \b
    Example:
      seatrial validate payment-abort
    """
    if not names:
        require_experiments(experiments)
    paths = [find_experiment(name, experiments) for name in names]
    paths = paths or experiment_files(experiments)
    if not paths:
        raise InvalidFileError(f"there are no experiments in {experiments}/")
    results = [_validated(path, talk=output != "json") for path in paths]
    annotate_files(ci, [(r["path"], r["mistakes"], r["warnings"]) for r in results])
    if output == "json":
        print_json([{key: result[key] for key in _VALIDATED} for result in results])
        return ExitCode.PASS if all(result["valid"] for result in results) else ExitCode.USAGE
    problems = [result["error"] for result in results if not result["valid"]]
    if problems:
        raise InvalidFileError("\n\n".join(problems))
    return ExitCode.PASS


_VALIDATED = ("path", "valid", "mistakes", "warnings")


def _validated(path: Path, *, talk: bool) -> dict[str, Any]:
    """What is to be said about one file; with ``talk``, what is right about it is said at once."""
    found: dict[str, Any] = {"path": str(path), "valid": True, "mistakes": [], "warnings": []}
    try:
        source = load_experiment(path)
    except UsageError as error:  # Also one that cannot be read: the others are looked at.
        located = error.mistakes if isinstance(error, InvalidFileError) else ()
        mistakes = located or (Located(1, 1, error.message),)
        return {**found, "valid": False, "mistakes": as_records(mistakes), "error": error.message}
    doubts = doubts_of(source, plan_of(source))
    if talk:
        click.echo(f"{path}: valid")
        say_doubts(path, doubts)
    return {**found, "warnings": as_records(doubts)}


@click.command("plan", cls=LocustCommand)
@click.argument("name", metavar="EXPERIMENT")
@target_options
@time_scale_option
@crew_options
@experiments_option
@output_option
def plan_command(
    name: str,
    time_scale: float,
    experiments: Path,
    output: str,
    arguments: tuple[str, ...],
    **more: Any,
) -> int:
    """Show what a run would do, and when, without touching anything.

    Stages, phases, faults with their undo times, and the objectives of each phase. What cannot
    come to a clear answer, also because of the time scale, is a warning on standard error. What
    stands after -- would be given to Locust.

    With a target that is up (--target, --sandbox-name or --context), also: the pods that would be
    chosen, each object before and after, what is forbidden there. Exit code 3 when a run there
    would be refused.

    \b
    Example:
      seatrial plan payment-abort --time-scale 0.1
      seatrial plan payment-abort --target sandbox
    """
    address, crew = split_target(more)
    source = load_experiment(find_experiment(name, experiments))
    plan = plan_of(source, time_scale, generator_of(source, arguments, **crew))
    if any(value for key, value in address.items() if key != "config"):
        from runner.cli.preview import show_preview

        return show_preview(source, plan, target_choice(**address), output)
    from runner.cli.timeline import show_plan

    show_plan(source, plan, output)
    return ExitCode.PASS
