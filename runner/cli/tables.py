"""Tables for the terminal. Text from files and clusters is never read as markup."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.model.evaluation import Evaluation, ServiceTimes, Verdict
from runner.model.searchfigures import RateWord, SearchFigures
from runner.reports import format as fmt
from runner.reports.openmodel import RESPONSE_TIME, SERVICE_TIME
from runner.reports.search import rate_text, verdict_word

STYLES = {
    Verdict.PASS: "bold green",
    Verdict.WARN: "bold yellow",
    Verdict.INCONCLUSIVE: "bold magenta",
    Verdict.FAIL: "bold red",
}
MARKS = {Verdict.PASS: "✓", Verdict.WARN: "!", Verdict.INCONCLUSIVE: "?", Verdict.FAIL: "✗"}
_PLAIN_WIDTH = 140


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Tell the caller, where rich would end the process with 1, which is a verdict here."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console(*, err: bool = False) -> Console:
    """A console for data (standard output) or talk (standard error).

    Where output is not a terminal, lines are as long as ``COLUMNS`` says, and not folded at 80.
    """
    made = _Console(stderr=err, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not made.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        made.width = max(made.width, _PLAIN_WIDTH)
    return made


def print_table(table: Table) -> None:
    """``table`` on standard output."""
    console().print(table)


def safe(value: object, style: str = "") -> Text:
    """Text that no escape sequence or markup can get out of."""
    kept = (c if c.isprintable() or c == "\u00a0" else "\ufffd" for c in str(value))
    return Text("".join(kept), style)


def safe_lines(lines: Sequence[str]) -> Text:
    """One safe line below the other; an en dash when there is none."""
    return Text("\n").join(safe(line) for line in lines) if lines else safe(fmt.NOTHING)


def make_table(*headers: str, title: str = "", right: Sequence[int] = ()) -> Table:
    """An empty table with ``headers``; columns in ``right`` hold numbers."""
    table = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for index, header in enumerate(headers):
        table.add_column(header, justify="right" if index in right else "left", overflow="fold")
    return table


def experiments_table(entries: Sequence[dict[str, Any]]) -> Table:
    """The experiments of ``seatrial list``."""
    table = make_table("Experiment", "Length", "Load", "Faults", "Question")
    for entry in entries:
        if "error" in entry:
            table.add_row(safe(entry["name"]), "", "", "", safe(entry["error"], "red"))
            continue
        faults = ", ".join(dict.fromkeys(entry["faults"])) or fmt.NOTHING
        table.add_row(
            safe(entry["name"], "bold"),
            fmt.span(entry["duration_s"]),
            safe(entry["load"]),
            safe(faults),
            safe(entry["description"]),
        )
    return table


def objectives_table(evaluation: Evaluation) -> Table:
    """The objectives: what was promised, what was seen, and how far apart they are."""
    headers = ("", "Objective", "Where", "Observed", "Bound", "Margin")
    table = make_table(*headers, title="Objectives", right=(3, 4, 5))
    for finding in evaluation.findings:
        if finding.kind == "objective":
            style = STYLES[finding.verdict]
            bound = fmt.quantity(finding.bound, finding.unit)
            table.add_row(
                safe(MARKS[finding.verdict], style),
                safe(finding.title),
                safe(finding.where or fmt.NOTHING),
                safe(fmt.quantity(finding.observed, finding.unit), style),
                safe(f"{finding.operator} {bound}"),
                safe(fmt.percent(finding.margin_ratio)),
            )
    return table


def validity_table(evaluation: Evaluation) -> Table:
    """Whether the run proves anything: each condition with its sentence.

    Of a run that was ended early, what follows from that alone is one row.
    """
    table = make_table("", "Condition", "Seen", title="Validity")
    follow = 0
    for finding in evaluation.findings:
        if finding.kind != "validity":
            continue
        if _ended_early(evaluation) and finding.verdict in _UNMET and finding.check in _FOLLOWS:
            follow += 1
            continue
        mark = safe(MARKS[finding.verdict], STYLES[finding.verdict])
        table.add_row(mark, safe(finding.title), safe(finding.reason))
    if follow:
        mark = safe(MARKS[Verdict.INCONCLUSIVE], STYLES[Verdict.INCONCLUSIVE])
        table.add_row(mark, f"{follow} more", "Could not be met, because the run ended early.")
    return table


def latency_table(evaluation: Evaluation) -> Table:
    """Response time beside service time, in each phase of a run with arrivals."""
    heads = [f"{what} {name}" for what in ("Response", "Service") for name in _QUANTILES]
    table = _by_phase(evaluation, "Latency", *heads)
    for phase in evaluation.phases:
        sent = phase.service or ServiceTimes()
        seen = (phase.p50_s, phase.p95_s, phase.p99_s, sent.p50_s, sent.p95_s, sent.p99_s)
        table.add_row(safe(phase.label), *(fmt.seconds(value) for value in seen))
    return table


def _by_phase(evaluation: Evaluation, title: str, *heads: str) -> Table:
    table = make_table("Phase", *heads, title=title, right=range(1, 1 + len(heads)))
    words = [len(word) for phase in evaluation.phases for word in phase.label.split()]
    table.columns[0].min_width = min(_LONG_WORD, max(words, default=0))
    return table


def arrivals_table(evaluation: Evaluation) -> Table:
    """What became of arrivals, in each phase of a run with arrivals."""
    heads = ("Offered", "Started", "Waited", "Dropped", "Completed", "Most in flight")
    table = _by_phase(evaluation, "Arrivals", *heads)
    for phase in evaluation.phases:
        if phase.arrivals is not None:
            counts = phase.arrivals.model_dump()
            cells = {name: safe(fmt.count(value)) for name, value in counts.items()}
            if phase.arrivals.dropped:
                cells["dropped"].stylize("red")
            table.add_row(safe(phase.label), *cells.values())
    return table


def answers_table(evaluation: Evaluation) -> Table | None:
    """What was learned beside the verdict; None when nothing was asked."""
    table = make_table("Question", "Answer", title="Answers")
    table.columns[0].max_width = _QUESTION_WIDTH
    for finding in evaluation.findings:
        if finding.kind == "answer":
            asked = f"{finding.title} ({finding.where})" if finding.where else finding.title
            answered = finding.verdict is Verdict.PASS
            table.add_row(safe(asked), safe(finding.reason, "" if answered else "dim"))
    return table if table.row_count else None


def rates_table(search: SearchFigures) -> Table:
    """The rates of a search: what was offered, and what became of it."""
    high = f"{search.statistic} at most"
    headers = ("Rate", "Tries", "Verdict", "Achieved", search.statistic, high, "Errors")
    table = make_table(*headers, title="Rates", right=(0, 1, 3, 4, 5, 6))
    for one in search.rates:
        table.add_row(
            rate_text(one.rate_per_s),
            fmt.count(one.tries),
            safe(verdict_word(one), _RATE_STYLES[one.verdict]),
            fmt.percent(one.achieved_ratio),
            fmt.seconds(one.quantile_s),
            fmt.seconds(one.quantile_high_s),
            fmt.percent(one.error_ratio),
        )
    return table


_RATE_STYLES: dict[RateWord, str] = {
    "holds": STYLES[Verdict.PASS],
    "fails": STYLES[Verdict.FAIL],
    "unclear": "dim",
    "generator-limited": STYLES[Verdict.INCONCLUSIVE],
}
_QUESTION_WIDTH = 36
_QUANTILES = ("p50", "p95", "p99")
_LONG_WORD = 20
_UNMET = (Verdict.INCONCLUSIVE, Verdict.FAIL)
_FOLLOWS = ("load-delivered", "fault-injected", "fault-seen", "signals-complete")
"""Checks of validity that no run can meet that somebody ended before its time."""


def _ended_early(evaluation: Evaluation) -> bool:
    return any(f.check == "run-finished" and f.verdict in _UNMET for f in evaluation.findings)


def print_evaluation(evaluation: Evaluation) -> None:
    """The verdict on standard output: tables, then reasons, then one sentence.

    Each reason stands there once: of validity in its table, of objectives below.
    """
    out = console()
    out.print(objectives_table(evaluation))
    out.print(validity_table(evaluation))
    if evaluation.search is not None and evaluation.search.rates:
        out.print(rates_table(evaluation.search))
    elif any(phase.arrivals is not None for phase in evaluation.phases):
        out.print(latency_table(evaluation))
        out.print(f"{RESPONSE_TIME} {SERVICE_TIME}\n")
        out.print(arrivals_table(evaluation))
    learned = answers_table(evaluation)
    if learned is not None:
        out.print(learned)
    unjudged = 0
    for finding in evaluation.findings:
        if finding.kind != "objective" or finding.verdict is Verdict.PASS:
            continue
        if finding.verdict is Verdict.INCONCLUSIVE and _ended_early(evaluation):
            unjudged += 1
            continue
        mark = f"{MARKS[finding.verdict]} {finding.title}: "
        out.print(safe(mark, STYLES[finding.verdict]) + safe(finding.reason))
    if unjudged:
        said = f"{unjudged} of the objectives could not be judged in phases that did not end."
        out.print(safe(f"{MARKS[Verdict.INCONCLUSIVE]} ", STYLES[Verdict.INCONCLUSIVE]) + said)
    for line in failure_lines(evaluation):
        out.print(safe(line))
    out.print(safe(evaluation.headline or evaluation.sentence, STYLES[evaluation.verdict]))


_MANY_RATIO, _SOME_RATIO = 0.01, 0.001
_MOST_FAILURES = 3


def failure_lines(evaluation: Evaluation) -> list[str]:
    """The most frequent failures, where failures are what the run is about; else nothing."""
    requests = sum(phase.requests for phase in evaluation.phases)
    failed = sum(phase.failures for phase in evaluation.phases)
    least = _SOME_RATIO if evaluation.verdict in _UNMET else _MANY_RATIO
    if not requests or failed / requests <= least:
        return []
    shown = evaluation.failures[:_MOST_FAILURES]
    lines = [
        f"  {fmt.count(one.count)} × {one.text or one.outcome} on {one.endpoint}" for one in shown
    ]
    rest = len(evaluation.failures) - len(shown)
    if rest:
        lines.append(f"  and {fmt.count(rest)} more kinds of failure")
    share = fmt.percent(failed / requests)
    # Failures are counted by text to the last one, also beyond the last phase.
    beyond = sum(one.count for one in evaluation.failures) > failed
    where = "; with those of users' own code and of after the end:" if beyond else ":"
    return [
        f"{fmt.count(failed)} of {fmt.count(requests)} requests failed ({share}){where}",
        *lines,
    ]
