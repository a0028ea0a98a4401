"""The load of a run folder in the open model: arrivals that find a pool of users, or do not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heapreplace
from itertools import count
from typing import Any

from runner.model.arrivals import Schedule, lines_of
from runner.model.histogram import bucket_of
from runner.model.plan import Plan

Answer = Callable[[float], tuple[str, str, float]]
"""Endpoint, outcome and service time of a request that is sent at an offset."""


class OpenLoad:
    """Follows the arrivals of ``plan`` through its pool, second by second.

    Args:
        plan: Has stages with rates.
        answer: What a request meets.
        stall: Start and end of a time in which nobody is answered.
        rng: How late the generator is.
    """

    def __init__(
        self, plan: Plan, answer: Answer, stall: tuple[float, float], rng: random.Random
    ) -> None:
        self.rows: dict[int, dict[tuple[str, str], tuple[Counter[int], Counter[int]]]] = {}
        self.arrivals: dict[int, Counter[str]] = {}
        self.late: dict[int, Counter[int]] = {}
        free = [0.0] * plan.max_in_flight
        heapify(free)
        for due_s in _moments(Schedule(lines_of(plan.stages))):
            self._count(due_s, "offered")
            start_s = max(due_s + rng.uniform(0.0001, 0.0009), free[0])
            if start_s - due_s > plan.experiment.load.max_wait:
                self._count(due_s + plan.experiment.load.max_wait, "dropped")
                continue
            endpoint, outcome, service_s = answer(start_s)
            end_s = start_s + service_s
            if start_s < stall[1] and end_s > stall[0]:
                end_s = stall[1] + service_s
            waited = start_s == free[0]
            heapreplace(free, end_s)
            self._count(start_s, "started")
            self._count(end_s, "completed")
            if waited:
                self._count(start_s, "waited")
            else:
                late = bucket_of(1e6 * (start_s - due_s))
                self.late.setdefault(int(start_s), Counter())[late] += 1
            kinds = self.rows.setdefault(int(due_s), {})
            response, service = kinds.setdefault((endpoint, outcome), (Counter(), Counter()))
            response[bucket_of(1e6 * (end_s - due_s))] += 1
            service[bucket_of(1e6 * (end_s - start_s))] += 1

    def _count(self, at_s: float, what: str) -> None:
        self.arrivals.setdefault(int(at_s), Counter())[what] += 1

    def of_second(self, second: int) -> tuple[list[Sequence[Any]], dict[str, Any]]:
        """Rows and arrivals as the record has them."""
        rows: list[Sequence[Any]] = [
            [*kind, *(sorted(times.items()) for times in both)]
            for kind, both in sorted(self.rows.get(second, {}).items())
        ]
        names = ("offered", "started", "waited", "dropped", "completed")
        seen = self.arrivals.get(second, Counter())
        late = sorted(self.late.get(second, Counter()).items())
        return rows, {**{name: seen[name] for name in names}, "late": late}


def _moments(schedule: Schedule) -> Iterator[float]:
    for number in count(1):
        due_s = schedule.due_s(number)
        if due_s is None:
            return
        yield due_s
