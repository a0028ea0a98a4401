"""The last seconds of a running load: what the terminal shows and what guards watch. No I/O.

Rows arrive late, because a request is booked in the second in which it was sent and written when it
has ended. A window therefore ends ``SETTLE_S`` before now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.analysis.stats import statistic_s
from runner.analysis.words import figure
from runner.model.experiment import Guard
from runner.model.histogram import merged, quantile_us
from runner.model.objective import Bound, parse_bound
from runner.model.recording import LoadRow

WINDOW_S = 5.0
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
        """Figures of the last ``seconds`` whole seconds, up to ``SETTLE_S`` ago."""
        last = int(now_s - SETTLE_S)
        wanted = range(max(0, last - int(seconds)), last)
        rows = [row for second in wanted for row in self.rows.get(second, ())]
        failures = sum(row.count for row in rows if row.outcome != "success")
        return Window(
            seconds=max(1.0, float(len(wanted))),
            requests=sum(row.count for row in rows),
            failures=failures,
            latencies_us=merged(row.latency_us for row in rows if row.outcome == "success"),
        )


@dataclass(slots=True)
class GuardWatch:
    """One guard over a live load.

    A window without a figure counts as a breach: whoever asks for a guard wants to be stopped when
    nobody can tell how the service is.
    """

    guard: Guard
    since_s: float | None = None

    def tripped(self, load: LiveLoad, now_s: float) -> str | None:
        """Why the run must stop now, or None."""
        bound = parse_bound(self.guard.abort_when)
        if now_s < self.guard.grace + WINDOW_S + SETTLE_S:
            return None
        observed = load.window(now_s).observed(bound)
        if observed is not None and not bound.holds(observed):
            self.since_s = None
            return None
        if self.since_s is None:
            self.since_s = now_s
        if now_s - self.since_s < self.guard.for_:
            return None
        seen = "no figure at all"
        if observed is not None:
            seen = f"last seen {figure(observed, bound.unit)}"
        return f"{self.guard.abort_when} held for {self.guard.for_:g} s ({seen})"
