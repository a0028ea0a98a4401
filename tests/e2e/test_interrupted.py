"""Runs that are broken off, each on a sandbox of its own: stopped and healed, and nothing left."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from commands import GONE_BOUND_S, NOTHING, SHOP, Command, Ending, Place, seatrial
from terminals import Terminal
from underway import background

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("crew")]

ABORT = "01-http-abort"
VOYAGE = {
    "load": {"locustfile": SHOP, "stages": [{"duration": "60s", "users": 20}]},
    "faults": [
        {
            "kind": "http-abort",
            "service": "payment-api",
            "at": "3s",
            "duration": "50s",
            "status": 503,
            "percent": 50,
        },
    ],
    "objectives": ["errors < 90%"],
}


def set_off(folder: Path) -> tuple[Place, str]:
    place = Place.make(folder)
    return place, place.experiment("voyage", **VOYAGE)


def in_the_fault(command: Command) -> None:
    command.until_effect(ABORT, "verified")
    command.until_second(4)


@background
def undisturbed(folder: Path) -> Ending:
    place = Place.make(folder)
    load = {"locustfile": SHOP, "stages": [{"duration": "5s", "users": 20}]}
    return seatrial(place, "run", place.experiment("calm", load=load, objectives=["errors < 5%"]))


@background
def terminated(folder: Path) -> Ending:
    place, name = set_off(folder)
    with Command.start(place, "run", name) as command:
        in_the_fault(command)
        command.send(signal.SIGTERM)
        return command.end()


@background
def interrupted_twice(folder: Path) -> Ending:
    """Ctrl-C on a real terminal, and again as soon as the first one is answered."""
    place, name = set_off(folder)
    terminal = Terminal(folder / "terminal")
    with Command.start_on_terminal(place, terminal, "run", name) as command:
        try:
            in_the_fault(command)
            terminal.press(b"\x03")
            command.until(lambda: b"stopping the load and healing" in _shown(folder), "the answer")
            terminal.press(b"\x03")
            return command.end()
        finally:
            terminal.close()


@background
def hung_up(folder: Path) -> Ending:
    """The terminal goes away in the fault."""
    place, name = set_off(folder)
    terminal = Terminal(folder / "terminal")
    with Command.start_on_terminal(place, terminal, "run", name) as command:
        try:
            in_the_fault(command)
        finally:
            terminal.close()
        return command.end()


@background
def killed(folder: Path) -> tuple[Ending, list[Ending]]:
    """SIGKILL; then what a user does: heal, heal again, judge."""
    place, name = set_off(folder)
    with Command.start(place, "run", name) as command:
        in_the_fault(command)
        command.send(signal.SIGKILL)
        ending = command.end(gone_bound_s=GONE_BOUND_S)
    run_id = ending.folder.run_id
    later = [("heal", run_id), ("heal", "latest"), ("evaluate", run_id), ("report", run_id)]
    endings = [seatrial(place, *argv) for argv in later]
    with Command.start(place, "evaluate", run_id, deaf=True) as command:
        return ending, [*endings, command.end()]


def _shown(folder: Path) -> bytes:
    return (folder / "terminal").read_bytes()


def assert_stopped_healed_and_kept(ending: Ending) -> None:
    assert ending.unhealed == frozenset()
    assert f"{ABORT} heal ok" in ending.steps
    assert ending.steps[-2:] == ["target close begin", "target close ok"]
    assert ending.virtual_services("after") == ending.virtual_services("before")
    assert ending.folder.read_load().users.keys() >= {0, 1, 2, 3, 4}
    assert ending.evaluation.verdict == "inconclusive"
    assert ending.finding("run-finished") == "inconclusive"
    assert ending.finding("fault-gone") in ("pass", "warn")
    assert (ending.folder.report_dir / "index.html").stat().st_size > 10_000
    assert "Traceback" not in ending.err
    assert ending.left == NOTHING
    assert len(ending.ports) >= 4  # It was a sandbox of its own, with these ports.


def test_a_run_takes_down_the_sandbox_that_it_started(undisturbed: Ending) -> None:
    assert undisturbed.code == 0, undisturbed.err
    assert undisturbed.evaluation.verdict in ("pass", "warn")
    assert len(undisturbed.ports) >= 4
    assert undisturbed.left == NOTHING


def test_sigterm_stops_and_heals(terminated: Ending) -> None:
    assert terminated.code == 143
    assert_stopped_healed_and_kept(terminated)
    assert terminated.folder.read_manifest().state == "interrupted"
    assert "stopping the load and healing" in terminated.err
    assert "INCONCLUSIVE" in terminated.out


def test_a_second_ctrl_c_does_not_skip_healing(interrupted_twice: Ending) -> None:
    assert interrupted_twice.code == 130
    assert_stopped_healed_and_kept(interrupted_twice)
    assert interrupted_twice.folder.read_manifest().state == "interrupted"


def test_the_terminal_shows_a_live_table_and_the_answer_to_ctrl_c(
    interrupted_twice: Ending,
) -> None:
    shown = interrupted_twice.out
    for text in ("opening the target ...", "Requests/s", "Active faults", ABORT, "1m left"):
        assert text in shown, text
    last = shown[shown.rindex("stopped early, as asked") :]
    assert last.index("load: ") < last.index("The run was interrupted: Ctrl-C was pressed.")
    assert last.index("INCONCLUSIVE") < last.index("report: ")
    for text in ("load: ", "INCONCLUSIVE", "report: "):
        assert shown.count(text) == 1, f"{text} is shown more than once"


def test_a_terminal_that_goes_away_stops_and_heals(hung_up: Ending) -> None:
    assert hung_up.code == 143
    assert_stopped_healed_and_kept(hung_up)


def test_a_killed_runner_takes_its_load_and_its_sandbox_with_it(
    killed: tuple[Ending, list[Ending]],
) -> None:
    """Goal: no orphan, and it is on record. Method: SIGKILL in the fault; all of its processes and
    ports, bounded; what its guardian wrote."""
    ending, _ = killed
    assert ending.code == -signal.SIGKILL
    assert ending.left == NOTHING
    assert len(ending.ports) >= 4
    manifest = ending.folder.read_manifest()
    assert (manifest.state, manifest.reason.partition(";")[0]) == (
        "failed",
        "its runner was killed",
    )
    assert "guardian heal ok" in ending.steps
    assert ending.folder.read_load().users.keys() >= {0, 1, 2, 3, 4}


def test_after_a_kill_heal_is_clean_harmless_and_on_record(
    killed: tuple[Ending, list[Ending]],
) -> None:
    ending, (healed, again, judged, reported, unheard) = killed
    for heal in (healed, again):
        assert heal.code == 0, heal.err
        assert "is gone, and every fault in it" in heal.err
    assert ending.unhealed == frozenset()
    assert judged.code == 3
    assert "The run broke off: its runner was killed; " in judged.out
    assert reported.code == 0
    assert json.loads((ending.folder.report_dir / "report.json").read_text())
    assert [e.left for e in (healed, again, judged, reported)] == [NOTHING] * 4
    # The exit code is the verdict, also where nobody reads on, as after `| head`.
    said = [line.split(" ")[0] for line in unheard.err.splitlines()]
    assert (unheard.code, said) == (3, ["run", "report:"])
