"""A run under way as its page tells it: from a folder that grows, late or from the start."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fleets import NOW_S, Ship, evaluation_of, launch, plan_of_ship
from voyages import HOSTILE

from runner.load.seconds import SecondsReader
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import Event, Manifest
from runner.reports.livestate import LiveRun, LiveState, newest_under_way
from runner.reports.pages import page
from runner.store import RunDir, Store

SHIP = Ship(state="running", judged=False)


class Voyage:
    """A run that is being made, second by second; its load began at :data:`fleets.NOW_S`."""

    def __init__(self, root: Path, plan: Plan | None = None, **reader: int) -> None:
        self.run = launch(Store(root), SHIP)
        if plan is not None:
            self.run.write_plan(plan, "name: x\n")
        self.record = self.run.load_dir / "seconds.jsonl"
        self.live = LiveRun(self.run, SecondsReader(self.record, **reader).progress)
        self.at_s = 0.0

    def writes(self, *records: dict[str, Any]) -> None:
        with self.record.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)

    def begins(self) -> None:
        self.writes({"kind": "start", "wall_s": NOW_S})

    def second(self, second: int, ms: float = 50, good: int = 10, bad: int = 0) -> None:
        bucket = [[round(ms * 1000).bit_length() * 100, good]]
        rows: list[Any] = [["GET /", "success", bucket]] if good else []
        rows += [["GET /", "http_5xx", [[900, bad]]]] if bad else []
        self.writes({"kind": "rows", "second": second, "users": 100, "rows": rows})

    def happens(self, source: str, action: str, kind: str, at_s: float | None, **more: str) -> None:
        told = {"wall_s": NOW_S + (at_s or -1.0), "offset_s": at_s, "source": source}
        self.run.append_event(
            Event.model_validate({**told, "action": action, "kind": kind, **more})
        )

    def look(self, at_s: float) -> LiveState:
        for path in (self.run.path, *self.run.path.rglob("*")):
            os.utime(path, (NOW_S + at_s, NOW_S + at_s))
        return self.live.look(NOW_S + at_s)


def figures(state: LiveState) -> dict[str, str]:
    return {one.name: one.text for one in state.figures}


def test_before_the_load_the_journal_tells_what_is_done(tmp_path: Path) -> None:
    voyage = Voyage(tmp_path)
    assert voyage.look(-5).activity == "about to begin"
    voyage.happens("target", "preflight", "begin", None)
    state = voyage.look(-4)
    assert (state.activity, state.clock, state.over, state.phase) == (
        "target: preflight",
        "–",
        False,
        "",
    )
    assert figures(state) == {"Requests": "0", "Failed": "0"}


def test_the_last_seconds_are_told(tmp_path: Path) -> None:
    """Goal: what a terminal shows, a page shows. Method: 20 seconds of a known load."""
    voyage = Voyage(tmp_path)
    voyage.begins()
    for second in range(20):
        voyage.second(second, good=90 if second >= 15 else 100, bad=10 if second >= 15 else 0)
    state = voyage.look(20.2)
    assert (state.clock, state.left, state.phase) == ("00:20", "1m 40s left", "baseline")
    told = figures(state)
    assert (told["Users"], told["Rate"], told["Errors"]) == ("100", "100/s", "10\u00a0%")
    assert (told["Requests"], told["Failed"]) == ("2,000", "50")
    assert state.done_ratio == pytest.approx(20.2 / 120)


def test_who_comes_late_sees_the_same(tmp_path: Path) -> None:
    """Goal: figures of the last seconds are not those of all that was read at once.

    Method: one watcher from the start, and one who comes after a minute and reads in small pieces.
    """
    early = Voyage(tmp_path)
    late = LiveRun(early.run, SecondsReader(early.record, limit=1000).progress)
    early.begins()
    for second in range(60):
        early.second(second, good=second + 1)
        seen = early.look(second + 1.1)
    told = late.look(NOW_S + 60.1)
    assert told.remarks[-1].startswith("catching up with the record, now at 00:")
    assert "Rate" not in figures(told)
    for _ in range(3):
        told = late.look(NOW_S + 60.1)
    assert told.remarks == ()
    assert figures(told) == figures(seen)
    assert told.charts == seen.charts
    assert figures(told)["Rate"] == "58/s"


def test_what_is_kept_does_not_grow(tmp_path: Path) -> None:
    """Goal: bounded memory. Method: rows kept after 20 s, and after 110 s, of a plan of 2 min."""
    voyage = Voyage(tmp_path, limit=1000)
    voyage.begins()
    for second in range(110):
        voyage.second(second)
    voyage.look(110.1)
    assert len(voyage.live._live._came) <= 62
    assert len(voyage.live._steps) <= 240


def test_faults_are_told_as_the_journal_has_them(tmp_path: Path) -> None:
    """Goal: no fault is called healed that is not. Method: the word after each event."""
    voyage = Voyage(tmp_path)
    voyage.begins()
    (fault,) = plan_of_ship(SHIP).faults
    words = [voyage.look(10).faults[0].word]
    voyage.happens(fault.id, "inject", "begin", 25)
    words.append(voyage.look(26).faults[0].word)
    words.append(voyage.look(31).faults[0].word)
    voyage.happens(fault.id, "heal", "begin", 60)
    state = voyage.look(61)
    words.append(state.faults[0].word)
    assert state.faults[0].active
    voyage.happens(fault.id, "heal", "ok", 62)
    words.append(voyage.look(63).faults[0].word)
    assert words == ["to come", "being prepared", "in place", "healing", "healed"]
    assert (state.faults[0].what, state.faults[0].when) == (
        "pod-kill on order-api",
        "00:30 – 01:00",
    )
    assert [event.what for event in state.events] == [f"{fault.id}: heal", f"{fault.id}: inject"]


def test_a_guard_whose_condition_holds_stands_out(tmp_path: Path) -> None:
    guards = [
        {"abort_when": "errors > 50%", "for": "30s"},
        {"abort_when": "> 5", "promql": "up", "for": "30s"},
    ]
    experiment = plan_of_ship(SHIP).experiment.model_dump(mode="json", by_alias=True)
    plan = make_plan(Experiment.model_validate(experiment | {"guards": guards}))
    voyage = Voyage(tmp_path, plan)
    voyage.begins()
    for second in range(20):
        voyage.second(second, good=1, bad=9 if second > 10 else 0)
    assert [one.word for one in voyage.look(5).guards] == ["not yet", "not yet"]
    load, asked = voyage.look(20.1).guards
    assert (load.title, load.breached, load.word) == ("errors > 50%", True, "its condition holds")
    assert (asked.breached, asked.sees) == (False, "asked by the run itself")


def test_a_run_that_ends_leads_to_its_report(tmp_path: Path) -> None:
    """Goal: the page ends well. Method: sealed, then judged, then reported."""
    voyage = Voyage(tmp_path)
    voyage.begins()
    voyage.second(0)
    manifest = voyage.run.read_manifest()
    assert not voyage.look(100).over
    voyage.run.write_manifest(
        Manifest.model_validate({**manifest.model_dump(), "state": "recorded"})
    )
    state = voyage.look(121)
    assert (state.over, state.settled, state.activity) == (True, False, "ended; being judged")
    voyage.run.write_evaluation(evaluation_of(SHIP))
    voyage.run.report_dir.mkdir()
    voyage.run.page_path.touch()
    state = voyage.look(122)
    assert (state.over, state.settled, state.line.kind) == (True, True, "pass")
    html = page("_live.html.j2", doc=state)
    assert f'href="/{voyage.run.path.parent.name}/{voyage.run.run_id}/report/index.html"' in html


def test_a_run_whose_runner_was_killed_is_over(tmp_path: Path) -> None:
    """Goal: nobody waits for a dead run. Method: nothing is written for five minutes."""
    voyage = Voyage(tmp_path)
    voyage.begins()
    voyage.happens("01-pod-kill", "inject", "begin", 30)
    voyage.look(31)
    state = voyage.live.look(NOW_S + 331)
    assert (state.over, state.settled, state.line.word) == (True, True, "unfinished")
    assert state.faults[0].word == "NOT KNOWN TO BE HEALED"


def test_a_damaged_record_is_said_and_hinders_nothing_else(tmp_path: Path) -> None:
    voyage = Voyage(tmp_path)
    voyage.begins()
    voyage.second(0)
    voyage.look(1)
    voyage.writes({"kind": "rows", "second": "x"})
    state = voyage.look(2)
    assert "is damaged before byte" in state.remarks[-1]
    assert state.clock == "00:02"


def test_hostile_words_stay_text(tmp_path: Path) -> None:
    voyage = Voyage(tmp_path)
    voyage.happens(HOSTILE, HOSTILE, "note", 1.0, detail=HOSTILE)
    html = page("_live.html.j2", doc=voyage.look(2))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_the_newest_run_under_way_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for ship in (Ship(days_ago=2, state="running", judged=False), Ship(days_ago=1)):
        launch(store, ship)
    found = newest_under_way(store.summaries(NOW_S))
    assert found is not None
    assert found.created_s == NOW_S - 2 * 86400
    assert newest_under_way([]) is None


def test_a_folder_without_a_plan_is_not_watched(tmp_path: Path) -> None:
    from runner.errors import RecordingError

    with pytest.raises(RecordingError, match=r"it has no plan\.json"):
        LiveRun(RunDir(tmp_path), lambda: SecondsReader(tmp_path / "x").progress())
