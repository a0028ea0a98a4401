"""How a validity check says what it found. Data and wording only; nothing is checked here."""

from __future__ import annotations

from dataclasses import dataclass

from runner.model.evaluation import Finding, Verdict
from runner.model.plan import PlannedFault
from runner.model.recording import PhaseSignal, Signals


@dataclass(frozen=True, slots=True)
class Check:
    """A validity check by name, and the fault that it is about, if any.

    Attributes:
        name: Stable name, such as ``load-delivered``.
        title: What is checked, in a few words.
        fault: The fault; None where the check is about the whole run.
    """

    name: str
    title: str
    fault: PlannedFault | None = None

    def passed(self, reason: str, observed: float | None = None) -> Finding:
        """It is as it must be."""
        return self._finding(Verdict.PASS, reason, observed)

    def warned(self, reason: str, observed: float | None = None) -> Finding:
        """It is not as it should be, and the run can still be judged."""
        return self._finding(Verdict.WARN, reason, observed)

    def unproven(self, reason: str, observed: float | None = None) -> Finding:
        """It is not as it must be: the run proves nothing."""
        return self._finding(Verdict.INCONCLUSIVE, reason, observed)

    def _finding(self, verdict: Verdict, reason: str, observed: float | None) -> Finding:
        return Finding(
            kind="validity",
            check=self.name,
            title=self.title,
            verdict=verdict,
            reason=reason,
            where=self.fault.id if self.fault else "",
            service=self.fault.fault.service if self.fault else "",
            observed=observed,
            unit="count" if observed is not None else "",
        )


def was_or_were(number: float) -> str:
    """The verb for so many."""
    return "was" if round(number) == 1 else "were"


def phase_signal(signals: Signals, phase: int, sli: str, service: str) -> PhaseSignal | None:
    """The figure of one indicator of one service in one phase; None when there is none."""
    for signal in signals.phases:
        if (signal.phase, signal.sli, signal.service) == (phase, sli, service):
            return signal
    return None


def has_pods(service: str) -> bool:
    """Whether ``service`` is one of the cluster's, not an outside host that the mesh knows."""
    return "." not in service
