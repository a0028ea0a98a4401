"""Delays and aborts, in the callers' proxies or in front of the service's pods. Pure."""

from __future__ import annotations

from typing import Any

from runner.chaos.recipes.inbound import inbound_fault
from runner.chaos.recipes.parts import Experiment, Setting, action, gate, probe, removal, wait_for
from runner.chaos.scopes import conditions
from runner.errors import FaultError
from runner.model.fault import HttpAbort, HttpDelay
from runner.model.plan import PlannedFault


def http_fault(planned: PlannedFault, fault: HttpDelay | HttpAbort, setting: Setting) -> Experiment:
    """Put the fault in place, hold it, remove it.

    Raises:
        FaultError: When no request would be hit, or for a header that Istio would refuse or ignore.
    """
    conditions(fault.conditions)
    if fault.percent <= 0:
        raise FaultError(
            f"fault {planned.id} hits 0 % of the requests of {fault.service}",
            accepted="a percentage above 0",
        )
    return (inbound_fault if fault.side == "server" else _at_the_callers)(planned, fault, setting)


def _at_the_callers(
    _planned: PlannedFault, fault: HttpDelay | HttpAbort, setting: Setting
) -> Experiment:
    """Copies of routes."""
    scope: dict[str, Any] = {"service": fault.service}
    scope |= {"headers": fault.conditions} if fault.conditions else {}
    scope |= {"source": dict(fault.source)} if fault.source else {}
    scope |= {"route": fault.route} if fault.route else {}
    arguments: dict[str, Any] = {
        **setting.named,
        **scope,
        "percent": fault.percent,
        "expires_at_wall_s": setting.expires_at_s,
    }
    if isinstance(fault, HttpDelay):
        inject = action("inject-delay", "delay_requests", arguments | {"delay_s": fault.delay})
    else:
        inject = action("inject-abort", "abort_requests", arguments | {"status": fault.status})
    there = {**setting.named, **scope}
    return {
        "steady-state-hypothesis": gate(
            f"{fault.service} has a route",
            probe("routes-exist", "routes_exist", setting.where | scope),
        ),
        "method": [
            wait_for(setting.starts_at_s),
            inject,
            probe("verify-fault", "fault_is_in_place", there),
            probe("hold-fault", "fault_holds", there | {"until_wall_s": setting.ends_at_s}),
        ],
        "rollbacks": removal(setting, "virtualservices"),
    }
