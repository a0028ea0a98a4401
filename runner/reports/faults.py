"""What broke and how it recovered: one story for each fault. Pure; no markup."""

from __future__ import annotations

from runner.model.evaluation import Evaluation, FaultFigure, LoadFigures, Verdict
from runner.model.fault import FLAGGED_KINDS, PodKill
from runner.model.faultrecord import Effect
from runner.model.recording import Recording
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.deeds import deeds
from runner.reports.tale import errors_seen, tale_of
from runner.reports.text import Shown

MOST_EFFECTS = 30

_BEGUN = {"pod-kill": "Killed", "rollout-restart": "Begun", "chaostoolkit": "Begun"}
_ENDED = {"pod-kill": "Ready again", "rollout-restart": "Ready again"}
_HIT = {"network-deny": "Failed"}
"""What the facts of a kind are called, where not as those of others."""


class Evidence(Model):
    """What a validity check found about a fault."""

    title: Shown
    verdict: Verdict
    reason: Shown


class Step(Model):
    """Something that a fault did or saw, at an offset."""

    at: str
    what: str
    subject: Shown
    detail: Shown


class Impact(Model):
    """What the users saw while the fault was in effect, beside baseline and recovery."""

    label: Shown
    error_ratio: str
    p95: str
    rate: str


class FaultStory(Model):
    """One fault from plan to recovery.

    Attributes:
        told: What happened, in sentences, in order.
        errors: The sentence of them about errors and latency.
    """

    number: int
    id: Shown
    kind: str
    service: Shown
    what: Shown
    planned: str
    begun: str = "Injected"
    injected: str
    ended: str = "Gone"
    gone: str
    recovery: str
    recovery_s: float | None
    hit: str = "Hit"
    flagged: str
    kills: str = ""
    told: Items[Shown] = ()
    errors: Shown = ""
    subjects: Items[Shown]
    detail: Shown
    evidence: Items[Evidence]
    steps: Items[Step]
    more_steps: int = 0
    impact: Items[Impact]


def fault_stories(recording: Recording, evaluation: Evaluation) -> tuple[FaultStory, ...]:
    """The stories, in the order of the plan."""
    return tuple(
        _story(number, figure, recording, evaluation)
        for number, figure in enumerate(evaluation.faults, start=1)
    )


def _story(
    number: int, figure: FaultFigure, recording: Recording, evaluation: Evaluation
) -> FaultStory:
    unflagged = figure.kind not in FLAGGED_KINDS
    return FaultStory(
        number=number,
        id=figure.id,
        kind=figure.kind,
        service=figure.service,
        what=_what(figure.id, recording),
        planned=f"{fmt.clock_offset(figure.start_s)} to {fmt.clock_offset(figure.end_s)}",
        begun="First kill" if len(figure.kills_s) > 1 else _BEGUN.get(figure.kind, "Injected"),
        injected=_offset(figure.injected_s),
        ended=_ENDED.get(figure.kind, "Gone"),
        gone=_offset(figure.gone_s),
        recovery="not seen" if figure.recovery_s is None else fmt.seconds(figure.recovery_s),
        recovery_s=figure.recovery_s,
        hit=_HIT.get(figure.kind, "Hit"),
        kills=_kills(figure, recording),
        flagged="" if unflagged and figure.flagged is None else _flagged(figure),
        told=tale_of(figure, recording, evaluation),
        errors=errors_seen(figure, recording, evaluation),
        subjects=figure.subjects,
        detail=figure.detail,
        evidence=tuple(
            Evidence(title=finding.title, verdict=finding.verdict, reason=finding.reason)
            for finding in evaluation.findings
            if finding.kind == "validity" and finding.where == figure.id
        ),
        steps=_steps(figure.id, recording),
        more_steps=max(0, len(_effects(figure.id, recording)) - MOST_EFFECTS),
        impact=_impact(figure.id, recording, evaluation),
    )


def _offset(offset_s: float | None) -> str:
    return "never seen" if offset_s is None else fmt.clock_offset(offset_s)


def _flagged(figure: FaultFigure) -> str:
    return "unknown" if figure.flagged is None else f"{fmt.count(figure.flagged)} requests"


def _what(fault_id: str, recording: Recording) -> str:
    """The fault as its author wrote it, in words."""
    planned = next(fault for fault in recording.plan.faults if fault.id == fault_id)
    return deeds(planned.fault)


def _kills(figure: FaultFigure, recording: Recording) -> str:
    """How many of the planned kills happened; empty where one was planned."""
    planned = next(fault for fault in recording.plan.faults if fault.id == figure.id)
    if not isinstance(planned.fault, PodKill) or planned.fault.every is None:
        return ""
    moments = len(planned.fault.moments(planned.seed))
    return f"{fmt.count(len(figure.kills_s))} of {fmt.count(moments)} planned"


def _effects(fault_id: str, recording: Recording) -> list[Effect]:
    return [e for record in recording.faults if record.id == fault_id for e in record.effects]


def _steps(fault_id: str, recording: Recording) -> tuple[Step, ...]:
    ordered = sorted(_effects(fault_id, recording), key=lambda effect: effect.wall_s)
    return tuple(_step(effect, recording) for effect in ordered[:MOST_EFFECTS])


def _step(effect: Effect, recording: Recording) -> Step:
    offset_s = recording.offset_s(effect.wall_s)
    return Step(
        at=fmt.NOTHING if offset_s is None else fmt.clock_offset(offset_s),
        what=effect.what,
        subject=effect.subject,
        detail=effect.detail,
    )


def _impact(fault_id: str, recording: Recording, evaluation: Evaluation) -> tuple[Impact, ...]:
    """The baseline, each phase in which the fault was in effect, and the recovery after it."""
    active = {phase.index for phase in recording.plan.phases if fault_id in phase.faults}
    baseline = [figures for figures in evaluation.phases if figures.phase == "baseline"][:1]
    during = [figures for figures in evaluation.phases if figures.phase_index in active]
    if not during:
        return ()
    last = max(figures.end_s for figures in during)
    after = [f for f in evaluation.phases if f.phase == "recovery" and f.start_s >= last][:1]
    return tuple(_seen(figures) for figures in (*baseline, *during, *after))


def _seen(figures: LoadFigures) -> Impact:
    return Impact(
        label=figures.label,
        error_ratio=fmt.percent(figures.error_ratio),
        p95=fmt.seconds(figures.p95_s),
        rate=fmt.rate(figures.rate_per_s),
    )
