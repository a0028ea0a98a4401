"""``seatrial compare``: two recorded runs side by side, if they may be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.catalog import subject_of
from runner.cli.hearing import may_be_unheard
from runner.cli.options import NamedPath, output_option, results_option, under
from runner.cli.saying import say
from runner.errors import ExitCode, UsageError
from runner.legible import json_legible
from runner.store import Store, write_atomically

if TYPE_CHECKING:
    from runner.model.comparison import Comparison


@click.command("compare")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@click.option(
    "--html",
    type=NamedPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the page goes. Default: below the results folder, in compare.",
)
@click.option("--no-html", is_flag=True, help="Write no page.")
@results_option
@output_option
def compare_command(
    first: str, second: str, html: Path | None, no_html: bool, results: Path, output: str
) -> int:
    """Compare two recorded runs, if they may be.

    First it is said whether they may be compared, then what differs, figure by figure. Each RUN is
    a folder, a run id, an experiment's name (its latest run) or 'latest'; differences are the
    second minus the first. One run each is no evidence: words such as 'worse' claim no cause.
    Exits with 0 when the runs are comparable, and with 3 when they are not.

    \b
    Example:
      seatrial compare 2026-11-20T100025Z-6261 latest
    """
    from runner.analysis.compare import compare

    store = Store(results)
    runs = (store.find(first), store.find(second))
    if runs[0].path == runs[1].path:
        raise UsageError(f"both names mean one run, {runs[0].run_id}", accepted="two runs")
    subjects = (subject_of(runs[0]), subject_of(runs[1]))
    comparison = compare(*subjects)
    with may_be_unheard():
        _show(comparison, output)
    if not no_html:
        from runner.reports.comparepage import page_of, report_href

        path = html or store.comparison_path(*runs)
        hrefs = (report_href(runs[0], path), report_href(runs[1], path))
        write_atomically(path, page_of(runs, subjects, hrefs)[1])
        with may_be_unheard():
            say(f"page: {under(results, path)}")
    return ExitCode.PASS if comparison.comparable else ExitCode.INCONCLUSIVE


def _show(comparison: Comparison, output: str) -> None:
    if output == "json":
        click.echo(json_legible(comparison.model_dump_json(indent=2)))
        return
    from runner.cli.comparetables import print_comparison

    print_comparison(comparison)
