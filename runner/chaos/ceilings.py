"""A target's bounds at the moment at which pods are hit: counted anew, service by service.

What is ready is counted as :mod:`runner.model.bounds` counts it before a run. Not an activity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runner.chaos.client import Cluster, patiently
from runner.chaos.objects import PODS, SERVICES, Object
from runner.errors import FaultError
from runner.model.bounds import World, why_at_most
from runner.model.target import Bounds


def world_now(cluster: Cluster, namespace: str) -> World:
    """The Services and the pods of a namespace, as read now."""
    services = patiently(lambda: cluster.items(SERVICES, namespace))
    return World(services, patiently(lambda: cluster.items(PODS, namespace)), ())


def check(bounds: Bounds, hit: int, ready: int, deed: str) -> None:
    """Raises FaultError when ``bounds`` do not allow to hit ``hit`` of ``ready`` pods.

    Args:
        bounds: The target's.
        hit: Ready pods that the fault is about to hit.
        ready: Ready pods of the service.
        deed: What would be too much, as in ``scaling x down takes away 2 of 3 ready pods``.
    """
    if hit > bounds.most_of(ready):
        raise FaultError(
            f"{deed}, which is too much: {why_at_most(bounds, ready)}",
            hint="nothing was changed: scale out, wait until pods are ready, or ask who set the "
            "bounds",
        )


@dataclass(slots=True)
class Ceiling:
    """How many pods of each service may still be taken away, one after the other.

    Attributes:
        bounds: The target's.
        at_first: Ready pods of each service before the first one went.
        taken: Of each service, ready pods that were taken away; also those that are replaced.
        ready: Ready pods of each service now.
        selectors: Of each service that has one.
    """

    bounds: Bounds
    at_first: Mapping[str, int]
    taken: dict[str, int] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=dict)
    selectors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def over(cls, bounds: Bounds, world: World) -> Ceiling:
        """The ceiling of a fault that begins in ``world``."""
        names = [str(one["metadata"]["name"]) for one in world.services]
        selectors = {name: text for name in names if (text := world.selector(name))}
        at_first = {name: len(world.ready(text)) for name, text in selectors.items()}
        return cls(bounds, at_first, {}, dict(at_first), selectors)

    def look(self, pods: Iterable[Object]) -> None:
        """Count anew who is ready among all ``pods`` of the namespace."""
        world = World((), list(pods), ())
        self.ready = {name: len(world.ready(text)) for name, text in self.selectors.items()}

    def why_not(self, pod: Object) -> str:
        """Why ``pod`` must stay, as a sentence; empty when it may go."""
        for name in self._services_of(pod):
            first, now = self.at_first[name], self.ready[name]
            if self.taken.get(name, 0) + 1 > self.bounds.most_of(first):
                why = why_at_most(self.bounds, first)
                return f"{name} had {first} ready pods when the fault began, and {why}"
            if now - 1 < self.bounds.min_healthy:
                least = self.bounds.min_healthy
                return (
                    f"{name} has {now} ready pods, and the bounds of this target leave {least} "
                    f"alone (min_healthy: {least})"
                )
        return ""

    def take(self, pod: Object) -> None:
        """``pod`` was taken away."""
        for name in self._services_of(pod):
            self.taken[name] = self.taken.get(name, 0) + 1
            self.ready[name] -= 1

    def _services_of(self, pod: Object) -> list[str]:
        """The services that lose a ready pod with this one."""
        alone = World((), [pod], ())
        return [name for name, text in self.selectors.items() if alone.ready(text)]
