"""A worker of a generator of several processes: one share of the load. In Locust's process only.

It gets the plan and its share from the one who leads (``crew``), follows them by itself, and says
each second what it saw.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent

from runner.load.arguments import not_given
from runner.load.generator import Generator
from runner.load.likeness import UNLIKE, print_of
from runner.load.ownshape import Wish
from runner.load.reporting import (
    DONE_MESSAGE,
    DROP_MESSAGE,
    FINISH_MESSAGE,
    GO_MESSAGE,
    LINE_MESSAGE,
    MASTER_SILENCE_S,
    PLAN_MESSAGE,
    READY_MESSAGE,
    REPORT_MESSAGE,
    SHARE_MESSAGE,
    STALL_S,
    STOP_MESSAGE,
    WISH_MESSAGE,
    to_message,
)
from runner.load.shape import Share
from runner.model.arrivals import Line
from runner.model.plan import Plan

logger = logging.getLogger("seatrial.load")

MOST_SAID = 300
"""Characters of what a worker says when it cannot take part."""

_LOOK_S = 0.2
_WATCH_S = 1.0
_MASTER_SLOW_S = 60.0
"""How long a master may be silent before there is a load: setup code may keep it busy."""


class Worker:
    """One worker, at the other end of the line.

    Args:
        environment: Locust's, with its worker runner.
        on_stuck: Ends the process by force.
        name: As its log is called; empty for one from elsewhere.
    """

    def __init__(self, environment: Any, on_stuck: Callable[[], None], name: str = "") -> None:
        self._environment = environment
        self._on_stuck = on_stuck
        self._name = name
        self._generator: Generator | None = None
        self._over = False
        runner = environment.runner
        for kind, listener in (
            (PLAN_MESSAGE, self._on_plan),
            (GO_MESSAGE, self._on_go),
            (SHARE_MESSAGE, self._on_share),
            (LINE_MESSAGE, self._on_line),
            (WISH_MESSAGE, self._on_wish),
            (DROP_MESSAGE, self._on_drop),
            (FINISH_MESSAGE, self._on_finish),
            (STOP_MESSAGE, self._on_stop),
        ):
            runner.register_message(kind, listener)
        # Before Locust's own word: a master that has lost its last worker hears nothing any more.
        environment.events.quitting.add_listener(self.leave)
        self._hear = runner.handle_message
        runner.handle_message = self._hear_but_no_orders
        self._heard_s: float | None = None
        self._listening = True
        gevent.spawn(self._watch_master)

    def stop(self) -> None:
        """End the load before its time; the master hears of it."""
        if self._generator is not None:
            self._generator.stop()

    def leave(self, **_: Any) -> None:
        """The process ends: what was recorded, and not yet sent, is sent now, and once."""
        generator, self._generator = self._generator, None
        if generator is not None and generator.clock.started and not generator.over:
            generator.stop()
            generator.report()
            self._send_done(generator)

    def _send(self, kind: str, data: dict[str, Any]) -> None:
        self._environment.runner.send_message(kind, data)

    def _hear_but_no_orders(self, msg: Any) -> None:
        """Once there is a plan, Locust's own distribution of users is not obeyed.

        It knows of no user: whenever a worker comes or goes, it would have everybody leave.
        """
        self._listening = False  # a test_start of the locustfile may take its time in here
        try:
            if msg.type != "spawn" or self._generator is None:
                self._hear(msg)
        finally:
            self._listening, self._heard_s = True, time.monotonic()

    def _on_plan(self, environment: Any, msg: Any, **_: Any) -> None:
        gevent.spawn(self._take_part, msg.data)

    def _take_part(self, data: dict[str, Any]) -> None:
        try:
            self._prepare(data)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"[:MOST_SAID]
            self._send(READY_MESSAGE, {"name": self._name, "refusal": why})
            raise

    def _prepare(self, data: dict[str, Any]) -> None:
        plan = Plan.model_validate_json(data["plan"])
        self._environment.stop_timeout = plan.experiment.load.stop_timeout
        self._generator = generator = Generator(
            self._environment,
            plan,
            data["host"],
            send=lambda report: self._send(REPORT_MESSAGE, to_message(report)),
            on_orphaned=self._orphaned,
            on_stuck=self._on_stuck,
            workers=data["count"],
        )
        if lacking := not_given(sys.argv, plan.generator.arguments):
            generator.listener.note(lacking)
        if data["files"] != print_of(self._environment.parsed_locustfiles):
            generator.listener.note(UNLIKE)
        generator.assign(Share(data["index"], data["count"]))
        generator.prepare()
        self._send(READY_MESSAGE, {"name": self._name})

    def _on_go(self, environment: Any, msg: Any, **_: Any) -> None:
        gevent.spawn(self._follow, msg.data["in_s"])

    def _follow(self, in_s: float) -> None:
        generator = self._generator
        if generator is None:
            return
        generator.follow(in_s)
        self._send_done(generator)

    def _send_done(self, generator: Generator) -> None:
        if self._over:
            return
        self._over = True
        done = {"complete": generator.complete, "interrupted": generator.interrupted}
        self._send(DONE_MESSAGE, done)

    def _on_share(self, environment: Any, msg: Any, **_: Any) -> None:
        if self._generator is not None:
            data = msg.data
            self._generator.assign(Share(data["index"], data["count"], data["from_s"]))

    def _on_line(self, environment: Any, msg: Any, **_: Any) -> None:
        if self._generator is not None:
            self._generator.add_line(Line(*msg.data["line"]))

    def _on_wish(self, environment: Any, msg: Any, **_: Any) -> None:
        if self._generator is not None:
            users, spawn_rate, classes = msg.data["wish"]
            names = None if classes is None else tuple(classes)
            self._generator.turn_to(Wish(users, spawn_rate, names), msg.data["from_s"])

    def _on_drop(self, environment: Any, msg: Any, **_: Any) -> None:
        if self._generator is not None:
            self._generator.drop_waiting()

    def _on_finish(self, environment: Any, msg: Any, **_: Any) -> None:
        if self._generator is not None:
            self._generator.finish()

    def _on_stop(self, environment: Any, msg: Any, **_: Any) -> None:
        self.stop()

    def _orphaned(self) -> None:
        self.stop()
        gevent.spawn(self._quit_soon)

    def _quit_soon(self) -> None:
        bound_s = time.monotonic() + MASTER_SILENCE_S
        while time.monotonic() < bound_s and not (self._generator is None or self._generator.over):
            gevent.sleep(_LOOK_S)
        self._environment.runner.quit()

    def _watch_master(self) -> None:
        """Nobody must keep a target under load for a master that is gone."""
        while True:
            slept_s = time.monotonic()
            gevent.sleep(_WATCH_S)
            stalled_s = time.monotonic() - slept_s - _WATCH_S
            if self._heard_s is None or not self._listening:
                continue
            if stalled_s > STALL_S:
                self._heard_s += stalled_s
            going = self._generator is not None and self._generator.clock.started
            limit_s = MASTER_SILENCE_S if going else _MASTER_SLOW_S
            if time.monotonic() - self._heard_s > limit_s:
                logger.error("the master is silent: the load is ended")
                self._orphaned()
                return
