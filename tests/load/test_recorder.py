"""The recorder against exact values: quantiles, merging, limits."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.load.recorder import OTHER_ENDPOINT, Batch, Recorder
from runner.model.histogram import bucket_of, quantile_us

TEN_US, TEN_MIN_US = 10, 600_000_000
RATIOS = (0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)

latencies = st.integers(TEN_US, TEN_MIN_US) | st.builds(
    lambda power, part: min(TEN_MIN_US, int(10**power * part)),
    st.integers(1, 8),
    st.floats(1, 9.99),
)
requests = st.tuples(
    st.integers(0, 5),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["/a", "/b", "/c"]),
    st.sampled_from([("success", ""), ("http_5xx", "HTTP 503"), ("timeout", "TimeoutError")]),
    latencies,
)


def exact_quantile(values: list[int], ratio: float) -> int:
    """Nearest rank, from the sorted list itself."""
    rank = max(1, math.ceil(ratio * len(values) - 1e-9))
    return sorted(values)[rank - 1]


def feed(recorder: Recorder, items: list[tuple[int, str, str, tuple[str, str], int]]) -> None:
    for second, method, name, (outcome, text), latency_us in items:
        recorder.record(second, method, name, latency_us, outcome=outcome, text=text)


@settings(deadline=None)
@given(st.lists(latencies, min_size=1, max_size=300))
def test_every_quantile_is_within_one_percent_of_exact(values: list[int]) -> None:
    """Goal: issue's figure. Method: compare with the nearest rank of the list of exact values."""
    recorder = Recorder()
    for value in values:
        recorder.record(0, "GET", "/x", value)
    counts = recorder.drain().rows[0, "GET /x", "success"]
    for ratio in RATIOS:
        told = quantile_us(counts, ratio)
        assert told == pytest.approx(exact_quantile(values, ratio), rel=0.01)


def test_every_power_and_its_neighbours_keep_within_one_percent() -> None:
    """Goal: no bad spot at a bucket's edge. Method: each value alone, around every power of two."""
    for power in range(4, 30):
        for value in (2**power - 1, 2**power, 2**power + 1, 3 * 2 ** (power - 1)):
            recorder = Recorder()
            recorder.record(0, "GET", "/x", value)
            told = quantile_us(recorder.drain().rows[0, "GET /x", "success"], 0.5)
            assert told == pytest.approx(value, rel=0.004)


@settings(deadline=None)
@given(st.lists(st.tuples(requests, st.integers(0, 2)), max_size=60))
def test_what_several_recorders_saw_adds_up_to_what_one_would_have_seen(
    items: list[tuple[tuple[int, str, str, tuple[str, str], int], int]],
) -> None:
    """Goal: workers can be merged. Method: deal the requests to three recorders, and add them."""
    alone, merged = Recorder(), Recorder()
    workers = [Recorder() for _ in range(3)]
    feed(alone, [item for item, _ in items])
    for item, worker in items:
        feed(workers[worker], [item])
    for recorder in workers:
        merged.add(recorder.drain())
    assert merged.drain() == alone.drain()


def test_rows_are_told_apart_by_second_endpoint_and_outcome() -> None:
    recorder = Recorder()
    recorder.record(3, "GET", "/a", 100)
    recorder.record(3, "GET", "/a", 100)
    recorder.record(4, "GET", "/a", 100)
    recorder.record(3, "POST", "/a", 7)
    recorder.record(3, "GET", "/a", 100, outcome="http_5xx", text="HTTP 503")
    assert recorder.drain() == Batch(
        rows={
            (3, "GET /a", "success"): {100: 2},
            (4, "GET /a", "success"): {100: 1},
            (3, "POST /a", "success"): {bucket_of(7): 1},
            (3, "GET /a", "http_5xx"): {100: 1},
        },
        failures={("GET /a", "http_5xx", "HTTP 503"): 1},
        dropped=0,
    )
    assert recorder.drain() == Batch()


def test_the_second_that_is_not_over_stays_for_the_next_drain() -> None:
    recorder = Recorder()
    for second in (1, 2, 3):
        recorder.record(second, "GET", "/a", 10)
    assert {key[0] for key in recorder.drain(before_second=3).rows} == {1, 2}
    assert {key[0] for key in recorder.drain().rows} == {3}


def test_endpoints_beyond_the_limit_are_booked_together_and_counted() -> None:
    """Goal: names with ids in them do not fill the memory. Method: more names than the limit."""
    recorder = Recorder(max_endpoints=2)
    for number in range(5):
        recorder.record(0, "GET", f"/order/{number}", 10)
    recorder.record(0, "GET", "/order/0", 10)
    counts = {key[1]: sum(row.values()) for key, row in recorder.drain().rows.items()}
    assert counts == {"GET /order/0": 2, "GET /order/1": 1, OTHER_ENDPOINT: 3}
    assert recorder.overflowed == 3


def test_the_limit_of_endpoints_holds_for_merged_batches_too() -> None:
    worker, merged = Recorder(), Recorder(max_endpoints=1)
    feed(worker, [(0, "GET", name, ("timeout", "TimeoutError"), 10) for name in ("/a", "/b", "/b")])
    merged.add(worker.drain())
    batch = merged.drain()
    assert batch.rows == {
        (0, "GET /a", "timeout"): {bucket_of(10): 1},
        (0, OTHER_ENDPOINT, "timeout"): {bucket_of(10): 2},
    }
    assert batch.failures[OTHER_ENDPOINT, "timeout", "TimeoutError"] == 2
    assert merged.overflowed == 2


def test_failure_texts_beyond_the_limit_are_dropped_and_counted_over_the_whole_run() -> None:
    recorder = Recorder(max_texts=2)
    for text in ("a", "b", "c", "a", "d"):
        recorder.record(0, "GET", "/x", 10, outcome="error", text=text)
    batch = recorder.drain()
    assert Counter({key[2]: count for key, count in batch.failures.items()}) == {"a": 2, "b": 1}
    assert batch.dropped == 2
    recorder.record(1, "GET", "/x", 10, outcome="error", text="e")
    recorder.record(1, "GET", "/x", 10, outcome="error", text="b")
    later = recorder.drain()
    assert later.failures == {("GET /x", "error", "b"): 1}
    assert later.dropped == 1
