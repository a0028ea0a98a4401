"""Whether a plan stays within what its target allows: the one question before anything is touched.

Opt-in of the namespace, permissions, bounds on pods, alerts that fire. The same answer is given
before a run, where it ends it, and in a preview, where it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.model.bounds import World, violations
from runner.model.plan import Plan
from runner.model.recording import TargetInfo
from runner.model.target import OPT_IN_LABEL, OPT_IN_VALUE, ClusterSpec, Rules
from runner.targets.alerts import alert_findings
from runner.targets.inspection import Objects
from runner.targets.permissions import granting, missing_rights, opt_in


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a target allows a plan.

    Attributes:
        refusals: Reasons why it may not begin, each a sentence.
        notes: What is to be told at its begin.
        role: YAML of the Role that would grant what is missing; empty when nothing is.
    """

    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    role: str = ""


def allowance(
    plan: Plan, target: TargetInfo, objects: Objects, rules: Rules, *, ignore_alerts: bool = False
) -> Allowance:
    """What ``target`` allows ``plan``; asks Prometheus, and looks at what was read already.

    Args:
        plan: The plan.
        target: The target.
        objects: What there is on it, with the answers to the plan's rights.
        rules: The target's.
        ignore_alerts: Whether alerts are told only.
    """
    refusals: list[str] = []
    notes: list[str] = []
    permissions = objects.permissions
    needs_opt_in = isinstance(rules, ClusterSpec) and plan.faults
    if needs_opt_in and isinstance(rules, ClusterSpec) and rules.require_opt_in:
        refusals += opt_in(permissions, target.namespace)
    elif needs_opt_in and opt_in(permissions, target.namespace):
        notes.append(
            f"{target.namespace} does not carry {OPT_IN_LABEL}={OPT_IN_VALUE}, and is disturbed "
            "all the same, because seatrial.yaml says `require_opt_in: false`"
        )
    if permissions.trouble:
        refusals.append(f"permissions cannot be asked for: {permissions.trouble}")
    refusals += missing_rights(permissions, target.namespace)
    world = World(objects.of("services"), objects.of("pods"), objects.of("deployments"))
    refusals += violations(plan, world, target.bounds, nodes=target.kind == "sandbox")
    reasons, warnings = alert_findings(target, rules, ignored=ignore_alerts)
    return Allowance(
        refusals=(*refusals, *reasons),
        notes=(*notes, *warnings),
        role=granting(permissions, target.namespace),
    )
