"""One thing that was looked at on this machine or on a target, and what was found. Data only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from runner.mistakes import closest

State = Literal["ok", "warn", "missing"]


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that was looked at.

    Attributes:
        state: ``ok``; ``warn``, something is worse than it could be; ``missing``, a run will fail.
        found: What was found.
        hint: What to do about it; empty when nothing.
    """

    part: str
    state: State
    found: str
    hint: str = ""

    @property
    def sentence(self) -> str:
        """What was found, and what to do, in one line."""
        return "; ".join(filter(None, (self.found, self.hint)))


def refusals(symptoms: Iterable[Symptom]) -> list[str]:
    """Why a run cannot begin, each one sentence; empty when it can."""
    return list(dict.fromkeys(one.sentence for one in symptoms if one.state == "missing"))


def remarks(symptoms: Iterable[Symptom]) -> list[str]:
    """What is no obstacle to a run, but should be known when its report is read."""
    said = [
        one.sentence if one.found.startswith(one.part) else f"{one.part}: {one.sentence}"
        for one in symptoms
        if one.state == "warn"
    ]
    return list(dict.fromkeys(said))


def perhaps(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for a name that is not among ``known``, or nothing."""
    guess = closest(name, known)
    return f"; did you mean {guess}?" if guess else ""


def several(items: Iterable[str], most: int = 4) -> str:
    """``a; b; c`` with the rest counted, so that a row of a table stays one."""
    listed = list(dict.fromkeys(items))
    more = len(listed) - most
    return "; ".join(listed[:most]) + (f"; {more} more" if more > 0 else "")
