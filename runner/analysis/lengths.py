"""How long things must be to be seen: what the judgement and its foresight must agree on.

Apart from those who judge, because whoever only looks at a plan (``seatrial validate``) must not
load all that reads a recording.
"""

from __future__ import annotations

from runner.analysis.profile import Plateau

RECOVERY_WINDOW_S = 5
"""Length of the sliding window in which a recovery is seen, in seconds; also how many windows one
bad second spoils."""

SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 5, 60
"""Of the windows before and after a spike."""

FEWEST_WINDOWS = 3
"""Before a spike, to tell what is normal."""

STAGE_TRANSIENT_S = 15.0
"""What is left out at the start of a plateau, or a fifth of it where that is less."""


def steady_from_s(plateau: Plateau) -> float:
    """Where the transient at the start of ``plateau`` is over."""
    return plateau.start_s + min(STAGE_TRANSIENT_S, (plateau.end_s - plateau.start_s) / 5)
