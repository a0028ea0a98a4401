"""What all controllers share: a level-triggered loop, and a view that knows its own writes.

A controller looks at everything whenever something changed, and takes one step. It is therefore
indifferent to lost, repeated and merged notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from runner.errors import TargetError
from runner.targets.sandbox.apiclient import ApiError, Informer, Obj, key_of

log = logging.getLogger(__name__)

SYNC_TIMEOUT_S: Final = 30.0
RESYNC_S: Final = 10.0
RETRY_S: Final = 0.3
# Changes come in bursts; one step answers to all of a burst.
SETTLE_S: Final = 0.003
# A write that the watch has not shown by then was overtaken by another one.
FORGET_S: Final = 10.0

NOT_FOUND: Final = 404
CONFLICT: Final = 409


async def reconcile(
    name: str, wake: asyncio.Event, step: Callable[[], Awaitable[float | None]]
) -> None:
    """Call ``step`` now, after every change, and when it asked to be called; until cancelled.

    Args:
        name: For the log.
        wake: Set by whoever sees a change.
        step: One look at everything. Returns the seconds after which it wants to look again even
            if nothing changes, or None. A refusal of the API server is logged and tried again.
    """
    while True:
        wake.clear()
        try:
            again_s = await step()
        except ApiError as error:
            # Conflicts are the normal way to learn that the view was old.
            level = logging.DEBUG if error.status in (NOT_FOUND, CONFLICT) else logging.WARNING
            log.log(level, "%s: %s", name, error.message)
            again_s = RETRY_S
        except TargetError as error:
            log.warning("%s: %s", name, error.message)
            again_s = RETRY_S
        bound_s = RESYNC_S if again_s is None else max(min(again_s, RESYNC_S), SETTLE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(bound_s):
                await wake.wait()
        await asyncio.sleep(SETTLE_S)


@contextlib.asynccontextmanager
async def following(*informers: Informer) -> AsyncIterator[None]:
    """Run informers, wait until all have their first list, and stop them at the end.

    Raises:
        TargetError: The API server gave no list within 30 s.
    """
    tasks = [asyncio.create_task(informer.run()) for informer in informers]
    try:
        for informer in informers:
            await informer.synced(SYNC_TIMEOUT_S)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class FreshView:
    """An informer's objects, with our own writes that its watch has not shown yet.

    Without it a controller that looks twice in quick succession does everything twice.
    """

    def __init__(self, informer: Informer) -> None:
        self._informer = informer
        self._written: dict[tuple[str, str], tuple[Obj, float]] = {}
        self._doomed: dict[str, float] = {}

    def objects(self) -> list[Obj]:
        """All objects as far as anybody here knows; those that we deleted are left out."""
        now = asyncio.get_running_loop().time()
        seen = self._informer.objects
        self._doomed = {
            uid: until for uid, until in self._doomed.items() if now < until and self._is_in(uid)
        }
        for key, (obj, until) in list(self._written.items()):
            known = seen.get(key)
            if now > until or (known is not None and _version(known) >= _version(obj)):
                del self._written[key]
        merged = {**seen, **{key: obj for key, (obj, _) in self._written.items()}}
        return [each for each in merged.values() if each["metadata"]["uid"] not in self._doomed]

    def _is_in(self, uid: str) -> bool:
        return any(
            each["metadata"]["uid"] == uid and not each["metadata"].get("deletionTimestamp")
            for each in self._informer.objects.values()
        )

    def wrote(self, obj: Obj) -> None:
        """Remember what the API server answered to a create, replace or patch."""
        until = asyncio.get_running_loop().time() + FORGET_S
        self._written[key_of(obj)] = (obj, until)

    def deleted(self, obj: Obj) -> None:
        """Remember that the deletion of an object was asked for."""
        self._written.pop(key_of(obj), None)
        self._doomed[obj["metadata"]["uid"]] = asyncio.get_running_loop().time() + FORGET_S


def _version(obj: Obj) -> int:
    # Opaque in theory; a counter in every API server there is, and since 1.35 by promise.
    try:
        return int(obj["metadata"].get("resourceVersion", "0"))
    except ValueError:
        return 0
