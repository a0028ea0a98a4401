"""The sandbox's folder: who holds it, what is a leftover, and what its status file says."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import MissingPartError, TargetBusyError, TargetError, UsageError
from runner.targets.sandbox import homes, state
from runner.targets.sandbox.homes import Lock
from runner.targets.sandbox.state import SandboxInfo


def info(home: Path, **changes: Any) -> SandboxInfo:
    values: dict[str, Any] = {"name": "unit", "state": "ready", "home": home} | changes
    return SandboxInfo(**values)


@pytest.mark.parametrize("name", ["default", "a", "ci-7", "0", "a" * 63])
def test_good_names_pass(name: str) -> None:
    assert homes.check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "../x", "a/b", "a" * 64, "ü", "a\n"])
def test_a_name_that_could_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a sandbox"):
        homes.home_of(name)


def test_the_folder_is_where_the_environment_says(tmp_path: Path) -> None:
    """Named folder first, then the user's runtime folder, then a temporary one with his id."""
    runtime = tmp_path / "run"
    runtime.mkdir()
    named = {"SEATRIAL_SANDBOX_HOME": str(tmp_path / "named"), "XDG_RUNTIME_DIR": str(runtime)}
    assert homes.state_root(named) == tmp_path / "named"
    assert homes.state_root({"XDG_RUNTIME_DIR": str(runtime)}) == runtime / "seatrial"
    assert homes.state_root({"XDG_RUNTIME_DIR": str(tmp_path / "gone")}).name == (
        f"seatrial-{os.getuid()}"
    )


def test_a_new_folder_is_private_and_held(tmp_path: Path) -> None:
    home = tmp_path / "root" / "sandbox-a"
    lock = homes.create_home(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert homes.try_lock(home) is None
    lock.release()
    again = homes.try_lock(home)
    assert again is not None
    again.release()


def test_the_holder_signs_the_lock(tmp_path: Path) -> None:
    """Who holds it is known as long as it is held, and a leftover's signature counts nothing."""
    home = tmp_path / "sandbox-a"
    assert homes.holder_of(home) is None
    lock = homes.create_home(home)
    assert homes.holder_of(home) is None  # who starts a supervisor is none, and must not be ended
    lock.sign()
    assert homes.holder_of(home) == os.getpid()
    lock.release()
    assert homes.holder_of(home) is None
    again = homes.create_home(home)
    assert homes.holder_of(home) is None
    again.release()


def test_a_held_folder_cannot_be_made_anew(tmp_path: Path) -> None:
    home = tmp_path / "sandbox-a"
    lock = homes.create_home(home)
    (home / "precious").write_text("x")
    with pytest.raises(TargetBusyError, match="held by another process"):
        homes.create_home(home, timeout_s=0.0)
    assert (home / "precious").read_text() == "x"
    lock.release()


def test_a_leftover_is_emptied_when_the_folder_is_made_anew(tmp_path: Path) -> None:
    home = tmp_path / "sandbox-a"
    homes.create_home(home).release()
    (home / "logs").mkdir()
    (home / "logs" / "old.log").write_text("old")
    (home / "status.json").write_text("{}")
    lock = homes.create_home(home)
    assert [entry.name for entry in home.iterdir()] == ["lock"]
    lock.release()


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(TargetError, match="written by other users"):
        homes.create_home(root / "sandbox-a")


def test_an_unwritable_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TargetError, match="cannot be made") as caught:
        homes.create_home(tmp_path / "file" / "root" / "sandbox-a")
    assert "SEATRIAL_SANDBOX_HOME" in caught.value.hint


def test_removing_leaves_nothing_and_keeps_neighbours(tmp_path: Path) -> None:
    root = tmp_path / "root"
    first = homes.create_home(root / "sandbox-a")
    second = homes.create_home(root / "sandbox-b")
    first.remove_home()
    assert [entry.name for entry in root.iterdir()] == ["sandbox-b"]
    second.remove_home()
    assert not root.exists()


