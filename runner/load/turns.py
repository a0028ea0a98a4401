"""Which arrivals are this process's, and when the next one is due. Pure.

Arrivals are numbered over the whole run, and a share of "number i of n" takes every n-th of them.
When shares change at an offset, an arrival belongs to the share that holds at its due moment: of
processes that all know the new shares by then, none takes what another takes, and nothing is left
out.
"""

from __future__ import annotations

from runner.load.shape import Share
from runner.model.arrivals import Schedule, next_number


class Turns:
    """Goes through the arrivals of one process.

    Args:
        schedule: Of all arrivals; lines may be added to it later.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._shares = [Share()]
        self._next = 1

    def assign(self, share: Share) -> None:
        """Take this share from its offset on, which is not before that of the last one."""
        self._shares.append(share)

    def due_s(self, now_s: float) -> float | None:
        """When the next arrival is due; None when none is known at ``now_s``."""
        due_s = self._schedule.due_s(self._next)
        # At an arrival's due moment, not at ours: no arrival falls between two shares.
        while len(self._shares) > 1 and self._shares[1].from_s <= (
            now_s if due_s is None else due_s
        ):
            self._shares.pop(0)
            share = self._shares[0]
            first = self._schedule.first_from(share.from_s)
            self._next = next_number(first, share.index, share.count)
            due_s = self._schedule.due_s(self._next)
        return due_s

    def take(self) -> None:
        """Go on to the arrival after the next one."""
        self._next += self._shares[0].count
