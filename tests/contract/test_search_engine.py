"""What every load engine keeps in a search, the shipped double and the real one alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from slot_server import USERS, slot_server

from runner.analysis.searched import step_result
from runner.analysis.steps import Criteria
from runner.load.engine import LocustEngine
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import SearchStep, TargetInfo
from runner.ports import LoadEngine, LoadJob
from runner.store import RunDir, Store
from runner.testing import FakeWorld

BOUND_S = 60.0
STEPS = ((20.0, 3.0), (40.0, 2.0))


@dataclass
class Bench:
    """An engine, what it needs, and how time passes for it."""

    engine: LoadEngine
    plan: Plan
    target: TargetInfo
    run: RunDir
    sleep: Callable[[float], None]
    steps: list[SearchStep] = field(default_factory=list)
    under_way: int = 0

    def start(self) -> LoadJob:
        return self.engine.start(
            self.plan, self.target, self.run.load_dir, self.run.log_path("locust")
        )

    def until(self, job: LoadJob, done: Callable[[], object]) -> None:
        """Follow ``job``, and remember what it says."""
        for _ in range(int(BOUND_S / 0.05)):
            over = done()
            progress = job.progress()
            self.steps += progress.steps
            self.under_way += sum(a.offered - a.dropped - a.completed for _, a in progress.arrivals)
            if over:
                return
            self.sleep(0.05)
        raise AssertionError("it did not happen in time")


@pytest.fixture(params=["fake", pytest.param("locust", marks=pytest.mark.sandbox)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    locustfile = tmp_path / "users.py"
    locustfile.write_text(USERS, encoding="utf-8")
    search = {"from": "20/s", "to": "100/s", "until": ["errors < 1%"], "step": "8s"}
    load = {
        "locustfile": str(locustfile),
        "search": {**search, "transient": "1s"},
        "stop_timeout": "2s",
    }
    experiment = Experiment.model_validate(
        {
            "name": "contract",
            "description": "A contract.",
            "load": load,
            "objectives": ["breaking-point > 9/s"],
        }
    )
    plan = make_plan(experiment)
    run = Store(tmp_path / "results").create_run("contract", 1_700_000_000.0)
    run.write_plan(plan, "")
    target = TargetInfo(
        kind="sandbox", name="x", namespace="x", ingress_url="", host="", prometheus_url=""
    )
    with ExitStack() as stack:
        if request.param == "fake":
            world = FakeWorld()
            yield Bench(world.ports().load, plan, target, run, world.clock.sleep)
        else:
            url = stack.enter_context(slot_server(0, 0.02))
            engine = LocustEngine()
            stack.callback(engine.stop, 5.0)
            there = target.model_copy(update={"ingress_url": url})
            yield Bench(engine, plan, there, run, time.sleep)


def test_steps_are_carried_out_as_they_are_asked_for(bench: Bench) -> None:
    """Goal: the whole contract of a search. Method: two steps, one after the other, then no more;
    compare what progress told with the record, and the record with what was asked.
    """
    job = bench.start()
    for number, (rate, duration_s) in enumerate(STEPS, start=1):
        if number == 1:
            bench.until(job, lambda: job.progress().started_wall_s is not None)
        job.offer(rate, duration_s)
        bench.until(job, lambda n=number: [s for s in bench.steps if s.ended and s.number == n])  # type: ignore[misc]
    assert job.poll() is None
    job.finish()
    bench.until(job, lambda: job.poll() is not None)
    assert job.poll() == 0
    record = bench.run.read_load()
    assert (record.finished, record.complete, record.interrupted) == (True, True, 0)
    assert bench.under_way == 0
    told = [replace(s, in_flight=0) for s in bench.steps if s.ended]
    assert told == [replace(step, in_flight=0) for step in record.steps]
    for step, (rate, duration_s) in zip(record.steps, STEPS, strict=True):
        assert (step.rate_per_s, step.duration_s, step.ended) == (rate, duration_s, True)
        assert step.start_s == int(step.start_s)
        seen = step_result(record, step, Criteria())
        offered = [second.offered for second in seen.seconds]
        # A schedule may have its first arrival at 0 or at 1 / rate, and its last at the very end.
        assert offered == pytest.approx([rate] * int(duration_s), abs=1)
        assert [second.succeeded for second in seen.seconds] == offered
    first, second = record.steps
    assert second.start_s >= first.start_s + first.duration_s
    between = range(int(first.start_s + first.duration_s), int(second.start_s))
    assert sum(row.count for row in record.rows if row.second in between) <= 1


def test_a_search_that_is_stopped_between_steps_is_gone(bench: Bench) -> None:
    job = bench.start()
    bench.until(job, lambda: job.progress().started_wall_s is not None)
    job.stop(10.0)
    assert job.poll() is not None
    assert bench.run.read_load().steps == ()
