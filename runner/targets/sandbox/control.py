"""Bringing sandboxes up and down, and asking about them: what the command line and a run call.

Synchronous, and light: the supervisor is another process, and everything that is known about it
stands in its folder (see ``homes`` and ``state``). Nothing here talks to the sandbox's parts.
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
from runner.targets.sandbox.homes import (
    Lock,
    create_home,
    holder_of,
    home_of,
    homes,
    is_held,
    name_of,
    remove_leftovers,
    try_lock,
)
from runner.targets.sandbox.options import Request, check_options
from runner.targets.sandbox.state import (
    SandboxInfo,
    error_from_json,
    log_files,
    read_status,
    start_mark,
)

__all__ = ["SandboxInfo", "all_sandboxes", "down", "logs", "status", "up"]

_POLL_S: Final = 0.05
_SPAWN_LIMIT_S: Final = 20.0
_STOP_LIMIT_S: Final = 20.0
_KILL_LIMIT_S: Final = 5.0
_LAST_LINES: Final = 3


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
        TargetError: When a port is taken, a part fails, or time runs out; nothing is left then.
        UsageError: For a name, port or option that cannot be meant, and when it is up already with
            others than those asked for.
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
    asked = Request(name, home, ports, options, api_server, owner_pid, timeout_s)
    remove_leftovers(home.parent)
    present = status(name, root=root)
    if present is not None and present.state == "stopping":
        _wait_unlocked(home, time.monotonic() + _STOP_LIMIT_S)
        present = status(name, root=root)
    if present is not None:
        return _join(present, asked, timeout_s, progress)
    try:
        lock = create_home(home)
    except TargetBusyError:
        # Somebody else has begun to start the same one a moment before us.
        present = status(name, root=root)
        if present is None:
            raise
        return _join(present, asked, timeout_s, progress)
    try:
        _spawn(_command(asked, lock), home, lock)
    except BaseException:
        lock.remove_home()
        raise
    lock.release()  # the supervisor holds it now
    try:
        return _wait_ready(home, timeout_s, progress)
    except BaseException:
        _end(home, _STOP_LIMIT_S)
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
    if status(name, root=root) is None:
        return False
    _end(home_of(name, root), timeout_s)
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
    pods = "pods/" + (part or "").removeprefix("pods/")
    chosen = {
        key: path
        for key, path in present.items()
        if part is None or key == part or key.startswith(pods)
    }
    if not chosen or part == "":
        raise UsageError(f"the sandbox has no log of {part!r}", accepted=", ".join(present))
    return _lines(chosen, tail)


def _lines(files: Mapping[str, Path], tail: int) -> Iterator[str]:
    for part, path in files.items():
        with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as stream:
            prefix = f"{part}: " if len(files) > 1 else ""
            for line in deque(stream, maxlen=max(tail, 0)):
                yield prefix + line.rstrip("\n")


def _command(request: Request, lock: Lock) -> list[str]:
    # -P: the caller's working folder must not shadow our package.
    command = [sys.executable, "-P", "-m", "runner.targets.sandbox", "--detach"]
    command += ["--name", request.name]
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


def _spawn(command: list[str], home: Path, lock: Lock) -> None:
    (home / "logs").mkdir(mode=0o700)
    with (home / "logs" / "supervisor.log").open("ab") as output:
        subprocess.run(
            command,
            cwd="/",  # it must not keep the caller's folder (or a mount) busy
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(lock.descriptor,),
            timeout=_SPAWN_LIMIT_S,
            check=False,  # what it has to say stands in its log and its status
        )


def _join(
    info: SandboxInfo,
    asked: Request,
    timeout_s: float,
    progress: Callable[[str], None] | None,
) -> SandboxInfo:
    """The sandbox that is up already, when it is what was asked for."""
    if info.state == "failed":
        raise TargetError(
            f"the sandbox {info.name!r} is up, but has failed: {info.message}",
            hint=f"`seatrial sandbox logs --name {info.name}` says more; then take it down",
        )
    if progress is not None:
        state = f"up since {info.since}" if info.state == "ready" else info.state
        progress(f"the sandbox {info.name!r} is already {state}")
    ready = _wait_ready(info.home, timeout_s, progress)
    if others := _differences(ready, asked):
        raise UsageError(
            f"the sandbox {info.name!r} is already up, with {', '.join(others)}",
            hint=f"`seatrial sandbox down --name {info.name}` first, or use another name",
        )
    return ready


def _differences(running: SandboxInfo, asked: Request) -> list[str]:
    """What of the sandbox that is up is not what was asked for."""
    pairs: list[tuple[str, object, object]] = [
        (f"{port} port", running.ports.get(port), n) for port, n in asked.ports.items()
    ]
    pairs += [(name, running.options.get(name), value) for name, value in asked.options.items()]
    if asked.api_server is not None and not running.attached:
        pairs.append(("API server", "its own", asked.api_server))
    return [
        f"{name} {_plain(has)} instead of {_plain(wanted)}"
        for name, has, wanted in pairs
        if has != wanted
    ]


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _wait_ready(
    home: Path, timeout_s: float, progress: Callable[[str], None] | None
) -> SandboxInfo:
    # The supervisor's own limit comes first and says what was missing.
    deadline, said = time.monotonic() + timeout_s + 5.0, ""
    while True:
        is_alive = is_held(home)  # asked before the status is read: the last word counts
        info = read_status(home)
        if info is not None and info.state == "failed":
            raise error_from_json(info.error)
        if info is not None and info.state == "ready" and is_alive:
            return info
        if not is_alive:
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


def _end(home: Path, timeout_s: float) -> None:
    """Ask the supervisor to end, kill it if it does not, and see that nothing is left."""
    pid = _supervisor_of(home, time.monotonic() + _KILL_LIMIT_S)
    info = read_status(home)
    pids = {*(info.pids.values() if info else ()), *((pid,) if pid else ())}
    marks = {number: mark for number in pids if (mark := start_mark(number)) is not None}
    if pid is None and is_held(home):
        raise TargetError(
            f"the sandbox {name_of(home)!r} could not be taken down: nobody says who runs it",
            hint=f"its folder is {home}",
        )
    if pid is not None and pid in marks:
        _signal(pid, signal.SIGTERM)
        if _wait_gone({pid: marks[pid]}, timeout_s):
            _signal(pid, signal.SIGKILL)  # its children go with it
    if left := _wait_gone(marks, _KILL_LIMIT_S):
        raise TargetError(f"processes of the sandbox {name_of(home)!r} are still there: {left}")
    lock = try_lock(home) if home.is_dir() else None
    if lock is not None:
        lock.remove_home()


def _supervisor_of(home: Path, deadline: float) -> int | None:
    """The supervisor; one that was started a moment ago has yet to say that it is."""
    while is_held(home):
        info = read_status(home)
        pid = holder_of(home) or (info.pids.get("supervisor") if info else None)
        if pid is not None or time.monotonic() >= deadline:
            return pid
        time.sleep(_POLL_S)
    return None


def _wait_unlocked(home: Path, deadline: float) -> bool:
    """True when the folder is gone or its lock is free, by ``deadline``."""
    while is_held(home):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _wait_gone(marks: Mapping[int, str], limit_s: float) -> list[int]:
    """Wait for the end of processes; those that are still there after ``limit_s`` seconds."""
    deadline = time.monotonic() + limit_s
    while left := [pid for pid, mark in marks.items() if start_mark(pid) == mark]:
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_S)
    return sorted(left)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
