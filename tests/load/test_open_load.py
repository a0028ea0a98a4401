"""Both load models under the real Locust, in one process and with workers: the same load.

All trips of this module are under way at the same time, each with a server of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from loadserver import LoadServer, load_server
from trips import STEADY, Stage, Trip, set_off

from runner.model.arrivals import Schedule, lines_of
from runner.model.histogram import merged, quantile_us
from runner.model.plan import Plan
from runner.model.recording import LoadRecord
from runner.ports import LoadProgress

pytestmark = pytest.mark.sandbox

DIARY = """
import os
from locust import FastHttpUser, SequentialTaskSet, TaskSet, constant, events, task

def note(*words):
    with open(os.environ["DIARY"], "a") as file:
        print(*words, file=file)

@events.test_start.add_listener
def start(environment, **_):
    note("start", type(environment.runner).__name__)

@events.test_stop.add_listener
def stop(environment, **_):
    note("stop", type(environment.runner).__name__)

class Only(FastHttpUser):
    fixed_count = 1
    wait_time = constant(0.05)

    def on_start(self):
        note("only")

    @task
    def go(self):
        self.client.get("/fine", name="only")
"""
"""A user class of which there is one, and a diary of what happens once in each process."""

KINDS = (
    DIARY
    + """

class Steps(SequentialTaskSet):
    @task
    def first(self):
        self.client.get("/wait/300", name="first")

    @task
    def second(self):
        self.client.get("/fine", name="second")

    @task
    def third(self):
        self.client.get("/fine", name="third")
        self.interrupt()

class Browse(TaskSet):
    wait_time = constant(60)
    tasks = [Steps]

    @task
    def look(self):
        self.client.get("/fine", name="look")

class Plain(FastHttpUser):
    wait_time = constant(60)

    @task
    def go(self):
        self.client.get("/fine", name="plain")

class Sets(FastHttpUser):
    tasks = [Browse]
"""
)
"""Each task, of whichever kind, is one request; no wait time is waited for."""

MIXED = (
    DIARY
    + """
class Steady(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def go(self):
        self.client.get("/fine")
"""
)
SLOW = STEADY.replace("/fine", "/wait/1000")

ASKED = [(20.0, 1.0), (40.0, 1.0)]
"""Rates and lengths of a search's steps."""

RAMP: list[Stage] = [
    {"duration": "2s", "rate": "80/s", "ramp": "2s"},
    {"duration": "2s", "rate": "80/s"},
]
STEPS: list[Stage] = [
    {"duration": "2s", "users": 10, "spawn_rate": 5},
    {"duration": "2s", "users": 5, "spawn_rate": 10},
]


@dataclass
class Arrived:
    """What is left of a whole trip."""

    trip: Trip
    server: LoadServer
    record: LoadRecord
    code: int

    @property
    def plan(self) -> Plan:
        return self.trip.run.read_plan()

    @property
    def per_second(self) -> dict[int, int]:
        """Second to requests on record."""
        found: dict[int, int] = {}
        for row in self.record.rows:
            found[row.second] = found.get(row.second, 0) + row.count
        return found

    @property
    def diary(self) -> Counter[str]:
        path = self.trip.run.path.parents[2] / "diary"
        return Counter(path.read_text(encoding="utf-8").splitlines())

    @property
    def requests(self) -> int:
        return sum(self.per_second.values())

    def total(self, name: str) -> int:
        return sum(getattr(one, name) for one in self.record.arrivals.values())


@pytest.fixture(scope="module")
def trips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Arrived]]:
    wanted: dict[str, tuple[str, list[Stage], int, dict[str, Any]]] = {
        "open": (KINDS, RAMP, 0, {}),
        "open with workers": (KINDS, RAMP, 2, {}),
        "closed": (MIXED, STEPS, 0, {}),
        "closed with workers": (MIXED, STEPS, 2, {}),
        "exhausted": (
            SLOW,
            [{"duration": "4s", "rate": "20/s"}],
            0,
            {"max_in_flight": 5, "max_wait": "1s"},
        ),
    }
    search = {"from": "10/s", "to": "99/s", "until": ["errors < 1%"], "transient": "0s"}
    wanted["search"] = (STEADY.replace("/fine", "/wait/300"), [], 2, {"search": search})
    with ExitStack() as stack:
        under_way = {}
        for name, (source, stages, workers, more) in wanted.items():
            server = stack.enter_context(load_server())
            folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
            diary = {"DIARY": str(folder / "diary")}
            trip = set_off(
                folder, server.url, source, stages, environ=diary, workers=workers, **more
            )
            stack.callback(trip.engine.stop, 1.0)
            under_way[name] = (trip, server)
        steer(under_way["search"][0])
        yield {
            name: Arrived(trip, server, code=trip.wait(), record=trip.run.read_load())
            for name, (trip, server) in under_way.items()
        }


