"""What has come in of a running load lately, by the moment at which it came in. No I/O.

Rows are booked in the second in which their requests were *sent*. A window over the last seconds
by sending never holds a request that takes longer than the window: those that time out after ten
seconds, of all things, would be in none. So whoever must notice trouble looks at what has *ended*.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.analysis.live import Window
from runner.model.recording import LoadRow

ANSWERED = ("success", "http_4xx", "http_5xx")
"""Outcomes that only a target that answers can give."""

KEEP_S = 61.0


@dataclass(slots=True)
class Arrivals:
    """Rows of the last minute with the offset at which each came in.

    Attributes:
        last_s: Offset at which an answer last came in; None before the first.
        heard_s: Offset at which the generator last wrote anything.
        unanswered: Requests that have ended without an answer since ``last_s``.
    """

    last_s: float | None = None
    heard_s: float = 0.0
    unanswered: int = 0
    _came: deque[tuple[float, LoadRow]] = field(default_factory=deque)
    _heard: deque[float] = field(default_factory=lambda: deque([0.0]))

    def add(self, rows: Iterable[LoadRow], users: Iterable[tuple[int, int]], now_s: float) -> None:
        """Take in what the generator has newly written, and forget what is old."""
        before_s = self.heard_s
        for row in rows:
            self.heard_s = now_s
            self._came.append((now_s, row))
            if row.outcome in ANSWERED:
                self.last_s, self.unanswered = now_s, 0
            elif self.last_s != now_s:
                self.unanswered += row.count
        if any(True for _ in users):
            self.heard_s = now_s
        if self.heard_s != before_s:
            self._heard.append(now_s)
        while len(self._heard) > 1 and self._heard[1] < now_s - KEEP_S:
            self._heard.popleft()
        while self._came and self._came[0][0] < now_s - KEEP_S:
            self._came.popleft()

    def window(self, now_s: float, seconds: float, endpoint: str | None = None) -> Window:
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
            if endpoint is None or row.endpoint == endpoint:
                rows.append(row)
        return Window.over(rows, self._between_bursts_s(now_s - seconds) or seconds)

    def _between_bursts_s(self, since_s: float) -> float:
        """Seconds from the last burst up to ``since_s`` to the last one of all."""
        before_s = max((at_s for at_s in self._heard if at_s <= since_s), default=self._heard[0])
        return self._heard[-1] - before_s

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Those that requests were sent to lately, in order."""
        return tuple(sorted({row.endpoint for _, row in self._came}))
