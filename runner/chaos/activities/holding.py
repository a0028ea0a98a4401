"""Holding a fault until its end, an absolute time, and seeing meanwhile that it is still there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from threading import Thread

from runner.chaos.annotation import Tag
from runner.chaos.client import ApiRefusalError
from runner.chaos.effects import log
from runner.errors import FaultError

STEP_S = 0.2
LOOK_EVERY_S = 2.0


def hold(
    until_wall_s: float,
    look: Callable[[], Iterable[Tag | None]],
    *,
    pause_s: Callable[[], float] = lambda: LOOK_EVERY_S,
) -> None:
    """Wait until the Unix time ``until_wall_s``, to the millisecond.

    Looks go on beside the wait: an API server that is slow to answer does not make the end late.

    Args:
        until_wall_s: The end; a time that has passed is no error.
        look: Reads the fault back and gives its tags; raises FaultError when it is not in place.
            An API server that does not answer is no reason to end; one that refuses for good is.
        pause_s: Seconds from the end of a look to the next one.

    Raises:
        FaultError: At once, when the fault is not there (any more), or when it expires before the
            end: from then on anybody may take it away.
        ApiRefusalError: At once, when we may not look.
    """
    answers: SimpleQueue[Exception | None] = SimpleQueue()
    next_look_s, looking = 0.0, False
    while (left_s := until_wall_s - time.time()) > 0:
        if not looking and time.time() >= next_look_s:
            Thread(target=_look_once, args=(look, until_wall_s, answers), daemon=True).start()
            looking = True
        try:
            problem = answers.get(timeout=min(left_s, STEP_S))
        except Empty:
            continue
        looking, next_look_s = False, time.time() + pause_s()
        if isinstance(problem, ApiRefusalError) and problem.transient:
            log.warning("cannot see the fault: %s", problem.message)
        elif problem is not None:
            raise problem


def _look_once(
    look: Callable[[], Iterable[Tag | None]],
    until_wall_s: float,
    answers: SimpleQueue[Exception | None],
) -> None:
    problem: Exception | None = None
    try:
        outlives(look(), until_wall_s)
    except Exception as error:  # noqa: BLE001 - whatever it is, the waiting thread raises it
        problem = error
    answers.put(problem)


def outlives(tags: Iterable[Tag | None], until_wall_s: float) -> None:
    """Raises FaultError when a tag's time is over before ``until_wall_s``."""
    for tag in tags:
        if tag is not None and tag.expired(until_wall_s - 1e-3):
            raise FaultError(
                f"{tag.key} expires at {tag.expires_at}, before its end: anybody might heal it",
                accepted="an expiry (a Unix time) after the fault's end",
            )
