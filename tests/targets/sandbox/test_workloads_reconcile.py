"""The controllers' loop, and the view that knows its own writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runner.errors import TargetError
from runner.targets.sandbox.apiclient import PODS, ApiClient, ApiError, Informer
from runner.targets.sandbox.kubeconfig import Endpoint
from runner.targets.sandbox.reconcile import FreshView, reconcile


def pod(name: str, version: int, **metadata: Any) -> dict[str, Any]:
    own = {"namespace": "shop", "name": name, "uid": f"u-{name}", "resourceVersion": str(version)}
    return {"metadata": own | metadata}


def view(*seen: dict[str, Any]) -> tuple[FreshView, Informer]:
    client = ApiClient(Endpoint(server="https://127.0.0.1:1", token="", ssl=None, namespace="shop"))
    informer = Informer(client, PODS)
    for obj in seen:
        informer.objects["shop", obj["metadata"]["name"]] = obj
    return FreshView(informer), informer


def in_loop(scene: Callable[[], None]) -> None:
    async def run() -> None:
        scene()

    asyncio.run(run())


def test_a_write_is_seen_before_the_watch_shows_it() -> None:
    """Created: there at once. Shown by the watch: once, and from then on the watch's version."""

    def scene() -> None:
        fresh, informer = view(pod("a", 1))
        fresh.wrote(pod("b", 5))
        assert [each["metadata"]["name"] for each in fresh.objects()] == ["a", "b"]
        informer.objects["shop", "b"] = pod("b", 7, labels={"new": "yes"})
        assert [each["metadata"].get("labels") for each in fresh.objects()] == [
            None,
            {"new": "yes"},
        ]

    in_loop(scene)


def test_an_older_notice_does_not_undo_a_write() -> None:
    """The watch still shows version 4 after version 5 was written: 5 counts until 5 is shown."""

    def scene() -> None:
        fresh, informer = view(pod("a", 4))
        fresh.wrote(pod("a", 5, labels={"mine": "yes"}))
        (now,) = fresh.objects()
        assert now["metadata"]["labels"] == {"mine": "yes"}
        informer.objects["shop", "a"] = pod("a", 6)
        assert "labels" not in fresh.objects()[0]["metadata"]

    in_loop(scene)


def test_what_we_deleted_is_gone_until_the_watch_says_how() -> None:
    """A deleted pod is left out; marked as terminating it is shown again; others stay."""

    def scene() -> None:
        fresh, informer = view(pod("a", 1), pod("b", 2))
        fresh.deleted(pod("a", 1))
        assert [each["metadata"]["name"] for each in fresh.objects()] == ["b"]
        marked = pod("a", 3, deletionTimestamp="2026-01-01T00:00:00Z")
        informer.objects["shop", "a"] = marked
        assert fresh.objects()[0] is marked
        # The same name with another uid is another pod.
        informer.objects["shop", "a"] = pod("a", 4, uid="other")
        assert [each["metadata"]["uid"] for each in fresh.objects()] == ["other", "u-b"]

    in_loop(scene)


async def run_loop(
    step: Callable[[], Awaitable[float | None]], wake: asyncio.Event, ended: asyncio.Event
) -> None:
    task = asyncio.create_task(reconcile("test", wake, step))
    async with asyncio.timeout(5):
        await ended.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    "error", [ApiError(409, "Conflict", "old"), ApiError(500, "", "broken"), TargetError("away")]
)
def test_a_refused_step_is_tried_again(error: TargetError) -> None:
    """A conflict, a broken answer or an absent server does not end the controller."""

    async def scene() -> int:
        wake, ended, calls = asyncio.Event(), asyncio.Event(), []

        async def step() -> float | None:
            calls.append(1)
            if len(calls) == 1:
                raise error
            ended.set()
            return None

        await run_loop(step, wake, ended)
        return len(calls)

    assert asyncio.run(scene()) == 2


def test_changes_and_wishes_wake_the_loop() -> None:
    """The first step asks to be called soon, the second is woken by a change."""

    async def scene() -> int:
        wake, ended, calls = asyncio.Event(), asyncio.Event(), []

        async def step() -> float | None:
            calls.append(1)
            if len(calls) == 1:
                return 0.001
            if len(calls) == 2:
                asyncio.get_running_loop().call_soon(wake.set)
                return None
            ended.set()
            return None

        await run_loop(step, wake, ended)
        return len(calls)

    assert asyncio.run(scene()) == 3


def test_a_bug_in_a_step_is_not_hidden() -> None:
    """What is no refusal of the server ends the controller, so that the supervisor sees it."""

    async def step() -> float | None:
        raise KeyError("spec")

    with pytest.raises(KeyError):
        asyncio.run(reconcile("test", asyncio.Event(), step))
