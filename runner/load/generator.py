"""One process that makes load: users, their record, and a report each second. In Locust only.

It is the whole generator, or one worker of several; the difference is only where its reports go.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
import psutil
from locust import User

from runner.load.drivers import Driver, RateDriver, UsersDriver
from runner.load.host_header import name_host
from runner.load.listener import Listener, LoadClock
from runner.load.locust_stats import FedStatistics
from runner.load.ownshape import Wish
from runner.load.population import Population
from runner.load.recorder import Recorder
from runner.load.reporting import Report
from runner.load.shape import Share
from runner.load.shapedriver import ShapeDriver
from runner.model.arrivals import Line
from runner.model.plan import Plan

logger = logging.getLogger("seatrial.load")

ABORT_GRACE_S = 1.0
"""Grace for users when the load is ended before its time."""

EXIT_LIMIT_S = 4.0
"""How long users and Locust may take to end beyond the grace, before the process is ended."""

_SETTLE_S = 0.05  # after the end of a second, so that few answers come late for its line


class Generator:
    """The load that this process makes.

    Args:
        environment: Locust's, with its runner.
        plan: What to follow.
        host: Host header for users who set none themselves; empty for none.
        send: Takes the report of each second.
        on_orphaned: Called when the parent process is gone.
        on_stuck: Called when the process should be gone by itself and is not.
        workers: How many processes share the load.
    """

    def __init__(
        self,
        environment: Any,
        plan: Plan,
        host: str,
        *,
        send: Callable[[Report], None],
        on_orphaned: Callable[[], None],
        on_stuck: Callable[[], None],
        workers: int = 1,
    ) -> None:
        self._environment = environment
        self._plan = plan
        self._host = host
        self._send = send
        self._on_orphaned = on_orphaned
        self._on_stuck = on_stuck
        self._workers = workers
        self._recorder = Recorder()
        self.clock = LoadClock()
        self.listener = Listener(
            self._recorder, self.clock, open_model=plan.experiment.load.is_open
        )
        self.listener.listen(environment.events)
        self._statistics = FedStatistics(environment)
        self._stop = gevent.event.Event()
        self._driver: Driver | None = None
        self._shares: list[Share] = []
        self._loop: gevent.Greenlet | None = None
        self._users_at_end: int | None = None
        self._process = psutil.Process()
        self._parent = os.getppid()
        self._cpu_s, self._looked_s = time.process_time(), time.monotonic()
        self.complete = False
        """Whether the plan was followed to its end."""
        self.over = False
        """Whether everybody has left and all of it was reported."""

    @property
    def interrupted(self) -> int:
        """Users that were ended by force in the middle of their work."""
        return 0 if self._driver is None else self._driver.interrupted

    def assign(self, share: Share) -> None:
        """Make this part of the load from its offset on."""
        self._shares.append(share)
        if self._driver is not None:
            self._driver.assign(share)

    def prepare(self) -> None:
        """Make everything ready for offset 0; Locust must have started, with nobody running."""
        plan, runner = self._plan, self._environment.runner
        population = Population(runner, plan.experiment.load.stop_timeout, self._equip)
        if plan.experiment.load.is_open:
            self._driver = RateDriver(
                plan, runner, self.clock, population, self._recorder, workers=self._workers
            )
        elif plan.experiment.load.model == "own":
            self._driver = ShapeDriver(plan, runner, self.clock, population)
        else:
            self._driver = UsersDriver(plan, runner, self.clock, population)
        for share in self._shares:
            self._driver.assign(share)
        self._driver.prepare()
        gc.collect()
        gc.freeze()  # what was imported is not looked through again in the middle of a request

    def follow(self, in_s: float = 0.0, on_start: Callable[[], None] = lambda: None) -> None:
        """Set offset 0 to ``in_s`` from now, carry out the plan; returns when everybody has left.

        Args:
            in_s: Seconds until offset 0.
            on_start: Called as soon as offset 0 is set.
        """
        if self._driver is None:
            raise RuntimeError("the load was started before it was prepared")
        self.clock.start(in_s)
        on_start()
        self._loop = gevent.spawn(self._report_every_second)
        self._loop.link_exception(self._end_unrecorded)
        gevent.sleep(in_s)
        self.complete = self._driver.follow(self._stop)
        self._users_at_end = self._driver.users
        grace_s = self.grace_s
        gevent.spawn_later(grace_s + EXIT_LIMIT_S, self._on_stuck)
        self._driver.dismiss(grace_s)
        self._loop.kill()
        self.report()  # before test_stop, whose listeners look at Locust's statistics
        self.over = True

    @property
    def grace_s(self) -> float:
        """Grace for users' current tasks, now."""
        grace_s = self._plan.experiment.load.stop_timeout
        return grace_s if self.complete else min(grace_s, ABORT_GRACE_S)

    def add_line(self, line: Line) -> None:
        """In a search: continue the schedule."""
        if isinstance(self._driver, RateDriver):
            self._driver.add(line)

    def turn_to(self, wish: Wish, from_s: float) -> None:
        """With a shape of the locustfile's own: follow ``wish`` from ``from_s`` on."""
        if isinstance(self._driver, ShapeDriver):
            self._driver.turn_to(wish, from_s)

    def drop_waiting(self) -> None:
        """In a search: give up arrivals that have not begun."""
        if isinstance(self._driver, RateDriver):
            self._driver.drop_waiting()

    def finish(self) -> None:
        """In a search: no line follows."""
        if isinstance(self._driver, RateDriver):
            self._driver.finish()

    def stop(self) -> None:
        """End the load before its time."""
        self._stop.set()

    def report(self) -> None:
        """Send all that was recorded and not yet sent."""
        if self.clock.started:
            self._report(max(0, int(self.clock.offset_s())), before_second=None)

    def _equip(self, user: User) -> None:
        name_host(getattr(user, "client", None), self._host)

    def _report_every_second(self) -> None:
        number = 0
        while True:
            number = max(number, int(self.clock.offset_s())) + 1
            gevent.sleep(max(0.0, number - self.clock.offset_s()))
            lag_s = max(0.0, self.clock.offset_s() - number)
            users = self._users()
            gevent.sleep(_SETTLE_S)
            second = int(self.clock.offset_s())
            self._report(second, before_second=second, users=users, account=True, lag_s=lag_s)
            if os.getppid() != self._parent:
                self._on_orphaned()

    def _end_unrecorded(self, loop: gevent.Greenlet) -> None:
        """No load without a record: its disk may be full."""
        logger.error("what was sent cannot be reported (%s): the load is ended", loop.exception)
        self.stop()

    def _users(self) -> int:
        if self._users_at_end is not None or self._driver is None:
            return self._users_at_end or 0
        return self._driver.users

    def _report(
        self,
        upto_second: int,
        before_second: int | None,
        users: int | None = None,
        *,
        account: bool = False,
        lag_s: float = 0.0,
    ) -> None:
        batch = self._recorder.drain(before_second)
        self._statistics.feed(batch, self.clock.started_wall_s or 0.0)
        self._send(
            Report(
                upto_second=upto_second,
                users=self._users() if users is None else users,
                batch=batch,
                busy=0 if self._driver is None else self._driver.busy,
                cpu_ratio=self._cpu_ratio() if account else None,
                lag_s=lag_s,
                rss_bytes=self._process.memory_info().rss if account else 0,
                notes=self.listener.news(),
                wanted=self._wanted(upto_second) if account else None,
            )
        )

    def _wanted(self, second: int) -> int | None:
        driver = self._driver
        return driver.wanted_at(float(second)) if isinstance(driver, ShapeDriver) else None

    def _cpu_ratio(self) -> float:
        cpu_s, now_s = time.process_time(), time.monotonic()
        ratio = (cpu_s - self._cpu_s) / max(1e-9, now_s - self._looked_s)
        self._cpu_s, self._looked_s = cpu_s, now_s
        return ratio
