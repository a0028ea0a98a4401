"""Damaged run folders: read as far as they go, or refused with a reason; never a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from damages import damage
from voyages import Voyage, write_run

from runner.catalog import evaluate_run
from runner.errors import SeatrialError
from runner.reports.document import build_document
from runner.store import RunDir

CHUNK = 40
DERIVED = ("report",)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = write_run(
        tmp_path_factory.mktemp("sound"),
        Voyage(length_s=40, users=5, services=("order-api", "payment-api")),
    )
    (run.path / "experiment.yaml").write_text("name: x\n")
    return run


def files(run: RunDir) -> list[Path]:
    """What a run leaves, without what is derived from it."""
    found = (path.relative_to(run.path) for path in sorted(run.path.rglob("*")) if path.is_file())
    return [path for path in found if path.parts[0] not in DERIVED]


def outcome(run: RunDir) -> str:
    """What reading, judging and reporting ``run`` comes to: a verdict, or a refusal."""
    try:
        judged = evaluate_run(run, save=False)
        run.read_evaluation()
        document = build_document(run.recording(), judged)
    except SeatrialError as error:
        return f"refused: {error.message}"
    assert document.run_id == judged.run_id
    return judged.verdict.value


@pytest.mark.parametrize("first", range(0, 3 * CHUNK, CHUNK))
def test_a_damaged_folder_is_read_or_refused(sound: RunDir, tmp_path: Path, first: int) -> None:
    """Goal: no tear, no foreign file and no odd value brings a traceback.

    Method: one file of a sound folder is damaged at a time, by a seed.
    """
    known = files(sound)
    refused = 0
    for seed in range(first, first + CHUNK):
        folder = tmp_path / f"{seed}" / sound.path.name
        shutil.copytree(sound.path, folder)
        path = known[seed % len(known)]
        how = damage(folder / path, [sound.path / one for one in known], seed)
        try:
            said = outcome(RunDir(folder))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {path} {how}") from error
        refused += said.startswith("refused: ") and len(said) > 20
    assert 0.2 * CHUNK < refused < CHUNK


def test_the_sound_folder_is_judged(sound: RunDir) -> None:
    assert outcome(sound) in ("pass", "fail", "inconclusive", "warn")
