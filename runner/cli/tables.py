"""Tables for the terminal. Text from files and clusters is never read as markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.model.evaluation import Evaluation, Finding, Verdict
from runner.reports import format as fmt

STYLES = {
    Verdict.PASS: "bold green",
    Verdict.WARN: "bold yellow",
    Verdict.INCONCLUSIVE: "bold magenta",
    Verdict.FAIL: "bold red",
}
MARKS = {Verdict.PASS: "✓", Verdict.WARN: "!", Verdict.INCONCLUSIVE: "?", Verdict.FAIL: "✗"}
_PLAIN_WIDTH = 140


def console(*, err: bool = False) -> Console:
    """A console for data (standard output) or talk (standard error).

    Where output is not a terminal, lines are not folded at 80 columns.
    """
    made = Console(stderr=err, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not made.is_terminal:
        made.width = max(made.width, _PLAIN_WIDTH)
    return made


def print_table(table: Table) -> None:
    """``table`` on standard output."""
    console().print(table)


def safe(value: object, style: str = "") -> Text:
    """Text that no escape sequence or markup can get out of."""
    return Text(
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value)), style
    )


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
    table = make_table("Experiment", "Length", "Users", "Faults", "Question", right=(2,))
    for entry in entries:
        if "error" in entry:
            table.add_row(safe(entry["name"]), "", "", "", safe(entry["error"], "red"))
            continue
        faults = ", ".join(dict.fromkeys(entry["faults"])) or fmt.NOTHING
        table.add_row(
            safe(entry["name"], "bold"),
            fmt.span(entry["duration_s"]),
            fmt.count(entry["users_max"]),
            safe(faults),
            safe(entry["description"]),
        )
    return table


def findings_table(evaluation: Evaluation) -> Table:
    """Every finding of ``evaluation``: objectives first, then validity."""
    table = make_table("", "Check", "Where", "Observed", "Bound", "Margin", "Why", right=(3, 4, 5))
    for kind in ("objective", "validity"):
        for finding in (f for f in evaluation.findings if f.kind == kind):
            table.add_row(*_finding_cells(finding))
        table.add_section()
    return table


def _finding_cells(finding: Finding) -> list[Text]:
    style = STYLES[finding.verdict]
    bound = fmt.quantity(finding.bound, finding.unit)
    return [
        safe(MARKS[finding.verdict], style),
        safe(finding.title),
        safe(finding.where or fmt.NOTHING),
        safe(fmt.quantity(finding.observed, finding.unit), style),
        safe(f"{finding.operator} {bound}" if finding.operator else bound),
        safe(fmt.percent(finding.margin_ratio)),
        safe(finding.reason),
    ]


def print_evaluation(evaluation: Evaluation) -> None:
    """The verdict table on standard output."""
    out = console()
    out.print(findings_table(evaluation))
    out.print(safe(evaluation.sentence, STYLES[evaluation.verdict]))
