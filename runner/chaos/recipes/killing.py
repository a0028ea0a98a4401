"""Pods that are killed. Pure."""

from __future__ import annotations

from typing import Any

from runner.chaos.recipes.parts import Experiment, Setting, action, gate, probe, wait_for
from runner.model.fault import PodKill
from runner.model.plan import PlannedFault

END_MARGIN_S = 2.0
"""The child ends by itself this much before it would be ended by force."""


def pod_kill(planned: PlannedFault, fault: PodKill, setting: Setting) -> Experiment:
    """Kill, and watch the pods until they are back."""
    choice: dict[str, Any] = {
        **setting.where,
        "service": fault.service,
        "selector": fault.selector or "",
        "count": fault.count,
        "min_healthy": fault.min_healthy,
    }
    how = {
        "grace_period_s": fault.grace_period,
        "seed": planned.seed,
        "follow_until_wall_s": max(setting.ends_at_s, setting.expires_at_s - END_MARGIN_S),
    }
    return {
        "steady-state-hypothesis": gate(
            f"{fault.service} has pods to spare",
            probe("pods-can-be-killed", "pods_can_be_killed", choice),
        ),
        "method": [
            wait_for(setting.starts_at_s),
            action("kill-pods", "kill_pods", choice | how),
        ],
        # A Deployment makes its pods whole by itself.
        "rollbacks": [],
    }
