"""Whom to have running when: the plan's stages as whole users, and which kind of user. Pure.

A ramp is a straight line; the k-th user starts where the line crosses ``k - 1/2``, so that the
number of users is never more than half a user off and users start spread out, not in batches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from runner.model.plan import Plan, PlannedStage

_SOON_S = 0.001


def users_due(plan: Plan, offset_s: float) -> int | None:
    """Users that should run at ``offset_s``; None when the load is over."""
    if offset_s >= plan.duration_s:
        return None
    line = plan.users_at(max(0.0, offset_s))
    stage = _stage_at(plan, offset_s)
    # On the half, a ramp has made its step, up or down.
    down = stage is not None and stage.users_to < stage.users_from
    return math.ceil(line - 0.5) if down else math.floor(line + 0.5)


def next_change_s(plan: Plan, offset_s: float) -> float:
    """An offset after ``offset_s`` up to which :func:`users_due` surely stays what it is.

    Past the end of the load, that end.
    """
    stage = _stage_at(plan, offset_s)
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


def class_to_stop(
    running: Mapping[str, int], weights: Mapping[str, float], fixed: Mapping[str, int]
) -> str | None:
    """The user class that has to give one up: the reverse of :func:`class_to_start`."""
    weighted = [name for name in sorted(weights, reverse=True) if running.get(name, 0) > 0]
    if weighted:
        return max(weighted, key=lambda name: (running[name] - 0.5) / weights[name])
    return next((name for name in sorted(fixed, reverse=True) if running.get(name, 0) > 0), None)


def _stage_at(plan: Plan, offset_s: float) -> PlannedStage | None:
    return next((s for s in plan.stages if s.start_s <= offset_s < s.end_s), None)
