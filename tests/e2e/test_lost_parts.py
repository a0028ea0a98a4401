"""Parts of a sandbox that are lost in a run, each on a sandbox of its own."""

from __future__ import annotations

import functools
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import GONE_BOUND_S, NOTHING, Command, Ending, Place, seatrial
from parts import ABORT, OBJECTIVES, abort, load, routes
from underway import background

from runner.targets.sandbox import control

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("crew")]


@background
def blinded(folder: Path) -> Ending:
    """Prometheus dies in the fault."""
    place = Place.make(folder)
    name = place.experiment(
        "blinded", load=load(9), faults=[abort("payment-api", 3, 4)], objectives=OBJECTIVES
    )
    with Command.start(place, "run", name) as command:
        command.until_effect(ABORT, "verified")
        (prometheus,) = (p for p in command.seen if p.is_running() and p.name() == "prometheus")
        prometheus.kill()
        return command.end()


def test_prometheus_dies_in_a_run(blinded: Ending) -> None:
    """Goal: no verdict without signals, but the load's figures. Method: its process is killed."""
    assert blinded.code == 3
    assert blinded.folder.read_manifest().state == "recorded"
    signals = blinded.folder.read_signals()
    assert signals is not None
    assert signals.error
    assert blinded.finding("signals-complete") == "inconclusive"
    assert "Prometheus gave no usable answer" in blinded.out
    seconds = set(blinded.folder.read_load().users)
    assert seconds - {9} == set(range(9))  # A last request may leave as the load is told to end.
    assert sum(phase.requests for phase in blinded.evaluation.phases) > 60
    assert (blinded.folder.report_dir / "index.html").exists()
    assert blinded.unhealed == frozenset()
    assert blinded.left == NOTHING
    assert "Traceback" not in blinded.err


@dataclass
class Stuck:
    ending: Ending
    before: list[tuple[str, Any, Any]]
    healed: Ending
    after: list[tuple[str, Any, Any]]
    down: Ending


@functools.partial(background, first=True)
def stuck(folder: Path) -> Stuck:
    """The API server answers no more in the fault, and comes back after the run."""
    place = Place.make(folder)
    up = seatrial(place, "sandbox", "up", "--name", "stuck", "-o", "json")
    assert up.code == 0, up.err
    info = control.status("stuck", root=place.sandboxes)
    assert info is not None
    before = routes(info)
    name = place.experiment(
        "stuck", load=load(40), faults=[abort("payment-api", 2, 30)], objectives=OBJECTIVES
    )
    with Command.start(place, "run", name, "--sandbox-name", "stuck") as command:
        command.until_effect(ABORT, "verified")
        command.until_second(3)
        os.kill(info.pids["supervisor"], signal.SIGSTOP)
        try:
            command.send(signal.SIGTERM)
            ending = command.end(bound_s=200)
        finally:
            os.kill(info.pids["supervisor"], signal.SIGCONT)
    healed = seatrial(place, "heal", ending.folder.run_id)
    after = routes(info)
    with Command.start(place, "sandbox", "down", "--name", "stuck") as command:
        # The guardian of the run was left behind, and finds that the sandbox is gone.
        return Stuck(ending, before, healed, after, command.end(gone_bound_s=GONE_BOUND_S))


def test_what_could_not_be_healed_is_said_and_healed_later(stuck: Stuck) -> None:
    """Goal: 5 wins, with the command that finishes the work. Method: a stopped API server."""
    ending = stuck.ending
    assert ending.code == 5, ending.err
    assert "Traceback" not in ending.err
    assert f"SOMETHING MAY BE LEFT BROKEN: {ABORT}" in ending.err
    assert f"to finish the work: seatrial heal {ending.folder.run_id}" in ending.err
    assert "the guardian of the run goes on trying" in ending.err
    assert f"{ABORT} heal unknown" in ending.steps
    assert ending.folder.read_load().users.keys() >= {0, 1, 2, 3}
    assert stuck.healed.code == 0, stuck.healed.err
    assert stuck.after == stuck.before
    assert ending.unhealed == frozenset()
    assert stuck.down.code == 0
    assert stuck.down.left == NOTHING
