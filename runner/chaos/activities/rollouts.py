"""Deployments whose pods are all replaced, as ``kubectl rollout restart`` does it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from runner.chaos.activities.around import activity
from runner.chaos.activities.shared import connect, subject_of
from runner.chaos.activities.workloads import read_deployment
from runner.chaos.client import ApiRefusalError, Cluster, edit, patiently
from runner.chaos.deployments import Progress, progress, restarted, selector_of
from runner.chaos.effects import log, record
from runner.chaos.objects import DEPLOYMENTS, PODS, Object
from runner.chaos.pods import is_leaving, is_ready
from runner.chaos.recovery import pause_after
from runner.errors import FaultError

MOST_NAMES = 50


@activity
def restart_rollout(
    *,
    namespace: str,
    deployment: str,
    follow_until_wall_s: float | None = None,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> dict[str, Any]:
    """Replace all pods of a Deployment by its own strategy, and watch until that is done.

    Only the annotation ``kubectl.kubernetes.io/restartedAt`` of the pod template is set. There is
    nothing to undo: the template is as before otherwise, and the old pods are gone for good.

    A rollout that is not over in time is a finding about the system, not a failure of this action:
    then the result says so, and there is no effect ``ready``.

    Args:
        namespace: Where.
        deployment: Name of the Deployment.
        follow_until_wall_s: Unix time until which to watch; no watching by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        ``{"before": {pod: uid}, "after": {pod: uid}, "fewest_ready": …, "finished_after_s": …}``;
        the last is None when it was not over in time, or not watched.
    """
    cluster = connect(kubeconfig, context)
    found = restartable(cluster, namespace, deployment)
    selector = selector_of(found)
    before = patiently(lambda: cluster.items(PODS, namespace, selector))
    old = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in before if not is_leaving(pod)}
    begun_s = time.time()
    at = datetime.fromtimestamp(begun_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    after = edit(cluster, DEPLOYMENTS, found, partial(restarted, at=at))
    if after is None:
        raise FaultError(f"deployment/{deployment} was deleted before it was restarted")
    record("injected", subject_of(found), f"restarted at {at}; pods: {_listed(old)}", effects)
    watch = _Rollout(cluster, namespace, deployment, selector, old, begun_s, effects)
    watch.fewest_ready = sum(map(is_ready, before))
    took_s = None if follow_until_wall_s is None else watch.follow(follow_until_wall_s)
    return {
        "before": old,
        "after": watch.new,
        "fewest_ready": watch.fewest_ready,
        "finished_after_s": took_s,
    }


@activity
def rollout_can_be_restarted(
    *, namespace: str, deployment: str, kubeconfig: str = "", context: str = ""
) -> bool:
    """Whether the Deployment has pods, is not paused, and no rollout is under way."""
    restartable(connect(kubeconfig, context), namespace, deployment)
    return True


def restartable(cluster: Cluster, namespace: str, deployment: str) -> Object:
    """The Deployment, if a rollout of it can be begun and told from another.

    Raises:
        FaultError: When it cannot.
    """
    found = read_deployment(cluster, namespace, deployment)
    now = progress(found)
    if found["spec"].get("paused"):
        raise FaultError(
            f"deployment/{deployment} is paused: a restart would do nothing",
            hint=f"kubectl rollout resume deployment/{deployment} -n {namespace}",
        )
    if now.wanted == 0:
        raise FaultError(f"deployment/{deployment} has no pods to restart", accepted="replicas > 0")
    if not now.complete:
        raise FaultError(
            f"a rollout of deployment/{deployment} is under way, or stuck: {now.sentence}",
            hint=f"kubectl rollout status deployment/{deployment} -n {namespace}",
        )
    return found


@dataclass(slots=True)
class _Rollout:
    """What is seen of a rollout.

    Attributes:
        old: Name to UID of the pods that have to go.
        new: The same of those that are there by now instead.
        fewest_ready: The smallest number of ready pods at any look.
    """

    cluster: Cluster
    namespace: str
    deployment: str
    selector: str
    old: dict[str, str]
    begun_s: float
    effects: str
    new: dict[str, str] = field(default_factory=dict)
    fewest_ready: int = 0

    def follow(self, until_s: float) -> float | None:
        """Seconds until the rollout was over; None when it was not until ``until_s``."""
        while True:
            try:
                if (now := self._look()) is not None:
                    return self._over(now)
            except ApiRefusalError as error:
                if not error.transient:
                    raise
                log.warning("cannot see the rollout: %s", error.message)
            if (left_s := until_s - time.time()) <= 0:
                return None
            time.sleep(min(pause_after(time.time() - self.begun_s), left_s))

    def _look(self) -> Progress | None:
        """The Deployment's progress, if it is complete and no old pod is left."""
        now = progress(self.cluster.read(DEPLOYMENTS, self.namespace, self.deployment))
        pods = self.cluster.items(PODS, self.namespace, self.selector)
        self.fewest_ready = min(self.fewest_ready, sum(map(is_ready, pods)))
        for pod in pods:
            self._note(pod)
        there = {pod["metadata"]["uid"] for pod in pods}
        self.new = {name: uid for name, uid in self.new.items() if uid in there}
        return now if now.complete and there.isdisjoint(self.old.values()) else None

    def _note(self, pod: Object) -> None:
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        if uid in self.old.values() or self.new.get(name) == uid or not is_ready(pod):
            return
        self.new[name] = uid
        record("replaced", f"pod/{name}", f"uid {uid}, ready {self._after()}", self.effects)

    def _over(self, now: Progress) -> float:
        left = f"never fewer than {self.fewest_ready} ready"
        detail = f"{now.sentence}, {self._after()}; {left}; pods: {_listed(self.new)}"
        record("ready", f"deployment/{self.deployment}", detail, self.effects)
        return round(time.time() - self.begun_s, 3)

    def _after(self) -> str:
        return f"{time.time() - self.begun_s:.2f} s after the restart"


def _listed(pods: dict[str, str]) -> str:
    shown: Sequence[str] = [f"{name} (uid {uid})" for name, uid in sorted(pods.items())]
    more = len(shown) - MOST_NAMES
    return ", ".join(shown[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
