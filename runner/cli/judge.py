"""``evaluate`` and ``report``: judge and render recorded runs again, without a target."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import click

from runner.catalog import evaluate_run, report_run
from runner.cli.github import ci_option, commands_off, is_github, source_of, tell_github
from runner.cli.hearing import may_be_unheard
from runner.cli.indexing import refresh_index
from runner.cli.options import experiments_option, output_option, results_option, under
from runner.cli.outcome import of_verdict
from runner.cli.saying import say
from runner.errors import SeatrialError
from runner.legible import json_legible
from runner.model.evaluation import Evaluation
from runner.model.objectiveset import ObjectiveSet
from runner.model.recording import unhealed
from runner.source import Source, find_experiment, load_experiment, objectives_named
from runner.store import RunDir, Store


@click.command("evaluate")
@click.argument("run", default="latest", metavar="[RUN]")
@click.option(
    "--objectives",
    metavar="NAME",
    help="Judge by the objectives of this experiment or objective set, instead of the run's own.",
)
@click.option(
    "--save",
    is_flag=True,
    help="Keep the judgement by other objectives in the run's folder, and its report.",
)
@results_option
@experiments_option
@ci_option
@output_option
def evaluate_command(
    run: str,
    objectives: str | None,
    save: bool,
    results: Path,
    experiments: Path,
    ci: str,
    output: str,
) -> int:
    """Judge a recorded run again, with its own objectives or with others.

    RUN is a folder, a run id, an experiment's name (its latest run) or 'latest'. A judgement by the
    run's own objectives is kept in its folder, and its report is rendered again; one by others
    is only shown, unless --save says otherwise.

    \b
    Example:
      seatrial evaluate latest --objectives normal
    """
    folder = Store(results).find(run)
    others = None if objectives is None else objectives_named(objectives, experiments)
    keep = save or others is None
    evaluation = evaluate_run(folder, others, save=keep)
    with commands_off(ci):
        _say_judged(folder, evaluation, results, output)
        if keep and folder.report_dir.exists():  # It would tell of another judgement.
            page = report_run(folder)
            with may_be_unheard():
                say(f"report: {under(results, page)}")
        if keep:
            refresh_index(results)
        _say_left(folder)
    source = source_of(folder.read_manifest(), experiments)
    if others is not None:
        source = _file_of(objectives or "", others, experiments)
    tell_github(ci, folder, source, evaluation=evaluation, with_report=keep)
    return of_verdict(evaluation.verdict)


def _file_of(name: str, others: ObjectiveSet, experiments: Path) -> Source | None:
    """The experiment whose file has exactly these objectives, so that a line of it can be named."""
    with contextlib.suppress(SeatrialError):
        source = load_experiment(find_experiment(name, experiments))
        return source if source.experiment.objectives == others.objectives else None
    return None


def _say_judged(folder: RunDir, evaluation: Evaluation, results: Path, output: str) -> None:
    from runner.cli.tables import print_evaluation

    with may_be_unheard():
        said = f"run {folder.run_id} of {evaluation.experiment} -> {under(results, folder.path)}"
        say(said)
    with may_be_unheard():  # The exit code is the verdict, also where `| head` reads no further.
        if output == "json":
            click.echo(json_legible(evaluation.model_dump_json(indent=2)))
        else:
            print_evaluation(evaluation)


def _say_left(folder: RunDir) -> None:
    left = unhealed(folder.read_events())
    if left:
        click.echo(
            f"the journal does not show that {', '.join(sorted(left))} was healed: "
            f"seatrial heal {folder.run_id}",
            err=True,
        )


@click.command("report")
@click.argument("run", default="latest", metavar="[RUN]")
@results_option
@experiments_option
@ci_option
@click.option("--markdown", is_flag=True, help="Print the Markdown, as -o markdown does.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="What is printed on standard output: the page's path, that as JSON, or the Markdown.",
)
def report_command(
    run: str, results: Path, experiments: Path, ci: str, markdown: bool, output: str
) -> int:
    """Render the report of a run again: a page, JSON, JUnit and Markdown.

    A run that was never evaluated is evaluated first.

    \b
    Example:
      seatrial report latest
      seatrial report latest --markdown > comment.md
    """
    folder = Store(results).find(run)
    if not folder.evaluation_path.exists():
        evaluate_run(folder)
    page = report_run(folder)
    refresh_index(results)
    if markdown or output == "markdown":
        click.echo((folder.report_dir / "summary.md").read_text(encoding="utf-8"), nl=False)
    elif output == "json":
        click.echo(json.dumps({"run": folder.run_id, "report": under(results, page)}))
    else:
        click.echo(under(results, page))
    if is_github(ci):
        source = source_of(folder.read_manifest(), experiments)
        tell_github(ci, folder, source, evaluation=folder.read_evaluation())
    return 0
