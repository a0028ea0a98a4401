"""What the page needs beside the document: gauges, figures behind charts, its script's data. Pure.

It computes nothing anew: it takes the document's figures apart in the way the page's elements
need them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from runner.model.evaluation import Verdict
from runner.reports import format as fmt
from runner.reports.charts import Chart
from runner.reports.document import Document
from runner.reports.rows import FindingRow
from runner.reports.timeline import PhaseSpan

MOST_PHASES = 40
"""More phases than this are not listed behind a chart."""

_BOUND_PERCENT = 70.0
"""Where a gauge has its bound, unless what was observed is too far beyond it."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure beside its bound, drawn from 0 to 100.

    Attributes:
        bad: Whether the ground of the bad side is left of the bound.
        warn: Where the band of warnings begins; None where there is none.
    """

    observed: float
    bound: float
    warn: float | None
    bad: str

    @property
    def warn_from(self) -> float:
        return min(self.bound, self.bound if self.warn is None else self.warn)

    @property
    def warn_width(self) -> float:
        return 0.0 if self.warn is None else abs(self.bound - self.warn)


@dataclass(frozen=True, slots=True)
class Placed:
    """A finding, its number in the experiment file, and its gauge."""

    number: int
    row: FindingRow
    gauge: Gauge | None


@dataclass(frozen=True, slots=True)
class SeenRow:
    """What a chart shows of one phase: from, to, for each line."""

    label: str
    window: str
    cells: tuple[str, ...]


def placed(rows: Iterable[FindingRow]) -> tuple[Placed, ...]:
    """``rows`` with what needs a reader's eye at the top, the smallest margin first."""
    rank = {verdict: place for place, verdict in enumerate(Verdict)}
    numbered = [Placed(n, row, gauge(row)) for n, row in enumerate(rows, start=1)]

    def urgency(one: Placed) -> tuple[int, float]:
        margin = one.row.margin.value
        return -rank[one.row.verdict], float("inf") if margin is None else margin

    return tuple(sorted(numbered, key=urgency))


def gauge(row: FindingRow) -> Gauge | None:
    """The gauge of ``row``; None where there is nothing to compare, or a bound of zero or less."""
    observed, bound, warn = row.observed.value, row.bound.value, row.warn.value
    if observed is None or bound is None or not bound > 0 or row.observed.unit != row.bound.unit:
        return None
    scale = _BOUND_PERCENT / bound
    scale = min(scale, 100 / observed) if observed > 0 else scale
    places = [round(min(max(value * scale, 0.0), 100.0), 1) for value in (observed, bound)]
    return Gauge(
        observed=places[0],
        bound=places[1],
        warn=None if warn is None else round(min(max(warn * scale, 0.0), 100.0), 1),
        bad="left" if row.bound_text[:1] in (">", "≥") else "right",
    )


def time_charts(document: Document) -> Iterator[Chart]:
    """Every chart over time that shows lines."""
    for group in document.charts:
        yield from (chart for chart in group.charts if not chart.missing)
    if document.failures_chart is not None and not document.failures_chart.missing:
        yield document.failures_chart


def seen_by_phase(chart: Chart, document: Document) -> tuple[SeenRow, ...]:
    """The lowest and the highest value of each line of ``chart`` in each phase."""
    phases = document.timeline.phases[:MOST_PHASES]
    return tuple(_seen(chart, document.at_s, phase) for phase in phases)


def _seen(chart: Chart, at_s: tuple[float, ...], phase: PhaseSpan) -> SeenRow:
    cells = []
    for line in chart.lines:
        inside = [
            value
            for value, at in zip(line.values, at_s, strict=True)
            if value is not None and phase.start_s <= at < phase.end_s
        ]
        ends = (
            [fmt.quantity(end, chart.unit) for end in (min(inside), max(inside))] if inside else []
        )
        cells.append(" to ".join(dict.fromkeys(ends)) or fmt.NOTHING)
    return SeenRow(label=phase.label, window=phase.window, cells=tuple(cells))


def chart_data(document: Document) -> str:
    """What the page's script reads, as JSON that may stand inside of an element."""
    timeline = document.timeline
    known: dict[str, Any] = {
        "started_wall_s": document.load_started_wall_s,
        "duration_s": timeline.duration_s,
        "step_s": document.grid.step_s,
        "at_s": document.at_s,
        "phases": [_span(one) | {"label": one.label} for one in timeline.phases],
        "faults": [
            _span(one) | {"number": one.number, "id": one.id, "begun": one.begun}
            for one in timeline.faults
        ],
        "charts": {chart.id: _chart(chart) for chart in time_charts(document)},
    }
    text = json.dumps(known, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _span(one: Any) -> dict[str, Any]:
    return {"start_s": one.start_s, "end_s": one.end_s}


def _chart(chart: Chart) -> dict[str, Any]:
    return {
        "unit": chart.unit,
        "stacked": chart.stacked,
        "lines": [[line.name, [_short(value) for value in line.values]] for line in chart.lines],
        "bounds": [{"label": bound.label, "windows": bound.windows} for bound in chart.bounds],
    }


def _short(value: float | None) -> float | int | None:
    """Six digits, which is more than any text shows."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() else short
