"""The open model on paper: what becomes of arrivals. Part of the shipped doubles.

Every request takes the same time, and a pool of users serves arrivals in order: one that finds all
of them busy waits for the first who comes free, or is dropped, at the latest when the load ends.
No chance, no file, no clock.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Sequence

from runner.model.arrivals import Schedule, lines_of
from runner.model.histogram import bucket_of
from runner.model.plan import Plan
from runner.model.recording import ArrivalSecond

Times = tuple[int, int]
"""Response time and service time in microseconds."""


class FakeArrivals:
    """Follows the schedule of a plan with rates, second by second from the first.

    Args:
        plan: Has stages with rates.
        service_us: What every request takes from its send.
        share: How many of the planned arrivals are offered.
    """

    def __init__(self, plan: Plan, service_us: int, share: float = 1.0) -> None:
        self._schedule = Schedule(lines_of(plan.stages))
        self._service_us = service_us
        self._share = share
        self._max_wait_s = plan.experiment.load.max_wait
        self._free = [0.0] * plan.max_in_flight
        self._number = 1
        self._counts: dict[int, Counter[str]] = {}
        self._end_s = plan.duration_s

    def second(self, second: int) -> tuple[Sequence[Times], ArrivalSecond]:
        """The requests that were due in ``second`` and sent, and what became of arrivals in it."""
        sent: list[Times] = []
        due_s = self._schedule.due_s(self._number)
        while due_s is not None and due_s < second + 1:
            if int(self._number * self._share) > int((self._number - 1) * self._share):
                sent += self._arrive(due_s)
            self._number += 1
            due_s = self._schedule.due_s(self._number)
        seen = self._counts.pop(second, Counter())
        punctual = seen["started"] - seen["waited"]
        return sent, ArrivalSecond(
            offered=seen["offered"],
            started=seen["started"],
            waited=seen["waited"],
            dropped=seen["dropped"],
            completed=seen["completed"],
            late_us={bucket_of(0): punctual} if punctual else {},
        )

    def _arrive(self, due_s: float) -> list[Times]:
        self._count(due_s, "offered")
        start_s = max(due_s, self._free[0])
        gives_up_s = min(due_s + self._max_wait_s, self._end_s)
        if start_s > gives_up_s:
            self._count(gives_up_s, "dropped")
            return []
        end_s = start_s + self._service_us / 1e6
        heapq.heapreplace(self._free, end_s)
        self._count(start_s, "started")
        self._count(end_s, "completed")
        if start_s > due_s:
            self._count(start_s, "waited")
        return [(round((end_s - due_s) * 1e6), self._service_us)]

    def _count(self, at_s: float, what: str) -> None:
        # What happens after the end is on record in the last second.
        second = min(int(at_s), math.ceil(self._end_s) - 1)
        self._counts.setdefault(second, Counter())[what] += 1
