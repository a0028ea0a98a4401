"""The figure of an objective's indicator in a phase, in the load's view or the mesh's.

Nothing is compared with a bound here. What is not known has a reason in place of a figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from runner.analysis.checks import has_pods
from runner.analysis.endpoints import endpoints_meant
from runner.analysis.evidence import ALL_SERVICES, Evidence, Seen
from runner.analysis.indicators import FIGURES
from runner.analysis.places import NOT_COLLECTED
from runner.analysis.stats import statistic_s
from runner.analysis.windows import Slice, joined
from runner.model.bound import Bound
from runner.model.objective import Objective
from runner.model.plan import Phase
from runner.model.recording import PhaseSignal, Signals


def figure_in(
    objective: Objective, phases: Sequence[Phase], service: str, evidence: Evidence
) -> Seen:
    """The figure over ``phases`` together: one, or as many as the load can put together.

    Args:
        objective: Says which indicator, and in whose view.
        phases: Phases or windows of the run in ``evidence``; at least one.
        service: One of :func:`services_judged`.
        evidence: The run.
    """
    own = FIGURES.get(objective.bound.sli)
    if own is None and objective.effective_source == "client":
        return _client(objective, phases, evidence)
    if len(phases) > 1:
        return Seen(None, missing="figures of the mesh cannot be put together over several phases")
    if own is not None:
        about = objective
        if objective.each_service:  # One of them, by itself.
            about = objective.model_copy(update={"service": service, "other_than": ()})
        return own(about, phases[0], evidence)
    return _mesh(objective.bound, phases[0], service, evidence)


def services_judged(objective: Objective, signals: Signals | None) -> tuple[str, ...] | None:
    """The services that are judged one by one; None where the objective is about one subject."""
    saturation = objective.bound.sli.startswith("saturation") and objective.service is None
    if not (saturation or objective.each_service):
        return None
    known = () if signals is None else signals.services
    return tuple(name for name in known if has_pods(name) and name not in objective.other_than)


# -- the load's view -------------------------------------------------------------------------------


def _client(objective: Objective, phases: Sequence[Phase], evidence: Evidence) -> Seen:
    if objective.service is not None or objective.other_than:
        return Seen(None, missing="the load sees endpoints, not services; name one with 'of'")
    table = evidence.table
    meant = endpoints_meant(objective.of, evidence.rules.groups, table.endpoints)
    if meant.missing:
        return Seen(None, 0.0, meant.missing)
    seen = joined(table.slice(phase.start_s, phase.end_s, meant.names) for phase in phases)
    if seen.requests == 0:
        to = "" if objective.of is None else f" to {objective.of}"
        return Seen(None, 0.0, f"there were no requests{to}")
    samples = seen.successes if objective.bound.sli == "latency" else seen.requests
    return Seen(load_figure(objective.bound, seen), samples, "no request succeeded")


def load_figure(bound: Bound, seen: Slice) -> float | None:
    """The figure of one slice of the load; None when there is nothing that it could rest on."""
    match bound.sli:
        case "errors":
            return seen.error_ratio
        case "traffic":
            return seen.rate_per_s
        case _:
            return statistic_s(seen.latency_us, bound.statistic)


# -- the mesh's view -------------------------------------------------------------------------------


def _mesh(bound: Bound, phase: Phase, service: str, evidence: Evidence) -> Seen:
    signals = evidence.recording.signals
    if signals is None:
        return Seen(None, missing="no signals were collected")
    if signals.error:
        return Seen(None, missing=f"the signals are missing: {signals.error}")
    if phase.index == NOT_COLLECTED:
        return Seen(
            None,
            missing="the mesh's figures are collected for the windows of the run's own objectives, "
            "and this is none of them",
        )
    return _known(evidence.signals.get((phase.index, bound.indicator, service)), bound)


def _known(signal: PhaseSignal | None, bound: Bound) -> Seen:
    if signal is None:
        whose = "Prometheus" if bound.sli == "signal" else "the mesh"
        return Seen(None, missing=f"{whose} has no figure of {bound.indicator} here")
    if signal.state != "ok" or signal.value is None:
        why = signal.message or {"empty": "there is no data", "gaps": "the data has gaps"}.get(
            signal.state, "Prometheus gave no figure"
        )
        return Seen(None, signal.samples, why)
    if not math.isfinite(signal.value):
        return Seen(None, signal.samples, "the figure is not a number")
    if signal.warnings:
        return Seen(None, signal.samples, f"Prometheus warned: {signal.warnings[0]}")
    if not signal.samples:
        return Seen(None, signal.samples, "the figure rests on no samples")
    return Seen(signal.value, signal.samples)


def subject_service(objective: Objective) -> str:
    """The one service that an objective is about, as signals have it."""
    return ALL_SERVICES if objective.service is None else objective.service
