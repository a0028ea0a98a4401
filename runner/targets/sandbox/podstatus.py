"""The status of a pod from the facts about its containers: pure, in Kubernetes' words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from runner.targets.sandbox.pods import condition, time_of

Object = Mapping[str, Any]

SIGNAL_BASE: Final = 128


class Waiting(NamedTuple):
    reason: str
    message: str = ""


class Running(NamedTuple):
    started_s: float


class Terminated(NamedTuple):
    """How a container ended; ``exit_code`` is 128 + the signal's number if a signal ended it."""

    exit_code: int
    reason: str
    started_s: float
    finished_s: float


State = Waiting | Running | Terminated


@dataclass(slots=True)
class ContainerFacts:
    """What the kubelet knows of one container."""

    name: str
    image: str
    state: State = field(default_factory=lambda: Waiting("ContainerCreating"))
    last: Terminated | None = None
    restarts: int = 0
    ready: bool = False


def exit_of(
    returncode: int, started_s: float, finished_s: float, *, oom: bool = False
) -> Terminated:
    """The end of a process; ``returncode`` as Python has it, negative for a signal."""
    code = returncode if returncode >= 0 else SIGNAL_BASE - returncode
    reason = "OOMKilled" if oom else "Completed" if code == 0 else "Error"
    return Terminated(code, reason, started_s, finished_s)


def must_restart(policy: str, end: Terminated) -> bool:
    """Whether a container that ended so is started again under a pod's restartPolicy."""
    return policy == "Always" or (policy == "OnFailure" and end.exit_code != 0)


class BackOff(NamedTuple):
    """Kubernetes' back-off between restarts: none before the first, then doubling up to a cap.

    Attributes:
        first_s: The delay before the second restart.
        cap_s: The longest delay.
        reset_s: A container that ran this long starts over.
    """

    first_s: float = 10.0
    cap_s: float = 300.0
    reset_s: float = 600.0

    def delay_s(self, crashes: int) -> float:
        """Seconds to wait after the ``crashes``-th crash in a row (from 1)."""
        if crashes <= 1:
            return 0.0
        return min(self.first_s * 2.0 ** min(crashes - 2, 30), self.cap_s)


def pod_status(
    pod: Object,
    containers: Sequence[ContainerFacts],
    *,
    address: str,
    started_s: float,
    now_s: float,
) -> dict[str, Any]:
    """The whole status of a pod.

    Args:
        pod: The pod; its present conditions give the times of those that do not change.
        containers: One entry per container of the spec.
        address: The pod's address.
        started_s: Unix seconds at which the kubelet took the pod over.
        now_s: Unix seconds now.
    """
    all_ready = bool(containers) and all(each.ready for each in containers)
    phase = _phase(containers)
    finished = phase in ("Succeeded", "Failed")
    unready = [each.name for each in containers if not each.ready]
    detail = (
        ("PodCompleted", "")
        if finished
        else ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    )
    flags = {
        "PodScheduled": (True, ("", "")),
        "Initialized": (True, ("PodCompleted", "") if finished else ("", "")),
        "ContainersReady": (all_ready, ("", "") if all_ready else detail),
        "Ready": (all_ready, ("", "") if all_ready else detail),
    }
    return {
        "phase": phase,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "startTime": time_of(started_s),
        "qosClass": "Burstable",
        "conditions": [
            _condition(pod, kind, holds, why, now_s) for kind, (holds, why) in flags.items()
        ],
        "containerStatuses": [_container(each) for each in containers],
    }


def _phase(containers: Sequence[ContainerFacts]) -> str:
    """A container that never ran makes a pod Pending; all finished for good end it."""
    if any(isinstance(each.state, Waiting) and each.last is None for each in containers):
        return "Pending"
    ends = [each.state for each in containers if isinstance(each.state, Terminated)]
    if containers and len(ends) == len(containers):
        return "Succeeded" if all(end.exit_code == 0 for end in ends) else "Failed"
    return "Running"


def _condition(
    pod: Object, kind: str, holds: bool, why: tuple[str, str], now_s: float
) -> dict[str, Any]:
    before = condition(pod, kind)
    status = "True" if holds else "False"
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    made = {"type": kind, "status": status, "lastTransitionTime": since or time_of(now_s)}
    reason, message = why
    return made | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def _container(facts: ContainerFacts) -> dict[str, Any]:
    return {
        "name": facts.name,
        "image": facts.image,
        "imageID": facts.image,
        "ready": facts.ready,
        "started": isinstance(facts.state, Running),
        "restartCount": facts.restarts,
        "state": _state(facts.state),
        "lastState": _state(facts.last) if facts.last is not None else {},
    }


def _state(state: State) -> dict[str, Any]:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        case Running(started_s):
            return {"running": {"startedAt": time_of(started_s)}}
        case Terminated(code, reason, started_s, finished_s):
            ended: dict[str, Any] = {"exitCode": code, "reason": reason}
            if code > SIGNAL_BASE:
                ended["signal"] = code - SIGNAL_BASE
            times = {"startedAt": time_of(started_s), "finishedAt": time_of(finished_s)}
            return {"terminated": ended | times}
