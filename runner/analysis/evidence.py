"""What objectives are judged by, and what was seen of one of them. Data; nothing is judged here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.analysis.recovery import Recoveries
from runner.analysis.windows import LoadTable
from runner.analysis.words import count
from runner.model.bound import Bound
from runner.model.evaluation import Part, Reference, Verdict
from runner.model.experiment import Experiment
from runner.model.objective import Objective
from runner.model.recording import PhaseSignal, Recording

ALL_SERVICES = ""
"""The service name under which signals stand that are about the ingress as a whole."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One figure, or why there is none.

    Attributes:
        value: In the unit of the bound; None when there is nothing to judge.
        samples: Requests or scrapes that it rests on.
        missing: Why there is no value, as the end of a sentence.
    """

    value: float | None
    samples: float | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """One part of a finding, and what the finding takes from it when it decides.

    Attributes:
        part: The part.
        phase: Name of its phase; empty where it is about none.
        service: Service that it is about; empty for none.
        bound: What it was compared with, absolute; None for the objective's own.
        warn: The stricter one, likewise.
        reference: Of a relative objective: what it was compared with.
        said: The finding's whole sentence when this part decides; empty for the usual one.
    """

    part: Part
    phase: str = ""
    service: str = ""
    bound: Bound | None = None
    warn: Bound | None = None
    reference: Reference | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that objectives are judged by.

    Attributes:
        recording: The run.
        table: Its load.
        signals: Figures of the mesh by index of phase or window, indicator and service.
        services: Services that the mesh saw.
        recoveries: From each fault and the spike, by what must hold again.
        rules: Experiment whose groups, signals and budget go with the objectives.
        references: Earlier runs by the name that objectives have for them.
    """

    recording: Recording
    table: LoadTable
    signals: Mapping[tuple[int, str, str], PhaseSignal]
    services: tuple[str, ...]
    recoveries: Recoveries
    rules: Experiment
    references: Mapping[str, ReferenceRun] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """An earlier run that objectives compare this one with.

    Attributes:
        name: As objectives have it.
        evidence: Its recording; None when there is no such run, or it cannot be read.
        reason: Why nothing can be compared with it, as the end of a sentence; empty when all is
            well.
    """

    name: str
    evidence: Evidence | None = None
    reason: str = ""

    @property
    def run_id(self) -> str:
        """The run's own name; empty when there is none."""
        return "" if self.evidence is None else self.evidence.recording.manifest.run_id


def evidence_of(
    recording: Recording,
    table: LoadTable,
    recoveries: Recoveries | None = None,
    *,
    rules: Experiment | None = None,
    references: Mapping[str, ReferenceRun] | None = None,
) -> Evidence:
    """Index the signals of ``recording`` by phase, indicator and service.

    Args:
        recording: The run.
        table: Its load.
        recoveries: From each of its faults; none where no objective asks.
        rules: Experiment whose objectives are judged; None for the run's own.
        references: Earlier runs by name.
    """
    signals = recording.signals
    known = () if signals is None else signals.phases
    return Evidence(
        recording=recording,
        table=table,
        signals={(signal.phase, signal.sli, signal.service): signal for signal in known},
        services=() if signals is None else signals.services,
        recoveries={} if recoveries is None else recoveries,
        rules=recording.plan.experiment if rules is None else rules,
        references={} if references is None else references,
    )


def against(bound: Bound, warn: Bound | None, value: float) -> Verdict:
    """The verdict over ``value``: fail, warn or pass."""
    if not bound.holds(value):
        return Verdict.FAIL
    if warn is not None and not warn.holds(value):
        return Verdict.WARN
    return Verdict.PASS


def too_few(samples: float | None, objective: Objective) -> str:
    """Why a figure of so many ``samples`` is not judged; empty when they are enough."""
    if samples is not None and samples >= objective.at_least:
        return ""
    known = count(samples or 0, "sample")
    return f"{known} were seen, and at least {objective.at_least:,} are needed"


def missing(objective: Objective) -> Verdict:
    """What it means for ``objective`` when there is nothing to judge."""
    return Verdict(objective.on_missing)
