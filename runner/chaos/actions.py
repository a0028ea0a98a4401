"""Actions for Chaos Toolkit experiments: ours and anybody's.

All arguments are plain JSON, by name. ``kubeconfig`` and ``context`` default to ``KUBECONFIG`` and
that file's current context; ``effects`` to the file named in ``SEATRIAL_EFFECTS``. An action that
did not do what it says fails: there is no silent success. The probes that look at it again are in
``runner.chaos.probes``.
"""

from __future__ import annotations

import atexit
import functools
import getpass
import logging
import os
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.chaos import pods as choice
from runner.chaos import virtualservice
from runner.chaos.activity import activity, rollback
from runner.chaos.annotation import Object, Tag, fault_key, timestamp
from runner.chaos.client import (
    ApiRefusalError,
    Cluster,
    KubeCluster,
    edit_virtual_service,
    patiently,
)
from runner.chaos.effects import record
from runner.chaos.recovery import follow
from runner.errors import FaultError
from runner.private import PREFIX as PRIVATE_PREFIX

__all__ = ["abort_requests", "delay_requests", "kill_pods", "remove_fault", "wait_until"]

STEP_S = 0.2
DEFAULT_EXPIRY_S = 3600.0
PRIVATE_ENV = "SEATRIAL_PRIVATE"
"""A private folder is removed when the experiment ends."""

log = logging.getLogger("chaostoolkit")


@functools.lru_cache(maxsize=8)
def connect(kubeconfig: str, context: str) -> Cluster:
    """One client for all activities of an experiment: the first connection costs most."""
    private = Path(os.environ.get(PRIVATE_ENV, ""))
    if private.name.startswith(PRIVATE_PREFIX):
        # Our parent does that too, unless it was killed.
        atexit.register(shutil.rmtree, private, ignore_errors=True)
    return KubeCluster(kubeconfig, context)


@activity
def wait_until(wall_s: float) -> float:
    """Wait, in small steps, until the absolute Unix time ``wall_s``.

    Returns:
        Seconds by which the end was missed; well below 0.1 unless it was past at the start.
    """
    while (left_s := wall_s - time.time()) > 0:
        time.sleep(min(left_s, STEP_S))
    return round(time.time() - wall_s, 3)


