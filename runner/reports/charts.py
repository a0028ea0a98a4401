"""What the charts show: lines on one grid of time, bounds, and a sentence on each. No drawing.

All charts of a run share one grid of at most :data:`MOST_POINTS` steps, so that they can be read
one below the other and the page does not grow with the length of the run. Where a step holds more
than one value, the worst is shown (of traffic the mean): a chart must not smooth a fault away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pydantic import Field

from runner.model.evaluation import Evaluation
from runner.model.histogram import merge_into, quantile_us
from runner.model.plan import Plan
from runner.model.recording import OUTCOMES, LoadRecord, Recording, Signals, SignalSeries
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.bounds import BoundMark, DrawnBound, bounds_of, load_marks, service_marks
from runner.reports.text import Shown

MOST_POINTS = 240
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)
_EDGE_TOLERANCE_S = 1e-6

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


class Grid(Model):
    """Steps of equal length from the start of the load to its planned end."""

    step_s: float
    count: int
    duration_s: float

    @property
    def centers_s(self) -> tuple[float, ...]:
        """The middle of each step; the last one may be shorter."""
        return tuple(
            round((index * self.step_s + min((index + 1) * self.step_s, self.duration_s)) / 2, 3)
            for index in range(self.count)
        )

    def index_of(self, offset_s: float) -> int | None:
        """The step that holds ``offset_s``; the planned end belongs to the last one."""
        if offset_s < -_EDGE_TOLERANCE_S or offset_s > self.duration_s + _EDGE_TOLERANCE_S:
            return None
        return max(0, min(self.count - 1, int((offset_s + _EDGE_TOLERANCE_S) // self.step_s)))


class Line(Model):
    """One line of a chart: a value for each step of the grid, None where there was none."""

    name: str
    values: Items[float | None]


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


def grid_of(plan: Plan, signals: Signals | None) -> Grid:
    """The finest grid that is not finer than the signals and has few enough steps."""
    steps = [1.0, *(series.step_s for series in (signals.series if signals else ()))]
    least_s = max(*steps, plan.duration_s / MOST_POINTS)
    step_s = next((float(s) for s in _STEPS_S if s >= least_s - _EDGE_TOLERANCE_S), least_s)
    count = max(1, math.ceil(plan.duration_s / step_s - _EDGE_TOLERANCE_S))
    return Grid(step_s=step_s, count=count, duration_s=plan.duration_s)


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
    counts, latencies, recorded = _load_steps(recording.load, grid)
    totals = [sum(counts[name][i] for name in OUTCOMES) for i in range(grid.count)]
    lengths = [
        min((i + 1) * grid.step_s, grid.duration_s) - i * grid.step_s for i in range(grid.count)
    ]

    def per_step(value: Callable[[int], float | None]) -> tuple[float | None, ...]:
        return tuple(value(i) if i < recorded else None for i in range(grid.count))

    traffic = [
        Line(
            name=LINE_NAMES.get(name, name),
            values=per_step(lambda i, n=counts[name]: n[i] / lengths[i]),  # type: ignore[misc]
        )
        for name in OUTCOMES
        if any(counts[name])
    ]
    latency = [
        Line(name=name, values=per_step(lambda i, q=ratio: _quantile_s(latencies[i], q)))  # type: ignore[misc]
        for name, ratio in _QUANTILES.items()
    ]
    errors = per_step(
        lambda i: (totals[i] - counts["success"][i]) / totals[i] if totals[i] else None
    )
    charts = (
        ("latency", "Latency", "s", latency),
        ("traffic", "Requests by outcome", "per_s", traffic),
        ("errors", "Errors", "ratio", [Line(name="errors", values=errors)]),
        _generator_or_users(recording, grid),
    )
    return ChartGroup(
        id="load",
        title="As the users saw it",
        note=f"Measured by the load generator, for each {fmt.span(grid.step_s)} in which requests "
        "were sent. Latency is that of successful requests.",
        charts=tuple(
            _chart(
                f"load-{key}",
                lines,
                grid,
                title=title,
                subject="the load",
                unit=unit,
                bounds=load_marks(drawn, key),
                missing="The load generator recorded nothing.",
            )
            for key, title, unit, lines in charts
        ),
    )


def _generator_or_users(recording: Recording, grid: Grid) -> tuple[str, str, str, list[Line]]:
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


def users_lines(recording: Recording, grid: Grid) -> list[Line]:
    """Planned users and those that ran, in each step.

    A record has the users at the *end* of its second: those of the whole second are the mean of
    that and of the second's before.
    """
    last_s = math.nextafter(grid.duration_s, 0.0)
    planned = tuple(recording.plan.users_at(min(at_s, last_s)) for at_s in grid.centers_s)
    ran: list[list[float]] = [[] for _ in range(grid.count)]
    counted = recording.load.users
    at_start = {-1: recording.plan.users_at(0.0)}
    for second, users in counted.items():
        index = grid.index_of(float(second))
        if index is not None:
            before = counted.get(second - 1, at_start.get(second - 1, users))
            ran[index].append((before + users) / 2)
    actual = tuple(sum(known) / len(known) if known else None for known in ran)
    return [Line(name="planned", values=planned), Line(name="running", values=actual)]


def _load_steps(
    load: LoadRecord, grid: Grid
) -> tuple[dict[str, list[int]], list[dict[int, int]], int]:
    """Requests by outcome, histograms of successes, and the number of steps with a record."""
    counts: dict[str, list[int]] = {name: [0] * grid.count for name in OUTCOMES}
    latencies: list[dict[int, int]] = [{} for _ in range(grid.count)]
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
    return counts, latencies, recorded


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
