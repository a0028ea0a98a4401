"""Every wait of the conductor has a bound, and what ends too early is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from test_conductor import experiment, manifest, only_run

from runner.conductor import conduct
from runner.errors import FaultError, LoadError, RecordingError
from runner.model.experiment import Experiment
from runner.model.plan import GeneratorPlan, Plan, PlannedFault, make_plan
from runner.model.recording import (
    ClockAnchor,
    Manifest,
    Recording,
    Signals,
    TargetInfo,
    unhealed,
)
from runner.ports import Job, LoadJob, LoadProgress, Ports
from runner.store import RunDir, Store
from runner.testing import EPOCH_S, FakeInjector, FakeLoad, FakeSignals, FakeWorld


def carry_out(
    world: FakeWorld, root: Path, ports: Ports, *, asked: Experiment | None = None
) -> Recording:
    run = Store(root).create_run("two-faults", EPOCH_S)
    return conduct(make_plan(asked or experiment()), "text", manifest(run), ports, run)


def assert_whole(world: FakeWorld) -> None:
    assert (world.active_faults, world.load_on, world.up) == (frozenset(), False, False)


@dataclass(slots=True)
class EndlessJob:
    """A load that records as it should, and never ends; or that never starts, or ends at once."""

    job: LoadJob
    silent: bool
    code: int | None = None

    def poll(self) -> int | None:
        return self.code

    def stop(self, grace_s: float) -> None:
        self.job.stop(grace_s)

    def tail(self, lines: int) -> str:
        return "still here"

    def offer(self, rate_per_s: float, duration_s: float) -> None:
        self.job.offer(rate_per_s, duration_s)

    def finish(self) -> None:
        self.job.finish()

    def progress(self) -> LoadProgress:
        return LoadProgress(None) if self.silent else self.job.progress()


@dataclass(slots=True)
class EndlessLoad(FakeLoad):
    silent: bool = False
    code: int | None = None

    def start(self, plan: Plan, target: TargetInfo, workdir: Path, log: Path) -> LoadJob:
        job = FakeLoad.start(self, plan, target, workdir, log)
        return EndlessJob(job, self.silent, self.code)


def test_a_load_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    """Goal: bounded. Method: 60 s of plan, 5 s of stop timeout, 10 s of grace, and no end."""
    world = FakeWorld()
    recording = carry_out(world, tmp_path, replace(world.ports(), load=EndlessLoad(world)))
    (end,) = [e for e in recording.events if (e.source, e.action) == ("load", "end")]
    assert end.detail.startswith("still running at 75.")
    assert_whole(world)


@pytest.mark.parametrize(
    ("code", "how", "hint"),
    [
        (0, "with exit code 0", "does the Locust file import"),
        (1, "with exit code 1", "does the Locust file import"),
        (2, "with exit code 2", "know the options after --?"),
        (-9, "by signal 9, killed from outside", ""),
    ],
)
def test_a_load_that_ends_before_it_starts_says_how(
    tmp_path: Path, code: int, how: str, hint: str
) -> None:
    world = FakeWorld()
    ended = EndlessLoad(world, silent=True, code=code)
    with pytest.raises(LoadError, match=f"ended {how} before it sent a request:\nstill") as caught:
        carry_out(world, tmp_path, replace(world.ports(), load=ended))
    assert hint in caught.value.hint
    assert bool(caught.value.hint) == bool(hint)
    assert_whole(world)


def test_who_is_awaited_from_elsewhere_is_shown(tmp_path: Path) -> None:
    """Goal: nobody wonders why nothing happens. Method: two workers that never come."""
    world = FakeWorld()
    ports = replace(world.ports(), load=EndlessLoad(world, silent=True))
    generator = GeneratorPlan(remote_workers=2, bind_host="0.0.0.0", bind_port=5557)  # noqa: S104
    plan = make_plan(experiment(), generator=generator)
    run = Store(tmp_path).create_run("two-faults", EPOCH_S)
    shown: list[str] = []
    with pytest.raises(LoadError, match="did not start within 780 s"):
        conduct(
            plan, "text", manifest(run), ports, run, watch=lambda now: shown.append(now.activity)
        )
    assert "awaiting 2 workers from elsewhere at 0.0.0.0:5557" in shown
    assert "starting the load" not in shown


def test_a_load_that_does_not_start_is_given_up(tmp_path: Path) -> None:
    world = FakeWorld()
    silent = EndlessLoad(world, silent=True)
    with pytest.raises(LoadError, match="did not start within 180 s:\nstill here"):
        carry_out(world, tmp_path, replace(world.ports(), load=silent))
    assert world.clock.now_s < 181
    assert_whole(world)


def test_guards_rest_while_a_load_comes_to_its_end(tmp_path: Path) -> None:
    """Goal: no abort after the plan's end. Method: nobody sends while the last users leave."""
    load = {"locustfile": "shop.py", "stages": [{"duration": "60s", "users": 10}]}
    asked = experiment(
        load={**load, "stop_timeout": "60s"},
        guards=[{"abort_when": "errors > 20%", "for": "5s", "grace": "0s"}],
    )
    world = FakeWorld()
    ports = replace(world.ports(), load=EndlessLoad(world))
    assert carry_out(world, tmp_path, ports, asked=asked).manifest.state == "recorded"


