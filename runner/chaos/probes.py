"""Probes for Chaos Toolkit experiments: is the fault possible, in place, gone?

The proof at the level of the API: objects are read back. Whether requests were hit is seen in the
mesh's metrics, by the signals. A probe returns True or fails with a sentence; it never answers with
something that a tolerance could take for success by accident.
"""

from __future__ import annotations

import time

from runner.chaos import pods as choice
from runner.chaos import virtualservice
from runner.chaos.actions import affected, budgets_of, connect, service_selector, subject_of
from runner.chaos.activity import activity
from runner.chaos.annotation import fault_key
from runner.chaos.client import ApiRefusalError, Cluster, patiently
from runner.chaos.effects import log, record
from runner.errors import FaultError

__all__ = [
    "fault_holds",
    "fault_is_gone",
    "fault_is_in_place",
    "pods_can_be_killed",
    "routes_exist",
]

STEP_S = 0.2
LOOK_EVERY_S = 2.0


@activity
def routes_exist(service: str, namespace: str, kubeconfig: str = "", context: str = "") -> bool:
    """Whether some VirtualService routes HTTP requests to ``service``."""
    affected(connect(kubeconfig, context), namespace, service)
    return True


@activity
def pods_can_be_killed(
    *,
    namespace: str,
    service: str = "",
    selector: str = "",
    count: int = 1,
    min_healthy: int = 1,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Whether ``count`` of the ready pods can go and ``min_healthy`` ready ones stay."""
    cluster = connect(kubeconfig, context)
    wanted = selector or service_selector(cluster, namespace, service)
    pods = patiently(lambda: cluster.pods(namespace, wanted))
    choice.choose(
        pods,
        selector=wanted,
        count=count,
        min_healthy=min_healthy,
        seed=0,
        budgets=budgets_of(cluster, namespace),
    )
    return True


@activity
def fault_is_in_place(
    *,
    namespace: str,
    service: str,
    run: str,
    fault: str,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Whether every VirtualService with a route to ``service``, read back, carries the fault."""
    cluster = connect(kubeconfig, context)
    for subject, names in _in_place(cluster, namespace, service, run, fault).items():
        record("verified", subject, ", ".join(names), effects)
    return True


@activity
def fault_holds(
    *,
    namespace: str,
    service: str,
    run: str,
    fault: str,
    until_wall_s: float,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Wait until the Unix time ``until_wall_s`` and see that the fault stays in place.

    Fails at once when somebody takes the fault away before its end (or when it never was there). An
    API server that does not answer meanwhile is no reason to end.
    """
    cluster = connect(kubeconfig, context)
    next_look_s = 0.0
    while (left_s := until_wall_s - time.time()) > 0:
        if time.time() >= next_look_s and left_s > STEP_S:
            try:
                _in_place(cluster, namespace, service, run, fault)
            except ApiRefusalError as error:
                log.warning("cannot see the fault: %s", error.message)
            next_look_s = time.time() + LOOK_EVERY_S
        time.sleep(max(0.0, min(until_wall_s - time.time(), STEP_S)))
    return True


@activity
def fault_is_gone(
    *,
    namespace: str,
    run: str,
    fault: str,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Whether no VirtualService of ``namespace`` bears the name of the fault any more."""
    cluster = connect(kubeconfig, context)
    key = fault_key(run, fault)
    left = [
        subject_of(vs)
        for vs in patiently(lambda: cluster.virtual_services(namespace))
        if key in virtualservice.faults_on(vs)
    ]
    if left:
        raise FaultError(f"{key} is still on {', '.join(left)}")
    record("gone", f"fault/{key}", "", effects)
    return True


def _in_place(
    cluster: Cluster, namespace: str, service: str, run: str, fault: str
) -> dict[str, list[str]]:
    """The names of the fault's routes by VirtualService; fails where there is none."""
    found = {}
    for vs in affected(cluster, namespace, service):
        names = virtualservice.copies(vs, run, fault)
        if not names:
            raise FaultError(f"{subject_of(vs)} does not carry {fault_key(run, fault)} (any more)")
        found[subject_of(vs)] = names
    return found
