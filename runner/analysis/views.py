"""The same thing as the load and as the mesh saw it, side by side. Pure.

The mesh's view is that of the ingress gateway's proxy, through which all the load goes. Requests
and errors must agree within a tolerance that follows from how each is counted:

* The mesh's figures begin and end at scrapes: at either edge of a phase, they may be a scrape
  interval off.
* The load counts a request in the second in which it was sent, the mesh when it was answered: what
  takes long is counted in the next phase.
* A request without an answer (a timeout, a refused connection), and one that the locustfile's own
  checks failed, is known to the load alone; nobody knows whether it came through the gateway.
* A status of 4xx is a failure for the load, and no error for the mesh.

On phases of 4 s and more, measured rates differ by 0.1 to 3 %, errors by up to 0.9 points.
Latencies are shown and never judged: the load's include the way to the gateway, and in the open
model the wait for the intended start; and percentiles of the mesh are read between the bounds of
wide buckets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runner.analysis.checks import Check
from runner.analysis.evidence import ALL_SERVICES
from runner.analysis.stats import statistic_s
from runner.analysis.windows import LoadTable, Slice, phase_label
from runner.analysis.words import count, figure
from runner.model.evaluation import Finding, Unit, Verdict, ViewFigures
from runner.model.objective import Objective
from runner.model.plan import Phase, Plan
from runner.model.recording import PhaseSignal, Recording

TRAFFIC_TOLERANCE_RATIO = 0.05
ERROR_TOLERANCE_RATIO = 0.02
"""Gaps in requests, and in the share of errors, that are as expected; besides those at edges."""

EDGE_SCRAPES = 2
"""Each edge of a phase may be a scrape interval off."""

GROSS_RATIO, EXCESS_RATIO = 0.5, 1.5
"""A mesh that saw less than half of the load, or half as much again, has seen another load."""

_LATENCIES = ("p50", "p95", "p99")
_UNANSWERED = ("timeout", "connection", "error")


@dataclass(frozen=True, slots=True)
class Views:
    """Both views of one phase.

    Attributes:
        phase: The phase.
        label: What a reader calls it.
        seen: As the load saw it.
        signals: Figures of the ingress gateway by indicator, as far as there are any.
        slack: Requests that the two may be apart by at the edges of the phase, and those of which
            the mesh may know nothing.
        complete: Whether the load is on record to the end of the phase.
    """

    phase: Phase
    label: str
    seen: Slice
    signals: dict[str, PhaseSignal]
    slack: float
    complete: bool

    def mesh(self, sli: str) -> float | None:
        """The gateway's figure; None where there is none that counts."""
        signal = self.signals.get(sli)
        if signal is None or signal.state != "ok" or signal.value is None or not signal.samples:
            return None
        return signal.value if math.isfinite(signal.value) else None

    @property
    def mesh_requests(self) -> float | None:
        """Requests that the gateway saw in the time of the load's."""
        rate = self.mesh("traffic")
        return None if rate is None else rate * self.seen.seconds

    @property
    def slack_ratio(self) -> float:
        """``slack`` as a share of the requests, of whichever view has more."""
        most = max(self.seen.requests, self.mesh_requests or 0.0)
        return self.slack / most if most else 1.0

    @property
    def refused_ratio(self) -> float | None:
        """Share of requests that the mesh counts as errors, too."""
        refused = self.seen.outcomes.get("http_5xx", 0)
        return refused / self.seen.requests if self.seen.requests else None


def views_of(recording: Recording, table: LoadTable) -> tuple[Views, ...]:
    """Both views of each phase that was reached.

    None where no signals were collected, or where no series says how often Prometheus looks: then
    nobody knows how far edges may be off.
    """
    signals, plan = recording.signals, recording.plan
    if signals is None or signals.error:
        return ()
    known: dict[int, dict[str, PhaseSignal]] = {}
    for signal in signals.phases:
        if signal.service == ALL_SERVICES:
            known.setdefault(signal.phase, {})[signal.sli] = signal
    steps = [series.step_s for series in signals.series if series.step_s > 0]
    if not steps:
        return ()
    interval_s = min(steps)
    reached = [phase for phase in plan.phases if phase.start_s < table.recorded_s]
    seen = [table.slice(phase.start_s, phase.end_s) for phase in reached]
    return tuple(
        Views(
            phase=phase,
            label=phase_label(plan, phase),
            seen=seen[at],
            signals=known.get(phase.index, {}),
            slack=_slack(seen[at], seen[max(0, at - 1) : at + 2], interval_s),
            complete=table.recorded_s >= math.floor(phase.end_s),
        )
        for at, phase in enumerate(reached)
    )


