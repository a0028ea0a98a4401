"""Figures of the open model: response time beside service time, and what became of arrivals."""

from __future__ import annotations

from typing import Any

from builders import ORDERS, PRODUCTS, load_of, plan_of, row

from runner.analysis.arrivalfigures import arrival_figures, in_flight
from runner.analysis.windows import LoadTable, endpoint_figures, phase_figures
from runner.model.experiment import Experiment
from runner.model.histogram import bucket_of, bucket_value_us
from runner.model.plan import Plan, make_plan
from runner.model.recording import ArrivalSecond, LoadRecord, LoadRow

SENT, DUE = bucket_of(6_000), bucket_of(1_270_000)


def open_plan(**load: Any) -> Plan:
    stages = [{"duration": "10s", "rate": "100/s"}]
    return make_plan(
        Experiment.model_validate(
            {
                "name": "open",
                "description": "A rate.",
                "load": {"locustfile": "shop.py", "stages": stages, **load},
                "warmup": "2s",
                "objectives": ["errors < 1%"],
            }
        )
    )


def late_row(second: int, endpoint: str, outcome: str = "success") -> LoadRow:
    """99 requests that were sent in time, and one that waited for more than a second."""
    return LoadRow(second, endpoint, outcome, {SENT: 99, DUE: 1}, {SENT: 100})


def table_of(plan: Plan, *rows: LoadRow, **arrivals: Any) -> LoadTable:
    users = dict.fromkeys(range(int(plan.duration_s)), 5)
    return LoadTable(LoadRecord(rows, users, {}, finished=True, **arrivals), plan)


def test_service_time_stands_beside_response_time() -> None:
    """Goal: both figures, of successes only, of phases and of endpoints. Method: one request in a
    hundred is late by far; failures are slow, and another endpoint has no service time of its own.
    """
    plan = open_plan()
    failed = late_row(5, ORDERS, "timeout")
    rows = (late_row(5, ORDERS), failed, row(6, 100, endpoint=PRODUCTS, latency_ms=20.0))
    table = table_of(plan, *rows)
    orders = next(
        one
        for one in endpoint_figures(table, plan)
        if one.endpoint == ORDERS and one.phase == "baseline"
    )
    assert orders.service is not None
    assert orders.max_s == bucket_value_us(DUE) / 1e6
    assert orders.p99_s == orders.service.p99_s == bucket_value_us(SENT) / 1e6
    assert table.service(2.0, 10.0) == {SENT: 100, bucket_of(20_000): 100}
    assert table.slice(2.0, 10.0).latency_us == {SENT: 99, DUE: 1, bucket_of(20_000): 100}
    (_, baseline) = phase_figures(table, plan)
    assert baseline.service is not None
    assert (baseline.service.p50_s, baseline.service.p95_s) == (
        bucket_value_us(SENT) / 1e6,
        bucket_value_us(bucket_of(20_000)) / 1e6,
    )


def test_arrivals_are_counted_by_phase_and_not_by_endpoint() -> None:
    plan = open_plan()
    arrivals = {
        1: ArrivalSecond(100, 100, 0, 0, 60),
        2: ArrivalSecond(100, 80, 5, 0, 70),
        3: ArrivalSecond(100, 90, 10, 8, 130),
    }
    table = table_of(plan, late_row(1, ORDERS), late_row(3, ORDERS), arrivals=arrivals)
    warmup, baseline = phase_figures(table, plan)
    assert warmup.arrivals is not None
    assert warmup.arrivals.model_dump() == {
        "offered": 100,
        "started": 100,
        "waited": 0,
        "dropped": 0,
        "completed": 60,
        "peak_in_flight": 40,
    }
    assert baseline.arrivals is not None
    assert baseline.arrivals.model_dump() == {
        "offered": 200,
        "started": 170,
        "waited": 15,
        "dropped": 8,
        "completed": 200,
        "peak_in_flight": 50,
    }
    assert {one.arrivals for one in endpoint_figures(table, plan)} == {None}


def test_what_waits_at_the_end_of_the_load_is_given_up_in_its_last_phase() -> None:
    """Goal: offered is started and dropped. Method: the last of 10 s, and the two after it."""
    arrivals = {
        1: ArrivalSecond(50, 50, 0, 0, 50),
        9: ArrivalSecond(100, 60, 0, 0, 20),
        10: ArrivalSecond(0, 5, 5, 35, 30),
        11: ArrivalSecond(0, 0, 0, 0, 15),
    }
    plan = open_plan()
    warmup, baseline = phase_figures(table_of(plan, late_row(9, ORDERS), arrivals=arrivals), plan)
    assert baseline.arrivals is not None
    assert baseline.arrivals.model_dump() == {
        "offered": 100,
        "started": 65,
        "waited": 5,
        "dropped": 35,
        "completed": 65,
        "peak_in_flight": 40,
    }
    assert warmup.arrivals is not None
    assert (warmup.arrivals.offered, warmup.arrivals.completed) == (50, 50)


def test_nothing_of_it_in_the_closed_model() -> None:
    plan = plan_of()
    table = LoadTable(load_of(plan), plan)
    figures = (*phase_figures(table, plan), *endpoint_figures(table, plan))
    assert {(one.service, one.arrivals) for one in figures} == {(None, None)}
    assert table.columns.apart == 0


def test_equal_times_are_one_histogram_in_memory() -> None:
    """Goal: no copies in a long run. Method: rows whose times from the send are no others."""
    table = table_of(open_plan(), row(1), row(2))
    assert table.columns.apart == 0
    assert table.service(0.0, 10.0) == table.slice(0.0, 10.0).latency_us != {}


def test_in_flight_is_what_was_started_and_is_not_done() -> None:
    """Goal: the level is carried over, and never below 0. Method: a start that is missing."""
    arrivals = {7: ArrivalSecond(started=1, completed=4), 0: ArrivalSecond(started=3)}
    levels = in_flight(arrivals)
    assert levels == {0: 3, 7: 0}
    assert arrival_figures(arrivals, levels, range(1, 5)).peak_in_flight == 0
    assert arrival_figures(arrivals, levels, range(8)).peak_in_flight == 3
