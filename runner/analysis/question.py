"""How an answer says what was learned. Data and wording only; nothing is looked at here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.model.evaluation import Finding, Part, Unit, Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """A question that a run may answer.

    Attributes:
        name: Stable name, such as ``breaking-point``.
        text: The question itself.
        where: What it is about: a fault, a stage; empty for the whole run.
    """

    name: str
    text: str
    where: str = ""

    def answered(
        self,
        reason: str,
        observed: float | None = None,
        unit: Unit = "",
        parts: Sequence[Part] = (),
    ) -> Finding:
        """There is an answer, welcome or not."""
        return self._finding(Verdict.PASS, reason, observed, unit, parts)

    def open(self, reason: str, parts: Sequence[Part] = ()) -> Finding:
        """There is none; ``reason`` says why."""
        return self._finding(Verdict.INCONCLUSIVE, reason, None, "", parts)

    def _finding(
        self,
        verdict: Verdict,
        reason: str,
        observed: float | None,
        unit: Unit,
        parts: Sequence[Part],
    ) -> Finding:
        return Finding(
            kind="answer",
            check=self.name,
            title=self.text,
            verdict=verdict,
            reason=reason,
            where=self.where,
            observed=observed,
            unit=unit if observed is not None or parts else "",
            parts=tuple(parts),
        )
