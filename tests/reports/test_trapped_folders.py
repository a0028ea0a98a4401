"""Run folders with traps in them, and half characters in names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from voyages import Voyage, write_run

from runner.errors import RecordingError
from runner.model.recording import Event
from runner.store import RunDir, Store, write_atomically


@pytest.mark.parametrize("part", ["manifest.json", "events.jsonl", "load/seconds.jsonl"])
@pytest.mark.parametrize("what", ["pipe", "deep"])
def test_a_run_folder_with_a_trap_is_refused(tmp_path: Path, part: str, what: str) -> None:
    """Goal: a foreign folder hangs nobody. Method: a pipe, or 100,000 brackets, in a file's place.

    A list of runs has a line for it.
    """
    run = write_run(tmp_path, Voyage(length_s=20, users=1, signals=False), evaluated=False)
    path = run.path / part
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("[" * 100_000 + "\n")
    with pytest.raises(RecordingError, match=path.name):
        RunDir(run.path).recording()
    assert len(Store(tmp_path).summaries(0.0)) == 1


def test_half_a_character_costs_no_record(tmp_path: Path) -> None:
    """Goal: an odd name loses nothing else. Method: one in a file, a manifest and the journal."""
    write_atomically(tmp_path / "x", "a\udcffb")
    assert (tmp_path / "x").read_text(encoding="utf-8") == "a\ufffdb"
    run = write_run(tmp_path, Voyage(length_s=20, users=1, signals=False), evaluated=False)
    odd = run.read_manifest().model_copy(update={"reason": "no \ud800", "argv": ("\udcff",)})
    run.write_manifest(odd)
    assert (run.read_manifest().reason, run.read_manifest().argv) == ("no \ufffd", ("\ufffd",))
    run.append_event(Event(wall_s=1.0, source="x", action="y", kind="note", detail="\udcff!"))
    assert run.read_events()[-1].detail == "\ufffd!"
