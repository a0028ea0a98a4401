"""Starting and stopping the sandbox's child processes so that none outlives the supervisor.

Every child asks the kernel to be killed when its parent dies (``PR_SET_PDEATHSIG``), so that even
a supervisor that is killed with SIGKILL leaves no orphan. Linux only; elsewhere a child starts
without that guarantee.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.process import die_with_parent


async def start_child(
    argv: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start ``argv`` with its output appended to ``log``, in a session of its own.

    Its own session keeps a Ctrl-C at the terminal from reaching it before its supervisor decides.

    Args:
        argv: Program and arguments.
        log: File that both output streams go to; its folder is made.
        env: The whole environment of the child; None for a copy of ours.

    Raises:
        OSError: When the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *(str(word) for word in argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=None if env is None else dict(env),
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )


async def stop_child(process: asyncio.subprocess.Process, *, grace_s: float) -> int:
    """Ask ``process`` to end, kill it after ``grace_s`` seconds, and return its exit code."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return await process.wait()