def steer(trip: Trip) -> None:
    """Ask for steps, one after the other, as a search does."""
    for number, (rate, duration_s) in enumerate(ASKED, start=1):
        trip.job.offer(rate, duration_s)
        trip.until(lambda seen, number=number: (number, True) in ended(seen))  # type: ignore[misc]
    trip.job.finish()


def ended(progress: LoadProgress) -> list[tuple[int, bool]]:
    return [(step.number, step.ended) for step in progress.steps]


OPEN = pytest.mark.parametrize("name", ["open", "open with workers"])
CLOSED = pytest.mark.parametrize("name", ["closed", "closed with workers"])
ALL = ["open", "open with workers", "closed", "closed with workers", "exhausted", "search"]


def due_per_second(plan: Plan) -> dict[int, int]:
    """Arrivals that are due in each second, by the integral of the rate."""
    schedule, found, number = Schedule(lines_of(plan.stages)), dict[int, int](), 1
    while (due_s := schedule.due_s(number)) is not None and due_s < plan.duration_s:
        found[int(due_s)] = found.get(int(due_s), 0) + 1
        number += 1
    return found


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_lost_not_even_at_the_end(trips: Mapping[str, Arrived], name: str) -> None:
    """Goal: no lost tail. Method: what the server saw is what is on record, to the last one.

    Under the open model, answers of 300 ms and of 1 s are under way when the plan ends.
    """
    arrived = trips[name]
    assert arrived.code == 0, arrived.trip.job.tail(30)
    assert arrived.requests == arrived.server.total > 0
    assert (arrived.record.finished, arrived.record.complete) == (True, True)
    assert arrived.record.interrupted == 0
    assert arrived.record.failures == {}
    assert arrived.record.notes == ()


@OPEN
def test_arrivals_follow_the_integral_of_the_rate(trips: Mapping[str, Arrived], name: str) -> None:
    """Goal: the schedule is exact in every second, with any number of processes.

    Method: 0 to 80/s in 2 s are 20 + 60 arrivals, then 80 in each second; the very last one is
    due when the load is over.
    """
    arrived = trips[name]
    offered = {second: one.offered for second, one in sorted(arrived.record.arrivals.items())}
    offered = {second: count for second, count in offered.items() if count}
    assert offered == due_per_second(arrived.plan)
    assert [round(offered[second] / 10) for second in range(4)] == [2, 6, 8, 8]
    # A request belongs to the second in which it was due, not to that in which it was answered.
    assert arrived.per_second == offered


@OPEN
def test_every_arrival_is_started_and_completed(trips: Mapping[str, Arrived], name: str) -> None:
    arrived = trips[name]
    assert arrived.total("started") == arrived.total("offered")
    assert arrived.total("completed") == arrived.total("offered")
    assert (arrived.total("waited"), arrived.total("dropped")) == (0, 0)
    late = merged(one.late_us for one in arrived.record.arrivals.values())
    assert sum(late.values()) == arrived.total("started")


@OPEN
def test_every_kind_of_task_is_an_arrivals_work(trips: Mapping[str, Arrived], name: str) -> None:
    rows = trips[name].record.rows
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.endpoint] = counts.get(row.endpoint, 0) + row.count
    assert set(counts) == {
        f"GET {n}" for n in ("first", "second", "third", "look", "plain", "only")
    }
    # Of a sequence, nothing comes before what comes before it.
    assert counts["GET first"] >= counts["GET second"] >= counts["GET third"] > 0


@OPEN
def test_response_times_hold_service_times(trips: Mapping[str, Arrived], name: str) -> None:
    rows = [row for row in trips[name].record.rows if row.endpoint == "GET first"]
    service = [row.service_us for row in rows if row.service_us is not None]
    assert len(service) == len(rows)
    fastest = quantile_us(merged(service), 0.0)
    assert fastest is not None
    assert 298_000 <= fastest < 900_000
    for ratio in (0.0, 0.5, 1.0):
        response = quantile_us(merged(row.latency_us for row in rows), ratio)
        assert response is not None
        assert response >= (quantile_us(merged(service), ratio) or 0) * 0.99


