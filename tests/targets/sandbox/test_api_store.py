"""The store's versions and history, and the watches that read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from runner.targets.sandbox.apiserver import watch
from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import EVENTS, NODES, PODS, Kind
from runner.targets.sandbox.apiserver.selectors import object_test
from runner.targets.sandbox.apiserver.store import EVENTS_KEPT, Store
from runner.targets.sandbox.apiserver.watch import WatchOptions, follow, parse_version


def item(name: str, namespace: str = "n", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "uid": name, "labels": labels}}


def test_every_write_takes_the_next_version_and_is_remembered() -> None:
    """Put, put again, remove: three versions, three changes, each with the state before it."""
    store = Store()
    first = store.put(PODS, item("a"))
    store.put(NODES, item("other", ""))
    second = store.put(PODS, item("a", x="1"))
    gone = store.remove(PODS, second)
    assert [one["metadata"]["resourceVersion"] for one in (first, second, gone)] == ["1", "3", "4"]
    changes = list(store.changes_after(0, PODS))
    assert [(change.version, change.type) for change in changes] == [
        (1, "ADDED"),
        (3, "MODIFIED"),
        (4, "DELETED"),
    ]
    assert changes[1].previous is first
    assert store.get(PODS, "n", "a") is None


@pytest.mark.parametrize(("version", "known"), [(5, False), (6, True), (9, True), (10, False)])
def test_history_is_bounded_at_both_ends(version: int, known: bool) -> None:
    """Nine writes into a history of three: 7, 8, 9 are remembered; 10 has not been given out."""
    store = Store(history=3)
    for number in range(9):
        store.put(PODS, item(f"p{number}"))
    if known:
        found = [change.version for change in store.changes_after(version, PODS)]
        assert found == list(range(version + 1, 10))
    else:
        with pytest.raises(StatusError) as refused:
            list(store.changes_after(version, PODS))
        assert (refused.value.code, refused.value.reason) == (410, "Expired")


def test_a_new_life_disowns_the_versions_of_the_old_one() -> None:
    """A version below the first one of this store is too old, even with nothing forgotten."""
    store = Store(start=1000)
    store.put(PODS, item("a"))
    with pytest.raises(StatusError):
        list(store.changes_after(999, PODS))
    assert [change.version for change in store.changes_after(1000, PODS)] == [1001]


def test_selection_is_sorted_and_by_namespace() -> None:
    """Objects come in order of namespace and name; a namespace narrows them."""
    store = Store()
    for name, namespace in (("b", "z"), ("a", "z"), ("c", "y")):
        store.put(PODS, item(name, namespace))
    assert [one["metadata"]["name"] for one in store.select(PODS)] == ["c", "a", "b"]
    assert [one["metadata"]["name"] for one in store.select(PODS, "z")] == ["a", "b"]


def test_owners_are_found_both_ways() -> None:
    """The index of owners follows a change of owner and a removal."""
    store = Store()
    owned = item("child")
    owned["metadata"]["ownerReferences"] = [{"uid": "one"}]
    store.put(PODS, owned)
    assert [obj["metadata"]["name"] for _, obj in store.owned_by("one")] == ["child"]
    moved = item("child")
    moved["metadata"]["ownerReferences"] = [{"uid": "two"}]
    stored = store.put(PODS, moved)
    assert store.owned_by("one") == []
    assert len(store.owned_by("two")) == 1
    store.remove(PODS, stored)
    assert store.owned_by("two") == []
    assert store.by_uid("child") is None


def test_old_events_make_room() -> None:
    """Events are bounded in number; the oldest go first."""
    store = Store()
    for number in range(EVENTS_KEPT + 2):
        store.put(EVENTS, item(f"e{number}"))
    kept = {one["metadata"]["name"] for one in store.select(EVENTS)}
    assert len(kept) == EVENTS_KEPT
    assert kept.isdisjoint({"e0", "e1"})


def options(
    version: int | None, labels: str = "", *, kind: Kind = PODS, timeout_s: float = 0.0, **more: Any
) -> WatchOptions:
    return WatchOptions(kind, "n", object_test(labels, ""), version, timeout_s, **more)


def events_of(store: Store, wanted: WatchOptions, *acts: Callable[[], Any]) -> list[Any]:
    """The events of a watch during which acts are done one by one."""

    async def scene() -> list[Any]:
        seen: list[Any] = []

        async def read() -> None:
            async for kind, obj in follow(store, wanted):
                seen.append((kind, obj["metadata"].get("name") if "metadata" in obj else obj))
                if kind == "ERROR":
                    seen[-1] = (kind, obj["code"])

        task = asyncio.create_task(read())
        for act in acts:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            act()
        await asyncio.wait_for(task, 5)
        return seen

    return asyncio.run(scene())


def test_watch_shows_entering_and_leaving_a_selection() -> None:
    """A label change adds to, modifies in, and deletes from what a selector shows."""
    store = Store()
    store.put(PODS, item("a", app="other"))
    for labels in ({"app": "web"}, {"app": "web", "x": "1"}, {"app": "other"}, {"app": "none"}):
        store.put(PODS, item("a", **labels))
    store.put(PODS, item("elsewhere", "other-namespace", app="web"))
    assert events_of(store, options(1, "app=web")) == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
    ]


def test_watch_without_a_version_begins_with_what_is_there() -> None:
    """The present objects, the mark of their end, then changes as they come, until the close."""
    store = Store()
    store.put(PODS, item("a"))
    wanted = options(None, timeout_s=30, initial_end=True)
    seen = events_of(store, wanted, lambda: store.put(PODS, item("b")), store.close)
    assert seen == [("ADDED", "a"), ("BOOKMARK", None), ("ADDED", "b")]


def test_watch_ends_with_a_bookmark_at_its_timeout() -> None:
    """Bookmarks come only to those who asked, with the version reached."""
    store = Store()
    store.put(NODES, item("x", ""))
    assert events_of(store, options(0)) == []
    assert events_of(store, options(0, bookmarks=True)) == [("BOOKMARK", None)]
    mark = watch.bookmark(7)
    assert mark["metadata"]["resourceVersion"] == "7"


def test_a_watcher_that_falls_behind_is_told_so() -> None:
    """More writes than the history holds, before the watcher reads again: one ERROR, 410."""
    store = Store(history=4)

    def burst() -> None:
        for number in range(9):
            store.put(PODS, item(f"p{number}"))

    assert events_of(store, options(0, timeout_s=30), burst) == [("ERROR", 410)]


def test_watchers_are_forgotten_when_they_end() -> None:
    """No waker stays behind: a server with many short watches does not grow."""
    store = Store()
    events_of(store, options(0))
    assert store._wakers == set()


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "²", ""])
def test_version_that_is_none(text: str) -> None:
    """Only ASCII digits are a version."""
    with pytest.raises(StatusError, match="invalid resourceVersion"):
        parse_version(text)
    assert parse_version("17") == 17
