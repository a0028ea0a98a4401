"""Watching killed pods come back: new ones of the same owner, then as many ready as before.

Any number of kills can be under way at once. Of each is known who died and when; of all together,
how many pods were ready before the first of them, and which pods are old. That is all the memory
there is, however long it takes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.chaos.client import ApiRefusalError
from runner.chaos.effects import record
from runner.chaos.objects import Object
from runner.chaos.pods import Victim, is_ready, owner_of, replacements

log = logging.getLogger("chaostoolkit")

LOOK_EVERY_S = 0.2
LOOK_SELDOM_S = 2.0
PATIENCE = 100.0
"""The pause between two looks is this part of the time since the kill, within the two above."""


def pause_after(waited_s: float) -> float:
    """Seconds until the next look, for who has waited ``waited_s`` already: often, then seldom."""
    return min(max(waited_s / PATIENCE, LOOK_EVERY_S), LOOK_SELDOM_S)


@dataclass(slots=True)
class Kill:
    """Pods that were killed (or evicted) together.

    Attributes:
        victims: Who.
        at_s: Unix time.
        title: How it is called in records: ``the kill``, ``kill 2 of 5``.
        replaced: New pods that were seen in their place so far.
    """

    victims: tuple[Victim, ...]
    at_s: float
    title: str = "the kill"
    replaced: int = 0

    def misses(self, owner: str) -> bool:
        """Whether a new pod of ``owner`` may be in the place of one of these."""
        return self.replaced < len(self.victims) and any(v.owner == owner for v in self.victims)


class Watch:
    """The kills whose pods are not all back yet.

    Args:
        look: The pods of the same selector, now.
        effects: File for the record: ``replaced`` per new pod, ``ready`` per kill.
        now: The Unix time.
        pause: Waits between looks.
    """

    def __init__(
        self,
        look: Callable[[], list[Object]],
        *,
        effects: str = "",
        now: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._look = look
        self._effects = effects
        self._now = now
        self._pause = pause
        self._kills: list[Kill] = []
        self._known: set[str] = set()
        self._ready_before = 0
        self._is_blind = False
        self.took_s: float | None = None
        """Seconds from the newest kill until all were back; None while they are not."""

    @property
    def waits_for(self) -> str:
        """The oldest kill whose pods are not back; empty when all are."""
        return self._kills[0].title if self._kills else ""

    def killed(self, kill: Kill, before: Sequence[Object]) -> None:
        """From now on watch for the pods of ``kill``; ``before`` are all pods before it.

        While an earlier one is under way, as many pods are awaited as were ready before that one.
        """
        if self._kills:
            self._note(before)
        self._ready_before = max(
            self._ready_before if self._kills else 0, sum(map(is_ready, before))
        )
        self._known |= {pod["metadata"]["uid"] for pod in before}
        self._kills.append(kill)
        self.took_s = None

    def follow(self, until_s: float) -> bool:
        """Look until all are back or the Unix time ``until_s``; whether they are all back.

        Looks at least once, if there is anything to wait for. An API server that does not answer
        meanwhile is no reason to end.

        Raises:
            ApiRefusalError: When looking is refused for good.
        """
        while self._kills:
            if self._looked() or (left_s := until_s - self._now()) <= 0:
                break
            self._pause(min(pause_after(self._now() - self._kills[-1].at_s), left_s))
        return not self._kills

    def _looked(self) -> bool:
        try:
            pods = self._look()
        except ApiRefusalError as error:
            if not error.transient:
                raise
            if not self._is_blind:
                log.warning("cannot see the pods: %s", error.message)
            self._is_blind = True
            return False
        self._is_blind = False
        self._note(pods)
        uids = {pod["metadata"]["uid"] for pod in pods}
        self._known &= uids  # A UID never comes back.
        gone = all(victim.uid not in uids for kill in self._kills for victim in kill.victims)
        if gone and sum(map(is_ready, pods)) >= self._ready_before:
            self._all_back()
        return not self._kills

    def _note(self, pods: Sequence[Object]) -> None:
        victims = [victim for kill in self._kills for victim in kill.victims]
        for pod in replacements(victims, frozenset(self._known), pods):
            self._known.add(pod["metadata"]["uid"])
            owner = owner_of(pod)
            kill = next((kill for kill in self._kills if kill.misses(owner)), self._kills[-1])
            kill.replaced += 1
            detail = f"uid {pod['metadata']['uid']}, {self._after(kill)}"
            record("replaced", f"pod/{pod['metadata']['name']}", detail, self._effects)

    def _all_back(self) -> None:
        for kill in self._kills:
            what = f"{self._ready_before} of {self._ready_before} ready, {self._after(kill)}"
            names = ",".join(victim.name for victim in kill.victims)
            record("ready", f"pods/{names}", what, self._effects)
        self.took_s = round(self._now() - self._kills[-1].at_s, 3)
        self._kills.clear()
        self._known.clear()

    def _after(self, kill: Kill) -> str:
        return f"{self._now() - kill.at_s:.2f} s after {kill.title}"
