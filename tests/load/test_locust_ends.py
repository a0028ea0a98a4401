"""All the ways in which a Locust child comes to its end, and what it leaves on record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from conftest import ROOT
from loadserver import load_server
from trips import STEADY, Stage, set_off

from runner.ports import LoadProgress

pytestmark = pytest.mark.sandbox


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


def test_a_locustfile_without_users_is_told_so_by_locust(tmp_path: Path) -> None:
    """Goal: no pytest of ours comes in between. Method: a file that has nothing for Locust."""
    trip = set_off(tmp_path, "http://127.0.0.1:1", "x = 1\n", [{"duration": "5s", "users": 1}])
    try:
        assert trip.wait() != 0
    finally:
        trip.engine.stop(1.0)
    assert trip.job.tail(1).endswith("No User class found!")


def test_locustfiles_of_pytest_are_users(tmp_path: Path) -> None:
    """Goal: Locust's third kind of locustfile. Method: a function that pytest would collect."""
    source = """
import time

def test_fine(session):
    time.sleep(0.1)
    assert session.get("/fine").status_code == 200
"""
    with load_server() as server:
        trip = set_off(tmp_path, server.url, source, [{"duration": "2s", "users": 1}])
        try:
            assert trip.wait() == 0
        finally:
            trip.engine.stop(1.0)
        assert sum(row.count for row in trip.run.read_load().rows) == server.seen["GET /fine"] > 3


def test_namesakes_in_the_working_folder_are_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: seatrial runs from any folder. Method: one with a locust.py and a package runner."""
    (tmp_path / "runner").mkdir()
    (tmp_path / "runner" / "__init__.py").write_text("raise RuntimeError('not ours')")
    (tmp_path / "locust.py").write_text("raise RuntimeError('not Locust')")
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    with load_server() as server:
        stages: list[Stage] = [{"duration": "1s", "users": 1}]
        trip = set_off(tmp_path / "mine", server.url, STEADY, stages)
        try:
            assert trip.wait() == 0, trip.job.tail(5)
        finally:
            trip.engine.stop(1.0)
    assert trip.run.read_load().complete


HANGS = """
import time
from locust import FastHttpUser, constant, task

class Hangs(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def go(self):
        self.client.get("/fine")
        if self.environment.runner.user_count > 1:
            self.client.get("/hang")

    def on_stop(self):
        time.sleep(60)
"""


def test_sigterm_lets_the_users_go_and_closes_the_record(tmp_path: Path) -> None:
    """Goal: an abort is orderly and quick. Method: users who wait for ever."""
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
        assert (record.finished, record.complete) == (True, False)
        end = trip.lines("end")[0]
        assert end["complete"] is False
        assert end["interrupted"] >= 1
        counted = sum(row.count for row in record.rows)
        assert counted == server.seen["GET /fine"]
        trip.job.stop(1.0)  # once more does no harm


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


def test_setup_code_that_hangs_can_be_stopped(tmp_path: Path) -> None:
    """Goal: no wait without a way out. Method: stop a locustfile in the middle of test_start."""
    source = (
        STEADY.replace("constant, task", "constant, events, task")
        + """
import time

@events.test_start.add_listener
def prepare(**_):
    print("prepares", flush=True)
    time.sleep(60)
"""
    )
    trip = set_off(tmp_path, "http://127.0.0.1:1", source, [{"duration": "1m", "users": 1}])
    try:
        trip.until(lambda _: "prepares" in trip.job.tail(50))
        began = time.monotonic()
        trip.job.stop(30.0)
        assert time.monotonic() - began < 15
    finally:
        trip.engine.stop(1.0)
    assert trip.job.progress() == LoadProgress(None)


def test_teardown_code_that_hangs_is_cut_off_and_the_record_closed(tmp_path: Path) -> None:
    source = (
        STEADY.replace("constant, task", "constant, events, task")
        + """
import time

@events.test_stop.add_listener
def clean_up(**_):
    time.sleep(60)
"""
    )
    with load_server() as server:
        stages: list[Stage] = [{"duration": "1s", "users": 1}]
        trip = set_off(tmp_path, server.url, source, stages, stop_timeout="0s")
        try:
            assert trip.wait() == 3
        finally:
            trip.engine.stop(1.0)
        assert trip.lines("end")[0]["complete"] is True
        assert sum(row.count for row in trip.run.read_load().rows) == server.seen["GET /fine"] > 0
        assert "did not end in time" in trip.job.tail(5)


def test_a_load_that_its_own_locustfile_ends_is_not_complete(tmp_path: Path) -> None:
    source = (
        STEADY
        + """
        self.environment.runner.quit()
"""
    )
    with load_server() as server:
        trip = set_off(tmp_path, server.url, source, [{"duration": "1m", "users": 1}])
        try:
            assert trip.wait() == 0
        finally:
            trip.engine.stop(1.0)
        assert trip.lines("end")[0]["complete"] is False
        assert sum(row.count for row in trip.run.read_load().rows) == server.seen["GET /fine"] == 1


def test_users_that_die_at_once_are_replaced_once_a_second(tmp_path: Path) -> None:
    """Goal: no hot loop of failing log-ins. Method: on_start raises; 2 users for 2 s."""
    source = (
        STEADY
        + """
    def on_start(self):
        raise RuntimeError("log-in of user %d failed" % id(self))
"""
    )
    trip = set_off(tmp_path, "http://127.0.0.1:1", source, [{"duration": "2s", "users": 2}])
    try:
        trip.wait()
    finally:
        trip.engine.stop(1.0)
    failures = trip.run.read_load().failures
    key = ("(user code)", "error", "RuntimeError: log-in of user N failed")
    assert list(failures) == [key]
    assert 2 <= failures[key] <= 6


PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from trips import STEADY, set_off
trip = set_off(
    Path(sys.argv[1]), sys.argv[2], STEADY, [{"duration": "1m", "users": 1}], workers=1
)
trip.until(lambda progress: progress.rows)
print(trip.job.pid, *(worker.pid for worker in trip.job.workers), flush=True)
time.sleep(60)
"""


def test_master_and_worker_die_with_their_parent(tmp_path: Path) -> None:
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
            children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        finally:
            parent.kill()
            parent.communicate(timeout=10)
        assert len(children) == 2
        _, left = psutil.wait_procs(children, timeout=15)
        assert [child for child in left if child.status() != psutil.STATUS_ZOMBIE] == []
