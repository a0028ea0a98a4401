"""How much load there was over time: users or arrivals, as planned and as they came. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from runner.analysis.arrivalfigures import in_flight
from runner.model.arrivals import Line as RateLine
from runner.model.arrivals import Schedule, lines_of
from runner.model.recording import Recording
from runner.reports.grid import Grid, Line

LoadKind = Literal["users", "arrivals"]


def load_kind(recording: Recording) -> LoadKind:
    """What the load of ``recording`` is counted in."""
    return "arrivals" if recording.plan.experiment.load.is_open else "users"


def load_lines(recording: Recording, grid: Grid) -> list[Line]:
    """The load as planned, and as it was, in each step: see the functions below."""
    if load_kind(recording) == "arrivals":
        return arrival_lines(recording, grid)
    return users_lines(recording, grid)


def users_lines(recording: Recording, grid: Grid) -> list[Line]:
    """Planned users and those that ran, in each step.

    Of a locustfile's own shape, the plan is what it wanted.
    """
    plan, load = recording.plan, recording.load
    running = Line(name="running", values=_means(load.users, grid, plan.users_at(0.0)))
    if plan.experiment.load.model == "own":
        return [Line(name="wanted", values=_means(load.wanted, grid, 0.0)), running]
    last_s = math.nextafter(grid.duration_s, 0.0)
    planned = tuple(plan.users_at(min(at_s, last_s)) for at_s in grid.centers_s)
    return [Line(name="planned", values=planned), running]


def _means(counted: Mapping[int, int], grid: Grid, at_start: float) -> tuple[float | None, ...]:
    """Means of what was counted at the *end* of each second.

    That of a whole second is the mean of what was counted at its end and at that of the second
    before.
    """
    found: list[list[float]] = [[] for _ in range(grid.count)]
    for second, users in counted.items():
        index = grid.index_of(float(second))
        if index is not None:
            before = counted.get(second - 1, at_start if second == 0 else users)
            found[index].append((before + users) / 2)
    return tuple(sum(known) / len(known) if known else None for known in found)


def arrival_lines(recording: Recording, grid: Grid) -> list[Line]:
    """Arrivals per second: planned ones, those started, and those dropped, if any were."""
    seconds = _recorded(recording, grid)

    def per_second(what: Literal["started", "dropped"]) -> tuple[float | None, ...]:
        counts = [0] * grid.count
        for second, one in recording.load.arrivals.items():
            index = grid.index_of(float(second))
            if index is not None and second < grid.duration_s:
                counts[index] += getattr(one, what)
        return tuple(n / s if s else None for n, s in zip(counts, seconds, strict=True))

    schedule = _schedule(recording)
    planned = tuple(
        schedule.expected(start_s, end_s) / (end_s - start_s) for start_s, end_s in grid.edges_s
    )
    lines = [
        Line(name="planned", values=planned),
        Line(name="started", values=per_second("started")),
    ]
    dropped = per_second("dropped")
    return [*lines, Line(name="dropped", values=dropped)] if any(dropped) else lines


def in_flight_line(recording: Recording, grid: Grid) -> Line:
    """Most arrivals in flight in each step; a second in which nothing happened changes nothing."""
    levels = in_flight(recording.load.arrivals)
    highest: list[float | None] = [None] * grid.count
    level = 0
    for second in sorted(recording.load.users):
        level = levels.get(second, level)
        index = grid.index_of(float(second))
        if index is not None:
            highest[index] = max(float(level), highest[index] or 0.0)
    return Line(name="in flight", values=tuple(highest))


def _schedule(recording: Recording) -> Schedule:
    """Arrivals as planned; of a search, as its steps asked for them."""
    if recording.plan.experiment.load.search is None:
        return Schedule(lines_of(recording.plan.stages))
    return Schedule(
        RateLine(step.start_s, step.start_s + step.duration_s, step.rate_per_s, step.rate_per_s)
        for step in recording.load.steps
    )


def _recorded(recording: Recording, grid: Grid) -> list[int]:
    """Seconds of each step that are on record."""
    known = [0] * grid.count
    for second in recording.load.users:
        index = grid.index_of(float(second))
        if index is not None and second < grid.duration_s:
            known[index] += 1
    return known
