"""The real Locust as a child, against a server of known behaviour on the loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import ROOT
from loadserver import LoadServer, closed_port, load_server

from runner.load.engine import LocustEngine, LocustJob
from runner.model.experiment import Experiment
from runner.model.histogram import merged, quantile_us
from runner.model.plan import make_plan
from runner.model.recording import LoadRecord, TargetInfo
from runner.ports import LoadProgress
from runner.store import RunDir, Store

pytestmark = pytest.mark.sandbox

Stage = dict[str, object]
BOUND_S = 60.0


@dataclass
class Trip:
    """One Locust child, from its start to its end."""

    run: RunDir
    job: LocustJob
    engine: LocustEngine

    def until(self, done: Callable[[LoadProgress], object]) -> None:
        """Wait until what was recorded so far satisfies ``done``."""
        deadline = time.monotonic() + BOUND_S
        while not done(self.job.progress()):
            assert self.job.poll() is None, self.job.tail(30)
            assert time.monotonic() < deadline, self.job.tail(30)
            time.sleep(0.02)

    def wait(self) -> int:
        deadline = time.monotonic() + BOUND_S
        while (code := self.job.poll()) is None:
            assert time.monotonic() < deadline, self.job.tail(30)
            time.sleep(0.02)
        return code

    def lines(self, kind: str) -> list[dict[str, Any]]:
        text = (self.run.load_dir / "seconds.jsonl").read_text(encoding="utf-8")
        records = [json.loads(line) for line in text.splitlines()]
        return [record for record in records if record["kind"] == kind]


def set_off(
    folder: Path,
    url: str,
    source: str,
    stages: list[Stage],
    *,
    stop_timeout: str = "2s",
    environ: dict[str, str] | None = None,
) -> Trip:
    locustfile = folder / "users.py"
    locustfile.write_text(source, encoding="utf-8")
    load = {"locustfile": str(locustfile), "stages": stages, "stop_timeout": stop_timeout}
    experiment = {"name": "trip", "description": "A trip.", "load": load}
    text = json.dumps(experiment | {"objectives": ["errors < 1%"]})
    plan = make_plan(Experiment.model_validate_json(text))
    run = Store(folder / "results").create_run("trip", time.time())
    run.write_plan(plan, "")
    target = TargetInfo(
        kind="sandbox",
        name="test",
        namespace="n",
        ingress_url=url,
        host="shop.test",
        prometheus_url="",
    )
    engine = LocustEngine(environ=dict(os.environ) | (environ or {}))
    job = engine.start(plan, target, run.load_dir, run.log_path("locust"))
    assert isinstance(job, LocustJob)
    return Trip(run, job, engine)


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


def test_a_locustfile_that_crashes_at_import_ends_the_job_and_names_the_error(
    tmp_path: Path,
) -> None:
    source = "import locust\nraise RuntimeError('no such shop')\n"
    trip = set_off(tmp_path, "http://127.0.0.1:1", source, [{"duration": "5s", "users": 1}])
    try:
        assert trip.wait() != 0
    finally:
        trip.engine.stop(1.0)
    assert trip.job.tail(3).endswith("RuntimeError: no such shop")
    assert trip.job.progress() == LoadProgress(None)


HANGS = """
from locust import FastHttpUser, constant, task

class Hangs(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def go(self):
        self.client.get("/fine")
        if self.environment.runner.user_count > 1:
            self.client.get("/hang")
"""


def test_sigterm_lets_the_users_go_and_closes_the_record(tmp_path: Path) -> None:
    """Goal: an abort is orderly and quick. Method: stop while one of two users waits for ever."""
    with load_server() as server:
        stages: list[Stage] = [{"duration": "1m", "users": 2}]
        trip = set_off(tmp_path, server.url, HANGS, stages, stop_timeout="30s")
        try:
            trip.until(lambda progress: progress.rows and server.seen["GET /hang"])
            began = time.monotonic()
            trip.job.stop(20.0)
            took_s = time.monotonic() - began
        finally:
            trip.engine.stop(1.0)
        assert trip.job.poll() == 0
        assert took_s < 15  # far below both the grace and the 30 s for a user's task
        record = trip.run.read_load()
        assert record.finished
        end = trip.lines("end")[0]
        assert end["complete"] is False
        assert end["interrupted"] >= 1
        counted = sum(row.count for row in record.rows)
        assert counted == server.seen["GET /fine"]
        trip.job.stop(1.0)  # once more does no harm


STEADY = """
from locust import FastHttpUser, constant, task

class Steady(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def go(self):
        self.client.get("/fine")
"""


def test_a_killed_generator_leaves_the_seconds_that_were_over(tmp_path: Path) -> None:
    with load_server() as server:
        trip = set_off(tmp_path, server.url, STEADY, [{"duration": "1m", "users": 2}])
        seconds: Counter[int] = Counter()

        def two_seconds(progress: LoadProgress) -> bool:
            seconds.update(row.second for row in progress.rows)
            return len(seconds) >= 2

        try:
            trip.until(two_seconds)
            os.kill(trip.job.pid, signal.SIGKILL)
            assert trip.wait() == -signal.SIGKILL
        finally:
            trip.engine.stop(1.0)
        record = trip.run.read_load()
        assert not record.finished
        assert {0, 1} <= {row.second for row in record.rows}
        assert 0 < sum(row.count for row in record.rows) <= server.seen["GET /fine"]


PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_locust_child import STEADY, set_off
trip = set_off(Path(sys.argv[1]), sys.argv[2], STEADY, [{"duration": "1m", "users": 1}])
trip.until(lambda progress: progress.rows)
print(trip.job.pid, flush=True)
time.sleep(60)
"""


def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    """Goal: no orphan goes on with the load. Method: kill a supervisor that has just started."""
    here = Path(__file__).parent
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with load_server() as server:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(tmp_path), server.url, str(here)],
            stdout=subprocess.PIPE,
            env=dict(os.environ) | {"PYTHONPATH": path},
        )
        try:
            assert parent.stdout is not None
            child = psutil.Process(int(parent.stdout.readline()))
        finally:
            parent.kill()
            parent.communicate(timeout=10)
        psutil.wait_procs([child], timeout=15)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


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
