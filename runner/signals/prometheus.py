"""Golden signals of a run from a Prometheus: the real :class:`runner.ports.SignalSource`.

It never raises for what Prometheus lacks: an absent server, a refused question, a silent target
and a gap all stand in the answer. It waits for nothing: the caller has let two scrapes pass
after the load ended.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.analysis.checks import has_pods
from runner.errors import SignalError
from runner.model.guard import Reading
from runner.model.objective import EVERY
from runner.model.plan import Plan
from runner.model.recording import (
    ClockAnchor,
    PhaseSignal,
    Signals,
    SignalSeries,
    TargetInfo,
)
from runner.ports import Clock
from runner.process import SystemClock
from runner.signals.alerts import Alerts, alerts_of
from runner.signals.asking import Asker, asked
from runner.signals.charts import chart_series
from runner.signals.client import RETRIES, PromClient, Sampled
from runner.signals.figures import PhaseWindow
from runner.signals.flags import fault_flags
from runner.signals.growth import LOOKBACK_S
from runner.signals.own import own_figures, own_series
from runner.signals.phases import QUANTILES, counted, mesh_signals, workloads_seen
from runner.signals.queries import ISTIO, Dialect, escaped, literal, seconds
from runner.signals.saturation import saturation_signals
from runner.signals.scope import FEWEST_SCRAPES, Scope
from runner.signals.scrapes import interval_of, scrape_gaps

log = logging.getLogger(__name__)

QUESTION_TIMEOUT_S = 10.0
COLLECTION_TIMEOUT_S = 60.0
_SKEW_TIMEOUT_S = 3.0
_SKEW_TRIES = 3
_QUESTIONS = 6
"""Where one question may take long, all may take as long as so many of them."""
_DEFAULT_INTERVAL_S = 15.0
_MOST_NAMED_INSTANCES = 50
_UP_SPAN_S = 3600.0


@dataclass(slots=True)
class _Found:
    """What one collection has found so far."""

    services: dict[str, set[str]]
    series: list[SignalSeries] = field(default_factory=list)
    phases: list[PhaseSignal] = field(default_factory=list)
    stages: list[PhaseSignal] = field(default_factory=list)
    gaps: tuple[str, ...] = ()
    flags: dict[str, float | None] = field(default_factory=dict)
    late: dict[str, float | None] = field(default_factory=dict)
    alerts: Alerts | None = None

    def signals(self, error: str = "") -> Signals:
        return Signals(
            services=tuple(sorted(self.services)),
            series=tuple(self.series),
            phases=tuple(self.phases),
            stages=tuple(self.stages),
            scrape_gaps=self.gaps,
            fault_flags=self.flags,
            late_flags=self.late,
            error=error,
            **_as_recorded(self.alerts or Alerts(missing=error or "they were not asked for")),
        )


def _as_recorded(alerts: Alerts) -> dict[str, Any]:
    return {
        "alerts": alerts.spans,
        "alerts_missing": alerts.missing,
        "rules": alerts.rules,
        "rule_severities": dict(alerts.severities or {}),
        "broken_rules": dict(alerts.broken or {}),
    }


class PrometheusSource:
    """Asks the Prometheus of the target.

    Args:
        dialect: How the mesh names things.
        clock: For deadlines and the skew.
        timeout_s: Bound of one question.
        total_s: Bound of one collection.
    """

    def __init__(
        self,
        *,
        dialect: Dialect = ISTIO,
        clock: Clock | None = None,
        timeout_s: float = QUESTION_TIMEOUT_S,
        total_s: float = COLLECTION_TIMEOUT_S,
    ) -> None:
        self._dialect = dialect
        self._clock = clock or SystemClock()
        self._timeout_s = timeout_s
        self._total_s = total_s
        self._asker = Asker()

    def skew_s(self, target: TargetInfo) -> float | None:
        """Prometheus' clock minus ours, in seconds; None when it cannot be asked.

        The best of three tries: the one whose answer took least, and half of that is taken as the
        way back.
        """
        tries: list[tuple[float, float]] = []
        try:
            client = self._client(target, total_s=_SKEW_TIMEOUT_S)
            try:
                for _ in range(_SKEW_TRIES):
                    asked_s = self._clock.wall_s()
                    answer = client.query("time", "vector(time())")
                    answered_s = self._clock.wall_s()
                    theirs_s = answer.series[0].points[-1][1]
                    skew_s = theirs_s - (asked_s + answered_s) / 2
                    tries.append((answered_s - asked_s, skew_s))
            finally:
                client.close()
        except (SignalError, IndexError) as error:
            log.warning("the clock of Prometheus cannot be asked: %s", error)
        return min(tries)[1] if tries else None

    def ask(self, promql: str, target: TargetInfo, within_s: float) -> Reading:
        """The answer to a guard's query now; see :meth:`runner.ports.SignalSource.ask`."""

        def client() -> PromClient:
            return self._client(target, total_s=within_s, retries=0)

        return self._asker.ask(lambda: asked(client, promql), within_s)

    def collect(
        self, plan: Plan, anchor: ClockAnchor, target: TargetInfo, end_s: float, rawdir: Path
    ) -> Signals:
        """Everything about the run up to offset ``end_s``; raw answers are kept in ``rawdir``.

        Never raises for what Prometheus lacks; takes at most the bound of one collection.
        """
        found = _Found({name: set() for name in _planned_services(plan)})
        try:
            total_s = max(self._total_s, _QUESTIONS * (target.access.timeout or 0.0))
            client = self._client(target, total_s=total_s, rawdir=rawdir)
        except SignalError as error:
            return found.signals(error.message)
        except ValueError as error:
            return found.signals(f"the Prometheus at {target.prometheus_url!r}: {error}")
        try:
            scope = Scope(
                client=client,
                dialect=self._dialect,
                namespace=target.namespace,
                plan=plan,
                zero_s=anchor.load_started_wall_s + (anchor.prometheus_skew_s or 0.0),
                end_s=end_s,
                interval_s=_DEFAULT_INTERVAL_S,
            )
            _collect(scope, found)
        except SignalError as error:
            log.warning("signals are incomplete: %s", error)
            return found.signals(error.message)
        finally:
            client.close()
        return found.signals()

    def _client(
        self,
        target: TargetInfo,
        *,
        total_s: float,
        rawdir: Path | None = None,
        retries: int = RETRIES,
    ) -> PromClient:
        if not target.prometheus_url:
            raise SignalError(
                "no address of a Prometheus is known", hint="name a Prometheus in the target"
            )
        return PromClient(
            target.access,
            self._clock,
            timeout_s=min(target.access.timeout or self._timeout_s, total_s),
            total_s=total_s,
            rawdir=rawdir,
            retries=retries,
        )


