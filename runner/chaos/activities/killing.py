"""Pods that are killed, and watched until they are back."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from runner.chaos import pods as choice
from runner.chaos.activities.around import activity
from runner.chaos.activities.shared import connect
from runner.chaos.client import ApiRefusalError, Cluster, patiently
from runner.chaos.effects import log, record
from runner.chaos.objects import BUDGETS, PODS, SERVICES, Object
from runner.chaos.recovery import follow
from runner.errors import FaultError


@activity
def kill_pods(
    *,
    namespace: str,
    service: str = "",
    selector: str = "",
    count: int = 1,
    grace_period_s: float = 0.0,
    min_healthy: int = 1,
    seed: int = 0,
    follow_until_wall_s: float | None = None,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> dict[str, Any]:
    """Kill ready pods, and watch until they are replaced and ready again.

    Pods that do not come back in time are a finding about the system, not a failure of this action:
    then the result says so, and there is no effect ``ready``.

    Args:
        namespace: Where.
        service: Service whose own selector finds the candidates when ``selector`` is empty.
        selector: Label selector of the candidates.
        count: Pods to kill; all of them or none.
        grace_period_s: Grace for each pod, in whole seconds; 0 kills at once.
        min_healthy: Ready pods that must be left.
        seed: Seed of the choice.
        follow_until_wall_s: Unix time until which to watch; no watching by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        ``{"candidates": [names], "killed": [{name, uid, node, owner}], "recovered_after_s": …}``;
        the last is None when they were not back in time, or not watched.
    """
    cluster = connect(kubeconfig, context)
    wanted = selector or service_selector(cluster, namespace, service)
    before = patiently(lambda: cluster.items(PODS, namespace, wanted))
    try:
        victims = choice.choose(
            before,
            selector=wanted,
            count=count,
            min_healthy=min_healthy,
            seed=seed,
            budgets=budgets_of(cluster, namespace),
        )
    except FaultError as error:
        record("skipped", f"pods/{wanted}", error.message, effects)
        raise
    names = [pod["metadata"]["name"] for pod in choice.candidates(before)]
    log.info("candidates %s; chosen with seed %s: %s", names, seed, [v.name for v in victims])
    killed_at_s = time.time()
    for victim in victims:
        _kill(cluster, namespace, victim, grace_period_s, effects)
    return {
        "candidates": names,
        "killed": [asdict(victim) for victim in victims],
        "recovered_after_s": follow(
            lambda: cluster.items(PODS, namespace, wanted),
            victims,
            before,
            killed_at_s=killed_at_s,
            until_s=follow_until_wall_s,
            effects=effects,
        ),
    }


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
    pods = patiently(lambda: cluster.items(PODS, namespace, wanted))
    choice.choose(
        pods,
        selector=wanted,
        count=count,
        min_healthy=min_healthy,
        seed=0,
        budgets=budgets_of(cluster, namespace),
    )
    return True


def service_selector(cluster: Cluster, namespace: str, service: str) -> str:
    """The label selector of a Service.

    Raises:
        FaultError: When neither a selector nor a Service was named, or it selects nothing.
    """
    if not service:
        raise FaultError(
            "a pod kill needs to know its candidates", accepted="a label selector, or a Service"
        )
    return choice.service_selector(patiently(lambda: cluster.read(SERVICES, namespace, service)))


def budgets_of(cluster: Cluster, namespace: str) -> list[Object]:
    """The PodDisruptionBudgets of a namespace; none where reading them is not allowed."""
    try:
        found: list[Object] = patiently(lambda: cluster.items(BUDGETS, namespace))
    except ApiRefusalError as error:
        if error.status not in (403, 404):
            raise
        log.warning("PodDisruptionBudgets are not honoured: %s", error.message)
        return []
    return found


def _kill(
    cluster: Cluster, namespace: str, victim: choice.Victim, grace_s: float, effects: str
) -> None:
    try:
        pod = {"metadata": {"name": victim.name, "namespace": namespace, "uid": victim.uid}}
        cluster.delete(PODS, pod, grace_s)
    except ApiRefusalError as error:
        if error.status in (404, 409):
            raise FaultError(
                f"pod/{victim.name} was replaced by somebody else before it was killed"
            ) from error
        raise
    detail = f"uid {victim.uid}, node {victim.node or 'unknown'}, grace {grace_s:g} s"
    record("killed", f"pod/{victim.name}", detail, effects)
