"""Asks a locustfile's own load shape what it wants, and tells those who make the load.

In Locust's process only; where there are workers, in the master alone. The shape finds what it
would find under plain Locust: its runner, its run time, the options. In a rehearsal its clock runs
faster by as much as durations are shortened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import gevent

from runner.load.listener import LoadClock
from runner.load.ownshape import Wish, choose_shape, read_tick
from runner.model.plan import Plan
from runner.model.recording import SHAPE_ENDED

logger = logging.getLogger("seatrial.load")

WISH_AHEAD_S = 0.3
"""How long before it holds a wish is told to workers, so that all of them know it in time."""

_TICK_S = 1.0
_LEAST_TICK_S = 0.02
_AT_ONCE = 1e9
_EARLY_S = 1.5  # a shape that ends within its last tick has ended in time


class Followers(Protocol):
    """Those who make the load, as the pilot sees them."""

    def turn_to(self, wish: Wish, from_s: float) -> None:
        """Follow ``wish`` from ``from_s`` on."""
        ...


class Pilot:
    """Follows the one load shape of a locustfile's own.

    Args:
        environment: Locust's, with its runner.
        plan: What is followed, with ``shape: own``.
        clock: Of the load.
        note: Puts a sentence on record.
        abandon: Ends the load before its time.
        ahead_s: How long before it holds a wish is told.

    Raises:
        ValueError: When the locustfile has no shape, or several.
    """

    def __init__(
        self,
        environment: Any,
        plan: Plan,
        clock: LoadClock,
        *,
        note: Callable[[str], None],
        abandon: Callable[[], None],
        ahead_s: float = 0.0,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._note = note
        self._abandon = abandon
        self._ahead_s = ahead_s
        self._known = [kind.__name__ for kind in environment.runner.user_classes]
        ours = type(environment.shape_class).__name__
        self._shape: Any = choose_shape(
            environment.available_shape_classes or {}, [ours, "Default"]
        )
        self._shape.runner = environment.runner
        if plan.rehearsal:
            _quicken(self._shape, plan.time_scale)

    def count_by(self, users: Callable[[], int]) -> None:
        """Let the shape see so many users; what Locust's master counts by itself is seconds old."""
        self._shape.get_current_user_count = users

    def steer(self, followers: Followers) -> None:
        """Ask and tell until the shape is over; from offset 0 on."""
        gevent.sleep(max(0.0, -self._ahead_s - self._clock.offset_s()))
        self._shape.reset_time()
        told: Wish | None = None
        number = 0
        while True:
            try:
                wish = read_tick(self._shape.tick(), self._known)
            except Exception as error:
                logger.exception("the locustfile's load shape failed")
                said = f"{type(error).__name__}: {error}".removeprefix("ValueError: ")
                self._note(f"the locustfile's load shape failed: {said}")
                self._abandon()
                return
            if wish is None:
                self._end(followers)
                return
            if wish != told:
                followers.turn_to(_scaled(wish, self._plan.time_scale), self._now_s())
                told = wish
            number += 1
            tick_s = max(_LEAST_TICK_S, _TICK_S * self._plan.time_scale)
            gevent.sleep(max(0.0, number * tick_s - self._now_s()))

    def _end(self, followers: Followers) -> None:
        offset_s, planned_s = self._clock.offset_s(), self._plan.duration_s
        followers.turn_to(Wish(0, _AT_ONCE), self._now_s())
        if planned_s - offset_s > _EARLY_S:
            self._note(f"{SHAPE_ENDED} at {offset_s:.0f} s of {planned_s:g} s")

    def _now_s(self) -> float:
        return self._clock.offset_s() + self._ahead_s


def _scaled(wish: Wish, time_scale: float) -> Wish:
    return Wish(wish.users, wish.spawn_rate / time_scale, wish.classes)


def _quicken(shape: Any, time_scale: float) -> None:
    run_time_s = shape.get_run_time
    shape.get_run_time = lambda: run_time_s() / time_scale
