"""The folders of sandboxes: where they are, whose they are, and who holds one.

A sandbox is up exactly as long as its supervisor holds the lock on ``lock`` in its folder. The
kernel drops that lock with the process, however it ends, so no pid has to be trusted: a folder
whose lock is free is a leftover, and whoever finds it removes it.

No child process and no network here, and no third-party import: the command line loads it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runner.errors import TargetBusyError, TargetError, UsageError

HOME_VARIABLE: Final = "SEATRIAL_SANDBOX_HOME"
LOCK_FILE: Final = "lock"
_PREFIX: Final = "sandbox-"
_DOOMED: Final = ".removing-"
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_POLL_S: Final = 0.02


def check_name(name: str) -> str:
    """Return ``name`` when it can name a sandbox.

    Raises:
        UsageError: When it cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a sandbox",
            accepted="1 to 63 of a-z, 0-9 and '-', neither beginning nor ending with '-'",
        )
    return name


def state_root(environment: Mapping[str, str] | None = None) -> Path:
    """The folder that holds the folders of this user's sandboxes; it may not exist yet."""
    environment = os.environ if environment is None else environment
    if named := environment.get(HOME_VARIABLE):
        return Path(named).absolute()
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir() and os.access(runtime, os.W_OK):
        return Path(runtime) / "seatrial"
    return Path(tempfile.gettempdir()) / f"seatrial-{os.getuid()}"


def home_of(name: str, root: Path | None = None) -> Path:
    """The folder of the sandbox ``name``; it need not exist."""
    return (state_root() if root is None else root) / f"{_PREFIX}{check_name(name)}"


def name_of(home: Path) -> str:
    """The name of the sandbox whose folder this is."""
    return home.name.removeprefix(_PREFIX)


def homes(root: Path | None = None) -> list[Path]:
    """The folders of all sandboxes below ``root``, leftovers included, by name."""
    root = state_root() if root is None else root
    if not root.is_dir():
        return []
    return sorted(path for path in root.glob(f"{_PREFIX}*") if path.is_dir())


class Lock:
    """The exclusive lock on a sandbox's folder; it lives as long as its file descriptor."""

    def __init__(self, home: Path, descriptor: int) -> None:
        self.home = home
        self.descriptor = descriptor

    @classmethod
    def adopt(cls, home: Path, descriptor: int) -> Lock:
        """The lock that a parent process took and handed down as an open descriptor.

        Raises:
            TargetError: When that descriptor is not the lock of ``home``.
        """
        lock = cls(home, descriptor)
        try:
            os.set_inheritable(descriptor, False)  # or every child would hold it, too
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TargetError(
                f"descriptor {descriptor} is no lock that we hold: {error}"
            ) from error
        if not _is_same_file(descriptor, home / LOCK_FILE):
            raise TargetError(f"descriptor {descriptor} is not the lock of {home}")
        lock.sign()
        return lock

    def sign(self) -> None:
        """Write this process's id into the lock file: it is the supervisor, and may be ended."""
        os.truncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the folder go. It is a leftover from now on, if it still exists."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def remove_home(self) -> None:
        """Remove the folder (and the folder of all sandboxes, if empty), then let go."""
        # Moved away first: whoever makes the same sandbox anew meanwhile gets a folder of its own.
        doomed = self.home.with_name(f"{_DOOMED}{self.home.name}-{os.getpid()}")
        with contextlib.suppress(OSError):
            self.home.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.home.parent.rmdir()
        self.release()


def try_lock(home: Path) -> Lock | None:
    """The lock of an existing folder, or None when it is held or the folder is gone."""
    try:
        descriptor = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if not _is_same_file(descriptor, home / LOCK_FILE):
        os.close(descriptor)  # somebody removed the folder between our two calls
        return None
    return Lock(home, descriptor)


def is_held(home: Path) -> bool:
    """True while somebody holds the folder's lock."""
    lock = try_lock(home)
    if lock is not None:
        lock.release()
    return lock is None and (home / LOCK_FILE).exists()


def holder_of(home: Path) -> int | None:
    """The supervisor that holds the folder's lock; None when nobody does, or nobody signed yet."""
    try:
        text = (home / LOCK_FILE).read_text(encoding="utf-8")
    except OSError:
        return None
    return int(text) if text.strip().isdecimal() and is_held(home) else None


def create_home(home: Path, *, timeout_s: float = 2.0) -> Lock:
    """Make a fresh, empty, private folder and lock it; a leftover in its place is removed.

    Raises:
        TargetBusyError: When the lock stays held for ``timeout_s`` seconds.
        TargetError: When the folder cannot be made, or is not safely ours.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        _make_private(home)
        lock = try_lock(home)
        if lock is not None:
            os.truncate(lock.descriptor, 0)  # the signature of an earlier holder
            for entry in home.iterdir():
                if entry.name != LOCK_FILE:
                    _remove(entry)
            return lock
        if time.monotonic() > deadline:
            raise TargetBusyError(
                f"the sandbox folder {home} is held by another process",
                hint="`seatrial sandbox status` shows it, `seatrial sandbox down` ends it",
            )
        time.sleep(_POLL_S)


def remove_leftovers(root: Path | None = None) -> list[Path]:
    """Remove the folders of sandboxes whose supervisor is gone; return what was removed."""
    removed = []
    for home in homes(root):
        lock = try_lock(home)
        if lock is not None:
            lock.remove_home()
            removed.append(home)
    for doomed in (state_root() if root is None else root).glob(f"{_DOOMED}*"):
        shutil.rmtree(doomed, ignore_errors=True)  # its remover was killed, or is about to finish
    return removed


def _make_private(home: Path) -> None:
    try:
        home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # In a shared temporary folder somebody else could have made it before us.
        owner = home.parent.stat()
        if owner.st_uid != os.getuid() or stat.S_IMODE(owner.st_mode) & 0o022:
            raise TargetError(
                f"the folder of the sandboxes {home.parent} can be written by other users",
                hint=f"set {HOME_VARIABLE} to a folder of your own, mode 0700",
            )
        home.mkdir(exist_ok=True, mode=0o700)
        home.chmod(0o700)
    except FileNotFoundError:
        return  # another process has just removed the empty parent; the caller tries again
    except OSError as error:
        raise TargetError(
            f"the sandbox folder {home} cannot be made: {error.strerror}",
            hint=f"set {HOME_VARIABLE} to a folder that you can write",
        ) from error


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
