"""Arrivals of a running load in the open model: what the terminal shows of them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.model.guard import LOAD_WINDOW_S
from runner.model.recording import ArrivalSecond

SETTLE_S = 1.0
"""A second is written down when it is over."""

_KEEP_S = 60


@dataclass(slots=True)
class LiveArrivals:
    """Totals since the start, and the starts of the last minute.

    Attributes:
        offered: Arrivals that were due.
        started: Those that were given to a user.
        dropped: Those that were given up, because no user came free in time.
        completed: Those whose task has ended.
    """

    offered: int = 0
    started: int = 0
    dropped: int = 0
    completed: int = 0
    _started: dict[int, int] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """Arrivals that were started and are not completed, as last written."""
        return max(0, self.started - self.completed)

    def add(self, arrivals: Iterable[tuple[int, ArrivalSecond]]) -> None:
        """Take in increments, and forget what is old."""
        for second, one in arrivals:
            self.offered += one.offered
            self.started += one.started
            self.dropped += one.dropped
            self.completed += one.completed
            self._started[second] = self._started.get(second, 0) + one.started
        oldest = max(self._started, default=0) - _KEEP_S
        for second in [second for second in self._started if second < oldest]:
            del self._started[second]

    def rate_per_s(self, now_s: float, seconds: float = LOAD_WINDOW_S) -> float:
        """Arrivals started per second in the last whole seconds that are written by ``now_s``."""
        last = int(now_s - SETTLE_S)
        wanted = range(max(0, last - int(seconds)), last)
        return sum(self._started.get(second, 0) for second in wanted) / max(1, len(wanted))
