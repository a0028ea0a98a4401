"""Reading back what a run wrote: JSON, JSON lines, the record of the load, a chaos journal.

What a killed writer left is read up to its tear; anything else that is not as it was written is
refused. Pure but for reading; ``store`` knows where things are.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.errors import RecordingError
from runner.model.histogram import Counts, merged
from runner.model.packed import PackedCounts, pack
from runner.model.packedrows import PackedRows, packed_numbers, writable
from runner.model.recording import (
    ArrivalSecond,
    GeneratorSecond,
    LoadRecord,
    SearchStep,
    WorkerEvent,
)
from runner.textfile import read_bounded

SECONDS = "seconds.jsonl"
"""The file of the record, in the folder of the load."""

MOST_BYTES = 256 << 20
"""No file of a run is larger that is read at once: that of the load is read line by line."""

_TOOLS_OWN = re.compile(r"^(chaoslib\.exceptions\.ActivityFailed: )+")
"""What Chaos Toolkit puts before every reason."""

_HTTP_ERRORS = 400
"""The first of HTTP's statuses that say that a request was not carried out."""


class _Reading:
    """A record of the load as far as its lines were read."""

    def __init__(self) -> None:
        self.rows = PackedRows()
        self.users: dict[int, int] = {}
        self.failures: dict[tuple[str, str, str], int] = {}
        self.generator: dict[int, GeneratorSecond] = {}
        self.notes: list[str] = []
        self.arrivals: dict[int, ArrivalSecond] = {}
        self.workers: list[WorkerEvent] = []
        self.steps: dict[int, SearchStep] = {}
        self.wanted: dict[int, int] = {}
        self.dropped, self.interrupted = 0, 0
        self.finished, self.complete = False, False
        self._decided_s = 0.0
        """In a search: seconds before this one have been decided upon."""

    def take(self, record: dict[str, Any]) -> None:  # noqa: C901 - a kind of line each
        """One line of ``seconds.jsonl``.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: When it is none.
        """
        match record["kind"]:
            case "rows":
                second = _whole(record["second"])
                late = second < self._decided_s
                self.rows.add(second, record["rows"], late=late)
                self.users[second] = _whole(record["users"])
            case "failures":
                for endpoint, outcome, text, count in record["failures"]:
                    key = (writable(endpoint), outcome, writable(text))
                    self.failures[key] = self.failures.get(key, 0) + count
                self.dropped += record["dropped"]
            case "arrivals":
                second = _whole(record["second"])
                self.arrivals[second] = arrival_second(record, self.arrivals.get(second))
            case "generator":
                second = _whole(record["second"])
                self.generator[second] = _generator(record, self.generator.get(second))
            case "worker":
                self.workers.append(load_event(record))
            case "wanted":
                self.wanted[_whole(record["second"])] = _whole(record["users"])
            case "note":
                self.notes.append(writable(record["text"]))
            case "end":
                self.finished, self.complete = True, record.get("complete") is True
                self.interrupted = _whole(record.get("interrupted", 0))
            case "step" | "step-end":
                take_step(record, self.steps)
                if record["kind"] == "step":
                    self._decided_s = float(record["start_s"])
            case "steps-over":
                self._decided_s = math.inf
            case _:
                pass  # "start", which only a live reader needs


class LoadReader:
    """Reads the record in a folder; a closed one once, as long as the file is the same.

    A long one takes seconds to read, and evaluation and report both want it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: tuple[tuple[int, int], LoadRecord] | None = None

    def read(self) -> LoadRecord:
        """What the load generator wrote.

        Raises:
            RecordingError: When it is damaged, or is none.
        """
        state = self._state()
        if self._known is not None and self._known[0] == state:
            return self._known[1]
        record = read_load_record(self._folder)
        self._known = (state, record) if state is not None and record.finished else None
        return record

    def _state(self) -> tuple[int, int] | None:
        """Size and time of the file; None when there is none."""
        with contextlib.suppress(OSError):
            found = (self._folder / SECONDS).stat()
            return found.st_size, found.st_mtime_ns
        return None


def read_load_record(folder: Path) -> LoadRecord:
    """Read ``seconds.jsonl`` in ``folder``; what a killed generator left is read up to its tear."""
    path = folder / SECONDS
    reading = _Reading()
    for record in json_lines(path):
        try:
            reading.take(record)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise RecordingError(f"{path} holds a line that is not the generator's") from error
    return LoadRecord(
        rows=reading.rows,
        users=reading.users,
        failures=reading.failures,
        dropped_failures=reading.dropped,
        finished=reading.finished,
        complete=reading.complete,
        generator=reading.generator,
        notes=tuple(reading.notes),
        interrupted=reading.interrupted,
        arrivals=reading.arrivals,
        workers=tuple(reading.workers),
        steps=tuple(reading.steps[number] for number in sorted(reading.steps)),
        wanted=reading.wanted,
    )


def arrival_second(record: dict[str, Any], known: ArrivalSecond | None = None) -> ArrivalSecond:
    """What is known of a second's arrivals with one more line of it."""
    known = known or ArrivalSecond()
    late_us: Counts = PackedCounts(packed_numbers(record["late"]))
    if known.late_us:
        late_us = PackedCounts(pack(merged((known.late_us, late_us))))
    return ArrivalSecond(
        offered=known.offered + _whole(record["offered"]),
        started=known.started + _whole(record["started"]),
        waited=known.waited + _whole(record["waited"]),
        dropped=known.dropped + _whole(record["dropped"]),
        completed=known.completed + _whole(record["completed"]),
        late_us=late_us,
    )


