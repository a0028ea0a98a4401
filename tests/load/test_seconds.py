"""The record's file: what is written is what the store and the live reader read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.errors import LoadError
from runner.load.recorder import Batch
from runner.load.seconds import SECONDS_FILE, SecondsReader, SecondsWriter
from runner.model.recording import GeneratorSecond, LoadRow
from runner.ports import LoadProgress
from runner.readback import read_load_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / SECONDS_FILE


@pytest.fixture
def writer(path: Path) -> SecondsWriter:
    return SecondsWriter(path, lambda: 1_700_000_009.5)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_file_is_what_the_store_reads(writer: SecondsWriter, path: Path) -> None:
    """Goal: writer and reader agree. Method: write every kind of line, read the record."""
    writer.start(1_700_000_000.25)
    row_key = (1, "GET /a", "success")
    failure_key = ("GET /a", "http_5xx", "HTTP 503")
    writer.rows(Batch({row_key: {7: 2, 3: 1}}, {failure_key: 4}, 5), upto_second=2, users=10)
    writer.rows(Batch({}, {failure_key: 1}, 1), upto_second=3, users=12)
    writer.generator(2, 0.25, 0.001, 1 << 20)
    writer.note("something to know")
    writer.end(complete=True, interrupted=3)
    record = read_load_record(path.parent)
    assert record.rows == (LoadRow(1, "GET /a", "success", {3: 1, 7: 2}),)
    assert record.users == {0: 10, 1: 10, 2: 12}
    assert record.failures == {failure_key: 5}
    assert (record.dropped_failures, record.finished) == (6, True)
    assert record.generator == {2: GeneratorSecond(0.25, 0.001, 1 << 20)}
    assert (record.notes, record.interrupted) == (("something to know",), 3)
    assert lines(path)[0] == {"kind": "start", "wall_s": 1_700_000_000.25}
    assert lines(path)[-1] == {
        "kind": "end",
        "wall_s": 1_700_000_009.5,
        "complete": True,
        "interrupted": 3,
    }


def test_a_late_row_keeps_the_users_of_its_own_second(writer: SecondsWriter, path: Path) -> None:
    """Goal: a slow answer does not rewrite history. Method: a row of second 0, ten users later."""
    writer.start(0.0)
    writer.rows(Batch(), upto_second=1, users=5)
    writer.rows(Batch({(0, "GET /a", "success"): {9: 1}}), upto_second=2, users=15)
    assert [(line["second"], line["users"]) for line in lines(path)[1:]] == [
        (0, 5),
        (0, 5),
        (1, 15),
    ]


def test_the_first_record_is_never_overwritten(writer: SecondsWriter, path: Path) -> None:
    writer.start(1.0)
    with pytest.raises(FileExistsError):
        SecondsWriter(path, lambda: 0.0)
    assert lines(path) == [{"kind": "start", "wall_s": 1.0}]


def test_nothing_follows_the_end(writer: SecondsWriter, path: Path) -> None:
    writer.start(1.0)
    writer.end(complete=False, interrupted=0)
    writer.note("too late")
    writer.end(complete=True, interrupted=0)
    assert [line["kind"] for line in lines(path)] == ["start", "end"]


def test_progress_tells_each_line_once(writer: SecondsWriter, path: Path) -> None:
    reader = SecondsReader(path)
    writer.start(5.0)
    assert reader.progress() == LoadProgress(5.0)
    writer.rows(Batch({(0, "GET /a", "success"): {9: 1}}), upto_second=1, users=2)
    row = LoadRow(0, "GET /a", "success", {9: 1})
    assert reader.progress() == LoadProgress(5.0, (row,), ((0, 2),))
    assert reader.progress() == LoadProgress(5.0)


def test_progress_before_the_file_exists_is_empty(tmp_path: Path) -> None:
    assert SecondsReader(tmp_path / "none.jsonl").progress() == LoadProgress(None)


def test_a_torn_line_waits_for_its_rest(tmp_path: Path) -> None:
    path = tmp_path / "torn.jsonl"
    reader = SecondsReader(path)
    path.write_bytes(b'{"kind":"start","wall_s":5.0}\n{"kind":"rows","second":0,"use')
    assert reader.progress() == LoadProgress(5.0)
    with path.open("ab") as file:
        file.write(b'rs":3,"rows":[]}\n')
    assert reader.progress() == LoadProgress(5.0, (), ((0, 3),))


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"second":1}\n', b'{"kind":"rows"}\n', b"[]\n"])
def test_a_damaged_line_is_an_error(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(line)
    with pytest.raises(LoadError, match=r"damaged\.jsonl is damaged"):
        SecondsReader(path).progress()
