"""Requests that the mesh flagged as hit by a fault, while it was planned and after its end.

What a flag proves, by kind of fault:

* delay or abort on the client side: the caller's proxy writes ``DI`` or ``FI`` on each request that
  it disturbed. How many are to be expected follows from the traffic and the share.
* delay or abort on the server side: the proxy in front of the pod writes them, at
  ``reporter="destination"``; the caller sees only a late or bad answer. How many are to be expected
  nobody can tell: callers retry, and their breakers turn away from the pod.
* forbidden traffic: nobody writes who forbade it. What is counted are connections that failed
  (``UF``, ``UC``, ``UH``, ``UT`` at the caller), without as many as there were in the time just
  before. None at all says that the network does not enforce NetworkPolicies.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable

from runner.errors import SignalError
from runner.model.fault import HttpAbort, HttpDelay, NetworkDeny
from runner.model.plan import Plan, PlannedFault
from runner.signals.figures import attempt
from runner.signals.growth import growth
from runner.signals.queries import literal
from runner.signals.scope import Scope

GRACE_S = 3.0
"""A fault may be seen this long after its end: until it is removed everywhere, and scraped."""
CONNECT_S = 10.0
"""Istio's connect timeout: a connection that nobody answered fails so much later."""

Window = tuple[float, float]


def grace_s(fault: PlannedFault) -> float:
    """Grace of one fault: a request is counted when it ends, a delay or a timeout later."""
    if isinstance(fault.fault, HttpDelay):
        return GRACE_S + fault.fault.delay
    return GRACE_S + (CONNECT_S if isinstance(fault.fault, NetworkDeny) else 0.0)


def planned_window(fault: PlannedFault, end_s: float) -> Window | None:
    """Offsets between which a fault may be seen, within a run that ended at ``end_s``."""
    window = fault.start_s, min(fault.end_s + grace_s(fault), end_s)
    return window if window[0] < window[1] else None


def before_window(fault: PlannedFault) -> Window:
    """Offsets of the time before a fault, as long as itself, where the load lasted that long."""
    length_s = fault.end_s - fault.start_s
    return max(0.0, fault.start_s - length_s), fault.start_s


def late_windows(plan: Plan, fault: PlannedFault, end_s: float) -> tuple[Window, ...]:
    """Offsets between which nothing may be flagged: after its end, and outside of others' time.

    Others are faults of the same service, kind and side: their flags look the same. Connections
    fail for many reasons, so after forbidden traffic every other fault counts as one.
    """
    left = [(fault.end_s + grace_s(fault), end_s)]
    for other in plan.faults:
        taken = planned_window(other, end_s)
        if other.id != fault.id and _look_alike(fault, other) and taken is not None:
            left = [piece for window in left for piece in _without(window, taken)]
    return tuple((start_s, stop_s) for start_s, stop_s in left if start_s < stop_s)


def _look_alike(fault: PlannedFault, other: PlannedFault) -> bool:
    one, two = fault.fault, other.fault
    if isinstance(one, NetworkDeny):
        return True
    same = (one.service, one.kind) == (two.service, two.kind)
    return same and _places(fault) == _places(other)


def _places(fault: PlannedFault) -> tuple[str, ...]:
    """Where the requests that a fault hits are counted; keys of ``Dialect.flagged``."""
    if isinstance(fault.fault, NetworkDeny):
        way = fault.fault.direction
        return ("ingress", "egress") if way == "both" else (way,)
    return (fault.fault.side,) if isinstance(fault.fault, HttpDelay | HttpAbort) else ()


def fault_flags(
    scope: Scope, fault: PlannedFault, workloads: Collection[str]
) -> tuple[float | None, float | None]:
    """Flagged requests in a fault's time, and after it; None where there is nothing to tell.

    Args:
        scope: The collection.
        fault: One whose requests the mesh flags.
        workloads: Of its service; none where the mesh knows no requests to it at all.

    Raises:
        UnreachableError: When Prometheus does not answer at all.
    """
    if not workloads:
        return None, None
    flags, late_flags = (
        of[fault.fault.kind] for of in (scope.dialect.fault_flags, scope.dialect.late_flags)
    )
    count = functools.partial(_flagged, scope, fault, workloads)
    planned = planned_window(fault, scope.end_s)
    seen = count(flags=flags, windows=filter(None, [planned]), when="in")
    if seen and planned and isinstance(fault.fault, NetworkDeny):
        before = before_window(fault)
        usual = count(flags=flags, windows=[before], when="before") if _length(before) else None
        seen = max(0.0, seen - (usual or 0.0) * _length(planned) / (_length(before) or 1.0))
    late = late_windows(scope.plan, fault, scope.end_s)
    return seen, count(flags=late_flags, windows=late, when="after")


def _flagged(
    scope: Scope,
    fault: PlannedFault,
    workloads: Iterable[str],
    *,
    flags: str,
    windows: Iterable[Window],
    when: str,
) -> float | None:
    windows = list(windows)
    names = "|".join(literal(name) for name in sorted(workloads))
    total: float | None = None
    for place in _places(fault):
        template = scope.dialect.flagged[place]
        selector = scope.fill(template, service=fault.fault.service, workloads=names, flag=flags)
        for start_s, end_s in windows:
            times = (scope.zero_s + start_s, scope.zero_s + end_s)
            name = f"{fault.id}-{when}" + ("-egress" if place == "egress" else "")
            ask = functools.partial(growth, scope.client, name, selector, *times)
            grown = attempt(ask)
            if isinstance(grown, SignalError):
                return None
            total = (total or 0.0) + sum(grown.values.values())
    return total


def _length(window: Window) -> float:
    return window[1] - window[0]


def _without(window: Window, taken: Window) -> list[Window]:
    start_s, end_s = window
    pieces = [(start_s, min(end_s, taken[0])), (max(start_s, taken[1]), end_s)]
    return [piece for piece in pieces if piece[0] < piece[1]]
