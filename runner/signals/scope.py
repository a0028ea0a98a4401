"""What every part of one collection needs: whom to ask, about what, and when. Nothing is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from runner.analysis.profile import plateaus, varied
from runner.model.plan import Phase, Plan
from runner.signals.client import PromClient
from runner.signals.queries import Dialect, filled

MOST_CHART_POINTS = 600
_WINDOW_SCRAPES = 5
FEWEST_SCRAPES = 4
"""A window with fewer scrapes than this says too little about what happened in it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One collection.

    Attributes:
        client: The Prometheus.
        dialect: How the mesh names things.
        namespace: The target's namespace.
        plan: The plan.
        zero_s: Prometheus' time at offset 0, its skew included.
        end_s: Offset up to which the run is looked at.
        interval_s: Seconds between two scrapes.
    """

    client: PromClient
    dialect: Dialect
    namespace: str
    plan: Plan
    zero_s: float
    end_s: float
    interval_s: float

    def fill(self, template: str, **values: str) -> str:
        """A query of the dialect, for this namespace."""
        return filled(template, namespace=self.namespace, **values)

    def phases(self) -> Iterator[tuple[Phase, float, float]]:
        """Each phase that was reached, and the Prometheus times at which it begins and ends.

        What happened since the last scrape before an edge is first seen after it. Where a fault
        ends, the edge is a scrape interval late, so that its last refusals are not laid at the
        door of the recovery. Phases still tile the run.
        """
        start_s = 0.0
        for phase in self.plan.phases:
            if start_s >= self.end_s:
                return
            well_again = bool(phase.faults) and not self._faults_at(phase.end_s)
            late_s = self.interval_s if well_again else 0.0
            end_s = min(phase.end_s + late_s, self.end_s)
            yield phase, self.zero_s + start_s, self.zero_s + end_s
            start_s = end_s

    def windows(self) -> Iterator[tuple[Phase, float, float]]:
        """Each window that objectives ask for beside the phases, as far as it was reached."""
        for window in self.plan.windows:
            end_s = min(window.end_s, self.end_s)
            if window.start_s < end_s:
                yield window, self.zero_s + window.start_s, self.zero_s + end_s

    def plateaus(self) -> Iterator[tuple[Phase, float, float]]:
        """Each plateau of an uneven load with the way to it, and its Prometheus times.

        A plateau stands as a phase of its own, whose index is that of the plateau.
        """
        for one in varied(plateaus(self.plan)):
            end_s = min(one.end_s, self.end_s)
            if one.from_s < end_s:
                phase = Phase(index=one.index, name="baseline", start_s=one.from_s, end_s=end_s)
                yield phase, self.zero_s + one.from_s, self.zero_s + end_s

    def _faults_at(self, offset_s: float) -> tuple[str, ...]:
        phase = self.plan.phase_at(offset_s)
        return () if phase is None else phase.faults

    @property
    def chart_step_s(self) -> int:
        """Whole seconds between the points of a chart: never more than 600 points."""
        return max(1, math.ceil(self.interval_s), math.ceil(self.end_s / (MOST_CHART_POINTS - 1)))

    @property
    def chart_window_s(self) -> float:
        """Length of the rate window of a chart: some scrapes, and no hole between two points."""
        return max(_WINDOW_SCRAPES * self.interval_s, float(self.chart_step_s))
