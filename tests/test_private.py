"""Private folders: gone with their last holder, and removed by whoever comes next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from runner import private
from runner.private import PrivateFolder, held, remove_stale


@pytest.fixture(autouse=True)
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, of this test alone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def killed_holder(temp: Path, grandchild: str = "") -> tuple[Path, str]:
    """A folder with a secret whose maker was killed, and what a child of it had printed."""
    program = (
        "import os, subprocess, sys, time\n"
        "from runner.private import PrivateFolder, held\n"
        "private = PrivateFolder()\n"
        "(private.path / 'kubeconfig').write_text('secret')\n"
        "with held(private.path) as descriptors:\n"
        f"    argv = [sys.executable, '-c', {grandchild!r}]\n"
        "    child = subprocess.Popen(argv, pass_fds=descriptors) if argv[2] else None\n"
        "print(private.path, child.pid if child else '', flush=True)\n"
        "time.sleep(60)\n"
    )
    env = os.environ | {"TMPDIR": str(temp)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=env
    ) as maker:
        assert maker.stdout is not None
        path, _, pid = maker.stdout.readline().strip().partition(" ")
        maker.send_signal(signal.SIGKILL)
    return Path(path), pid


def test_a_folder_is_for_its_owner_and_ends_with_its_context(temp: Path) -> None:
    with PrivateFolder() as path:
        assert path.parent == temp
        assert path.stat().st_mode & 0o777 == 0o700
        assert remove_stale() == []
    assert list(temp.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(temp: Path) -> None:
    """Goal: no certificate stays. Method: SIGKILL to the holder, then somebody makes a folder."""
    left, _ = killed_holder(temp)
    assert (left / "kubeconfig").read_text() == "secret"
    with PrivateFolder() as path:
        assert list(temp.iterdir()) == [path]


def test_a_child_that_outlives_its_parent_keeps_the_folder(temp: Path) -> None:
    """Goal: an orphan can roll back. Method: it holds the folder after its parent was killed."""
    left, pid = killed_holder(temp, grandchild="import time; time.sleep(60)")
    try:
        assert remove_stale() == []
        assert (left / "kubeconfig").exists()
    finally:
        os.kill(int(pid), signal.SIGKILL)
    while remove_stale() != [left]:  # Bounded by the test's own time: the kernel is about to.
        time.sleep(0.01)
    assert list(temp.iterdir()) == []


def test_a_folder_that_is_being_made_or_removed_is_not_taken(
    temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: no race ends in a shared or lost folder. Method: the first choice loses its race."""
    made: list[Path] = []
    mkdtemp = tempfile.mkdtemp

    def raced(prefix: str) -> str:
        path: str = mkdtemp(prefix=prefix)
        made.append(Path(path))
        if len(made) == 1:
            assert remove_stale() == [Path(path)]
        return path

    monkeypatch.setattr("tempfile.mkdtemp", raced)
    with PrivateFolder() as path:
        assert made == [made[0], path]
        assert path.is_dir()


def test_what_is_not_ours_stays(temp: Path) -> None:
    """Goal: a link or a file of that name harms nobody. Method: one of each, and a folder."""
    target = temp / "mine"
    target.mkdir()
    (temp / f"{private.PREFIX}link").symlink_to(target)
    (temp / f"{private.PREFIX}file").touch()
    (temp / f"{private.PREFIX}kept").mkdir()
    (temp / f"{private.PREFIX}kept" / "unlocked").touch()
    assert remove_stale() == []
    assert len(list(temp.iterdir())) == 4


def test_folders_of_others_are_not_held(tmp_path: Path) -> None:
    with PrivateFolder() as path, held(path, tmp_path, tmp_path / "absent") as descriptors:
        assert len(descriptors) == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])
