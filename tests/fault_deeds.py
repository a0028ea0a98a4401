"""What the child of a fault writes down when all goes well, for each kind: the same for all tests.

Also one fault of each kind, as an experiment writes it, for tests that want them all.
"""

from __future__ import annotations

from typing import Any

from runner.model.fault import Drain, HttpAbort, HttpDelay, PodKill
from runner.model.plan import PlannedFault

Deed = tuple[str, float, str, str]
"""What, at which offset, to which object, and the detail."""

_ACTION: dict[str, Any] = {
    "type": "action",
    "provider": {"type": "process", "path": "true"},
}
EVERY_KIND: tuple[dict[str, Any], ...] = (
    {"kind": "pod-kill", "service": "order-api", "every": "5s"},
    {"kind": "http-delay", "service": "payment-api", "delay": "250ms", "percent": 60},
    {"kind": "http-abort", "service": "payment-api", "status": 503, "percent": 50}
    | {"side": "server", "count": 1, "expects": "breaker"},
    {"kind": "scale", "service": "product-api", "replicas": 1},
    {"kind": "rollout-restart", "service": "customer-api"},
    {"kind": "cordon", "service": "order-api", "node": "node-a"},
    {"kind": "drain", "service": "product-api", "node": "node-b"},
    {"kind": "network-deny", "service": "payment-api"},
    {
        "kind": "chaostoolkit",
        "service": "order-api",
        "method": [_ACTION | {"name": "fill-the-disk"}],
        "rollbacks": [_ACTION | {"name": "empty-the-disk"}],
    },
)
"""One fault of each kind, without its times."""


def deeds_of(fault: PlannedFault) -> list[Deed]:
    """The effects of ``fault``, in order."""
    start_s, end_s, broken = fault.start_s, fault.end_s, fault.fault
    match broken.kind:
        case "pod-kill" if isinstance(broken, PodKill):
            return _kills(fault, broken)
        case "rollout-restart":
            name, pods = f"deployment/{broken.service}", f"pod/{broken.service}-new"
            return [
                ("injected", start_s + 0.1, name, "restarted"),
                ("replaced", start_s + 2.0, f"{pods}-a", "uid a, ready 2.00 s after the restart"),
                ("replaced", start_s + 4.0, f"{pods}-b", "uid b, ready 4.00 s after the restart"),
                ("ready", start_s + 4.5, name, "2 of 2 new and ready"),
            ]
        case "scale":
            name = f"deployment/{broken.service}"
            seen = ("seen", start_s + 1.0, name, "1 of 1 ready, 0.80 s after it was verified")
            ready = ("ready", end_s + 2.0, name, "2 of 2 ready, 1.60 s after the fault")
            return [*_placed(fault, name, seen), ready]
        case "drain" if isinstance(broken, Drain):
            pod = f"pod/{broken.service}"
            return _placed(
                fault,
                f"node/{broken.node}",
                ("evicted", start_s + 0.5, f"{pod}-a", "uid a, from node node-b"),
                ("replaced", start_s + 1.5, f"{pod}-c", "uid c, 1.00 s after the eviction"),
                ("ready", start_s + 3.0, f"pods/{broken.service}-a", "2 of 2 ready"),
            )
        case "chaostoolkit":
            marker = f"configmap/seatrial-{fault.id}"
            return [
                ("injected", start_s + 0.1, marker, "marker"),
                ("injected", start_s + 0.2, "activity/fill-the-disk", ""),
                ("verified", start_s + 0.3, marker, "marker"),
                ("removed", end_s + 0.1, "activity/empty-the-disk", ""),
                ("removed", end_s + 0.2, marker, ""),
                ("gone", end_s + 0.3, f"fault/{fault.id}", ""),
            ]
        case _:
            return _placed(fault, _carrier(fault))


def _carrier(fault: PlannedFault) -> str:
    """The object that is changed, or made, for a fault that only has to be taken away again."""
    broken = fault.fault
    if isinstance(broken, HttpAbort | HttpDelay):
        server = broken.side == "server"
        return f"envoyfilter/seatrial-{fault.id}" if server else _route(broken.service)
    named = {"cordon": "node/node-a", "network-deny": f"networkpolicy/seatrial-{fault.id}"}
    return named[broken.kind]


def _route(service: str) -> str:
    return f"virtualservice/{service}"


def _placed(fault: PlannedFault, name: str, *meanwhile: Deed) -> list[Deed]:
    return [
        ("injected", fault.start_s + 0.1, name, ""),
        ("verified", fault.start_s + 0.2, name, ""),
        *meanwhile,
        ("removed", fault.end_s + 0.1, name, ""),
        ("gone", fault.end_s + 0.2, name, ""),
    ]


def _kills(fault: PlannedFault, broken: PodKill) -> list[Deed]:
    moments, deeds = broken.moments(fault.seed), []
    for number, after_s in enumerate(moments, start=1):
        at_s = fault.start_s + after_s
        title = "the kill" if len(moments) == 1 else f"kill {number} of {len(moments)}"
        old, new = (f"{broken.service}-{'abcdefghijklm'[n % 13]}" for n in (number - 1, number))
        deeds += [
            ("killed", at_s + 0.5, f"pod/{old}", f"uid {number}, grace 0 s; {title}, drawn"),
            ("replaced", at_s + 1.5, f"pod/{new}", f"uid {number + 1}, 1.00 s after {title}"),
            ("ready", at_s + 4.0, f"pods/{old}", f"2 of 2 ready, 3.50 s after {title}"),
        ]
    return deeds
