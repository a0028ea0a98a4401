"""Bringing sandboxes up and down, and asking about them: what the command line and a run call.

Synchronous, and light: the supervisor is another process, and everything that is known about it
stands in its folder (see ``state``). Nothing here talks to the sandbox's parts.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from runner.errors import MissingPartError, TargetBusyError, TargetError, UsageError
from runner.targets.sandbox.allocation import check_ports
from runner.targets.sandbox.options import Request, check_options
from runner.targets.sandbox.state import (
    Lock,
    SandboxInfo,
    create_home,
    error_from_json,
    home_of,
    homes,
    is_held,
    log_files,
    name_of,
    read_status,
    remove_leftovers,
    start_mark,
    try_lock,
)

__all__ = ["SandboxInfo", "all_sandboxes", "down", "logs", "status", "up"]

_POLL_S: Final = 0.05
_STOP_LIMIT_S: Final = 20.0
_LAST_LINES: Final = 3

# The supervisors that this process has started, so that it can reap them when they end.
_started: list[subprocess.Popen[bytes]] = []


def up(
    name: str = "default",
    *,
    api_server: Path | None = None,
    ports: Mapping[str, int] | None = None,
    options: Mapping[str, float] | None = None,
    owner_pid: int | None = None,
    timeout_s: float = 60.0,
    progress: Callable[[str], None] | None = None,
    root: Path | None = None,
) -> SandboxInfo:
    """Start a sandbox and return when it is ready; one that is already up is returned as it is.

    Args:
        name: Its name.
        api_server: The kubeconfig of an API server to attach to, instead of an own one.
        ports: Ports that it must have, by name (``ingress``, ``api``, ``prometheus``, …).
        options: Settings other than the defaults (``seed``, ``replicas``, ``…_delay_s``, …).
        owner_pid: A process whose end ends the sandbox; None: it stays up until :func:`down`.
        timeout_s: Seconds that it may take to be ready.
        progress: Called with what it is waiting for, whenever that changes.
        root: Where the sandboxes' folders are; None for the user's usual place.

    Raises:
        MissingPartError: When Envoy or Prometheus is not on this machine, or it is not Linux.
        TargetBusyError: When it is up already with other ports than those asked for.
        TargetError: When a port is taken, a part fails, or time runs out; nothing is left then.
        UsageError: For a name, port or option that cannot be meant.
    """
    home = home_of(name, root)
    ports, options = dict(ports or {}), check_options(options or {})
    check_ports(ports)
    if api_server is not None and not api_server.is_file():
        raise UsageError(f"there is no kubeconfig {api_server}")
    if platform.system() != "Linux":
        raise MissingPartError(
            "the sandbox runs on Linux only: there is no Envoy for this platform",
            hint="run it in a Linux container or virtual machine, or test a cluster",
        )
    remove_leftovers(home.parent)
    present = status(name, root=root)
    if present is not None:
        return _join(present, ports, timeout_s, progress)
    request = Request(name, home, ports, options, api_server, owner_pid, timeout_s)
    try:
        lock = create_home(home)
    except TargetBusyError:
        # Somebody else has begun to start the same one a moment before us.
        present = status(name, root=root)
        if present is None:
            raise
        return _join(present, ports, timeout_s, progress)
    try:
        process = _spawn(_command(request, lock), home, lock)
    except BaseException:
        lock.remove_home()
        raise
    lock.release()  # the supervisor holds it now
    try:
        return _wait_ready(home, process, timeout_s, progress)
    except BaseException:
        _stop_process(process, _STOP_LIMIT_S)
        _remove(home)
        raise


def status(name: str = "default", *, root: Path | None = None) -> SandboxInfo | None:
    """What the sandbox says about itself; None when there is none (a leftover is removed).

    Raises:
        UsageError: When ``name`` cannot name a sandbox.
    """
    home = home_of(name, root)
    if not home.is_dir():
        return None
    leftover = try_lock(home)
    if leftover is not None:
        leftover.remove_home()
        return None
    info = read_status(home)
    if info is None and home.is_dir():
        return SandboxInfo(name=name, state="starting", home=home, message="starting")
    return info


def all_sandboxes(*, root: Path | None = None) -> list[SandboxInfo]:
    """All of this user's sandboxes, by name; leftovers are removed."""
    remove_leftovers(root)
    found = (status(name_of(home), root=root) for home in homes(root))
    return [info for info in found if info is not None]


def down(name: str = "default", timeout_s: float = 30.0, *, root: Path | None = None) -> bool:
    """End a sandbox and wait until nothing of it is left. False when there was none.

    A supervisor that does not end within ``timeout_s`` seconds is killed; its children die with it.

    Raises:
        TargetError: When something of it is still there after that.
    """
    home = home_of(name, root)
    info = status(name, root=root)
    if info is None:
        return False
    deadline = time.monotonic() + timeout_s
    pid = _supervisor_pid(home, deadline)
    marks = {pid: start_mark(pid)} if pid else {}
    marks.update({child: start_mark(child) for child in info.pids.values()})
    if pid is not None:
        _signal(pid, signal.SIGTERM)
        if not _wait_unlocked(home, deadline):
            _signal(pid, signal.SIGKILL)
            _wait_unlocked(home, time.monotonic() + 5.0)
    _remove(home)
    _wait_gone({child: mark for child, mark in marks.items() if mark}, name)
    _reap()
    if is_held(home):
        raise TargetError(
            f"the sandbox {name!r} could not be taken down",
            hint=f"its folder is {home}; its supervisor is process {pid}",
        )
    return True


