"""Own signals, windows and alerts, asked of the real Prometheus over the made-up history."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from history import NAMESPACE, history, plan_with_abort
from real_prometheus import backfill, prometheus

from runner.model.plan import Plan
from runner.model.recording import ClockAnchor, PhaseSignal, Signals, TargetInfo
from runner.signals.prometheus import PrometheusSource

pytestmark = pytest.mark.sandbox

WARMUP, BASELINE, FAULT, RECOVERY, STAGE, WINDOW = range(6)
PAYMENTS = 'istio_requests_total{reporter="source",destination_service_name=~"payment-api$"}'
QUEUE = 'queue_depth{namespace="$namespace"}'
SIGNALS: dict[str, dict[str, Any]] = {
    "payments": {"promql": f"sum(increase({PAYMENTS}[$range]))", "unit": "count"},
    "queue": {"promql": f"max({QUEUE})"},
    "longest": {"promql": f"max({QUEUE})", "take": "max"},
    "shortest": {"promql": f"max({QUEUE})", "take": "min"},
    "last": {"promql": f"max({QUEUE})", "take": "last", "unit": "ratio"},
    "several": {"promql": PAYMENTS},
    "several-over": {"promql": f"increase({PAYMENTS}[$range])"},
    "nothing": {"promql": "a_name_that_nobody_uses"},
    "no-number": {"promql": f"max({QUEUE}) - max({QUEUE}) > 0 or vector(0) / 0"},
    "number": {"promql": "scalar(vector(3))"},
    "wrong": {"promql": "rat(up[$range])"},
    "raw": {"promql": "up[$range]"},
}


@dataclass(frozen=True)
class Collected:
    plan: Plan
    signals: Signals

    def figure(self, name: str, phase: int, service: str = "") -> PhaseSignal:
        sli = name if "." in name or service else f"signal.{name}"
        (found,) = [
            one
            for one in self.signals.phases
            if (one.phase, one.sli, one.service) == (phase, sli, service)
        ]
        return found


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collected]:
    folder = tmp_path_factory.mktemp("own")
    start_s = int(time.time()) - 3 * 3600
    backfill(folder, history(start_s))
    objectives = [
        {"objective": "errors < 1%", "service": "payment-api", "during": ["stage:1", "65s..85s"]}
    ]
    plan = plan_with_abort(signals=SIGNALS, objectives=objectives)
    target = TargetInfo(
        kind="sandbox",
        name="test",
        namespace=NAMESPACE,
        ingress_url="http://127.0.0.1:1",
        host="",
        prometheus_url="",
    )
    with prometheus(folder) as url:
        target = target.model_copy(update={"prometheus_url": url})
        anchor = ClockAnchor(load_started_wall_s=start_s + 0.4)
        source = PrometheusSource()
        yield Collected(plan, source.collect(plan, anchor, target, 120.0, folder / "raw"))


def test_a_query_with_a_range_is_over_exactly_the_phase(collected: Collected) -> None:
    """Goal: neither a smeared window nor a part. Method: 5/s, and 90 that fail in the fault."""
    baseline = collected.figure("payments", BASELINE)
    assert (baseline.state, baseline.unit) == ("ok", "count")
    assert baseline.value == pytest.approx(5 * 50)
    assert "[50000ms]" in baseline.query
    fault = collected.figure("payments", FAULT)
    assert "[31000ms]" in fault.query
    assert fault.value == pytest.approx(5 * 31 + 90, rel=0.05)


def test_a_query_without_a_range_is_taken_all_through_the_phase(collected: Collected) -> None:
    assert collected.figure("queue", BASELINE).value == 2
    fault = collected.figure("queue", FAULT)
    assert fault.value == pytest.approx(8, rel=0.05)
    assert fault.samples == pytest.approx(31, abs=1)
    assert collected.figure("longest", FAULT).value == 8
    assert collected.figure("shortest", RECOVERY).value == 2


def test_what_is_not_a_number_or_not_there_is_missing(collected: Collected) -> None:
    """Goal: NaN is no 0. Method: a queue that is NaN for 5 s and gone for 10 s of the recovery."""
    queue = collected.figure("queue", RECOVERY)
    assert (queue.state, queue.value) == ("gaps", 2)
    assert "of the phase only" in queue.message
    for name, why in (("nothing", "no series matches"), ("no-number", "is not a number")):
        figure = collected.figure(name, BASELINE)
        assert (figure.state, figure.value) == ("empty", None)
        assert why in figure.message


def test_the_last_value_is_of_the_end_of_the_phase(collected: Collected) -> None:
    """Goal: an old value is not the last one. Method: the queue is gone 10 s before the end."""
    assert collected.figure("last", FAULT).value in (2, 8)
    assert collected.figure("last", FAULT).unit == "ratio"
    assert collected.figure("last", RECOVERY).state == "gaps"


@pytest.mark.parametrize("name", ["several", "several-over"])
def test_more_than_one_series_is_a_mistake_that_says_so(collected: Collected, name: str) -> None:
    figure = collected.figure(name, FAULT)
    assert (figure.state, figure.value) == ("error", None)
    assert "the query gives 2 series, and one is wanted" in figure.message
    assert 'response_code="503"' in figure.message


def test_a_scalar_is_a_number_and_a_wrong_query_is_an_error(collected: Collected) -> None:
    assert collected.figure("number", BASELINE).value == 3
    wrong = collected.figure("wrong", BASELINE)
    assert (wrong.state, "unknown function" in wrong.message) == ("error", True)
    raw = collected.figure("raw", BASELINE)
    assert (raw.state, "no single number" in raw.message) == ("error", True)


def test_own_signals_have_charts_in_their_units(collected: Collected) -> None:
    """Goal: a reader sees what was judged. Method: the series of both kinds of queries."""
    series = {one.sli: one for one in collected.signals.series if one.service == ""}
    assert dict(series["signal.queue"].points)[79.6] == 8
    assert dict(series["signal.queue"].points)[96.6] is None
    assert (series["signal.last"].unit, series["signal.last"].state) == ("ratio", "gaps")
    assert series["signal.several"].state == "error"
    # Five scrapes with a range of five seconds: 25 payments.
    assert dict(series["signal.payments"].points)[30.6] == pytest.approx(25)


def test_windows_have_figures_under_their_own_index(collected: Collected) -> None:
    """Goal: 'during: 65s..85s' is judged by just these seconds. Method: 5/s, and 3/s that fail."""
    assert [one.index for one in collected.plan.windows] == [STAGE, WINDOW]
    errors = collected.figure("errors", WINDOW, "payment-api")
    assert errors.value == pytest.approx(3 / 8)
    assert errors.samples == pytest.approx(160)
    assert collected.figure("errors", STAGE, "payment-api").samples == pytest.approx(690, abs=1)
    assert collected.figure("longest", WINDOW).value == 8
    assert collected.figure("saturation.cpu", WINDOW, "order-api").value == pytest.approx(0.2)


def test_alerts_are_spans_of_the_namespace_and_of_none(collected: Collected) -> None:
    """Goal: when each fired, and what fired before. Method: samples each 5 s, others' left out."""
    found = [
        (one.name, one.severity, str(one.state), round(one.start_s, 1), round(one.end_s, 1))
        for one in collected.signals.alerts
    ]
    assert found == [
        ("OldAlert", "warning", "firing", -30.4, 9.6),
        ("HighErrorRate", "critical", "pending", 64.6, 69.6),
        ("HighErrorRate", "critical", "firing", 74.6, 99.6),
    ]
    assert collected.signals.alerts[1].labels == {"service": "payment-api"}
    assert (collected.signals.alerts_missing, collected.signals.rules) == ("", ())
