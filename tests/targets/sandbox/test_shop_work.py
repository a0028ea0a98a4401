"""Worker slots, service times and leaks of a pod."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.targets.sandbox.shop.work import (
    MAX_LEAK_BYTES,
    Leak,
    OverloadedError,
    ServiceTime,
    Slots,
)


def test_service_times_have_the_stated_mean_and_spread() -> None:
    """20,000 draws: their mean is within 1 % and their variation within 5 % of the formula's."""
    times = ServiceTime(0.02, 0.35, "1/pod")
    drawn = [times.draw() for _ in range(20_000)]
    mean = sum(drawn) / len(drawn)
    deviation = math.sqrt(sum((each - mean) ** 2 for each in drawn) / len(drawn))
    assert mean == pytest.approx(0.02, rel=0.01)
    assert deviation / mean == pytest.approx(math.sqrt(math.exp(0.35**2) - 1), rel=0.05)


def test_service_times_are_reproducible_and_differ_by_pod() -> None:
    """The same seed gives the same stream; another pod has another."""
    streams = [ServiceTime(0.02, 0.35, seed) for seed in ("1/a", "1/a", "1/b")]
    first, again, other = ([stream.draw() for _ in range(3)] for stream in streams)
    assert first == again
    assert first != other


def test_degenerate_service_times() -> None:
    """A mean of 0 takes no time; a sigma of 0 always takes the mean."""
    assert ServiceTime(0.0, 0.35, "1").draw() == 0.0
    assert ServiceTime(0.02, 0.0, "1").draw() == pytest.approx(0.02)


@pytest.mark.parametrize(("mean_s", "sigma"), [(-1.0, 0.3), (0.1, 4.0), (math.nan, 0.3)])
def test_impossible_service_times_are_refused(mean_s: float, sigma: float) -> None:
    """A negative mean, a huge sigma and NaN are refused."""
    with pytest.raises(ValueError, match="outside of"):
        ServiceTime(mean_s, sigma, "1")


def test_slots_are_given_in_order_and_the_queue_is_bounded() -> None:
    """One slot, two may wait: the third waiter is refused, the others come in order."""

    async def scene() -> list[str]:
        slots, order = Slots(1, 2), []
        await slots.take()

        async def work(name: str) -> None:
            await slots.take()
            order.append(name)
            slots.give_back()

        waiting = [asyncio.create_task(work(name)) for name in ("first", "second")]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await slots.take()
        slots.give_back()
        await asyncio.gather(*waiting)
        assert slots.free == 1
        return order

    assert asyncio.run(scene()) == ["first", "second"]


def test_a_cancelled_waiter_loses_no_slot() -> None:
    """A waiter is cancelled before, and another in the same moment as, its turn comes."""

    async def scene() -> int:
        slots = Slots(1, 5)
        await slots.take()
        early, late = asyncio.create_task(slots.take()), asyncio.create_task(slots.take())
        await asyncio.sleep(0)
        early.cancel()
        slots.give_back()  # passes the cancelled one over and serves the other
        late.cancel()
        await asyncio.gather(early, late, return_exceptions=True)
        return slots.free

    assert asyncio.run(scene()) == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["take", "give", "cancel"]), max_size=40))
def test_slots_never_exceed_their_number(moves: list[str]) -> None:
    """Any order of taking, giving back and cancelling leaves free + held = 3."""

    async def scene() -> None:
        slots, tasks = Slots(3, 4), list[asyncio.Task[None]]()
        held = 0
        for move in moves:
            if move == "take":
                tasks.append(asyncio.create_task(slots.take()))
            elif move == "give" and held:
                slots.give_back()
                held -= 1
            elif move == "cancel" and tasks:
                tasks[-1].cancel()
            for _ in range(3):
                await asyncio.sleep(0)
            ended = [task for task in tasks if task.done()]
            tasks = [task for task in tasks if not task.done()]
            held += sum(not task.cancelled() and task.exception() is None for task in ended)
            assert slots.free + held == 3
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scene())


def test_a_leak_takes_its_rate_and_gives_back() -> None:
    """Three steps at 1000 B/s take 300 B with fractions carried; rate 0 frees all."""

    async def scene() -> tuple[int, int]:
        leak = Leak()
        leak.set_rate(1005.0)
        for _ in range(3):
            leak.step(0.1)
        kept = leak.kept_bytes
        leak.set_rate(0.0)
        return kept, leak.kept_bytes

    assert asyncio.run(scene()) == (301, 0)


def test_a_leak_is_bounded() -> None:
    """A leak stops at 512 MiB, so that a pod without a limit cannot eat the machine."""

    async def scene() -> int:
        leak = Leak()
        leak.set_rate(1.0)
        leak._size = MAX_LEAK_BYTES - 10
        leak.step(1000.0)
        kept = leak.kept_bytes
        leak.set_rate(0.0)
        return kept

    assert asyncio.run(scene()) == MAX_LEAK_BYTES
