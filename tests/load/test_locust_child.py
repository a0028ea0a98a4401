"""The real Locust as a child, against a server of known behaviour on the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT
from loadserver import LoadServer, closed_port, load_server
from trips import STEADY, Stage, Trip, set_off

from runner.model.histogram import merged, quantile_us
from runner.model.recording import LoadRecord

pytestmark = pytest.mark.sandbox

EVERYTHING = """
import os
from locust import FastHttpUser, HttpUser, LoadTestShape, constant

class OwnShape(LoadTestShape):
    def tick(self):
        return (500, 500)

def go(user):
    client, kind = user.client, user.kind
    client.get("/wait/40", name=kind + " wait")
    client.post("/fine/" + kind, json={"a": 1}, name=kind + " post")
    client.get("/status/503", name=kind + " 503")
    client.get("/status/404", name=kind + " 404")
    client.get("/close/" + kind, name=kind + " close")
    client.get("http://127.0.0.1:%s/x" % os.environ["CLOSED_PORT"], name=kind + " refused")
    with client.get("/fine/judged", name=kind + " judged", catch_response=True) as answer:
        answer.failure("order %d is wrong" % id(answer))
    with client.get("/status/404", name=kind + " fine404", catch_response=True) as answer:
        answer.success()
    user.hang()

class Fast(FastHttpUser):
    kind = "fast"
    network_timeout = 0.3
    wait_time = constant(0.02)
    tasks = [go]

    def hang(self):
        self.client.get("/hang/fast", name="fast hang")

class Requests(HttpUser):
    kind = "requests"
    wait_time = constant(0.02)
    tasks = [go]

    def hang(self):
        self.client.get("/hang/requests", name="requests hang", timeout=0.3)
        raise ValueError("the author's mistake number 7")
"""


@dataclass
class Arrived:
    """What is left of a whole trip."""

    trip: Trip
    server: LoadServer
    record: LoadRecord
    code: int

    def outcomes(self, endpoint: str) -> set[str]:
        return {row.outcome for row in self.record.rows if row.endpoint == endpoint}

    def count(self, endpoint: str) -> int:
        return sum(row.count for row in self.record.rows if row.endpoint == endpoint)

    @property
    def first_kinds(self) -> list[str]:
        text = (self.trip.run.load_dir / "seconds.jsonl").read_text(encoding="utf-8")
        return [json.loads(line)["kind"] for line in text.splitlines()[:3]]

    def texts(self, endpoint: str) -> set[str]:
        return {key[2] for key in self.record.failures if key[0] == endpoint}


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arrived]:
    """Both HTTP users meet every way to fail; Locust's own settings try to cut the run short."""
    folder = tmp_path_factory.mktemp("everything")
    here = Path.cwd()
    (folder / "locust.conf").write_text("run-time = 1\nusers = 900\n", encoding="utf-8")
    os.chdir(folder)
    try:
        with load_server() as server:
            trip = set_off(
                folder,
                server.url,
                EVERYTHING,
                [
                    {"duration": "2s", "users": 4, "spawn_rate": 4},
                    {"duration": "2s", "users": 2, "spawn_rate": 100},
                ],
                environ={"CLOSED_PORT": str(closed_port()), "LOCUST_RUN_TIME": "1s"},
            )
            try:
                code = trip.wait()
            finally:
                trip.engine.stop(1.0)
            yield Arrived(trip, server, trip.run.read_load(), code)
    finally:
        os.chdir(here)


def test_the_plan_is_followed_to_its_end_and_the_record_closed(arrived: Arrived) -> None:
    assert arrived.code == 0
    assert arrived.record.finished
    end, start = arrived.trip.lines("end")[0], arrived.trip.lines("start")[0]
    assert arrived.first_kinds[0] == "start"
    assert (end["complete"], end["interrupted"]) == (True, 0)
    assert end["wall_s"] - start["wall_s"] >= 4.0
    # Users at the end of each second; a user that is leaving still runs.
    assert arrived.record.users[0] in (3, 4)
    assert arrived.record.users[1] == 4
    assert 2 <= arrived.record.users[2] <= 4
    assert arrived.record.users[3] == 2


def test_every_request_that_the_server_saw_is_on_record(arrived: Arrived) -> None:
    """Goal: nothing is lost or invented. Method: the server's own count of each path."""
    seen, record = arrived.server.seen, arrived
    for kind in ("fast", "requests"):
        assert record.count(f"POST {kind} post") == seen[f"POST /fine/{kind}"] > 0
        assert record.count(f"GET {kind} hang") == seen[f"GET /hang/{kind}"] > 0
    both = ("fast", "requests")
    assert sum(record.count(f"GET {kind} wait") for kind in both) == seen["GET /wait/40"]
    assert sum(record.count(f"GET {kind} 503") for kind in both) == seen["GET /status/503"]
    ends = ("404", "fine404")
    counted = sum(record.count(f"GET {kind} {end}") for kind in both for end in ends)
    assert counted == seen["GET /status/404"]


