"""``seconds.jsonl``: how the load generator's record is written, and read while it grows.

Each second becomes one or more ``rows`` lines; what ends later than its second is one more line of
that old second, and all lines of a key add up. A line goes to the file in one write, so a reader
sees whole lines or a torn last one. Lines:

* ``start``: ``wall_s``, the Unix time of offset 0. Always first.
* ``rows``: ``second``, ``users`` (running at the end of that second) and ``rows``, each
  ``[endpoint, outcome, counts]``, latencies from the intended start; in the open model with a
  fourth item, the same requests from the send. Counts are packed (:mod:`runner.model.packed`); a
  reader takes ``[[bucket, count], …]`` as well, as older records have it.
* ``arrivals`` (open model): of ``second``, ``offered``, ``started``, ``waited``, ``dropped``,
  ``completed`` and ``late`` (packed counts); increments, too.
* ``failures``: ``failures``, each ``[endpoint, outcome, text, count]``, and ``dropped``; both are
  increments.
* ``generator``: of ``second``, ``cpu_ratio`` (of one core), ``lag_s`` (how late the generator's own
  timer fired: what a send may be late as well) and ``rss_bytes``; a line for each process.
* ``worker``: ``second``, ``worker`` and ``what`` became of it.
* ``step`` and ``step-end`` (search): ``number``, ``rate``, ``start_s`` and ``duration_s``; and
  ``number`` and ``in_flight``.
* ``wanted``: of ``second``, the ``users`` that a locustfile's own shape wanted.
* ``note``: ``text``, a sentence about the record that a reader must know.
* ``end``: ``wall_s``, ``complete`` (the plan was followed to its end) and ``interrupted`` (users
  that were ended by force in the middle of their work, whose last request is not on record).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from runner.errors import LoadError
from runner.load.recorder import Batch, RowKey
from runner.model.packed import pack
from runner.model.recording import (
    ArrivalSecond,
    LoadRow,
    SearchStep,
    WorkerWord,
    worker_sentence,
)
from runner.ports import LoadProgress
from runner.readback import arrival_second, load_event, load_rows, take_step

SECONDS_FILE = "seconds.jsonl"
STEPS_ASKED_FILE = "steps-asked.jsonl"
"""What a search asks for: lines of ``rate`` and ``duration_s``, and a last one of ``finish``."""

_USERS_KEPT_S = 900
_READ_LIMIT = 16 << 20


class SecondsWriter:
    """Appends lines to a new ``seconds.jsonl``.

    Args:
        path: The file; it must not exist yet.
        wall_s: Clock that gives Unix time.
    """

    def __init__(self, path: Path, wall_s: Callable[[], float]) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._wall_s = wall_s
        self._users: dict[int, int] = {}
        self._next_second = 0
        self._closed = False

    def start(self, wall_s: float) -> None:
        self._write([{"kind": "start", "wall_s": wall_s}])

    def rows(self, batch: Batch, upto_second: int, users: int) -> None:
        """Write a drained batch, and a line for each second up to ``upto_second`` without rows."""
        for second in range(self._next_second, upto_second):
            self._users[second] = users
            self._users.pop(second - _USERS_KEPT_S, None)
        keys = sorted(batch.rows)
        seconds: dict[int, list[Any]] = {s: [] for s in range(self._next_second, upto_second)}
        for second, group in groupby(keys, key=lambda key: key[0]):
            seconds[second] = [_row(batch, key) for key in group]
        lines: list[dict[str, Any]] = [
            {
                "kind": "rows",
                "second": second,
                # Of an old second: what ran then, not what runs now.
                "users": self._users.get(second, users),
                "rows": seconds[second],
            }
            for second in sorted(seconds)
        ]
        if batch.failures or batch.dropped:
            failures = [[*key, count] for key, count in sorted(batch.failures.items())]
            lines.append({"kind": "failures", "failures": failures, "dropped": batch.dropped})
        for second, tally in sorted(batch.arrivals.items()):
            counts = asdict(tally)
            late = pack(counts.pop("late_us"))
            lines.append({"kind": "arrivals", "second": second, **counts, "late": late})
        self._next_second = max(self._next_second, upto_second)
        self._write(lines)

    def generator(self, second: int, cpu_ratio: float, lag_s: float, rss_bytes: int) -> None:
        record = {"kind": "generator", "second": second, "cpu_ratio": round(cpu_ratio, 4)}
        self._write([record | {"lag_s": round(lag_s, 6), "rss_bytes": rss_bytes}])

    def worker(self, second: int, worker: str, what: WorkerWord) -> None:
        self._write([{"kind": "worker", "second": second, "worker": worker, "what": what}])

    def step(self, number: int, rate_per_s: float, start_s: float, duration_s: float) -> None:
        line = {"kind": "step", "number": number, "rate": rate_per_s}
        self._write([line | {"start_s": start_s, "duration_s": duration_s}])

    def step_end(self, number: int, in_flight: int) -> None:
        self._write([{"kind": "step-end", "number": number, "in_flight": in_flight}])

    def steps_over(self) -> None:
        """No step follows: it has been decided what the search says."""
        self._write([{"kind": "steps-over"}])

    def wanted(self, second: int, users: int) -> None:
        self._write([{"kind": "wanted", "second": second, "users": users}])

    def note(self, text: str) -> None:
        self._write([{"kind": "note", "text": text}])

    def end(self, *, complete: bool, interrupted: int) -> None:
        """Write the last line and close; more calls do nothing."""
        if self._closed:
            return
        line = {"kind": "end", "wall_s": self._wall_s(), "complete": complete}
        self._write([line | {"interrupted": interrupted}])
        self._closed = True
        os.close(self._fd)

    def _write(self, records: Iterable[dict[str, Any]]) -> None:
        if self._closed:
            return  # what a straggler says after the end
        text = "".join(
            json.dumps(record, separators=(",", ":"), ensure_ascii=True) + "\n"
            for record in records
        )
        data = text.encode("ascii")
        while data:  # a full disk may take a part only
            data = data[os.write(self._fd, data) :]


def _row(batch: Batch, key: RowKey) -> list[Any]:
    row: list[Any] = [key[1], key[2], pack(batch.rows[key])]
    if key in batch.service:
        row.append(pack(batch.service[key]))
    return row


class SecondsReader:
    """Reads what was added to a ``seconds.jsonl`` since the last look. Never blocks.

    Args:
        path: The file.
        limit: Most bytes of one look.
    """

    def __init__(self, path: Path, limit: int = _READ_LIMIT) -> None:
        self._path = path
        self._limit = limit
        self._offset = 0
        self._started_wall_s: float | None = None
        self._steps: dict[int, SearchStep] = {}

    @property
    def started(self) -> bool:
        """Whether the load has begun: its start is the first thing that is written."""
        try:
            return self._path.stat().st_size > 0
        except FileNotFoundError:
            return False

    def progress(self) -> LoadProgress:
        """What is new; a torn last line waits for the rest of it.

        Raises:
            LoadError: When a whole line is not what the plug-in writes.
        """
        rows: list[LoadRow] = []
        users: list[tuple[int, int]] = []
        steps: list[SearchStep] = []
        arrivals: list[tuple[int, ArrivalSecond]] = []
        remarks: list[str] = []
        for line in self._new_lines():
            try:
                record = json.loads(line)
                match record["kind"]:
                    case "start":
                        self._started_wall_s = record["wall_s"]
                    case "rows":
                        rows.extend(load_rows(record))
                        users.append((record["second"], record["users"]))
                    case "arrivals":
                        arrivals.append((record["second"], arrival_second(record)))
                    case "step" | "step-end":
                        take_step(record, self._steps)
                        steps.append(self._steps[record["number"]])
                    case "worker" if record["what"] != "joined":
                        remarks.append(worker_sentence(load_event(record)))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise LoadError(f"{self._path} is damaged before byte {self._offset}") from error
        return LoadProgress(
            self._started_wall_s,
            tuple(rows),
            tuple(users),
            tuple(steps),
            tuple(arrivals),
            tuple(remarks),
        )

    def _new_lines(self) -> list[bytes]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(self._limit)
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.splitlines()
