"""What the charts show: lines on one grid of time, bounds, and a sentence on each. No drawing.

All charts of a run share one grid of time. Where a step of it holds more than one value, the worst
is shown (of traffic the mean): a chart must not smooth a fault away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import Field

from runner.model.evaluation import Evaluation
from runner.model.histogram import merge_into, quantile_us
from runner.model.recording import OUTCOMES, LoadRecord, Recording, Signals, SignalSeries
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.bounds import (
    BoundMark,
    DrawnBound,
    bounds_of,
    in_flight_mark,
    load_marks,
    service_marks,
)
from runner.reports.grid import Grid, Line
from runner.reports.loadlines import arrival_lines, in_flight_line, load_kind, users_lines
from runner.reports.text import Shown

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


class Chart(Model):
    """One small chart.

    Attributes:
        id: Unique in the report and fit for a file name.
        missing: Why there is nothing to draw; empty when there is.
        about: The chart in a sentence or two, for those who do not see it.
    """

    id: str
    title: str
    subject: Shown
    unit: str
    lines: Items[Line]
    bounds: Items[BoundMark] = ()
    missing: Shown = ""
    about: Shown = ""


class ChartGroup(Model):
    """Charts about one subject: the load, or a service."""

    id: str
    title: Shown
    note: str
    charts: Items[Chart] = Field(default=())


def chart_groups(recording: Recording, evaluation: Evaluation, grid: Grid) -> Items[ChartGroup]:
    """The charts of the load, then those of each service."""
    bounds = bounds_of(evaluation.findings)
    groups = [_load_group(recording, grid, bounds)]
    if recording.signals is not None:
        names = dict.fromkeys(
            [*recording.signals.services, *(s.service for s in recording.signals.series)]
        )
        groups += [
            _service_group(
                number, name, recording.signals, grid, drawn=bounds, evaluation=evaluation
            )
            for number, name in enumerate(names, start=1)
        ]
    return tuple(groups)


# -- the load --------------------------------------------------------------------------------------


def _load_group(recording: Recording, grid: Grid, drawn: Sequence[DrawnBound]) -> ChartGroup:
    charts = [*_request_charts(recording, grid), _generator_or_users(recording, grid)]
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


def _request_charts(recording: Recording, grid: Grid) -> list[_LoadChart]:
    """Latency, traffic and errors."""
    is_open = load_kind(recording) == "arrivals"
    seen = _load_steps(recording.load, grid, with_service=is_open)
    totals = [sum(seen.counts[name][i] for name in OUTCOMES) for i in range(grid.count)]

    def per_step(value: Callable[[int], float | None]) -> tuple[float | None, ...]:
        return tuple(value(i) if i < seen.recorded else None for i in range(grid.count))

    def quantiles(latencies: Sequence[dict[int, int]], ratio: float) -> tuple[float | None, ...]:
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


@dataclass(frozen=True, slots=True)
class _LoadSteps:
    """What was seen in each step of the grid.

    Attributes:
        counts: Requests by outcome.
        latencies: Histograms of successes.
        service: The same from the send; empty where nobody asked for it.
        recorded: Number of steps with a record.
    """

    counts: dict[str, list[int]]
    latencies: list[dict[int, int]]
    service: list[dict[int, int]]
    recorded: int


def _load_steps(load: LoadRecord, grid: Grid, *, with_service: bool) -> _LoadSteps:
    counts: dict[str, list[int]] = {name: [0] * grid.count for name in OUTCOMES}
    latencies: list[dict[int, int]] = [{} for _ in range(grid.count)]
    service: list[dict[int, int]] = [{} for _ in range(grid.count)]
    recorded = 0
    for second in load.users:
        index = grid.index_of(float(second))
        recorded = max(recorded, 0 if index is None else index + 1)
    for row in load.rows:
        index = grid.index_of(float(row.second))
        if index is None or row.second >= grid.duration_s:
            continue
        recorded = max(recorded, index + 1)
        counts.setdefault(row.outcome, [0] * grid.count)[index] += row.count
        if row.outcome == "success":
            merge_into(latencies[index], row.latency_us)
            if with_service:
                sent = row.latency_us if row.service_us is None else row.service_us
                merge_into(service[index], sent)
    return _LoadSteps(counts, latencies, service, recorded)


def _quantile_s(counts: dict[int, int], ratio: float) -> float | None:
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
