"""Pods that are killed. Pure."""

from __future__ import annotations

from typing import Any

from runner.chaos.recipes.parts import Experiment, Setting, action, gate, probe, wait_for
from runner.model.fault import PodKill
from runner.model.plan import PlannedFault

END_MARGIN_S = 2.0
"""The child ends by itself this much before it would be ended by force."""


def pod_kill(planned: PlannedFault, fault: PodKill, setting: Setting) -> Experiment:
    """Kill, once or at the moments that follow from plan and seed; watch until the pods are back.

    The last kill has the time after the fault's end, too, for its pods to come back.
    """
    choice: dict[str, Any] = {
        **setting.where,
        "service": fault.service,
        "selector": fault.selector or "",
        "count": fault.count,
        "min_healthy": max(fault.min_healthy, setting.bounds.min_healthy),
        **setting.bounds.most,
    }
    how: dict[str, Any] = {
        "grace_period_s": fault.grace_period,
        "seed": planned.seed,
        "follow_until_wall_s": max(setting.ends_at_s, setting.expires_at_s - END_MARGIN_S),
    }
    if fault.every is None:
        kill = action("kill-pods", "kill_pods", choice | how)
    else:
        again = {
            "moments_wall_s": [
                round(setting.starts_at_s + s, 3) for s in fault.moments(planned.seed)
            ],
            "while_recovering": fault.while_recovering,
        }
        kill = action("keep-killing-pods", "keep_killing_pods", choice | how | again)
    return {
        "steady-state-hypothesis": gate(
            f"{fault.service} has pods to spare",
            probe("pods-can-be-killed", "pods_can_be_killed", choice),
        ),
        "method": [wait_for(setting.starts_at_s), kill],
        # A Deployment makes its pods whole by itself.
        "rollbacks": [],
    }
