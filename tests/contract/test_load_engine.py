"""What every load engine keeps, the shipped double and the real one alike."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from loadserver import load_server

from runner.load.engine import LocustEngine
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import ArrivalSecond, LoadRow, TargetInfo
from runner.ports import LoadEngine, LoadJob
from runner.store import RunDir, Store
from runner.testing import FakeWorld

USERS = """
from locust import FastHttpUser, constant, task

class Users(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def go(self):
        self.client.get("/fine")
"""
DURATION_S = 3
RATE = 50
BOUND_S = 60.0


@dataclass
class Bench:
    """An engine, what it needs, and how time passes for it."""

    engine: LoadEngine
    plan: Plan
    target: TargetInfo
    run: RunDir
    sleep: Callable[[float], None]

    def start(self) -> LoadJob:
        return self.engine.start(
            self.plan, self.target, self.run.load_dir, self.run.log_path("locust")
        )

    def until(self, done: Callable[[], object]) -> None:
        for _ in range(int(BOUND_S / 0.05)):
            if done():
                return
            self.sleep(0.05)
        raise AssertionError("it did not happen in time")


ENGINES = ["fake", pytest.param("locust", marks=pytest.mark.sandbox)]


@pytest.fixture(params=ENGINES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    stage = {"duration": f"{DURATION_S}s", "users": 3, "spawn_rate": 100}
    yield from made(request.param, tmp_path, stage)


@pytest.fixture(params=ENGINES)
def open_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    yield from made(request.param, tmp_path, {"duration": f"{DURATION_S}s", "rate": f"{RATE}/s"})


def made(kind: str, tmp_path: Path, stage: dict[str, object]) -> Iterator[Bench]:
    locustfile = tmp_path / "users.py"
    locustfile.write_text(USERS, encoding="utf-8")
    stages = [stage]
    experiment = {
        "name": "contract",
        "description": "A contract.",
        "load": {"locustfile": str(locustfile), "stages": stages, "stop_timeout": "2s"},
        "objectives": ["errors < 1%"],
    }
    plan = make_plan(Experiment.model_validate_json(json.dumps(experiment)))
    run = Store(tmp_path / "results").create_run("contract", 1_700_000_000.0)
    run.write_plan(plan, "")
    target = TargetInfo(
        kind="sandbox", name="x", namespace="x", ingress_url="", host="x", prometheus_url=""
    )
    with ExitStack() as stack:
        if kind == "fake":
            world = FakeWorld()
            yield Bench(world.ports().load, plan, target, run, world.clock.sleep)
        else:
            url = stack.enter_context(load_server()).url
            engine = LocustEngine()
            stack.callback(engine.stop, 5.0)
            there = target.model_copy(update={"ingress_url": url})
            yield Bench(engine, plan, there, run, time.sleep)


def test_a_whole_run(bench: Bench) -> None:
    """Goal: what progress tells, piece by piece, is what the record holds in the end."""
    job = bench.start()
    rows: list[LoadRow] = []
    users: dict[int, int] = {}
    starts: set[float] = set()

    def over() -> bool:
        code = job.poll()
        progress = job.progress()
        rows.extend(progress.rows)
        users.update(progress.users)
        if progress.started_wall_s is not None:
            starts.add(progress.started_wall_s)
        elif rows or users:
            raise AssertionError("rows before the start")
        return code is not None

    bench.until(over)
    assert job.poll() == 0
    record = bench.run.read_load()
    assert record.finished
    assert tuple(rows) == record.rows
    assert users == record.users
    assert len(starts) == 1
    assert {second: users[second] for second in (1, 2)} == {1: 3, 2: 3}
    assert {row.outcome for row in rows} == {"success"}
    assert set(range(DURATION_S)) == {row.second for row in rows if row.second < DURATION_S}
    assert (job.progress().rows, job.progress().users) == ((), ())


def test_a_job_that_is_stopped_is_gone_and_stays_gone(bench: Bench) -> None:
    job = bench.start()
    bench.until(lambda: job.progress().rows)
    assert job.poll() is None
    job.stop(10.0)
    assert job.poll() is not None
    job.stop(10.0)
    assert sum(row.count for row in bench.run.read_load().rows) > 0
    assert job.tail(5)


def test_the_engine_ends_what_it_started(bench: Bench) -> None:
    bench.engine.stop(1.0)  # with nothing to do
    job = bench.start()
    bench.engine.stop(10.0)
    assert job.poll() is not None
    bench.engine.stop(10.0)


def test_a_whole_run_of_arrivals(open_bench: Bench) -> None:
    """Goal: every arrival that was due is accounted for, live as on record, and each request has
    both times. Method: 50 a second for 3 s against a target that is quick.
    """
    job = open_bench.start()
    seen: list[tuple[int, ArrivalSecond]] = []
    rows: list[LoadRow] = []

    def over() -> bool:
        code = job.poll()
        progress = job.progress()
        seen.extend(progress.arrivals)
        rows.extend(progress.rows)
        return code is not None

    open_bench.until(over)
    assert job.poll() == 0
    record = open_bench.run.read_load()
    assert record.complete
    assert tuple(rows) == record.rows
    for name in ("offered", "started", "waited", "dropped", "completed"):
        live = sum(getattr(one, name) for _, one in seen)
        assert live == sum(getattr(one, name) for one in record.arrivals.values()), name
    sums = record.arrivals.values()
    # One is due at each 1/50 s after the start, and none at the very end.
    assert sum(one.offered for one in sums) == pytest.approx(RATE * DURATION_S, abs=1)
    assert sum(one.started + one.dropped for one in sums) == sum(one.offered for one in sums)
    assert sum(one.completed for one in sums) == sum(row.count for row in rows)
    for row in rows:
        assert row.service_us is not None
        assert sum(row.service_us.values()) == row.count
    assert {row.outcome for row in rows} == {"success"}
