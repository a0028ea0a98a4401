"""``evaluate`` and ``report``: judge and render recorded runs again, without a target."""

from __future__ import annotations

import json
from pathlib import Path

import click

from runner.catalog import evaluate_run, report_run
from runner.cli.hearing import may_be_unheard
from runner.cli.options import experiments_option, output_option, results_option
from runner.cli.outcome import of_verdict
from runner.model.recording import unhealed
from runner.source import find_experiment, load_experiment
from runner.store import Store


@click.command("evaluate")
@click.argument("run", default="latest", metavar="[RUN]")
@click.option(
    "--objectives",
    metavar="EXPERIMENT",
    help="Judge by the objectives of this experiment instead of the run's own.",
)
@results_option
@experiments_option
@output_option
def evaluate_command(
    run: str, objectives: str | None, results: Path, experiments: Path, output: str
) -> int:
    """Judge a recorded run again, with its own objectives or with others.

    RUN is a folder, a run id, an experiment's name (its latest run) or 'latest'.

    \b
    Example:
      seatrial evaluate latest --objectives normal
    """
    folder = Store(results).find(run)
    others = None
    if objectives is not None:
        source = load_experiment(find_experiment(objectives, experiments))
        others = source.experiment.objectives
    evaluation = evaluate_run(folder, others)
    from runner.cli.tables import print_evaluation

    with may_be_unheard():  # The exit code is the verdict, also where `| head` reads no further.
        if output == "json":
            click.echo(evaluation.model_dump_json(indent=2))
        else:
            print_evaluation(evaluation)
    left = unhealed(folder.read_events())
    if left:
        click.echo(
            f"the journal does not show that {', '.join(sorted(left))} was healed: "
            f"seatrial heal {folder.run_id}",
            err=True,
        )
    return of_verdict(evaluation.verdict)


@click.command("report")
@click.argument("run", default="latest", metavar="[RUN]")
@results_option
@output_option
def report_command(run: str, results: Path, output: str) -> int:
    """Render the report of a run again: a page, JSON, JUnit and Markdown.

    A run that was never evaluated is evaluated first.

    \b
    Example:
      seatrial report latest
    """
    folder = Store(results).find(run)
    if not folder.evaluation_path.exists():
        evaluate_run(folder)
    page = report_run(folder)
    if output == "json":
        click.echo(json.dumps({"run": folder.run_id, "report": str(page)}))
    else:
        click.echo(str(page))
    return 0
