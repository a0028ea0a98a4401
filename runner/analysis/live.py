"""The last seconds of a running load: what the terminal shows and what guards watch. No I/O.

Rows are booked in the second in which their requests were *sent*. A window over the last seconds
by sending never holds a request that takes longer than the window: those that time out after ten
seconds, of all things, would be in none. So whoever must notice trouble looks at what has *come
in*, and at the moment at which it did. What has ended comes in about a second later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runner.analysis.livearrivals import LiveArrivals
from runner.analysis.stats import statistic_s
from runner.model.bound import Bound
from runner.model.guard import LOAD_WINDOW_S
from runner.model.histogram import merged, quantile_us
from runner.model.recording import LoadRow

ANSWERED = ("success", "http_4xx", "http_5xx")
"""Outcomes that only a target that answers can give."""

KEEP_S = 61.0
"""The longest window of a guard, and the burst before it."""


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


@dataclass(slots=True)
class LiveLoad:
    """Rows of the last minute with the offset at which each came in, and totals.

    Attributes:
        users: Running users, as last written.
        requests: Requests that have ended since the start.
        failures: Those of them that failed.
        heard_s: Offset at which the generator last wrote anything.
        answered_s: Offset at which an answer last came in; None before the first.
        unanswered: Requests that have ended without an answer since then.
        arrivals: What became of arrivals, in the open model.
        remarks: Sentences of the generator about what went wrong in it, in order.
    """

    users: int = 0
    requests: int = 0
    failures: int = 0
    heard_s: float = 0.0
    answered_s: float | None = None
    unanswered: int = 0
    arrivals: LiveArrivals = field(default_factory=LiveArrivals)
    remarks: list[str] = field(default_factory=list)
    _came: deque[tuple[float, LoadRow]] = field(default_factory=deque)
    _heard: deque[float] = field(default_factory=lambda: deque([0.0]))

    def add(self, rows: Iterable[LoadRow], users: Iterable[tuple[int, int]], now_s: float) -> None:
        """Take in what the generator has newly written, and forget what is old."""
        before_s = self.heard_s
        for row in rows:
            self.heard_s = now_s
            self._count(row, now_s)
        for _, number in users:
            self.heard_s = now_s
            self.users = number
        if self.heard_s != before_s:
            self._heard.append(now_s)
        while len(self._heard) > 1 and self._heard[1] < now_s - KEEP_S:
            self._heard.popleft()
        while self._came and self._came[0][0] < now_s - KEEP_S:
            self._came.popleft()

    def _count(self, row: LoadRow, now_s: float) -> None:
        self._came.append((now_s, row))
        self.requests += row.count
        self.failures += row.count if row.outcome != "success" else 0
        if row.outcome in ANSWERED:
            self.answered_s, self.unanswered = now_s, 0
        elif self.answered_s != now_s:
            self.unanswered += row.count

    def window(
        self, now_s: float, seconds: float = LOAD_WINDOW_S, endpoint: str | None = None
    ) -> Window:
        """Figures of the requests that have ended in the last ``seconds``.

        The generator writes in bursts, one each second. So that a rate does not depend on how many
        of them are in the window, it is taken from the burst before the window to its last one.

        Args:
            now_s: Offset of this moment.
            seconds: Length of the window; at most a minute.
            endpoint: Only requests to this one; None for all.
        """
        rows = []
        for at_s, row in reversed(self._came):
            if at_s <= now_s - seconds:
                break
            if at_s <= now_s and endpoint in (None, row.endpoint):
                rows.append(row)
        return Window.over(rows, self._between_bursts_s(now_s - seconds, now_s) or seconds)

    def _between_bursts_s(self, since_s: float, now_s: float) -> float:
        """Seconds from the last burst up to ``since_s`` to the last one up to ``now_s``."""
        first_s = max((at_s for at_s in self._heard if at_s <= since_s), default=self._heard[0])
        return max((at_s for at_s in self._heard if at_s <= now_s), default=first_s) - first_s

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Those that requests were sent to lately, in order."""
        return tuple(sorted({row.endpoint for _, row in self._came}))
