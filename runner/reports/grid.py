"""The grid of time that all charts of a run share, and lines on it. Pure; no drawing.

It has at most :data:`MOST_POINTS` steps, so that charts can be read one below the other and the
page does not grow with the length of the run; it has more than a small chart has pixels, so that
there is something to be seen where a reader zooms in.
"""

from __future__ import annotations

import math

from runner.model.plan import Plan
from runner.model.recording import Signals
from runner.model.shape import Items, Model

MOST_POINTS = 720
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)
_EDGE_TOLERANCE_S = 1e-6


class Grid(Model):
    """Steps of equal length from the start of the load to its planned end."""

    step_s: float
    count: int
    duration_s: float

    @property
    def centers_s(self) -> tuple[float, ...]:
        """The middle of each step; the last one may be shorter."""
        return tuple(round((start_s + end_s) / 2, 3) for start_s, end_s in self.edges_s)

    @property
    def edges_s(self) -> tuple[tuple[float, float], ...]:
        """Start and end of each step."""
        return tuple(
            (index * self.step_s, min((index + 1) * self.step_s, self.duration_s))
            for index in range(self.count)
        )

    def coarser(self, most: int) -> Grid:
        """A grid whose steps are this one's, some at a time, so that there are at most ``most``."""
        each = math.ceil(self.count / most)
        return Grid(
            step_s=each * self.step_s,
            count=math.ceil(self.count / each),
            duration_s=self.duration_s,
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


def grid_of(plan: Plan, signals: Signals | None) -> Grid:
    """The finest grid that is not finer than the signals and has few enough steps."""
    steps = [1.0, *(series.step_s for series in (signals.series if signals else ()))]
    least_s = max(*steps, plan.duration_s / MOST_POINTS)
    step_s = next((float(s) for s in _STEPS_S if s >= least_s - _EDGE_TOLERANCE_S), least_s)
    count = max(1, math.ceil(plan.duration_s / step_s - _EDGE_TOLERANCE_S))
    return Grid(step_s=step_s, count=count, duration_s=plan.duration_s)
