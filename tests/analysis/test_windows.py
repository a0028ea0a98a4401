"""Figures of windows: which second belongs where, what is latency, and that nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from builders import ABORT, ORDERS, PRODUCTS, load_of, plan_of, row
from hypothesis import given
from hypothesis import strategies as st

from runner.analysis.windows import (
    LoadTable,
    endpoint_figures,
    joined,
    phase_figures,
    phase_label,
    seconds_of,
)
from runner.model.histogram import bucket_bounds_us, bucket_of
from runner.model.plan import Plan
from runner.model.recording import LoadRecord, LoadRow


def record(rows: Sequence[LoadRow], plan: Plan) -> LoadRecord:
    return LoadRecord(tuple(rows), dict.fromkeys(range(int(plan.duration_s)), 1), {}, finished=True)


@pytest.mark.parametrize(
    ("start_s", "end_s", "seconds"),
    [
        (0.0, 2.0, [0, 1]),
        (0.5, 2.0, [1]),
        (0.5, 2.5, [1, 2]),
        (0.2, 0.8, []),
        (5.9999999999, 7.0000000001, [6]),  # what scaling makes of 6 and 7
    ],
)
def test_second_belongs_to_the_window_that_holds_its_start(
    start_s: float, end_s: float, seconds: list[int]
) -> None:
    assert list(seconds_of(start_s, end_s)) == seconds


def test_phases_of_a_run_with_broken_edges() -> None:
    """A fault from 3.5 s to 6.5 s: the seconds in which it starts and ends are its own."""
    fault = {**ABORT, "at": "3500ms", "duration": "3s"}
    plan = plan_of(faults=[fault], duration="10s", warmup="1s")
    table = LoadTable(load_of(plan, lambda s: [row(s, s + 1)]), plan)
    figures = {one.phase: one for one in phase_figures(table, plan)}
    assert {name: one.requests for name, one in figures.items()} == {
        "warmup": 1,
        "baseline": 2 + 3,
        "fault": 4 + 5 + 6 + 7,
        "recovery": 8 + 9 + 10,
    }
    assert figures["fault"].rate_per_s == 5.5
    assert (figures["fault"].start_s, figures["fault"].end_s) == (3.5, 6.5)


def test_rate_of_a_broken_last_second() -> None:
    """A run of 2.5 s: its last second is half a second long."""
    plan = plan_of(duration="2500ms", warmup="0s")
    rows = [row(0, 10), row(1, 10), row(2, 5)]
    table = LoadTable(LoadRecord(tuple(rows), {0: 1, 1: 1, 2: 1}, {}, finished=True), plan)
    (figures,) = phase_figures(table, plan)
    assert figures.rate_per_s == 10.0


def test_latency_is_that_of_successes() -> None:
    """Half of the requests are refused in 1 ms; the latency is that of the others."""
    plan = plan_of(duration="10s", warmup="0s")
    rows = [row(0, 10, latency_ms=100.0), row(0, 10, outcome="http_5xx", latency_ms=1.0)]
    (figures,) = phase_figures(LoadTable(record(rows, plan), plan), plan)
    assert figures.p50_s == pytest.approx(0.1, rel=0.01)
    assert figures.max_s == pytest.approx(0.1, rel=0.01)
    assert (figures.failures, figures.error_ratio) == (10, 0.5)
    assert figures.outcomes == {"success": 10, "http_5xx": 10}


def test_late_lines_of_a_second_add_up() -> None:
    """What ends later than its second is written as another row of that second."""
    plan = plan_of(duration="10s", warmup="0s")
    rows = [row(0, 3, latency_ms=1.0), row(5, 1), row(0, 2, latency_ms=2000.0)]
    (figures,) = phase_figures(LoadTable(record(rows, plan), plan), plan)
    assert figures.requests == 6
    assert figures.max_s == pytest.approx(2.0, rel=0.01)


def test_endpoints_are_told_apart() -> None:
    plan = plan_of(duration="10s", warmup="4s")
    table = LoadTable(load_of(plan, lambda s: [row(s, 3), row(s, 5, endpoint=PRODUCTS)]), plan)
    figures = {(one.endpoint, one.phase): one for one in endpoint_figures(table, plan)}
    assert figures[ORDERS, "baseline"].requests == 6 * 3
    assert figures[PRODUCTS, "warmup"].requests == 4 * 5
    assert figures[ORDERS, "baseline"].users is None
    assert table.slice(4.0, 10.0, "GET /unknown").requests == 0


def test_phases_that_were_not_reached_have_no_figures() -> None:
    """A run that ended in its fault has no recovery, and the fault ends where the record does."""
    plan = plan_of(faults=[ABORT])
    table = LoadTable(load_of(plan, until_s=25), plan)
    figures = phase_figures(table, plan)
    assert [one.phase for one in figures] == ["warmup", "baseline", "fault"]
    assert (figures[-1].end_s, figures[-1].rate_per_s) == (25.0, 100.0)


def test_empty_record_has_no_figures() -> None:
    plan = plan_of()
    table = LoadTable(LoadRecord((), {}, {}), plan)
    assert (phase_figures(table, plan), table.recorded_s) == ((), 0.0)
    assert table.slice(0.0, 60.0).error_ratio is None


def test_seconds_one_by_one_are_the_window() -> None:
    """Seconds without requests are there, and empty; together they are the slice."""
    plan = plan_of(duration="10s", warmup="0s")
    rows = [row(1, 2), row(3, 4, outcome="timeout"), row(3, 1, endpoint=PRODUCTS)]
    table = LoadTable(record(rows, plan), plan)
    seconds = table.per_second(0.0, 5.0, None)
    assert [one.requests for one in seconds] == [0, 2, 0, 5, 0]
    assert [one.failures for one in table.per_second(0.0, 5.0, ORDERS)] == [0, 0, 0, 4, 0]
    whole, together = table.slice(0.0, 5.0), joined(seconds)
    assert (together.outcomes, together.latency_us) == (whole.outcomes, whole.latency_us)


def test_labels_tell_phases_apart() -> None:
    """Faults are named; what repeats is numbered; what does not is not."""
    second = {**ABORT, "at": "40s"}
    plan = plan_of(faults=[ABORT, second])
    assert [phase_label(plan, phase) for phase in plan.phases] == [
        "warmup",
        "baseline",
        "fault 01-http-abort",
        "recovery 1",
        "fault 02-http-abort",
        "recovery 2",
    ]


ROWS = st.lists(
    st.builds(
        lambda second, endpoint, outcome, values: LoadRow(
            second, endpoint, outcome, {bucket_of(value): n for value, n in values.items()}
        ),
        st.integers(0, 59),
        st.sampled_from([ORDERS, PRODUCTS]),
        st.sampled_from(["success", "http_5xx", "timeout"]),
        st.dictionaries(st.integers(0, 10_000_000), st.integers(1, 1000), min_size=1, max_size=5),
    ),
    max_size=30,
)


@given(ROWS, st.sampled_from(["20s", "20500ms", "19999ms"]), st.sampled_from(["0s", "4700ms"]))
def test_no_request_is_lost_or_counted_twice(rows: list[LoadRow], at: str, warmup: str) -> None:
    """Wherever the phases are cut, they add up to all requests; so do the endpoints."""
    plan = plan_of(faults=[{**ABORT, "at": at}], warmup=warmup)
    table = LoadTable(record(rows, plan), plan)
    total = sum(one.count for one in rows)
    assert sum(one.requests for one in phase_figures(table, plan)) == total
    assert sum(one.requests for one in endpoint_figures(table, plan)) == total


@given(ROWS)
def test_quantiles_are_in_order_and_within_what_was_seen(rows: list[LoadRow]) -> None:
    """p50 <= p95 <= p99 <= max, and all of them in a bucket that has successes."""
    plan = plan_of(duration="60s", warmup="0s")
    (figures,) = phase_figures(LoadTable(record(rows, plan), plan), plan)
    buckets = [index for one in rows if one.outcome == "success" for index in one.latency_us]
    if not buckets:
        assert (figures.p50_s, figures.max_s) == (None, None)
        return
    low_us, high_us = bucket_bounds_us(min(buckets))[0], bucket_bounds_us(max(buckets))[1]
    known = [figures.p50_s, figures.p95_s, figures.p99_s, figures.max_s]
    values = [value for value in known if value is not None]
    assert len(values) == 4
    assert values == sorted(values)
    assert low_us / 1e6 <= values[0] <= values[-1] <= high_us / 1e6


@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 9),
            st.integers(1, 5),
            st.sampled_from([ORDERS, PRODUCTS, "GET /c"]),
            st.sampled_from(["success", "http_5xx"]),
        ),
        max_size=20,
    )
)
def test_tuple_of_endpoints_is_their_union(rows: list[tuple[int, int, str, str]]) -> None:
    """Of two endpoints together: requests and histograms of both, also second by second."""
    plan = plan_of(duration="10s", warmup="0s")
    made = [row(s, n, endpoint=endpoint, outcome=outcome) for s, n, endpoint, outcome in rows]
    table = LoadTable(record(made, plan), plan)
    both = table.slice(0, 10, (ORDERS, PRODUCTS))
    apart = joined([table.slice(0, 10, ORDERS), table.slice(0, 10, PRODUCTS)])
    assert both.outcomes == apart.outcomes
    assert dict(both.latency_us) == dict(apart.latency_us)
    seconds = table.per_second(0, 10, (ORDERS, PRODUCTS))
    singles = [table.per_second(0, 10, one) for one in (ORDERS, PRODUCTS)]
    assert [one.outcomes for one in seconds] == [
        joined(pair).outcomes for pair in zip(*singles, strict=True)
    ]
    assert table.slice(0, 10, ()).requests == 0
