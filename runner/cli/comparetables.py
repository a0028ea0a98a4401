"""A comparison of two runs on the terminal: comparability first."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from runner.cli.tables import MARKS, STYLES, console, make_table, safe
from runner.legible import printable
from runner.model.comparison import Comparison
from runner.model.evaluation import Verdict
from runner.reports import format as fmt
from runner.reports.comparing import (
    ARROW,
    COLUMNS,
    ComparisonText,
    LoadText,
    PairText,
    comparison_text,
)
from runner.reports.runlist import cut

_TONES = {
    "pass": STYLES[Verdict.PASS],
    "fail": STYLES[Verdict.FAIL],
    "warn": STYLES[Verdict.WARN],
    "inconclusive": STYLES[Verdict.INCONCLUSIVE],
    "none": "",
}


def print_comparison(comparison: Comparison) -> None:
    """``comparison`` on standard output."""
    doc, out = comparison_text(comparison), console()
    out.print(conditions_table(doc))
    if doc.comparable:
        out.print(safe("= The runs are comparable.", STYLES[Verdict.PASS]))
    else:
        out.print(safe("≠ The runs are NOT comparable:", STYLES[Verdict.INCONCLUSIVE]))
        for why in doc.why_not:
            out.print(safe(f"  {why}"))
    out.print(objectives_table(doc))
    out.print(load_table("All requests", doc.phases))
    for label, rows in doc.endpoints:
        out.print(load_table(label, rows))
    out.print(safe(doc.caution))


def conditions_table(doc: ComparisonText) -> Table:
    """What the runs have in common: what they need to, and what differs beside that."""
    one, two = doc.sides
    table = make_table("Condition", f"A: {one.run_id}", f"B: {two.run_id}", "Same?")
    needed = [row for row in doc.conditions if row.kind != "pass"]
    same = [row.name for row in doc.conditions if row.kind == "pass"]
    verdicts = [_verdict(side.kind) for side in doc.sides]
    table.add_row("verdict", *verdicts, "" if one.kind != two.kind else "same")
    for row in needed:
        table.add_row(
            row.name,
            safe(row.first),
            safe(row.second),
            safe(f"{row.sign} {row.word}", _TONES[row.kind]),
        )
    if same:
        table.add_section()
        table.add_row("the same", safe(", ".join(same)), "", "")
    return table


def objectives_table(doc: ComparisonText) -> Table:
    """The objectives of both runs."""
    table = make_table(
        *("Objective", "Bound", "A", "B", "B − A", "Verdicts", "B against A"), right=(1, 2, 3, 4)
    )
    for row in doc.objectives:
        seen = row.observed
        change = f"{seen.difference} ({seen.change})" if seen.change else seen.difference
        table.add_row(
            safe(row.title),
            row.bound,
            seen.first,
            seen.second,
            change,
            Text(f" {ARROW} ").join(_verdict(word) for word in row.verdicts),
            safe(f"{row.sign} {row.word}", _TONES[row.kind]),
        )
    return table


def load_table(title: str, rows: Iterable[LoadText]) -> Table:
    """The phases of both runs, of all requests or of one endpoint."""
    right = range(1, len(COLUMNS) + 1)
    table = make_table("Phase", *COLUMNS, title=cut(printable(title), 120), right=tuple(right))
    for row in rows:
        name = safe(row.name) + safe(f" ({row.missing})" if row.missing else "", "dim")
        table.add_row(name, *(_cell(one) for one in row.figures))
    return table


def _cell(one: PairText) -> Text:
    difference = one.change or one.difference
    cell = safe(f"{one.first} {ARROW} {one.second}")
    return cell + Text("\n") + safe(difference, "dim") if one.notable else cell


def _verdict(word: str) -> Text:
    if not word:
        return safe(fmt.NOTHING)
    verdict = Verdict(word)
    return safe(f"{MARKS[verdict]} {word}", STYLES[verdict])
