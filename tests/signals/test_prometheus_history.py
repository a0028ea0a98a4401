"""The real Prometheus over a made-up history in which every figure is known."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from history import history, plan_with_abort
from real_prometheus import backfill, prometheus

from runner.model.plan import Plan
from runner.model.recording import ClockAnchor, PhaseSignal, Signals, TargetInfo
from runner.process import SystemClock
from runner.signals.client import PromClient
from runner.signals.prometheus import PrometheusSource

pytestmark = pytest.mark.sandbox

WARMUP, BASELINE, FAULT, RECOVERY = range(4)
BEGAN_AGO_S = 4 * 3600


@dataclass(frozen=True)
class Collected:
    url: str
    anchor: ClockAnchor
    plan: Plan
    signals: Signals
    raw: Path


def target_at(url: str) -> TargetInfo:
    return TargetInfo(
        kind="sandbox",
        name="test",
        namespace="ecommerce",
        ingress_url="http://127.0.0.1:1",
        host="",
        prometheus_url=url,
    )


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collected]:
    folder = tmp_path_factory.mktemp("history")
    start_s = int(time.time()) - BEGAN_AGO_S
    backfill(folder, history(start_s))
    plan = plan_with_abort()
    # The run begins 0.4 s after a scrape, by a clock of ours that is 7 s behind.
    anchor = ClockAnchor(load_started_wall_s=start_s - 0.6 - 7.0, prometheus_skew_s=7.0)
    with prometheus(folder) as url:
        raw = folder / "raw"
        source = PrometheusSource()
        signals = source.collect(plan, anchor, target_at(url), plan.duration_s, raw)
        yield Collected(url, anchor, plan, signals, raw)


def figure(collected: Collected, phase: int, sli: str, service: str) -> PhaseSignal:
    (found,) = [
        one
        for one in collected.signals.phases
        if (one.phase, one.sli, one.service) == (phase, sli, service)
    ]
    return found


def test_all_services_with_traffic_are_found(collected: Collected) -> None:
    """Nobody named order-api and product-api: their traffic did."""
    assert collected.signals.error == ""
    assert collected.signals.services == ("order-api", "payment-api", "product-api")


def test_label_set_born_in_a_phase_counts_from_zero(collected: Collected) -> None:
    """Refusals first seen at 3 are 90 after 30 s of 3/s, not the 87 that increase() would say.

    The fault's phase ends a scrape late: it has 31 s of the requests that succeed.
    """
    assert figure(collected, FAULT, "traffic", "payment-api").samples == 5 * 31 + 90
    assert figure(collected, FAULT, "errors", "payment-api").value == pytest.approx(90 / 245)
    assert figure(collected, RECOVERY, "errors", "payment-api").value == 0
    assert figure(collected, BASELINE, "errors", "payment-api").value == 0
    assert collected.signals.fault_flags == {"01-http-abort": 90}
    assert collected.signals.late_flags == {"01-http-abort": 0}


def test_hits_in_front_of_pods_are_counted_where_they_are_seen(
    collected: Collected, tmp_path: Path
) -> None:
    """60 delayed requests, which only the callee flags: seen on the server side, not the client's.

    Two plans over the same history; neither side sees any after the end.
    """
    delay = {"kind": "http-delay", "service": "product-api", "at": "60s", "duration": "30s"}
    found = {}
    for side in ("server", "client"):
        plan = plan_with_abort(faults=[{**delay, "delay": "100ms", "side": side}])
        source, target = PrometheusSource(), target_at(collected.url)
        folder = tmp_path / side
        signals = source.collect(plan, collected.anchor, target, plan.duration_s, folder)
        found[side] = (signals.fault_flags, signals.late_flags)
    assert found == {
        "server": ({"01-http-delay": 60}, {"01-http-delay": 0}),
        "client": ({"01-http-delay": 0}, {"01-http-delay": 0}),
    }


def test_counter_reset_is_walked(collected: Collected) -> None:
    """36 requests up to 99 s, then a counter that starts at 0 and reaches 76."""
    assert figure(collected, RECOVERY, "traffic", "product-api").samples == 36 + 76
    assert figure(collected, FAULT, "traffic", "product-api").samples == 4 * 31
    assert figure(collected, FAULT, "traffic", "product-api").value == pytest.approx(4.0)


def test_refusal_just_before_the_end_of_a_fault_is_the_faults(collected: Collected) -> None:
    """The last three refusals are scraped 0.6 s after its end: not the recovery's."""
    assert figure(collected, RECOVERY, "errors", "payment-api").value == 0
    assert figure(collected, RECOVERY, "traffic", "payment-api").samples == 5 * 29


