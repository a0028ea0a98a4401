"""What the charts show: lines on one grid of time, bounds, and a sentence on each. No drawing.

All charts of a run share one grid of time. Where a step of it holds more than one value, the worst
is shown (of traffic the mean): a chart must not smooth a fault away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pydantic import Field

from runner.model.evaluation import Evaluation
from runner.model.histogram import Counts, quantile_us
from runner.model.recording import OUTCOMES, Recording, Signals, SignalSeries
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.bounds import (
    BoundMark,
    DrawnBound,
    bounds_of,
    in_flight_mark,
    load_marks,
    service_marks,
    signal_marks,
)
from runner.reports.grid import Grid, Line
from runner.reports.loadlines import arrival_lines, in_flight_line, load_kind, users_lines
from runner.reports.loadseen import LoadSeen, load_seen
from runner.reports.text import Printable, Shown

LINE_NAMES = {
    "http_4xx": "4xx",
    "http_5xx": "5xx",
    "timeout": "timeout",
    "connection": "connection",
    "error": "other",
}
"""Outcomes as legends call them: short."""

_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_SIGNALS: dict[str, tuple[str, str, dict[str, str]]] = {
    "latency": ("Latency", "s", {f"latency.{name}": name for name in _QUANTILES}),
    "traffic": ("Traffic", "per_s", {"traffic": "requests"}),
    "errors": ("Errors", "ratio", {"errors": "errors"}),
    "saturation": (
        "Saturation",
        "ratio",
        {"saturation.cpu": "CPU", "saturation.memory": "memory"},
    ),
    "replicas": ("Replicas", "count", {"replicas.desired": "wanted", "replicas.ready": "ready"}),
}
"""Golden signal, or replicas: title, unit, and indicator to the name of its line."""

_LOWEST_IS_WORST = ("replicas.ready",)

OWN = "signal."
"""How the indicators of own signals begin."""


class Chart(Model):
    """One small chart.

    Attributes:
        id: Unique in the report and fit for a file name.
        stacked: Whether the lines are parts of a whole, drawn on top of each other.
        missing: Why there is nothing to draw; empty when there is.
        about: The chart in a sentence or two, for those who do not see it.
    """

    id: str
    title: Shown
    subject: Shown
    unit: str
    lines: Items[Line]
    bounds: Items[BoundMark] = ()
    stacked: bool = False
    missing: Shown = ""
    about: Shown = ""


class ChartGroup(Model):
    """Charts about one subject: the load, or a service."""

    id: str
    title: Shown
    note: Printable
    charts: Items[Chart] = Field(default=())


def chart_groups(
    recording: Recording, evaluation: Evaluation, grid: Grid, seen: LoadSeen | None = None
) -> Items[ChartGroup]:
    """The charts of the load, as it was ``seen``, of each service, and of own signals."""
    bounds = bounds_of(evaluation.findings)
    groups = [_load_group(recording, grid, bounds, seen or load_seen(recording, grid))]
    if recording.signals is not None:
        golden = [one for one in recording.signals.series if not one.sli.startswith(OWN)]
        names = dict.fromkeys([*recording.signals.services, *(one.service for one in golden)])
        groups += [
            _service_group(
                number, name, recording.signals, grid, drawn=bounds, evaluation=evaluation
            )
            for number, name in enumerate(names, start=1)
        ]
        groups += own_groups(recording, grid, bounds)
    return tuple(groups)


# -- the load --------------------------------------------------------------------------------------


def _load_group(
    recording: Recording, grid: Grid, drawn: Sequence[DrawnBound], seen: LoadSeen
) -> ChartGroup:
    charts = [*_request_charts(recording, grid, seen), _generator_or_users(recording, grid)]
    each = "second" if grid.step_s == 1 else fmt.span(grid.step_s)
    note = (
        f"Measured by the load generator, for each {each} in which requests were "
        "sent. Latency is that of successful requests."
    )
    bounds = {key: load_marks(drawn, key) for key, *_ in charts}
    if load_kind(recording) == "arrivals":
        charts = [one for one in charts if one[0] != "users"]
        charts += [
            ("arrivals", "Arrivals", "per_s", arrival_lines(recording, grid)),
            ("in-flight", "Arrivals in flight", "count", [in_flight_line(recording, grid)]),
        ]
        bounds["in-flight"] = (in_flight_mark(recording),)
        note = (
            f"Measured by the load generator, for each {each} in which requests "
            "were due. Latency is that of successful requests, from the moment at which they were "
            "due; service p95 is the same from their send."
        )
    return ChartGroup(
        id="load",
        title="As the users saw it",
        note=note,
        charts=tuple(
            _chart(
                f"load-{key}",
                lines,
                grid,
                title=title,
                subject="the load",
                unit=unit,
                bounds=bounds.get(key, ()),
                missing="No request succeeded."
                if key == "latency" and recording.load.rows
                else "The load generator recorded nothing.",
            )
            for key, title, unit, lines in charts
        ),
    )


_LoadChart = tuple[str, str, str, list[Line]]
"""Key, title, unit and lines of a chart of the load."""


def _request_charts(recording: Recording, grid: Grid, seen: LoadSeen) -> list[_LoadChart]:
    """Latency, traffic and errors."""
    is_open = load_kind(recording) == "arrivals"
    totals = [sum(seen.counts[name][i] for name in OUTCOMES) for i in range(grid.count)]

    def per_step(value: Callable[[int], float | None]) -> tuple[float | None, ...]:
        return tuple(value(i) if i < seen.recorded else None for i in range(grid.count))

    def quantiles(latencies: Sequence[Counts], ratio: float) -> tuple[float | None, ...]:
        return per_step(lambda i: _quantile_s(latencies[i], ratio))

    lengths_s = [end_s - start_s for start_s, end_s in grid.edges_s]

    def per_second(counts: Sequence[int]) -> tuple[float | None, ...]:
        return per_step(lambda i: counts[i] / lengths_s[i])

    latency = [
        Line(name=name, values=quantiles(seen.latencies, ratio))
        for name, ratio in _QUANTILES.items()
    ]
    if is_open:
        latency.append(Line(name="service p95", values=quantiles(seen.service, 0.95)))
    traffic = [
        Line(name=LINE_NAMES.get(name, name), values=per_second(seen.counts[name]))
        for name in OUTCOMES
        if any(seen.counts[name])
    ]
    errors = per_step(
        lambda i: (totals[i] - seen.counts["success"][i]) / totals[i] if totals[i] else None
    )
    return [
        ("latency", "Latency", "s", latency),
        ("traffic", "Requests by outcome", "per_s", traffic),
        ("errors", "Errors", "ratio", [Line(name="errors", values=errors)]),
    ]


def _generator_or_users(recording: Recording, grid: Grid) -> _LoadChart:
    """How the generator fared, where that is on record; else the users, as on the timeline."""
    spent = recording.load.generator
    if not spent:
        return ("users", "Users", "count", users_lines(recording, grid))
    highest: list[float | None] = [None] * grid.count
    for second, one in spent.items():
        index = grid.index_of(float(second))
        if index is not None:
            highest[index] = max(one.cpu_ratio, highest[index] or 0.0)
    return (
        "generator",
        "Load generator (of one core)",
        "ratio",
        [Line(name="CPU", values=tuple(highest))],
    )


def _quantile_s(counts: Counts, ratio: float) -> float | None:
    value_us = quantile_us(counts, ratio)
    return None if value_us is None else value_us / 1e6


# -- services --------------------------------------------------------------------------------------


def _service_group(
    number: int,
    service: str,
    signals: Signals,
    grid: Grid,
    *,
    drawn: Sequence[DrawnBound],
    evaluation: Evaluation,
) -> ChartGroup:
    known = {series.sli: series for series in signals.series if series.service == service}
    charts = []
    for signal, (title, unit, slis) in _SIGNALS.items():
        lines = [
            Line(name=name, values=on_grid(known[sli], grid, _worst_of(sli)))
            for sli, name in slis.items()
            if sli in known
        ]
        if signal == "replicas" and not any(_moves(line) for line in lines):
            continue  # The answers say so; a flat line says no more.
        silent = [known[sli].message for sli in slis if sli in known and known[sli].message]
        why = signals.error or (silent[0] if silent else "Prometheus had no data.")
        charts.append(
            _chart(
                f"s{number:02d}-{signal}",
                lines,
                grid,
                title=title,
                subject=service or "the ingress",
                unit=unit,
                bounds=service_marks(drawn, signal, service, evaluation),
                missing=why,
            )
        )
    return ChartGroup(
        id=f"s{number:02d}",
        title=service or "ingress",
        note="",
        charts=tuple(chart for chart in charts if service or chart.title != "Saturation"),
    )


def own_groups(recording: Recording, grid: Grid, drawn: Sequence[DrawnBound]) -> list[ChartGroup]:
    """One chart for each of the experiment's own signals; no group without one."""
    own = recording.plan.experiment.signals
    known = {} if recording.signals is None else {s.sli: s for s in recording.signals.series}
    charts = []
    for number, (name, signal) in enumerate(own.items(), start=1):
        series = known.get(OWN + name)
        lines = [] if series is None else [Line(name="value", values=on_grid(series, grid, max))]
        charts.append(
            _chart(
                f"own-{number:02d}",
                lines,
                grid,
                title=name,
                subject=signal.description or "own signal",
                unit=signal.unit,
                bounds=signal_marks(drawn, name),
                missing=(series.message if series is not None else "") or "Prometheus had no data.",
            )
        )
    note = "; ".join(f"{name}: {one.description}" for name, one in own.items() if one.description)
    title = "The experiment's own signals"
    return [ChartGroup(id="own", title=title, note=note, charts=tuple(charts))] if charts else []


