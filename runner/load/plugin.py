"""What rides along inside Locust: follows the plan, records every request. Not for the supervisor.

Loaded by ``locust -f …/seatrial_locustfile.py,<the user's locustfile>``, in the only process of a
generator, in Locust's master and in each of its workers. The user's file is not touched.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import locust
from locust.argument_parser import get_parser
from locust.runners import MasterRunner, WorkerRunner

from runner.load.configured import Sources, refused, told
from runner.load.crew import Crew
from runner.load.gathering import ALONE
from runner.load.generator import ABORT_GRACE_S, EXIT_LIMIT_S, Generator
from runner.load.lead import Lead
from runner.load.listener import LoadClock
from runner.load.locust_upkeep import LineLimit, limit_tracebacks, prune_stats
from runner.load.pilot import WISH_AHEAD_S, Pilot
from runner.load.reporting import WORKER_VARIABLE, Report
from runner.load.worker import Worker
from runner.model.plan import Plan

logger = logging.getLogger("seatrial.load")

_PRUNE_EVERY = 10
_BEGIN_LIMIT_S = 120.0


class Ride:
    """The ride of one Locust process.

    Args:
        environ: Environment of the process; a worker needs nothing of it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._host = environ.get("TARGET_HOST_HEADER", "")
        self._stop = gevent.event.Event()
        self._environment: Any = None
        self._plan: Plan | None = None
        self._lead: Lead | None = None
        self._alone: Generator | None = None
        self._crew: Crew | None = None
        self._worker: Worker | None = None
        self._clock = LoadClock()

    def board(self, environment: Any, **_: Any) -> None:
        """Take the place of Locust's own timing, statistics and signals; on ``init``."""
        self._environment = environment
        environment.stats.use_response_times_cache = False
        environment.stats.total.use_response_times_cache = False
        LineLimit.install()
        limit_tracebacks(gevent.get_hub())
        gevent.spawn(self._keep_small)
        gevent.signal_handler(signal.SIGTERM, self.abandon)
        if isinstance(environment.runner, WorkerRunner):
            name = self._environ.get(WORKER_VARIABLE, "")
            self._worker = Worker(environment, self._force_exit, name)
            return
        plan, folder = plan_from(self._environ)
        kind = type(environment.runner).__name__
        why = refused(environment.parsed_options, crew=bool(plan.generator.crew), runner=kind)
        if why:
            raise SystemExit(why)
        self._plan = plan
        environment.stop_timeout = plan.experiment.load.stop_timeout
        if plan.experiment.load.model != "own":  # whose shape may look at it
            # A locust.conf that happens to lie around must not cut the plan short.
            environment.parsed_options.run_time = None
        if isinstance(environment.runner, MasterRunner):
            self._crew = Crew(environment.runner, plan, self._host)
            self._lead = Lead(plan, folder, self._clock)
        else:
            self._alone = Generator(
                environment,
                plan,
                self._host,
                send=self._take,
                on_orphaned=self.abandon,
                on_stuck=self._force_exit,
            )
            self._clock = self._alone.clock
            self._lead = Lead(plan, folder, self._clock)
        for text in told(_sources(), plan.experiment.load.model):
            self._lead.gathering.note(text)
        self._see_to_shapes(environment, plan, self._lead)

    def _see_to_shapes(self, environment: Any, plan: Plan, lead: Lead) -> None:
        """Follow the locustfile's own shape where the plan says so, else say that it is not used.

        Raises:
            SystemExit: When there is none to follow, or several.
        """
        if plan.experiment.load.model == "own":
            try:
                lead.pilot = Pilot(
                    environment,
                    plan,
                    self._clock,
                    note=lead.gathering.note,
                    abandon=self.abandon,
                    ahead_s=0.0 if self._crew is None else WISH_AHEAD_S,
                )
                if self._crew is not None:
                    lead.pilot.count_by(lambda: lead.gathering.users)
            except ValueError as error:
                raise SystemExit(str(error)) from None
            return
        own = type(environment.shape_class).__name__
        others = sorted(set(environment.available_shape_classes or ()) - {own, "Default"})
        if others:
            text = (
                f"the locustfile's own load shape ({', '.join(others)}) is not used: the load "
                "follows the experiment's stages"
            )
            logger.warning(text)
            lead.gathering.note(text)

    def follow(self) -> None:
        """Carry out the plan; returns when every user has left."""
        if self._lead is None:
            raise RuntimeError("the plan was started before Locust was ready")
        self._begin()
        self._leave_if_asked()
        if self._alone is not None:
            self._follow_alone(self._lead, self._alone)
        elif self._crew is not None:
            self._follow_with(self._lead, self._crew)

    def abandon(self) -> None:
        """End the load now: users leave, the record is closed, the process exits."""
        self._stop.set()
        if self._alone is not None:
            self._alone.stop()
        if self._worker is not None:
            self._worker.stop()
        gevent.spawn_later(ABORT_GRACE_S + EXIT_LIMIT_S, self._force_exit)
        if not self._clock.started:
            gevent.spawn_later(0 if self._worker is None else ABORT_GRACE_S, self._quit)

    def leave(self, **_: Any) -> None:
        """Close the record; on ``quit``."""
        if self._alone is not None and not self._alone.over:
            self._alone.report()
            if self._lead and self._plan and self._clock.started and not self._stop.is_set():
                at = f"{self._clock.offset_s():.0f} s of {self._plan.duration_s:g} s"
                self._lead.gathering.note(
                    f"Locust was ended from within at {at}: does the locustfile call runner.quit()?"
                )
        if self._worker is not None:
            self._worker.leave()
        if self._lead is not None:
            self._lead.close()

    def _follow_alone(self, lead: Lead, generator: Generator) -> None:
        generator.prepare()
        self._leave_if_asked()
        lead.gathering.join(ALONE, 0.0)
        generator.follow(on_start=lambda: lead.open(generator))
        lead.gathering.done(ALONE, complete=generator.complete, interrupted=generator.interrupted)
        self._environment.stop_timeout = min(generator.grace_s, ABORT_GRACE_S)

    def _follow_with(self, lead: Lead, crew: Crew) -> None:
        crew.prepare(self._stop)
        self._leave_if_asked()
        gc.freeze()
        crew.go(lead.gathering, self._clock, on_start=lambda: lead.open(crew))
        crew.follow(self._stop)

    def _take(self, report: Report) -> None:
        if self._lead is not None:
            self._lead.gathering.add(ALONE, report, self._clock.offset_s())

    def _begin(self) -> None:
        """Let Locust fire ``test_start`` and set up its classes, with nobody running."""
        runner = self._environment.runner
        runner.start(0, 1)
        if self._crew is not None:
            return  # workers fire it in their own processes, and say when they are ready
        runner.spawning_greenlet.join(timeout=_BEGIN_LIMIT_S)
        if not runner.spawning_greenlet.dead:
            raise TimeoutError(f"test_start did not end within {_BEGIN_LIMIT_S:g}s")

    def _leave_if_asked(self) -> None:
        if self._stop.is_set():
            raise gevent.GreenletExit  # asked to end before there was a beginning

    def _quit(self) -> None:
        self._environment.runner.quit()

    def _keep_small(self) -> None:
        while True:
            gevent.sleep(_PRUNE_EVERY)
            prune_stats(self._environment.stats, time.time())

    def _force_exit(self) -> None:
        logger.error("users or teardown code did not end in time: the process is ended")
        self.leave()
        os._exit(3)


def _sources() -> Sources:
    """Where Locust's settings came from: it has parsed them already, and kept no note of that."""
    parser = get_parser()
    parser.parse_args()
    sources: Sources = parser.get_source_to_settings_dict()
    return sources


def plan_from(environ: Mapping[str, str]) -> tuple[Plan, Path]:
    """The plan and the folder of the record, as the environment names them."""
    try:
        plan_path, folder = Path(environ["SEATRIAL_PLAN"]), Path(environ["SEATRIAL_LOAD_DIR"])
    except KeyError as error:
        raise SystemExit(f"{error.args[0]} is not set: this file rides along with a run") from None
    return Plan.model_validate_json(plan_path.read_text(encoding="utf-8")), folder


def ride_along(environ: Mapping[str, str]) -> Ride:
    """Hook into Locust's events, before the user's locustfile is loaded."""
    ride = Ride(environ)
    locust.events.init.add_listener(ride.board)  # type: ignore[no-untyped-call]
    locust.events.quit.add_listener(ride.leave)  # type: ignore[no-untyped-call]
    return ride