def test_vanished_series_counts_to_its_last_value(collected: Collected) -> None:
    """Failures with 500 are last seen 16 s into the fault phase; the phase after has none."""
    assert figure(collected, FAULT, "traffic", "order-api").samples == 310 + 16
    assert figure(collected, FAULT, "errors", "order-api").value == pytest.approx(16 / 326)
    assert figure(collected, RECOVERY, "errors", "order-api").value == 0


def test_callers_view_counts_each_request_once(collected: Collected) -> None:
    """The destination reports the same requests; the baseline has 11/s of them, not 22/s."""
    seen = figure(collected, BASELINE, "traffic", "order-api")
    assert seen.value == pytest.approx(11.0)
    assert seen.samples == 550
    # What came through the gateway: order-api and product-api, not order-api's own call.
    assert figure(collected, BASELINE, "traffic", "").samples == (11 + 4) * 50


def test_latency_is_interpolated_over_successes(collected: Collected) -> None:
    """60 % up to 10 ms, 95 % up to 50 ms, all up to 100 ms; requests with 500 would move it."""
    assert figure(collected, FAULT, "latency.p50", "order-api").value == pytest.approx(
        0.010 * 0.5 / 0.6
    )
    assert figure(collected, FAULT, "latency.p95", "order-api").value == pytest.approx(0.050)
    assert figure(collected, FAULT, "latency.p99", "order-api").value == pytest.approx(0.090)
    assert figure(collected, FAULT, "latency.avg", "order-api").value == pytest.approx(0.020)
    assert figure(collected, FAULT, "latency.p99", "order-api").samples == pytest.approx(310)


def test_latency_above_the_highest_bound_is_a_gap(collected: Collected) -> None:
    """All that is known of product-api's latency is that it is above 100 ms."""
    seen = figure(collected, BASELINE, "latency.p95", "product-api")
    assert seen.state == "gaps"
    assert seen.value == pytest.approx(0.1)
    assert "above 0.1 s" in seen.message


def test_service_without_histogram_is_empty(collected: Collected) -> None:
    """No data is not zero."""
    seen = figure(collected, BASELINE, "latency.p95", "payment-api")
    assert (seen.state, seen.value, seen.samples) == ("empty", None, 0)


def test_cpu_is_used_against_requested_of_own_pods(collected: Collected) -> None:
    """10 of 50 millicores; the pod of "order" and the pod's own sum are not order-api's."""
    seen = figure(collected, FAULT, "saturation.cpu", "order-api")
    assert seen.state == "ok"
    assert seen.value == pytest.approx(0.2)
    assert seen.samples == pytest.approx(31, abs=1)
    assert figure(collected, FAULT, "saturation.cpu", "product-api").state == "empty"


def test_memory_is_the_highest_of_the_phase(collected: Collected) -> None:
    """32 of 128 MB all the time, but 48 MB for a second of the baseline."""
    assert figure(collected, BASELINE, "saturation.memory", "order-api").value == 0.375
    assert figure(collected, FAULT, "saturation.memory", "order-api").value == 0.25


def test_silent_scrape_target_is_named(collected: Collected) -> None:
    """One target was silent for ten seconds; the others were not."""
    assert collected.signals.scrape_gaps == (
        "The scrape target pods:2 (pods) was not scraped for 10 s, from 41 s after the start on",
    )


def test_charts_are_on_one_grid(collected: Collected) -> None:
    """A point a second from the first whole second on, in seconds and ratios, NaN left out."""
    series = {(one.sli, one.service): one for one in collected.signals.series}
    traffic = series["traffic", "order-api"]
    assert (traffic.step_s, traffic.state, len(traffic.points)) == (1.0, "ok", 120)
    assert traffic.points[0][0] == pytest.approx(0.6)
    assert dict(traffic.points)[10.6] == pytest.approx(11.0)
    assert dict(series["latency.p95", "order-api"].points)[20.6] == pytest.approx(0.05)
    assert dict(series["errors", "payment-api"].points)[20.6] == 0
    assert dict(series["errors", "payment-api"].points)[80.6] == pytest.approx(3 / 8)
    assert dict(series["saturation.cpu", "order-api"].points)[80.6] == pytest.approx(0.2)
    assert series["latency.p95", "payment-api"].state == "empty"
    assert len(series) == 12 * 3


