"""What a fault does, in words: the same ones in the plan and in the report."""

from __future__ import annotations

from typing import assert_never

from runner.model.fault import (
    ChaosToolkit,
    Cordon,
    Drain,
    Fault,
    HttpAbort,
    HttpDelay,
    NetworkDeny,
    PodKill,
    RolloutRestart,
    Scale,
)
from runner.model.podcount import pods_text
from runner.reports import format as fmt

_EXPECTED = {
    "breaker": "; the breaker must eject a pod",
    "no-breaker": "; the breaker must not eject a pod",
}


def deed(fault: Fault) -> str:
    """What ``fault`` does, beginning with a verb: ``kill 1 pod of …``; and what it must show."""
    return _deed(fault) + (_EXPECTED[fault.expects] if fault.expects else "")


def _deed(fault: Fault) -> str:
    match fault:
        case PodKill():
            return _kill(fault)
        case HttpDelay() | HttpAbort():
            return _http(fault)
        case Scale():
            return f"scale deployment/{fault.of} to {fault.replicas}, and back"
        case RolloutRestart():
            return f"restart deployment/{fault.of} pod by pod"
        case Cordon():
            return f"cordon {_node(fault)}"
        case Drain():
            which = f"pods with {fault.selector}" if fault.selector else "all pods of the namespace"
            return f"drain {_node(fault)}, evicting {which}"
        case NetworkDeny():
            ways = {"ingress": "to", "egress": "from", "both": "to and from"}
            return f"forbid all traffic {ways[fault.direction]} the pods of {fault.service}"
        case ChaosToolkit():
            names = ", ".join(str(activity.get("name", "?")) for activity in fault.method)
            return f"play Chaos Toolkit activities: {names}"
    assert_never(fault)


def deeds(fault: Fault) -> str:
    """The same in the third person, as a sentence begins: ``Kills 1 pod of …``."""
    verb, _, rest = deed(fault).partition(" ")
    return f"{verb.capitalize()}s {rest}"


def _kill(fault: PodKill) -> str:
    chosen = f"with {fault.selector}" if fault.selector else f"of {fault.service}"
    again = "" if fault.every is None else f" every {fmt.span(fault.every)}"
    again += f" ± {fmt.span(fault.jitter)}" if fault.jitter else ""
    grace = f"grace {fmt.span(fault.grace_period)}" if fault.grace_period else "at once"
    left = f"leaving {fault.min_healthy} healthy"
    return f"kill {pods_text(fault.count)} {chosen}{again}, {grace}, {left}"


def _http(fault: HttpDelay | HttpAbort) -> str:
    some = "all requests" if fault.percent == 100 else f"{fault.percent:g} % of the requests"
    if isinstance(fault, HttpDelay):
        what, how = "delay", f" by {fmt.seconds(fault.delay)}"
    else:
        what, how = "answer", f" with HTTP {fault.status}"
    conditions = [
        f"{name}: {next(iter(one.values()))}" + ("" if "exact" in one else f" ({next(iter(one))})")
        for name, one in fault.conditions.items()
    ]
    only = f" (only with {', '.join(conditions)})" if conditions else ""
    callers = ", ".join(f"{key}={value}" for key, value in fault.source.items())
    only += f" (only from {callers})" if callers else ""
    only += f" (only route {fault.route})" if fault.route else ""
    where = ""
    if fault.side == "server":
        where = f" in front of {pods_text('all' if fault.count is None else fault.count)}"
    return f"{what} {some} to {fault.service}{how}{where}{only}"


def _node(fault: Cordon | Drain) -> str:
    return f"node/{fault.node}" if fault.node else f"a node that holds a pod of {fault.service}"
