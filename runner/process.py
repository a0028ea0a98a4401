"""A child process as a :class:`runner.ports.Job`, and the real clock.

Children get their own process group, so that all of a child's children end with it; a kernel-side
death signal, so that none outlives a supervisor that was killed; and a log file for what they
print.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.02
_KILL_WAIT_S = 5.0


class SystemClock:
    """The clock of this machine."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


def die_with_parent(signal_number: int = signal.SIGKILL) -> Callable[[], None] | None:
    """A ``preexec_fn`` that ties a child's life to its parent's, where the kernel can do that.

    Linux only (``prctl(2)``, PR_SET_PDEATHSIG); None elsewhere. The library is loaded here, in the
    parent: between fork and exec, only the call itself is made.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if os.getppid() != parent:  # It died before the kernel knew.
            os._exit(1)

    return set_death_signal


class ChildProcess:
    """A started child: polled, stopped with grace, then by force.

    Args:
        argv: Program and arguments; never passed through a shell.
        log: File that takes its standard output and error (appended).
        env: The child's whole environment.
        cwd: Its working folder.
        stop_signal: What :meth:`stop` sends first.
        survives_parent: Whether it outlives a parent that was killed, for children that must
            finish by themselves (an undo).
        death_signal: What the kernel sends it when the parent is gone; a signal that it handles
            lets it undo what it did.
        pass_fds: Descriptors that it inherits.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        survives_parent: bool = False,
        death_signal: signal.Signals = signal.SIGKILL,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._log = log
        self._stop_signal = stop_signal
        preexec = None if survives_parent else die_with_parent(death_signal)
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
                pass_fds=pass_fds,
                preexec_fn=preexec,  # noqa: PLW1509
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Send the first signal of :meth:`stop`, and wait for nothing."""
        if self._process.poll() is None:
            self._signal_group(self._stop_signal)

    def stop(self, grace_s: float) -> None:
        if self._process.poll() is None:
            self._signal_group(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=max(grace_s, _POLL_S))
        # Also after an orderly end: a grandchild must not stay behind.
        self._signal_group(signal.SIGKILL)
        self._process.wait(timeout=_KILL_WAIT_S)

    def tail(self, lines: int) -> str:
        with contextlib.suppress(OSError):
            text = self._log.read_bytes()[-64_000:].decode("utf-8", "replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
