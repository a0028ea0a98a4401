"""A search for the breaking point, conducted: with the shipped doubles and no real time."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from test_conductor import carry_out, experiment, only_run

from runner.analysis.breakpoint import BreakingPoint
from runner.analysis.searched import Searched, carried_out, searched
from runner.errors import LoadError
from runner.fakesearch import FakeSearchJob, FakeServer
from runner.model.experiment import Experiment
from runner.model.recording import Recording
from runner.ports import LoadProgress
from runner.progress import Status, StopRequest
from runner.searching import BEGIN_BOUND_S, END_BOUND_S
from runner.testing import FakeWorld

SEARCH = {"from": "50/s", "to": "1600/s", "until": ["latency.p95 < 500ms"], "step": "12s"}


def a_search(**changes: Any) -> Experiment:
    load = {"locustfile": "shop.py", "search": {**SEARCH, "transient": "3s"}}
    objectives = ["breaking-point >= 100/s"]
    return experiment(
        **{"load": load, "faults": [], "warmup": "0s", "objectives": objectives} | changes
    )


def known_of(recording: Recording) -> Searched:
    known = searched(recording)
    assert known is not None
    assert not known.torn
    return known


def answer_of(recording: Recording) -> BreakingPoint:
    return known_of(recording).answer


def said(recording: Recording) -> list[str]:
    return [event.detail for event in recording.events if event.source == "search"]


@pytest.mark.parametrize("capacity", [180.0, 333.0, 700.0])
def test_the_answer_while_it_runs_is_the_answer_from_the_record(
    tmp_path: Path, capacity: float
) -> None:
    """Goal: one answer. Method: a queue of known capacity; the journal has what was found while
    the search went on, and the recording, read back, must say the same and be right.
    """
    world = FakeWorld(server=FakeServer(capacity_per_s=capacity))
    _, recording = carry_out(world, tmp_path, asked=a_search())
    answer = answer_of(recording)
    assert said(recording)[-1] == answer.sentence
    assert answer.high_per_s is not None
    assert answer.low_per_s <= capacity <= answer.high_per_s
    assert answer.converged
    assert recording.manifest.state == "recorded"
    assert len(said(recording)) == 2 * len(recording.load.steps) + 1


def test_a_search_ends_when_it_knows_enough_and_nothing_is_missing_then(tmp_path: Path) -> None:
    """Goal: an early end is an orderly one, and the plan that was carried out is that long."""
    world = FakeWorld(server=FakeServer(capacity_per_s=333.0))
    _, recording = carry_out(world, tmp_path, asked=a_search())
    assert recording.plan.duration_s == 34 * (12 + 6 + 5 + 3)
    done = carried_out(recording)
    last = recording.load.steps[-1]
    assert 1 <= done.plan.duration_s - (last.start_s + last.duration_s) <= 5
    assert [phase.end_s for phase in done.plan.phases] == [done.plan.duration_s]
    aborted = replace(
        recording, manifest=recording.manifest.model_copy(update={"state": "aborted"})
    )
    assert carried_out(aborted) is aborted
    assert not world.up


def test_steps_follow_each_other_on_whole_seconds_and_only_when_all_is_quiet(
    tmp_path: Path,
) -> None:
    world = FakeWorld(server=FakeServer(capacity_per_s=180.0))
    _, recording = carry_out(world, tmp_path, asked=a_search())
    steps = recording.load.steps
    assert all(step.start_s == int(step.start_s) for step in steps)
    gaps = [b.start_s - a.start_s - a.duration_s for a, b in pairwise(steps)]
    assert min(gaps) >= 1
    # 200/s for 12 s at a server that can do 180/s leave 240 requests, which take it 2 s.
    above = [gap for step, gap in zip(steps, gaps, strict=False) if step.rate_per_s == 200.0]
    assert max(above) <= 4
    assert all(done.result.generator_problem == "" for done in known_of(recording).steps)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))


def test_without_a_knee_there_is_none_up_to_the_last_rate(tmp_path: Path) -> None:
    _, recording = carry_out(FakeWorld(), tmp_path, asked=a_search())
    answer = answer_of(recording)
    assert (answer.reason, answer.low_per_s, answer.high_per_s) == ("none", 1600.0, None)


def test_a_generator_that_gives_in_first_is_no_answer(tmp_path: Path) -> None:
    world = FakeWorld(server=FakeServer(capacity_per_s=math.inf, generator_max_per_s=300.0))
    _, recording = carry_out(world, tmp_path, asked=a_search())
    answer = answer_of(recording)
    assert answer.reason == "generator-limited"
    assert 50 <= answer.low_per_s <= 300
    assert any("the generator was the limit" in text for text in said(recording))


def test_guards_and_stops_work_within_steps(tmp_path: Path) -> None:
    """Goal: a search is a load like another. Method: refuse half of the requests; then stop one."""
    world = FakeWorld(server=FakeServer(fails_above_per_s=90.0))
    guard = {"abort_when": "errors > 60%", "for": "3s", "grace": "0s"}
    _, aborted = carry_out(world, tmp_path / "guard", asked=a_search(guards=[guard]))
    assert aborted.manifest.state == "aborted"
    assert "errors > 60%" in aborted.manifest.reason
    stop = StopRequest()

    def watch(status: Status) -> None:
        if status.step is not None and status.step.number == 2:
            stop.reason = "interrupted"

    _, stopped = carry_out(FakeWorld(), tmp_path / "stop", asked=a_search(), stop=stop, watch=watch)
    assert stopped.manifest.state == "interrupted"
    known = searched(stopped)
    assert known is not None
    assert len(known.steps) == 1
    assert not known.answer.answered


class Deaf(FakeSearchJob):
    """A generator that hears nothing."""

    def offer(self, rate_per_s: float, duration_s: float) -> None:
        pass


class Endless(FakeSearchJob):
    """A generator that does not say that a step has ended."""

    def progress(self) -> LoadProgress:
        progress = super().progress()
        return replace(progress, steps=tuple(s for s in progress.steps if not s.ended))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Deaf, f"step 1 of the search did not begin within {BEGIN_BOUND_S:g} s"),
        (Endless, f"step 1 of the search did not end within {12 + 5 + END_BOUND_S:g} s"),
    ],
)
def test_a_generator_that_does_not_follow_is_not_waited_for_for_ever(
    tmp_path: Path, kind: type[FakeSearchJob], message: str
) -> None:
    world = FakeWorld(search_job=kind)
    with pytest.raises(LoadError, match=message):
        carry_out(world, tmp_path, asked=a_search())
    assert only_run(tmp_path).read_manifest().state == "failed"
    assert not world.up


def test_a_record_of_another_search_is_refused(tmp_path: Path) -> None:
    """Goal: no answer from steps that nobody asked for. Method: change what was searched for."""
    world = FakeWorld(server=FakeServer(capacity_per_s=333.0))
    _, recording = carry_out(world, tmp_path, asked=a_search())
    other = a_search().load.model_copy(update={"search": a_search().load.search})
    assert other.search is not None
    changed = other.search.model_copy(update={"start": 40.0})
    load = other.model_copy(update={"search": changed})
    asked = recording.plan.experiment.model_copy(update={"load": load})
    plan = recording.plan.model_copy(update={"experiment": asked})
    known = searched(replace(recording, plan=plan))
    assert known is not None
    assert known.torn == "step 1 was at 50/s, where 40/s was due"
