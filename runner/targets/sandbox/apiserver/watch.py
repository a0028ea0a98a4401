"""Watches: the changes of a kind that a selector lets through, from a version on.

A watcher keeps no queue: it reads the store's history from where it stands, so a slow one costs
nothing and is told to list again (410) when the history has moved past it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import StatusError, bad_request
from runner.targets.sandbox.apiserver.kinds import Kind
from runner.targets.sandbox.apiserver.selectors import ObjectTest
from runner.targets.sandbox.apiserver.store import Change, Store

BOOKMARK_EVERY_S = 30.0
WATCH_MAX_S = 1800.0
INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """A watch as it was asked for.

    Attributes:
        kind: The kind that is watched.
        namespace: Only this namespace; empty for all.
        matches: Which objects are shown.
        version: Where to start; ``None``: begin with what exists now.
        timeout_s: When to end.
        bookmarks: Whether the watcher wants to be told of versions without a change.
        initial_end: Whether it wants a bookmark after the objects that exist now.
    """

    kind: Kind
    namespace: str
    matches: ObjectTest
    version: int | None
    timeout_s: float = WATCH_MAX_S
    bookmarks: bool = False
    initial_end: bool = False


def parse_version(text: str) -> int:
    """A resourceVersion as a number.

    Raises:
        StatusError: 400 for what is none.
    """
    if not (text.isascii() and text.isdigit()):
        raise bad_request(f'Invalid value: "{text}": invalid resourceVersion')
    return int(text)


async def follow(store: Store, options: WatchOptions) -> AsyncIterator[tuple[str, Obj]]:
    """The events of a watch as ``(type, object)``; ends at its timeout or with the server.

    An ``ERROR`` with a Status comes as the last event when the watcher fell too far behind.
    """
    position = store.version if options.version is None else options.version
    if options.version is None:
        for obj in store.select(options.kind, options.namespace):
            if options.matches(obj):
                yield "ADDED", obj
        if options.initial_end:
            yield "BOOKMARK", bookmark(position, INITIAL_END)
    deadline = asyncio.get_running_loop().time() + options.timeout_s
    async for reached, changes in _batches(store, options.kind, position, deadline):
        if isinstance(changes, StatusError):
            yield "ERROR", changes.body()
            return
        for change in changes:
            shown = _shown(change, options)
            if shown is not None:
                yield shown
        if options.bookmarks and not changes:
            yield "BOOKMARK", bookmark(reached)


async def _batches(
    store: Store, kind: Kind, position: int, deadline: float
) -> AsyncIterator[tuple[int, list[Change] | StatusError]]:
    """The changes as they come, with the version reached; none now and then, and at the end."""
    loop = asyncio.get_running_loop()
    waker = store.subscribe()
    quiet_until = loop.time() + BOOKMARK_EVERY_S
    try:
        while not store.closed:
            waker.clear()
            try:
                changes = list(store.changes_after(position, kind))
            except StatusError as error:
                yield position, error
                return
            position = store.version
            if changes:
                yield position, changes
            elif loop.time() >= min(quiet_until, deadline):
                quiet_until = loop.time() + BOOKMARK_EVERY_S
                yield position, []
            if loop.time() >= deadline:
                return
            await _woken(waker, min(deadline, quiet_until) - loop.time())
    finally:
        store.unsubscribe(waker)


async def _woken(waker: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, timeout_s)):
            await waker.wait()
    except TimeoutError:
        pass


def _shown(change: Change, options: WatchOptions) -> tuple[str, Obj] | None:
    """A change as this watcher sees it: an object may enter or leave its selection."""
    if options.namespace and change.obj["metadata"].get("namespace") != options.namespace:
        return None
    before = change.previous is not None and options.matches(change.previous)
    after = change.type != "DELETED" and options.matches(change.obj)
    if after:
        return ("MODIFIED" if before else "ADDED"), change.obj
    return ("DELETED", change.obj) if before else None


def bookmark(version: int, annotations: dict[str, str] | None = None) -> Obj:
    """An object that carries nothing but a version."""
    metadata: Obj = {"resourceVersion": str(version), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata}