def _slack(seen: Slice, around: Sequence[Slice], interval_s: float) -> float:
    """Requests that both views may be apart by.

    Args:
        seen: The load in the phase.
        around: The same, with the phases before and after it: at an edge, theirs are counted.
        interval_s: Seconds between two scrapes.
    """
    rate = max(one.rate_per_s for one in around)
    latency_s = max(statistic_s(one.latency_us, "p99") or 0.0 for one in around)
    unanswered = sum(seen.outcomes.get(outcome, 0) for outcome in _UNANSWERED)
    return rate * (EDGE_SCRAPES * interval_s + latency_s) + unanswered


# -- side by side ----------------------------------------------------------------------------------


def view_figures(views: Iterable[Views]) -> tuple[ViewFigures, ...]:
    """Requests, errors and latencies of each phase in both views, with their gaps."""
    return tuple(one for view in views for one in (_traffic(view), _errors(view), *_slow(view)))


def _traffic(view: Views) -> ViewFigures:
    client, mesh = view.seen.rate_per_s, view.mesh("traffic")
    gap = None if mesh is None else _gap(client, mesh)
    tolerance = min(1.0, TRAFFIC_TOLERANCE_RATIO + view.slack_ratio)
    return _figures(view, "traffic", "per_s", client, mesh, gap, tolerance, _why(view, "traffic"))


def _errors(view: Views) -> ViewFigures:
    client, mesh, refused = view.seen.error_ratio, view.mesh("errors"), view.refused_ratio
    gap = None if mesh is None or refused is None else abs(refused - mesh)
    tolerance = min(1.0, ERROR_TOLERANCE_RATIO + view.slack_ratio)
    why = _why(view, "errors")
    other = view.seen.failures - view.seen.outcomes.get("http_5xx", 0)
    if not why and other:
        why = (
            f"{count(other, 'request')} failed for the load alone (no answer, a status of 4xx, or "
            "its own checks) and {} not compared".format("is" if other == 1 else "are")
        )
    return _figures(view, "errors", "ratio", client, mesh, gap, tolerance, why)


def _slow(view: Views) -> Iterable[ViewFigures]:
    for name in _LATENCIES:
        client, mesh = statistic_s(view.seen.latency_us, name), view.mesh(f"latency.{name}")
        gap = None if client is None or mesh is None else _gap(client, mesh)
        sli = f"latency.{name}"
        yield _figures(view, sli, "s", client, mesh, gap, None, _why(view, sli))


def _figures(  # noqa: PLR0917 - one row of a table
    view: Views,
    sli: str,
    unit: Unit,
    client: float | None,
    mesh: float | None,
    gap: float | None,
    tolerance: float | None,
    reason: str,
) -> ViewFigures:
    return ViewFigures(
        label=view.label,
        phase_index=view.phase.index,
        sli=sli,
        unit=unit,
        client=client,
        mesh=mesh,
        gap_ratio=gap,
        tolerance_ratio=tolerance,
        reason=reason,
    )


def _gap(one: float, other: float) -> float:
    most = max(one, other)
    return abs(one - other) / most if most > 0 else 0.0


def _why(view: Views, sli: str) -> str:
    """Why the mesh has no figure, as the end of a sentence; empty when it has."""
    if view.mesh(sli) is not None:
        return ""
    signal = view.signals.get(sli)
    return (signal.message if signal else "") or "the gateway's proxy has no figure of it here"


# -- do they agree? --------------------------------------------------------------------------------


