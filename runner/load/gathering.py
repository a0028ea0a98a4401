"""Puts the reports of all processes of a generator together, second by second. No Locust, no clock.

A second is written when every process that is still there has reported it; what comes later is one
more line of its second. Who has not reported for :data:`SILENCE_S` is lost, and is not waited for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.load.recorder import MAX_ENDPOINTS, MAX_FAILURE_TEXTS, Batch, Recorder, overflow_note
from runner.load.reporting import Report
from runner.load.seconds import SecondsWriter
from runner.model.recording import WorkerWord

SILENCE_S = 3.0
"""A worker that says nothing for this long, three reports, is lost."""

ALONE = ""
"""Name of the one process of a generator without workers."""


@dataclass(slots=True)
class _Worker:
    heard_s: float
    upto_second: int = 0
    users: dict[int, int] = field(default_factory=dict)
    last_users: int = 0
    busy: int = 0
    done: bool = False
    complete: bool = False
    lost: bool = False


class Gathering:
    """The record of a whole generator.

    Args:
        writer: Where it goes.
    """

    def __init__(self, writer: SecondsWriter) -> None:
        self._writer = writer
        self._recorder = Recorder()
        self._workers: dict[str, _Worker] = {}
        self._written = 0
        self._said: set[str] = set()
        self._back: set[str] = set()
        self._opened = False
        self.interrupted = 0
        """Users that were ended by force, as far as workers have said."""

    @property
    def working(self) -> tuple[str, ...]:
        """Workers that are there and not done."""
        return tuple(n for n, worker in self._workers.items() if not (worker.done or worker.lost))

    @property
    def complete(self) -> bool:
        """Whether every process says that it followed the plan to its end."""
        return all(worker.complete for worker in self._workers.values())

    @property
    def users(self) -> int:
        """Running users, as last reported."""
        return sum(worker.last_users for worker in self._workers.values() if not worker.lost)

    @property
    def busy(self) -> int:
        """Arrivals under way, as last reported."""
        return sum(worker.busy for worker in self._workers.values() if not worker.lost)

    @property
    def reported_s(self) -> int:
        """Up to which second everybody who is there, and not done, has reported."""
        there = [worker for worker in self._workers.values() if not worker.lost]
        slow = [worker.upto_second for worker in there if not worker.done]
        return min(slow or [max((w.upto_second for w in there), default=self._written)])

    def open(self, wall_s: float) -> None:
        """Begin the record: offset 0 is at Unix time ``wall_s``."""
        self._opened = True
        self._writer.start(wall_s)
        for text in sorted(self._said):
            self._writer.note(text)

    def join(self, name: str, now_s: float) -> None:
        """Expect reports of ``name``."""
        self._workers[name] = _Worker(heard_s=now_s)
        if name != ALONE:
            self._writer.worker(0, name, "joined")

    def add(self, name: str, report: Report, now_s: float) -> bool:
        """Take in a report; whether its sender is still part of this generator."""
        self._recorder.add(report.batch)  # these requests were sent, whoever sent them
        if self._recorder.overflowed:
            self.note(overflow_note(MAX_ENDPOINTS))
        for text in report.notes:
            self.note(text if name == ALONE else f"worker {name}: {text}")
        worker = self._workers.get(name)
        if worker is None or worker.lost:
            return False
        worker.heard_s = now_s
        for second in range(worker.upto_second, report.upto_second):
            worker.users[second] = report.users
        worker.upto_second = max(worker.upto_second, report.upto_second)
        worker.last_users, worker.busy = report.users, report.busy
        last = report.upto_second - 1
        if report.cpu_ratio is not None and last >= 0:
            self._writer.generator(last, report.cpu_ratio, report.lag_s, report.rss_bytes)
        if report.wanted is not None and last >= 0:
            self._writer.wanted(last, report.wanted)
        self.write()
        return True

    def done(self, name: str, *, complete: bool, interrupted: int) -> None:
        """``name`` says that all of its users have left."""
        worker = self._workers.get(name)
        if worker is not None:
            worker.done, worker.complete = True, complete and not worker.lost
            self.write()
        self.interrupted += interrupted

    def back(self, name: str, now_s: float) -> None:
        """A worker that was lost speaks again."""
        if name not in self._back:
            self._back.add(name)
            self._writer.worker(max(0, int(now_s)), name, "back")

    def tell(self, second: int, name: str, what: WorkerWord) -> None:
        """Write down what became of a worker."""
        self._writer.worker(second, name, what)

    def excuse(self, stalled_s: float) -> None:
        """Nobody could be heard for so long: that is nobody's silence."""
        for worker in self._workers.values():
            worker.heard_s += stalled_s

    def silent(self, now_s: float) -> list[str]:
        """Workers that have fallen silent since the last look; they are lost from now on."""
        gone = [
            name
            for name, worker in self._workers.items()
            if not (worker.done or worker.lost) and now_s - worker.heard_s > SILENCE_S
        ]
        for name in gone:
            self.lose(name, now_s)
        return gone

    def lose(self, name: str, now_s: float) -> None:
        """``name`` is gone and is not waited for."""
        self._workers[name].lost = True
        self._writer.worker(max(0, int(now_s)), name, "lost")
        self.write()

    def note(self, text: str) -> None:
        """Put a sentence on record, once."""
        if text not in self._said:
            self._said.add(text)
            if self._opened:  # the start is the first line
                self._writer.note(text)

    def write(self) -> None:
        """Write every second that is complete."""
        while self._written < self.reported_s:
            second = self._written
            users = sum(worker.users.pop(second, 0) for worker in self._known_in(second))
            self._written += 1
            self._put(self._recorder.drain(self._written), users)

    def close(self) -> None:
        """Write whatever is left, complete or not."""
        self.write()
        self._put(self._recorder.drain(), self.users)

    def _put(self, batch: Batch, users: int) -> None:
        self._writer.rows(batch, self._written, users)
        if batch.dropped:
            self.note(
                f"more than {MAX_FAILURE_TEXTS} kinds of failure: of the others no text is kept, "
                "and they are counted by outcome alone"
            )

    def _known_in(self, second: int) -> list[_Worker]:
        return [worker for worker in self._workers.values() if second in worker.users]
