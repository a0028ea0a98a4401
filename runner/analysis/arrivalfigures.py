"""What became of arrivals, in figures: the open model's side of the load's tables. Pure.

Nothing is judged here; that is ``runner.analysis.arrivalchecks``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runner.model.evaluation import ArrivalFigures
from runner.model.recording import ArrivalSecond


def in_flight(arrivals: Mapping[int, ArrivalSecond]) -> dict[int, int]:
    """Second to the arrivals that were started and not completed at its end.

    Seconds in which nothing arrived or ended have none; the one before them holds.
    """
    levels: dict[int, int] = {}
    level = 0
    for second in sorted(arrivals):
        level += arrivals[second].started - arrivals[second].completed
        levels[second] = max(0, level)
    return levels


def arrival_figures(
    arrivals: Mapping[int, ArrivalSecond], levels: Mapping[int, int], seconds: Iterable[int]
) -> ArrivalFigures:
    """The figures of ``seconds``.

    Args:
        arrivals: Of the whole run.
        levels: Of the whole run, as :func:`in_flight` has them.
        seconds: Those that count.
    """
    known = [second for second in seconds if second in arrivals]
    ones = [arrivals[second] for second in known]
    return ArrivalFigures(
        offered=sum(one.offered for one in ones),
        started=sum(one.started for one in ones),
        waited=sum(one.waited for one in ones),
        dropped=sum(one.dropped for one in ones),
        completed=sum(one.completed for one in ones),
        peak_in_flight=max((levels[second] for second in known), default=0),
    )
