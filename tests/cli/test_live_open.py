"""The open model while it runs: arrivals, what is in flight, what was dropped, and lost workers."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from runner.analysis.live import LiveLoad
from runner.cli.live import RUNNING, View, closing_line, live_frame, plain_line
from runner.model.experiment import Experiment
from runner.model.histogram import bucket_of
from runner.model.plan import make_plan
from runner.model.recording import ArrivalSecond, LoadRow
from runner.progress import Status
from runner.store import RunDir
from runner.testing import FakeClock

PLAN = make_plan(
    Experiment.model_validate(
        {
            "name": "steady",
            "description": "A rate.",
            "load": {
                "locustfile": "shop.py",
                "stages": [{"duration": "100s", "rate": "1500/s"}],
                "max_in_flight": 2_500,
            },
            "faults": [
                {"kind": "http-delay", "service": "order-api", "at": "40s", "duration": "20s"}
                | {"delay": "1s"}
            ],
            "objectives": ["errors < 1%"],
        }
    )
)


def status(*, dropped: int = 0, done: int = 1450) -> Status:
    """48 s of 1500 arrivals a second, of which ``done`` are completed in each."""
    live = LiveLoad()
    for second in range(48):
        rows = [LoadRow(second, "GET /", "success", {bucket_of(83_000): done})]
        live.add(rows, [(second, 2_500)], second + 1.0)
        started = 1500 - (dropped if second == 47 else 0)
        late = dropped if second == 47 else 0
        live.arrivals.add([(second, ArrivalSecond(1500, started, 0, late, done))])
    return Status(RUNNING, PLAN, 48.3, PLAN.phase_at(48.3), live, ("01-http-delay",))


def frame(status: Status) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=False, highlight=False).print(live_frame(status))
    return [line.rstrip() for line in out.getvalue().replace("\u00a0", " ").splitlines()]


def test_the_table_shows_arrivals_instead_of_users() -> None:
    lines = [line for line in frame(status()) if line]
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == [
        *("Phase", "Started/s", "In", "flight", "p95", "Errors", "Active", "faults")
    ]
    assert lines[3].split() == [
        *("fault", "01-http-delay", "1,500/s", "2,400", "83.2", "ms", "0", "%", "01-http-delay")
    ]
    assert len(lines) == 4


def test_dropped_arrivals_stand_out() -> None:
    """Goal: nobody overlooks them. Method: 12 of 72,000, in every form."""
    now = status(dropped=12)
    said = "dropped 12 of 72,000 arrivals: all 2,500 users (max_in_flight) were busy"
    assert frame(now)[-1] == said
    assert "  dropped=12  " in plain_line(now)
    assert closing_line(now) == (
        "load: 48s of 1m 40s, 69,600 requests, 0 failed, 12 arrivals dropped"
    )
    assert "dropped" not in plain_line(status()) + closing_line(status())


def test_a_full_pool_is_red() -> None:
    """Method: 2,500 of 2,500 in flight, and 2,499; the escape for red stands before the figure."""
    for spare, red in ((0, True), (1, False)):
        now = status(done=1500)
        assert now.load is not None
        now.load.arrivals.completed -= 2_500 - spare
        out = io.StringIO()
        Console(file=out, width=80, force_terminal=True, color_system="standard").print(
            live_frame(now)
        )
        assert ("\x1b[31m" in out.getvalue()) is red


def test_a_plain_line_of_the_open_model() -> None:
    assert plain_line(status()).replace("\u00a0", " ") == (
        "00:48  fault 01-http-delay  arrivals=1,500/s  in-flight=2400  p95=83.2 ms  errors=0 %  "
        "52s left"
    )


@pytest.mark.parametrize("activity", [RUNNING, "healing 01-http-delay"])
def test_a_lost_worker_is_said_once_and_at_once(tmp_path: Path, activity: str) -> None:
    out = io.StringIO()
    now = replace(status(), activity=activity)
    assert now.load is not None
    with View(RunDir(tmp_path / "run"), FakeClock(), out) as view:
        view.watch(now)
        now.load.remarks.append("Worker w-2 was lost at 47 s; the others took its share")
        view.watch(now)
        view.watch(now)
    said = [line for line in out.getvalue().splitlines() if "w-2" in line]
    assert said == ["load generator: Worker w-2 was lost at 47 s; the others took its share"]
