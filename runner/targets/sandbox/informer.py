"""A local copy of all objects of a kind, kept up to date by list and watch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import aiohttp

from runner.errors import TargetError
from runner.targets.sandbox.apiobjects import Obj, Resource, key_of
from runner.targets.sandbox.apirequests import ApiClient, ApiError

log = logging.getLogger(__name__)

BACKOFF_FIRST_S = 0.05
BACKOFF_LAST_S = 5.0


class Informer:
    """A local copy of all objects of a kind, kept up to date by list and watch.

    Args:
        client: The client to list and watch with.
        res: The kind.
        namespace: Only this namespace; ``None`` for all.
        on_change: Called in the event loop with ``ADDED``, ``MODIFIED`` or ``DELETED`` and the
            object. It must not block; what it raises is logged and does not stop the informer.

    Attributes:
        objects: ``(namespace, name)`` → object. Treat them as read-only.
        changed: Set at every change; its reader clears it.
    """

    def __init__(
        self,
        client: ApiClient,
        res: Resource,
        namespace: str | None = None,
        on_change: Callable[[str, Obj], None] | None = None,
    ) -> None:
        self.objects: dict[tuple[str, str], Obj] = {}
        self.changed = asyncio.Event()
        self._client, self._res, self._namespace = client, res, namespace
        self._on_change = on_change
        self._synced = asyncio.Event()
        self._version = ""

    async def run(self) -> None:
        """List and watch until cancelled; reconnects for ever, with back-off."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                if not self._version:
                    await self._relist()
                backoff_s = BACKOFF_FIRST_S
                await self._follow()
            except ApiError as error:
                log.info("watch of %s: %s", self._res.plural, error.message)
                self._version = ""
            except (aiohttp.ClientError, TargetError, TimeoutError, OSError, ValueError) as error:
                log.info("watch of %s broke: %r", self._res.plural, error)
            else:
                continue
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_LAST_S)

    async def synced(self, timeout_s: float) -> None:
        """Wait for the first complete list.

        Raises:
            TargetError: It did not come within ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._synced.wait()
        except TimeoutError as error:
            message = f"no list of {self._res.plural} from the API server within {timeout_s:g} s"
            raise TargetError(message) from error

    async def _relist(self) -> None:
        items, version = await self._client.list(self._res, self._namespace)
        fresh = {key_of(item): item for item in items}
        for key in [key for key in self.objects if key not in fresh]:
            self._take("DELETED", self.objects[key])
        for key, item in fresh.items():
            known = self.objects.get(key)
            if known is None:
                self._take("ADDED", item)
            elif known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._take("MODIFIED", item)
        self._version = version
        self._synced.set()
        self.changed.set()

    async def _follow(self) -> None:
        async for change, obj in self._client.watch(self._res, self._namespace, self._version):
            if change != "BOOKMARK":
                self._take(change, obj)
            self._version = obj["metadata"]["resourceVersion"]

    def _take(self, change: str, obj: Obj) -> None:
        if change == "DELETED":
            self.objects.pop(key_of(obj), None)
        else:
            self.objects[key_of(obj)] = obj
        self.changed.set()
        if self._on_change is not None:
            try:
                self._on_change(change, obj)
            except Exception:
                log.exception("the reader of %s failed", self._res.plural)
