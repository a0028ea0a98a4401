"""The weather of a voyage: what requests to each service meet at each moment, while faults last.

The load and the mesh of a made run tell one story, because both are drawn from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from runner.model.plan import Plan

SHOP: dict[str, tuple[float, float, str]] = {
    "GET /api/v1/customers": (0.3, 0.020, "customer-api"),
    "GET /api/v1/products": (0.4, 0.026, "product-api"),
    "POST /api/v1/orders": (0.2, 0.058, "order-api"),
    "POST /api/v1/payments": (0.1, 0.030, "payment-api"),
}
"""Endpoint to share of the requests, median latency in seconds, and service."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What a request to a service meets at an offset: share that fails, factor, added seconds."""

    fails: float = 0.0
    slower: float = 1.0
    delayed: float = 0.0
    delay_s: float = 0.0


def weather(plan: Plan, service: str, at_s: float) -> Weather:
    now = Weather(fails=0.0, slower=1.0 + 0.08 * math.sin(at_s / plan.duration_s * 25))
    for fault in plan.faults:
        lasts = fault.start_s <= at_s < fault.end_s
        match fault.fault.kind:
            case "pod-kill" if 0 <= at_s - fault.start_s < 4 and service == "order-api":
                now = replace(now, fails=0.12, slower=2.2)
            case "http-delay" if lasts and service in ("payment-api", "order-api"):
                now = replace(now, delayed=0.6, delay_s=0.25)
            case "http-abort" if lasts and service == "payment-api":
                now = replace(now, fails=0.5)
            case "network-deny" if lasts and service == "payment-api":
                now = replace(now, fails=0.97)
            case "http-abort" if lasts and service == "order-api":
                now = replace(now, fails=0.25, slower=1.3)
    return now


UNITS = {
    **dict.fromkeys(("latency.p50", "latency.p95", "latency.p99"), "s"),
    "traffic": "per_s",
    **dict.fromkeys(("errors", "saturation.cpu", "saturation.memory"), "ratio"),
}


def value_of(plan: Plan, sli: str, service: str, at_s: float, noise: float) -> float:
    share, median_s = next(
        ((s, m) for s, m, owner in SHOP.values() if owner == service), (0.05, 0.012)
    )
    now = weather(plan, service, at_s)
    moment_s = min(at_s, plan.duration_s - 0.001)
    level = plan.users_at(moment_s) + plan.rate_at(moment_s)
    traffic = level * share * (1 + 0.05 * noise)
    spread = {"latency.p50": 1.0, "latency.p95": 1.8, "latency.p99": 2.4}
    if sli in spread:
        slow = now.delay_s if now.delayed and sli != "latency.p50" else 0.0
        return median_s * spread[sli] * now.slower * (1 + 0.06 * noise) + slow
    return {
        "traffic": traffic,
        "errors": now.fails * (1 + 0.1 * noise) if now.fails else 0.0,
        "saturation.cpu": 0.06 + traffic / 100 * now.slower,
        "saturation.memory": 0.22 + 0.02 * at_s / plan.duration_s,
    }[sli]
