"""What every fault injector keeps, the shipped double and the real one alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bare_api import BareApi, users_part
from chaos_objects import virtual_service

from runner.model.experiment import Experiment
from runner.model.plan import Plan, PlannedFault, make_plan
from runner.model.recording import TargetInfo
from runner.ports import Clock, FaultInjector, Guardian, HealReport, Job
from runner.process import SystemClock
from runner.store import RunDir, Store
from runner.testing import FakeWorld

SERVICE = "contract-api"
LEAD_S = 3.0
DURATION_S = 1.0
STEP_S = 0.05
BOUND_S = 60.0
LATE_S = 5.0
"""How late a busy test machine may be; timing is measured elsewhere."""


@dataclass
class Bench:
    """An injector, what it needs, and a look at whether its fault is in place."""

    injector: FaultInjector
    clock: Clock
    target: TargetInfo
    plan: Plan
    run: RunDir
    in_place: Callable[[], bool]
    starts_at_s: float = 0.0
    guardians: list[Guardian] = field(default_factory=list)

    @property
    def fault(self) -> PlannedFault:
        return self.plan.faults[0]

    def inject(self, lead_s: float = LEAD_S) -> Job:
        workdir = self.run.fault_dir(self.fault.id)
        workdir.mkdir(parents=True)
        self.starts_at_s = self.clock.wall_s() + lead_s
        return self.injector.inject(
            self.fault, self.run.run_id, self.target, workdir, self.starts_at_s
        )

    def guard(self) -> Guardian:
        self.guardians.append(self.injector.guard(self.run.run_id, self.target, self.run.path))
        return self.guardians[-1]

    def heal(self, fault_id: str | None = None) -> HealReport:
        return self.injector.heal(self.run.run_id, fault_id, self.target)

    def until(self, done: Callable[[], object]) -> None:
        for _ in range(int(BOUND_S / STEP_S)):
            if done():
                return
            self.clock.sleep(STEP_S)
        raise AssertionError("it did not happen in time")


@pytest.fixture(params=["fake", pytest.param("chaostoolkit", marks=pytest.mark.sandbox)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(request, tmp_path)
    yield made
    for guardian in made.guardians:
        guardian.dismiss(0.0)


def make_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    experiment = {
        "name": "contract",
        "description": "A contract.",
        "load": {"locustfile": "x.py", "stages": [{"duration": "60s", "users": 1}]},
        "faults": [
            {
                "kind": "http-abort",
                "service": SERVICE,
                "at": "10s",
                "duration": f"{DURATION_S}s",
                "status": 503,
            }
        ],
        "objectives": ["errors < 1%"],
    }
    plan = make_plan(Experiment.model_validate_json(json.dumps(experiment)))
    run = Store(tmp_path / "results").create_run("contract", 1_700_000_000.0)
    if request.param == "fake":
        world = FakeWorld()
        target, injector = world.ports().target.open("run"), world.ports().faults
        return Bench(
            injector, world.clock, target, plan, run, in_place=lambda: bool(world.active_faults)
        )
    from runner.chaos.toolkit import ToolkitInjector

    api: BareApi = request.getfixturevalue("bare_api")
    before = users_part(api.put(virtual_service(SERVICE)))
    return Bench(
        ToolkitInjector(),
        SystemClock(),
        api.target,
        plan,
        run,
        in_place=lambda: users_part(api.get(SERVICE)) != before,
    )


def test_fault_is_in_place_from_its_start_to_its_end(bench: Bench) -> None:
    """Goal: a fault comes and goes by itself, and leaves evidence. Method: look all the time."""
    job = bench.inject()
    bench.until(bench.in_place)
    assert bench.clock.wall_s() >= bench.starts_at_s
    bench.until(lambda: not bench.in_place())
    assert bench.clock.wall_s() >= bench.starts_at_s + DURATION_S
    bench.until(lambda: job.poll() is not None)
    assert job.poll() == 0, job.tail(10)
    job.stop(1.0)
    (record,) = bench.run.read_faults(bench.plan)
    assert (record.journal_status, record.failed_activities) == ("completed", ())
    at_s = {effect.what: effect.wall_s - bench.starts_at_s for effect in record.effects}
    assert list(at_s) == ["injected", "verified", "removed", "gone"]
    assert 0 <= at_s["injected"] <= at_s["verified"] <= LATE_S
    assert DURATION_S <= at_s["removed"] <= at_s["gone"] <= DURATION_S + LATE_S
    assert bench.heal() == HealReport()


def test_fault_that_is_stopped_and_healed_is_gone(bench: Bench) -> None:
    """Goal: an abort leaves nothing, and healing again does no harm. Method: stop in the middle."""
    job = bench.inject()
    bench.until(bench.in_place)
    job.stop(10.0)
    assert job.poll() is not None
    assert bench.heal(bench.fault.id).left == ()
    assert not bench.in_place()
    assert bench.heal(bench.fault.id) == HealReport()
    job.stop(1.0)


def test_fault_that_is_stopped_before_its_start_never_comes(bench: Bench) -> None:
    """Goal: the lead is not a point of no return. Method: stop at once, wait past the start."""
    job = bench.inject(lead_s=1.0)
    job.stop(0.1)
    assert job.poll() is not None
    bench.until(lambda: bench.clock.wall_s() > bench.starts_at_s + 0.5)
    assert not bench.in_place()
    assert bench.heal() == HealReport()


def test_guardian_gets_ready_says_nothing_and_goes(bench: Bench) -> None:
    """Goal: a run that ends well has nothing of it left. Method: guard, break, heal, dismiss."""
    guardian = bench.guard()
    bench.until(guardian.ready)
    assert (guardian.word(), guardian.poll()) == (None, None)
    job = bench.inject()
    bench.until(bench.in_place)
    job.stop(0.0)
    assert bench.heal(bench.fault.id).left == ()
    assert not bench.in_place()
    guardian.dismiss(BOUND_S)
    assert (guardian.poll(), guardian.ready(), guardian.word()) == (0, False, None)
    guardian.dismiss(1.0)


def test_guardian_that_is_left_heals(bench: Bench) -> None:
    """Goal: what the runner cannot heal is not given up. Method: a fault whose child is killed."""
    guardian = bench.guard()
    bench.until(guardian.ready)
    job = bench.inject()
    bench.until(bench.in_place)
    job.stop(0.0)
    guardian.leave()
    bench.until(lambda: not bench.in_place())
    guardian.dismiss(0.0)
    assert bench.heal() == HealReport()


def test_guardian_that_is_dismissed_before_it_is_ready_goes_at_once(bench: Bench) -> None:
    """Goal: a target that refuses is told at once. Method: dismiss without waiting for anything."""
    guardian = bench.guard()
    guardian.dismiss(BOUND_S)
    assert guardian.poll() is not None
    assert bench.run.read_events() == ()


def test_nothing_to_heal_is_nothing_left(bench: Bench) -> None:
    """Goal: heal needs no injection before it. Method: heal a run that broke nothing."""
    assert bench.heal() == HealReport()
    assert bench.heal("01-http-abort") == HealReport()
