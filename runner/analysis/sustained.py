"""Objectives with ``for``: missed only when broken for so long without a break. Pure.

As in Prometheus, where an alert with ``for: 10s`` fires once its condition was true at every
evaluation for ten seconds on end, and one evaluation at which it was not starts the count anew
(https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/). The evaluations here
are the seconds of the record, each judged by its own requests alone.

A second without requests neither breaks nor holds: it is passed over. As many of them on end as
``for`` is long are a hole, across which nothing can be said. Of traffic, a second without requests
is one of 0/s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from runner.analysis.figures import load_figure
from runner.analysis.seconds import figure_of, rolling
from runner.analysis.windows import Slice, joined
from runner.model.bound import Bound


@dataclass(frozen=True, slots=True)
class Stretch:
    """Seconds on end, as indices of a list of them, and the figure over all their requests.

    Attributes:
        start: Its first second.
        stop: The second after its last.
        broken: Seconds in it in which the bound was broken.
        observed: The figure; None when there is none.
    """

    start: int
    stop: int
    broken: int
    observed: float | None


@dataclass(frozen=True, slots=True)
class Sustained:
    """What became of a bound, second by second.

    Attributes:
        missed: Of the stretches that were broken for long enough, the worst; None when there is
            none.
        nearest: Of all stretches as long as ``for``, the worst; None when there is none.
        longest: Most seconds on end in which the bound was broken.
        hole: The first seconds on end without requests that are too many; None when there are
            none.
    """

    missed: Stretch | None
    nearest: Stretch | None
    longest: int
    hole: tuple[int, int] | None


def sustained(seconds: Sequence[Slice], bound: Bound, length: int) -> Sustained:
    """Judge ``seconds`` one by one.

    Args:
        seconds: What was seen in each second; an empty slice where nothing was.
        bound: An absolute bound.
        length: How many seconds on end make a miss.
    """
    figures = rolling(seconds, figure_of(bound))
    broken = [None if figure is None else not bound.holds(figure) for figure in figures]
    runs = list(_runs(broken, length))
    missed = [_stretch(seconds, bound, *run) for run in runs if run[2] >= length]
    return Sustained(
        missed=max(missed, key=lambda one: _badness(bound, one.observed), default=None),
        nearest=_nearest(seconds, figures, bound, length),
        longest=max((run[2] for run in runs), default=0),
        hole=next((hole for hole in _holes(broken) if hole[1] - hole[0] >= length), None),
    )


def _runs(broken: Sequence[bool | None], length: int) -> Iterator[tuple[int, int, int]]:
    """Start, stop and number of broken seconds of each run of them; empty ones are passed over."""
    start, last, number = 0, 0, 0
    for at, is_broken in enumerate(broken):
        if number and (is_broken is False or at - last > length):  # Put right, or lost in a hole.
            yield start, last + 1, number
            number = 0
        if is_broken:
            start = at if number == 0 else start
            last, number = at, number + 1
    if number:
        yield start, last + 1, number


def _holes(broken: Sequence[bool | None]) -> Iterator[tuple[int, int]]:
    """Start and stop of each run of seconds in which nothing is known."""
    start = 0
    for at, is_broken in enumerate([*broken, True]):
        if is_broken is not None:
            if at > start:
                yield start, at
            start = at + 1


def _stretch(seconds: Sequence[Slice], bound: Bound, start: int, stop: int, broken: int) -> Stretch:
    return Stretch(start, stop, broken, load_figure(bound, joined(seconds[start:stop])))


def _nearest(
    seconds: Sequence[Slice], figures: Sequence[float | None], bound: Bound, length: int
) -> Stretch | None:
    """The worst stretch of ``length``: the one whose seconds are worst on average.

    Sums over the seconds find it, so that histograms are added up but once.
    """
    if len(seconds) < length:
        return None
    signed = [0.0 if one is None else _badness(bound, one) for one in figures]
    sums = [0.0, *accumulate(signed)]
    known = [0, *accumulate(one is not None for one in figures)]
    starts = [at for at in range(len(seconds) - length + 1) if known[at + length] > known[at]]
    if not starts:
        return None

    def mean(at: int) -> float:
        return (sums[at + length] - sums[at]) / (known[at + length] - known[at])

    start = max(starts, key=mean)
    stop = start + length
    broken = sum(one is not None and not bound.holds(one) for one in figures[start:stop])
    return _stretch(seconds, bound, start, stop, broken)


def _badness(bound: Bound, figure: float | None) -> float:
    """The higher the worse."""
    if figure is None:
        return float("-inf")
    return figure if bound.upper else -figure
