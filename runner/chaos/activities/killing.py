"""Pods that are killed, once or again and again, and watched until they are back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from runner.chaos.activities.around import activity
from runner.chaos.activities.shared import connect
from runner.chaos.kills import Killer, Series, Wish, at_most, draw, service_selector
from runner.errors import FaultError, SeatrialError
from runner.model.killtimes import kill_moments


@activity
def kill_pods(
    *,
    namespace: str,
    service: str = "",
    selector: str = "",
    count: int | str = 1,
    grace_period_s: float = 0.0,
    min_healthy: int = 1,
    max_pods: int | None = None,
    max_percent: float | None = None,
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
        count: Pods to kill: a number, a share of the ready ones such as ``50%`` (rounded down, at
            least one), or ``all``. All of them or none.
        grace_period_s: Grace for each pod, in whole seconds; 0 kills at once.
        min_healthy: Ready pods that must be left.
        max_pods: Refuse to kill more at a time.
        max_percent: Refuse to kill a larger share of the ready ones (from 0 to 100, rounded down).
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
    bounds = at_most(max_pods, max_percent)
    wish = Wish(namespace, wanted, count, min_healthy, grace_period_s, effects, bounds)
    killer = Killer(cluster, wish)
    try:
        done = killer.kill(seed, "the kill")
    except SeatrialError as error:
        killer.skipped("the kill", error.message)
        raise
    if follow_until_wall_s is not None:
        killer.watch.follow(follow_until_wall_s)
    if done.missed:
        many = len(done.victims) + len(done.missed)
        raise FaultError(f"only {len(done.victims)} of {many} pods were killed: {done.missed[0]}")
    return {
        "candidates": done.candidates,
        "killed": [asdict(victim) for victim in done.victims],
        "recovered_after_s": killer.watch.took_s,
    }


@activity
def keep_killing_pods(
    *,
    namespace: str,
    service: str = "",
    selector: str = "",
    count: int | str = 1,
    moments_wall_s: Sequence[float] = (),
    every_s: float | None = None,
    jitter_s: float = 0.0,
    duration_s: float = 0.0,
    while_recovering: bool = False,
    grace_period_s: float = 0.0,
    min_healthy: int = 1,
    max_pods: int | None = None,
    max_percent: float | None = None,
    seed: int = 0,
    follow_until_wall_s: float | None = None,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> dict[str, Any]:
    """Kill ready pods again and again, and watch after each kill until they are back.

    When the first kill may not happen, this fails. A later one that may not happen (too few pods
    are ready, a PodDisruptionBudget forbids it, the pods of the last one are not back, the API
    server does not answer) is left out, which is on record as ``skipped``, and the next one is
    tried.

    Args:
        namespace: Where.
        service: Service whose own selector finds the candidates when ``selector`` is empty.
        selector: Label selector of the candidates.
        count: As for :func:`kill_pods`; counted anew at each kill.
        moments_wall_s: Unix times of the kills, in order. Without them, ``every_s`` and
            ``duration_s`` say when, from now on.
        every_s: Seconds between two kills.
        jitter_s: Each kill after the first comes up to so much earlier or later.
        duration_s: No kill comes later than this.
        while_recovering: Kill again although the pods of an earlier kill are not back.
        grace_period_s: Grace for each pod, in whole seconds; 0 kills at once.
        min_healthy: Ready pods that must be left by each kill.
        max_pods: Refuse to kill more at a time.
        max_percent: Refuse to kill a larger share of the ready ones (from 0 to 100, rounded down).
        seed: Seed of the moments and of the choices.
        follow_until_wall_s: Unix time until which to watch; by default the end of ``duration_s``,
            or the last kill.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        ``{"kills": number, "skipped": [reasons], "killed": [{name, uid, node, owner}],
        "recovered_after_s": …}``, at most a thousand entries each; the last one for the last kill.
    """
    begun_s = time.time()
    moments = list(moments_wall_s) or _moments(begun_s, duration_s, every_s, jitter_s, seed)
    cluster = connect(kubeconfig, context)
    wanted = selector or service_selector(cluster, namespace, service)
    bounds = at_most(max_pods, max_percent)
    wish = Wish(namespace, wanted, count, min_healthy, grace_period_s, effects, bounds)
    ends_s = max(moments[-1], begun_s + duration_s)
    return Series(Killer(cluster, wish), seed, while_recovering=while_recovering).run(
        moments, ends_s if follow_until_wall_s is None else follow_until_wall_s
    )


@activity
def pods_can_be_killed(
    *,
    namespace: str,
    service: str = "",
    selector: str = "",
    count: int | str = 1,
    min_healthy: int = 1,
    max_pods: int | None = None,
    max_percent: float | None = None,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Whether ``count`` of the ready pods can go and ``min_healthy`` ready ones stay.

    Arguments are those of :func:`kill_pods`. PodDisruptionBudgets are asked, too.
    """
    cluster = connect(kubeconfig, context)
    wanted = selector or service_selector(cluster, namespace, service)
    bounds = at_most(max_pods, max_percent)
    draw(cluster, Wish(namespace, wanted, count, min_healthy, bounds=bounds), seed=0)
    return True


def _moments(
    now_s: float, duration_s: float, every_s: float | None, jitter_s: float, seed: int
) -> list[float]:
    if every_s is None or duration_s <= 0:
        raise FaultError(
            "nobody said when pods are to be killed again",
            accepted="moments_wall_s (Unix times), or every_s and duration_s (seconds)",
        )
    try:
        return [now_s + at_s for at_s in kill_moments(duration_s, every_s, jitter_s, seed)]
    except ValueError as error:
        raise FaultError(str(error)) from error
