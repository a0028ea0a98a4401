"""Reading back what a run wrote: JSON, JSON lines, the record of the load, a chaos journal.

What a killed writer left is read up to its tear; anything else that is not as it was written is
refused. Pure but for reading; ``store`` knows where things are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.errors import RecordingError
from runner.model.recording import GeneratorSecond, LoadRecord, LoadRow


def read_load_record(folder: Path) -> LoadRecord:
    """Read ``seconds.jsonl`` in ``folder``; what a killed generator left is read up to its tear."""
    rows: list[LoadRow] = []
    users: dict[int, int] = {}
    failures: dict[tuple[str, str, str], int] = {}
    generator: dict[int, GeneratorSecond] = {}
    notes: list[str] = []
    dropped, interrupted, finished, complete = 0, 0, False, False
    path = folder / "seconds.jsonl"
    for record in json_lines(path):
        try:
            match record["kind"]:
                case "rows":
                    rows.extend(load_rows(record))
                    users[_whole(record["second"])] = _whole(record["users"])
                case "failures":
                    for endpoint, outcome, text, count in record["failures"]:
                        key = (writable(endpoint), outcome, writable(text))
                        failures[key] = failures.get(key, 0) + count
                    dropped += record["dropped"]
                case "generator":
                    generator[_whole(record["second"])] = GeneratorSecond(
                        float(record["cpu_ratio"]),
                        float(record["lag_s"]),
                        _whole(record["rss_bytes"]),
                    )
                case "note":
                    notes.append(writable(record["text"]))
                case "end":
                    finished, complete = True, record.get("complete") is True
                    interrupted = _whole(record.get("interrupted", 0))
                case _:
                    pass  # "start", which only a live reader needs
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"{path} holds a line that is not the generator's") from error
    return LoadRecord(
        rows=tuple(rows),
        users=users,
        failures=failures,
        dropped_failures=dropped,
        finished=finished,
        complete=complete,
        generator=generator,
        notes=tuple(notes),
        interrupted=interrupted,
    )


def load_rows(record: dict[str, Any]) -> Iterator[LoadRow]:
    """The rows of one ``rows`` record of ``seconds.jsonl``.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: When it is none.
    """
    second = _whole(record["second"])
    for endpoint, outcome, latency in record["rows"]:
        yield LoadRow(
            second=second,
            endpoint=writable(endpoint),
            outcome=outcome,
            latency_us=dict(latency),
        )


def writable(text: str) -> str:
    """``text`` without lone surrogates, which JSON can carry and no file can be written with."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def json_file(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        RecordingError: When it is not there or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except FileNotFoundError:
        raise RecordingError(f"{path.parent} is not a run folder: it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON-lines file; a torn last line is what a killed writer leaves."""
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            record = json.loads(line, parse_constant=_no_constant)
        except ValueError as error:
            if number == len(lines):
                return
            raise RecordingError(f"{path}:{number} is damaged: {error}") from error
        if not isinstance(record, dict):
            raise RecordingError(f"{path}:{number} is not an object")
        yield record


def read_journal(path: Path) -> tuple[str, tuple[str, ...]]:
    """Status and failed activities of a Chaos Toolkit journal; a killed child leaves it torn."""
    try:
        journal = json.loads(path.read_text(encoding="utf-8"))
        failed = tuple(
            f"{item['activity']['name']}: {_last_line(item)}"
            for part in ("run", "rollbacks")
            for item in journal.get(part) or ()
            if item.get("status") != "succeeded"
        )
        return str(journal.get("status") or ""), failed
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "unreadable", ()


def _last_line(item: dict[str, Any]) -> str:
    """The end of an activity's traceback; where it has none, what became of it."""
    exception = item.get("exception")
    if isinstance(exception, list):
        exception = "".join(str(line) for line in exception)
    lines = str(exception or "").strip().splitlines()
    return lines[-1] if lines else f"it was {item.get('status') or 'not finished'}"