def _generator(record: dict[str, Any], known: GeneratorSecond | None) -> GeneratorSecond:
    """The account of a second with one more process: the worst of them, and memory of all."""
    known = known or GeneratorSecond(0.0, 0.0, 0)
    return GeneratorSecond(
        max(known.cpu_ratio, float(record["cpu_ratio"])),
        max(known.lag_s, float(record["lag_s"])),
        known.rss_bytes + _whole(record["rss_bytes"]),
    )


def load_event(record: dict[str, Any]) -> WorkerEvent:
    """What a ``worker`` line says."""
    return WorkerEvent(_whole(record["second"]), writable(record["worker"]), record["what"])


def take_step(record: dict[str, Any], steps: dict[int, SearchStep]) -> None:
    """Note in ``steps`` what a ``step`` or ``step-end`` line says.

    Raises:
        KeyError, TypeError, ValueError: When it is none.
    """
    number = _whole(record["number"])
    if record["kind"] == "step":
        steps[number] = SearchStep(
            number=number,
            rate_per_s=float(record["rate"]),
            start_s=float(record["start_s"]),
            duration_s=float(record["duration_s"]),
        )
    else:
        steps[number] = replace(steps[number], ended=True, in_flight=_whole(record["in_flight"]))


def load_rows(record: dict[str, Any]) -> PackedRows:
    """The rows of one ``rows`` record of ``seconds.jsonl``.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: When it is none.
    """
    rows = PackedRows()
    rows.add(_whole(record["second"]), record["rows"])
    return rows


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
"""Of lines: ``json.loads`` would make a new one for each."""


def json_file(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        RecordingError: When it is not there or not JSON.
    """
    try:
        text = read_bounded(path, MOST_BYTES, patience_s=0.0).decode("utf-8")
        return json.loads(text, parse_constant=_no_constant)
    except FileNotFoundError:
        raise RecordingError(f"{path.parent} is not a run folder: it has no {path.name}") from None
    except (OSError, RecursionError, ValueError) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON-lines file; a torn last line is what a killed writer leaves."""
    for number, line in _lines(path):
        try:
            record = _DECODER.decode(line.decode("utf-8", "surrogatepass"))
        except (RecursionError, ValueError) as error:
            if not line.endswith(b"\n"):
                return
            raise RecordingError(f"{path}:{number} is damaged: {error}") from error
        if not isinstance(record, dict):
            raise RecordingError(f"{path}:{number} is not an object")
        yield record


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not empty, with their numbers."""
    if not path.exists():
        return
    if not path.is_file():  # A folder, or a pipe that would be waited for.
        raise RecordingError(f"{path} cannot be read: it is not a file")
    try:
        with path.open("rb") as file:
            yield from ((at, line) for at, line in enumerate(file, start=1) if line != b"\n")
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error


def read_journal(path: Path) -> tuple[str, tuple[str, ...]]:
    """Status and failed activities of a Chaos Toolkit journal; a killed child leaves it torn.

    A steady state that was missed before the method is among the failures: the tool calls such an
    experiment completed.
    """
    try:
        journal = json.loads(read_bounded(path, MOST_BYTES, patience_s=0.0).decode("utf-8"))
        failed = [
            f"{item['activity']['name']}: {_missed(item)}"
            for item in ((journal.get("steady_states") or {}).get("before") or {}).get("probes", ())
            if item.get("status") != "succeeded" or item.get("tolerance_met") is not True
        ]
        failed += [
            f"{item['activity']['name']}: {problem}"
            for part in ("run", "rollbacks")
            for item in journal.get(part) or ()
            if (problem := activity_problem(item))
        ]
        return str(journal.get("status") or ""), tuple(failed)
    except (OSError, RecursionError, ValueError, KeyError, TypeError, AttributeError):
        return "unreadable", ()


def activity_problem(item: dict[str, Any]) -> str:
    """Why an activity of a journal did not do what it says; empty when it did.

    Chaos Toolkit takes a program's exit code and an HTTP status for an answer like any other. For
    an action they are not: a program that fails and a request that is refused have done nothing. An
    action may say with ``tolerance`` (a number, or a list of them) what else is right.
    """
    if item.get("status") != "succeeded":
        return _last_line(item)
    activity, output = item.get("activity") or {}, item.get("output")
    kind = (activity.get("provider") or {}).get("type")
    if activity.get("type") != "action" or kind not in ("process", "http"):
        return ""
    status = output.get("status") if isinstance(output, dict) else None
    tolerance = activity.get("tolerance")
    if tolerance is not None:
        accepted = tolerance if isinstance(tolerance, list) else [tolerance]
        return "" if status in accepted else f"its status is {status}, not {tolerance}"
    if kind == "process":
        return "" if status == 0 else f"the program ended with {status}"
    right = isinstance(status, int) and status < _HTTP_ERRORS
    return "" if right else f"the answer was HTTP {status}"


def _missed(item: dict[str, Any]) -> str:
    if item.get("status") != "succeeded":
        return _last_line(item)
    tolerance = json.dumps((item.get("activity") or {}).get("tolerance"))
    return f"the steady state was missed before the fault: not within {tolerance}"


def _last_line(item: dict[str, Any]) -> str:
    """The end of an activity's traceback; where it has none, what became of it."""
    exception = item.get("exception")
    if isinstance(exception, list):
        exception = "".join(str(line) for line in exception)
    lines = str(exception or "").strip().splitlines()
    if not lines:
        return f"it was {item.get('status') or 'not finished'}"
    return _TOOLS_OWN.sub("", lines[-1])