@CLOSED
def test_users_follow_the_stages(trips: Mapping[str, Arrived], name: str) -> None:
    """Goal: the same shape with any number of processes. Method: users at each second's end.

    The first ramp takes all of its stage: Locust's own workers would begin the next one late. A
    busy machine may be late by half a second.
    """
    users = trips[name].record.users
    assert users[0] in (3, 4, 5)  # the fifth starts at 0.9 s
    assert users[1] in (8, 9, 10)  # the tenth at 1.9 s
    assert 5 <= users[2] <= 10  # the fifth to leave does so at 2.45 s
    assert users[3] == 5


@CLOSED
def test_the_closed_model_has_no_arrivals_and_one_figure(
    trips: Mapping[str, Arrived], name: str
) -> None:
    record = trips[name].record
    assert record.arrivals == {}
    assert {row.service_us for row in record.rows} == {None}


@pytest.mark.parametrize("name", ALL[:4])
def test_each_process_is_set_up_once_and_a_single_user_is_single(
    trips: Mapping[str, Arrived], name: str
) -> None:
    """Goal: setup code and fixed_count mean what they say. Method: a diary that all write."""
    alone = {"start LocalRunner": 1, "stop LocalRunner": 1}
    crew = {
        "start MasterRunner": 1,
        "stop MasterRunner": 1,
        "start WorkerRunner": 2,
        "stop WorkerRunner": 2,
    }
    expected = crew if name.endswith("workers") else alone
    assert trips[name].diary == Counter({**expected, "only": 1})


def test_workers_take_the_steps_of_a_search_together(trips: Mapping[str, Arrived]) -> None:
    """Goal: a step is at its rate, whoever makes it. Method: two steps over two workers.

    A step begins at a whole second; its first arrival is due an interval later, and its last one
    at its very end.
    """
    record = trips["search"].record
    assert [(step.rate_per_s, step.duration_s) for step in record.steps] == ASKED
    assert all(step.ended and step.in_flight == 0 for step in record.steps)
    offered = {second: one.offered for second, one in record.arrivals.items() if one.offered}
    expected: dict[int, int] = {}
    for step in record.steps:
        start, rate = int(step.start_s), int(step.rate_per_s)
        assert start == step.start_s
        expected |= {start: rate - 1, start + 1: 1}
    assert offered == expected
    assert record.steps[1].start_s >= record.steps[0].start_s + 1


def test_workers_say_who_they_are_and_how_they_fare(trips: Mapping[str, Arrived]) -> None:
    for name in ("open with workers", "closed with workers"):
        record = trips[name].record
        assert [(event.worker, event.what) for event in record.workers] == [
            ("1", "joined"),
            ("2", "joined"),
        ]
        assert {0, 1, 2} <= set(record.generator)
        assert record.generator[1].rss_bytes > 60 << 20
        logs = sorted(path.name for path in (trips[name].trip.run.path / "logs").iterdir())
        assert logs == ["locust-worker-1.log", "locust-worker-2.log", "locust.log"]
    assert trips["open"].record.workers == ()


def test_an_exhausted_pool_makes_arrivals_wait_and_gives_up_what_waits_too_long(
    trips: Mapping[str, Arrived],
) -> None:
    """20/s for a server of 1 s, and 5 users: 5 in flight, so about 5/s; patience is 1 s.

    79 arrivals are due before 4 s. Five start at once; each user then takes one a second, at about
    1, 2 and 3 s: 20 in all. All others are given up, the last ones when the load ends.
    """
    arrived = trips["exhausted"]
    assert arrived.total("offered") == 79
    assert arrived.total("started") + arrived.total("dropped") == 79
    assert 14 <= arrived.total("started") <= 20
    assert arrived.total("waited") == arrived.total("started") - 5
    assert arrived.total("completed") == arrived.total("started") == arrived.requests
    assert max(arrived.record.users.values()) == 5


def test_the_wait_for_a_user_is_in_the_response_time_and_not_in_the_service_time(
    trips: Mapping[str, Arrived],
) -> None:
    """Goal: a busy pool sweetens nothing. Method: three in four have waited nearly their second."""
    rows = trips["exhausted"].record.rows
    service = merged(row.service_us or {} for row in rows)
    response = merged(row.latency_us for row in rows)
    least, usual = quantile_us(service, 0.0), quantile_us(service, 0.5)
    waited, slowest = quantile_us(response, 0.5), quantile_us(response, 1.0)
    assert None not in (least, usual, waited, slowest)
    assert (least or 0) >= 995_000
    assert (usual or 0) < 1_400_000
    assert (waited or 0) >= (usual or 0) + 500_000
    assert (slowest or 0) <= (quantile_us(service, 1.0) or 0) + 1_300_000
