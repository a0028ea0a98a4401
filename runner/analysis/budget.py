"""The error budget: how fast each phase burned it, and what this run would have burned of it. Pure.

An objective of 99.9 % over 28 days allows one request in a thousand to fail: that is the budget.
The *burn rate* of a window is its share of failed requests over the share that is allowed: at 1,
the budget lasts exactly one period; at 14.4, an hour burns 2 % of a budget of 30 days. Source:
Google, The Site Reliability Workbook (2018), chapter 5, "Alerting on SLOs", whose multiwindow
alerts fire at burn rates of 14.4, 6 and 1.

What the whole run burned is a share of what a period allows: failed requests over the requests of a
period times the share that is allowed. Without a word on traffic, a period has as many requests as
the baseline of this run would make in that time; where that is not known, there is no share. The
warmup is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from runner.analysis.checks import has_pods
from runner.analysis.endpoints import endpoints_meant
from runner.analysis.evidence import (
    ALL_SERVICES,
    Evidence,
    Judged,
    Seen,
    against,
    missing,
    too_few,
)
from runner.analysis.windows import LoadTable, phase_label
from runner.analysis.words import compared, count, figure
from runner.model.evaluation import BudgetFigures, BurnFigure, Part, Verdict
from runner.model.objective import Objective
from runner.model.plan import Phase, Plan
from runner.model.score import ErrorBudget
from runner.model.units import format_duration

NO_BUDGET = "the experiment has no 'budget' that says what may fail"

NO_SERVICE = "*"
"""In place of a service, where each was asked for and none was seen."""

_DIGITS = 12
"""A float's noise in 1 - 0.999 must not decide whether a bound of 14.4 was met."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests of one window.

    Attributes:
        seconds: Length that they are spread over.
        requests: How many; of the mesh, perhaps a fraction.
        failures: How many of them failed.
        missing: Why nobody knows, as the end of a sentence; empty when somebody does.
    """

    seconds: float = 0.0
    requests: float = 0.0
    failures: float = 0.0
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Burned:
    """What a run burned of the budget of a period.

    Attributes:
        failed: Requests that failed.
        requests: Those that it made.
        allowed: Requests that may fail in a period; None when the traffic is not known.
        missing: Why there is no share, as the end of a sentence; empty when there is one.
    """

    failed: float
    requests: float
    allowed: float | None = None
    missing: str = ""

    @property
    def share_ratio(self) -> float | None:
        """What failed as a share of what is allowed."""
        return None if not self.allowed or self.missing else self.failed / self.allowed


def burn_rate(error_ratio: float, budget: ErrorBudget) -> float:
    """How many times as fast as allowed requests failed."""
    return round(error_ratio / allowed_ratio(budget), _DIGITS)


def allowed_ratio(budget: ErrorBudget) -> float:
    """Share of requests that may fail."""
    return round(budget.allowed_ratio, _DIGITS)


# -- objectives ------------------------------------------------------------------------------------


def burn_rate_in(objective: Objective, phase: Phase, evidence: Evidence) -> Seen:
    """The burn rate of one phase or window, of the one subject that ``objective`` is about."""
    budget = evidence.rules.budget
    if budget is None:
        return Seen(None, missing=NO_BUDGET)
    if objective.each_service:
        return Seen(None, missing="services are judged one by one")
    seen = _counted(objective, phase, objective.service or ALL_SERVICES, evidence)
    if seen.missing:
        return Seen(None, seen.requests, seen.missing)
    if not seen.requests:
        return Seen(None, 0.0, _no_requests(objective))
    return Seen(burn_rate(seen.failures / seen.requests, budget), seen.requests)


def budget_parts(objective: Objective, evidence: Evidence) -> list[Judged]:
    """The share of a period's budget that the run would burn: one part, or one for each service."""
    return [
        _part(objective, service, _burned(objective, service, evidence), evidence)
        for service in _services(objective, evidence) or (NO_SERVICE,)
    ]


def _part(objective: Objective, service: str, burned: Burned, evidence: Evidence) -> Judged:
    plan = evidence.recording.plan
    share, reason = burned.share_ratio, burned.missing
    if share is not None:
        reason = too_few(burned.requests, objective)
    if not reason and evidence.table.recorded_s < math.floor(plan.duration_s):
        reason = f"the load ended after {figure(evidence.table.recorded_s, 's')}"
    verdict = missing(objective)
    if share is not None and not reason:
        verdict = against(objective.bound, objective.warn_bound, share)
    part = Part(
        label=f"whole run, {service}" if objective.each_service else "whole run",
        start_s=_start_s(plan),
        end_s=plan.duration_s,
        verdict=verdict,
        observed=share,
        samples=burned.requests,
        reason=reason,
    )
    said = "" if share is None or reason else _said(objective, burned, share, verdict, evidence)
    return Judged(part, service=service, said=said)


def _said(
    objective: Objective, burned: Burned, share: float, verdict: Verdict, evidence: Evidence
) -> str:
    bound, budget = objective.bound, evidence.rules.budget
    observed, limit = compared(share, bound.value, bound.unit)
    period = "" if budget is None else format_duration(budget.period)
    text = (
        f"This run would burn {observed} of the error budget of {period}: "
        f"{count(burned.failed, 'request')} failed, and {burned.allowed or 0.0:,.0f} may"
    )
    if verdict is Verdict.FAIL:
        return f"{text}; the bound is {bound.operator} {limit}."
    if verdict is Verdict.WARN and objective.warn_bound is not None:
        near = figure(objective.warn_bound.value, bound.unit)
        return f"{text}; within the bound of {limit}, but past the warning at {near}."
    return f"{text}; within the bound of {limit}."


