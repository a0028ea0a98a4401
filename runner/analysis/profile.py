"""The shape of a load: its plateaus, and the spike in them, if any. Pure; nothing is judged.

A plateau is the time at one level of load: users in the closed model, arrivals per second in the
open one. Stages that go on at the level of the one before are one plateau with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from runner.analysis.words import count, figure
from runner.model.feasibility import BACK_FACTOR, SPIKE_FACTOR
from runner.model.plan import Plan, PlannedStage

Unit = Literal["users", "per_s"]

SHORTEST_S = 1.0
"""The record counts in whole seconds: what is shorter is no plateau."""


@dataclass(frozen=True, slots=True)
class Plateau:
    """One level of load.

    Attributes:
        index: Its place among the plateaus of the plan, from 0.
        from_s: Where the way to it begins, though not before the warmup ends.
        start_s: Where its level is reached, likewise.
        end_s: Where it ends.
        level: Users, or arrivals per second.
        unit: What ``level`` counts.
    """

    index: int
    from_s: float
    start_s: float
    end_s: float
    level: float
    unit: Unit

    @property
    def name(self) -> str:
        """Its level in words: ``500 users``, ``200 requests/s``."""
        return level_name(self.level, self.unit)


def level_name(level: float, unit: str) -> str:
    """A level of load in words."""
    return count(level, "user") if unit == "users" else f"{figure(level, 'count')} requests/s"


def plateaus(plan: Plan) -> tuple[Plateau, ...]:
    """The plateaus of ``plan`` at which there is load, in order; none when nobody knows them."""
    warm_s = max((phase.end_s for phase in plan.phases_named("warmup")), default=0.0)
    found: list[Plateau] = []
    going_on = False
    for stage in plan.stages:
        one = _plateau(stage, len(found))
        same = going_on and found[-1].level == one.level
        if same:
            found[-1] = replace(found[-1], end_s=one.end_s)
        elif one.level > 0:
            found.append(one)
        going_on = one.level > 0
    warm = [
        replace(one, from_s=max(one.from_s, warm_s), start_s=max(one.start_s, warm_s))
        for one in found
        if one.end_s - max(one.start_s, warm_s) >= SHORTEST_S
    ]
    return tuple(replace(one, index=index) for index, one in enumerate(warm))


def _plateau(stage: PlannedStage, index: int) -> Plateau:
    unit: Unit = "per_s" if stage.rate_to or stage.rate_from else "users"
    level = stage.rate_to if unit == "per_s" else float(stage.users_to)
    return Plateau(index, stage.start_s, stage.ramp_end_s, stage.end_s, level, unit)


def varied(found: Sequence[Plateau]) -> tuple[Plateau, ...]:
    """``found`` when there is more than one level, else nothing."""
    return tuple(found) if len({one.level for one in found}) > 1 else ()


def rising(found: Sequence[Plateau]) -> tuple[Plateau, ...]:
    """The first plateaus, as long as each is higher than the one before."""
    result: list[Plateau] = []
    for one in found:
        if result and one.level <= result[-1].level:
            break
        result.append(one)
    return tuple(result)


@dataclass(frozen=True, slots=True)
class Spike:
    """A load that went up and came back.

    Attributes:
        before: The last plateau before it.
        peaks: The plateaus between, of which one is the highest.
        after: The first plateau at which the load was about what it had been before.
    """

    before: Plateau
    peaks: tuple[Plateau, ...]
    after: Plateau

    @property
    def top(self) -> Plateau:
        """The highest plateau."""
        return max(self.peaks, key=lambda one: one.level)


def spike_of(found: Sequence[Plateau]) -> Spike | None:
    """The spike up to the highest plateau; None when the load does not double, or not come back."""
    if not found:
        return None
    top = max(found, key=lambda one: (one.level, -one.index))
    before = [one for one in found[: top.index] if SPIKE_FACTOR * one.level <= top.level]
    if not before:
        return None
    low, high = before[-1].level / BACK_FACTOR, before[-1].level * BACK_FACTOR
    after = [one for one in found[top.index + 1 :] if low <= one.level <= high]
    if not after:
        return None
    return Spike(before[-1], tuple(found[before[-1].index + 1 : after[0].index]), after[0])