def test_replicas_are_those_of_the_services_own_deployment(collected: Collected) -> None:
    """The third replica is wanted at 70 s and ready at 80 s; a namesake's do not count."""
    series = {(one.sli, one.service): one for one in collected.signals.series}
    desired = dict(series["replicas.desired", "order-api"].points)
    assert (desired[68.6], desired[70.6]) == (2, 3)
    ready = dict(series["replicas.ready", "order-api"].points)
    assert (ready[78.6], ready[80.6]) == (2, 3)
    assert series["replicas.ready", "payment-api"].state == "empty"
    assert series["replicas.ready", "order-api"].unit == "count"


def test_pool_is_that_of_the_fullest_proxy(collected: Collected) -> None:
    """One second with 31 connections is not lost between points; others' pools do not count."""
    series = {(one.sli, one.service): one for one in collected.signals.series}
    connections = [value for _, value in series["pool.connections", "order-api"].points]
    pending = [value for _, value in series["pool.pending", "order-api"].points]
    assert (max(filter(None, connections)), max(filter(None, pending))) == (31, 4)
    assert connections[0] == 5
    assert series["pool.connections", "payment-api"].state == "empty"


def test_plateaus_are_asked_about_one_by_one(collected: Collected, tmp_path: Path) -> None:
    """Two levels of load: payment-api got 5/s in the first and (5 + 3)/s in half of the second."""
    load = {
        "locustfile": "shop.py",
        "stages": [{"duration": "60s", "users": 5}, {"duration": "60s", "users": 10}],
    }
    plan = plan_with_abort(load=load)
    source, target = PrometheusSource(), target_at(collected.url)
    signals = source.collect(plan, collected.anchor, target, plan.duration_s, tmp_path)
    stages = {(one.phase, one.sli): one for one in signals.stages if one.service == "payment-api"}
    assert stages[0, "traffic"].value == pytest.approx(5)
    assert stages[0, "traffic"].samples == pytest.approx(250)  # the 10 s of warmup are left out
    assert stages[1, "errors"].value == pytest.approx(90 / 390)
    assert stages[1, "overflow"].value == 0
    assert collected.signals.stages == ()  # at one level, phases tell it all


def test_raw_answers_are_kept(collected: Collected) -> None:
    """Each answer can be read back with its question."""
    index = [json.loads(line) for line in (collected.raw / "index.jsonl").read_text().splitlines()]
    (asked,) = [one for one in index if one["file"].endswith("01-http-abort-in-end.json.gz")]
    kept = json.loads(gzip.decompress((collected.raw / asked["file"]).read_bytes()))
    assert 'response_flags=~"(.*,)?(FI)(,.*)?"' in asked["query"]
    assert kept["data"]["result"][0]["value"][1] == "90"
    assert {one["status"] for one in index} == {200}


def test_run_cut_short_is_seen_up_to_its_end(collected: Collected, tmp_path: Path) -> None:
    """A run that ended 10 s into its fault has no recovery, and a fault phase of 10 s."""
    source, target = PrometheusSource(), target_at(collected.url)
    signals = source.collect(collected.plan, collected.anchor, target, 70.0, tmp_path)
    assert {one.phase for one in signals.phases} == {WARMUP, BASELINE, FAULT}
    assert signals.fault_flags == {"01-http-abort": 27}
    assert signals.late_flags == {"01-http-abort": None}


def test_more_points_than_prometheus_gives_are_asked_in_pieces(collected: Collected) -> None:
    """12,001 points a second apart are one series without a hole or a repetition."""
    clock = SystemClock()
    client = PromClient(collected.url, clock, timeout_s=10, total_s=30)
    end_s = int(clock.wall_s())
    (series,) = client.query_range("many", "vector(1)", end_s - 12_000, end_s, 1).series
    client.close()
    assert [at_s for at_s, _ in series.points] == list(range(end_s - 12_000, end_s + 1))


def test_skew_is_measured(collected: Collected) -> None:
    """The clock of a Prometheus on this machine is our own."""
    skew_s = PrometheusSource().skew_s(target_at(collected.url))
    assert skew_s == pytest.approx(0.0, abs=0.5)
