"""``seatrial history``: the recorded runs, and how an objective fared over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.catalog import write_run_index
from runner.cli.options import output_option, print_json, results_option, under
from runner.cli.saying import say
from runner.errors import UsageError
from runner.mistakes import closest
from runner.model.evaluation import Verdict
from runner.model.units import parse_duration
from runner.process import SystemClock
from runner.store import Store

if TYPE_CHECKING:
    from runner.analysis.history import Trend
    from runner.model.summary import RunSummary

SINCE_ACCEPTED = "a length of time back from now such as 7d or 12h, or a date such as 2026-11-01"


@click.command("history")
@click.argument("experiment", default="", metavar="[EXPERIMENT]")
@click.option("--experiment", "named", metavar="NAME", help="The same as the argument.")
@click.option(
    "--verdict",
    "verdicts",
    type=click.Choice([verdict.value for verdict in Verdict]),
    multiple=True,
    help="Only runs with this verdict; repeat it for several.",
)
@click.option("--since", metavar="WHEN", help=f"Only runs begun since then: {SINCE_ACCEPTED}.")
@click.option("--target", metavar="NAME", help="Only runs against this target.")
@click.option("--limit", type=click.IntRange(min=1), help="Only so many, the newest.")
@click.option(
    "--trend",
    metavar="OBJECTIVE",
    help="How this objective fared over the runs: its text, a part of it, or 'all'.",
)
@click.option(
    "--index", is_flag=True, help="Write the page of all runs, index.html, and say where."
)
@results_option
@output_option
def history_command(
    experiment: str,
    named: str | None,
    verdicts: tuple[str, ...],
    since: str | None,
    target: str | None,
    limit: int | None,
    trend: str | None,
    index: bool,
    results: Path,
    output: str,
) -> int:
    """List the recorded runs, and how an objective fared over them.

    The newest comes first. A folder that is torn, foreign or unfinished is listed with what is
    wrong with it. In a trend, rehearsals and runs with another load, length or target are marked:
    they are not compared.

    \b
    Example:
      seatrial history payment-abort --since 30d --trend "latency.p95 < 500ms"
    """
    from runner.analysis.history import chosen, trends

    if experiment and named and experiment != named:
        raise UsageError(f"two experiments are named: {experiment!r} and {named!r}")
    now_s = SystemClock().wall_s()
    store = Store(results)
    if index:
        page = under(results, write_run_index(store, now_s))
        if output == "json":
            print_json({"index": page})
        else:
            click.echo(page)
        return 0
    known = store.summaries(now_s)
    name = experiment or named or ""
    check_experiment(name, known)
    runs = chosen(
        known,
        experiment=name,
        verdicts=verdicts,
        since_s=since_s(since, now_s),
        target=target or "",
    )
    if trend is not None:
        found = trends(runs, trend)
        if not found and runs:
            titles = dict.fromkeys(one.title for one in trends(runs))
            guess = closest(trend, titles)
            raise UsageError(
                f"no objective of these runs is called {trend!r}"
                + (f"; did you mean {guess!r}?" if guess else ""),
                accepted=", ".join(titles) or "nothing: no run was judged by an objective",
            )
        newest = [one.model_copy(update={"points": one.points[:limit]}) for one in found]
        _show_trends(newest, output)
    elif output == "json":
        print_json([one.model_dump(mode="json") for one in runs[:limit]])
    else:
        _show_runs(runs[:limit], len(known), results)
    return 0


def check_experiment(name: str, known: Sequence[RunSummary]) -> None:
    """Refuse a name that no run has, unless there is no run at all.

    Raises:
        UsageError: Lists the experiments that were run.
    """
    names = sorted({one.experiment for one in known})
    if not name or not names or name in names:
        return
    guess = closest(name, names)
    raise UsageError(
        f"no run of {name!r} is recorded" + (f"; did you mean {guess!r}?" if guess else ""),
        accepted=", ".join(names),
    )


def since_s(text: str | None, now_s: float) -> float | None:
    """Unix time that ``text`` means; None for None.

    Raises:
        UsageError: When it is neither a length of time nor a date.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now_s - parse_duration(text)
        except ValueError:
            raise UsageError(f"--since {text!r} is no time", accepted=SINCE_ACCEPTED) from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _show_runs(runs: Sequence[RunSummary], known: int, results: Path) -> None:
    from runner.cli.runtables import runs_table
    from runner.cli.tables import console, print_table

    if not runs:
        said = "no run matches" if known else "no run is recorded yet"
        say(f"{said} in {results}")
        return
    print_table(runs_table(runs, console().width))


def _show_trends(found: Sequence[Trend], output: str) -> None:
    from runner.cli.runtables import trend_head, trend_table
    from runner.cli.tables import console, print_table

    if output == "json":
        print_json([one.model_dump(mode="json") for one in found])
        return
    if not found:
        click.echo("no run matches", err=True)
    for one in found:
        console().print(trend_head(one, console().width))
        print_table(trend_table(one, console().width))
