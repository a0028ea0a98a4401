"""Delays and aborts in front of the service's pods. Pure."""

from __future__ import annotations

from typing import Any

from runner.chaos.recipes.parts import Experiment, Setting, action, gate, probe, removal, wait_for
from runner.model.fault import HttpAbort, HttpDelay
from runner.model.plan import PlannedFault


def inbound_fault(
    planned: PlannedFault, fault: HttpDelay | HttpAbort, setting: Setting
) -> Experiment:
    """Label the chosen pods, put the filter in place, hold it, remove it and then the labels."""
    service: dict[str, Any] = {"service": fault.service}
    chosen: dict[str, Any] = {} if fault.count is None else {"count": fault.count}
    chosen |= setting.bounds.arguments
    arguments: dict[str, Any] = {
        **setting.named,
        **service,
        **chosen,
        **({} if fault.count is None else {"seed": planned.seed}),
        **({"headers": fault.conditions} if fault.conditions else {}),
        "percent": fault.percent,
        "expires_at_wall_s": setting.expires_at_s,
    }
    if isinstance(fault, HttpDelay):
        more: dict[str, Any] = {"delay_s": fault.delay}
        inject = action("inject-delay", "delay_inbound_requests", arguments | more)
    else:
        more = {"status": fault.status}
        inject = action("inject-abort", "abort_inbound_requests", arguments | more)
    hold = {**setting.named, "until_wall_s": setting.ends_at_s}
    return {
        "steady-state-hypothesis": gate(
            f"{fault.service} has pods with proxies",
            probe("pods-have-proxies", "pods_have_proxies", setting.where | service | chosen),
        ),
        "method": [
            wait_for(setting.starts_at_s),
            inject,
            probe("verify-fault", "inbound_fault_is_in_place", setting.named),
            probe("hold-fault", "inbound_fault_holds", hold),
        ],
        "rollbacks": removal(setting, "envoyfilters", "pods"),
    }
