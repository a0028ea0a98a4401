"""Private folders for what must not stay behind: kubeconfigs, and the client's certificates.

A folder lives as long as somebody holds the lock in it: the process that made it, or a child that
was given the descriptor. The kernel drops the lock with the last of them, however they ended. What
killed processes leave is removed when the next folder is made: by any run, heal or look at a
target.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PREFIX: Final = "seatrial-private-"
LOCK: Final = "lock"


class PrivateFolder:
    """A new folder of mode 0700 among the temporary files; as a context, it is its path."""

    def __init__(self) -> None:
        remove_stale()
        descriptor = None
        while descriptor is None:  # Somebody may take it for a stale one before we hold it.
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            descriptor = _hold(self.path, os.O_CREAT)
        self._descriptor = descriptor

    def remove(self) -> None:
        """Remove the folder, also from under a child that still uses it. Idempotent."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()


@contextlib.contextmanager
def held(*folders: Path) -> Iterator[tuple[int, ...]]:
    """Descriptors for a child that uses ``folders`` and may outlive this process.

    The child is started within the context, and holds the folders as long as it lives. Folders that
    are not private ones are left out.
    """
    private = (folder for folder in folders if folder.name.startswith(PREFIX))
    descriptors = tuple(fd for folder in private if (fd := _hold(folder)) is not None)
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def remove_stale(among: Path | None = None) -> list[Path]:
    """Remove the private folders that nobody holds any more; returns them.

    Args:
        among: Where they are; among the temporary files by default.
    """
    found = (among or Path(tempfile.gettempdir())).glob(f"{PREFIX}*")
    return [folder for folder in found if _remove_if_stale(folder)]


def _hold(folder: Path, flags: int = 0) -> int | None:
    """A descriptor of the lock, which is shared; None when the folder is going, or is gone."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), (folder / LOCK).stat()):
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
    return None


def _remove_if_stale(folder: Path) -> bool:
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return False
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()  # Without a lock there is nothing in it yet; its maker takes another.
        return not folder.exists()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
