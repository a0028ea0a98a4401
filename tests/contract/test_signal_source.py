"""What every signal source keeps: the shipped double and Prometheus alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.calm import calm_reading
from runner.model.experiment import Experiment
from runner.model.guard import Reading
from runner.model.plan import Plan, make_plan
from runner.model.recording import ClockAnchor, Signals, TargetInfo
from runner.ports import SignalSource
from runner.signals.prometheus import PrometheusSource
from runner.targets.reachability import get
from runner.testing import FakeSignals, FakeTarget, FakeWorld

if TYPE_CHECKING:
    from runner.targets.sandbox.control import SandboxInfo

DURATION_S = 15
ASK_BOUND_S = 5.0
ROUTES = ("orders", "payments")


NOTHING = "a_name_that_nobody_uses"
WRONG = "sum(up"
TOLD = {
    NOTHING: Reading("empty", why="no series matches"),
    WRONG: Reading("refused", why="unclosed left parenthesis"),
}
"""What the double is told to say, as Prometheus does by itself."""


class Away(PrometheusSource):
    """A Prometheus where nobody listens."""

    def ask(self, promql: str, target: TargetInfo, within_s: float) -> Reading:
        nowhere = target.model_copy(update={"prometheus_url": "http://127.0.0.1:1"})
        return super().ask(promql, nowhere, within_s)


@dataclass(frozen=True)
class Bench:
    """A source, and a run whose last second is just over."""

    source: SignalSource
    target: TargetInfo
    anchor: ClockAnchor
    away: SignalSource

    def collect(self, plan: Plan, folder: Path) -> Signals:
        return self.source.collect(plan, self.anchor, self.target, plan.duration_s, folder)


def plan() -> Plan:
    fault = {"kind": "http-abort", "service": "payment-api", "at": "5s", "duration": "5s"}
    objectives = [
        {"objective": "errors < 1%", "service": "order-api"},
        {"objective": "signal.up > 0", "during": "2s..12s"},
    ]
    return make_plan(
        Experiment.model_validate(
            {
                "name": "x",
                "description": "d",
                "load": {"locustfile": "x", "stages": [{"duration": f"{DURATION_S}s", "users": 1}]},
                "faults": [{**fault, "status": 503}],
                "objectives": objectives,
                "signals": {
                    "up": {"promql": "count(up)"},
                    "up-share": {"promql": "avg(avg_over_time(up[$range]))", "unit": "ratio"},
                },
            }
        )
    )


@pytest.fixture(
    scope="module", params=["fake", pytest.param("prometheus", marks=pytest.mark.sandbox)]
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "fake":
        world = FakeWorld(answer=lambda promql, _: TOLD.get(promql, calm_reading(promql, 0.0)))
        away = FakeSignals(FakeWorld(answer_takes_s=60.0))
        anchor = ClockAnchor(load_started_wall_s=0)
        yield Bench(FakeSignals(world), FakeTarget(world).open("run"), anchor, away)
        return
    info: SandboxInfo = request.getfixturevalue("sandbox_info")
    target = TargetInfo(
        kind="sandbox",
        name=info.name,
        namespace=info.namespace,
        ingress_url=info.ingress_url,
        host=info.host,
        prometheus_url=info.prometheus_url,
    )
    started = time.time()
    while time.time() < started + DURATION_S:
        for route in ROUTES:
            get(f"{info.ingress_url}/api/v1/{route}", host=info.host)
        time.sleep(0.2)
    time.sleep(2.5)  # Two scrapes, as the conductor waits.
    anchor = ClockAnchor(load_started_wall_s=started)
    yield Bench(PrometheusSource(), target, anchor, Away())


@pytest.fixture(scope="module")
def signals(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Signals:
    return bench.collect(plan(), tmp_path_factory.mktemp("raw"))


def test_every_service_of_the_plan_has_every_signal_in_every_phase(signals: Signals) -> None:
    wanted = {
        (phase.index, service, sli)
        for phase in plan().phases
        for service in ("order-api", "payment-api")
        for sli in ("latency.p95", "traffic", "errors", "saturation.cpu", "saturation.memory")
    }
    assert wanted <= {(s.phase, s.service, s.sli) for s in signals.phases}
    assert {s.state for s in signals.phases if s.service == "order-api"} == {"ok"}


def test_series_stay_within_the_run_and_name_their_query(signals: Signals) -> None:
    assert signals.series
    for series in signals.series:
        assert series.query
        assert all(0 <= offset <= DURATION_S for offset, _ in series.points)


def test_figures_are_in_the_units_of_the_house(signals: Signals) -> None:
    units = {"latency.p95": "s", "traffic": "per_s", "errors": "ratio", "saturation.cpu": "ratio"}
    for signal in signals.phases:
        if signal.sli in units:
            assert signal.unit == units[signal.sli]
        if signal.unit == "ratio" and signal.value is not None:
            assert 0 <= signal.value <= 1
        if signal.sli == "latency.p95" and signal.value is not None:
            assert 0 < signal.value < 5


def test_own_signals_have_a_figure_in_each_phase_and_window_and_a_chart(signals: Signals) -> None:
    places = [*plan().phases, *plan().windows]
    assert [place.name for place in places][-1] == "window"
    for name, unit in (("up", "count"), ("up-share", "ratio")):
        figures = {s.phase: s for s in signals.phases if s.sli == f"signal.{name}"}
        assert set(figures) == {place.index for place in places}
        for figure in figures.values():
            assert (figure.state, figure.unit, figure.service) == ("ok", unit, "")
            assert figure.value is not None
            assert figure.value > 0
        (series,) = [s for s in signals.series if s.sli == f"signal.{name}"]
        assert (series.unit, series.service) == (unit, "")
        assert any(value for _, value in series.points)


def test_windows_have_the_figures_that_phases_have(signals: Signals) -> None:
    (window,) = plan().windows
    of_window = {(s.sli, s.service) for s in signals.phases if s.phase == window.index}
    of_phase = {(s.sli, s.service) for s in signals.phases if s.phase == 0}
    assert of_window == of_phase


def test_alerts_are_known_by_the_rules_that_could_raise_them(signals: Signals) -> None:
    assert signals.alerts_missing == ""
    assert signals.rules is not None
    assert {"HighErrorRate", "HighLatency"} <= set(signals.rules)
    assert signals.rule_severities["HighErrorRate"] == ("critical",)
    assert signals.broken_rules == {}
    for one in signals.alerts:
        assert one.name in signals.rules
        assert one.start_s <= one.end_s


def test_flags_are_told_of_http_faults_only(signals: Signals) -> None:
    assert set(signals.fault_flags) == {"01-http-abort"}
    assert set(signals.late_flags) == {"01-http-abort"}


def test_complete_signals_have_no_gap_and_no_error(signals: Signals) -> None:
    assert signals.error == ""
    assert signals.scrape_gaps == ()


def test_what_was_collected_survives_its_file(signals: Signals) -> None:
    assert Signals.model_validate_json(signals.model_dump_json()) == signals


def test_the_skew_of_two_clocks_of_one_machine_is_small(bench: Bench) -> None:
    skew_s = bench.source.skew_s(bench.target)
    assert skew_s is not None
    assert abs(skew_s) < 5


def test_a_guard_is_told_a_number_for_each_series(bench: Bench) -> None:
    assert bench.source.ask("vector(0)", bench.target, ASK_BOUND_S) == Reading("ok", (("", 0.0),))


@pytest.mark.parametrize(("promql", "state"), [(NOTHING, "empty"), (WRONG, "refused")])
def test_a_guard_without_a_figure_is_told_why(bench: Bench, promql: str, state: str) -> None:
    reading = bench.source.ask(promql, bench.target, ASK_BOUND_S)
    assert (reading.state, reading.values) == (state, ())
    assert reading.why


def test_a_source_that_is_away_is_unreachable_and_does_not_raise(bench: Bench) -> None:
    reading = bench.away.ask("vector(0)", bench.target, ASK_BOUND_S)
    assert (reading.state, reading.values) == ("unreachable", ())
    assert reading.why