def failures_chart(seen: LoadSeen, grid: Grid) -> Chart | None:
    """Failures per second by kind, one on top of the other; None when nothing failed."""
    lines = [
        Line(
            name=LINE_NAMES.get(name, name),
            values=tuple(
                count / (end_s - start_s) if at < seen.recorded else None
                for at, (count, (start_s, end_s)) in enumerate(
                    zip(counts, grid.edges_s, strict=True)
                )
            ),
        )
        for name, counts in seen.counts.items()
        if name != "success" and any(counts)
    ]
    chart = _chart(
        "load-failures",
        lines,
        grid,
        title="Failures by kind",
        subject="the load",
        unit="per_s",
        bounds=(),
        missing="",
    )
    return chart.model_copy(update={"stacked": True}) if lines else None


def _moves(line: Line) -> bool:
    return len({value for value in line.values if value is not None}) > 1


def _worst_of(sli: str) -> Callable[[Sequence[float]], float]:
    """Which of several values of a step is shown: the worst, or where none is, the mean."""
    if sli == "traffic":
        return _mean
    return min if sli in _LOWEST_IS_WORST else max


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def on_grid(
    series: SignalSeries, grid: Grid, pick: Callable[[Sequence[float]], float]
) -> tuple[float | None, ...]:
    """``series`` with one value for each step, which ``pick`` chooses or makes."""
    found: list[list[float]] = [[] for _ in range(grid.count)]
    for offset_s, value in series.points:
        index = grid.index_of(offset_s)
        if index is not None and value is not None and math.isfinite(value):
            found[index].append(value)
    return tuple(pick(values) if values else None for values in found)


