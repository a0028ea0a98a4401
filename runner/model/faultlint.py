"""Faults that are written rightly and could show nothing, as far as the file alone tells. Pure.

What only the target's objects tell is the preflight's work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from runner.model.fault import (
    ChaosToolkit,
    Cordon,
    Drain,
    Fault,
    HttpAbort,
    HttpDelay,
    NetworkDeny,
    RolloutRestart,
    Scale,
)

FIRST_COUNTED_STATUS = 500
"""Breakers count answers from this status on."""


class Futile(NamedTuple):
    """Why a fault could show nothing.

    Attributes:
        key: The key of the fault that says so.
        why: In a sentence, with what would be accepted.
    """

    key: str
    why: str


def futile(fault: Fault) -> Iterator[Futile]:
    """What in ``fault`` makes it useless."""
    if fault.expects == "breaker" and (why := no_breaker(fault)):
        yield Futile("expects", why)
    if isinstance(fault, ChaosToolkit):
        yield from _foreign(fault)


def no_breaker(fault: Fault) -> str:
    """Why no breaker can act on ``fault``; empty where one can."""
    match fault:
        case HttpDelay() | HttpAbort() if fault.side == "client":
            return (
                "a fault on the client side acts in the caller's proxy, before it chooses a pod: "
                "the breaker on the same hop never sees it; accepted: side: server, or a pod-kill"
            )
        case HttpAbort() if fault.status < FIRST_COUNTED_STATUS:
            return (
                f"a breaker does not count answers with HTTP {fault.status}; accepted: a status "
                f"from {FIRST_COUNTED_STATUS} on"
            )
        case Scale() | RolloutRestart() | Cordon() | Drain():
            return (
                f"a {fault.kind} takes pods out of the Service in good order, and nobody ejects "
                "what is not there; accepted: side: server faults, pod-kill, network-deny"
            )
        case NetworkDeny() if fault.direction == "egress":
            return (
                f"callers of {fault.service} still reach its pods, so that no breaker towards them "
                "acts; accepted: direction: ingress, or both"
            )
        case _:
            return ""


def _foreign(fault: ChaosToolkit) -> Iterator[Futile]:
    """Pauses that last longer than the fault; and our own activities, with their own numbers."""
    paused_s = sum(_pauses(fault.method))
    if paused_s >= fault.duration:
        yield Futile(
            "duration",
            f"the activities pause for {paused_s:g}s, so that the rollbacks cannot begin at the "
            f"end of {fault.duration:g}s; accepted: a longer duration",
        )
    expiries = [
        float(value)
        for value in _arguments(fault.method, "expires_at_wall_s")
        if isinstance(value, int | float)
    ]
    ends = [
        float(value)
        for value in _arguments(fault.method, "until_wall_s")
        if isinstance(value, int | float)
    ]
    if expiries and ends and min(expiries) <= max(ends):
        yield Futile(
            "method",
            "a fault expires before it is held to its end: anybody may remove it meanwhile; "
            "accepted: expires_at_wall_s after until_wall_s",
        )
    if any(value == 0 for value in _arguments(fault.method, "percent")):
        yield Futile("method", "0 % of the requests is none; accepted: a percent above 0")


def _pauses(activities: Sequence[dict[str, Any]]) -> Iterator[float]:
    for activity in activities:
        pauses = activity.get("pauses")
        for value in pauses.values() if isinstance(pauses, dict) else ():
            if isinstance(value, int | float):
                yield float(value)


def _arguments(activities: Sequence[dict[str, Any]], name: str) -> Iterator[object]:
    """The values of an argument of our own activities."""
    for activity in activities:
        provider = activity.get("provider")
        if not isinstance(provider, dict):
            continue
        arguments = provider.get("arguments")
        ours = str(provider.get("module", "")).startswith("runner.chaos.")
        if ours and isinstance(arguments, dict) and name in arguments:
            yield arguments[name]
