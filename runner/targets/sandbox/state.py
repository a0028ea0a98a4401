"""The folder of one sandbox: where it is, whose it is, and what stands in its status file.

A sandbox is up exactly as long as its supervisor holds the lock on ``lock`` in the folder. The
kernel drops that lock with the process, however it ends, so no pid has to be trusted: a folder
whose lock is free is a leftover, and whoever finds it removes it.

No child process and no network here, and no third-party import: the command line loads it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from runner.errors import SeatrialError, TargetBusyError, TargetError, UsageError

State = Literal["starting", "ready", "stopping", "failed"]

HOME_VARIABLE: Final = "SEATRIAL_SANDBOX_HOME"
LOCK_FILE: Final = "lock"
STATUS_FILE: Final = "status.json"
MESH_STATUS_FILE: Final = "mesh-status.json"
_PREFIX: Final = "sandbox-"
_DOOMED: Final = ".removing-"
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    """What one sandbox says about itself.

    Attributes:
        name: Its name.
        state: ``starting``, ``ready``, ``stopping`` or ``failed``.
        message: What it is waiting for, or why it failed; empty when all is well.
        home: Its private folder.
        kubeconfig: The kubeconfig of its API server, with an address and a credential.
        context: The context in that file.
        namespace: The namespace of the shop.
        host: The host name that the ingress routes by (the ``Host`` header of a request).
        ingress_url: Base URL of the ingress gateway.
        api_url: URL of the Kubernetes API.
        prometheus_url: Base URL of Prometheus.
        attached: True when the API server is somebody else's.
        ports: Name of a port to its number on 127.0.0.1.
        slot: Its slot on this machine; its pods have the addresses ``127.(64 + slot).x.y``.
        pids: Process ids by part: ``supervisor``, ``envoy``, ``prometheus`` and each pod's name.
        parts: Version of each real part.
        owner_pid: The process whose end also ends the sandbox; None when it stays up by itself.
        started_at_s: Start of the supervisor, in seconds since the epoch.
        ready_after_s: Seconds from start to ready; None before that.
        unsupported: Fields of Istio objects that this sandbox does not honour.
        rejected: Updates that Envoy refused.
        error: The error that made it fail (``kind``, ``message``, ``accepted``, ``hint``).
    """

    name: str
    state: State
    home: Path
    message: str = ""
    kubeconfig: Path = Path()
    context: str = ""
    namespace: str = ""
    host: str = ""
    ingress_url: str = ""
    api_url: str = ""
    prometheus_url: str = ""
    attached: bool = False
    ports: Mapping[str, int] = field(default_factory=dict)
    slot: int = -1
    pids: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    owner_pid: int | None = None
    started_at_s: float = 0.0
    ready_after_s: float | None = None
    unsupported: tuple[Mapping[str, Any], ...] = ()
    rejected: tuple[Mapping[str, Any], ...] = ()
    error: Mapping[str, str] = field(default_factory=dict)

    @property
    def exports(self) -> tuple[str, ...]:
        """Shell lines that point kubectl and seatrial's own tools at this sandbox."""
        return (
            f"export KUBECONFIG={shlex.quote(str(self.kubeconfig))}",
            # kubectl caches what a server can do by its address; another sandbox may stand there.
            f"export KUBECACHEDIR={shlex.quote(str(self.home / 'kubectl-cache'))}",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; :func:`info_from_json` reads them."""
        document = asdict(self)
        document["home"] = str(self.home)
        document["kubeconfig"] = str(self.kubeconfig)
        document["exports"] = list(self.exports)
        return document


def info_from_json(document: Mapping[str, Any]) -> SandboxInfo:
    """The counterpart of :meth:`SandboxInfo.to_json`; unknown keys are left out."""
    known = {f.name for f in fields(SandboxInfo)}
    values = {key: value for key, value in document.items() if key in known}
    values["home"] = Path(values["home"])
    values["kubeconfig"] = Path(values.get("kubeconfig", ""))
    for name in ("unsupported", "rejected"):
        values[name] = tuple(values.get(name, ()))
    return SandboxInfo(**values)


def check_name(name: str) -> str:
    """Return ``name`` when it can name a sandbox.

    Raises:
        UsageError: When it cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a sandbox",
            accepted="1 to 40 of a-z, 0-9 and '-', neither beginning nor ending with '-'",
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
        return lock

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


def write_status(info: SandboxInfo) -> None:
    """Replace the status file of ``info.home`` in one step."""
    write_atomically(info.home / STATUS_FILE, json.dumps(info.to_json(), indent=1))


def read_status(home: Path) -> SandboxInfo | None:
    """What the status file says, with what the mesh reports; None when there is none yet."""
    document = _read_json(home / STATUS_FILE)
    if document is None:
        return None
    info = info_from_json(document)
    mesh = _read_json(home / MESH_STATUS_FILE) or {}
    return replace(
        info,
        unsupported=tuple(_as_mapping(item) for item in mesh.get("unsupported") or ()),
        rejected=tuple(_as_mapping(item) for item in mesh.get("rejected") or ()),
    )


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` (mode 0600) so that a reader sees the old file or the new one, whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(path)


def error_to_json(error: BaseException) -> dict[str, str]:
    """An error for the status file; :func:`error_from_json` makes it an exception again."""
    if isinstance(error, SeatrialError):
        kind, message = type(error).__name__, error.message
        return {"kind": kind, "message": message, "accepted": error.accepted, "hint": error.hint}
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return {"kind": "TargetError", "message": text, "accepted": "", "hint": ""}


def error_from_json(document: Mapping[str, str]) -> SeatrialError:
    """The exception that :func:`error_to_json` was given, at least as a ``TargetError``."""
    from runner import errors

    kind = getattr(errors, document.get("kind", ""), TargetError)
    if not (isinstance(kind, type) and issubclass(kind, SeatrialError)):
        kind = TargetError
    error: SeatrialError = kind(
        document.get("message", "the sandbox failed"),
        accepted=document.get("accepted", ""),
        hint=document.get("hint", ""),
    )
    return error


def log_files(home: Path) -> Iterator[tuple[str, Path]]:
    """Each log of a sandbox: the part's name (``envoy``, ``pods/order-api-…``) and its file."""
    logs = home / "logs"
    for path in sorted(logs.rglob("*.log")):
        yield str(path.relative_to(logs).with_suffix("")), path


def start_mark(pid: int) -> str | None:
    """What tells a live process from a later one with the same id; None when it is gone.

    The mark is the kernel's start time of the process. A zombie counts as gone, unless some of
    its threads are still on their way out: until then they hold its ports.
    """
    try:
        # The name in parentheses may hold anything; the state is the first field after it.
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" and int(fields[17]) <= 1 else fields[19]


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


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _as_mapping(item: object) -> Mapping[str, Any]:
    return item if isinstance(item, dict) else {"message": str(item)}
