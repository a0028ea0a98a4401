"""Waiting for a moment of the plan."""

from __future__ import annotations

import time

from runner.chaos.activities.around import activity

STEP_S = 0.2


@activity
def wait_until(wall_s: float) -> float:
    """Wait, in small steps, until the absolute Unix time ``wall_s``.

    Returns:
        Seconds by which the end was missed; well below 0.1 unless it was past at the start.
    """
    while (left_s := wall_s - time.time()) > 0:
        time.sleep(min(left_s, STEP_S))
    return round(time.time() - wall_s, 3)
