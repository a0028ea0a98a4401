"""What trials of survival add up to. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from survival_kills import EVERY
from survival_trial import Outcome

CONFIDENCE_RATIO = 0.95
BISECTIONS = 60


def upper_bound(left: int, trials: int) -> float:
    """The one-sided 95 % bound of a share of which ``left`` of ``trials`` were seen.

    Clopper and Pearson (1934): the largest share with which so few would still be seen in 5 % of
    all campaigns. Without any it is 1 - 0.05^(1/n), about 3/n.
    """
    if left >= trials:
        return 1.0
    low, high = left / trials, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _at_most(left, trials, middle) > 1 - CONFIDENCE_RATIO:
            low = middle
        else:
            high = middle
    return high


def _at_most(most: int, trials: int, ratio: float) -> float:
    """Probability of at most ``most`` hits in ``trials``."""
    return sum(
        math.comb(trials, k) * ratio**k * (1 - ratio) ** (trials - k) for k in range(most + 1)
    )


def quantile(values: Sequence[float], ratio: float) -> float:
    """The smallest value that at least the share ``ratio`` of all does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(ratio * len(ordered)) - 1)] if ordered else 0.0


@dataclass(frozen=True)
class Row:
    """One line of the table: trials that have something in common.

    Attributes:
        name: What they have in common.
        trials: How many count.
        in_place: In how many a fault was in place at the kill.
        residual: In how many something differed 10 s after the kill, or later.
        orphans: In how many a process or a file of the run stayed.
        clean_s: Median, p95 and maximum of the seconds until all was clean, where a fault was in
            place at the kill.
        objects: How many comparisons of an object were made.
    """

    name: str
    trials: int
    in_place: int
    residual: int
    orphans: int
    clean_s: tuple[float, float, float]
    objects: int

    @property
    def bound(self) -> float:
        return upper_bound(self.residual, self.trials)


def row(name: str, outcomes: Iterable[Outcome]) -> Row:
    """The line of ``outcomes``; those that prove nothing are left out."""
    valid = [outcome for outcome in outcomes if not outcome.trouble]
    hit = [outcome for outcome in valid if outcome.in_place]
    clean = [outcome.clean_s for outcome in hit]
    return Row(
        name=name,
        trials=len(valid),
        in_place=len(hit),
        residual=sum(bool(outcome.residual or outcome.later) for outcome in valid),
        orphans=sum(bool(outcome.processes or outcome.files) for outcome in valid),
        clean_s=(quantile(clean, 0.5), quantile(clean, 0.95), quantile(clean, 1.0)),
        objects=sum(outcome.objects for outcome in valid),
    )


def rows_by(key: Callable[[Outcome], str], outcomes: Sequence[Outcome]) -> list[Row]:
    """A line for each value of ``key``, in the order in which they come, without empty ones."""
    names = dict.fromkeys(map(key, outcomes))
    rows = [row(name, [each for each in outcomes if key(each) == name]) for name in names]
    return [line for line in rows if line.trials]


def kill_of(outcome: Outcome) -> str:
    return EVERY[outcome.trial.kill].text


def faults_of(outcome: Outcome) -> str:
    return outcome.trial.faults


HEAD = ("", "trials", "in place", "residual", "95 % bound", "orphans", "clean after s", "objects")


def table(rows: Iterable[Row]) -> str:
    """Lines of a Markdown table; time is median / p95 / max."""
    lines = [HEAD, ("---",) * len(HEAD), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(line: Row) -> tuple[str, ...]:
    counts = (str(line.trials), str(line.in_place), str(line.residual), f"{line.bound:.2%}")
    times = " / ".join(f"{value:.1f}" for value in line.clean_s)
    return (line.name, *counts, str(line.orphans), times, f"{line.objects:,}")
