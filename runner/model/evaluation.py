"""The evaluation: findings, and the verdict that follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, Protocol, TypeVar

from pydantic import Field

from runner.model.searchfigures import SearchFigures
from runner.model.shape import Items, Model

EVALUATION_SCHEMA = 1


class Verdict(StrEnum):
    """A conclusion. Severity rises in the order of definition."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"


_SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The most severe of ``verdicts``; inconclusive when there are none: nothing was checked."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=Verdict.INCONCLUSIVE)


Unit = Literal["s", "ratio", "per_s", "count", ""]


class Part(Model):
    """One window that a finding looked at."""

    label: str
    start_s: float
    end_s: float
    verdict: Verdict
    observed: float | None = None
    samples: float | None = None
    reason: str = ""


class Reference(Model):
    """The figure that a relative objective was compared with.

    Attributes:
        name: ``baseline``, or the run's name as the objective has it.
        run_id: The earlier run; empty for the same.
        observed: The figure there, in the finding's unit; None when there is none.
        samples: Requests that it rests on.
        reason: Why there is none; else, what makes the two runs hard to compare, if anything.
    """

    name: str
    run_id: str = ""
    observed: float | None = None
    samples: float | None = None
    reason: str = ""


class Finding(Model):
    """What one check concluded.

    Attributes:
        kind: ``validity`` (did the run prove anything?), ``objective`` (was the promise kept?) or
            ``answer`` (what was to be learned?). An answer never touches the verdict of the run:
            its own ``verdict`` is ``pass`` where there is an answer, whether or not it is welcome,
            and ``inconclusive`` where there is none.
        check: The check's stable name, such as ``load-delivered`` or ``objective``.
        title: What was checked, in a few words: for an objective, its text; for an answer, the
            question.
        where: Phase, service or endpoint, for a human; empty when it is the whole run.
        reason: One sentence that a newcomer understands.
        observed: The decisive figure, in ``unit``; None when there is none.
        bound: What it was compared with, in ``unit``.
        margin_ratio: Distance to the bound as a share of the bound; negative when it was missed.
        weight: Of an objective: its part in the score.
        key: Of an objective: whether missing it fails the run whatever the score is.
        reference: Of a relative objective: what it was compared with.
    """

    kind: Literal["validity", "objective", "answer"]
    check: str
    title: str
    verdict: Verdict
    reason: str
    where: str = ""
    phase: str = ""
    service: str = ""
    source: str = ""
    operator: str = ""
    observed: float | None = None
    bound: float | None = None
    warn: float | None = None
    unit: Unit = ""
    margin_ratio: float | None = None
    samples: float | None = None
    weight: float = 1.0
    key: bool = False
    reference: Reference | None = None
    parts: Items[Part] = ()


class ServiceTimes(Model):
    """Latencies from the send, in seconds over successful requests."""

    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None


class ArrivalFigures(Model):
    """What became of the arrivals of one phase, in the open model.

    Attributes:
        offered: Arrivals that were due.
        started: Those that were given to a user.
        waited: Those of them that had to wait for a user, because all were busy, or because one
            had to be started and was not ready at once.
        dropped: Those that were given up, because no user came free in time.
        completed: Arrivals whose task ended in this phase.
        peak_in_flight: Most arrivals that were started and not completed, as counted at the end
            of each second.
    """

    offered: int = 0
    started: int = 0
    waited: int = 0
    dropped: int = 0
    completed: int = 0
    peak_in_flight: int = 0


class LoadFigures(Model):
    """Load figures of one window: a phase, or an endpoint in a phase.

    Latencies are seconds over *successful* requests: a refusal in a millisecond must not make
    latency look better. In the open model they are response times, from when a request was due.

    Attributes:
        users: Mean number of running users; in the open model, of users in the pool.
        service: The same latencies from the send; open model only.
        arrivals: What became of the arrivals; of whole phases in the open model only.
    """

    label: str
    phase: str
    phase_index: int | None = None
    endpoint: str = ""
    start_s: float
    end_s: float
    users: float | None = None
    requests: int
    rate_per_s: float
    failures: int
    error_ratio: float | None
    outcomes: dict[str, int] = Field(default_factory=dict)
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None
    service: ServiceTimes | None = None
    arrivals: ArrivalFigures | None = None


class SignalFigures(Model):
    """Golden signals of one service in one phase, as the mesh saw them."""

    service: str
    phase: str
    phase_index: int
    start_s: float
    end_s: float
    traffic_per_s: float | None = None
    error_ratio: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    cpu_ratio: float | None = None
    memory_ratio: float | None = None


class FailureFigure(Model):
    """A kind of failure that the load saw."""

    endpoint: str
    outcome: str
    text: str
    count: int


class FaultFigure(Model):
    """What became of a fault, in figures.

    Attributes:
        injected_s: Offset at which it was seen to be in place; None when it never was.
        gone_s: Offset at which it was seen to be gone.
        recovery_s: Seconds from the planned end (pod-kill: from the kill) until the objectives
            held again.
        flagged: Requests the mesh flagged as hit; None where flags say nothing.
        kills_s: Offsets at which pods were killed; empty for other kinds.
    """

    id: str
    kind: str
    service: str
    start_s: float
    end_s: float
    injected_s: float | None = None
    gone_s: float | None = None
    recovery_s: float | None = None
    flagged: float | None = None
    kills_s: Items[float] = ()
    subjects: Items[str] = ()
    detail: str = ""


