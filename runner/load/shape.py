"""Whom to have running when: the plan's stages as whole users, and which kind of user. Pure.

A ramp is a straight line; the k-th user starts where the line crosses ``k - 1/2``, so that the
number of users is never more than half a user off and users start spread out, not in batches.
Users are numbered, and user number ``k`` is always of the same class: several workers that deal the
numbers among themselves run together exactly what one would run alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from runner.model.plan import Plan

_SOON_S = 0.001
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the load that a process makes: number ``index`` of ``count``, from 0.

    Attributes:
        from_s: Offset from which it holds.
    """

    index: int = 0
    count: int = 1
    from_s: float = 0.0


def share_at(shares: list[Share], offset_s: float) -> Share:
    """The share that holds at ``offset_s``; those before it are taken out of ``shares``."""
    while len(shares) > 1 and shares[1].from_s <= offset_s:
        shares.pop(0)
    return shares[0]


def users_due(plan: Plan, offset_s: float) -> int | None:
    """Users that should run at ``offset_s``; None when the load is over."""
    if offset_s >= plan.duration_s:
        return None
    line = plan.users_at(max(0.0, offset_s))
    stage = plan.stage_at(offset_s)
    # On the half, a ramp has made its step, up or down.
    down = stage is not None and stage.users_to < stage.users_from
    return math.ceil(line - 0.5) if down else math.floor(line + 0.5)


def next_change_s(plan: Plan, offset_s: float) -> float:
    """An offset after ``offset_s`` up to which :func:`users_due` surely stays what it is.

    Past the end of the load, that end.
    """
    stage = plan.stage_at(offset_s)
    if stage is None:
        return plan.duration_s
    if offset_s >= stage.ramp_end_s:
        return stage.end_s
    users = users_due(plan, offset_s) or 0
    up = stage.users_to >= stage.users_from
    edge = users + 0.5 if up else users - 0.5
    crossing_s = stage.start_s + abs(edge - stage.users_from) / stage.spawn_rate
    # Rounding may put the crossing just behind us: then look again soon.
    return min(crossing_s if crossing_s > offset_s else offset_s + _SOON_S, stage.ramp_end_s)


class Cast:
    """Which class each user is of, by its number.

    Args:
        weights: Class name to weight, of classes without a fixed count.
        fixed: Class name to fixed count.
    """

    def __init__(self, weights: Mapping[str, float], fixed: Mapping[str, int]) -> None:
        self._weights = weights
        self._fixed = fixed
        self._known: list[str] = []
        self._counts: Counter[str] = Counter()

    def class_of(self, number: int) -> str | None:
        """The class of user ``number``, from 0; None when no class wants that many."""
        while len(self._known) <= number:
            name = class_to_start(self._counts, self._weights, self._fixed)
            if name is None:
                return None
            self._known.append(name)
            self._counts[name] += 1
        return self._known[number]

    def wanted(self, users: int, share: Share) -> Counter[str]:
        """Class name to users that ``share`` has to run, of ``users`` in all."""
        if users > 0:
            self.class_of(users - 1)
        return Counter(self._known[share.index : users : share.count])


def places_of(cast: Cast, share: Share, size: int) -> list[str]:
    """The classes of a pool of ``size`` users, in the order in which arrivals are dealt to them.

    Over as many arrivals as there are places, every class gets its part, whoever is quick and
    whoever is slow; and nearly so over fewer, because places follow each other in steps of the
    golden section, which spreads those that are alike.

    Args:
        cast: Which class each user is of; users are numbered over all processes.
        share: Which of the numbers are this process's.
        size: Its part of the pool; fewer places when no class wants that many.
    """
    step = max(1, round(size * _GOLDEN_RATIO))
    while math.gcd(step, size) > 1:
        step += 1
    numbers = (share.index + share.count * (place * step % size) for place in range(size))
    return [name for number in numbers if (name := cast.class_of(number)) is not None]


def class_to_start(
    running: Mapping[str, int], weights: Mapping[str, float], fixed: Mapping[str, int]
) -> str | None:
    """The user class whose turn it is: fixed ones first, then by weight (Sainte-Laguë).

    Args:
        running: Class name to running users.
        weights: Class name to weight, of classes without a fixed count.
        fixed: Class name to fixed count.

    Returns:
        None when only fixed classes exist and all of them run in full.
    """
    for name in sorted(fixed):
        if running.get(name, 0) < fixed[name]:
            return name
    if not weights:
        return None
    return min(sorted(weights), key=lambda name: (running.get(name, 0) + 0.5) / weights[name])
