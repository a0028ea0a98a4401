"""A generator of several processes: Locust's master leads, its workers make the load.

Locust's connection between them is used, its distribution of users is not: each worker gets the
plan and a share, "number i of n", and follows it by itself, so that the shape is the same with any
number of workers, and no ramp waits for a message. When a worker is lost, the others get new
shares at once. In Locust's processes only.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import gevent
import gevent.event

from runner.load.arguments import not_given
from runner.load.gathering import Gathering
from runner.load.generator import Generator
from runner.load.likeness import UNLIKE, print_of
from runner.load.listener import LoadClock
from runner.load.ownshape import Wish
from runner.load.reporting import (
    DONE_MESSAGE,
    DROP_MESSAGE,
    FINISH_MESSAGE,
    GO_MESSAGE,
    LINE_MESSAGE,
    PLAN_MESSAGE,
    READY_MESSAGE,
    REPORT_MESSAGE,
    SHARE_MESSAGE,
    STOP_MESSAGE,
    WISH_MESSAGE,
    from_message,
    to_message,
)
from runner.load.shape import Share
from runner.model.arrivals import Line
from runner.model.plan import Plan

logger = logging.getLogger("seatrial.load")

_GO_IN_S = 0.5
"""How long after the word every worker starts: all have it by then."""

_SHARE_IN_S = 0.5
_LOOK_S = 0.2
_READY_LIMIT_S = 120.0
_WATCH_S = 1.0
_STALL_S = 1.0
"""Who slept for so much longer than he wanted to has heard nobody, and blames nobody."""

_MASTER_SILENCE_S = 5.0
"""A worker that hears nothing from its master for this long ends its load."""

_MASTER_SLOW_S = 60.0
"""The same before there is a load: setup code in a locustfile may keep a master busy."""


class Crew:
    """The workers, as Locust's master sees them.

    Args:
        runner: Locust's master.
        plan: What they follow.
        host: Host header for users who set none themselves.
    """

    def __init__(self, runner: Any, plan: Plan, host: str) -> None:
        self._runner = runner
        self._plan = plan
        self._host = host
        self._names: dict[str, str] = {}
        self._ready: dict[str, str] = {}
        self._gathering: Gathering | None = None
        self._clock = LoadClock()
        self._going = False
        self._stopping = False
        self._left = False
        self._failure: Exception | None = None
        for kind, listener in (
            (READY_MESSAGE, self._on_ready),
            (REPORT_MESSAGE, self._on_report),
            (DONE_MESSAGE, self._on_done),
        ):
            runner.register_message(kind, listener)
        runner.environment.events.worker_connect.add_listener(self._on_connect)

    def prepare(self, stop: gevent.event.Event) -> None:
        """Give every worker the plan and its share; returns when all are ready, or at ``stop``.

        Raises:
            TimeoutError: When a worker does not get ready.
        """
        members = sorted(self._runner.clients, key=self._runner.get_worker_index)
        plan = self._plan.model_dump_json(by_alias=True)
        files = print_of(self._runner.environment.parsed_locustfiles)
        for index, member in enumerate(members):
            data = {"plan": plan, "host": self._host, "index": index, "count": len(members)}
            data["files"] = files
            self._send(PLAN_MESSAGE, data, member)
        deadline_s = time.monotonic() + _READY_LIMIT_S
        while len(self._ready) < len(members) and not stop.is_set():
            if time.monotonic() > deadline_s:
                missing = len(members) - len(self._ready)
                raise TimeoutError(
                    f"{missing} of {len(members)} workers were not ready within {_READY_LIMIT_S:g}s"
                )
            stop.wait(_LOOK_S)

    def go(self, gathering: Gathering, clock: LoadClock, on_start: Callable[[], None]) -> None:
        """Start the load; ``on_start`` is called as soon as offset 0 is set."""
        self._gathering, self._clock, self._going = gathering, clock, True
        self._names = _numbered(self._ready, self._plan.generator.workers)
        clock.start(_GO_IN_S)
        on_start()
        for member, name in self._names.items():
            gathering.join(name, clock.offset_s())
            self._send(GO_MESSAGE, {"in_s": _GO_IN_S}, member)

    def follow(self, stop: gevent.event.Event) -> None:
        """Watch the workers until all of them are done, lost, or overdue."""
        gathering = self._gathering
        if gathering is None:
            raise RuntimeError("the crew was not sent off")
        load = self._plan.experiment.load
        bound_s = self._plan.duration_s + load.stop_timeout + _READY_LIMIT_S
        looked_s = self._clock.offset_s()
        while gathering.working and (now_s := self._clock.offset_s()) < bound_s:
            if now_s - looked_s > _STALL_S:
                gathering.excuse(now_s - looked_s)
            looked_s = now_s
            if self._failure is not None:
                logger.error("no record can be kept (%s): the load is ended", self._failure)
                stop.set()
            if stop.is_set() and not self._stopping:
                self._stopping = True
                self._tell_all(STOP_MESSAGE)
                bound_s = now_s + _MASTER_SILENCE_S
            left, self._left = self._left, False
            if gathering.silent(now_s) or left:
                self._share_out(gathering)
            gevent.sleep(_LOOK_S)
        if self._failure is not None:
            raise self._failure
        for name in gathering.working:
            gathering.lose(name, self._clock.offset_s())

    def add_line(self, line: Line) -> None:
        values = [line.start_s, line.end_s, line.rate_from, line.rate_to]
        self._tell_all(LINE_MESSAGE, {"line": values})

    def turn_to(self, wish: Wish, from_s: float) -> None:
        classes = None if wish.classes is None else list(wish.classes)
        values = [wish.users, wish.spawn_rate, classes]
        self._tell_all(WISH_MESSAGE, {"wish": values, "from_s": from_s})

    def drop_waiting(self) -> None:
        self._tell_all(DROP_MESSAGE)

    def finish(self) -> None:
        self._tell_all(FINISH_MESSAGE)

    def _share_out(self, gathering: Gathering) -> None:
        """Give those who are left the whole load."""
        left = gathering.working
        from_s = self._clock.offset_s() + _SHARE_IN_S
        for member, name in self._names.items():
            if name in left:
                data = {"index": left.index(name), "count": len(left), "from_s": from_s}
                self._send(SHARE_MESSAGE, data, member)

    def _tell_all(self, kind: str, data: dict[str, Any] | None = None) -> None:
        working = self._gathering.working if self._gathering is not None else ()
        for member, name in self._names.items():
            if name in working:
                self._send(kind, data or {}, member)

    def _send(self, kind: str, data: dict[str, Any], member: str) -> None:
        self._runner.send_message(kind, data, client_id=member)

    def _on_connect(self, client_id: str, **_: Any) -> None:
        if self._going and client_id not in self._names and self._gathering is not None:
            name = str(len(self._names) + 1)
            self._names[client_id] = name
            self._gathering.tell(max(0, int(self._clock.offset_s())), name, "late")
            gevent.spawn_later(_LOOK_S, self._runner.send_message, "quit", None, client_id)

    def _on_ready(self, environment: Any, msg: Any, **_: Any) -> None:
        self._ready[msg.node_id] = msg.data["name"]

    def _on_report(self, environment: Any, msg: Any, **_: Any) -> None:
        name = self._names.get(msg.node_id)
        if name is None or self._gathering is None:
            return
        now_s = self._clock.offset_s()
        try:
            welcome = self._gathering.add(name, from_message(msg.data), now_s)
        except Exception as error:
            self._failure = error  # Locust would log it, each second, and go on
            raise
        if not welcome:
            self._send(STOP_MESSAGE, {}, msg.node_id)
            self._gathering.back(name, now_s)

    def _on_done(self, environment: Any, msg: Any, **_: Any) -> None:
        name = self._names.get(msg.node_id)
        if name is None or self._gathering is None:
            return
        complete = msg.data["complete"]
        if not complete and not self._stopping and name in self._gathering.working:
            # It left by itself: a locustfile may say so, in one process of several.
            self._gathering.lose(name, self._clock.offset_s())
            self._left = True
        self._gathering.done(name, complete=complete, interrupted=msg.data["interrupted"])


def _numbered(told: Mapping[str, str], here: int) -> dict[str, str]:
    """Member to name, in order: as its log is called, or a number after those ``here``."""
    logs = {str(number) for number in range(1, here + 1)}
    others = count(here + 1)
    names = {}
    for member, name in told.items():
        names[member] = name if name in logs else str(next(others))
        logs.discard(name)
    return dict(sorted(names.items(), key=lambda item: int(item[1])))


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
        gevent.spawn(self._prepare, msg.data)

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
        bound_s = time.monotonic() + _MASTER_SILENCE_S
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
            if stalled_s > _STALL_S:
                self._heard_s += stalled_s
            going = self._generator is not None and self._generator.clock.started
            limit_s = _MASTER_SILENCE_S if going else _MASTER_SLOW_S
            if time.monotonic() - self._heard_s > limit_s:
                logger.error("the master is silent: the load is ended")
                self._orphaned()
                return
