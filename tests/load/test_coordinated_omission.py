"""A target that stops for a moment: what a generator must see of it, by arithmetic.

The demonstration of wrk2 (G. Tene), scaled down. A server answers in 1 ms and stops once, for
S = 1.4 s; R = 200 requests/s are offered over T = 6 s, so N = 1200, and a pool of c = 8 users sends
them.

* From the *intended* start: a request that is due u seconds into the stop is answered S - u later,
  at the earliest. The slowest 1 % are 12 requests, so those due in the first 12/R = 0.06 s of it:
  the p99 is S - 0.01 T = 1.34 s. The slowest 10 % are those of the first 0.6 s: the p90 is
  S - 0.1 T = 0.80 s. To both comes what the rest of the queue takes when the server goes on: at
  the p99 the 4th that waited, at the p90 the 112th, that is 14 rounds of 8 users. How long a round
  takes on a busy machine is what the service time says.
* From the *send*: only the 8 requests that are under way when it stops see it, 0.67 % of all. The
  p99 is that of a server that answers in 1 ms; only p99.9 is S.

The closed model has the second figure only: its 8 users ask for nothing during the stop.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from loadserver import load_server
from trips import Stage, set_off

from runner.model.histogram import Counts, merged, quantile_us
from runner.model.recording import LoadRecord

pytestmark = pytest.mark.sandbox

STALL_S, RATE, LENGTH_S, USERS = 1.4, 200, 6, 8
STALLED_AT_S = 2.0
QUICK_S = 0.25
"""Far above what the client and a busy machine add to 1 ms, and far below the stop."""

SOURCE = """
from locust import constant_throughput, task

from runner.load.swift import SwiftHttpUser

class Steady(SwiftHttpUser):
    wait_time = constant_throughput(25)

    @task
    def go(self):
        self.client.get("/wait/1")
"""
STAGES: dict[str, list[Stage]] = {
    "open": [{"duration": f"{LENGTH_S}s", "rate": f"{RATE}/s"}],
    "closed": [{"duration": f"{LENGTH_S}s", "users": USERS, "spawn_rate": 100}],
}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, LoadRecord]]:
    """The open and the closed model at the same rate, each against a server that stops once."""
    with ExitStack() as stack:
        under_way = {}
        for name, stages in STAGES.items():
            server = stack.enter_context(load_server())
            folder = tmp_path_factory.mktemp(name)
            more = {"max_in_flight": USERS} if name == "open" else {}
            trip = set_off(folder, server.url, SOURCE, stages, **more)  # type: ignore[arg-type]
            stack.callback(trip.engine.stop, 1.0)
            under_way[name] = (trip, server)
        for trip, server in under_way.values():
            trip.until(lambda _, server=server: server.total)  # type: ignore[misc]
        time.sleep(STALLED_AT_S)
        for _, server in under_way.values():
            server.stall(STALL_S)
        found = {}
        for name, (trip, server) in under_way.items():
            assert trip.wait() == 0, trip.job.tail(20)
            found[name] = trip.run.read_load()
            assert sum(row.count for row in found[name].rows) == server.total
        yield found


def seconds(counts: Counts, ratio: float) -> float:
    value = quantile_us(counts, ratio)
    assert value is not None
    return value / 1e6


def response(record: LoadRecord) -> Counts:
    return merged(row.latency_us for row in record.rows)


def service(record: LoadRecord) -> Counts:
    return merged(row.service_us or {} for row in record.rows)


def test_from_the_intended_start_the_stop_is_in_the_p99(records: dict[str, LoadRecord]) -> None:
    """1.34 s and 0.80 s; 0.05 s less for rounding; more for the queue, and for a busy machine."""
    counts = response(records["open"])
    round_s = seconds(service(records["open"]), 0.99)
    assert sum(counts.values()) == RATE * LENGTH_S - 1  # the last one is due when it is over
    assert 1.34 - 0.05 <= seconds(counts, 0.99) <= 1.34 + 0.25
    assert round_s < QUICK_S
    assert 0.80 - 0.05 <= seconds(counts, 0.90) <= 0.80 + 0.1 + 14 * round_s


def test_from_the_send_only_the_slowest_few_see_it(records: dict[str, LoadRecord]) -> None:
    counts = service(records["open"])
    assert sum(counts.values()) == RATE * LENGTH_S - 1
    assert 0.001 <= seconds(counts, 0.5) < QUICK_S
    assert seconds(counts, 0.99) < QUICK_S
    assert STALL_S - 0.05 <= seconds(counts, 0.999) <= STALL_S + 0.25


def test_those_that_waited_for_a_user_are_counted(records: dict[str, LoadRecord]) -> None:
    """280 are due during the stop; 8 are under way, and all others wait; none is given up."""
    arrivals = records["open"].arrivals.values()
    assert sum(one.dropped for one in arrivals) == 0
    assert sum(one.started for one in arrivals) == RATE * LENGTH_S - 1
    assert sum(one.waited for one in arrivals) >= RATE * STALL_S - USERS - 4


def test_the_closed_model_cannot_tell_the_two_apart(records: dict[str, LoadRecord]) -> None:
    """Goal: it says so. Method: the same server and rate; the stop is seen by 8 requests only."""
    record = records["closed"]
    assert {row.service_us for row in record.rows} == {None}
    counts = response(record)
    slow = sum(count for bucket, count in counts.items() if seconds({bucket: 1}, 1.0) > 1.0)
    assert slow == USERS
    assert seconds(counts, 0.99) < QUICK_S
