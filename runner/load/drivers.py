"""What moves the load: users that come and go, or arrivals that are due. In Locust's process only.

A driver follows its part of the plan and nothing else; who shares with whom, and what is written
down, is decided elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import gevent
import gevent.event

from runner.load.gathering import SILENCE_S
from runner.load.listener import LoadClock
from runner.load.pool import Pool, hold_tasks
from runner.load.population import Population, cast_of
from runner.load.recorder import Recorder
from runner.load.shape import Share, next_change_s, places_of, share_at, users_due
from runner.load.turns import Turns
from runner.model.arrivals import Line, Schedule, lines_of, share_of
from runner.model.plan import Plan

_MIN_STEP_S = 0.002
_MAX_STEP_S = 0.25
_SHORT_S = 0.02
_SWEEP_S = 1.0
_TURN_S = 0.05
"""How long arrivals are handed out without giving way."""

_WARM_S = 0.1
_MOST_WARM = 200


class Driver(Protocol):
    """A load model at work in one process."""

    @property
    def users(self) -> int:
        """Users that run."""
        ...

    @property
    def busy(self) -> int:
        """Arrivals under way; 0 in a model without arrivals."""
        ...

    @property
    def interrupted(self) -> int:
        """Users that had to be ended by force in the middle of a task."""
        ...

    def assign(self, share: Share) -> None:
        """Follow this part of the plan from its offset on."""
        ...

    def prepare(self) -> None:
        """Do what must be done before offset 0."""
        ...

    def follow(self, stop: gevent.event.Event) -> bool:
        """Carry out the plan to its end, or until ``stop``; whether the end was reached."""
        ...

    def dismiss(self, grace_s: float) -> None:
        """End all users; returns when they are gone or can be waited for no longer."""
        ...


class UsersDriver:
    """The closed model: as many users as the plan's stages say."""

    busy = 0

    def __init__(self, plan: Plan, runner: Any, clock: LoadClock, population: Population) -> None:
        self._plan = plan
        self._runner = runner
        self._clock = clock
        self._population = population
        self._cast = cast_of(runner)
        self._shares = [Share()]

    @property
    def users(self) -> int:
        return self._population.size

    @property
    def interrupted(self) -> int:
        return self._population.interrupted

    def assign(self, share: Share) -> None:
        self._shares.append(share)

    def prepare(self) -> None:
        pass

    def follow(self, stop: gevent.event.Event) -> bool:
        swept_s = 0.0
        while True:
            offset_s = self._clock.offset_s()
            users = users_due(self._plan, offset_s)
            if users is None:
                return True
            if offset_s - swept_s >= _SWEEP_S:
                # At this pace only: users that die at once must not be replaced in a hot loop.
                self._population.sweep()
                swept_s = offset_s
            share = share_at(self._shares, offset_s)
            there = self._population.follow(self._cast.wanted(users, share))
            wait_s = next_change_s(self._plan, offset_s) - self._clock.offset_s() if there else 0.0
            if stop.wait(min(max(wait_s, _MIN_STEP_S), _MAX_STEP_S)):
                return False

    def dismiss(self, grace_s: float) -> None:
        self._population.dismiss(grace_s)


class RateDriver:
    """The open model: arrivals at the moments of a schedule, served by a pool of users.

    Args:
        plan: Its stages are the schedule; a search's lines are added later.
        recorder: Where arrivals are counted.
        workers: How many processes share the pool's bound.
    """

    def __init__(
        self,
        plan: Plan,
        runner: Any,
        clock: LoadClock,
        population: Population,
        recorder: Recorder,
        *,
        workers: int = 1,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._population = population
        self._cast = cast_of(runner)
        self._schedule = Schedule(lines_of(plan.stages))
        self._open_end = plan.experiment.load.model == "search"
        self._turns = Turns(self._schedule)
        self._workers = workers
        self._pool = Pool(
            plan.experiment.load.max_wait,
            population.start,
            clock.offset_s,
            recorder,
        )
        self._seat(Share())
        self._release: Callable[[], None] = hold_tasks(self._pool)

    @property
    def users(self) -> int:
        return self._population.size

    @property
    def busy(self) -> int:
        return self._pool.busy

    @property
    def interrupted(self) -> int:
        return self._population.interrupted

    def assign(self, share: Share) -> None:
        self._turns.assign(share)
        self._seat(share)

    def add(self, line: Line) -> None:
        """Continue the schedule with ``line``."""
        if line.start_s > self._schedule.end_s:
            self._schedule.add(Line(self._schedule.end_s, line.start_s, 0.0, 0.0))
        self._schedule.add(line)

    def finish(self) -> None:
        """No line follows."""
        self._open_end = False

    def drop_waiting(self) -> None:
        """Give up arrivals that have not begun."""
        self._pool.drop_all()

    def prepare(self) -> None:
        """Start some users: the first arrivals must not wait for them to be made."""
        rates = [stage.rate_to for stage in self._plan.stages]
        search = self._plan.experiment.load.search
        highest = max([*rates, search.start if search else 0.0]) / self._workers
        for _ in self._pool.warm(min(_MOST_WARM, max(1, round(highest * _WARM_S)))):
            gevent.sleep(_MIN_STEP_S)

    def follow(self, stop: gevent.event.Event) -> bool:
        swept_s = 0.0
        while not stop.is_set():
            now_s = self._clock.offset_s()
            if now_s - swept_s >= _SWEEP_S:
                self._sweep(now_s)
                swept_s = now_s
            due_s = self._due_s(now_s)
            while due_s is not None and due_s <= now_s:
                if self._clock.offset_s() - now_s > _TURN_S:
                    break  # too much is due: others have their turn, and a stop is heard
                if self._workers > 1 and now_s - due_s > SILENCE_S:
                    self._pool.give_up(due_s)  # who was silent for so long has lost his share
                else:
                    self._pool.arrive(due_s)
                self._turns.take()
                due_s = self._due_s(now_s)
            if due_s is None and now_s >= self._end_s():
                self._pool.drop_all()
                return True
            wait_s = (self._end_s() if due_s is None else due_s) - self._clock.offset_s()
            if wait_s <= _SHORT_S:
                gevent.sleep(max(0.0, wait_s))
            else:
                stop.wait(min(wait_s, _MAX_STEP_S))
        self._pool.drop_all()
        return False

    def dismiss(self, grace_s: float) -> None:
        self._population.dismiss(grace_s)
        self._release()

    def _end_s(self) -> float:
        """When no arrival follows for sure."""
        ends = self._plan.experiment.load.model == "search" and not self._open_end
        return min(self._plan.duration_s, self._schedule.end_s if ends else math.inf)

    def _due_s(self, now_s: float) -> float | None:
        """When this process's next arrival is due; None when none is known."""
        due_s = self._turns.due_s(now_s)
        return None if due_s is None or due_s >= self._plan.duration_s else due_s

    def _seat(self, share: Share) -> None:
        size = max(1, share_of(self._plan.max_in_flight, share.index, share.count))
        self._pool.seat(places_of(self._cast, share, size))

    def _sweep(self, now_s: float) -> None:
        self._population.sweep()
        self._pool.count(self._population.sizes)
        self._pool.drop_old(now_s)
