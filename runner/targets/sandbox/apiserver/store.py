"""All objects in memory, with one counter of versions and a bounded history of changes.

Objects in the store are never changed in place: whoever wants another state puts a new object. So
a reader may keep what it was given, but must copy before it edits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import expired
from runner.targets.sandbox.apiserver.kinds import EVENTS, Kind

HISTORY = 2048
EVENTS_KEPT = 1000

Key = tuple[str, str]


class Change(NamedTuple):
    """One write: the object after it, and the one before it (``None`` at creation)."""

    version: int
    type: str
    kind: Kind
    obj: Obj
    previous: Obj | None


class Store:
    """Objects by kind, namespace and name.

    Args:
        start: First version number. A server that starts anew must begin above all versions that
            an earlier life gave out, so that its clients are told to list again.
        history: How many changes are remembered for watches that resume.
    """

    def __init__(self, start: int = 0, history: int = HISTORY) -> None:
        self.version = start
        self._first = start + 1
        self._ring: list[Change | None] = [None] * history
        self._objects: dict[Kind, dict[Key, Obj]] = {}
        self._uids: dict[str, tuple[Kind, Key]] = {}
        self._by_owner: dict[str, set[str]] = {}
        self._wakers: set[asyncio.Event] = set()
        self.closed = False

    def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """The object of that name, or ``None``."""
        return self._objects.get(kind, {}).get((namespace, name))

    def select(self, kind: Kind, namespace: str = "") -> list[Obj]:
        """All objects of a kind, of one namespace or (empty) of all, in order of their names."""
        found = self._objects.get(kind, {})
        return [found[key] for key in sorted(found) if not namespace or key[0] == namespace]

    def everything(self) -> Iterator[tuple[Kind, Obj]]:
        """Every object there is; the store may be changed while one walks over it."""
        for kind, found in list(self._objects.items()):
            for obj in list(found.values()):
                yield kind, obj

    def by_uid(self, uid: str) -> tuple[Kind, Obj] | None:
        """The object that has an identity, or ``None``."""
        place = self._uids.get(uid)
        return None if place is None else (place[0], self._objects[place[0]][place[1]])

    def owned_by(self, uid: str) -> list[tuple[Kind, Obj]]:
        """The objects that name an owner."""
        found = [self.by_uid(one) for one in sorted(self._by_owner.get(uid, ()))]
        return [one for one in found if one is not None]

    def put(self, kind: Kind, obj: Obj) -> Obj:
        """Store an object under its names with the next version, which is set in what is returned.

        The caller gives the object away: it must not change it afterwards.
        """
        found = self._objects.setdefault(kind, {})
        key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        previous = found.get(key)
        stamped = self._stamp(obj)
        found[key] = stamped
        if previous is not None:
            self._unlink(previous)
        self._link(kind, key, stamped)
        self._record("MODIFIED" if previous else "ADDED", kind, stamped, previous)
        if kind is EVENTS and previous is None and len(found) > EVENTS_KEPT:
            oldest = next(iter(found.values()))
            self.remove(kind, oldest)
        return stamped

    def remove(self, kind: Kind, obj: Obj) -> Obj:
        """Remove an object; its last state, with the version of its removal."""
        key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        self._unlink(self._objects[kind].pop(key))
        stamped = self._stamp(obj)
        self._record("DELETED", kind, stamped, obj)
        return stamped

    def changes_after(self, version: int, kind: Kind) -> Iterator[Change]:
        """The remembered changes of a kind after a version, oldest first.

        Raises:
            StatusError: 410 when changes after that version have been forgotten, or when the
                version is one that this server has not given out.
        """
        oldest = max(self._first, self.version - len(self._ring) + 1)
        if version + 1 < oldest or version > self.version:
            raise expired()
        for number in range(version + 1, self.version + 1):
            change = self._ring[number % len(self._ring)]
            if change is not None and change.kind is kind:
                yield change

    def subscribe(self) -> asyncio.Event:
        """An event that is set at every write, until ``unsubscribe``."""
        waker = asyncio.Event()
        self._wakers.add(waker)
        return waker

    def unsubscribe(self, waker: asyncio.Event) -> None:
        """Forget an event of ``subscribe``."""
        self._wakers.discard(waker)

    def close(self) -> None:
        """Wake all watches so that they end."""
        self.closed = True
        self._wake()

    def _link(self, kind: Kind, key: Key, obj: Obj) -> None:
        uid = obj["metadata"]["uid"]
        self._uids[uid] = (kind, key)
        for owner in obj["metadata"].get("ownerReferences") or []:
            self._by_owner.setdefault(owner.get("uid", ""), set()).add(uid)

    def _unlink(self, obj: Obj) -> None:
        uid = obj["metadata"]["uid"]
        self._uids.pop(uid, None)
        for owner in obj["metadata"].get("ownerReferences") or []:
            owned = self._by_owner.get(owner.get("uid", ""), set())
            owned.discard(uid)
            if not owned:
                self._by_owner.pop(owner.get("uid", ""), None)

    def _stamp(self, obj: Obj) -> Obj:
        self.version += 1
        metadata = obj["metadata"] | {"resourceVersion": str(self.version)}
        return obj | {"metadata": metadata}

    def _record(self, kind_of_change: str, kind: Kind, obj: Obj, previous: Obj | None) -> None:
        change = Change(self.version, kind_of_change, kind, obj, previous)
        self._ring[self.version % len(self._ring)] = change
        self._wake()

    def _wake(self) -> None:
        for waker in self._wakers:
            waker.set()
