"""What a signal source says of a healthy system: the answers of the shipped double. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runner.model.fault import FLAGGED_KINDS
from runner.model.guard import Reading
from runner.model.plan import Plan
from runner.model.recording import PhaseSignal, Signals, SignalSeries

_CALM = {
    "latency.p50": ("s", 0.02),
    "latency.p95": ("s", 0.02),
    "latency.p99": ("s", 0.02),
    "traffic": ("per_s", 10.0),
    "errors": ("ratio", 0.0),
    "saturation.cpu": ("ratio", 0.1),
    "saturation.memory": ("ratio", 0.2),
}


CALM_VALUE = 1.0
"""What every own signal of an experiment is, all the time, in its own unit."""

CALM_RULES: dict[str, tuple[str, ...]] = {
    "HighErrorRate": ("critical",),
    "HighLatency": ("warning",),
}
"""Alerts that there are rules for, and their severities; none of them ever fires."""


def calm_signals(
    plan: Plan,
    services: Sequence[str] = ("order-api", "payment-api"),
    *,
    users_factor: float = 1.0,
    error_ratio: float = 0.0,
) -> Signals:
    """Complete signals of a healthy system over the whole of ``plan``.

    Args:
        plan: The plan.
        services: Services that the mesh saw.
        users_factor: How many of the planned users there are; each makes a request a second.
        error_ratio: Share of requests that the gateway saw fail.
    """
    own = {f"signal.{name}": one.unit for name, one in plan.experiment.signals.items()}
    indicators = [
        *((service, sli, *known) for service in services for sli, known in _CALM.items()),
        *(("", sli, unit, CALM_VALUE) for sli, unit in own.items()),
    ]
    series = tuple(
        SignalSeries(
            sli=sli,
            service=service,
            unit=unit,
            query="fake",
            step_s=1.0,
            points=tuple((float(s), value) for s in range(int(plan.duration_s))),
            state="ok",
        )
        for service, sli, unit, value in indicators
    )
    phases = tuple(
        PhaseSignal(
            phase=phase.index,
            sli=sli,
            service=service,
            unit=unit,
            query="fake",
            value=value,
            samples=100.0,
            state="ok",
        )
        for phase in (*plan.phases, *plan.windows)
        for service, sli, unit, value in indicators
    )
    if plan.experiment.load.model in ("users", "rate"):
        phases += _gateway(plan, users_factor, error_ratio)
    flagged = {f.id: 10.0 for f in plan.faults if f.fault.kind in FLAGGED_KINDS}
    return Signals(
        services=tuple(services),
        series=series,
        phases=phases,
        fault_flags=dict(flagged),
        late_flags=dict.fromkeys(flagged, 0.0),
        alerts_missing="",
        rules=tuple(CALM_RULES),
        rule_severities=CALM_RULES,
    )


def _gateway(plan: Plan, users_factor: float, error_ratio: float) -> tuple[PhaseSignal, ...]:
    """What the ingress gateway saw: the load of the plan, as the shipped generator makes it."""
    found = []
    for phase in (*plan.phases, *plan.windows):
        seconds = [second + 0.5 for second in range(int(phase.start_s), int(phase.end_s))]
        sent = [plan.rate_at(s) or round(plan.users_at(s) * users_factor) for s in seconds]
        known = {"traffic": sum(sent) / max(1, len(sent)), "errors": error_ratio}
        found += [
            PhaseSignal(
                phase=phase.index,
                sli=sli,
                service="",
                unit=unit,
                query="fake",
                value=known.get(sli, value),
                samples=float(sum(sent)),
                state="ok",
            )
            for sli, (unit, value) in _CALM.items()
            if not sli.startswith("saturation")
        ]
    return tuple(found)


def calm_reading(promql: str, now_s: float) -> Reading:
    """The answer of a signal source that has nothing to tell: 0, whatever is asked."""
    return Reading("ok", (("", 0.0),))