def _services(objective: Objective, evidence: Evidence) -> tuple[str, ...]:
    """Whom the budget is judged for, one by one: services, or the one subject of the objective."""
    if not objective.each_service:
        return (objective.service or ALL_SERVICES,)
    known = [name for name in evidence.services if has_pods(name)]
    return tuple(name for name in known if name not in objective.other_than)


def _burned(objective: Objective, service: str, evidence: Evidence) -> Burned:
    budget, plan = evidence.rules.budget, evidence.recording.plan
    if budget is None:
        return Burned(0.0, 0.0, missing=NO_BUDGET)
    if service == NO_SERVICE:
        return Burned(0.0, 0.0, missing="no service was seen")
    counted = [(phase, _counted(objective, phase, service, evidence)) for phase in _judged(plan)]
    failed = sum(one.failures for _, one in counted)
    requests = sum(one.requests for _, one in counted)
    problem = next((one.missing for _, one in counted if one.missing), "")
    if problem or not requests:
        return Burned(failed, requests, missing=problem or _no_requests(objective))
    baseline = [one for phase, one in counted if phase.name == "baseline"]
    traffic = _traffic(budget, baseline)
    if budget.traffic is not None and objective.of is not None:
        # The period's traffic is that of all endpoints: of these, their share in the baseline.
        everything = objective.model_copy(update={"of": None})
        all_of_it = [
            _counted(everything, phase, service, evidence)
            for phase, _ in counted
            if phase.name == "baseline"
        ]
        traffic = _share(baseline, all_of_it, budget.traffic)
    if not traffic:
        return Burned(failed, requests, missing="how many requests a period has is not known")
    return Burned(failed, requests, traffic * allowed_ratio(budget))


def _traffic(budget: ErrorBudget, baseline: Iterable[Counted]) -> float | None:
    """Requests of a period, as its author says or as the baseline went on; None: nobody knows."""
    if budget.traffic is not None:
        return budget.traffic
    parts = tuple(baseline)
    seconds, requests = sum(one.seconds for one in parts), sum(one.requests for one in parts)
    return requests / seconds * budget.period if seconds > 0 and requests else None


def _share(part: Iterable[Counted], whole: Iterable[Counted], traffic: float) -> float | None:
    total = sum(one.requests for one in whole)
    return traffic * sum(one.requests for one in part) / total if total else None


# -- what was counted ------------------------------------------------------------------------------


def _judged(plan: Plan) -> tuple[Phase, ...]:
    return tuple(phase for phase in plan.phases if phase.name != "warmup")


def _start_s(plan: Plan) -> float:
    return min((phase.start_s for phase in _judged(plan)), default=0.0)


def _counted(objective: Objective, phase: Phase, service: str, evidence: Evidence) -> Counted:
    if objective.effective_source == "mesh":
        return _by_mesh(phase, service, evidence)
    table = evidence.table
    meant = endpoints_meant(objective.of, evidence.rules.groups, table.endpoints)
    if meant.missing:
        return Counted(missing=meant.missing)
    return _by_load(phase, table, meant.names)


def _by_load(phase: Phase, table: LoadTable, names: tuple[str, ...] | None) -> Counted:
    seen = table.slice(phase.start_s, phase.end_s, names)
    return Counted(seen.seconds, seen.requests, seen.failures)


def _by_mesh(phase: Phase, service: str, evidence: Evidence) -> Counted:
    signals = evidence.recording.signals
    if signals is None:
        return Counted(missing="no signals were collected")
    if signals.error:
        return Counted(missing=f"the signals are missing: {signals.error}")
    signal = evidence.signals.get((phase.index, "errors", service))
    if signal is None:
        return Counted(missing="the mesh has no figure of errors here")
    if signal.state != "ok" or signal.value is None or not math.isfinite(signal.value):
        return Counted(missing=signal.message or "there is no data")
    samples = signal.samples or 0.0
    return Counted(phase.duration_s, samples, signal.value * samples)


def _no_requests(objective: Objective) -> str:
    to = f" to {objective.of}" if objective.of else ""
    return f"there were no requests{to}"


# -- figures ---------------------------------------------------------------------------------------


def budget_figures(evidence: Evidence) -> BudgetFigures | None:
    """The burn rate of each phase that was reached and what the run burned, as the load saw it.

    None where the experiment has no budget.
    """
    budget, plan = evidence.rules.budget, evidence.recording.plan
    if budget is None:
        return None
    burned = _burned(Objective(objective="budget < 100%"), ALL_SERVICES, evidence)
    reached = (one for one in _judged(plan) if one.start_s < evidence.table.recorded_s)
    return BudgetFigures(
        slo_ratio=round(1.0 - allowed_ratio(budget), _DIGITS),
        period_s=budget.period,
        allowed=burned.allowed,
        failed=round(burned.failed),
        share_ratio=burned.share_ratio,
        phases=tuple(_figure(phase, plan, evidence.table, budget) for phase in reached),
    )


def _figure(phase: Phase, plan: Plan, table: LoadTable, budget: ErrorBudget) -> BurnFigure:
    seen = table.slice(phase.start_s, phase.end_s)
    return BurnFigure(
        label=phase_label(plan, phase),
        phase_index=phase.index,
        start_s=phase.start_s,
        end_s=min(phase.end_s, table.recorded_s),
        requests=seen.requests,
        failures=seen.failures,
        rate=None if seen.error_ratio is None else burn_rate(seen.error_ratio, budget),
    )
