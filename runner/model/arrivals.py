"""The open model's schedule: when each arrival is due. Pure.

Between two offsets the arrival rate is a straight line, so the arrivals that are due until ``t``
are a parabola, ``N(t) = n + a t + (b - a) t² / 2 d``, and arrival number ``i`` is due where ``N``
reaches ``i``. Solving for ``t`` gives every moment exactly, without steps of a second; it is the
schedule of k6's arrival-rate executors. Arrivals are numbered from 1 over the whole run and dealt
to workers in turn, so that no two take the same.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from runner.model.plan import PlannedStage

_NOISE = 1e-9


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of time in which the rate goes in a straight line.

    Attributes:
        start_s, end_s: Half-open interval of offsets.
        rate_from, rate_to: Arrivals per second at both ends.
    """

    start_s: float
    end_s: float
    rate_from: float
    rate_to: float

    def arrivals_by(self, offset_s: float) -> float:
        """Arrivals from the start of this line to ``offset_s``, a fraction included."""
        passed_s = min(max(offset_s, self.start_s), self.end_s) - self.start_s
        length_s = self.end_s - self.start_s
        slope = (self.rate_to - self.rate_from) / length_s if length_s > 0 else 0.0
        return passed_s * (self.rate_from + slope * passed_s / 2)

    def due_s(self, arrivals: float) -> float:
        """The offset by which ``arrivals`` have come since the start of this line."""
        slope = (self.rate_to - self.rate_from) / (self.end_s - self.start_s)
        # The form of the quadratic's root that loses no digits, and that holds for no slope, too.
        root = math.sqrt(max(0.0, self.rate_from**2 + 2 * slope * arrivals))
        return self.start_s + (2 * arrivals / (self.rate_from + root) if arrivals > 0 else 0.0)


def lines_of(stages: Iterable[PlannedStage]) -> tuple[Line, ...]:
    """The ramp and the plateau of each stage, without those that take no time."""
    lines = []
    for stage in stages:
        lines.append(Line(stage.start_s, stage.ramp_end_s, stage.rate_from, stage.rate_to))
        lines.append(Line(stage.ramp_end_s, stage.end_s, stage.rate_to, stage.rate_to))
    return tuple(line for line in lines if line.end_s > line.start_s)


class Schedule:
    """Moments of arrivals along lines that follow each other; more lines may be added later."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self._lines: list[Line] = []
        self._sums: list[float] = [0.0]
        for line in lines:
            self.add(line)

    @property
    def end_s(self) -> float:
        return self._lines[-1].end_s if self._lines else 0.0

    def add(self, line: Line) -> None:
        """Continue with ``line``, which must not start before the end of the last one."""
        if line.start_s < self.end_s - _NOISE:
            raise ValueError(f"a line at {line.start_s:g} s starts before the last one ends")
        self._lines.append(line)
        self._sums.append(self._sums[-1] + line.arrivals_by(line.end_s))

    def due_s(self, number: int) -> float | None:
        """When arrival ``number`` (from 1) is due; None when the lines end before it."""
        index = bisect_left(self._sums, number - _NOISE) - 1
        if index < 0 or index >= len(self._lines):
            return None
        line = self._lines[index]
        return min(line.end_s, line.due_s(number - self._sums[index]))

    def expected(self, start_s: float, end_s: float) -> float:
        """Arrivals due in ``[start_s, end_s)``, a fraction included."""
        return self._by(end_s) - self._by(start_s)

    def first_from(self, offset_s: float) -> int:
        """Number of the first arrival that is due at ``offset_s`` or later."""
        number = max(1, math.floor(self._by(offset_s)) - 1)
        # Exactly by what due_s says: two who split the arrivals at an offset must agree on each.
        while (due_s := self.due_s(number)) is not None and due_s < offset_s:
            number += 1
        return number

    def _by(self, offset_s: float) -> float:
        index = bisect_right(self._lines, offset_s, key=lambda line: line.start_s) - 1
        if index < 0:
            return 0.0
        return self._sums[index] + self._lines[index].arrivals_by(offset_s)


def share_of(total: int, index: int, count: int) -> int:
    """How many of ``total`` things, dealt in turn to ``count`` workers, ``index`` gets."""
    return (total - index + count - 1) // count if total > index else 0


def next_number(number: int, index: int, count: int) -> int:
    """The first number of ``number`` and those after it that belongs to worker ``index``."""
    return number + (index - (number - 1)) % count
