"""A pool of Locust's users for tests, on a clock that stands still unless a test moves it.

Imports Locust without its patches of the whole process; what a test needs of it, it takes from
here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.event
from gevent.pool import Group

from runner.load.recorder import Recorder, Tally

__all__ = [
    "Crew",
    "Hall",
    "Listener",
    "LoadClock",
    "SequentialTaskSet",
    "StopUser",
    "TaskSet",
    "User",
    "constant",
    "hold_tasks",
    "intended",
    "opened",
    "quick",
    "settle",
    "stay",
]

_before = os.environ.get("LOCUST_SKIP_MONKEY_PATCH")
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
try:
    from locust import SequentialTaskSet, TaskSet, User, constant
    from locust.env import Environment
    from locust.exception import StopUser

    from runner.load.crew import Crew
    from runner.load.listener import Listener, LoadClock
    from runner.load.pool import Pool, hold_tasks, intended
finally:
    if _before is None:
        del os.environ["LOCUST_SKIP_MONKEY_PATCH"]
    else:
        os.environ["LOCUST_SKIP_MONKEY_PATCH"] = _before


class Hall:
    """A pool whose users carry out ``work``, and who did what when."""

    def __init__(self, work: Any, size: int = 3, max_wait_s: float = 10.0) -> None:
        self.now_s = 0.0
        self.recorder = Recorder()
        self.log: list[Any] = []
        self.users: list[User] = []
        self.group = Group()
        self.doors: list[gevent.event.Event] = []
        self.environment = Environment()

        here = self

        class Doer(User):
            hall = here
            tasks = [work]  # noqa: RUF012 - as Locust wants it
            wait_time = constant(3600)

        self.kind: Any = Doer
        self.kinds: dict[str, Any] = {"Doer": self.kind}
        self.pool = Pool(max_wait_s, self.start, lambda: self.now_s, self.recorder)
        self.pool.seat(["Doer"] * size)

    def start(self, name: str) -> None:
        user: User = self.kinds[name](self.environment)
        self.users.append(user)
        user.start(self.group)

    def warm(self, number: int) -> None:
        for _ in self.pool.warm(number):
            settle()

    def sweep(self) -> None:
        """Find out who has ended, as the driver does each second."""
        settle()
        self.pool.count(
            Counter(type(user).__name__ for user in self.users if not user.greenlet.dead)
        )
        self.pool.drop_old()

    @property
    def members(self) -> int:
        return sum(lane.members for lane in self.pool._lanes.values())

    def arrive(self, due_s: float, late_s: float = 0.0) -> None:
        self.now_s = due_s + late_s
        self.pool.arrive(due_s)
        settle()

    def open(self, index: int = 0) -> None:
        """Let the task that has waited for longest go on."""
        self.doors.pop(index).set()
        settle()

    @property
    def total(self) -> Tally:
        total = Tally()
        batch = self.recorder.drain()
        for tally in batch.arrivals.values():
            total.add(tally)
        self.recorder.add(batch)
        return total

    @property
    def sums(self) -> dict[str, int]:
        total = self.total
        names = ("offered", "started", "waited", "dropped", "completed")
        return {name: getattr(total, name) for name in names if getattr(total, name)}


@contextmanager
def opened(work: Any, size: int = 3, max_wait_s: float = 10.0) -> Iterator[Hall]:
    """A pool that holds Locust's tasks until the block is left."""
    one = Hall(work, size, max_wait_s)
    undo = hold_tasks(one.pool)
    try:
        yield one
    finally:
        undo()
        one.group.kill()


def settle() -> None:
    for _ in range(8):
        gevent.sleep(0)


def stay(user: Any) -> None:
    """A task that lasts until the test opens a door."""
    door = gevent.event.Event()
    user.hall.log.append(user.hall.users.index(user))
    user.hall.doors.append(door)
    door.wait()


def quick(user: Any) -> None:
    user.hall.log.append(user.hall.users.index(user))
