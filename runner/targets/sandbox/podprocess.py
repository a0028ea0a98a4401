"""One pod's operating-system process: started with nothing of ours, stopped as asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Final

import psutil

from runner.targets.sandbox.programs import Program

KILL_WAIT_S: Final = 5.0


class PodProcesses(dict[str, int]):
    """Pod uid → pid of the process that runs it now. The kubelet writes it, the exporter reads."""


class PodProcess:
    """A running process; make it with :meth:`start`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid
        self.oom_killed = False
        # asyncio's own terminate() and kill() may reap a process that has just ended, and its exit
        # code is lost. A pidfd reaps nothing and never means another process of the same pid.
        self._pidfd = -1
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):  # it has ended already
                self._pidfd = os.pidfd_open(process.pid)

    @classmethod
    async def start(cls, program: Program, log: Path) -> PodProcess:
        """Start the program with its output appended to ``log``.

        It gets the program's environment and no other, no file descriptor but the log, a session
        of its own (a Ctrl-C is not for it), and it ties its life to ours itself.

        Raises:
            OSError: The program could not be started.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *program.argv,
                env=dict(program.env),
                cwd="/",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(process)

    async def wait(self) -> int:
        """Wait for the end; returns the exit code, or minus the signal that ended it."""
        returncode = await self._process.wait()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        return returncode

    def terminate(self) -> None:
        """SIGTERM, if it still runs."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            else:
                os.kill(self.pid, number)

    async def stop(self, grace_s: float) -> int:
        """SIGTERM, then SIGKILL after ``grace_s`` seconds (at once for 0); the exit code."""
        if grace_s > 0.0:
            self.terminate()
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self.wait(), grace_s)
        self.kill()
        return await asyncio.wait_for(self.wait(), KILL_WAIT_S)

    def resident_bytes(self) -> int:
        """Resident memory in bytes; 0 when the process is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0
