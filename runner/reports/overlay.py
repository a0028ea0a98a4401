"""Charts of one run, or of two over each other, from the start of the load. Computed; not drawn.

One grid of time for both, that of the longer run. Where a step of it holds more than one second,
latency is that of all requests of the step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from runner.model.evaluation import Evaluation
from runner.model.histogram import quantile_us
from runner.model.recording import Recording
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.grid import Grid
from runner.reports.loadseen import load_seen
from runner.reports.timeline import ticks_s

WIDTH, HEIGHT = 330, 180
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 20
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_TICKS = 4

FIGURES = (
    ("latency", "Latency p95", "s"),
    ("errors", "Errors", "ratio"),
    ("traffic", "Traffic", "per_s"),
)
"""What is drawn: id, title, unit."""


class LoadLines(Model):
    """What the load of one run saw, for each step of a grid; None where there was nothing."""

    latency: Items[float | None]
    errors: Items[float | None]
    traffic: Items[float | None]
    faults: Items[tuple[float, float]]


class Tick(Model):
    """A place on an axis, in the units of the drawing, and what is written there."""

    at: float
    text: str


class Shade(Model):
    """A fault; of two runs, that of the first in the upper half, of the second in the lower."""

    x: float
    y: float
    width: float
    height: float


class Overlay(Model):
    """One chart.

    Attributes:
        paths: Of each run, as SVG has paths; empty where nothing was seen.
        about: What is to be seen, for those who do not see it.
    """

    id: str
    title: str
    paths: Items[str]
    across: Items[Tick]
    up: Items[Tick]
    shades: Items[Shade]
    about: str


def load_lines(recording: Recording, evaluation: Evaluation, grid: Grid) -> LoadLines:
    """Latency, errors and traffic of a run on ``grid``, and where its faults were in place."""
    seen = load_seen(recording, grid)
    latency: list[float | None] = []
    errors: list[float | None] = []
    traffic: list[float | None] = []
    for index, (start_s, end_s) in enumerate(grid.edges_s):
        if index >= seen.recorded or end_s <= start_s:
            break
        requests = sum(counts[index] for counts in seen.counts.values())
        failed = requests - seen.counts["success"][index]
        p95_us = quantile_us(seen.latencies[index], 0.95)
        latency.append(None if p95_us is None else p95_us / 1e6)
        errors.append(failed / requests if requests else None)
        traffic.append(requests / (end_s - start_s))
    faults = tuple(
        (fault.start_s, fault.end_s) for fault in evaluation.faults if fault.injected_s is not None
    )
    return LoadLines(
        latency=tuple(latency), errors=tuple(errors), traffic=tuple(traffic), faults=faults
    )


def overlays(first: LoadLines, second: LoadLines | None, grid: Grid) -> tuple[Overlay, ...]:
    """The charts of both runs; without a second one, of the first alone."""
    runs = (first,) if second is None else (first, second)
    shades = tuple(
        _shade(fault, grid.duration_s, half=half, of=len(runs))
        for half, lines in enumerate(runs)
        for fault in lines.faults
        if fault[0] < grid.duration_s
    )
    across = tuple(
        Tick(at=_x(at_s, grid.duration_s), text=fmt.clock_offset(at_s))
        for at_s in ticks_s(grid.duration_s, 6)
    )
    made = []
    for key, title, unit in FIGURES:
        values = [getattr(lines, key) for lines in runs]
        top = _top([value for one in values for value in one if value is not None], unit)
        made.append(
            Overlay(
                id=key,
                title=title,
                paths=tuple(_path(one, grid, top) for one in values),
                across=across,
                up=_up(top, unit),
                shades=shades,
                about=_about(title, values, unit),
            )
        )
    return tuple(made)


def _x(at_s: float, duration_s: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * at_s / duration_s, 1)


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top, 1)


def _top(values: Sequence[float], unit: str) -> float:
    least = {"ratio": 0.01, "s": 0.001}.get(unit, 1.0)
    return 1.08 * max([*values, least])


def _up(top: float, unit: str) -> tuple[Tick, ...]:
    """Round numbers up to ``top``, as many as can be told apart."""
    rough = top / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * one for one in _STEPS if power * one >= rough), 10 * power)
    values = [step * number for number in range(int(top / step) + 1)]
    return tuple(
        Tick(at=_y(value, top), text=fmt.quantity(value, unit) if value else "0")
        for value in values
    )


def _path(values: Sequence[float | None], grid: Grid, top: float) -> str:
    """A line through ``values``, with a gap where there is none; a lone value is a dot."""
    parts: list[str] = []
    before = False
    for at_s, value in zip(grid.centers_s, values, strict=False):
        if value is not None:
            place = f"{_x(at_s, grid.duration_s)} {_y(value, top)}"
            parts.append(f"L{place}" if before else f"M{place}h.01")
        before = value is not None
    return "".join(parts)


def _shade(fault: tuple[float, float], duration_s: float, *, half: int, of: int) -> Shade:
    height = (HEIGHT - TOP - BOTTOM) / of
    x = _x(fault[0], duration_s)
    return Shade(
        x=x,
        y=TOP + half * height,
        width=max(1.0, round(_x(min(fault[1], duration_s), duration_s) - x, 1)),
        height=height,
    )


def _about(title: str, runs: Sequence[Sequence[float | None]], unit: str) -> str:
    said = []
    for name, values in zip("AB", runs, strict=False):
        known = [value for value in values if value is not None]
        who = f"{name}: " if len(runs) > 1 else ""
        if known:
            low, high = fmt.quantity(min(known), unit), fmt.quantity(max(known), unit)
            said.append(f"{who}from {low} to {high}")
        else:
            said.append(f"{who}nothing")
    return f"{title}, {'; '.join(said)}."
