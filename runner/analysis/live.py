"""The last seconds of a running load: what the terminal shows and what guards watch. No I/O.

Rows arrive late, because a request is booked in the second in which it was sent and written when it
has ended. A window therefore ends ``SETTLE_S`` before now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runner.analysis.stats import statistic_s
from runner.model.guard import LOAD_WINDOW_S
from runner.model.histogram import merged, quantile_us
from runner.model.objective import Bound
from runner.model.recording import LoadRow

WINDOW_S = LOAD_WINDOW_S
SETTLE_S = 1.0
_KEEP_S = 120


@dataclass(frozen=True, slots=True)
class Window:
    """Load figures over some seconds.

    Attributes:
        error_ratio: None when no request was sent.
        latencies_us: Histogram over successes.
    """

    seconds: float
    requests: int
    failures: int
    latencies_us: dict[int, int]

    @classmethod
    def over(cls, rows: Sequence[LoadRow], seconds: float) -> Window:
        """The figures of ``rows``."""
        return cls(
            seconds=seconds,
            requests=sum(row.count for row in rows),
            failures=sum(row.count for row in rows if row.outcome != "success"),
            latencies_us=merged(row.latency_us for row in rows if row.outcome == "success"),
        )

    @property
    def rate_per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def error_ratio(self) -> float | None:
        return self.failures / self.requests if self.requests else None

    def latency_s(self, ratio: float) -> float | None:
        """The ``ratio`` quantile over successes, in seconds; None when there was none."""
        value = quantile_us(self.latencies_us, ratio)
        return None if value is None else value / 1e6

    def observed(self, bound: Bound) -> float | None:
        """The figure that ``bound`` compares, or None when there is none."""
        match bound.sli:
            case "errors":
                return self.error_ratio
            case "traffic":
                return self.rate_per_s
            case "latency":
                return statistic_s(self.latencies_us, bound.statistic)
            case _:
                return None


def window_seconds(now_s: float, seconds: float) -> range:
    """The seconds of load in a window of ``seconds`` whole seconds that is looked at now."""
    last = int(now_s - SETTLE_S)
    return range(max(0, last - int(seconds)), last)


@dataclass(slots=True)
class LiveLoad:
    """Rows of the last two minutes, and the number of running users."""

    rows: dict[int, list[LoadRow]] = field(default_factory=dict)
    users: int = 0
    requests: int = 0
    failures: int = 0

    def add(self, rows: Iterable[LoadRow], users: Iterable[tuple[int, int]]) -> None:
        """Take in what is new, and forget what is old."""
        for row in rows:
            self.rows.setdefault(row.second, []).append(row)
            self.requests += row.count
            self.failures += row.count if row.outcome != "success" else 0
        for _, count in users:
            self.users = count
        newest = max(self.rows, default=0)
        for second in [s for s in self.rows if s < newest - _KEEP_S]:
            del self.rows[second]

    def window(self, now_s: float, seconds: float = WINDOW_S) -> Window:
        """Figures of what was sent in the last ``seconds`` whole seconds, to ``SETTLE_S`` ago."""
        wanted = window_seconds(now_s, seconds)
        rows = [row for second in wanted for row in self.rows.get(second, ())]
        return Window.over(rows, max(1.0, float(len(wanted))))
