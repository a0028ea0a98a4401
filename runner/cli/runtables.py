"""Tables of many runs for the terminal: the list, and the trend of an objective."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from runner.analysis.history import Trend, TrendPoint, sparks
from runner.cli.tables import MARKS, STYLES, make_table, safe
from runner.model.evaluation import Verdict
from runner.model.summary import RunSummary
from runner.reports import format as fmt
from runner.reports.runlist import STANDING_SIGNS, cut, standing_word

_LONGEST_WHY, _LONGEST_NAME = 110, 20
_WIDE, _WIDEST = 130, 160
"""Characters of a line from which there are more columns."""

_LEAST_SPARKS, _HEAD_TEXT = 8, 30


def runs_table(runs: Sequence[RunSummary], width: float) -> Table:
    """The runs of ``seatrial history``, in fewer columns where ``width`` is little."""
    return _wide(runs, when=width >= _WIDEST) if width >= _WIDE else _narrow(runs)


def _wide(runs: Sequence[RunSummary], *, when: bool) -> Table:
    """One line each; a run's id begins with when it was, so that may be left out."""
    table = make_table(
        *("When (UTC)", "Run", "Experiment", "Verdict", "Valid", "Length", "Load", "Target", "Why")[
            0 if when else 1 :
        ],
        right=(5 if when else 4,),
    )
    least = (16, 23, 12, 12, 5, 6, 9, 7, 24)[0 if when else 1 :]
    for column, width in zip(table.columns, least, strict=True):
        column.min_width = width
    for one in runs:
        table.add_row(
            *((fmt.day_minute(one.created_s),) if when else ()),
            safe(one.run_id),
            safe(cut(one.experiment, _LONGEST_NAME)),
            verdict_text(one),
            {True: "yes", False: "no", None: fmt.NOTHING}[one.valid],
            _length(one),
            safe(one.load or fmt.NOTHING),
            safe(cut(one.target, _LONGEST_NAME) or fmt.NOTHING),
            safe(cut(one.why, _LONGEST_WHY)),
        )
    return table


def _narrow(runs: Sequence[RunSummary]) -> Table:
    """The same in three columns; when a run was is the beginning of its id."""
    table = make_table("Run (UTC)", "Verdict", "Why")
    for column, least in enumerate((23, 12, 20)):
        table.columns[column].min_width = least
    for one in runs:
        words = (cut(one.experiment, _LONGEST_NAME), _length(one), one.load, cut(one.target, 20))
        table.add_row(
            safe(one.run_id) + Text("\n") + safe(", ".join(filter(None, words)), "dim"),
            verdict_text(one),
            safe(cut(one.why, _LONGEST_WHY)) + ("" if one.valid is not False else " Not valid."),
        )
    return table


def _length(one: RunSummary) -> str:
    length = fmt.NOTHING if one.duration_s is None else fmt.span(one.duration_s)
    return f"{length} (× {one.time_scale:g})" if one.rehearsal else length


def verdict_text(one: RunSummary) -> Text:
    """Sign and word of a run's verdict, or of why there is none."""
    if one.verdict is None:
        return safe(f"{STANDING_SIGNS[one.standing]} {standing_word(one)}", "dim")
    return safe(f"{MARKS[one.verdict]} {one.verdict.value}", STYLES[one.verdict])


def trend_head(trend: Trend, width: float) -> Text:
    """An objective, and its comparable figures as a row of sparks, oldest first."""
    values = [point.observed for point in trend.comparable]
    most = max(_LEAST_SPARKS, int(min(width, 400)) - _HEAD_TEXT)
    head = safe(f"{trend.experiment}: {cut(trend.title, 200)}", "bold")
    return head + safe(f"  {sparks(values[-most:])}", "cyan")


def trend_table(trend: Trend, width: float) -> Table:
    """An objective over the runs, newest first, in fewer columns where ``width`` is little."""
    wide = width >= _WIDE
    table = make_table(
        *(("When (UTC)",) if wide else ()),
        *("Run", "Verdict", "Observed", "Bound", "Change"),
        *(("Where",) if wide else ()),
        "Compared",
        right=(3, 4, 5) if wide else (2, 3, 4),
    )
    for column in table.columns[: 4 if wide else 3]:
        column.no_wrap = True
    for point in trend.points:
        compared = safe(f"no: {point.differs}", "dim") if point.differs else safe("yes")
        table.add_row(
            *((fmt.day_minute(point.created_s),) if wide else ()),
            safe(cut(point.run_id, 40)),
            safe(f"{MARKS[point.verdict]} {point.verdict.value}", STYLES[point.verdict]),
            fmt.quantity(point.observed, trend.unit),
            fmt.quantity(point.bound, trend.unit),
            safe(change_text(point, trend, long=wide), _change_style(point, trend)),
            *((safe(point.where or fmt.NOTHING),) if wide else ()),
            compared,
        )
    return table


def change_text(point: TrendPoint, trend: Trend, *, long: bool = True) -> str:
    """The change to the run before, in the unit, and if ``long`` in percent."""
    if point.change is None:
        return fmt.NOTHING
    said = fmt.difference(point.change, trend.unit)
    ratio = point.change_ratio if long else None
    return said if ratio is None else f"{said} ({fmt.signed(ratio, 'ratio')})"


def _change_style(point: TrendPoint, trend: Trend) -> str:
    """Colour only where the verdict turned bad or good, not for every wobble."""
    if point.change is None or point.verdict not in (Verdict.FAIL, Verdict.WARN):
        return ""
    worse = point.change > 0 if trend.operator.startswith("<") else point.change < 0
    return STYLES[point.verdict] if worse else ""
