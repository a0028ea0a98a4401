"""A search's load generator whose requests exist on paper only: part of the shipped doubles.

It is a queue without chance: what comes above the server's capacity waits, and latency is that of
the idle server plus the wait. Everything is recorded as the real plug-in records it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from runner.model.histogram import bucket_of
from runner.model.plan import Plan
from runner.model.recording import ArrivalSecond, LoadRow, SearchStep
from runner.ports import Clock, LoadProgress

ENDPOINT = "GET /api/v1/products"


@dataclass(frozen=True, slots=True)
class FakeServer:
    """What answers a search's requests.

    Attributes:
        capacity_per_s: Requests that it can answer per second.
        latency_us: Latency of a request that need not wait.
        fails_above_per_s: Arrivals above this rate are refused.
        generator_max_per_s: At a higher rate the generator's own processor is the limit.
    """

    capacity_per_s: float = math.inf
    latency_us: int = 20_000
    fails_above_per_s: float = math.inf
    generator_max_per_s: float = math.inf


@dataclass(slots=True)
class _Asked:
    """A step that was asked for, and how far it has come."""

    step: SearchStep
    written: int = 0


class FakeSearchJob:
    """Follows the steps that it is asked for, second by second; a :class:`runner.ports.LoadJob`.

    Args:
        plan: The plan of a search.
        workdir: Folder of the record.
        clock: Moves only when somebody sleeps.
        server: What answers.
        alive: Whether the generator was left alive.
    """

    def __init__(
        self,
        plan: Plan,
        workdir: Path,
        clock: Clock,
        *,
        server: FakeServer,
        alive: Callable[[], bool],
    ) -> None:
        self._drain_s = plan.experiment.load.stop_timeout
        self._path = workdir / "seconds.jsonl"
        self._clock = clock
        self._server = server
        self._alive = alive
        self._stopped = False
        self._started_s = clock.monotonic_s()
        self._wall_s = clock.wall_s()
        self._second = 0
        self._steps = 0
        self._asked: _Asked | None = None
        self._waiting = 0.0
        self._finish = False
        self._ended = False
        self._write({"kind": "start", "wall_s": self._wall_s})

    def poll(self) -> int | None:
        if self._stopped or not self._alive():
            return -9
        return 0 if self._finish else None

    def stop(self, grace_s: float) -> None:
        self._stopped = True

    def tail(self, lines: int) -> str:
        return "fake load"

    def offer(self, rate_per_s: float, duration_s: float) -> None:
        self._steps += 1
        start_s = float(math.ceil(self._offset_s()))
        step = SearchStep(
            number=self._steps, rate_per_s=rate_per_s, start_s=start_s, duration_s=duration_s
        )
        self._asked = _Asked(step)

    def finish(self) -> None:
        self._finish = True

    def progress(self) -> LoadProgress:
        """What happened up to now, written down at the same time."""
        rows: list[LoadRow] = []
        users: list[tuple[int, int]] = []
        steps: list[SearchStep] = []
        arrivals: list[tuple[int, ArrivalSecond]] = []
        while self._second + 1 <= self._offset_s():
            seen, one = self._write_second(self._second, steps)
            rows += seen
            arrivals.append((self._second, one))
            users.append((self._second, 1))
            self._second += 1
            self._end_step(steps)
        if self._finish and not self._ended:
            self._ended = True
            end = {"kind": "end", "wall_s": self._clock.wall_s(), "complete": True}
            self._write({**end, "interrupted": 0})
        return LoadProgress(
            self._wall_s, tuple(rows), tuple(users), tuple(steps), arrivals=tuple(arrivals)
        )

    def _offset_s(self) -> float:
        return self._clock.monotonic_s() - self._started_s

    def _write_second(
        self, second: int, steps: list[SearchStep]
    ) -> tuple[list[LoadRow], ArrivalSecond]:
        asked = self._asked
        offered = asked is not None and second >= asked.step.start_s and not _over(asked)
        if asked is not None and offered:
            if not asked.written:
                steps.append(asked.step)
                self._write_step(asked.step)
            rows, arrivals = self._offer_second(asked, second)
        else:
            done = min(self._waiting, self._server.capacity_per_s)
            rows, arrivals = [], ArrivalSecond(completed=self._complete(done))
        written = [[row.endpoint, row.outcome, sorted(row.latency_us.items())] for row in rows]
        self._write({"kind": "rows", "second": second, "users": 1, "rows": written})
        counts = asdict(arrivals)
        late = sorted(counts.pop("late_us").items())
        self._write({"kind": "arrivals", "second": second, **counts, "late": late})
        rate = asked.step.rate_per_s if asked is not None and offered else 0.0
        busy = rate > self._server.generator_max_per_s
        account = {"cpu_ratio": 0.99 if busy else 0.1, "lag_s": 0.001, "rss_bytes": 80_000_000}
        self._write({"kind": "generator", "second": second, **account})
        return rows, arrivals

    def _offer_second(self, asked: _Asked, second: int) -> tuple[list[LoadRow], ArrivalSecond]:
        """The arrivals of one second of a step."""
        rate, server = asked.step.rate_per_s, self._server
        due = round(rate * (asked.written + 1)) - round(rate * asked.written)
        asked.written += 1
        refused = round(due * max(0.0, 1 - server.fails_above_per_s / rate))
        before = self._waiting
        self._waiting += due - refused
        done = self._complete(min(self._waiting, server.capacity_per_s))
        mean_wait_s = (before + self._waiting) / 2 / server.capacity_per_s
        bucket = bucket_of(server.latency_us + round(mean_wait_s * 1e6))
        counted = {"success": due - refused, "http_5xx": refused}
        rows = [
            LoadRow(second, ENDPOINT, outcome, {bucket: number})
            for outcome, number in counted.items()
            if number
        ]
        completed = done + refused
        return rows, ArrivalSecond(due, due, completed=completed, late_us={0: due})

    def _complete(self, number: float) -> int:
        """So many requests end; whole ones are counted, and none is lost."""
        before = math.ceil(self._waiting)
        self._waiting -= number
        return before - math.ceil(self._waiting)

    def _end_step(self, steps: list[SearchStep]) -> None:
        """Close a step whose requests have ended, or are waited for no longer."""
        asked = self._asked
        if asked is None or not _over(asked):
            return
        step = asked.step
        late = self._offset_s() >= step.start_s + step.duration_s + self._drain_s
        if self._waiting and not late:
            return
        left = math.ceil(self._waiting)
        steps.append(replace(step, ended=True, in_flight=left))
        self._write({"kind": "step-end", "number": step.number, "in_flight": left})
        self._asked = None

    def _write_step(self, step: SearchStep) -> None:
        line = {"kind": "step", "number": step.number, "rate": step.rate_per_s}
        self._write({**line, "start_s": step.start_s, "duration_s": step.duration_s})

    def _write(self, record: dict[str, object]) -> None:
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(record) + "\n")


def _over(asked: _Asked) -> bool:
    return asked.written >= math.floor(asked.step.duration_s)
