"""Heals that take their time: the loop goes on, and nothing is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from test_conductor import carry_out, experiment, only_run

from runner.errors import FaultError, LeftBrokenError, SeatrialError
from runner.model.recording import Recording, TargetInfo, unhealed
from runner.ports import HealJob, HealReport
from runner.progress import Status, StopRequest
from runner.testing import FakeClock, FakeInjector, FakeWorld

TAKES_S = 12.0


@dataclass(slots=True)
class SlowHeal:
    """A heal that is over ``TAKES_S`` after it began."""

    clock: FakeClock
    until_s: float
    report: HealReport

    def poll(self) -> HealReport | None:
        return self.report if self.clock.now_s >= self.until_s else None


class Slow(FakeInjector):
    """Heals that nobody waits for take long; what they remove is gone at once."""

    def begin_heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealJob:
        report = self.heal(run_id, fault_id, target)
        return SlowHeal(self.world.clock, self.world.clock.now_s + TAKES_S, report)


OVERLAPPING: list[dict[str, object]] = [
    {"kind": "pod-kill", "service": "order-api", "at": "15s", "duration": "10s"},
    {"kind": "http-abort", "service": "payment-api", "at": "31s", "duration": "5s", "status": 503},
]


def heals(recording: Recording, fault: str) -> dict[str, list[float]]:
    """The offsets of what is on record about the heals of a fault, by kind."""
    found: dict[str, list[float]] = {}
    for event in recording.events:
        if (event.source, event.action) == (fault, "heal"):
            found.setdefault(event.kind, []).append(event.offset_s or 0.0)
    return found


def about(*offsets_s: float) -> object:
    return pytest.approx(list(offsets_s), abs=0.3)


def test_other_faults_start_and_end_meanwhile(tmp_path: Path) -> None:
    """Goal: one slow heal delays nobody. Method: a heal of 12 s, and a fault that begins and ends
    within it."""
    world = FakeWorld()
    ports = replace(world.ports(), faults=Slow(world))
    seen: dict[str, list[float]] = {}

    def watch(status: Status) -> None:
        for name in world.active_faults:
            seen.setdefault(name, []).append(status.offset_s or 0.0)

    asked = experiment(faults=OVERLAPPING)
    _, recording = carry_out(world, tmp_path, asked=asked, ports=ports, watch=watch)
    assert recording.manifest.state == "recorded"
    assert heals(recording, "01-pod-kill") == {"begin": about(25.5), "ok": about(37.5)}
    assert heals(recording, "02-http-abort") == {"begin": about(36.5), "ok": about(48.5)}
    abort = seen["02-http-abort"]
    assert [min(abort), max(abort)] == pytest.approx([31, 36], abs=0.2)


def test_nothing_more_is_broken_while_a_heal_may_fail(tmp_path: Path) -> None:
    """Goal: no second fault on top of one that cannot be undone. Method: a heal that is 10 s old
    when the next fault is due."""
    world = FakeWorld()
    next_one = {**OVERLAPPING[1], "at": "35s"}
    asked = experiment(faults=[OVERLAPPING[0], next_one])
    said = "02-http-abort is not injected: the heal of 01-pod-kill has been under way for 10 s"
    with pytest.raises(FaultError, match=said):
        carry_out(world, tmp_path, asked=asked, ports=replace(world.ports(), faults=Slow(world)))
    assert world.effects.count("inject") == 1
    assert unhealed(only_run(tmp_path).read_events()) == frozenset()


def test_guards_are_looked_at_meanwhile(tmp_path: Path) -> None:
    """Goal: a slow heal blinds nobody. Method: every second request fails; a guard may trip from
    28 s on, while a heal is under way."""
    world = FakeWorld(error_every=2)
    ports = replace(world.ports(), faults=Slow(world))
    guard = {"abort_when": "errors > 20%", "for": "5s", "grace": "17s"}
    asked = experiment(faults=OVERLAPPING, guards=[guard])
    _, recording = carry_out(world, tmp_path, asked=asked, ports=ports)
    assert recording.manifest.state == "aborted"
    (abort,) = [e for e in recording.events if e.source == "guard"]
    assert abort.offset_s == pytest.approx(28, abs=0.5)
    # The heal that was under way is done again, and waited for.
    assert heals(recording, "01-pod-kill") == {"begin": about(25.5, 28), "ok": about(28)}
    assert unhealed(recording.events) == frozenset()
    assert not world.active_faults


def test_a_request_to_stop_is_heard_meanwhile(tmp_path: Path) -> None:
    world, stop = FakeWorld(), StopRequest()
    ports = replace(world.ports(), faults=Slow(world))

    def watch(status: Status) -> None:
        if status.offset_s is not None and status.offset_s >= 30:
            stop.reason = "interrupted"

    _, recording = carry_out(world, tmp_path, ports=ports, stop=stop, watch=watch)
    assert (recording.manifest.state, len(recording.load.users)) == ("interrupted", 30)
    assert unhealed(recording.events) == frozenset()


def test_the_end_of_the_load_waits_for_a_heal(tmp_path: Path) -> None:
    """Goal: no run ends with a heal under way. Method: one that takes longer than the load."""
    world = FakeWorld()
    late = [{**OVERLAPPING[0], "at": "45s"}]
    ports = replace(world.ports(), faults=Slow(world))
    _, recording = carry_out(world, tmp_path, asked=experiment(faults=late), ports=ports)
    assert heals(recording, "01-pod-kill") == {"begin": about(55.5), "ok": about(67.5)}
    assert recording.manifest.state == "recorded"


def test_what_a_slow_heal_leaves_is_tried_again_and_told(tmp_path: Path) -> None:
    """Goal: exit code 5 has a basis. Method: an injector that cannot heal, and takes its time."""

    class Stuck(Slow):
        def heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealReport:
            return HealReport(left=(f"virtualservice/payment-api of {fault_id}",))

    world = FakeWorld()
    ports = replace(world.ports(), faults=Stuck(world))
    with pytest.raises(LeftBrokenError, match="still in place: virtualservice/payment-api"):
        carry_out(world, tmp_path, asked=experiment(faults=OVERLAPPING[:1]), ports=ports)
    events = only_run(tmp_path).read_events()
    assert unhealed(events) == {"01-pod-kill"}
    tries = [e.kind for e in events if (e.source, e.action) == ("01-pod-kill", "heal")]
    assert tries == ["begin", "unknown", "begin", "unknown"]


def test_a_heal_that_cannot_even_begin_ends_the_run(tmp_path: Path) -> None:
    class Unable(FakeInjector):
        def begin_heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealJob:
            raise SeatrialError("no more threads")

    world = FakeWorld()
    with pytest.raises(SeatrialError, match="no more threads"):
        carry_out(world, tmp_path, ports=replace(world.ports(), faults=Unable(world)))
    assert unhealed(only_run(tmp_path).read_events()) == frozenset()
    assert not world.active_faults