class RecoveryFigure(Model):
    """One recovery, as it was seen: what shows that the promises held again, and when.

    Attributes:
        after: Fault's id, or ``spike``.
        start_s: Offset at which the clock starts.
        end_s: Offset at which the view ends.
        seconds: Time until they held again; None when that was not seen.
        window_s: Length of the windows that were judged.
        step_s: Seconds from one of ``holds`` to the next: 1, or more of a long view.
        holds: From ``start_s`` on: whether all of them held in the windows that begin in this step.
            Of a long view only the beginning, as far as it tells when they held again.
        titles: The promises.
        reason: Why ``seconds`` is None, or what else is to be known.
    """

    after: str
    start_s: float
    end_s: float
    seconds: float | None = None
    window_s: float = 0.0
    step_s: float = 1.0
    holds: Items[bool] = ()
    titles: Items[str] = ()
    reason: str = ""


class BurnFigure(Model):
    """How fast one phase burned the error budget.

    Attributes:
        rate: Error ratio over the ratio that is allowed; at 1 the budget lasts one period. None
            without requests.
    """

    label: str
    phase_index: int
    start_s: float
    end_s: float
    requests: int
    failures: int
    rate: float | None = None


class BudgetFigures(Model):
    """The error budget, and what this run would have burned of it.

    Attributes:
        slo_ratio: Share of requests that succeed by the objective.
        period_s: Length of the period that it is for.
        allowed: Requests that may fail in a period; None when the traffic is not known.
        failed: Requests that failed in this run, all phases but the warmup.
        share_ratio: ``failed`` as a share of ``allowed``.
    """

    slo_ratio: float
    period_s: float
    allowed: float | None = None
    failed: int = 0
    share_ratio: float | None = None
    phases: Items[BurnFigure] = ()


class ViewFigures(Model):
    """The same thing as the load and as the mesh saw it, in one phase: side by side.

    Attributes:
        sli: Indicator, such as ``traffic`` or ``latency.p95``.
        client: As the load saw it, in ``unit``.
        mesh: As the ingress gateway's proxy saw it.
        gap_ratio: Their distance as a share of the greater; of errors, the distance itself.
        tolerance_ratio: The gap that is as expected; None where none is (latencies).
        reason: Why they differ, where that is known.
    """

    label: str
    phase_index: int
    sli: str
    unit: Unit
    client: float | None = None
    mesh: float | None = None
    gap_ratio: float | None = None
    tolerance_ratio: float | None = None
    reason: str = ""


class ScoreFigures(Model):
    """How the objectives added up, where the experiment has a score."""

    reached: float
    possible: float
    share_ratio: float
    pass_ratio: float
    warn_ratio: float


class Evaluation(Model):
    """Everything that was concluded from one recording."""

    schema_version: int = EVALUATION_SCHEMA
    run_id: str
    experiment: str
    verdict: Verdict
    valid: bool
    headline: str = Field(default="", description="The verdict, without reasons.")
    sentence: str = Field(description="The verdict and why, in one sentence.")
    judged_by: str = Field(
        default="", description="Experiment whose objectives were used, if not the run's own."
    )
    time_scale: float = 1.0
    findings: Items[Finding]
    phases: Items[LoadFigures] = ()
    endpoints: Items[LoadFigures] = ()
    signals: Items[SignalFigures] = ()
    failures: Items[FailureFigure] = ()
    faults: Items[FaultFigure] = ()
    search: SearchFigures | None = None
    recoveries: Items[RecoveryFigure] = ()
    budget: BudgetFigures | None = None
    views: Items[ViewFigures] = ()
    score: ScoreFigures | None = None


class Titled(Protocol):
    """An objective, or what became of one."""

    @property
    def title(self) -> str: ...


T = TypeVar("T", bound=Titled)


def by_title(objectives: Iterable[T]) -> dict[tuple[str, int], T]:
    """``objectives`` by title; of several with one title, by their order among these."""
    found: dict[tuple[str, int], T] = {}
    for one in objectives:
        number = sum(title == one.title for title, _ in found)
        found[one.title, number] = one
    return found


def overall(findings: Iterable[Finding], by_score: Verdict | None = None) -> tuple[Verdict, bool]:
    """The verdict over ``findings``, and whether the run was valid. Answers do not count.

    Not valid is inconclusive whatever else was found; then fail, inconclusive, warn, pass. A run in
    which no objective was judged is inconclusive.

    Args:
        findings: All of the run, in any order.
        by_score: What the objectives add up to, where there is a score; None where each of them
            must be met.
    """
    known = tuple(findings)
    validity = [f.verdict for f in known if f.kind == "validity"]
    objectives = [f.verdict for f in known if f.kind == "objective"]
    valid = bool(validity) and all(v in (Verdict.PASS, Verdict.WARN) for v in validity)
    if not valid or not objectives:
        return Verdict.INCONCLUSIVE, valid
    judged = worst(objectives) if by_score is None else by_score
    return worst([judged, *(v for v in validity if v is Verdict.WARN)]), valid
