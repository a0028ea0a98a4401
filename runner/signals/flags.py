"""Requests that the mesh flagged as hit by a fault, while it was planned and after its end."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from runner.errors import SignalError
from runner.model.plan import Plan, PlannedFault
from runner.signals.figures import attempt
from runner.signals.growth import growth
from runner.signals.scope import Scope

GRACE_S = 3.0
"""A fault may be seen this long after its end: until it is removed everywhere, and scraped."""


def grace_s(fault: PlannedFault) -> float:
    """Grace of one fault: a delayed request is counted when it ends, a delay later."""
    return GRACE_S + (fault.fault.delay if fault.fault.kind == "http-delay" else 0.0)


def planned_window(fault: PlannedFault, end_s: float) -> tuple[float, float] | None:
    """Offsets between which a fault may be seen, within a run that ended at ``end_s``."""
    window = fault.start_s, min(fault.end_s + grace_s(fault), end_s)
    return window if window[0] < window[1] else None


def late_windows(plan: Plan, fault: PlannedFault, end_s: float) -> tuple[tuple[float, float], ...]:
    """Offsets between which nothing may be flagged: after its end, and outside of others' time.

    Others are faults of the same service and kind: their flags look the same.
    """
    left = [(fault.end_s + grace_s(fault), end_s)]
    for other in plan.faults:
        same = (other.fault.service, other.fault.kind) == (fault.fault.service, fault.fault.kind)
        taken = planned_window(other, end_s)
        if same and other.id != fault.id and taken is not None:
            left = [piece for window in left for piece in _without(window, taken)]
    return tuple((start_s, stop_s) for start_s, stop_s in left if start_s < stop_s)


def fault_flags(
    scope: Scope, fault: PlannedFault, known: bool
) -> tuple[float | None, float | None]:
    """Flagged requests in a fault's time, and after it; None where there is nothing to tell.

    Args:
        scope: The collection.
        fault: One whose requests the mesh flags.
        known: Whether the mesh knows requests to its service at all.

    Raises:
        UnreachableError: When Prometheus does not answer at all.
    """
    if not known:
        return None, None
    planned = planned_window(fault, scope.end_s)
    seen = _flagged(scope, fault, (planned,) if planned else (), "in")
    return seen, _flagged(scope, fault, late_windows(scope.plan, fault, scope.end_s), "after")


def _flagged(
    scope: Scope, fault: PlannedFault, windows: Iterable[tuple[float, float]], when: str
) -> float | None:
    selector = scope.fill(
        scope.dialect.flagged,
        service=fault.fault.service,
        flag=scope.dialect.fault_flags[fault.fault.kind],
    )
    total: float | None = None
    for start_s, end_s in windows:
        times = (scope.zero_s + start_s, scope.zero_s + end_s)
        ask = functools.partial(growth, scope.client, f"{fault.id}-{when}", selector, *times)
        grown = attempt(ask)
        if isinstance(grown, SignalError):
            return None
        total = (total or 0.0) + sum(grown.values.values())
    return total


def _without(window: tuple[float, float], taken: tuple[float, float]) -> list[tuple[float, float]]:
    start_s, end_s = window
    pieces = [(start_s, min(end_s, taken[0])), (max(start_s, taken[1]), end_s)]
    return [piece for piece in pieces if piece[0] < piece[1]]
