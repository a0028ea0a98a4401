"""Traffic that is forbidden. Pure."""

from __future__ import annotations

from typing import Any

from runner.chaos.recipes.parts import Experiment, Setting, action, gate, probe, removal, wait_for
from runner.model.fault import NetworkDeny
from runner.model.plan import PlannedFault


def network_deny(_planned: PlannedFault, fault: NetworkDeny, setting: Setting) -> Experiment:
    """Put a NetworkPolicy without rules in place, hold it, remove it."""
    what: dict[str, Any] = {"service": fault.service, "direction": fault.direction}
    what |= setting.bounds.arguments
    inject = {
        **setting.named,
        **what,
        "expires_at_wall_s": setting.expires_at_s,
    }
    hold = {**setting.named, "until_wall_s": setting.ends_at_s}
    return {
        "steady-state-hypothesis": gate(
            f"{fault.service} has pods",
            probe("pods-are-there", "network_can_be_denied", setting.where | what),
        ),
        "method": [
            wait_for(setting.starts_at_s),
            action("deny-network", "deny_network", inject),
            probe("verify-fault", "network_is_denied", setting.named),
            probe("hold-fault", "network_denial_holds", hold),
        ],
        "rollbacks": removal(setting, "networkpolicies"),
    }
