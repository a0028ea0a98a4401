"""Evictions of a namespace's pods from one node, as long as budgets need. Not an activity.

The node is cordoned by somebody else, so that nothing new comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runner.chaos.ceilings import Ceiling, world_now
from runner.chaos.client import ApiRefusalError, Cluster, patiently
from runner.chaos.effects import log, record
from runner.chaos.nodes import evictable, on_node, why_not_evicted
from runner.chaos.objects import PODS, Object
from runner.chaos.pods import victim_of
from runner.chaos.recovery import Kill, Watch
from runner.errors import FaultError
from runner.model.target import UNBOUNDED, Bounds

AGAIN_EVERY_S = 1.0
LOOK_EVERY_S = 2.0


@dataclass(slots=True)
class Drain:
    """Evictions from one node.

    Attributes:
        cluster: Where.
        namespace: Whose pods.
        node: Name of the node.
        selector: Label selector of the pods; empty for all.
        grace_s: Grace of each pod; its own when None.
        effects: File for the record of effects.
        again_s: Between two attempts to evict a pod that a budget holds.
        bounds: The target's; whoever is beyond them stays, and nobody waits for that to change.
        still: Raises FaultError when the node is not cordoned any more.
        evicted: Names of the pods that were evicted.
        left: Why others are still there, by name.
        beyond: Names of those that the bounds let stay at the last round.
    """

    cluster: Cluster
    namespace: str
    node: str
    selector: str = ""
    grace_s: float | None = None
    effects: str = ""
    again_s: float = AGAIN_EVERY_S
    bounds: Bounds = UNBOUNDED
    still: Callable[[], object] | None = None
    evicted: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    beyond: set[str] = field(default_factory=set)

    def run(self, until_s: float) -> dict[str, Any]:
        """Evict, again and again until the Unix time ``until_s``, and watch who is back.

        Raises:
            FaultError: When there is nobody to evict, nobody could be, or the cordon is gone.
            ApiRefusalError: When evictions are refused for good.
        """
        watch = Watch(self._pods, effects=self.effects)
        self._evict_all(watch, until_s)
        for name, reason in sorted(self.left.items()):
            record("skipped", f"pod/{name}", reason, self.effects)
        if not self.evicted:
            raise FaultError(next(iter(self.left.values()), f"node/{self.node} lost no pod"))
        while not watch.follow(min(time.time() + LOOK_EVERY_S, until_s)):
            if time.time() >= until_s:
                break
            self._check()
        return {
            "node": self.node,
            "evicted": self.evicted,
            "left": self.left,
            "recovered_after_s": watch.took_s,
        }

    def _evict_all(self, watch: Watch, until_s: float) -> None:
        pods: list[Object] | None = patiently(self._pods)
        if not on_node(pods or (), self.node):
            raise FaultError(f"node/{self.node} holds no pod of {self.namespace} to evict")
        ceiling = None
        if self.bounds.counts_pods:
            ceiling = Ceiling.over(self.bounds, world_now(self.cluster, self.namespace))
        while True:
            try:
                self._round(self._pods() if pods is None else pods, watch, ceiling)
                pods = None  # Who was asked to go is not asked again.
                pods = self._pods()
            except ApiRefusalError as error:
                if not error.transient:
                    raise
                log.warning("cannot evict: %s", error.message)
            if (pods is not None and not self._may_go(pods)) or time.time() >= until_s:
                break
            again_s = min(time.time() + self.again_s, until_s)
            watch.follow(again_s)
            time.sleep(max(0.0, again_s - time.time()))
            self._check()
        if pods is not None:
            there = {pod["metadata"]["name"] for pod in on_node(pods, self.node)}
            self.left = {name: why for name, why in self.left.items() if name in there}

    def _may_go(self, pods: list[Object]) -> bool:
        """Whether there is anybody left for whom it is worth to ask again."""
        waiting = {pod["metadata"]["name"] for pod in evictable(pods, self.node)}
        return not waiting <= self.beyond

    def _round(self, pods: list[Object], watch: Watch, ceiling: Ceiling | None) -> None:
        """Ask once for the eviction of each pod on the node; ``pods`` are all, by now."""
        self.beyond = set()
        if ceiling is not None:  # Also pods that the drain is not about are their services'.
            ceiling.look(self.cluster.items(PODS, self.namespace) if self.selector else pods)
        for pod in on_node(pods, self.node):
            name = pod["metadata"]["name"]
            if reason := why_not_evicted(pod):
                self.left[name] = reason
                continue
            if ceiling is not None and (reason := ceiling.why_not(pod)):
                self.left[name] = reason
                self.beyond.add(name)
                continue
            at_s = time.time()
            try:
                self.cluster.evict(pod, self.grace_s)
            except ApiRefusalError as error:
                if not error.transient and error.status != 404:
                    raise
                self.left[name] = error.message  # Forgotten, if it is gone at the next look.
                continue
            self.left.pop(name, None)
            self.evicted.append(name)
            if ceiling is not None:
                ceiling.take(pod)
            victim = victim_of(pod)
            detail = f"uid {victim.uid}, from node {self.node}"
            record("evicted", f"pod/{name}", detail, self.effects)
            watch.killed(Kill((victim,), at_s, f"the eviction of {name}"), pods)

    def _check(self) -> None:
        if self.still is None:
            return
        try:
            self.still()
        except ApiRefusalError as error:
            log.warning("cannot see the cordon: %s", error.message)

    def _pods(self) -> list[Object]:
        return self.cluster.items(PODS, self.namespace, self.selector)
