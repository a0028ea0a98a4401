"""Deployments that are scaled, or restarted. Pure."""

from __future__ import annotations

from typing import Any

from runner.chaos.recipes.killing import END_MARGIN_S
from runner.chaos.recipes.parts import Experiment, Setting, action, gate, probe, removal, wait_for
from runner.model.fault import RolloutRestart, Scale
from runner.model.plan import PlannedFault

CUT_SHORT_S = 0.5
"""Whose fault ends earlier than this before its planned end was interrupted."""


def scale(planned: PlannedFault, fault: Scale, setting: Setting) -> Experiment:
    """Set the replicas, hold them, set them back, and watch the pods until they are ready."""
    del planned
    which: dict[str, Any] = {**setting.where, "deployment": fault.of}
    what = {"replicas": fault.replicas, "service": fault.service, **setting.bounds.arguments}
    inject = {
        **setting.named,
        "deployment": fault.of,
        **what,
        "expires_at_wall_s": setting.expires_at_s,
    }
    return_watch = which | {
        "until_wall_s": setting.expires_at_s - END_MARGIN_S,
        "not_before_wall_s": setting.ends_at_s - CUT_SHORT_S,
    }
    return {
        "steady-state-hypothesis": gate(
            f"deployment/{fault.of} can be scaled to {fault.replicas}",
            probe(
                "deployment-can-be-scaled",
                "deployment_can_be_scaled",
                which | what,
            ),
            probe("deployment-is-ready", "deployment_is_ready", which),
        ),
        "method": [
            wait_for(setting.starts_at_s),
            action("scale-deployment", "scale_deployment", inject),
            probe("verify-fault", "deployment_is_scaled", setting.named),
            probe(
                "hold-fault", "scaling_holds", setting.named | {"until_wall_s": setting.ends_at_s}
            ),
        ],
        "rollbacks": [
            *removal(setting, "deployments"),
            action("watch-return", "watch_deployment", return_watch),
        ],
    }


def rollout_restart(planned: PlannedFault, fault: RolloutRestart, setting: Setting) -> Experiment:
    """Restart, and watch the pods until all of them are new and ready.

    The target's bounds are not counted anew: pods go a few at a time, and how many is counted by
    the Deployment's controller, which never takes away more than ``maxUnavailable`` of those that
    are available. That number is held against the bounds before the run, and the gate asks for
    all pods to be ready.
    """
    del planned
    which = {**setting.where, "deployment": fault.of}
    until_s = max(setting.ends_at_s, setting.expires_at_s - END_MARGIN_S)
    return {
        "steady-state-hypothesis": gate(
            f"deployment/{fault.of} can be restarted",
            probe("rollout-can-be-restarted", "rollout_can_be_restarted", which),
        ),
        "method": [
            wait_for(setting.starts_at_s),
            action("restart-rollout", "restart_rollout", which | {"follow_until_wall_s": until_s}),
        ],
        # The old pods are gone for good, and the template is as before but for a time stamp.
        "rollbacks": [],
    }
