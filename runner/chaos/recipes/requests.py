"""Delays and aborts in the callers' proxies. Pure."""

from __future__ import annotations

from typing import Any

from runner.chaos.recipes.parts import Experiment, Setting, action, gate, probe, removal, wait_for
from runner.errors import FaultError
from runner.model.fault import HttpAbort, HttpDelay
from runner.model.plan import PlannedFault


def http_fault(planned: PlannedFault, fault: HttpDelay | HttpAbort, setting: Setting) -> Experiment:
    """Put copies of routes in place, hold them, remove them.

    Raises:
        FaultError: When no request would be hit.
    """
    if fault.percent <= 0:
        raise FaultError(
            f"fault {planned.id} hits 0 % of the requests of {fault.service}",
            accepted="a percentage above 0",
        )
    arguments: dict[str, Any] = {
        **setting.named,
        "service": fault.service,
        "percent": fault.percent,
        "headers": dict(fault.headers),
        "expires_at_wall_s": setting.expires_at_s,
    }
    if isinstance(fault, HttpDelay):
        inject = action("inject-delay", "delay_requests", arguments | {"delay_s": fault.delay})
    else:
        inject = action("inject-abort", "abort_requests", arguments | {"status": fault.status})
    there = {**setting.named, "service": fault.service}
    return {
        "steady-state-hypothesis": gate(
            f"{fault.service} has a route",
            probe("routes-exist", "routes_exist", {**setting.where, "service": fault.service}),
        ),
        "method": [
            wait_for(setting.starts_at_s),
            inject,
            probe("verify-fault", "fault_is_in_place", there),
            probe("hold-fault", "fault_holds", there | {"until_wall_s": setting.ends_at_s}),
        ],
        "rollbacks": removal(setting, "virtualservices"),
    }