def _planned_services(plan: Plan) -> set[str]:
    named = {objective.service for objective in plan.experiment.objectives} - {EVERY}
    return {name for name in named if name} | {fault.fault.service for fault in plan.faults}


def _statistics(plan: Plan) -> tuple[str, ...]:
    asked = {
        objective.bound.statistic
        for objective in plan.experiment.objectives
        if objective.bound.quantile is not None and objective.effective_source == "mesh"
    }
    return tuple(sorted(asked | set(QUANTILES)))


def _collect(scope: Scope, found: _Found) -> None:
    """Ask for everything; what was found before an error stays in ``found``.

    Raises:
        SignalError: When it makes no sense to go on.
    """
    if scope.end_s <= 0:
        raise SignalError("the load never started, so there is no time to ask about")
    up = _up(scope)
    scope = replace(scope, interval_s=interval_of(up) or _DEFAULT_INTERVAL_S)
    times = (scope.zero_s, scope.zero_s + scope.end_s, scope.zero_s)
    found.gaps = scrape_gaps(up, *times, scope.interval_s)
    phases = [
        counted(scope, PhaseWindow(*window)) for window in (*scope.phases(), *scope.windows())
    ]
    seen = workloads_seen(scope.dialect, phases)
    for service in found.services.keys() | seen.keys():
        found.services[service] = seen.get(service) or {service}
    ordered = dict(sorted(found.services.items()))
    for fault in scope.plan.faults:
        if fault.fault.kind in scope.dialect.fault_flags:
            service = fault.fault.service
            workloads = found.services[service] if service in seen else ()
            found.flags[fault.id], found.late[fault.id] = fault_flags(scope, fault, workloads)
    statistics = _statistics(scope.plan)
    with_pods = {name: names for name, names in ordered.items() if has_pods(name)}
    for one in phases:
        found.phases += _long_enough(
            scope,
            one.window,
            [
                *mesh_signals(scope.dialect, one, ordered, statistics),
                *saturation_signals(scope, one.window, with_pods),
            ],
        )
    found.series.extend(chart_series(scope, ordered))
    for window in scope.plateaus():
        stage = counted(scope, PhaseWindow(*window), "stage")
        signals = [*mesh_signals(scope.dialect, stage, ordered, ("p95",))]
        found.stages += _long_enough(scope, stage.window, signals)
    # What nothing else rests on comes last, so that a slow answer to it takes nothing with it.
    found.alerts = alerts_of(scope)
    for one in phases:
        found.phases += _long_enough(scope, one.window, [*own_figures(scope, one.window)])
    found.series.extend(own_series(scope))


