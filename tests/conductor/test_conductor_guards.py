"""Guards in a run: each kind trips, heals and says why; a healthy run and a busy loop go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from test_conductor import carry_out, experiment, only_run

from runner.errors import TargetError
from runner.fakeload import FakeLoadJob
from runner.model.guard import Reading
from runner.model.plan import Plan, make_plan
from runner.model.recording import LoadRow, Recording, TargetInfo, unhealed
from runner.ports import LoadJob, LoadProgress, Ports
from runner.progress import Status
from runner.testing import FakeLoad, FakeWorld

OVERFLOWS = 'sum(rate(istio_requests_total{response_flags="UO"}[30s]))'
QUERY = {"promql": OVERFLOWS, "abort_when": "> 5", "for": "5s", "grace": "10s"}
SILENT = {"abort_when": "silent", "for": "5s", "grace": "10s"}


def run(world: FakeWorld, root: Path, *guards: object, **more: object) -> Recording:
    _, recording = carry_out(world, root, asked=experiment(guards=list(guards), **more))
    return recording


def aborted_at(recording: Recording) -> float:
    (abort,) = (event for event in recording.events if event.source == "guard")
    assert abort.detail == recording.manifest.reason
    assert abort.offset_s is not None
    return abort.offset_s


def number(value: float) -> Reading:
    return Reading("ok", (("", value),))


def later(at_s: float, value: float) -> Callable[[str, float], Reading]:
    return lambda _, now_s: number(value if now_s >= at_s else 0.0)


def test_a_query_aborts_and_heals(tmp_path: Path) -> None:
    """Goal: guards act on Prometheus. Method: overflows from second 16 on, within the first fault.

    The query is asked at 10, 12, ... 16 s, and five seconds of breach are over at the one at 22 s.
    """
    world = FakeWorld(answer=later(16.0, 7.25))
    recording = run(world, tmp_path, QUERY)
    assert recording.manifest.state == "aborted"
    assert aborted_at(recording) == pytest.approx(22.0, abs=0.6)
    assert recording.manifest.reason.startswith(
        f"{OVERFLOWS} > 5 held for 5 s (last seen 7.25), at 22."
    )
    assert not world.active_faults
    assert not world.load_on
    assert unhealed(recording.events) == frozenset()
    asked = [event for event in recording.events if event.action == "ask"]
    assert [event.detail for event in asked] == ["guard 1: ok: 0"]
    assert [event.action for event in recording.events].index("ask") < [
        (event.source, event.action) for event in recording.events
    ].index(("load", "start"))


def test_a_query_that_is_well_changes_nothing(tmp_path: Path) -> None:
    """Goal: no false alarm. Method: breaches of two seconds each, every ten."""
    world = FakeWorld(answer=lambda _, now_s: number(9.0 if now_s % 10 < 2 else 1.0))
    assert run(world, tmp_path, QUERY).manifest.state == "recorded"


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        (Reading("empty", why="no series matches"), "no series matches"),
        (Reading("unreachable", why="connection refused"), "connection refused"),
    ],
)
@pytest.mark.parametrize("on_missing", ["abort", "ignore"])
def test_a_query_without_an_answer_follows_its_policy(
    tmp_path: Path, reading: Reading, why: str, on_missing: str
) -> None:
    """Goal: nobody takes silence for health. Method: Prometheus has nothing to say from 20 s on."""
    world = FakeWorld(answer=lambda _, now_s: reading if now_s >= 20 else number(0.0))
    recording = run(world, tmp_path, {**QUERY, "on_missing": on_missing})
    if on_missing == "ignore":
        assert recording.manifest.state == "recorded"
        return
    assert recording.manifest.state == "aborted"
    assert recording.manifest.reason.startswith(
        f"{OVERFLOWS} > 5 counts as breached, with no figure at all for 5 s ({why}), at 26."
    )
    assert not world.active_faults


def test_a_wrong_query_is_refused_before_any_load(tmp_path: Path) -> None:
    """Goal: no load under a blind guard. Method: a source that says that the query is wrong."""
    world = FakeWorld(answer=lambda *_: Reading("refused", why="parse error at char 5"))
    guard = {**QUERY, "on_missing": "ignore"}
    with pytest.raises(TargetError, match=r"guard 2 .* would be blind: parse error at char 5"):
        run(world, tmp_path, SILENT, guard)
    assert world.effects == ["open", "guard", "dismiss", "close"]
    assert only_run(tmp_path).read_manifest().state == "failed"


@pytest.mark.parametrize("on_missing", ["abort", "ignore"])
def test_a_source_that_is_away_matters_to_who_minds(tmp_path: Path, on_missing: str) -> None:
    """Goal: as the policy says, from the start. Method: a question takes longer than its bound."""
    world = FakeWorld(answer_takes_s=60.0)
    if on_missing == "ignore":
        guard = {**QUERY, "on_missing": "ignore"}
        assert run(world, tmp_path, guard).manifest.state == "recorded"
        return
    with pytest.raises(TargetError) as caught:
        run(world, tmp_path, QUERY)
    assert "no answer within 5 s" in caught.value.message
    assert "on_missing: ignore" in caught.value.hint
    assert world.clock.now_s < 6
    assert world.effects == ["open", "guard", "dismiss", "close"]


def test_the_loop_is_never_held_up_for_long(tmp_path: Path) -> None:
    """Goal: bounded. Method: four guards ask a source that hangs; time from tick to tick.

    A second for a question, and then none for as long: half of the time is the loop's own.
    Each guard is asked once before the load, which takes the 5 s of that bound.
    """
    world = FakeWorld(answer_takes_s=60.0)
    guards = [{**QUERY, "on_missing": "ignore", "grace": f"{10 + n}s"} for n in range(4)]
    ticks: list[float] = []

    def watch(status: Status) -> None:
        if status.activity == "running" and status.offset_s is not None:
            ticks.append(world.clock.now_s)

    carry_out(world, tmp_path, asked=experiment(guards=guards), watch=watch)
    gaps = [after - before for before, after in pairwise(ticks)]
    held_up = [gap for gap in gaps if gap > 0.2]
    assert max(gaps) == pytest.approx(1.1)
    assert len(held_up) == pytest.approx(25, abs=2)  # One question each two seconds, from 10 s on.


def test_a_silent_target_aborts_and_heals(tmp_path: Path) -> None:
    """Goal: hanging is noticed. Method: all requests time out from second 18 on, in a fault.

    The last answer comes in at 18 s, 1.5 s are granted for its way here, and 5 s of silence.
    """
    world = FakeWorld(silent_from_s=18.0)
    recording = run(world, tmp_path, SILENT)
    assert recording.manifest.state == "aborted"
    assert aborted_at(recording) == pytest.approx(24.6, abs=0.2)
    assert recording.manifest.reason.startswith("silent held for 5 s (the last answer came at 18.")
    assert "; 60 requests ended without one since), at 24." in recording.manifest.reason
    assert not world.active_faults


def test_a_target_that_refuses_everything_is_not_silent(tmp_path: Path) -> None:
    recording = run(FakeWorld(error_every=1), tmp_path, SILENT)
    assert recording.manifest.state == "recorded"


def test_a_planned_pause_is_not_silence(tmp_path: Path) -> None:
    """Goal: no false alarm. Method: 20 s without users; silence afterwards is silence."""
    stages = [{"duration": "20s", "users": n} for n in (10, 0, 10)]
    more = {"load": {"locustfile": "shop.py", "stages": stages}, "faults": []}
    assert run(FakeWorld(), tmp_path / "1", SILENT, **more).manifest.state == "recorded"
    recording = run(FakeWorld(silent_from_s=40.0), tmp_path / "2", SILENT, **more)
    assert aborted_at(recording) == pytest.approx(45.1, abs=0.3)


def test_no_arrivals_planned_is_not_silence(tmp_path: Path) -> None:
    """Goal: the open model as well. Method: a rate that falls to 0; the double has no users."""
    stages = [{"duration": "30s", "rate": "5/s"}, {"duration": "30s", "rate": "0/s"}]
    more = {"load": {"locustfile": "shop.py", "stages": stages}, "faults": []}
    recording = run(FakeWorld(silent_from_s=0.0), tmp_path / "1", SILENT, **more)
    assert aborted_at(recording) == pytest.approx(15.0, abs=0.3)
    patient = {**SILENT, "for": "25s"}
    recording = run(FakeWorld(silent_from_s=0.0), tmp_path / "2", patient, **more)
    assert recording.manifest.state == "recorded"


class SlowJob(FakeLoadJob):
    """A load whose answers take 8 s: rows come in late, of the second they were sent in."""

    def __init__(self, world: FakeWorld, plan: Plan, workdir: Path) -> None:
        super().__init__(world, plan, workdir)
        self._clock = world.clock
        self._waiting: list[tuple[float, LoadRow]] = []

    def progress(self) -> LoadProgress:
        now_s = self._clock.now_s
        progress = super().progress()
        self._waiting += [(now_s + 8.0, row) for row in progress.rows]
        done = tuple(row for due_s, row in self._waiting if due_s <= now_s)
        self._waiting = [(due_s, row) for due_s, row in self._waiting if due_s > now_s]
        return replace(progress, rows=done)


class SlowLoad(FakeLoad):
    def start(self, plan: Plan, target: TargetInfo, workdir: Path, log: Path) -> LoadJob:
        self.world.load_on = True
        return SlowJob(self.world, plan, workdir)


def test_a_slow_target_is_not_silent(tmp_path: Path) -> None:
    """Goal: what counts is when answers come in. Method: each one takes 8 s, and all come."""
    world = FakeWorld()
    ports: Ports = replace(world.ports(), load=SlowLoad(world))
    asked = experiment(guards=[SILENT])
    _, recording = carry_out(world, tmp_path, asked=asked, ports=ports)
    assert recording.manifest.state == "recorded"


def test_guards_that_hold_are_shown(tmp_path: Path) -> None:
    """Goal: a watcher sees it coming. Method: what it was told while every request fails."""
    seen: list[tuple[float, tuple[str, ...]]] = []

    def watch(status: Status) -> None:
        if status.near_guards and status.offset_s is not None:
            seen.append((status.offset_s, status.near_guards))

    guard = {"abort_when": "errors > 20%", "for": "5s", "grace": "10s"}
    world = FakeWorld(error_every=1)
    carry_out(world, tmp_path, asked=experiment(guards=[guard]), watch=watch)
    first_s, first = seen[0]
    assert first_s == pytest.approx(16.0, abs=0.2)
    assert first == ("errors > 20%: 0 of 5 s",)
    assert ("errors > 20%: 3 of 5 s",) in [near for _, near in seen]


def test_guards_of_a_rehearsal_keep_their_times(tmp_path: Path) -> None:
    """Goal: a service fails no faster in a rehearsal. Method: the plan at half of its length."""
    asked = experiment(guards=[{**QUERY, "grace": "7s"}, {**SILENT, "for": "11s"}])
    guards = make_plan(asked, time_scale=0.5).experiment.guards
    assert [(guard.for_, guard.grace, guard.window) for guard in guards] == [
        (5.0, 7.0, 5.0),
        (11.0, 10.0, 5.0),
    ]


def test_a_plan_with_guards_survives_its_file(tmp_path: Path) -> None:
    """Goal: all defaults are visible, and can be read again. Method: each kind; there and back."""
    of_one = {"abort_when": "errors > 5%", "of": "GET /", "window": "9s", "on_missing": "ignore"}
    plan = make_plan(experiment(guards=[QUERY, SILENT, of_one]))
    assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)) == plan
