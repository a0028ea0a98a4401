"""What rides along inside Locust: follows the plan, records every request. Not for the supervisor.

Loaded by ``locust -f …/seatrial_locustfile.py,<the user's locustfile>``. The user's file is not
touched and Locust's statistics are not used, only fed and kept from growing. One process; what is
recorded merges by addition, so that workers can follow.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import locust
import psutil
from locust import User
from locust.runners import LocalRunner

from runner.load.host_header import name_host
from runner.load.locust_stats import FedStatistics
from runner.load.locust_upkeep import LineLimit, prune_stats
from runner.load.outcomes import classify
from runner.load.population import Population
from runner.load.recorder import MAX_ENDPOINTS, OTHER_ENDPOINT, Batch, Recorder
from runner.load.seconds import SECONDS_FILE, SecondsWriter
from runner.load.shape import next_change_s, users_due
from runner.model.plan import Plan

logger = logging.getLogger("seatrial.load")

USER_CODE = "(user code)"
"""Endpoint under which exceptions in a locustfile's own code are listed as failures."""

_SETTLE_S = 0.05  # after the end of a second, so that few answers come late for its line
_MIN_STEP_S = 0.002
_MAX_STEP_S = 0.25
_SWEEP_S = 1.0
_PRUNE_EVERY = 10
_BEGIN_LIMIT_S = 120.0
_ABORT_GRACE_S = 1.0
_EXIT_LIMIT_S = 4.0


class Recording:
    """The record of this process: listens, and writes once a second.

    Args:
        folder: Where ``seconds.jsonl`` is made.
        users: Gives the number of running users.
        on_orphaned: Called when the parent process is gone.
        statistics: Locust's own, which are fed with what is recorded.
    """

    def __init__(
        self,
        folder: Path,
        users: Callable[[], int],
        on_orphaned: Callable[[], None],
        statistics: FedStatistics,
    ) -> None:
        self.recorder = Recorder()
        self._writer = SecondsWriter(folder / SECONDS_FILE, time.time)
        self._users = users
        self._on_orphaned = on_orphaned
        self._statistics = statistics
        self._started_wall_s: float | None = None
        self._started_s = 0.0
        self._cpu_s = time.process_time()
        self._looked_s = time.monotonic()
        self._said: set[str] = set()
        self._process = psutil.Process()
        self._parent = os.getppid()
        self._loop: gevent.Greenlet | None = None
        self._users_at_end: int | None = None
        self._complete = False
        self.interrupted = 0

    def start(self) -> None:
        """Set offset 0 to now and begin to write."""
        self._started_wall_s = time.time()
        self._started_s = time.monotonic()
        self._writer.start(self._started_wall_s)
        for text in sorted(self._said):
            self._writer.note(text)
        self._loop = gevent.spawn(self._write_every_second)

    def offset_s(self) -> float:
        return time.monotonic() - self._started_s

    def stages_over(self, *, complete: bool) -> None:
        """Remember who was there before everybody leaves, and whether the plan was followed."""
        self._complete = complete
        self._users_at_end = self._users()

    @property
    def started(self) -> bool:
        return self._started_wall_s is not None

    def on_request(
        self,
        *,
        request_type: str,
        name: str,
        response_time: float | None,
        response: Any = None,
        exception: Any = None,
        start_time: Any = None,
        **_: Any,
    ) -> None:
        """Listen to Locust's ``request`` event; on the hot path."""
        if response_time is None:
            self.note("requests without a response time (None) are not recorded")
            return
        outcome, text = "success", ""
        if exception is not None:
            outcome, text = classify(exception, response)
        second = 0
        if self._started_wall_s is not None:
            if not isinstance(start_time, float):
                start_time = time.time() - response_time / 1000
            second = max(0, int(start_time - self._started_wall_s))
        latency_us = int(response_time * 1000 + 0.5)
        self.recorder.record(second, request_type, name, latency_us, outcome=outcome, text=text)

    def on_user_error(self, exception: BaseException, **_: Any) -> None:
        self.recorder.fail(USER_CODE, "error", classify(exception)[1])

    def note(self, text: str) -> None:
        """Put a sentence on record, once."""
        if text not in self._said and len(self._said) < MAX_ENDPOINTS:
            self._said.add(text)
            logger.warning(text)
            if self.started:  # the start is the first line
                self._writer.note(text)

    def close(self) -> None:
        """Write what is left, and the end, if the load had a start."""
        if self._loop is not None:
            self._loop.kill()
        if self.started:
            self.write()
            self._writer.end(complete=self._complete, interrupted=self.interrupted)

    def write(self) -> None:
        """Write all that was recorded."""
        self._write(self.recorder.drain(), int(self.offset_s()), self._users_now())

    def _write(self, batch: Batch, upto_second: int, users: int) -> None:
        self._writer.rows(batch, upto_second, users)
        self._statistics.feed(batch, self._started_wall_s or 0.0)

    def _users_now(self) -> int:
        return self._users() if self._users_at_end is None else self._users_at_end

    def _write_every_second(self) -> None:
        number = 0
        while True:
            number = max(number, int(self.offset_s())) + 1
            gevent.sleep(max(0.0, number - self.offset_s()))
            lag_s = max(0.0, self.offset_s() - number)
            users = self._users_now()
            gevent.sleep(_SETTLE_S)
            second = int(self.offset_s())
            self._write(self.recorder.drain(second), second, users)
            self._account(second - 1, lag_s)
            if self.recorder.overflowed:
                self.note(f"more than {MAX_ENDPOINTS} endpoints: the rest is {OTHER_ENDPOINT}")
            if os.getppid() != self._parent:
                self._on_orphaned()

    def _account(self, second: int, lag_s: float) -> None:
        cpu_s, now_s = time.process_time(), time.monotonic()
        ratio = (cpu_s - self._cpu_s) / max(1e-9, now_s - self._looked_s)
        self._cpu_s, self._looked_s = cpu_s, now_s
        self._writer.generator(second, ratio, lag_s, self._process.memory_info().rss)


