"""A generator of several processes: Locust's master leads, its workers make the load.

Locust's connection between them is used, its distribution of users is not: each worker gets the
plan and a share, "number i of n", and follows it by itself, so that the shape is the same with any
number of workers, and no ramp waits for a message. When a worker is lost, the others get new
shares at once. In Locust's processes only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import gevent
import gevent.event

from runner.load.gathering import Gathering
from runner.load.likeness import print_of
from runner.load.listener import LoadClock
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
    from_message,
)
from runner.model.arrivals import Line
from runner.model.plan import Plan

logger = logging.getLogger("seatrial.load")

_GO_IN_S = 0.5
"""How long after the word every worker starts: all have it by then."""

_SHARE_IN_S = 0.5
_LOOK_S = 0.2
_READY_LIMIT_S = 120.0


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
        self._full = False
        self._stopping = False
        self._left = False
        self._failure: Exception | None = None
        self._refusals: list[str] = []
        self._early: set[str] = set()
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
            RuntimeError: When a worker says that it cannot take part.
            TimeoutError: When a worker does not get ready.
        """
        members = sorted(self._runner.clients, key=self._runner.get_worker_index)
        self._full = True
        plan = self._plan.model_dump_json(by_alias=True)
        files = print_of(self._runner.environment.parsed_locustfiles)
        for index, member in enumerate(members):
            data = {"plan": plan, "host": self._host, "index": index, "count": len(members)}
            data["files"] = files
            self._send(PLAN_MESSAGE, data, member)
        deadline_s = time.monotonic() + _READY_LIMIT_S
        while len(self._ready) < len(members) and not stop.is_set():
            if self._refusals:
                raise RuntimeError(f"a worker cannot take part: {self._refusals[0]}")
            if time.monotonic() > deadline_s:
                missing = len(members) - len(self._ready)
                raise TimeoutError(
                    f"{missing} of {len(members)} workers were not ready within {_READY_LIMIT_S:g}s"
                )
            stop.wait(_LOOK_S)

    def go(self, gathering: Gathering, clock: LoadClock, on_start: Callable[[], None]) -> None:
        """Start the load; ``on_start`` is called as soon as offset 0 is set."""
        self._gathering, self._clock = gathering, clock
        self._names = _numbered(self._ready, self._plan.generator.workers)
        clock.start(_GO_IN_S)
        on_start()
        for member, name in self._names.items():
            gathering.join(name, clock.offset_s())
            self._send(GO_MESSAGE, {"in_s": _GO_IN_S}, member)
        for member in self._early:
            self._tell_late(member, gathering)

    def follow(self, stop: gevent.event.Event) -> None:
        """Watch the workers until all of them are done, lost, or overdue."""
        gathering = self._gathering
        if gathering is None:
            raise RuntimeError("the crew was not sent off")
        load = self._plan.experiment.load
        bound_s = self._plan.duration_s + load.stop_timeout + _READY_LIMIT_S
        looked_s = self._clock.offset_s()
        while gathering.working and (now_s := self._clock.offset_s()) < bound_s:
            if now_s - looked_s > STALL_S:
                gathering.excuse(now_s - looked_s)
            looked_s = now_s
            if self._failure is not None:
                logger.error("no record can be kept (%s): the load is ended", self._failure)
                stop.set()
            if stop.is_set() and not self._stopping:
                self._stopping = True
                self._tell_all(STOP_MESSAGE)
                bound_s = now_s + MASTER_SILENCE_S
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
        if not self._full or client_id in self._names or client_id in self._ready:
            return
        gevent.spawn_later(_LOOK_S, self._runner.send_message, "quit", None, client_id)
        if self._gathering is None:
            self._early.add(client_id)
        else:
            self._tell_late(client_id, self._gathering)

    def _tell_late(self, client_id: str, gathering: Gathering) -> None:
        name = str(len(self._names) + 1)
        self._names[client_id] = name
        gathering.tell(max(0, int(self._clock.offset_s())), name, "late")

    def _on_ready(self, environment: Any, msg: Any, **_: Any) -> None:
        if refusal := msg.data.get("refusal"):
            self._refusals.append(refusal)
        else:
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
