"""Nodes that are cordoned, or drained. Pure."""

from __future__ import annotations

from typing import Any

from runner.chaos.recipes.killing import END_MARGIN_S
from runner.chaos.recipes.parts import Experiment, Setting, action, gate, probe, removal, wait_for
from runner.chaos.recipes.workloads import CUT_SHORT_S
from runner.model.fault import Cordon, Drain
from runner.model.plan import PlannedFault


def cordon(planned: PlannedFault, fault: Cordon, setting: Setting) -> Experiment:
    """Cordon a node, hold that, uncordon it."""
    which = _which(planned, fault, setting)
    return {
        "steady-state-hypothesis": gate(
            "the node takes pods", probe("node-can-be-cordoned", "node_can_be_cordoned", which)
        ),
        "method": [
            *_cordoned(which, setting, "cordon"),
            _held(setting),
        ],
        "rollbacks": removal(setting, "nodes"),
    }


def drain(planned: PlannedFault, fault: Drain, setting: Setting) -> Experiment:
    """Cordon a node, evict the pods from it as budgets allow, hold that, uncordon it.

    In the end the pods are watched until they are ready: those that found no place start then.
    """
    which = _which(planned, fault, setting)
    pods = {"pods": fault.selector or "", "last_node": fault.last_node}
    back = {
        **setting.where,
        "selector": fault.selector or "",
        "until_wall_s": setting.expires_at_s - END_MARGIN_S,
        "not_before_wall_s": setting.ends_at_s - CUT_SHORT_S,
    }
    evict = {
        **setting.named,
        "selector": fault.selector or "",
        "grace_period_s": fault.grace_period,
        "until_wall_s": setting.ends_at_s,
        **setting.bounds.arguments,
    }
    return {
        "steady-state-hypothesis": gate(
            "the node can be drained",
            probe("node-can-be-drained", "node_can_be_drained", which | pods),
        ),
        "method": [
            *_cordoned(which, setting, "drain"),
            action("evict-pods", "evict_pods", evict),
            _held(setting),
        ],
        "rollbacks": [*removal(setting, "nodes"), action("watch-return", "watch_pods", back)],
    }


def _which(planned: PlannedFault, fault: Cordon | Drain, setting: Setting) -> dict[str, Any]:
    return {
        **setting.where,
        "node": fault.node or "",
        "service": fault.service,
        "seed": planned.seed,
    }


def _cordoned(which: dict[str, Any], setting: Setting, kind: str) -> list[dict[str, Any]]:
    inject = {
        **which,
        **setting.name,
        "kind": kind,
        "expires_at_wall_s": setting.expires_at_s,
    }
    return [
        wait_for(setting.starts_at_s),
        action("cordon-node", "cordon_node", inject),
        probe("verify-fault", "node_is_cordoned", setting.named),
    ]


def _held(setting: Setting) -> dict[str, Any]:
    return probe("hold-fault", "cordon_holds", setting.named | {"until_wall_s": setting.ends_at_s})