def views_agree(
    recording: Recording, views: Sequence[Views], objectives: Iterable[Objective]
) -> Finding | None:
    """Whether the mesh saw the load that was sent; None where there is nothing to compare.

    A mesh that saw much less than was sent was not on the way of the load: the run proves nothing.
    On a sandbox, where nobody else is, the same goes for much more. Smaller gaps are a warning
    where something rests on the mesh's figures. What cannot be compared is no pass: a warning where
    something rests on it, and else nothing. It is no more than that, because gateways have other
    names elsewhere; that a fault met this load is proven by itself. The warmup is not judged, nor a
    phase that was cut.
    """
    check = Check("views-agree", "The load and the mesh saw the same")
    judged = [view for view in views if view.phase.name != "warmup" and view.complete]
    plan, target, signals = recording.plan, recording.manifest.target, recording.signals
    needed = bool(plan.faults) or any(one.effective_source == "mesh" for one in objectives)
    if not views and needed and signals is not None and not signals.error:
        return check.warned(
            "What the load and the mesh saw could not be compared: no series tells how often "
            "Prometheus looks."
        )
    if not judged:
        return None
    alone = target is not None and target.kind == "sandbox"
    for view in judged:
        gross = _gross(view, alone=alone)
        if gross:
            return check.unproven(gross)
    compared = [one for view in judged for one in (_traffic(view), _errors(view))]
    known = [one for one in compared if one.gap_ratio is not None]
    worst = max(known, key=_beyond, default=None)
    if worst is not None and _beyond(worst) > 0 and needed:
        return _of_gap(check, worst, Verdict.WARN, _gap_sentence(worst, judged, alone=alone))
    silent = next((one for one in compared if one.sli == "traffic" and one.mesh is None), None)
    if silent is not None or worst is None:
        if not needed:
            return None
        where = f" in {silent.label}: {silent.reason}" if silent else ""
        return check.warned(
            f"What the load and the mesh saw could not be compared{where.rstrip('.')}."
        )
    return _of_gap(check, worst, Verdict.PASS, _agreement(known, plan))


def _beyond(one: ViewFigures) -> float:
    """How far a gap is beyond its tolerance, as a share of that; negative within it."""
    tolerance = one.tolerance_ratio or 1.0
    return (one.gap_ratio or 0.0) / tolerance - 1.0


def _of_gap(check: Check, one: ViewFigures, verdict: Verdict, reason: str) -> Finding:
    return Finding(
        kind="validity",
        check=check.name,
        title=check.title,
        verdict=verdict,
        reason=reason,
        where=one.label,
        operator="<=",
        observed=one.gap_ratio,
        bound=one.tolerance_ratio,
        unit="ratio",
    )


def _gross(view: Views, *, alone: bool) -> str:
    """That the mesh saw quite another load, as a sentence; empty when it did not."""
    sent, seen = view.seen.requests, view.mesh_requests
    if seen is None:
        return ""
    numbers = (
        f"In {view.label} the load sent {count(sent, 'request')}, and the mesh's gateway saw "
        f"{seen:,.0f}"
    )
    if seen + view.slack < GROSS_RATIO * sent:
        return (
            f"{numbers}: the load went elsewhere, or past the mesh, so that nothing of what was "
            "done to the mesh and seen by it is about this load."
        )
    if alone and seen - view.slack > EXCESS_RATIO * sent:
        return f"{numbers}: somebody else was using the sandbox at the same time."
    return ""


def _gap_sentence(one: ViewFigures, judged: Sequence[Views], *, alone: bool) -> str:
    client, mesh, tolerance = one.client or 0.0, one.mesh or 0.0, one.tolerance_ratio or 0.0
    if one.sli == "errors":
        view = next(view for view in judged if view.phase.index == one.phase_index)
        return (
            f"In {one.label} the load saw a status of 5xx for "
            f"{figure(view.refused_ratio or 0.0, 'ratio')} of its requests, and the mesh's gateway "
            f"errors for {figure(mesh, 'ratio')}: more than {figure(tolerance * 100, 'count')} "
            "percentage points apart."
        )
    others = "" if alone or mesh < client else "; perhaps others use the same gateway"
    return (
        f"In {one.label} the load made {figure(client, 'per_s')}, and the mesh's gateway saw "
        f"{figure(mesh, 'per_s')}, which is more apart than {figure(tolerance, 'ratio')}{others}."
    )


def _agreement(known: Sequence[ViewFigures], plan: Plan) -> str:
    traffic = max((one for one in known if one.sli == "traffic"), key=_gap_of)
    errors = max((_gap_of(one) for one in known if one.sli == "errors"), default=0.0)
    where = "in each phase" if len(plan.phases) > 1 else "in the run"
    points = figure(errors * 100, "count")
    allowed = figure(traffic.tolerance_ratio or 1.0, "ratio")
    return (
        f"The mesh's gateway saw the load's requests {where}, up to a gap of "
        f"{figure(_gap_of(traffic), 'ratio')} ({allowed} would be as expected in "
        f"{traffic.label}), and its errors, up to {points} percentage "
        f"{'point' if points == '1' else 'points'}."
    )


def _gap_of(one: ViewFigures) -> float:
    return one.gap_ratio or 0.0