@activity
def delay_requests(
    *,
    service: str,
    namespace: str,
    run: str,
    fault: str,
    delay_s: float,
    percent: float = 100.0,
    headers: Mapping[str, str] | None = None,
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Delay requests to ``service`` in their callers' proxies by ``delay_s``.

    Args:
        service: Kubernetes Service.
        namespace: Its namespace, where its VirtualServices are looked for.
        run: Id of the run; with ``fault``, the name under which it is found again.
        fault: Id of the fault in the run.
        delay_s: Seconds added to each request that is hit.
        percent: Share of the requests that are hit, above 0 to 100.
        headers: Hit only requests with these headers and values.
        expires_at_wall_s: Unix time from which anybody may remove it; in an hour by default.
        owner: Who is responsible; user and host by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        The VirtualServices that were changed, as ``virtualservice/<name>``.
    """
    block = virtualservice.delay_block(delay_s, percent)
    until = _expiry(expires_at_wall_s)
    tag = Tag(run, fault, owner or _whoami(), until, service, block, _lowered(headers))
    return _inject(connect(kubeconfig, context), namespace, tag, effects)


@activity
def abort_requests(
    *,
    service: str,
    namespace: str,
    run: str,
    fault: str,
    status: int,
    percent: float = 100.0,
    headers: Mapping[str, str] | None = None,
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Answer requests to ``service`` with ``status`` in their callers' proxies.

    Arguments and result are those of :func:`delay_requests`; ``status`` is the HTTP status.
    """
    block = virtualservice.abort_block(status, percent)
    until = _expiry(expires_at_wall_s)
    tag = Tag(run, fault, owner or _whoami(), until, service, block, _lowered(headers))
    return _inject(connect(kubeconfig, context), namespace, tag, effects)


@rollback
def remove_fault(
    *,
    namespace: str,
    run: str,
    fault: str,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Remove what bears the name of one fault from all VirtualServices of ``namespace``.

    Idempotent; needs no memory of the injection.

    Returns:
        The VirtualServices that were changed.
    """
    cluster = connect(kubeconfig, context)
    key = fault_key(run, fault)
    removed = []
    for vs in patiently(lambda: cluster.virtual_services(namespace)):
        if key in virtualservice.faults_on(vs):
            after = edit_virtual_service(
                cluster, vs, lambda now: virtualservice.remove_fault(now, run, fault)
            )
            removed.append(subject_of(vs))
            detail = key if after is not None else f"{key}, with the whole object"
            record("removed", subject_of(vs), detail, effects)
    return removed


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
    before = patiently(lambda: cluster.pods(namespace, wanted))
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
            lambda: cluster.pods(namespace, wanted),
            victims,
            before,
            killed_at_s=killed_at_s,
            until_s=follow_until_wall_s,
            effects=effects,
        ),
    }


def service_selector(cluster: Cluster, namespace: str, service: str) -> str:
    """The label selector of a Service.

    Raises:
        FaultError: When neither a selector nor a Service was named, or it selects nothing.
    """
    if not service:
        raise FaultError(
            "a pod kill needs to know its candidates", accepted="a label selector, or a Service"
        )
    return choice.service_selector(patiently(lambda: cluster.service(namespace, service)))


def budgets_of(cluster: Cluster, namespace: str) -> list[Object]:
    """The PodDisruptionBudgets of a namespace; none where reading them is not allowed."""
    try:
        found: list[Object] = patiently(lambda: cluster.disruption_budgets(namespace))
    except ApiRefusalError as error:
        if error.status not in (403, 404):
            raise
        log.warning("PodDisruptionBudgets are not honoured: %s", error.message)
        return []
    return found


def subject_of(vs: Object) -> str:
    """``virtualservice/<name>``."""
    return f"virtualservice/{vs['metadata']['name']}"


def affected(cluster: Cluster, namespace: str, service: str) -> list[Object]:
    """The VirtualServices of ``namespace`` with an HTTP route to ``service``.

    Raises:
        FaultError: When there is none; says which ones were looked at.
    """
    all_of_them = patiently(lambda: cluster.virtual_services(namespace))
    found = [vs for vs in all_of_them if virtualservice.routes_to(vs, service)]
    if not found:
        names = ", ".join(sorted(vs["metadata"]["name"] for vs in all_of_them)) or "none there"
        raise FaultError(
            f"no VirtualService in {namespace} routes HTTP requests to {service}; "
            f"looked at: {names}",
            accepted=f"a route with the destination host {service} or {service}.{namespace}.svc…",
        )
    return found


def _expiry(wall_s: float | None) -> str:
    return timestamp(time.time() + DEFAULT_EXPIRY_S if wall_s is None else wall_s)


def _lowered(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _inject(cluster: Cluster, namespace: str, tag: Tag, effects: str) -> list[str]:
    changed = []
    for vs in affected(cluster, namespace, tag.service):
        subject = subject_of(vs)
        after = edit_virtual_service(cluster, vs, lambda now: virtualservice.add_fault(now, tag))
        if after is None:
            raise FaultError(f"{subject} was deleted while the fault was injected")
        names = virtualservice.copies(after, tag.run, tag.fault)
        record("injected", subject, ", ".join(names), effects)
        changed.append(subject)
    return changed


def _kill(
    cluster: Cluster, namespace: str, victim: choice.Victim, grace_s: float, effects: str
) -> None:
    try:
        cluster.delete_pod(namespace, victim.name, victim.uid, grace_s)
    except ApiRefusalError as error:
        if error.status in (404, 409):
            raise FaultError(
                f"pod/{victim.name} was replaced by somebody else before it was killed"
            ) from error
        raise
    detail = f"uid {victim.uid}, node {victim.node or 'unknown'}, grace {grace_s:g} s"
    record("killed", f"pod/{victim.name}", detail, effects)


def _whoami() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
