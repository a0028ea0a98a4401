"""How many replicas a metric asks for: the replica calculator of Kubernetes' autoscaler, pure.

The formula is ``desired = ceil(current * usage / target)``, with a tolerance of 10 % and with
Kubernetes' caution about pods that are not ready or have no figures (documentation: "Horizontal
Pod Autoscaling", algorithm details; ``replica_calculator.go`` of Kubernetes 1.32). As there, usage
is counted in thousandths (of a core, of a byte) and a utilization in whole percent, cut off.

One deviation: a container of the mesh's proxy counts neither for usage nor for requests, because
one Envoy serves all pods of a sandbox. How fast the number may change is decided in
``scaling_rules``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from runner.targets.sandbox.pods import condition, is_terminating, quantity, seconds_of
from runner.targets.sandbox.programs import PROXY_IMAGE

Object = Mapping[str, Any]

TOLERANCE: Final = 0.1
# Kubernetes' --horizontal-pod-autoscaler-cpu-initialization-period and -initial-readiness-delay.
CPU_INITIALIZATION_S: Final = 300.0
INITIAL_READINESS_S: Final = 30.0
RESOURCES: Final = ("cpu", "memory")


class NoProposalError(ValueError):
    """A metric cannot say how many replicas there should be; the text says why."""


class Reading(NamedTuple):
    """What one pod used: thousandths of a core or byte, seen at ``at_s`` over ``window_s``."""

    milli: int
    at_s: float
    window_s: float


class Target(NamedTuple):
    """What a Resource metric of an autoscaler asks for; one of the last two is set.

    Attributes:
        resource: ``cpu`` or ``memory``.
        utilization: Usage in percent of the requests.
        average_milli: Usage of a pod, in thousandths.
    """

    resource: str
    utilization: int | None = None
    average_milli: int | None = None


class Proposal(NamedTuple):
    """How many replicas a metric asks for, and what was measured.

    Attributes:
        replicas: The number, before limits and rates.
        average_milli: Usage of the mean pod, in thousandths.
        utilization: The same in percent of the requests; None for an absolute target.
    """

    replicas: int
    average_milli: int
    utilization: int | None


class Groups(NamedTuple):
    """The pods by what may be concluded from them; ``ready`` is a count, the others uids."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def target_of(metric: Object) -> Target:
    """The target that an entry of ``spec.metrics`` states.

    Raises:
        NoProposalError: It is of a type that the sandbox has no figures for, or has no target.
    """
    kind = str(metric.get("type", ""))
    if kind != "Resource":
        raise NoProposalError(f"the sandbox has no metrics of type {kind!r}, only of type Resource")
    resource = metric.get("resource") or {}
    name, target = str(resource.get("name", "")), resource.get("target") or {}
    if name not in RESOURCES:
        raise NoProposalError(f"the sandbox does not measure the resource {name!r}")
    if target.get("averageUtilization"):
        return Target(name, utilization=int(target["averageUtilization"]))
    try:
        average_milli = math.ceil(quantity(target["averageValue"]) * 1000)
    except (KeyError, ValueError):
        average_milli = 0
    if average_milli <= 0:
        raise NoProposalError("invalid resource metric source: no utilization or average value")
    return Target(name, average_milli=average_milli)


def propose(
    target: Target,
    current: int,
    pods: Sequence[Object],
    readings: Mapping[str, Reading],
    now_s: float,
) -> Proposal:
    """How many replicas there should be by one metric.

    Args:
        target: What the metric asks for.
        current: Replicas that the workload is asked to have.
        pods: All pods that the workload's selector matches.
        readings: Usage by pod uid.
        now_s: Unix seconds.

    Raises:
        NoProposalError: There are no pods, no usable figures, or no requests to compare with.
    """
    if not pods:
        raise NoProposalError("no pods returned by selector while calculating replica count")
    groups = group_pods(target.resource, pods, readings, now_s)
    out = groups.ignored | groups.unready
    uids = {pod["metadata"]["uid"] for pod in pods}
    usage = {uid: seen.milli for uid, seen in readings.items() if uid in uids - out}
    if not usage:
        raise NoProposalError("did not receive metrics for targeted pods (pods might be unready)")
    requests = {} if target.utilization is None else requests_of(target.resource, pods)
    ratio, utilization = _ratio(target, usage, requests)
    average_milli = sum(usage.values()) // len(usage)

    def answer(replicas: int) -> Proposal:
        return Proposal(replicas, average_milli, utilization)

    up_with_unready = bool(groups.unready) and ratio > 1.0
    if not up_with_unready and not groups.missing:
        if _is_near(ratio):
            return answer(current)
        return answer(math.ceil(ratio * groups.ready))
    usage |= _assumed(target, groups.missing, requests, ratio)
    if up_with_unready:
        usage |= dict.fromkeys(groups.unready, 0)
    cautious, _ = _ratio(target, usage, requests)
    wanted = math.ceil(cautious * len(usage))
    # What is assumed may weaken a change; it must not turn it round.
    turned = (ratio < 1.0 < cautious) or (cautious < 1.0 < ratio)
    against = (cautious < 1.0 and wanted > current) or (cautious > 1.0 and wanted < current)
    return answer(current if _is_near(cautious) or turned or against else wanted)


