"""Holding a fault: until exactly its end, whatever the API server does meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest

from runner.chaos.activities.holding import hold, outlives
from runner.chaos.annotation import Tag, timestamp
from runner.chaos.client import ApiRefusalError
from runner.errors import FaultError

FAR_S = 60.0


def test_slow_answer_does_not_make_the_end_late() -> None:
    """Goal: an absolute end. Method: a look that does not come back before the end."""
    over, looks = threading.Event(), []

    def look() -> Iterable[Tag | None]:
        looks.append(1)
        over.wait(FAR_S)
        return ()

    end_s = time.time() + 0.05
    hold(end_s, look)
    assert time.time() >= end_s
    assert not over.is_set()
    assert looks == [1]
    over.set()


def test_api_server_that_does_not_answer_is_no_reason_to_end() -> None:
    """Goal: only what is seen ends a fault. Method: refusals until the end."""
    seen: list[float] = []

    def look() -> Iterable[Tag | None]:
        seen.append(time.time())
        raise ApiRefusalError("list", 0, "no answer")

    hold(time.time() + 0.05, look)
    assert len(seen) == 1


@pytest.mark.parametrize(
    "error",
    [FaultError("it is gone"), RuntimeError("a bug"), ApiRefusalError("list", 403, "forbidden")],
)
def test_what_is_seen_ends_it_at_once(error: Exception) -> None:
    """Goal: a fault that vanished is no proof, a bug is no silence, and who may not look says so.
    Method: a look that raises, long before the end."""

    def look() -> Iterable[Tag | None]:
        raise error

    begun_s = time.monotonic()
    with pytest.raises(type(error)) as caught:
        hold(time.time() + FAR_S, look)
    assert caught.value is error
    assert time.monotonic() - begun_s < FAR_S


def test_expiry_before_the_end_is_noticed() -> None:
    """Goal: nobody may heal it meanwhile. Method: an expiry at the end, and a second before it."""
    end_s = 1_800_000_000.0
    outlives([None, Tag("r", "f", "o", timestamp(end_s))], end_s)
    with pytest.raises(FaultError, match=r"seatrial-r-f expires at .* before its end"):
        outlives([Tag("r", "f", "o", timestamp(end_s - 1))], end_s)
