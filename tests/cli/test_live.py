"""What a person sees of a run: plain lines, the live table, and readers that go away."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from runner.analysis.live import LiveLoad
from runner.cli.hearing import Patient, may_be_unheard
from runner.cli.live import RUNNING, View, closing_line, live_frame, plain_line
from runner.model.experiment import Experiment
from runner.model.histogram import bucket_of
from runner.model.plan import Plan, make_plan
from runner.model.recording import LoadRow
from runner.progress import Status
from runner.store import RunDir
from runner.testing import FakeClock

ABORT = {"kind": "http-abort", "service": "payment-api", "status": 503}
KILL = {"kind": "pod-kill", "service": "order-api"}


@pytest.fixture
def plan() -> Plan:
    return make_plan(
        Experiment.model_validate(
            {
                "name": "two-faults",
                "description": "One kill and one abort at the same time.",
                "load": {"locustfile": "shop.py", "stages": [{"duration": "100s", "users": 100}]},
                "faults": [
                    KILL | {"at": "40s", "duration": "20s"},
                    ABORT | {"at": "40s", "duration": "20s"},
                ],
                "objectives": ["errors < 1%"],
            }
        )
    )


@pytest.fixture
def load() -> LiveLoad:
    """A hundred requests in each second, two of them refused."""
    live = LiveLoad()
    for second in range(60):
        ok = LoadRow(second, "GET /", "success", {bucket_of(83_000): 98})
        bad = LoadRow(second, "GET /", "http_5xx", {bucket_of(900): 2})
        live.add([ok, bad], [(second, 100)], second + 1.0)
    return live


@pytest.fixture
def in_fault(plan: Plan, load: LiveLoad) -> Status:
    return Status(
        activity=RUNNING,
        plan=plan,
        offset_s=47.3,
        phase=plan.phase_at(47.3),
        load=load,
        active_faults=("01-pod-kill", "02-http-abort"),
    )


def shown(status: Status, width: int, *, busy_s: float = 0.0, said: str = "") -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=False, highlight=False)
    console.print(live_frame(status, busy_s=busy_s, said=said))
    return [line.rstrip() for line in out.getvalue().replace("\u00a0", " ").splitlines()]


@pytest.fixture
def view(tmp_path: Path) -> tuple[View, FakeClock, io.StringIO]:
    clock, out = FakeClock(), io.StringIO()
    return View(RunDir(tmp_path / "2026-01-01T000000Z-0001"), clock, out), clock, out


def test_a_plain_line_says_time_phase_load_and_faults(in_fault: Status) -> None:
    assert plain_line(in_fault).replace("\u00a0", " ") == (
        "00:47  fault 01-pod-kill + 02-http-abort  users=100  100/s  p95=83.2 ms  errors=2 %  "
        "53s left"
    )


def test_a_fault_whose_time_is_over_is_healing(in_fault: Status, plan: Plan) -> None:
    """Goal: no fault is shown active in a recovery. Method: one of two is not gone yet."""
    status = replace(in_fault, offset_s=61.0, phase=plan.phase_at(61.0), active_faults=())
    healing = replace(status, healing_faults=("01-pod-kill",))
    assert plain_line(healing).replace("\u00a0", " ").startswith("01:01  recovery  users=100")
    assert plain_line(healing).endswith("healing 01-pod-kill  39s left")
    assert "faults=" not in plain_line(healing)
    assert "healing 01-pod-kill" in " ".join(shown(healing, 140))


def test_a_guard_that_holds_is_shown(in_fault: Status) -> None:
    """Goal: nobody is surprised by an abort. Method: one guard 12 s into its 30 s, one longer."""
    near = ("errors > 60%: 12 of 30 s", f"…{'x' * 47}: 3 of 120 s")
    status = replace(in_fault, near_guards=near)
    assert "  guard errors > 60%: 12 of 30 s  guard …x" in plain_line(status)
    lines = shown(status, 80)
    assert [line for line in lines if line.startswith("guard")] == [f"guard {one}" for one in near]
    assert not [line for line in shown(in_fault, 80) if line.startswith("guard")]


def test_before_and_after_the_load_a_plain_line_says_what_is_done(in_fault: Status) -> None:
    opening = replace(in_fault, activity="opening the target", offset_s=None, load=None)
    assert plain_line(opening) == "opening the target ..."
    after = replace(in_fault, activity="collecting signals", offset_s=104.0)
    assert plain_line(after) == "01:40  collecting signals ..."


def test_the_closing_line_counts_everything(in_fault: Status) -> None:
    assert closing_line(in_fault) == "load: 47s of 1m 40s, 6,000 requests, 120 failed"


@pytest.mark.parametrize("width", [80, 140])
def test_the_live_table_fits_the_terminal(in_fault: Status, width: int) -> None:
    """Goal: readable at 80 columns. Method: every line of the frame, at two widths."""
    lines = [line for line in shown(in_fault, width) if line]
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("00:47 of 01:40  ━")
    assert lines[0].endswith("53s left")
    assert lines[1].split() == ["Phase", "Users", "Requests/s", "p95", "Errors", "Active", "faults"]
    figures = " ".join(" ".join(lines[3:]).split())
    words = "fault 01-pod-kill + 02-http-abort 100 100/s 83.2 ms 2 % 01-pod-kill, 02-http-abort"
    assert sorted(figures.split()) == sorted(words.split())


def test_columns_stand_still_while_figures_change(in_fault: Status) -> None:
    calm = replace(in_fault, phase=in_fault.plan.phases[0], active_faults=())
    wild = replace(in_fault, active_faults=("02-http-abort",))
    assert shown(calm, 80)[1:3] == shown(wild, 80)[1:3]


def test_the_frame_says_what_goes_on_beside_the_load(in_fault: Status) -> None:
    opening = replace(in_fault, activity="opening the target", offset_s=None, load=None)
    assert shown(opening, 80, busy_s=0.4) == ["opening the target ..."]
    assert shown(opening, 80, busy_s=4.7) == ["opening the target ... 4s"]
    healing = shown(
        replace(in_fault, activity="healing 01-pod-kill"), 80, busy_s=2, said="stopping"
    )
    assert healing[-2:] == ["healing 01-pod-kill ... 2s", "stopping"]
    collecting = replace(in_fault, activity="collecting signals", offset_s=103.0, phase=None)
    assert [line.split("  ")[0] for line in shown(collecting, 80)] == [
        "01:40 of 01:40",
        "collecting signals ...",
    ]


def test_without_a_terminal_a_line_comes_with_each_change_and_every_ten_seconds(
    view: tuple[View, FakeClock, io.StringIO], in_fault: Status, plan: Plan
) -> None:
    """Goal: logs that can be read. Method: a run of 100 s, looked at ten times a second."""
    watched, clock, out = view
    with watched:
        watched.watch(replace(in_fault, activity="opening the target", offset_s=None, load=None))
        for tenth in range(1001):
            clock.sleep(0.1)
            at_s = tenth / 10
            watched.watch(replace(in_fault, offset_s=at_s, phase=plan.phase_at(at_s)))
        watched.watch(replace(in_fault, activity="collecting signals", offset_s=100.2, phase=None))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("run 2026-01-01T000000Z-0001 -> ")
    assert lines[1] == "opening the target ..."
    times = [line.split()[0] for line in lines[2:-2]]
    assert times == [f"{at // 60:02d}:{at % 60:02d}" for at in range(0, 100, 10)]
    assert [line.split()[1] for line in lines[2:-2]] == [
        *["baseline"] * 4, *["fault"] * 2, *["recovery"] * 4
    ]  # fmt: skip
    assert lines[-2:] == [
        "01:40  collecting signals ...",
        "load: 1m 40s of 1m 40s, 6,000 requests, 120 failed",
    ]


def test_to_and_fro_within_a_second_is_told_once(
    view: tuple[View, FakeClock, io.StringIO], in_fault: Status
) -> None:
    """Goal: no line twice. Method: healing, running and healing again at one offset."""
    watched, _, stream = view
    healing = replace(in_fault, activity="healing 01-http-abort", phase=None)
    with watched:
        for status in (healing, in_fault, healing, in_fault):
            watched.watch(status)
    lines = stream.getvalue().splitlines()
    assert sum("healing 01-http-abort ..." in line for line in lines) == 1
    assert sum("users=" in line for line in lines) == 1


def test_the_answer_to_a_signal_is_written_at_once(tmp_path: Path, in_fault: Status) -> None:
    with (tmp_path / "err").open("w") as stream:
        watched = View(RunDir(tmp_path / "run"), FakeClock(), stream)
        with watched:
            watched.say("stopping the load and healing")
            assert "stopping the load and healing\n" in (tmp_path / "err").read_text()
        assert watched.over


def test_a_reader_that_went_away_changes_nothing() -> None:
    """Goal: no exception, and no trouble at the end. Method: a pipe without a reader."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        patient = Patient(stream)
        assert patient.write("nobody hears this\n") == 18
        patient.flush()
        assert not patient.isatty()
        os.write(stream.fileno(), b"and this goes nowhere")


def test_only_a_missing_reader_is_forgiven() -> None:
    with pytest.raises(ValueError, match="ours"), may_be_unheard():
        raise ValueError("ours")
    with pytest.raises(OSError, match="No space"), may_be_unheard():
        raise OSError(28, "No space left on device", "results/x/manifest.json")
    with may_be_unheard(io.StringIO()):
        raise BrokenPipeError(32, "Broken pipe")


def test_output_that_a_full_disk_does_not_take_ends_no_run() -> None:
    with may_be_unheard(io.StringIO()):
        raise OSError(28, "No space left on device")
