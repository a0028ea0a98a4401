"""Which trials of survival there are: kills and faults go round, moments are drawn. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence

from survival_kills import KILLS
from survival_trial import FAULTS, START_S, Fault, Trial, times_of

BEFORE_S = 0.5
"""A kill close to a transition comes at most so much before it, and ``AFTER_S`` after it."""
AFTER_S = 0.7


def trials_of(count: int, seed: int, kills: Sequence[str], faults: Sequence[str]) -> list[Trial]:
    """Kills go round with faults, so that each meets each; moments and order are drawn."""
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    pairs = [(kill, fault) for fault in faults for kill in kills]
    chosen = [pairs[n % len(pairs)] for n in range(count)]
    draw.shuffle(chosen)
    return [
        Trial(number, kill, fault, moment(draw, kill, FAULTS[fault]))
        for number, (kill, fault) in enumerate(chosen, start=1)
    ]


def moment(draw: random.Random, kill: str, faults: Sequence[Fault]) -> float:
    """When to strike: see :class:`survival_trial.Trial`."""
    edges = [edge for fault in faults for edge in times_of(fault)]
    last_s = max(edges)
    if KILLS[kill].needs_child:  # There is none before, and none long after.
        edges = [edge for edge in edges if edge < last_s] * 2 + [last_s]
        near = draw.uniform(-BEFORE_S, AFTER_S)
        at_s = draw.choice(edges) + near if draw.random() < 0.6 else draw.uniform(START_S, last_s)
        return round(min(at_s, last_s + 0.3), 3)
    kind = draw.random()
    if kind < 0.1:
        return round(-draw.uniform(0.2, 3.0), 3)  # While the run is still getting ready.
    if kind < 0.6:
        return round(draw.choice(edges) + draw.uniform(-BEFORE_S, AFTER_S), 3)
    return round(draw.uniform(START_S - 0.5, last_s + 0.5), 3)