# -- words -----------------------------------------------------------------------------------------


def _chart(
    chart_id: str,
    lines: Sequence[Line],
    grid: Grid,
    *,
    title: str,
    subject: str,
    unit: str,
    bounds: Items[BoundMark],
    missing: str,
) -> Chart:
    drawn = [line for line in lines if any(value is not None for value in line.values)]
    return Chart(
        id=chart_id,
        title=title,
        subject=subject,
        unit=unit,
        lines=tuple(drawn),
        bounds=bounds,
        missing="" if drawn else missing,
        about=" ".join(
            [*(_about(line, unit, grid) for line in drawn), *(_about_bound(b) for b in bounds)]
        ),
    )


def _about(line: Line, unit: str, grid: Grid) -> str:
    values = [(value, at) for at, value in enumerate(line.values) if value is not None]
    lowest, (highest, at) = min(values)[0], max(values, key=lambda item: item[0])
    low, high = fmt.quantity(lowest, unit), fmt.quantity(highest, unit)
    if low == high:
        return f"{line.name}: {high} throughout."
    when = fmt.clock_offset(grid.centers_s[at])
    return f"{line.name}: from {low} to {high}, highest at {when}."


def _about_bound(bound: BoundMark) -> str:
    return f"Bound: {bound.label}, {'missed' if bound.missed else 'kept'}."
