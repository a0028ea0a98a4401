"""Watching killed pods come back: new ones of the same owner, then as many ready as before."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from runner.chaos.client import ApiRefusalError
from runner.chaos.effects import record
from runner.chaos.objects import Object
from runner.chaos.pods import Victim, is_ready, recovered, replacements

LOOK_EVERY_S = 0.2
log = logging.getLogger("chaostoolkit")


def follow(
    look: Callable[[], list[Object]],
    victims: Sequence[Victim],
    before: Sequence[Object],
    *,
    killed_at_s: float,
    until_s: float | None,
    effects: str = "",
    pause: Callable[[float], None] = time.sleep,
) -> float | None:
    """Look at the pods until all are back, or until the Unix time ``until_s``.

    Args:
        look: The pods of the same selector, now. Its passing refusals are looked over.
        victims: The killed pods.
        before: All pods before the kill.
        killed_at_s: Unix time of the kill.
        until_s: Bound; None for not looking at all.
        effects: File for the record of effects; ``replaced`` per new pod and ``ready`` at the end.
        pause: Waits between looks.

    Returns:
        Seconds from the kill until as many pods were ready as before; None when they were not.
    """
    if until_s is None:
        return None
    known = frozenset(pod["metadata"]["uid"] for pod in before)
    ready_before = sum(map(is_ready, before))
    seen: set[str] = set()
    while True:
        try:
            pods = look()
        except ApiRefusalError as error:
            if not error.transient:
                raise
            log.warning("cannot see the pods: %s", error.message)
        else:
            for pod in replacements(victims, known, pods):
                _note(pod, seen, killed_at_s, effects)
            if recovered(victims, ready_before, pods):
                took_s = time.time() - killed_at_s
                what = f"{ready_before} of {ready_before} ready, {took_s:.2f} s after the kill"
                record("ready", "pods/" + ",".join(v.name for v in victims), what, effects)
                return round(took_s, 3)
        if time.time() >= until_s:
            return None
        pause(LOOK_EVERY_S)


def _note(pod: Object, seen: set[str], killed_at_s: float, effects: str) -> None:
    uid = pod["metadata"]["uid"]
    if uid in seen:
        return
    seen.add(uid)
    after_s = time.time() - killed_at_s
    name = f"pod/{pod['metadata']['name']}"
    record("replaced", name, f"uid {uid}, {after_s:.2f} s after the kill", effects)
