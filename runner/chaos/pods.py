"""Which pods are killed, and whether they are back: decisions over pods as data. Pure.

Only pods that do their work are candidates: running, ready, not already on their way out. The
choice is drawn with a seed from the names in order, so the same seed and pods give the same choice.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from runner.chaos.budgets import refusals
from runner.chaos.objects import Object
from runner.errors import FaultError
from runner.model.bounds import why_at_most
from runner.model.labels import selector_text
from runner.model.podcount import COUNT_ACCEPTED, PodCount, pods_meant
from runner.model.target import UNBOUNDED, Bounds

_COUNT: TypeAdapter[int | str] = TypeAdapter(PodCount)


@dataclass(frozen=True, slots=True)
class Victim:
    """A pod as it was when it was chosen.

    Attributes:
        owner: UID of its controller; empty when nobody will replace it.
    """

    name: str
    uid: str
    node: str
    owner: str


def service_selector(service: Object) -> str:
    """The selector of a Service, as text.

    Raises:
        FaultError: When it selects nothing: then every pod of the namespace would be a candidate.
    """
    labels = (service.get("spec") or {}).get("selector") or {}
    if not labels:
        name = (service.get("metadata") or {}).get("name", "")
        raise FaultError(
            f"service/{name} has no selector, so there are no pods to choose from",
            accepted="a Service with a selector, or a fault with 'selector'",
        )
    return selector_text(labels)


def is_leaving(pod: Object) -> bool:
    """Whether the pod is being deleted, or has ended."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return ended or bool((pod.get("metadata") or {}).get("deletionTimestamp"))


def is_ready(pod: Object) -> bool:
    """Whether the pod runs, is ready, and is to stay."""
    status = pod.get("status") or {}
    ready = any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
    return ready and status.get("phase") == "Running" and not is_leaving(pod)


def candidates(pods: Iterable[Object]) -> list[Object]:
    """The pods that may be chosen, in the order of their names."""
    return sorted(filter(is_ready, pods), key=lambda pod: str(pod["metadata"]["name"]))


def choose(
    pods: Iterable[Object],
    *,
    selector: str,
    count: int | str,
    min_healthy: int,
    seed: int,
    budgets: Iterable[Object] = (),
    bounds: Bounds = UNBOUNDED,
) -> list[Victim]:
    """Draw ``count`` of the ready pods such that ``min_healthy`` ready ones are left.

    Args:
        pods: All pods that ``selector`` found.
        selector: What they were found with; an empty one is refused.
        count: Pods to kill: a number, a share of the ready ones (rounded down, at least one), or
            all; see :func:`runner.model.podcount.pods_meant`.
        min_healthy: Ready pods that must be left.
        seed: Seed of the draw.
        budgets: PodDisruptionBudgets of the namespace; all of them must allow it.
        bounds: The target's; they must allow it, too.

    Raises:
        FaultError: When no pod may be killed; nothing is ever killed in part.
    """
    if not selector.strip():
        raise FaultError(
            "a pod kill without a selector could hit any pod of the namespace",
            accepted="a label selector, such as app=order-api",
        )
    ready = candidates(pods)
    meant = _meant(count, len(ready))
    if meant < 1 or len(ready) - meant < max(min_healthy, 0):
        which = f"{meant} ({count})" if isinstance(count, str) else str(count)
        raise FaultError(
            f"{len(ready)} ready pods have {selector}; killing {which} of them would not leave "
            f"{min_healthy}",
            accepted="a count of at least 1 that leaves min_healthy ready pods",
            hint="nothing was killed: scale out, wait until pods are ready, or lower min_healthy",
        )
    if meant > bounds.most_of(len(ready)):
        raise FaultError(
            f"{len(ready)} ready pods have {selector}, and killing {meant} of them is too much: "
            f"{why_at_most(bounds, len(ready))}",
            hint="nothing was killed: scale out, or ask who set the bounds",
        )
    drawn = random.Random(seed).sample(ready, meant)  # noqa: S311 - a repeatable draw is the point
    if refused := refusals(budgets, drawn):
        raise FaultError("; ".join(refused), hint="nothing was killed: wait until it allows more")
    return [victim_of(pod) for pod in drawn]


def _meant(count: int | str, ready: int) -> int:
    """Also of a text that only somebody else's experiment can hold."""
    if isinstance(count, int):
        return count
    try:
        return pods_meant(_COUNT.validate_python(count), ready)
    except ValueError as error:
        raise FaultError(f"{count!r} is no number of pods", accepted=COUNT_ACCEPTED) from error


def victim_of(pod: Object) -> Victim:
    """What has to be known about a pod before it is killed."""
    metadata = pod["metadata"]
    return Victim(
        name=str(metadata["name"]),
        uid=str(metadata["uid"]),
        node=str((pod.get("spec") or {}).get("nodeName") or ""),
        owner=owner_of(pod),
    )


def owner_of(pod: Object) -> str:
    """UID of the pod's controller; empty when it has none."""
    owners: Sequence[Object] = (pod.get("metadata") or {}).get("ownerReferences") or ()
    controllers = [owner for owner in owners if owner.get("controller", True)]
    return str(controllers[0].get("uid", "")) if controllers else ""


def replacements(
    victims: Sequence[Victim], before: frozenset[str], pods: Iterable[Object]
) -> list[Object]:
    """Pods that are new since the kill and have the owner of a victim, oldest name first.

    Args:
        victims: The killed pods.
        before: UIDs of all pods that were there before.
        pods: The pods that are there now.
    """
    owners = {victim.owner for victim in victims if victim.owner}
    new = [
        pod
        for pod in pods
        if pod["metadata"]["uid"] not in before and owner_of(pod) in owners and not is_leaving(pod)
    ]
    return sorted(new, key=lambda pod: str(pod["metadata"]["name"]))
