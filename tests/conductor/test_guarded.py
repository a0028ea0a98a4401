"""A run and its guardian: no fault without one, its word ends the run, another takes its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from test_conductor import carry_out, experiment, only_run

from runner.errors import FaultError, SeatrialError
from runner.model.plan import PlannedFault
from runner.model.recording import Recording, TargetInfo, unhealed
from runner.ports import Guardian, HealReport, Job
from runner.progress import Status
from runner.testing import FakeFault, FakeInjector, FakeWorld

Watch = Callable[[Status], None]


def once_at(at_s: float, act: Callable[[], None]) -> Watch:
    """A watcher that acts once, when ``at_s`` seconds of load have passed."""
    left = [True]

    def watch(status: Status) -> None:
        if left and status.offset_s is not None and status.offset_s >= at_s:
            left.clear()
            act()

    return watch


def notes(recording: Recording, source: str = "guardian") -> list[tuple[str, str]]:
    return [
        (e.action, e.detail) for e in recording.events if (e.source, e.kind) == (source, "note")
    ]


@pytest.mark.parametrize("at_s", [1.0, 20.0, 50.0])
def test_its_word_ends_the_run_and_heals(tmp_path: Path, at_s: float) -> None:
    """Goal: the switch and a lost Lease end a run. Method: a word before, in and after faults."""
    world = FakeWorld()

    def say() -> None:
        world.guardians[0].says = "every run in shop was told to stop: incident 4711"

    _, recording = carry_out(world, tmp_path, watch=once_at(at_s, say))
    assert recording.manifest.state == "aborted"
    assert recording.manifest.reason == "every run in shop was told to stop: incident 4711"
    assert notes(recording) == [("abort", recording.manifest.reason)]
    assert not world.active_faults
    assert not world.load_on
    assert not world.up
    assert unhealed(recording.events) == frozenset()
    assert len(recording.load.users) == int(at_s)


def test_its_word_before_the_load_keeps_it_from_starting(tmp_path: Path) -> None:
    class Warned(FakeInjector):
        def guard(self, run_id: str, target: TargetInfo, folder: Path) -> Guardian:
            guardian = FakeInjector.guard(self, run_id, target, folder)
            self.world.guardians[0].says = "lost"
            self.world.guardians[0].slow = True
            return guardian

    world = FakeWorld()
    _, recording = carry_out(world, tmp_path, ports=replace(world.ports(), faults=Warned(world)))
    assert recording.manifest.state == "aborted"
    assert world.effects == ["open", "guard", "dismiss", "close"]


def test_one_that_dies_is_replaced(tmp_path: Path) -> None:
    """Goal: the dead man's handle is never missing. Method: kill it in the middle of a fault."""
    world = FakeWorld()

    def kill() -> None:
        world.guardians[0].code = -9

    _, recording = carry_out(world, tmp_path, watch=once_at(20.0, kill))
    assert recording.manifest.state == "recorded"
    assert notes(recording) == [("lost", "it ended by signal 9: fake guardian")]
    assert [guardian.code for guardian in world.guardians] == [-9, 0]
    assert world.unguarded == []
    first, second = (i for i, name in enumerate(world.effects) if name == "guard")
    assert "dismiss" in world.effects[first:second]  # Its private folder is not left.
    assert world.effects.count("dismiss") == 2


class Dying(FakeInjector):
    """Guardians that end as soon as they are started."""

    def guard(self, run_id: str, target: TargetInfo, folder: Path) -> Guardian:
        guardian = FakeInjector.guard(self, run_id, target, folder)
        self.world.guardians[-1].code = 3
        return guardian


def test_a_run_whose_guardians_die_is_refused(tmp_path: Path) -> None:
    """Goal: bounded, and no fault without one. Method: each ends at once."""
    world = FakeWorld()
    ports = replace(world.ports(), faults=Dying(world))
    with pytest.raises(FaultError, match="no fault is injected without a guardian"):
        carry_out(world, tmp_path, ports=ports)
    assert world.effects.count("guard") == 4
    assert "start" not in world.effects
    assert "inject" not in world.effects
    assert only_run(tmp_path).read_manifest().state == "failed"


def test_a_run_whose_guardians_all_die_on_the_way_heals_and_ends(tmp_path: Path) -> None:
    """Goal: no fault stays without one. Method: the first is killed in a fault, the others end as
    soon as they are started."""
    world = FakeWorld()

    class Later(Dying):
        def guard(self, run_id: str, target: TargetInfo, folder: Path) -> Guardian:
            first = not self.world.guardians
            kind = FakeInjector if first else Dying
            return kind.guard(self, run_id, target, folder)

    def kill() -> None:
        world.guardians[0].code = -9

    ports = replace(world.ports(), faults=Later(world))
    with pytest.raises(FaultError, match="none gets ready:\nfake guardian"):
        carry_out(world, tmp_path, ports=ports, watch=once_at(20.0, kill))
    assert not world.active_faults
    assert world.unguarded == []
    assert unhealed(only_run(tmp_path).read_events()) == frozenset()


class Slow(FakeInjector):
    def guard(self, run_id: str, target: TargetInfo, folder: Path) -> Guardian:
        guardian = FakeInjector.guard(self, run_id, target, folder)
        self.world.guardians[-1].slow = True
        return guardian


def test_one_that_does_not_get_ready_is_waited_for_with_a_bound(tmp_path: Path) -> None:
    world = FakeWorld()
    with pytest.raises(FaultError, match="no fault is injected without a guardian"):
        carry_out(world, tmp_path, ports=replace(world.ports(), faults=Slow(world)))
    assert 30 <= world.clock.now_s < 31
    assert "start" not in world.effects


