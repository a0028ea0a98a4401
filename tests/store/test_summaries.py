"""Lines about runs: what is told of whole, torn, foreign and unfinished folders."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from fleets import NOW_S, Ship, fleet, launch, torn

from runner.glance import glance
from runner.model.evaluation import Verdict
from runner.model.summary import RunFiles, RunSummary, summary_of
from runner.store import RunDir, Store


def line(store: Store, ship: Ship) -> RunSummary:
    run = launch(store, ship)
    return summary_of(run.files(), NOW_S)


def test_a_judged_run_says_what_a_list_needs(tmp_path: Path) -> None:
    """Goal: one line holds it all. Method: each field of a run whose parts are known."""
    store = Store(tmp_path)
    told = line(store, Ship(days_ago=1, report=True, time_scale=0.5, length_s=60, users=40))
    assert (told.standing, told.verdict, told.valid) == ("judged", Verdict.PASS, True)
    assert told.folder == f"shop-at-sea/{told.run_id}"
    assert told.created_s == NOW_S - 86400
    assert (told.duration_s, told.time_scale, told.rehearsal) == (60.0, 0.5, True)
    assert (told.load, told.target, told.faults) == ("40 users", "sandbox", ("pod-kill",))
    assert told.why == "all 2 objectives were met and the run was valid."
    assert told.report
    first, second = told.objectives
    assert (first.title, first.observed, first.bound) == ("latency.p95 < 300ms", 0.2, 0.3)
    assert (second.title, second.unit) == ("errors < 1%", "ratio")


def test_the_newest_comes_first_and_links_are_no_runs(tmp_path: Path) -> None:
    """Goal: each run once, newest first. Method: a fleet with 'latest' links beside it."""
    store = Store(tmp_path)
    runs = [launch(store, ship) for ship in fleet()]
    store.link_latest(runs[0])
    (tmp_path / ".hidden" / "x").mkdir(parents=True)
    told = store.summaries(NOW_S)
    assert len(told) == len(runs)
    times = [one.created_s or 0.0 for one in told]
    assert times == sorted(times, reverse=True)


def test_a_folder_that_is_no_run_is_a_line_that_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    torn(store)
    told = {one.folder.partition("/")[0]: one for one in store.summaries(NOW_S)}
    assert told["photos"].why == "not a run folder: it has no manifest.json"
    whys = [one.why for one in store.summaries(NOW_S) if one.experiment == "torn"]
    assert [why.partition(":")[0] for why in whys] == [
        "evaluation.json is torn or of another version",
        "not a run folder",
        "plan.json is torn or of another version",
    ]
    assert all(one.standing == "torn" and one.verdict is None for one in told.values())


@pytest.mark.parametrize("name", ["manifest.json", "plan.json", "evaluation.json"])
@pytest.mark.parametrize("text", ["", "[]", "null", "\x00", "[" * 5000, '{"verdict": NaN}'])
def test_no_content_ends_a_list(tmp_path: Path, name: str, text: str) -> None:
    """Goal: never a traceback. Method: each file in turn replaced by what is none."""
    store = Store(tmp_path)
    run = launch(store, Ship())
    (run.path / name).write_text(text, encoding="utf-8")
    (told,) = store.summaries(NOW_S)
    assert told.standing == "torn"
    assert told.why.startswith(f"{name} is torn or of another version")


def test_an_unreadable_file_is_a_line_too(tmp_path: Path) -> None:
    """Goal: what the system refuses is told. Method: a folder where the manifest should be."""
    store = Store(tmp_path)
    run = launch(store, Ship())
    run.manifest_path.unlink()
    run.manifest_path.mkdir()
    (told,) = store.summaries(NOW_S)
    assert told.why == "manifest.json cannot be read: Is a directory"


def test_a_run_that_still_writes_is_under_way_and_a_silent_one_is_not(tmp_path: Path) -> None:
    """Goal: a killed runner's rest is told from a run. Method: the time of the last write."""
    store = Store(tmp_path)
    run = launch(store, Ship(state="running", judged=False))
    for path in (run.path, *run.path.iterdir()):
        os.utime(path, (NOW_S - 10, NOW_S - 10))
    assert summary_of(run.files(), NOW_S).standing == "under way"
    late = summary_of(run.files(), NOW_S + 200)
    assert (late.standing, late.why) == (
        "unfinished",
        "its runner was killed before the recording was sealed",
    )


def test_a_run_that_was_refused_gives_its_reason(tmp_path: Path) -> None:
    told = line(Store(tmp_path), Ship(state="failed", reason="the target is busy", judged=False))
    assert (told.standing, told.why) == ("unjudged", "failed: the target is busy")


def test_what_another_version_wrote_beside_is_no_matter(tmp_path: Path) -> None:
    """Goal: old and new runs stand in one list. Method: fields that nobody knows."""
    store = Store(tmp_path)
    run = launch(store, Ship())
    evaluation = json.loads(run.evaluation_path.read_text(encoding="utf-8"))
    evaluation |= {"schema_version": 7, "tea": [1]}
    evaluation["findings"][0]["colour"] = "green"
    run.evaluation_path.write_text(json.dumps(evaluation), encoding="utf-8")
    (told,) = store.summaries(NOW_S)
    assert told.verdict is Verdict.PASS


def test_the_load_is_never_read(tmp_path: Path) -> None:
    """Goal: hundreds of runs are listed at once. Method: a record that nobody could read."""
    store = Store(tmp_path)
    run = launch(store, Ship())
    os.mkfifo(run.load_dir / "seconds.jsonl")  # whoever opens it waits for ever
    assert [one.standing for one in store.summaries(NOW_S)] == ["judged"]


def test_a_large_file_is_not_taken_in(tmp_path: Path) -> None:
    """Goal: memory is bounded. Method: a sparse file of 40 MB for an evaluation."""
    run = RunDir(tmp_path / "x" / "y")
    launch(Store(tmp_path), replace(Ship(), folder="x")).path.rename(run.path)
    with run.evaluation_path.open("r+b") as file:
        file.truncate(40 << 20)
    files = run.files()
    assert files.problem == "evaluation.json cannot be read: it has more than 33554432 bytes"
    assert files.evaluation is None


def test_a_glance_at_nothing(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "x" / "y")
    run.path.mkdir(parents=True)
    files = glance(
        run.path,
        run.manifest_path,
        run.plan_path,
        run.evaluation_path,
        page=run.page_path,
        growing=run.events_path,
    )
    assert files == RunFiles(folder="x/y", touched_s=run.path.stat().st_mtime)
