"""Holding a fault until its end, an absolute time, and seeing meanwhile that it is still there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from runner.chaos.annotation import Tag
from runner.chaos.client import ApiRefusalError
from runner.chaos.effects import log
from runner.errors import FaultError

STEP_S = 0.2
LOOK_EVERY_S = 2.0
QUIET_S = 1.0
"""No look in the last moments, so that an answer that is slow does not make the end late."""


def hold(until_wall_s: float, look: Callable[[], Iterable[Tag | None]]) -> None:
    """Wait until the Unix time ``until_wall_s``, to the millisecond.

    Args:
        until_wall_s: The end; a time that has passed is no error.
        look: Reads the fault back and gives its tags; raises FaultError when it is not in place.
            An API server that does not answer is no reason to end.

    Raises:
        FaultError: At once, when the fault is not there (any more), or when it expires before the
            end: from then on anybody may take it away.
    """
    next_look_s = 0.0
    while (left_s := until_wall_s - time.time()) > 0:
        if time.time() >= next_look_s and (left_s > QUIET_S or not next_look_s):
            try:
                outlives(look(), until_wall_s)
            except ApiRefusalError as error:
                log.warning("cannot see the fault: %s", error.message)
            next_look_s = time.time() + LOOK_EVERY_S
        time.sleep(max(0.0, min(until_wall_s - time.time(), STEP_S)))


def outlives(tags: Iterable[Tag | None], until_wall_s: float) -> None:
    """Raises FaultError when a tag's time is over before ``until_wall_s``."""
    for tag in tags:
        if tag is not None and tag.expired(until_wall_s - 1e-3):
            raise FaultError(
                f"{tag.key} expires at {tag.expires_at}, before its end: anybody might heal it",
                accepted="an expiry (a Unix time) after the fault's end",
            )