class Ride:
    """Follows the plan with users, from the first to the last.

    Args:
        plan: What to follow.
        folder: Where to record.
        host: Host header for users who set none themselves; empty for none.
    """

    def __init__(self, plan: Plan, folder: Path, host: str = "") -> None:
        self._plan = plan
        self._folder = folder
        self._host = host
        self._stop = gevent.event.Event()
        self._environment: Any = None
        self._recording: Recording | None = None

    def board(self, environment: Any, **_: Any) -> None:
        """Take the place of Locust's own timing, statistics and signals; on ``init``."""
        if not isinstance(environment.runner, LocalRunner):
            raise SystemExit(
                "the load runs in one process here; accepted: no master, worker or processes in "
                "Locust's configuration files"
            )
        self._environment = environment
        # A locust.conf that happens to lie around must not cut the plan short.
        environment.parsed_options.run_time = None
        environment.stop_timeout = self._plan.experiment.load.stop_timeout
        environment.stats.use_response_times_cache = False
        environment.stats.total.use_response_times_cache = False
        LineLimit.install()
        self._recording = recording = Recording(
            self._folder,
            lambda: int(environment.runner.user_count),
            self.abandon,
            FedStatistics(environment),
        )
        own = type(environment.shape_class).__name__
        others = sorted(set(environment.available_shape_classes or ()) - {own, "Default"})
        if others:
            recording.note(
                f"the locustfile's own load shape ({', '.join(others)}) is not used: the load "
                "follows the experiment's stages"
            )
        environment.events.request.add_listener(recording.on_request)
        environment.events.user_error.add_listener(recording.on_user_error)
        gevent.spawn(self._keep_small)
        gevent.signal_handler(signal.SIGTERM, self.abandon)

    def follow(self) -> None:
        """Carry out the plan; returns when every user has left."""
        environment, recording = self._environment, self._recording
        if recording is None:
            raise RuntimeError("the plan was started before Locust was ready")
        self._begin()
        if self._stop.is_set():
            raise gevent.GreenletExit  # asked to end before there was a beginning
        population = Population(environment.runner, environment.stop_timeout, self._equip)
        gc.collect()
        gc.freeze()  # what was imported is not looked through again in the middle of a request
        recording.start()
        complete = self._stages(population, recording)
        recording.stages_over(complete=complete)
        grace_s = float(environment.stop_timeout)
        if not complete:
            grace_s = min(grace_s, _ABORT_GRACE_S)
        gevent.spawn_later(grace_s + _EXIT_LIMIT_S, self._force_exit)
        population.dismiss(grace_s)
        recording.write()  # before test_stop, whose listeners look at Locust's statistics
        recording.interrupted = population.interrupted
        environment.stop_timeout = min(grace_s, _ABORT_GRACE_S)

    def _equip(self, user: User) -> None:
        name_host(getattr(user, "client", None), self._host)

    def abandon(self) -> None:
        """End the load now: users leave, the record is closed, the process exits."""
        self._stop.set()
        gevent.spawn_later(_ABORT_GRACE_S + _EXIT_LIMIT_S, self._force_exit)
        if self._recording is None or not self._recording.started:
            gevent.spawn(self._environment.runner.quit)

    def leave(self, **_: Any) -> None:
        """Close the record; on ``quit``."""
        if self._recording is not None:
            self._recording.close()

    def _begin(self) -> None:
        """Let Locust fire ``test_start`` and set up its classes, with nobody running."""
        runner = self._environment.runner
        runner.start(0, 1)
        runner.spawning_greenlet.join(timeout=_BEGIN_LIMIT_S)
        if not runner.spawning_greenlet.dead:
            raise TimeoutError(f"test_start did not end within {_BEGIN_LIMIT_S:g}s")

    def _stages(self, population: Population, recording: Recording) -> bool:
        """Keep the users at what is due; whether the plan's end was reached."""
        swept_s = 0.0
        while True:
            offset_s = recording.offset_s()
            users = users_due(self._plan, offset_s)
            if users is None:
                return True
            if offset_s - swept_s >= _SWEEP_S:
                # At this pace only: users that die at once must not be replaced in a hot loop.
                population.sweep()
                swept_s = offset_s
            population.follow(users)
            wait_s = next_change_s(self._plan, offset_s) - recording.offset_s()
            if self._stop.wait(min(max(wait_s, _MIN_STEP_S), _MAX_STEP_S)):
                return False

    def _keep_small(self) -> None:
        while True:
            gevent.sleep(_PRUNE_EVERY)
            prune_stats(self._environment.stats, time.time())

    def _force_exit(self) -> None:
        logger.error("users or teardown code did not end in time: the process is ended")
        self.leave()
        os._exit(3)


def plan_from(environ: Mapping[str, str]) -> tuple[Plan, Path]:
    """The plan and the folder of the record, as the environment names them."""
    try:
        plan_path, folder = Path(environ["SEATRIAL_PLAN"]), Path(environ["SEATRIAL_LOAD_DIR"])
    except KeyError as error:
        raise SystemExit(f"{error.args[0]} is not set: this file rides along with a run") from None
    return Plan.model_validate_json(plan_path.read_text(encoding="utf-8")), folder


def ride_along(environ: Mapping[str, str]) -> Ride:
    """Hook into Locust's events, before the user's locustfile is loaded."""
    ride = Ride(*plan_from(environ), host=environ.get("TARGET_HOST_HEADER", ""))
    locust.events.init.add_listener(ride.board)  # type: ignore[no-untyped-call]
    locust.events.quit.add_listener(ride.leave)  # type: ignore[no-untyped-call]
    return ride
