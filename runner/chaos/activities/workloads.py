"""Deployments that are scaled, and the way back; what is known of their pods meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from runner.chaos.activities.around import activity
from runner.chaos.activities.holding import LOOK_EVERY_S, hold
from runner.chaos.activities.placing import in_place, set_field
from runner.chaos.activities.shared import BY_HAND, connect, make_tag, subject_of
from runner.chaos.annotation import Tag, fault_key
from runner.chaos.carriers import REPLICAS
from runner.chaos.ceilings import check
from runner.chaos.client import ApiRefusalError, Cluster, patiently
from runner.chaos.deployments import Progress, autoscaler_of, progress, replicas_of, selector_of
from runner.chaos.effects import log, record
from runner.chaos.kills import at_most
from runner.chaos.objects import AUTOSCALERS, DEPLOYMENTS, PODS, SERVICES, Object
from runner.chaos.pods import candidates
from runner.chaos.recovery import pause_after
from runner.errors import FaultError
from runner.model.bounds import World
from runner.model.target import Bounds


@activity
def scale_deployment(
    *,
    namespace: str,
    deployment: str,
    replicas: int,
    service: str = "",
    max_pods: int | None = None,
    max_percent: float | None = None,
    min_healthy: int = 0,
    run: str = BY_HAND,
    fault: str = "",
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> str:
    """Set the replicas of a Deployment; what they were is written onto it in the same request.

    The way back is ``remove_fault`` with ``kinds: [deployments]``, or ``seatrial heal``.

    Args:
        namespace: Where.
        deployment: Name of the Deployment.
        replicas: Replicas meanwhile, from 0.
        service: Service that is meant, whose ready pods the bounds count; the Deployment's own by
            default.
        max_pods: Refuse to take more pods away.
        max_percent: Refuse to take a larger share of the ready ones away (0 to 100, rounded down).
        min_healthy: Refuse to leave fewer ready ones.
        run: Id of the run; with ``fault``, the name under which it is found again.
        fault: Id of the fault in the run; ``scale-<deployment>`` by default.
        expires_at_wall_s: Unix time from which anybody may remove it; in an hour by default.
        owner: Who is responsible; user and host by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        The object that was changed, as ``deployment/<name>``.
    """
    cluster = connect(kubeconfig, context)
    found = scalable(cluster, namespace, deployment, replicas)
    _within(at_most(max_pods, max_percent, min_healthy), cluster, found, replicas, service)
    tag = make_tag(
        run,
        fault or f"scale-{deployment}",
        owner=owner,
        expires_at_wall_s=expires_at_wall_s,
        service=service or deployment,
        kind="scale",
    )
    after = set_field(
        cluster, DEPLOYMENTS, found, tag, path=REPLICAS, value=replicas, effects=effects
    )
    return subject_of(after)


@activity
def deployment_can_be_scaled(
    *,
    namespace: str,
    deployment: str,
    replicas: int,
    service: str = "",
    max_pods: int | None = None,
    max_percent: float | None = None,
    min_healthy: int = 0,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Whether scaling the Deployment to ``replicas`` would change it, and would last.

    It would not last where a HorizontalPodAutoscaler takes care of it; except at 0 replicas, which
    is how Kubernetes is told to leave a workload alone. The bounds are those of
    :func:`scale_deployment`.
    """
    cluster = connect(kubeconfig, context)
    found = scalable(cluster, namespace, deployment, replicas)
    _within(at_most(max_pods, max_percent, min_healthy), cluster, found, replicas, service)
    return True


