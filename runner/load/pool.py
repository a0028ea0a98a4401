"""The open model inside Locust: users that wait for arrivals. Runs in Locust's process only.

An arrival is given to a user who has nothing to do; he carries out one task and comes back. Where
all of its class are busy, one more is started, up to the bound; beyond it the arrival waits, and is
dropped when it has waited for too long. What it waited counts in the response time of the task's
first request, which is measured from the moment at which the arrival was due.

Tasks are held at one place, ``TaskSet.execute_next_task``, so that every kind of Locust task
(plain, nested, sequential, weighted, tagged) is an arrival's work without a change.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from sys import exc_info
from typing import Any, NamedTuple

from gevent import get_hub, getcurrent, sleep
from gevent.hub import Waiter
from locust import TaskSet, User
from locust.exception import StopUser
from locust.user.task import (
    LOCUST_STATE_RUNNING,
    LOCUST_STATE_STOPPING,
    LOCUST_STATE_WAITING,
)

from runner.load.recorder import Recorder

_DUE = "seatrial_due"
_BUSY = "seatrial_busy"
_SERVED = "seatrial_served"
_PAUSE_S = 1.0
_AT_ONCE_S = 0.01
"""A user who is started for an arrival is ready within this time, unless his code takes longer."""


class _Seat:
    """Where an idle user waits. ``due_s`` is set once an arrival was given to him."""

    __slots__ = ("due_s", "left", "waiter")

    def __init__(self) -> None:
        self.waiter = Waiter()
        self.due_s: float | None = None
        self.left = False


class _Waiting(NamedTuple):
    """An arrival without a user: when it was due, since when it waits, and if all were busy."""

    due_s: float
    since_s: float
    full: bool


class _Lane:
    """The users of one class, and the arrivals that are theirs."""

    __slots__ = ("idle", "limit", "members", "queue")

    def __init__(self) -> None:
        self.idle: list[_Seat] = []
        self.queue: deque[_Waiting] = deque()
        self.limit = 0
        self.members = 0


class Pool:
    """Hands arrivals to users, and counts what becomes of them.

    Each arrival is of a class of users, in turn, and waits for one of that class: a class that is
    slow keeps its part of the arrivals.

    Args:
        max_wait_s: How long an arrival waits for a user when all are busy.
        start_user: Starts one more user of a class.
        offset_s: Gives the offset of now.
        recorder: Where arrivals are counted.
    """

    def __init__(
        self,
        max_wait_s: float,
        start_user: Callable[[str], object],
        offset_s: Callable[[], float],
        recorder: Recorder,
    ) -> None:
        self._max_wait_s = max_wait_s
        self._start_user = start_user
        self._offset_s = offset_s
        self._recorder = recorder
        self._lanes: dict[str, _Lane] = {}
        self._places: Sequence[str] = ()
        self._turn = 0
        self.busy = 0
        """Arrivals that were started and are not completed."""

    def seat(self, places: Sequence[str]) -> None:
        """Have at most one user for each of ``places``, classes in the order of arrivals."""
        self._places = places
        limits = Counter(places)
        for name in {*limits, *self._lanes}:
            self._lane(name).limit = limits[name]

    def warm(self, users: int) -> Iterator[None]:
        """Start users beforehand, for the first arrivals; gives way after each."""
        for name in self._places[:users]:
            self._add(name, self._lane(name))
            yield

    def count(self, members: Mapping[str, int]) -> None:
        """Take note of how many users of each class there are: some end by themselves."""
        for name, lane in self._lanes.items():
            lane.members = members.get(name, 0)

    def arrive(self, due_s: float) -> None:
        """An arrival that was due at ``due_s``, which is now or just past."""
        if not self._places:
            self.give_up(due_s)
            return
        self._recorder.tally(int(due_s)).offered += 1
        name = self._places[self._turn % len(self._places)]
        self._turn += 1
        lane = self._lanes[name]
        while lane.idle:
            seat = lane.idle.pop()  # the one who worked last: his connection is warm
            if not seat.left:
                seat.due_s = due_s
                get_hub().loop.run_callback(seat.waiter.switch, None)
                return
        full = lane.members >= lane.limit
        if not full:
            self._add(name, lane)
        lane.queue.append(_Waiting(due_s, self._offset_s(), full))
        if full:
            self.drop_old()

    def give_up(self, due_s: float) -> None:
        """An arrival that was due at ``due_s``, so long ago that it is not started any more."""
        self._recorder.tally(int(due_s)).offered += 1
        self._drop()

    def drop_old(self, now_s: float | None = None) -> None:
        """Give up arrivals that have waited for too long."""
        oldest_s = (self._offset_s() if now_s is None else now_s) - self._max_wait_s
        for lane in self._lanes.values():
            while lane.queue and lane.queue[0].due_s <= oldest_s:
                lane.queue.popleft()
                self._drop()

    def drop_all(self) -> None:
        """Give up every arrival that waits."""
        for lane in self._lanes.values():
            while lane.queue:
                lane.queue.popleft()
                self._drop()

    def take(self, user: User) -> None:
        """Wait for an arrival; called by a user who has nothing to do."""
        lane = self._lane(type(user).__name__)
        first = lane.queue.popleft() if lane.queue else None
        due_s = first.due_s if first else self._wait(user, lane)
        now_s = self._offset_s()
        # A user who logs in before he is ready keeps an arrival waiting as one who is busy does:
        # neither is the generator's lateness.
        waited = first is not None and (first.full or now_s - first.since_s > _AT_ONCE_S)
        late_us = max(0, int((now_s - due_s) * 1e6))
        tally = self._recorder.tally(int(now_s))
        tally.started += 1
        if waited:
            tally.waited += 1
        else:
            tally.late(late_us)
        self.busy += 1
        greenlet = getcurrent()
        setattr(greenlet, _BUSY, True)
        setattr(greenlet, _DUE, (due_s, late_us))

    def done(self) -> None:
        """The task of the current user has ended."""
        greenlet = getcurrent()
        setattr(greenlet, _BUSY, False)
        setattr(greenlet, _SERVED, True)
        setattr(greenlet, _DUE, None)
        self.busy -= 1
        self._recorder.tally(int(self._offset_s())).completed += 1

    def _lane(self, name: str) -> _Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane()
        return lane

    def _add(self, name: str, lane: _Lane) -> None:
        self._start_user(name)
        lane.members += 1

    def _wait(self, user: User, lane: _Lane) -> float:
        seat = _Seat()
        lane.idle.append(seat)
        user._state = LOCUST_STATE_WAITING  # noqa: SLF001 - who waits may be ended at once
        try:
            seat.waiter.get()
        except BaseException:
            seat.left = True
            if seat.due_s is not None:
                self._drop()  # he was ended between the call and his answer
            raise
        if user._state == LOCUST_STATE_STOPPING:  # noqa: SLF001
            self._drop()
            raise StopUser
        user._state = LOCUST_STATE_RUNNING  # noqa: SLF001
        if seat.due_s is None:  # pragma: no cover - nobody wakes a seat without an arrival
            raise StopUser
        return seat.due_s

    def _drop(self) -> None:
        self._recorder.tally(int(self._offset_s())).dropped += 1


def intended() -> tuple[float, int] | None:
    """Of an arrival's first request: when it was due, and by how many microseconds it was late.

    None for every other request. Asking takes it.
    """
    greenlet = getcurrent()
    due = getattr(greenlet, _DUE, None)
    if due is not None:
        setattr(greenlet, _DUE, None)
    return due


def _pause(user: Any) -> None:
    """Who fails before he has an arrival, as one without tasks does, must not do so all the time.

    Nothing else would run: he never waits.
    """
    user._state = LOCUST_STATE_WAITING  # noqa: SLF001
    sleep(_PAUSE_S)
    user._state = LOCUST_STATE_RUNNING  # noqa: SLF001


def hold_tasks(pool: Pool) -> Callable[[], None]:
    """Let every task of every user wait for an arrival, and none for its wait time.

    Returns:
        What takes it back.
    """
    kind: Any = TaskSet
    execute, wait = kind.execute_next_task, kind.wait

    def execute_next_task(self: Any) -> None:
        task = self._task_queue[0]
        if isinstance(task, type) and issubclass(task, TaskSet):
            execute(self)  # the tasks within it are what waits
            return
        pool.take(self.user)
        try:
            execute(self)
        finally:
            pool.done()

    def wait_no_more(self: Any) -> None:
        greenlet = getcurrent()
        if getattr(greenlet, _BUSY, False):
            wait(self)  # a task that thinks for a while
        elif self.user._state == LOCUST_STATE_STOPPING:  # noqa: SLF001
            raise StopUser
        elif exc_info()[0] is not None and not getattr(greenlet, _SERVED, False):
            _pause(self.user)  # not one who waits in his on_start: he is wanted now
        setattr(greenlet, _SERVED, False)

    def undo() -> None:
        kind.execute_next_task, kind.wait = execute, wait

    kind.execute_next_task, kind.wait = execute_next_task, wait_no_more
    return undo