def logs(
    name: str = "default",
    part: str | None = None,
    tail: int = 200,
    *,
    root: Path | None = None,
) -> Iterator[str]:
    """The last ``tail`` lines of each log, or of one part's; lines of several begin with the part.

    Parts are ``supervisor``, ``envoy``, ``prometheus`` and ``pods/<pod>``; a pod's name alone, or
    the beginning of one (``pods/order-api``), is understood.

    Raises:
        TargetError: When there is no such sandbox.
        UsageError: When it has no such part.
    """
    home = home_of(name, root)
    if status(name, root=root) is None:
        raise TargetError(f"there is no sandbox {name!r}", hint="`seatrial sandbox up` starts one")
    present = dict(log_files(home))
    chosen = {
        key: path
        for key, path in present.items()
        if part is None or key == part or key.removeprefix("pods/").startswith(_pod(part))
    }
    if not chosen:
        raise UsageError(f"the sandbox has no log of {part!r}", accepted=", ".join(present))
    return _lines(chosen, tail)


def _pod(part: str) -> str:
    return part.removeprefix("pods/")


def _lines(files: Mapping[str, Path], tail: int) -> Iterator[str]:
    for part, path in files.items():
        with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as stream:
            prefix = f"{part}: " if len(files) > 1 else ""
            for line in deque(stream, maxlen=max(tail, 0)):
                yield prefix + line.rstrip("\n")


def _command(request: Request, lock: Lock) -> list[str]:
    # -P: the caller's working folder must not shadow our package.
    command = [sys.executable, "-P", "-m", "runner.targets.sandbox", "--name", request.name]
    command += ["--home", str(request.home), "--lock-fd", str(lock.descriptor)]
    command += ["--start-limit", f"{request.start_limit_s:g}"]
    for port, number in request.ports.items():
        command += ["--port", f"{port}={number}"]
    for option, value in request.options.items():
        command += ["--set", f"{option}={value!r}"]
    if request.api_server is not None:
        command += ["--api-server", str(request.api_server.absolute())]
    if request.owner_pid is not None:
        command += ["--owner-pid", str(request.owner_pid)]
    return command


def _spawn(command: list[str], home: Path, lock: Lock) -> subprocess.Popen[bytes]:
    (home / "logs").mkdir(mode=0o700)
    with (home / "logs" / "supervisor.log").open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd="/",  # it must not keep the caller's folder (or a mount) busy
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(lock.descriptor,),
        )
    _reap()
    _started.append(process)
    return process


def _reap() -> None:
    """Forget the supervisors of ours that have ended, so that none stays a zombie."""
    _started[:] = [process for process in _started if process.poll() is None]


def _join(
    info: SandboxInfo,
    ports: Mapping[str, int],
    timeout_s: float,
    progress: Callable[[str], None] | None,
) -> SandboxInfo:
    """The sandbox that is up already, when it is what was asked for."""
    if info.state == "failed":
        raise TargetError(
            f"the sandbox {info.name!r} is up, but has failed: {info.message}",
            hint=f"`seatrial sandbox logs {info.name}` says more; then take it down",
        )
    ready = _wait_ready(info.home, None, timeout_s, progress)
    for port, number in ports.items():
        if ready.ports.get(port) != number:
            raise TargetBusyError(
                f"the sandbox {info.name!r} is up already, with the {port} port "
                f"{ready.ports.get(port)} instead of {number}",
                hint=f"`seatrial sandbox down {info.name}` first, or use another name",
            )
    return ready


def _wait_ready(
    home: Path,
    process: subprocess.Popen[bytes] | None,
    timeout_s: float,
    progress: Callable[[str], None] | None,
) -> SandboxInfo:
    # The supervisor's own limit comes first and says what was missing.
    deadline, said = time.monotonic() + timeout_s + 5.0, ""
    while True:
        ended = process is not None and process.poll() is not None
        info = read_status(home)
        if info is not None and info.state == "ready" and not ended:
            return info
        if info is not None and info.state == "failed":
            raise error_from_json(info.error)
        if ended or (process is None and not is_held(home)):
            raise TargetError("the sandbox's supervisor ended while it started" + _last_words(home))
        if time.monotonic() > deadline:
            raise TargetError(
                f"the sandbox was not ready within {timeout_s:g} s"
                + (f": {info.message}" if info and info.message else "")
            )
        if progress is not None and info is not None and info.message != said:
            said = info.message
            progress(said)
        time.sleep(_POLL_S)


def _last_words(home: Path) -> str:
    try:
        text = (home / "logs" / "supervisor.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.strip()][-_LAST_LINES:]
    return ": " + " | ".join(lines) if lines else ""


def _supervisor_pid(home: Path, deadline: float) -> int | None:
    """The supervisor's pid once it has told it; None when it ended meanwhile."""
    while time.monotonic() < deadline:
        info = read_status(home)
        if info is not None and "supervisor" in info.pids:
            return info.pids["supervisor"]
        if _wait_unlocked(home, 0.0):
            return None
        time.sleep(_POLL_S)
    return None


def _wait_unlocked(home: Path, deadline: float) -> bool:
    """True when the folder is gone or its lock is free, by ``deadline``."""
    while is_held(home):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _wait_gone(marks: Mapping[int, str], name: str) -> None:
    """Wait for the kernel to have ended every process of the sandbox; kill what resists."""
    deadline, left = time.monotonic() + 5.0, dict(marks)
    while left:
        left = {pid: mark for pid, mark in left.items() if start_mark(pid) == mark}
        if not left:
            return
        if time.monotonic() > deadline:
            raise TargetError(f"processes of the sandbox {name!r} are still there: {sorted(left)}")
        time.sleep(_POLL_S)


def _stop_process(process: subprocess.Popen[bytes], limit_s: float) -> None:
    process.terminate()
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _remove(home: Path) -> None:
    lock = try_lock(home) if home.is_dir() else None
    if lock is not None:
        lock.remove_home()


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