@activity
def deployment_is_scaled(
    *,
    namespace: str,
    fault: str,
    run: str = BY_HAND,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Whether a Deployment, read back, carries the fault and the replicas that it set."""
    cluster = connect(kubeconfig, context)
    obj, _ = in_place(cluster, DEPLOYMENTS, namespace, fault_key(run, fault), REPLICAS)
    record("verified", subject_of(obj), f"{replicas_of(obj)} replicas", effects)
    return True


@activity
def scaling_holds(
    *,
    namespace: str,
    fault: str,
    until_wall_s: float,
    run: str = BY_HAND,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Wait until the Unix time ``until_wall_s`` and see that the replicas stay as they were set.

    As soon as the Deployment's status shows as many ready pods as the fault asked for, and no
    others, that is on record as ``seen``. That it never does is a finding, no failure. Fails at
    once when somebody changes the replicas, or takes the fault away.
    """
    cluster = connect(kubeconfig, context)
    key = fault_key(run, fault)
    begun_s = time.time()
    seen: list[str] = []

    def look() -> list[Tag]:
        obj, tag = in_place(cluster, DEPLOYMENTS, namespace, key, REPLICAS)
        now, after_s = progress(obj), time.time() - begun_s
        # An answer that comes after the end may be about the way back.
        if now.scaled and not seen and begun_s + after_s < until_wall_s:
            seen.append(subject_of(obj))
            detail = f"{now.sentence}, {after_s:.2f} s after it was verified"
            record("seen", seen[0], detail, effects)
        return [tag]

    # What is still to be seen is looked for more often.
    hold(
        until_wall_s,
        look,
        pause_s=lambda: LOOK_EVERY_S if seen else pause_after(time.time() - begun_s),
    )
    return True


@activity
def deployment_is_ready(
    *,
    namespace: str,
    deployment: str,
    within_s: float = 0.0,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Whether all pods of a Deployment are new, ready and available; waits up to ``within_s``."""
    cluster = connect(kubeconfig, context)
    last: list[str] = []

    def look() -> tuple[Progress, str]:
        obj = read_deployment(cluster, namespace, deployment)
        last[:] = [progress(obj).sentence]
        return progress(obj), subject_of(obj)

    if _when(look, lambda now: now.complete, time.time() + within_s) is None:
        state = last[0] if last else "nobody can see it"
        raise FaultError(f"deployment/{deployment} is not ready: {state}")
    return True


@activity
def watch_deployment(
    *,
    namespace: str,
    deployment: str,
    until_wall_s: float,
    not_before_wall_s: float = 0.0,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> float | None:
    """Watch until all pods of a Deployment are ready again; that is on record as ``ready``.

    Args:
        namespace: Where.
        deployment: Name of the Deployment.
        until_wall_s: Unix time until which to watch.
        not_before_wall_s: Before this Unix time nobody watches: a fault that is cut short has to
            be undone, and nothing else.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        Seconds until they were; None when they were not in time, which is a finding, no failure.
    """
    begun_s = time.time()
    if begun_s < not_before_wall_s:
        return None
    cluster = connect(kubeconfig, context)

    def look() -> tuple[Progress, str]:
        obj = read_deployment(cluster, namespace, deployment)
        return progress(obj), subject_of(obj)

    seen = _when(look, lambda now: now.scaled, until_wall_s)
    if seen is None:
        return None
    took_s = time.time() - begun_s
    record("ready", seen[1], f"{seen[0].sentence}, {took_s:.2f} s after the fault", effects)
    return round(took_s, 3)


def scalable(cluster: Cluster, namespace: str, deployment: str, replicas: int) -> Object:
    """The Deployment, if scaling it to ``replicas`` changes it and lasts.

    Raises:
        FaultError: When it does not.
    """
    if isinstance(replicas, bool) or replicas < 0:
        raise FaultError(f"a Deployment cannot have {replicas} replicas", accepted="0 or more")
    found = read_deployment(cluster, namespace, deployment)
    if replicas_of(found) == replicas:
        raise FaultError(
            f"deployment/{deployment} has {replicas} replicas already: nothing would change",
            accepted=f"any other number than {replicas}",
        )
    scaler = autoscaler_of(_autoscalers(cluster, namespace), deployment)
    if scaler and replicas > 0:
        raise FaultError(
            f"horizontalpodautoscaler/{scaler} takes care of deployment/{deployment}, and would "
            "set the replicas back",
            accepted="replicas: 0, which an autoscaler leaves alone",
        )
    return found


def _within(bounds: Bounds, cluster: Cluster, found: Object, replicas: int, service: str) -> None:
    """Raises FaultError when scaling ``found`` takes more pods away than ``bounds`` allow now."""
    goes = replicas_of(found) - replicas
    if goes <= 0 or not bounds.counts_pods:
        return
    namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
    services = patiently(lambda: cluster.items(SERVICES, namespace)) if service else ()
    wanted = World(services, (), ()).selector(service) or selector_of(found)
    ready = len(candidates(patiently(lambda: cluster.items(PODS, namespace, wanted))))
    goes = min(goes, ready)
    deed = f"scaling deployment/{name} to {replicas} takes {goes} of {ready} ready pods away"
    check(bounds, goes, ready, deed)


def read_deployment(cluster: Cluster, namespace: str, deployment: str) -> Object:
    """The Deployment as it is now.

    Raises:
        FaultError: When there is none; says which there are.
    """
    try:
        found: Object = patiently(partial(cluster.read, DEPLOYMENTS, namespace, deployment))
    except ApiRefusalError as error:
        if error.status != 404:
            raise
        known = sorted(
            obj["metadata"]["name"]
            for obj in patiently(lambda: cluster.items(DEPLOYMENTS, namespace))
        )
        raise FaultError(
            f"there is no deployment/{deployment} in {namespace}",
            accepted=", ".join(known) or "nothing: there is none at all",
        ) from error
    return found


def _autoscalers(cluster: Cluster, namespace: str) -> list[Object]:
    try:
        found: list[Object] = patiently(lambda: cluster.items(AUTOSCALERS, namespace))
    except ApiRefusalError as error:
        if error.status not in (403, 404):
            raise
        log.warning("autoscalers are not looked at: %s", error.message)
        return []
    return found


def _when(
    look: Callable[[], tuple[Progress, str]],
    reached: Callable[[Progress], bool],
    until_s: float,
) -> tuple[Progress, str] | None:
    """The first look at which ``reached`` holds; None when that is not until ``until_s``.

    Raises:
        ApiRefusalError: When we may not look.
    """
    begun_s = time.time()
    while True:
        try:
            seen = look()
        except ApiRefusalError as error:
            if not error.transient:
                raise
            log.warning("cannot see the deployment: %s", error.message)
        else:
            if reached(seen[0]):
                return seen
        if (left_s := until_s - time.time()) <= 0:
            return None
        time.sleep(min(pause_after(time.time() - begun_s), left_s))