def test_only_leftovers_are_removed(tmp_path: Path) -> None:
    """Of one held and two free folders, and a half-removed one, the held one stays."""
    held = homes.create_home(tmp_path / "sandbox-held")
    for name in ("b", "a"):
        homes.create_home(tmp_path / f"sandbox-{name}").release()
    (tmp_path / ".removing-sandbox-c-1").mkdir()
    (tmp_path / "not-ours").mkdir()
    removed = homes.remove_leftovers(tmp_path)
    assert [path.name for path in removed] == ["sandbox-a", "sandbox-b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["not-ours", "sandbox-held"]
    held.release()


def test_a_lock_on_a_removed_folder_is_no_lock(tmp_path: Path) -> None:
    """The holder removes the folder and a new one is made: the old descriptor must not count."""
    home = tmp_path / "sandbox-a"
    old = homes.create_home(home)
    descriptor = os.dup(old.descriptor)
    old.remove_home()
    new = homes.create_home(home)
    with pytest.raises(TargetError, match="not the lock of"):
        Lock.adopt(home, descriptor)
    os.close(descriptor)
    new.release()


def test_a_lock_handed_down_lives_on_with_the_child(tmp_path: Path) -> None:
    """The parent lets go; the child, a real process, still holds it until it ends."""
    home = tmp_path / "sandbox-a"
    lock = homes.create_home(home)
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
        pass_fds=(lock.descriptor,),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    lock.release()
    assert homes.try_lock(home) is None
    child.communicate(timeout=10)
    free = homes.try_lock(home)
    assert free is not None
    free.release()


def test_an_adopted_lock_is_not_inherited_by_grandchildren(tmp_path: Path) -> None:
    lock = homes.create_home(tmp_path / "sandbox-a")
    os.set_inheritable(lock.descriptor, True)
    adopted = Lock.adopt(tmp_path / "sandbox-a", lock.descriptor)
    assert os.get_inheritable(adopted.descriptor) is False
    adopted.release()


def test_a_descriptor_that_is_held_by_another_is_not_adopted(tmp_path: Path) -> None:
    lock = homes.create_home(tmp_path / "sandbox-a")
    other = os.open(tmp_path / "sandbox-a" / "lock", os.O_RDWR)
    with pytest.raises(TargetError, match="no lock that we hold"):
        Lock.adopt(tmp_path / "sandbox-a", other)
    os.close(other)
    lock.release()
    with pytest.raises(OSError, match="Bad file descriptor"):
        fcntl.flock(other, fcntl.LOCK_UN)


def test_status_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = info(
        tmp_path,
        kubeconfig=tmp_path / "kubeconfig",
        ports={"ingress": 8081},
        pids={"supervisor": 7, "order-api-1": 8},
        parts={"envoy": "1.40.0"},
        ready_after_s=1.5,
        started_at_s=12.0,
        error={"kind": "TargetError", "message": "m", "accepted": "", "hint": ""},
    )
    state.write_status(written)
    assert state.read_status(tmp_path) == written
    assert stat.S_IMODE((tmp_path / "status.json").stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_status_tells_how_to_point_kubectl_here(tmp_path: Path) -> None:
    exports = info(tmp_path, kubeconfig=tmp_path / "kubeconfig").exports
    assert exports == (
        f"export KUBECONFIG={tmp_path}/kubeconfig",
        f"export KUBECACHEDIR={tmp_path}/kubectl-cache",
    )
    assert (
        info(tmp_path / "a b").exports[1] == f"export KUBECACHEDIR='{tmp_path}/a b/kubectl-cache'"
    )


def test_what_the_mesh_reports_is_part_of_the_status(tmp_path: Path) -> None:
    state.write_status(info(tmp_path))
    (tmp_path / "mesh-status.json").write_text(
        '{"unsupported": [{"field": "spec.http[0].mirror"}], "rejected": ["cds: bad"], '
        '"faults": [{"run": "r"}]}'
    )
    read = state.read_status(tmp_path)
    assert read is not None
    assert read.unsupported == ({"field": "spec.http[0].mirror"},)
    assert read.rejected == ({"message": "cds: bad"},)
    assert read.faults == ({"run": "r"},)
    assert state.info_from_json(read.to_json()) == read


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_torn_status_file_is_no_status(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    assert state.read_status(tmp_path) is None


def test_a_later_versions_fields_do_not_disturb(tmp_path: Path) -> None:
    document = info(tmp_path).to_json() | {"mood": "good"}
    assert state.info_from_json(document) == info(tmp_path)


@given(message=st.text(), accepted=st.text(), hint=st.text())
def test_an_error_keeps_its_kind_and_words_on_its_way(
    message: str, accepted: str, hint: str
) -> None:
    sent = MissingPartError(message, accepted=accepted, hint=hint)
    got = state.error_from_json(state.error_to_json(sent))
    assert type(got) is MissingPartError
    assert (got.message, got.accepted, got.hint) == (sent.message, sent.accepted, sent.hint)
    if (message + accepted + hint).isprintable():  # What could move a cursor is not kept.
        assert (got.message, got.accepted, got.hint) == (message, accepted, hint)


@pytest.mark.parametrize("kind", ["ExitCode", "IntEnum", "NoSuch", "", "annotations"])
def test_an_unknown_kind_of_error_is_a_target_error(kind: str) -> None:
    """The status file is data: it must not be able to name any other class."""
    assert type(state.error_from_json({"kind": kind, "message": "m"})) is TargetError


def test_a_foreign_exception_is_told_with_its_class() -> None:
    got = state.error_from_json(state.error_to_json(KeyError("spec")))
    assert got.message == "KeyError: 'spec'"


def test_a_live_process_has_a_mark_and_a_dead_or_undead_one_has_none() -> None:
    """A child is looked at while it lives, as a zombie, and after it was reaped."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert state.start_mark(child.pid) not in (None, state.start_mark(1))
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert state.start_mark(child.pid) is None
    child.wait()
    assert state.start_mark(child.pid) is None
