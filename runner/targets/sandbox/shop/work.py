"""The worker slots of a pod, the time that work takes, and the memory that it leaks.

Capacity is known by construction: ``slots / mean service time`` requests per second.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from contextlib import suppress
from typing import Final

LEAK_STEP_S: Final = 0.1
# A pod without a memory limit must not eat the machine.
MAX_LEAK_BYTES: Final = 512 * 2**20


class OverloadedError(Exception):
    """No slot is free and the queue for one is full."""


class ServiceTime:
    """A stream of lognormal service times, the same for the same seed.

    Args:
        mean_s: Mean in seconds; 0 makes every time 0.
        sigma: Standard deviation of the time's logarithm; 0 makes every time the mean. The
            coefficient of variation is ``sqrt(exp(sigma**2) - 1)``.
        seed: Seed of the stream.
    """

    def __init__(self, mean_s: float, sigma: float, seed: str) -> None:
        if not 0.0 <= mean_s <= 3600.0 or not 0.0 <= sigma <= 3.0:
            raise ValueError(
                f"a mean of {mean_s} s with sigma {sigma} is outside of 0-3600 and 0-3"
            )
        self._sigma = sigma
        # E[X] = exp(mu + sigma^2 / 2), so this mu gives the stated mean.
        self._mu = math.log(mean_s) - sigma * sigma / 2.0 if mean_s > 0.0 else None
        self.random = random.Random(seed)  # noqa: S311 - a simulation, not a secret

    def draw(self) -> float:
        """The next service time in seconds."""
        if self._mu is None:
            return 0.0
        return self.random.lognormvariate(self._mu, self._sigma)


class Slots:
    """Worker slots with a first-come-first-served queue of bounded length."""

    def __init__(self, count: int, queue: int) -> None:
        if count < 1 or queue < 0:
            raise ValueError(f"{count} slots with a queue of {queue}: at least 1 and 0")
        self._free = count
        self._limit = queue
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> int:
        """Slots that nobody holds."""
        return self._free

    async def take(self) -> None:
        """Wait for a slot.

        Raises:
            OverloadedError: At once, when the queue is full.
        """
        if self._free:
            self._free -= 1
            return
        if len(self._waiting) >= self._limit:
            raise OverloadedError
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()  # the slot was handed over in the same moment
            else:
                with suppress(ValueError):  # passed over by give_back meanwhile
                    self._waiting.remove(turn)
            raise

    def give_back(self) -> None:
        """Hand the slot to the first who waits, or free it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Leak:
    """Memory that is taken at a rate and kept until the rate is set back to 0."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._size = 0
        self._rate = 0.0
        self._owed = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def kept_bytes(self) -> int:
        """Bytes that have been leaked so far."""
        return self._size

    def set_rate(self, bytes_per_s: float) -> None:
        """Leak at this rate from now on; 0 stops it and gives the memory back."""
        self._rate = bytes_per_s
        if bytes_per_s > 0.0:
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._run())
            return
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._kept.clear()
        self._size = 0
        self._owed = 0.0

    def step(self, seconds: float) -> None:
        """Take what ``seconds`` of the current rate amount to, up to 512 MiB in all."""
        self._owed += self._rate * seconds
        taken = min(int(self._owed), MAX_LEAK_BYTES - self._size)
        self._owed -= taken
        self._size += taken
        if taken:
            # Written, not zeroed: untouched zero pages would not be resident.
            self._kept.append(b"\x01" * taken)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LEAK_STEP_S)
            self.step(LEAK_STEP_S)
