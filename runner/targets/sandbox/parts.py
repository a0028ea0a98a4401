"""The long-running parts inside the supervisor: started by name, watched, stopped in order.

A part is a coroutine that is not supposed to end. One that returns or raises has failed, and the
first such failure is remembered in words: the sandbox can no longer be trusted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from runner.errors import SeatrialError

log = logging.getLogger(__name__)


class Parts:
    """The running parts by name.

    Attributes:
        failure: What happened to the first part that ended by itself; empty while all run.
        failed: Set together with ``failure``.
    """

    def __init__(self) -> None:
        self.failure = ""
        self.failed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._stopping: set[str] = set()

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Run ``work`` as the part ``name`` until :meth:`stop`."""
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda ended: self._has_ended(name, ended))

    async def stop(self, name: str, *, limit_s: float = 5.0) -> None:
        """Cancel the part and wait until it has cleaned up, at most ``limit_s`` seconds."""
        self._stopping.add(name)
        task = self._tasks.get(name)
        if task is None or task.done():
            return
        task.cancel()
        _, pending = await asyncio.wait({task}, timeout=limit_s)
        if pending:
            log.warning("%s did not stop within %g s", name, limit_s)

    def _has_ended(self, name: str, task: asyncio.Task[Any]) -> None:
        if name in self._stopping or task.cancelled():
            if not task.cancelled() and task.exception() is not None:
                log.warning("%s failed while it stopped: %r", name, task.exception())
            return
        error = task.exception()
        if error is None:
            what = f"{name} ended by itself" + _result(task.result())
            log.error("%s", what)
        else:
            words = error.message if isinstance(error, SeatrialError) else repr(error)
            what = f"{name} failed: {words}"
            log.error("%s", what, exc_info=error)
        if not self.failure:
            self.failure = what
        self.failed.set()


def _result(result: object) -> str:
    """The words for what an ended part returned; a child's part returns its exit code."""
    if not isinstance(result, int):
        return ""
    return f" (killed by signal {-result})" if result < 0 else f" (exit code {result})"
