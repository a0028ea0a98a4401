"""A search on the terminal: the step that is under way, and the table of its rates."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console, RenderableType
from search_runs import search_experiment, search_run

from runner.analysis.evaluate import evaluate
from runner.analysis.live import LiveLoad
from runner.analysis.steps import Step
from runner.cli.live import RUNNING, View, closing_line, live_frame, plain_line
from runner.cli.tables import rates_table
from runner.fakesearch import FakeServer
from runner.model.plan import make_plan
from runner.progress import Status
from runner.store import RunDir
from runner.testing import FakeClock, FakeWorld

PLAN = make_plan(search_experiment())
STEP = Step(rate_per_s=308.9, duration_s=12.0, number=7, repeat=2, why="to see whether it holds")


def shown(what: RenderableType) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=False, highlight=False).print(what)
    return [line.rstrip() for line in out.getvalue().replace("\u00a0", " ").splitlines()]


def status(offset_s: float, step: Step | None = STEP) -> Status:
    return Status(
        activity=RUNNING,
        plan=PLAN,
        offset_s=offset_s,
        phase=PLAN.phase_at(offset_s),
        load=LiveLoad(),
        step=step,
    )


def test_the_step_stands_where_the_phase_stands_otherwise() -> None:
    line = plain_line(status(90.0))
    assert line.startswith("01:30  step 7: 308.9/s (to see whether it holds)  arrivals=0/s  ")
    assert line.endswith("at most 13m 14s left")
    frame = shown(live_frame(status(90.0)))
    assert frame[0].endswith("at most 13m 14s left")
    assert frame[2].split()[0] == "Step"
    assert any(row.strip().startswith("7: 308.9/s") for row in frame)
    assert max(map(len, frame)) <= 80


def test_each_step_has_a_plain_line_of_its_own(tmp_path: Path) -> None:
    out = io.StringIO()
    view = View(RunDir(tmp_path / "2026-01-01T000000Z-0001"), FakeClock(), out)
    with view:
        view.watch(status(21.0))
        view.watch(status(22.0))
        view.watch(status(23.0, Step(rate_per_s=350.0, duration_s=12.0, number=8)))
    lines = [line for line in out.getvalue().splitlines() if "  step" in line]
    assert [line.split("  ")[1].split(" (")[0] for line in lines] == [
        "step 7: 308.9/s",
        "step 8: 350/s",
    ]


def test_a_search_has_no_end_that_it_falls_short_of() -> None:
    assert closing_line(status(90.0)) == "load: 1m 30s, 0 requests, 0 failed"


def test_the_rates_are_a_table(tmp_path: Path) -> None:
    world = FakeWorld(server=FakeServer(capacity_per_s=333.0))
    _, recording = search_run(tmp_path, world)
    found = evaluate(recording).search
    assert found is not None
    rows = shown(rates_table(found))
    assert rows[2].split()[:3] == ["Rate", "Tries", "Verdict"]
    first = next(row for row in rows if row.strip().startswith("50/s"))
    assert first.split() == ["50/s", "1", "holds", "100", "%", "20", "ms", "20", "ms", "0", "%"]
    assert any("fails: latency" in row for row in rows)
