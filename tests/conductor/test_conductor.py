"""The conductor's invariants, with the shipped doubles and a clock that only moves when asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.conductor import conduct
from runner.errors import LoadError, SeatrialError, TargetError
from runner.model.experiment import Experiment
from runner.model.plan import make_plan
from runner.model.recording import Event, Manifest, Recording, unhealed
from runner.ports import HealReport, Ports
from runner.progress import Status, StopRequest
from runner.store import RunDir, Store
from runner.testing import EPOCH_S, FakeInjector, FakeLoad, FakeTarget, FakeWorld

EXPERIMENT = {
    "name": "two-faults",
    "description": "One kill and one abort.",
    "load": {"locustfile": "shop.py", "stages": [{"duration": "60s", "users": 10}]},
    "warmup": "5s",
    "faults": [
        {"kind": "pod-kill", "service": "order-api", "at": "15s", "duration": "10s"},
        {
            "kind": "http-abort",
            "service": "payment-api",
            "at": "35s",
            "duration": "10s",
            "status": 503,
        },
    ],
    "objectives": ["errors < 1%"],
}


def experiment(**changes: object) -> Experiment:
    return Experiment.model_validate({**EXPERIMENT, **changes})


def manifest(run: RunDir) -> Manifest:
    return Manifest(
        run_id=run.run_id,
        experiment="two-faults",
        experiment_sha256="0" * 64,
        state="planned",
        created_at="2026-01-01T00:00:00Z",
    )


def carry_out(
    world: FakeWorld,
    root: Path,
    *,
    asked: Experiment | None = None,
    ports: Ports | None = None,
    stop: StopRequest | None = None,
    watch: Callable[[Status], None] = lambda status: None,
) -> tuple[RunDir, Recording]:
    run = Store(root).create_run("two-faults", EPOCH_S)
    plan = make_plan(asked or experiment())
    recording = conduct(
        plan, "text", manifest(run), ports or world.ports(), run, stop=stop, watch=watch
    )
    return run, recording


def only_run(root: Path) -> RunDir:
    (run,) = Store(root).runs()
    return run


def steps(events: tuple[Event, ...]) -> list[str]:
    return [f"{e.source} {e.action} {e.kind}" for e in events if e.kind != "note"]


def test_the_journal_tells_every_effect_in_order(tmp_path: Path) -> None:
    """Goal: order of a run. Method: a calm world; compare the journal with the whole list."""
    world = FakeWorld()
    _, recording = carry_out(world, tmp_path)
    assert steps(recording.events) == [
        "target open begin",
        "target open ok",
        "guardian start begin",
        "guardian start ok",
        "target preflight begin",
        "target preflight ok",
        "target snapshot begin",
        "target snapshot ok",
        "load start begin",
        "load start ok",
        "01-pod-kill inject begin",
        "01-pod-kill inject ok",
        "01-pod-kill heal begin",
        "01-pod-kill heal ok",
        "02-http-abort inject begin",
        "02-http-abort inject ok",
        "02-http-abort heal begin",
        "02-http-abort heal ok",
        "load stop begin",
        "load stop ok",
        "signals collect begin",
        "signals collect ok",
        "target snapshot begin",
        "target snapshot ok",
        "guardian dismiss begin",
        "guardian dismiss ok",
        "target close begin",
        "target close ok",
    ]
    assert recording.manifest.state == "recorded"
    assert not world.up
    assert not world.load_on


def test_phases_are_marked_at_their_offsets(tmp_path: Path) -> None:
    """Goal: phases marked as planned. Method: offsets of the phase notes, to a tick or two."""
    _, recording = carry_out(FakeWorld(), tmp_path)
    marks = [(e.action, e.offset_s) for e in recording.events if e.action.startswith("phase")]
    names = [name for name, _ in marks]
    assert names == [
        "phase warmup",
        "phase baseline",
        "phase fault",
        "phase recovery",
        "phase fault",
        "phase recovery",
    ]
    offsets = [offset for _, offset in marks if offset is not None]
    assert offsets == pytest.approx([0, 5, 15, 25, 35, 45], abs=0.25)


def test_faults_start_and_end_at_their_offsets(tmp_path: Path) -> None:
    """Goal: faults at their offsets. Method: sample which fault is in place at every tick."""
    world = FakeWorld()
    seen: dict[str, list[float]] = {}

    def watch(status: Status) -> None:
        for name in world.active_faults:
            seen.setdefault(name, []).append(status.offset_s or 0.0)

    carry_out(world, tmp_path, watch=watch)
    assert set(seen) == {"01-pod-kill", "02-http-abort"}
    kill, abort = seen["01-pod-kill"], seen["02-http-abort"]
    bounds = [min(kill), max(kill), min(abort), max(abort)]
    assert bounds == pytest.approx([15, 25, 35, 45], abs=0.2)


def test_the_plan_is_on_disk_before_the_first_effect(tmp_path: Path) -> None:
    """Goal: intent before effect. Method: the world crashes in its first effect."""
    with pytest.raises(SeatrialError, match="open failed before"):
        carry_out(FakeWorld(crash_at=0), tmp_path)
    run = only_run(tmp_path)
    assert run.read_plan().duration_s == 60
    assert run.experiment_path.read_text() == "text"
    assert run.read_manifest().state == "failed"


def _effects_of_a_calm_run(root: Path) -> list[str]:
    world = FakeWorld()
    carry_out(world, root)
    return world.effects


def test_crash_everywhere(tmp_path: Path) -> None:
    """Goal: nothing stays broken, the journal never under-reports.

    Method: fail before and after each effect of a run in turn.
    """
    effects = _effects_of_a_calm_run(tmp_path / "calm")
    assert effects.count("inject") == 2
    assert effects.count("heal") == 2
    for crash_at, name in enumerate(effects):
        for before in (True, False):
            where = f"{name}[{crash_at}] {'before' if before else 'after'}"
            root = tmp_path / f"{crash_at}-{before}"
            world = FakeWorld(crash_at=crash_at, before=before)
            failed = None
            try:
                carry_out(world, root)
            except SeatrialError as error:
                failed = error
            run = only_run(root)
            assert world.active_faults <= unhealed(run.read_events()), where
            assert not world.active_faults, where
            assert not world.unguarded, where
            if name not in {"stop", "close"} or not before:
                assert not world.load_on, where
                assert not world.up, where
            undo = name in {"stop", "collect", "dismiss", "close"}
            assert (failed is None) == undo, where
            assert run.read_manifest().state == ("recorded" if undo else "failed"), where


def test_a_crashed_heal_is_tried_again_and_then_reported(tmp_path: Path) -> None:
    """Goal: exit code 5 has a basis. Method: an injector that cannot heal; read the journal."""

    class Stuck(FakeInjector):
        def heal(self, run_id, fault_id, target):  # type: ignore[no-untyped-def]
            return HealReport(left=(f"virtualservice/payment-api of {fault_id}",))

    world = FakeWorld()
    ports = world.ports()
    stuck = Ports(ports.clock, ports.target, ports.load, Stuck(world), ports.signals)
    with pytest.raises(SeatrialError, match="still in place: virtualservice/payment-api"):
        carry_out(world, tmp_path, ports=stuck)
    events = only_run(tmp_path).read_events()
    assert unhealed(events) == {"01-pod-kill"}
    tries = [e for e in events if e.source == "01-pod-kill" and e.action == "heal"]
    assert [e.kind for e in tries] == ["begin", "unknown", "begin", "unknown"]


@pytest.mark.parametrize("at_s", [0.5, 10.0, 20.0, 40.0, 59.0])
def test_a_request_to_stop_heals_and_keeps_what_was_recorded(tmp_path: Path, at_s: float) -> None:
    """Goal: Ctrl-C stops and heals. Method: ask at several offsets, look at world and folder."""
    world = FakeWorld()
    stop = StopRequest()

    def watch(status: Status) -> None:
        if status.offset_s is not None and status.offset_s >= at_s:
            stop.reason = "interrupted"

    _, recording = carry_out(world, tmp_path, stop=stop, watch=watch)
    assert recording.manifest.state == "interrupted"
    assert not world.active_faults
    assert not world.load_on
    assert not world.up
    assert unhealed(recording.events) == frozenset()
    assert len(recording.load.users) == int(at_s)
    assert recording.signals is not None


class Lingering(FakeLoad):
    """A load whose last requests end while it stops, 3 s later."""

    def stop(self, grace_s: float) -> None:
        self.world.clock.sleep(3.0)
        FakeLoad.stop(self, grace_s)


def test_what_ended_while_the_load_stopped_is_told_at_the_end(tmp_path: Path) -> None:
    """Goal: one count of requests. Method: ask to stop at 10 s; the last status and the record."""
    world, stop, told = FakeWorld(), StopRequest(), [0]

    def watch(status: Status) -> None:
        if status.load is not None:
            told.append(status.load.requests)
        if status.offset_s is not None and status.offset_s >= 10:
            stop.reason = "interrupted"

    ports = replace(world.ports(), load=Lingering(world))
    _, recording = carry_out(world, tmp_path, ports=ports, stop=stop, watch=watch)
    assert len(recording.load.users) == 13
    assert told[-1] == sum(row.count for row in recording.load.rows)


def test_a_guard_aborts_and_heals(tmp_path: Path) -> None:
    """Goal: guards act. Method: every second request fails; errors > 20 % for 5 s must abort."""
    world = FakeWorld(error_every=2)
    asked = experiment(guards=[{"abort_when": "errors > 20%", "for": "5s", "grace": "10s"}])
    _, recording = carry_out(world, tmp_path, asked=asked)
    assert recording.manifest.state == "aborted"
    assert recording.manifest.reason.startswith("errors > 20% held for 5 s")
    abort = next(e for e in recording.events if e.source == "guard")
    # grace 10 + window 5 + settle 1, then 5 s of breach
    assert abort.offset_s == pytest.approx(21, abs=0.5)
    assert not world.active_faults


def test_a_guard_that_holds_does_nothing(tmp_path: Path) -> None:
    """Goal: no false alarm. Method: the same guard over a load without errors."""
    asked = experiment(guards=[{"abort_when": "errors > 20%", "for": "5s", "grace": "10s"}])
    _, recording = carry_out(FakeWorld(), tmp_path, asked=asked)
    assert recording.manifest.state == "recorded"


def test_a_guard_without_data_aborts(tmp_path: Path) -> None:
    """Goal: silence is not health. Method: no user runs, so that there is no figure at all."""
    asked = experiment(guards=[{"abort_when": "errors > 20%", "for": "5s", "grace": "5s"}])
    _, recording = carry_out(FakeWorld(users_factor=0.0), tmp_path, asked=asked)
    assert recording.manifest.state == "aborted"
    assert "no figure at all" in recording.manifest.reason


def test_a_load_that_dies_early_is_an_error_and_heals(tmp_path: Path) -> None:
    """Goal: a dead generator ends the run. Method: it exits with 1 in the second fault."""
    world = FakeWorld(load_exit_at_s=40.0)
    with pytest.raises(LoadError, match=r"ended at 40\.\d s of 60 s with exit code 1"):
        carry_out(world, tmp_path)
    assert not world.active_faults
    run = only_run(tmp_path)
    assert unhealed(run.read_events()) == frozenset()
    assert len(run.read_load().users) == 40


def test_a_target_that_refuses_starts_no_load(tmp_path: Path) -> None:
    """Goal: preflight comes first. Method: a target with a problem; no load effect may follow."""
    world = FakeWorld()
    ports = world.ports()
    refusing = FakeTarget(world, problems=("service payment-api does not exist",))
    with pytest.raises(TargetError, match="service payment-api does not exist"):
        carry_out(
            world,
            tmp_path,
            ports=Ports(ports.clock, refusing, ports.load, ports.faults, ports.signals),
        )
    assert world.effects == ["open", "guard", "dismiss", "close"]


def test_what_the_preflight_remarks_on_stands_in_the_journal(tmp_path: Path) -> None:
    """Goal: no obstacle, and not forgotten. Method: a target with a remark; the run goes on."""
    world = FakeWorld()
    noting = replace(world.ports(), target=FakeTarget(world, noted=("clocks: 3 s apart",)))
    _, recording = carry_out(world, tmp_path, ports=noting)
    found = [(e.kind, e.detail) for e in recording.events if e.action == "preflight"]
    assert found == [("begin", ""), ("ok", ""), ("note", "clocks: 3 s apart")]


def test_signals_are_collected_after_the_load_and_before_the_target_closes(tmp_path: Path) -> None:
    """Goal: invariant 4. Method: order of effects."""
    world = FakeWorld()
    carry_out(world, tmp_path)
    order = [name for name in world.effects if name in {"stop", "collect", "close"}]
    assert order == ["stop", "collect", "close"]
