"""Moves users as a locustfile's own shape wants it. In Locust's process only.

The shape itself is asked elsewhere, once for all processes (``runner.load.pilot``); here its wishes
are followed, from the offset at which each of them holds.
"""

from __future__ import annotations

import math
from typing import Any

import gevent
import gevent.event

from runner.load.listener import LoadClock
from runner.load.ownshape import Approach, Roster, Wish
from runner.load.population import Population
from runner.load.shape import Share, share_at
from runner.model.plan import Plan

_MIN_STEP_S = 0.002
_MAX_STEP_S = 0.25
_SWEEP_S = 1.0


class ShapeDriver:
    """The closed model with the locustfile's shape in place of stages; a ``drivers.Driver``."""

    busy = 0

    def __init__(self, plan: Plan, runner: Any, clock: LoadClock, population: Population) -> None:
        self._plan = plan
        self._clock = clock
        self._population = population
        classes = runner.user_classes
        self._roster = Roster(
            {kind.__name__: kind.weight for kind in classes if not kind.fixed_count},
            {kind.__name__: kind.fixed_count for kind in classes if kind.fixed_count},
        )
        self._approach = Approach()
        self._shares = [Share()]
        self._wishes: list[tuple[float, Wish]] = []
        self._news = gevent.event.Event()

    @property
    def users(self) -> int:
        return self._population.size

    @property
    def interrupted(self) -> int:
        return self._population.interrupted

    def wanted_at(self, offset_s: float) -> int:
        """Users that all processes together should run."""
        return self._approach.due(offset_s)

    def assign(self, share: Share) -> None:
        self._shares.append(share)

    def turn_to(self, wish: Wish, from_s: float) -> None:
        """Follow ``wish`` from ``from_s`` on."""
        self._wishes.append((from_s, wish))
        self._news.set()

    def prepare(self) -> None:
        pass

    def follow(self, stop: gevent.event.Event) -> bool:
        swept_s = 0.0
        while not stop.is_set():
            self._news.clear()
            offset_s = self._clock.offset_s()
            if offset_s >= self._plan.duration_s:
                return True
            if offset_s - swept_s >= _SWEEP_S:
                self._population.sweep()
                swept_s = offset_s
            self._take_wishes(offset_s)
            share = share_at(self._shares, offset_s)
            due = self._approach.due(offset_s)
            there = self._population.follow(self._roster.wanted(due, share))
            next_s = min(
                self._approach.next_change_s(offset_s) if there else offset_s,
                self._wishes[0][0] if self._wishes else math.inf,
                self._plan.duration_s,
            )
            wait_s = min(max(next_s - self._clock.offset_s(), _MIN_STEP_S), _MAX_STEP_S)
            gevent.wait([stop, self._news], timeout=wait_s, count=1)
        return False

    def dismiss(self, grace_s: float) -> None:
        self._population.dismiss(grace_s)

    def _take_wishes(self, offset_s: float) -> None:
        while self._wishes and self._wishes[0][0] <= offset_s:
            from_s, wish = self._wishes.pop(0)
            self._approach.turn_to(wish, from_s)
            self._roster.allow(wish.classes)