@pytest.mark.parametrize("kind", ["fast", "requests"])
def test_every_way_to_fail_has_its_outcome(arrived: Arrived, kind: str) -> None:
    expected = {
        f"GET {kind} wait": "success",
        f"POST {kind} post": "success",
        f"GET {kind} 503": "http_5xx",
        f"GET {kind} 404": "http_4xx",
        f"GET {kind} close": "connection",
        f"GET {kind} refused": "connection",
        f"GET {kind} hang": "timeout",
        f"GET {kind} judged": "error",
        f"GET {kind} fine404": "success",
    }
    assert {name: arrived.outcomes(name) for name in expected} == {
        name: {outcome} for name, outcome in expected.items()
    }
    assert arrived.texts(f"GET {kind} 503") == {"HTTP 503"}
    assert arrived.texts(f"GET {kind} judged") == {"order N is wrong"}
    assert arrived.texts(f"GET {kind} wait") == set()


def test_latencies_hold_what_the_server_made_them(arrived: Arrived) -> None:
    """Goal: times are those of the wire. Method: answers that the server held back for 40 ms."""
    rows = [row for row in arrived.record.rows if row.endpoint == "GET fast wait"]
    fastest_us = quantile_us(merged(row.latency_us for row in rows), 0.0)
    hangs = [row for row in arrived.record.rows if row.endpoint == "GET fast hang"]
    hang_us = quantile_us(merged(row.latency_us for row in hangs), 0.0)
    assert fastest_us is not None
    assert hang_us is not None
    assert 39_800 <= fastest_us < 300_000
    assert hang_us >= 299_000


def test_the_authors_mistakes_are_counted_and_the_load_goes_on(arrived: Arrived) -> None:
    mistakes = [key for key in arrived.record.failures if key[0] == "(user code)"]
    assert mistakes == [("(user code)", "error", "ValueError: the author's mistake number N")]
    assert arrived.record.failures[mistakes[0]] == arrived.count("GET requests hang")


def test_the_locustfiles_own_shape_is_put_aside_with_a_note(arrived: Arrived) -> None:
    notes = [line["text"] for line in arrived.trip.lines("note")]
    assert notes == [
        "the locustfile's own load shape (OwnShape) is not used: the load follows the "
        "experiment's stages"
    ]
    assert notes[0] in arrived.trip.job.tail(200)


def test_the_generator_accounts_for_itself_every_second(arrived: Arrived) -> None:
    accounts = arrived.trip.lines("generator")
    assert [line["second"] for line in accounts][:3] == [0, 1, 2]
    for line in accounts:
        assert 0 < line["cpu_ratio"] < 2
        assert line["lag_s"] >= 0
        assert 20 << 20 < line["rss_bytes"] < 500 << 20


def test_the_shop_runs_under_plain_locust(tmp_path: Path) -> None:
    """Goal: the locustfile needs nothing of ours. Method: plain Locust, 20 users for 4 s."""
    with load_server() as server:
        argv = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / "shop.py")]
        argv += ["--headless", "-H", server.url, "-u", "20", "-r", "100", "-t", "4s"]
        done = subprocess.run(
            [*argv, "--only-summary"], cwd=tmp_path, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        assert set(server.hosts) == {"api.c4ang.com"}
        assert set(server.seen) == {
            "GET /api/v1/customers",
            "GET /api/v1/products",
            "POST /api/v1/orders",
            "POST /api/v1/payments",
        }
        # 80 on average; five standard deviations to either side.
        assert 35 <= server.total <= 125


LOOKS_BACK = (
    STEADY
    + """
import json, os
from locust import events

@events.test_stop.add_listener
def look(environment, **_):
    total, fine = environment.stats.total, environment.stats.get("/fine", "GET")
    seen = [total.num_requests, total.num_failures, fine.num_requests]
    with open(os.environ["SEEN"], "w") as file:
        json.dump(seen, file)
"""
)


def test_a_locustfile_that_looks_at_the_statistics_finds_them(tmp_path: Path) -> None:
    """Goal: `environment.stats` is complete when the test ends, though nobody counts each request.

    Method: a real child whose test_stop listener writes down what it sees.
    """
    seen = tmp_path / "seen.json"
    with load_server() as server:
        stages: list[Stage] = [{"duration": "2s", "users": 3}]
        trip = set_off(tmp_path, server.url, LOOKS_BACK, stages, environ={"SEEN": str(seen)})
        assert trip.wait() == 0, trip.job.tail(20)
        assert json.loads(seen.read_text()) == [server.total, 0, server.total]
        assert sum(row.count for row in trip.run.read_load().rows) == server.total > 10
