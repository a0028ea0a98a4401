"""The one sandbox that all tests of a session share.

Starting a sandbox costs seconds, so a test that only needs *a* mesh asks for ``sandbox_info``. It
is started by the first test that does, and ends with the session (it also ends by itself when the
session is killed). A test leaves it as it found it: 12 ready pods, no fault. A test that has to
break the sandbox itself starts one of its own.

Under pytest-xdist the workers join the same sandbox. Tests that use it are put into one group, so
``--dist loadgroup`` gives them to one worker, one after the other.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.targets.sandbox.control import SandboxInfo

NAME = "tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "sandbox_info" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("sandbox"))


@pytest.fixture(scope="session")
def sandbox_info(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SandboxInfo]:
    """A ready sandbox, shared by the whole session (and by all of its workers)."""
    from runner.targets.sandbox import control

    is_worker = hasattr(request.config, "workerinput")
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if is_worker else base) / "sandboxes"
    users = root.with_name("sandbox-users")
    users.mkdir(exist_ok=True)
    me = users / str(os.getpid())
    with _one_at_a_time(users):
        me.touch()
        try:
            info = control.up(
                NAME, root=root, owner_pid=os.getppid() if is_worker else os.getpid(), timeout_s=60
            )
        except BaseException:
            me.unlink()
            raise
    yield info
    with _one_at_a_time(users):
        me.unlink()
        if not any(path.name.isdigit() for path in users.iterdir()):
            control.down(NAME, root=root)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