def group_pods(
    resource: str, pods: Iterable[Object], readings: Mapping[str, Reading], now_s: float
) -> Groups:
    """Sort pods by what may be concluded from them, as Kubernetes' ``groupPods`` does."""
    ready, unready, missing, ignored = 0, set(), set(), set()
    for pod in pods:
        uid, phase = pod["metadata"]["uid"], pod.get("status", {}).get("phase", "Pending")
        if is_terminating(pod) or phase == "Failed":
            ignored.add(uid)
        elif phase == "Pending":
            unready.add(uid)
        elif uid not in readings:
            missing.add(uid)
        elif resource == "cpu" and _is_too_young(pod, readings[uid], now_s):
            unready.add(uid)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _is_too_young(pod: Object, reading: Reading, now_s: float) -> bool:
    """Whether a pod's CPU figure may be that of its start, or of a pod that serves nobody."""
    ready, begun = condition(pod, "Ready"), pod["status"].get("startTime")
    if not ready or not begun:
        return True
    is_unready = ready.get("status") == "False"
    begun_s, changed_s = seconds_of(begun), seconds_of(str(ready.get("lastTransitionTime", "")))
    if now_s < begun_s + CPU_INITIALIZATION_S:
        return is_unready or reading.at_s < changed_s + reading.window_s
    return is_unready and changed_s < begun_s + INITIAL_READINESS_S


def requests_of(resource: str, pods: Iterable[Object]) -> dict[str, int]:
    """What each pod requests of a resource, in thousandths, by uid.

    Raises:
        NoProposalError: A container requests none of it, or nothing that can be read; a
            utilization cannot be said then.
    """
    found: dict[str, int] = {}
    for pod in pods:
        total = 0
        for container in pod["spec"].get("containers") or ():
            if container.get("image") == PROXY_IMAGE:
                continue
            stated = ((container.get("resources") or {}).get("requests") or {}).get(resource)
            if stated is None:
                raise NoProposalError(
                    f"missing request for {resource} in container {container.get('name', '')}"
                    f" of Pod {pod['metadata']['name']}"
                )
            try:
                total += math.ceil(round(quantity(stated) * 1000, 6))
            except ValueError as error:
                raise NoProposalError(f"the request {stated!r} is no quantity") from error
        found[pod["metadata"]["uid"]] = total
    return found


def _ratio(
    target: Target, usage: Mapping[str, int], requests: Mapping[str, int]
) -> tuple[float, int | None]:
    """Usage in terms of the target, and the utilization in whole percent."""
    if target.utilization is None:
        wanted = target.average_milli or 1
        return (sum(usage.values()) // len(usage)) / wanted, None
    requested = sum(requests[uid] for uid in usage)
    if requested == 0:
        raise NoProposalError("no metrics returned matched known pods")
    utilization = sum(usage.values()) * 100 // requested
    return utilization / target.utilization, utilization


def _assumed(
    target: Target, missing: Iterable[str], requests: Mapping[str, int], ratio: float
) -> dict[str, int]:
    """The usage of pods without figures: as much as speaks against the change.

    A utilization of exactly the target asks for no change, and nothing is assumed then; an
    absolute one counts them as idle (so does Kubernetes).
    """
    if target.utilization is None:
        return dict.fromkeys(missing, (target.average_milli or 0) if ratio < 1.0 else 0)
    if ratio < 1.0:
        percent = max(100, target.utilization)
        return {uid: requests[uid] * percent // 100 for uid in missing}
    return dict.fromkeys(missing, 0) if ratio > 1.0 else {}


def _is_near(ratio: float) -> bool:
    return 1.0 - TOLERANCE <= ratio <= 1.0 + TOLERANCE