class SecondIsSlow(FakeInjector):
    def guard(self, run_id: str, target: TargetInfo, folder: Path) -> Guardian:
        kind = Slow if self.world.guardians else FakeInjector
        return kind.guard(self, run_id, target, folder)


def test_a_fault_waits_for_a_new_one_and_is_given_up_at_its_start(tmp_path: Path) -> None:
    """Goal: not even for a moment without. Method: it dies before the first fault, and the next
    one is slow."""
    world = FakeWorld()

    def kill() -> None:
        world.guardians[0].code = -9

    with pytest.raises(FaultError, match="01-pod-kill is not injected: the run has no guardian"):
        carry_out(
            world,
            tmp_path,
            ports=replace(world.ports(), faults=SecondIsSlow(world)),
            watch=once_at(2.0, kill),
        )
    assert "inject" not in world.effects
    assert world.clock.now_s == pytest.approx(17.5, abs=0.2)  # And the last scrape.


@pytest.mark.parametrize(("dies_at_s", "ends_at_s"), [(10.0, 14.0), (14.4, 14.4), (14.7, 14.7)])
def test_a_child_that_waits_is_called_back_when_nobody_guards_the_run(
    tmp_path: Path, dies_at_s: float, ends_at_s: float
) -> None:
    """Goal: a guardian that dies between the start of the child and that of the fault. Method: the
    child of the first fault starts at 9 s, its fault at 15 s; is it ever in place?"""
    world = FakeWorld()
    seen: set[str] = set()
    die = once_at(dies_at_s, lambda: setattr(world.guardians[0], "code", -9))

    def watch(status: Status) -> None:
        die(status)
        seen.update(world.active_faults)

    ports = replace(world.ports(), faults=SecondIsSlow(world))
    with pytest.raises(FaultError, match="01-pod-kill is called back: the run has no guardian"):
        carry_out(world, tmp_path, ports=ports, watch=watch)
    world.clock.sleep(10.0)
    assert (seen, world.active_faults) == (set(), frozenset())
    fault = world.faults["01-pod-kill"]
    assert fault.killed_at_s is not None
    assert fault.starts_at_s - fault.killed_at_s == pytest.approx(15.0 - ends_at_s, abs=0.25)
    events = only_run(tmp_path).read_events()
    assert unhealed(events) == frozenset()
    assert "recalled" in [e.action for e in events if e.source == "01-pod-kill"]


def test_a_child_that_waits_goes_on_under_the_next_guardian(tmp_path: Path) -> None:
    """Goal: a guardian that is replaced in time costs nothing. Method: it dies 3 s ahead."""
    world = FakeWorld()
    kill = once_at(12.0, lambda: setattr(world.guardians[0], "code", -9))
    _, recording = carry_out(world, tmp_path, watch=kill)
    assert recording.manifest.state == "recorded"
    assert "recalled" not in [e.action for e in recording.events]


@pytest.mark.parametrize("crash", [True, False])
def test_a_run_without_faults_does_without(tmp_path: Path, crash: bool) -> None:
    """Goal: it is for faults. Method: none can be started, or each ends at once."""
    world = FakeWorld(crash_at=1 if crash else None)
    ports = world.ports() if crash else replace(world.ports(), faults=Dying(world))
    _, recording = carry_out(world, tmp_path, asked=experiment(faults=[]), ports=ports)
    assert recording.manifest.state == "recorded"
    assert world.effects.count("guard") == (1 if crash else 4)


def test_one_is_left_behind_where_something_is_left(tmp_path: Path) -> None:
    """Goal: what the runner cannot heal, the guardian goes on with. Method: heals that fail."""

    class Stuck(FakeInjector):
        def heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealReport:
            return HealReport(left=("virtualservice/payment-api",))

    world = FakeWorld()
    with pytest.raises(SeatrialError, match="still in place"):
        carry_out(world, tmp_path, ports=replace(world.ports(), faults=Stuck(world)))
    (guardian,) = world.guardians
    assert (guardian.left, guardian.code) == (True, None)
    assert "dismiss" not in world.effects


class Killed(FakeInjector):
    """Each child is killed when its fault has been in place for a while."""

    def inject(
        self,
        fault: PlannedFault,
        run_id: str,
        target: TargetInfo,
        workdir: Path,
        starts_at_wall_s: float,
    ) -> Job:
        job = FakeInjector.inject(self, fault, run_id, target, workdir, starts_at_wall_s)
        return Dead(job, self.world) if isinstance(job, FakeFault) else job


@dataclass(slots=True)
class Dead:
    """A child that the kernel kills 3 s after its fault began."""

    fault: FakeFault
    world: FakeWorld

    def poll(self) -> int | None:
        if self.world.clock.now_s > self.fault.starts_at_s + 3.0:
            self.fault.stop(0.0)
        return self.fault.poll()

    def stop(self, grace_s: float) -> None:
        self.fault.stop(grace_s)

    def tail(self, lines: int) -> str:
        return "killed"


def test_a_fault_whose_child_is_killed_is_healed_at_once(tmp_path: Path) -> None:
    """Goal: nobody else would end it. Method: kill each child after 3 of 10 s; how long is the
    fault in place, and what is said?"""
    world = FakeWorld()
    seen: dict[str, list[float]] = {}

    def watch(status: Status) -> None:
        for name in world.active_faults:
            seen.setdefault(name, []).append(status.offset_s or 0.0)

    ports = replace(world.ports(), faults=Killed(world))
    _, recording = carry_out(world, tmp_path, ports=ports, watch=watch)
    assert [max(times) for times in seen.values()] == pytest.approx([18, 38], abs=0.3)
    for fault in ("01-pod-kill", "02-http-abort"):
        assert notes(recording, fault) == [("lost", "its child ended by signal 9; healed at once")]
    assert recording.manifest.state == "recorded"
    assert unhealed(recording.events) == frozenset()
