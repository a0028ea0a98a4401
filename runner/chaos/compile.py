"""A planned fault as an ordinary Chaos Toolkit experiment. Pure.

The experiment waits by itself for the fault's start, an absolute time, so that the seconds that the
tool needs to start cost no accuracy. A gate before the method says whether the fault is possible at
all. The rollbacks always play, and look again. Nothing in the experiment is secret and nothing is a
path: the kubeconfig and the file for the effects come by environment.
"""

from __future__ import annotations

from typing import Any, assert_never

from runner.errors import FaultError
from runner.model.experiment import HttpAbort, HttpDelay, PodKill
from runner.model.plan import PlannedFault
from runner.model.recording import TargetInfo

Experiment = dict[str, Any]
Activity = dict[str, Any]

GATE_STRATEGY = "before-method-only"
ROLLBACK_STRATEGY = "always"
END_MARGIN_S = 2.0
"""The child ends by itself this much before it would be ended by force."""


def compile_fault(
    fault: PlannedFault, target: TargetInfo, run_id: str, starts_at_wall_s: float
) -> Experiment:
    """The experiment that injects ``fault`` at ``starts_at_wall_s``, holds it and removes it.

    Args:
        fault: What and for how long.
        target: Namespace and context; no address and no path is taken from it.
        run_id: With the fault's id, the name under which the fault is found again.
        starts_at_wall_s: Unix time of the fault's start.

    Returns:
        An experiment that ``chaos validate`` accepts.

    Raises:
        FaultError: When the fault would disturb nothing.
    """
    ends_at_s = starts_at_wall_s + fault.end_s - fault.start_s
    expires_at_s = starts_at_wall_s + fault.undo_by_s - fault.start_s
    where = {"namespace": target.namespace}
    if target.context:
        where["context"] = target.context
    match fault.fault:
        case PodKill():
            watch_until_s = max(ends_at_s, expires_at_s - END_MARGIN_S)
            parts = _pod_kill(fault, fault.fault, where, starts_at_wall_s, watch_until_s)
        case HttpDelay() | HttpAbort():
            name = {"run": run_id, "fault": fault.id}
            parts = _http(fault.fault, where, name, (starts_at_wall_s, ends_at_s, expires_at_s))
        case _:
            assert_never(fault.fault)
    return {
        "title": f"{fault.fault.kind} of {fault.fault.service}",
        "description": f"Fault {fault.id} of run {run_id}, on {target.kind} {target.name}.",
        "tags": ["seatrial", fault.fault.kind],
        "extensions": [
            {
                "name": "seatrial",
                "run": run_id,
                "fault": fault.id,
                "starts_at": starts_at_wall_s,
                "ends_at": ends_at_s,
            }
        ],
        "runtime": {
            "hypothesis": {"strategy": GATE_STRATEGY},
            "rollbacks": {"strategy": ROLLBACK_STRATEGY},
        },
        **parts,
    }


def _http(
    fault: HttpDelay | HttpAbort,
    where: dict[str, str],
    name: dict[str, str],
    times: tuple[float, float, float],
) -> Experiment:
    starts_at_s, ends_at_s, expires_at_s = times
    if fault.percent <= 0:
        raise FaultError(
            f"fault {name['fault']} hits 0 % of the requests of {fault.service}",
            accepted="a percentage above 0",
        )
    service = {"service": fault.service}
    arguments: dict[str, Any] = {
        **where,
        **service,
        **name,
        "percent": fault.percent,
        "headers": dict(fault.headers),
        "expires_at_wall_s": expires_at_s,
    }
    if isinstance(fault, HttpDelay):
        inject = _action("inject-delay", "delay_requests", arguments | {"delay_s": fault.delay})
    else:
        inject = _action("inject-abort", "abort_requests", arguments | {"status": fault.status})
    fault_there = {**where, **service, **name}
    return {
        "steady-state-hypothesis": _gate(
            f"{fault.service} has a route",
            _probe("routes-exist", "routes_exist", {**where, **service}),
        ),
        "method": [
            _wait(starts_at_s),
            inject,
            _probe("verify-fault", "fault_is_in_place", fault_there),
            _probe("hold-fault", "fault_holds", fault_there | {"until_wall_s": ends_at_s}),
        ],
        "rollbacks": [
            _action("remove-fault", "remove_fault", {**where, **name}),
            _probe("verify-removal", "fault_is_gone", {**where, **name}),
        ],
    }


def _pod_kill(
    planned: PlannedFault,
    fault: PodKill,
    where: dict[str, str],
    starts_at_s: float,
    follow_until_s: float,
) -> Experiment:
    choice: dict[str, Any] = {
        **where,
        "service": fault.service,
        "selector": fault.selector or "",
        "count": fault.count,
        "min_healthy": fault.min_healthy,
    }
    how = {
        "grace_period_s": fault.grace_period,
        "seed": planned.seed,
        "follow_until_wall_s": follow_until_s,
    }
    return {
        "steady-state-hypothesis": _gate(
            f"{fault.service} has pods to spare",
            _probe("pods-can-be-killed", "pods_can_be_killed", choice),
        ),
        "method": [_wait(starts_at_s), _action("kill-pods", "kill_pods", choice | how)],
        # A Deployment makes its pods whole by itself.
        "rollbacks": [],
    }


def _wait(starts_at_s: float) -> Activity:
    return _action("wait-for-start", "wait_until", {"wall_s": starts_at_s})


def _gate(title: str, probe: Activity) -> dict[str, Any]:
    return {"title": title, "probes": [{**probe, "tolerance": True}]}


def _action(name: str, function: str, arguments: dict[str, Any]) -> Activity:
    return _activity("action", name, f"{__package__}.actions", function, arguments)


def _probe(name: str, function: str, arguments: dict[str, Any]) -> Activity:
    return _activity("probe", name, f"{__package__}.probes", function, arguments)


def _activity(
    kind: str, name: str, module: str, function: str, arguments: dict[str, Any]
) -> Activity:
    return {
        "type": kind,
        "name": name,
        "provider": {
            "type": "python",
            "module": module,
            "func": function,
            "arguments": arguments,
        },
    }
