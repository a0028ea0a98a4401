"""Leads the processes that make the load, and keeps the record. In Locust's process only.

One lead per run: in the only process of a generator, or in Locust's master, which makes no load.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import gevent
import gevent.event

from runner.load.gathering import Gathering
from runner.load.listener import LoadClock
from runner.load.ownshape import Wish
from runner.load.pilot import Pilot
from runner.load.seconds import SECONDS_FILE, STEPS_ASKED_FILE, SecondsWriter
from runner.model.arrivals import Line
from runner.model.plan import Plan

_LOOK_S = 0.05
_LEAD_S = 0.3
"""How long before its start a step is told, so that every worker knows it in time."""


class Hands(Protocol):
    """The processes that make the load, as their lead sees them."""

    def add_line(self, line: Line) -> None:
        """In a search: continue the schedule."""
        ...

    def turn_to(self, wish: Wish, from_s: float) -> None:
        """With a shape of the locustfile's own: follow ``wish`` from ``from_s`` on."""
        ...

    def drop_waiting(self) -> None:
        """In a search: give up arrivals that have not begun."""
        ...

    def finish(self) -> None:
        """In a search: no line follows."""
        ...


class Lead:
    """Writes the record and, in a search, carries out the steps that are asked for.

    Args:
        plan: What is followed.
        folder: Where ``seconds.jsonl`` is made, and where steps are asked for.
        clock: Of the load.
    """

    def __init__(self, plan: Plan, folder: Path, clock: LoadClock) -> None:
        self._plan = plan
        self._folder = folder
        self._clock = clock
        self._writer = SecondsWriter(folder / SECONDS_FILE, time.time)
        self._steering: gevent.Greenlet | None = None
        self.gathering = Gathering(self._writer)
        self.pilot: Pilot | None = None
        """Who asks the locustfile's own shape, if that is followed."""

    def open(self, hands: Hands) -> None:
        """Write down that offset 0 is set, and begin to steer if there is something to steer."""
        self.gathering.open(self._clock.started_wall_s or time.time())
        if self._plan.experiment.load.model == "search":
            self._steering = gevent.spawn(self._steer, hands)
        if self.pilot is not None:
            self._steering = gevent.spawn(self.pilot.steer, hands)

    def close(self) -> None:
        """Write what is left, and the end, if the load had a start."""
        if self._steering is not None:
            self._steering.kill()
        if self._clock.started:
            self.gathering.close()
            self._writer.end(
                complete=self.gathering.complete, interrupted=self.gathering.interrupted
            )

    def _steer(self, hands: Hands) -> None:
        for number, asked in enumerate(self._asked(), start=1):
            if "finish" in asked:
                self._writer.steps_over()
                hands.finish()
                return
            start_s = float(math.ceil(self._clock.offset_s() + _LEAD_S))
            rate, duration_s = asked["rate"], asked["duration_s"]
            self._writer.step(number, rate, start_s, duration_s)
            hands.add_line(Line(start_s, start_s + duration_s, rate, rate))
            gevent.sleep(max(0.0, start_s + duration_s - self._clock.offset_s()))
            hands.drop_waiting()
            self._drain(start_s + duration_s)
            self._writer.step_end(number, self.gathering.busy)

    def _drain(self, end_s: float) -> None:
        """Wait until everybody has reported the step's last second and no request is under way."""
        bound_s = end_s + self._plan.experiment.load.stop_timeout + 1.0
        while self._clock.offset_s() < bound_s:
            gathering = self.gathering
            if gathering.reported_s >= math.ceil(end_s) and gathering.busy == 0:
                return
            gevent.sleep(_LOOK_S)

    def _asked(self) -> Iterator[dict[str, Any]]:
        """Steps as they are asked for; ends never, because a search ends by a last word."""
        path, read = self._folder / STEPS_ASKED_FILE, 0
        while True:
            data = path.read_bytes()[read:] if path.exists() else b""
            whole = data[: data.rfind(b"\n") + 1]
            read += len(whole)
            yield from (json.loads(line) for line in whole.splitlines())
            gevent.sleep(_LOOK_S)
