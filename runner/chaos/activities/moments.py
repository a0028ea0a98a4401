"""Moments of an experiment that is not told when it starts, as Unix times."""

from __future__ import annotations

import time

LEAD_S = 3.0
"""Time for the look at the steady state, between the start of the tool and offset 0."""

_zero_s: list[float] = []


def moment(offset_s: float) -> float:
    """The Unix time of ``offset_s`` seconds after the experiment's own start.

    For ``configuration``, as a probe: ``"at_30s": {"type": "probe", "provider": {…}}`` makes
    ``${at_30s}`` a time that our actions and probes take. The experiment's start, offset 0, is
    :data:`LEAD_S` after the first moment that is asked for.
    """
    if not _zero_s:
        _zero_s.append(time.time() + LEAD_S)
    return round(_zero_s[0] + offset_s, 3)
