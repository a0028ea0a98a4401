"""A closed record is read once; one that may still grow, or was changed, is read again."""

from __future__ import annotations

from pathlib import Path

from runner.load.recorder import Batch
from runner.load.seconds import SecondsWriter
from runner.readback import SECONDS, LoadReader

ROWS = {(0, "GET /a", "success"): {300: 1}}


def test_a_closed_record_is_read_once(tmp_path: Path) -> None:
    """Goal: evaluation and report share what takes long. Method: the same object, or another."""
    reader = LoadReader(tmp_path)
    assert reader.read() is not reader.read()  # There is none yet, and there may be one soon.
    assert reader.read().rows == ()
    writer = SecondsWriter(tmp_path / SECONDS, lambda: 1.0)
    writer.start(0.0)
    writer.rows(Batch(ROWS), upto_second=1, users=1)
    growing = reader.read()
    assert (len(growing.rows), growing.finished) == (1, False)
    assert reader.read() is not growing
    writer.end(complete=True, interrupted=0)
    closed = reader.read()
    assert closed.finished
    assert reader.read() is closed
    with (tmp_path / SECONDS).open("a", encoding="utf-8") as file:
        file.write('{"kind":"note","text":"odd"}\n')
    assert reader.read().notes == ("odd",)
