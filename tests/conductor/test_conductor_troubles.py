"""What must never cost a heal: watchers, disks, clocks and children that fail, and Ctrl-C."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from test_conductor import experiment, manifest, only_run

from runner.conductor import conduct
from runner.errors import LeftBrokenError, LoadError, RecordingError, SeatrialError
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import Event, Recording, TargetInfo, unhealed
from runner.ports import LoadJob, LoadProgress, Ports
from runner.progress import Status
from runner.store import RunDir, Store
from runner.testing import (
    EPOCH_S,
    FakeClock,
    FakeFault,
    FakeInjector,
    FakeLoad,
    FakeWorld,
)


class FullOnce(RunDir):
    """A folder on a disk that is full for one line of the journal."""

    def __init__(self, path: Path, at: int) -> None:
        super().__init__(path)
        self.at = at
        self.lines = 0

    def append_event(self, event: Event) -> None:
        self.lines += 1
        if self.lines - 1 == self.at:
            raise RecordingError("no space left")
        super().append_event(event)


def carry_out(
    world: FakeWorld,
    root: Path,
    *,
    asked: Experiment | None = None,
    ports: Ports | None = None,
    full_at: int = -1,
    watch: Callable[[Status], None] = lambda status: None,
) -> Recording:
    run = FullOnce(Store(root).create_run("two-faults", EPOCH_S).path, full_at)
    plan = make_plan(asked or experiment())
    return conduct(plan, "text", manifest(run), ports or world.ports(), run, watch=watch)


def assert_whole(world: FakeWorld) -> None:
    assert (world.active_faults, world.load_on, world.up) == (frozenset(), False, False)


@pytest.mark.parametrize("error", [BrokenPipeError, SystemExit])
@pytest.mark.parametrize("from_s", [-1.0, 20.0, 40.0])
def test_a_watcher_that_fails_changes_nothing(
    tmp_path: Path, error: type[BaseException], from_s: float
) -> None:
    """Goal: a closed terminal ends no run. Method: it fails from some moment on, in undos, too."""
    asked: list[str] = []

    def watch(status: Status) -> None:
        if (status.offset_s or 0.0) > from_s:
            asked.append(status.activity)
            raise error("nobody reads this")

    world = FakeWorld()
    recording = carry_out(world, tmp_path, watch=watch)
    assert recording.manifest.state == "recorded"
    assert unhealed(recording.events) == frozenset()
    assert len(asked) == 1
    assert_whole(world)


def test_an_interrupt_in_the_watcher_heals(tmp_path: Path) -> None:
    """Goal: Ctrl-C without a handler heals. Method: it comes once, at each change of activity."""
    calm: list[str] = []
    carry_out(FakeWorld(), tmp_path / "calm", watch=lambda status: calm.append(status.activity))
    changes = [at for at, pair in enumerate(pairwise(["", *calm])) if pair[0] != pair[1]]
    assert len(changes) == 8, calm
    for at in changes:
        asked: list[str] = []

        def watch(status: Status, asked: list[str] = asked, at: int = at) -> None:
            asked.append(status.activity)
            if len(asked) == at + 1:
                raise KeyboardInterrupt

        world = FakeWorld()
        root = tmp_path / str(at)
        with pytest.raises(KeyboardInterrupt):
            carry_out(world, root, watch=watch)
        assert_whole(world)
        assert unhealed(only_run(root).read_events()) == frozenset(), calm[at]


def test_an_interrupt_in_any_effect_heals(tmp_path: Path) -> None:
    """Goal: as above. Method: KeyboardInterrupt before and after each effect in turn."""
    calm = FakeWorld()
    carry_out(calm, tmp_path / "calm")
    for crash_at, name in enumerate(calm.effects):
        for before in (True, False):
            root = tmp_path / f"{crash_at}-{before}"
            world = FakeWorld(crash_at=crash_at, before=before, error=KeyboardInterrupt)
            with pytest.raises(KeyboardInterrupt):
                carry_out(world, root)
            assert_whole(world)
            assert unhealed(only_run(root).read_events()) == frozenset(), (name, before)


def test_a_full_disk_costs_no_undo_and_the_journal_never_under_reports(tmp_path: Path) -> None:
    """Goal: invariant 1 on a full disk. Method: each line of the journal in turn is not taken."""
    lines = len(carry_out(FakeWorld(), tmp_path / "calm").events)
    assert lines > 30
    for at in range(lines):
        root = tmp_path / str(at)
        world = FakeWorld()
        said = ""
        try:
            carry_out(world, root, full_at=at)
        except RecordingError as error:
            said = error.message
        run = only_run(root)
        assert run.read_manifest().state == ("failed" if said else "recorded")
        assert said in ("", "no space left")
        assert_whole(world)
        assert len(unhealed(run.read_events())) <= 1, at


@dataclass(slots=True)
class BlindJob:
    """A load whose record cannot be read from some moment on."""

    job: LoadJob
    world: FakeWorld
    from_s: float
    error: Exception

    def poll(self) -> int | None:
        return self.job.poll()

    def stop(self, grace_s: float) -> None:
        self.job.stop(grace_s)

    def tail(self, lines: int) -> str:
        return self.job.tail(lines)

    def offer(self, rate_per_s: float, duration_s: float) -> None:
        self.job.offer(rate_per_s, duration_s)

    def finish(self) -> None:
        self.job.finish()

    def progress(self) -> LoadProgress:
        if self.world.clock.now_s >= self.from_s:
            raise self.error
        return self.job.progress()


@dataclass(slots=True)
class BlindLoad(FakeLoad):
    from_s: float = 0.0
    error: Exception = field(default_factory=OSError)

    def start(self, plan: Plan, target: TargetInfo, workdir: Path, log: Path) -> LoadJob:
        return BlindJob(
            FakeLoad.start(self, plan, target, workdir, log), self.world, self.from_s, self.error
        )


@pytest.mark.parametrize("from_s", [0.0, 20.0, 40.0])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), LoadError("damaged")])
def test_a_record_that_cannot_be_read_ends_the_run_and_heals(
    tmp_path: Path, from_s: float, error: Exception
) -> None:
    """Goal: no error of any class skips an undo. Method: progress raises, before and in faults."""
    world = FakeWorld()
    blind = replace(world.ports(), load=BlindLoad(world, from_s, error))
    with pytest.raises(SeatrialError, match=r"^(the run broke off: .*output error|damaged)"):
        carry_out(world, tmp_path, ports=blind)
    assert_whole(world)
    assert unhealed(only_run(tmp_path).read_events()) == frozenset()


class Undying(FakeInjector):
    """Its children cannot be ended."""

    def inject(self, fault, run_id, target, workdir, starts_at_wall_s):  # type: ignore[no-untyped-def]
        job = FakeInjector.inject(self, fault, run_id, target, workdir, starts_at_wall_s)
        assert isinstance(job, FakeFault)
        return Zombie(job)


@dataclass(slots=True)
class Zombie:
    fault: FakeFault

    def poll(self) -> int | None:
        return None

    def stop(self, grace_s: float) -> None:
        raise subprocess.TimeoutExpired("chaos", grace_s)

    def tail(self, lines: int) -> str:
        return ""


def test_a_child_that_does_not_end_is_healed_after_and_reported(tmp_path: Path) -> None:
    """Goal: the heal is not skipped. Method: children survive SIGKILL, as in a dead mount."""
    world = FakeWorld()
    undying = replace(world.ports(), faults=Undying(world))
    with pytest.raises(LeftBrokenError, match="the child of fault 01-pod-kill could not be ended"):
        carry_out(world, tmp_path, ports=undying)
    assert world.effects[-6:-3] == ["heal"] * 3  # at its time, then both on the way out
    assert_whole(world)
    assert unhealed(only_run(tmp_path).read_events()) == {"01-pod-kill", "02-http-abort"}


@dataclass(slots=True)
class SetClock(FakeClock):
    """A clock that somebody sets back by an hour after 20 seconds."""

    def wall_s(self) -> float:
        return EPOCH_S + self.now_s - (3600.0 if self.now_s > 20 else 0.0)


def test_a_wall_clock_that_is_set_neither_ends_nor_prolongs_a_run(tmp_path: Path) -> None:
    """Goal: every wait is bounded. Method: the clock goes back in the middle of a run."""
    world = FakeWorld(clock=SetClock())
    carry_out(world, tmp_path)
    assert world.clock.now_s < 70
    assert_whole(world)


def test_a_guard_does_not_take_a_planned_silence_for_a_breach(tmp_path: Path) -> None:
    """Goal: no false alarm. Method: a stage without users, longer than the guard's patience."""
    stages = [
        {"duration": "20s", "users": 10},
        {"duration": "25s", "users": 0},
        {"duration": "15s", "users": 10},
    ]
    asked = experiment(
        load={"locustfile": "shop.py", "stages": stages},
        faults=[],
        guards=[{"abort_when": "errors > 20%", "for": "5s", "grace": "0s"}],
    )
    assert carry_out(FakeWorld(), tmp_path, asked=asked).manifest.state == "recorded"


def test_guards_know_every_statistic(tmp_path: Path) -> None:
    """Goal: a guard on the mean is not blind. Method: 20 ms everywhere, bounds on both sides."""
    for index, (text, state) in enumerate(
        [
            ("latency.avg > 1s", "recorded"),
            ("latency.max > 1s", "recorded"),
            ("latency.avg > 10ms", "aborted"),
        ]
    ):
        asked = experiment(guards=[{"abort_when": text, "for": "5s", "grace": "0s"}])
        recording = carry_out(FakeWorld(), tmp_path / str(index), asked=asked)
        assert recording.manifest.state == state, text