@dataclass(slots=True)
class DeadChild:
    """The child of a fault that was gone as soon as it was started."""

    def poll(self) -> int | None:
        return 1

    def stop(self, grace_s: float) -> None:
        """Nothing is left to stop."""

    def tail(self, lines: int) -> str:
        return "ModuleNotFoundError: chaostoolkit"


class DeadChildren(FakeInjector):
    def inject(
        self,
        fault: PlannedFault,
        run_id: str,
        target: TargetInfo,
        workdir: Path,
        starts_at_wall_s: float,
    ) -> Job:
        FakeInjector.inject(self, fault, run_id, target, workdir, starts_at_wall_s)
        return DeadChild()


def test_a_child_that_ends_before_its_time_ends_the_run(tmp_path: Path) -> None:
    """Goal: nobody waits for a fault that will not come. Method: a child that dies at once."""
    world = FakeWorld()
    dead = replace(world.ports(), faults=DeadChildren(world))
    with pytest.raises(FaultError, match="01-pod-kill ended before its time:\nModuleNotFound"):
        carry_out(world, tmp_path, dead)
    assert world.clock.now_s < 15
    assert_whole(world)
    assert unhealed(only_run(tmp_path).read_events()) == frozenset()


@dataclass(slots=True)
class Witness(FakeSignals):
    """Remembers when, and up to which offset, it was asked."""

    asked: tuple[float, float] = (0.0, 0.0)

    def collect(
        self, plan: Plan, anchor: ClockAnchor, target: TargetInfo, end_s: float, rawdir: Path
    ) -> Signals:
        self.asked = (self.world.clock.now_s, end_s)
        return FakeSignals.collect(self, plan, anchor, target, end_s, rawdir)


def test_signals_are_asked_for_up_to_the_end_and_after_the_last_scrape(tmp_path: Path) -> None:
    """Goal: the last seconds are in Prometheus. Method: when, and up to when; whole and aborted."""
    world = FakeWorld()
    witness = Witness(world)
    carry_out(world, tmp_path / "whole", replace(world.ports(), signals=witness))
    assert witness.asked == pytest.approx((62.5, 60.0), abs=0.2)
    asked = experiment(guards=[{"abort_when": "errors > 20%", "for": "5s", "grace": "10s"}])
    world = FakeWorld(error_every=2)
    witness = Witness(world)
    carry_out(world, tmp_path / "cut", replace(world.ports(), signals=witness), asked=asked)
    assert witness.asked == pytest.approx((23.5, 21.0), abs=0.5)


class NoLastWord(RunDir):
    """A folder on a disk that is full when the run is sealed."""

    def write_manifest(self, sealed: Manifest) -> None:
        if sealed.state in ("recorded", "failed"):
            raise RecordingError("no space left")
        super().write_manifest(sealed)


@pytest.mark.parametrize(
    ("world", "said"),
    [(FakeWorld(), "no space left"), (FakeWorld(load_exit_at_s=40.0), "the load generator ended")],
)
def test_a_run_that_cannot_be_sealed_is_no_success_and_hides_no_root_cause(
    tmp_path: Path, world: FakeWorld, said: str
) -> None:
    run = NoLastWord(Store(tmp_path).create_run("two-faults", EPOCH_S).path)
    with pytest.raises((RecordingError, LoadError), match=said):
        conduct(make_plan(experiment()), "text", manifest(run), world.ports(), run)
    assert run.read_manifest().state == "running"
    assert_whole(world)
