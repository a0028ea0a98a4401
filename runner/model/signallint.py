"""Objectives on own signals and alerts that nothing can answer, told before a run. Pure.

Sentences only; where they stand in a file is ``feasibility``'s work.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from runner.model.bound import Unit
from runner.model.objective import Objective
from runner.model.ownsignal import OwnSignal

_WRITTEN: dict[Unit, str] = {
    "s": "a duration, such as '2s'",
    "ratio": "a percentage, such as '5%'",
    "per_s": "a rate, such as '90/s'",
    "count": "a plain number",
}


def signal_mistake(objective: Objective, signals: Mapping[str, OwnSignal]) -> str:
    """What is wrong with an objective on an own signal; empty for nothing.

    Args:
        objective: On any indicator; there is something to say about own signals only.
        signals: The experiment's own signals by name.
    """
    bound = objective.bound
    if bound.sli != "signal":
        return ""
    signal = signals.get(bound.statistic)
    if signal is None:
        near = difflib.get_close_matches(bound.statistic, list(signals), n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        known = ", ".join(signals) or "none; name it with its query in 'signals'"
        return f"there is no signal {bound.statistic!r}; {guess}accepted: {known}"
    for one in filter(None, (bound, objective.warn_bound)):
        if one.written_unit not in (None, signal.unit):
            return (
                f"the signal {bound.statistic!r} is measured in {signal.unit!r}; accepted: "
                f"{_WRITTEN[signal.unit]}"
            )
    return ""


def alert_mistake(objective: Objective, *, faults: bool) -> str:
    """What is wrong with an objective on an alert that must fire; empty for nothing.

    Args:
        objective: On any indicator; there is something to say about such alerts only.
        faults: Whether the experiment has a fault.
    """
    if objective.bound.sli != "alert" or faults:
        return ""
    return f"{objective.objective!r} needs a fault to fire after, and this experiment has none"