def _long_enough(
    scope: Scope, window: PhaseWindow, signals: list[PhaseSignal]
) -> list[PhaseSignal]:
    """``signals``, as having gaps when the phase is too short for the scrape interval."""
    if window.seconds >= FEWEST_SCRAPES * scope.interval_s:
        return signals
    message = (
        f"the phase lasts {window.seconds:g} s, and a figure comes only every "
        f"{scope.interval_s:g} s"
    )
    return [
        signal.model_copy(update={"state": "gaps", "message": message})
        if signal.state == "ok"
        else signal
        for signal in signals
    ]


# -- scrape targets --------------------------------------------------------------------------------


def _up(scope: Scope) -> list[Sampled]:
    """Raw samples of ``up`` of the targets that the signals come from, joined per target."""
    targets = _targets(scope)
    if not targets:
        return []
    matcher = f"job=~{_one_of({job for job, _ in targets})}"
    if len(targets) <= _MOST_NAMED_INSTANCES:
        matcher += f",instance=~{_one_of({instance for _, instance in targets})}"
    joined: dict[tuple[str, str], list[tuple[float, float]]] = {}
    start_s, end_s = scope.zero_s, scope.zero_s + scope.end_s
    while start_s < end_s:
        stop_s = min(end_s, start_s + _UP_SPAN_S)
        promql = f"up{{{matcher}}}[{seconds(stop_s - start_s)}]"
        for one in scope.client.query("up", promql, stop_s).series:
            key = (one.labels.get("job", ""), one.labels.get("instance", ""))
            if key in targets:
                known = joined.setdefault(key, [])
                last_s = known[-1][0] if known else float("-inf")
                known.extend(point for point in one.points if point[0] > last_s)
        start_s = stop_s
    return [
        Sampled({"job": job, "instance": instance}, tuple(points))
        for (job, instance), points in sorted(joined.items())
    ]


def _targets(scope: Scope) -> set[tuple[str, str]]:
    """Job and instance of each target that any signal comes from."""
    window = f"[{seconds(LOOKBACK_S)}]"
    selectors = (scope.dialect.requests, scope.dialect.cpu)
    promql = " or ".join(
        f"group by (job, instance) (last_over_time({scope.fill(one, pods='.+')}{window}))"
        for one in selectors
    )
    found: set[tuple[str, str]] = set()
    for _, _, end_s in scope.phases():
        for one in scope.client.query("targets", promql, end_s).series:
            found.add((one.labels.get("job", ""), one.labels.get("instance", "")))
    return found - {("", "")}


def _one_of(names: set[str]) -> str:
    return '"' + escaped("|".join(literal(name) for name in sorted(names))) + '"'
