"""A planned fault as an ordinary Chaos Toolkit experiment. Pure.

The experiment waits by itself for the fault's start, an absolute time, so that the seconds that the
tool needs to start cost no accuracy. A gate before the method says whether the fault is possible at
all. The rollbacks always play, and look again. Nothing in the experiment is secret and nothing is a
path: the kubeconfig and the file for the effects come by environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from runner.chaos.recipes.foreign import foreign_fault
from runner.chaos.recipes.killing import pod_kill
from runner.chaos.recipes.network import network_deny
from runner.chaos.recipes.nodes import cordon, drain
from runner.chaos.recipes.parts import Experiment, Setting
from runner.chaos.recipes.requests import http_fault
from runner.chaos.recipes.workloads import rollout_restart, scale
from runner.errors import FaultError
from runner.model.plan import PlannedFault
from runner.model.recording import TargetInfo

GATE_STRATEGY = "before-method-only"
ROLLBACK_STRATEGY = "always"

Recipe = Callable[[PlannedFault, Any, Setting], Experiment]

RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "pod-kill": pod_kill,
        "scale": scale,
        "rollout-restart": rollout_restart,
        "cordon": cordon,
        "drain": drain,
        "http-delay": http_fault,
        "http-abort": http_fault,
        "network-deny": network_deny,
        "chaostoolkit": foreign_fault,
    }
)
"""Kind of fault to the gate, method and rollbacks of its experiment."""


def compile_fault(
    fault: PlannedFault, target: TargetInfo, run_id: str, starts_at_wall_s: float
) -> Experiment:
    """The experiment that injects ``fault`` at ``starts_at_wall_s``, holds it and removes it.

    Args:
        fault: What and for how long.
        target: Namespace, context and bounds; no address and no path is taken from it.
        run_id: With the fault's id, the name under which the fault is found again.
        starts_at_wall_s: Unix time of the fault's start.

    Returns:
        An experiment that ``chaos validate`` accepts.

    Raises:
        FaultError: When the fault would disturb nothing.
    """
    kind = fault.fault.kind
    setting = Setting(
        run_id=run_id,
        fault_id=fault.id,
        namespace=target.namespace,
        context=target.context,
        starts_at_s=starts_at_wall_s,
        ends_at_s=starts_at_wall_s + fault.end_s - fault.start_s,
        expires_at_s=starts_at_wall_s + fault.undo_by_s - fault.start_s,
        bounds=target.bounds,
    )
    if kind not in RECIPES:  # pragma: no cover - a test holds the kinds against the recipes
        raise FaultError(f"nobody knows how to carry out a {kind}", accepted=", ".join(RECIPES))
    return {
        "title": f"{kind} of {fault.fault.service}",
        "description": f"Fault {fault.id} of run {run_id}, on {target.kind} {target.name}.",
        "tags": ["seatrial", kind],
        "extensions": [
            {
                "name": "seatrial",
                "run": run_id,
                "fault": fault.id,
                "starts_at": setting.starts_at_s,
                "ends_at": setting.ends_at_s,
            }
        ],
        "runtime": {
            "hypothesis": {"strategy": GATE_STRATEGY},
            "rollbacks": {"strategy": ROLLBACK_STRATEGY},
        },
        **RECIPES[kind](fault, fault.fault, setting),
    }
