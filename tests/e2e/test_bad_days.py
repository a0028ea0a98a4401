"""Things that break while a run is under way, on the shared sandbox and on own ones."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import NOTHING, SHOP, Command, Ending, Place, seatrial
from underway import background

from runner.targets.sandbox import control
from runner.targets.sandbox.apiclient import VIRTUALSERVICES, ApiClient
from runner.targets.sandbox.control import SandboxInfo

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("crew")]

ABORT = "01-http-abort"
OBJECTIVES = ["errors < 90%"]


def load(seconds: int, locustfile: str = SHOP) -> dict[str, object]:
    return {"locustfile": locustfile, "stages": [{"duration": f"{seconds}s", "users": 20}]}


def abort(service: str, at: int, duration: int, **more: object) -> dict[str, object]:
    when = {"at": f"{at}s", "duration": f"{duration}s"}
    return {"kind": "http-abort", "service": service, "status": 503, **when, **more}


def refused(ending: Ending, *words: str, code: int = 3) -> None:
    assert ending.code == code, ending.err
    assert "Traceback" not in ending.err
    assert "bug:" not in ending.err
    assert "error: " in ending.err
    for word in words:
        assert word in ending.err, f"{word!r} is not in:\n{ending.err}"
    assert ending.left == NOTHING


def assert_kept(ending: Ending, seconds: int) -> None:
    """What was recorded is on disk, judged and reported, and proves nothing."""
    assert ending.folder.read_load().users.keys() >= set(range(seconds))
    assert ending.evaluation.verdict == "inconclusive"
    assert ending.finding("run-finished") == "inconclusive"
    assert (ending.folder.report_dir / "index.html").stat().st_size > 10_000


# -- on the shared sandbox -------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, sandbox_info: SandboxInfo) -> Place:
    return Place.make(tmp_path / "place", sandbox_info.home.parent)


def routes(info: SandboxInfo) -> list[tuple[str, Any, Any]]:
    """Name, spec and annotations of each VirtualService of a sandbox now."""

    async def ask() -> list[dict[str, Any]]:
        client = ApiClient.from_kubeconfig(info.kubeconfig)
        try:
            items, _ = await client.list(VIRTUALSERVICES, info.namespace)
        finally:
            await client.close()
        return items

    found = asyncio.run(ask())
    return sorted((o["metadata"]["name"], o["spec"], _notes(o)) for o in found)


def _notes(obj: dict[str, Any]) -> Any:
    return obj["metadata"].get("annotations")


def test_a_service_that_is_not_there(place: Place, sandbox_info: SandboxInfo) -> None:
    """Goal: no load on a target that cannot take the plan. Method: two misspelt services."""
    faults = [abort("paymnt-api", 3, 3), abort("order-api", 6, 2)]
    objectives = [{"objective": "traffic > 1/s", "service": "prodct-api"}]
    name = place.experiment("absent", load=load(9), faults=faults, objectives=objectives)
    ending = seatrial(place, "run", name, "--sandbox-name", sandbox_info.name)
    refused(ending, "there is no Service paymnt-api in ecommerce", "no Service prodct-api")
    assert "load start begin" not in ending.steps
    assert ending.folder.read_manifest().state == "failed"


def test_a_locust_file_that_crashes_at_import(place: Place, sandbox_info: SandboxInfo) -> None:
    file = place.work / "experiments" / "sinking.py"
    file.write_text("import locust\nraise RuntimeError('no such shop')\n")
    name = place.experiment("sinking", load=load(9, "sinking.py"), objectives=OBJECTIVES)
    ending = seatrial(place, "run", name, "--sandbox-name", sandbox_info.name)
    assert ending.code == 3
    assert "ended with exit code 1 before it sent a request" in ending.err
    assert "RuntimeError: no such shop" in ending.err
    assert "hint: does the Locust file import" in ending.err
    assert "conductor.py" not in ending.err  # A traceback of the user's file, never one of ours.
    assert ending.left == NOTHING
    assert "RuntimeError: no such shop" in ending.folder.log_path("locust").read_text()


def test_locust_dies_in_a_fault(place: Place, sandbox_info: SandboxInfo) -> None:
    """Goal: seconds are kept, the fault is healed. Method: SIGKILL to the generator, by its pid."""
    before = routes(sandbox_info)
    faults = [abort("payment-api", 3, 30)]
    name = place.experiment("adrift", load=load(40), faults=faults, objectives=OBJECTIVES)
    with Command.start(place, "run", name, "--sandbox-name", sandbox_info.name) as command:
        command.until_effect(ABORT, "verified")
        command.until_second(4)
        (locust,) = (p for p in command.seen if p.is_running() and "locust" in p.cmdline())
        locust.kill()
        ending = command.end()
    refused(ending, "the load generator ended at", "of 40 s with exit code -9")
    assert_kept(ending, seconds=4)
    assert f"{ABORT} heal ok" in ending.steps
    assert routes(sandbox_info) == before


@pytest.fixture(scope="module")
def guarded(
    sandbox_info: SandboxInfo, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ending, Ending]:
    """A run whose guard trips, and a rival that comes while it is under way."""
    place = Place.make(tmp_path_factory.mktemp("guarded") / "place", sandbox_info.home.parent)
    parts = {"load": load(40), "faults": [abort("product-api", 3, 30)], "objectives": OBJECTIVES}
    guards = [{"abort_when": "errors > 10%", "for": "1s", "grace": "1s"}]
    first = place.experiment("guarded", guards=guards, **parts)
    second = place.experiment("rival", **parts)
    with Command.start(place, "run", first, "--sandbox-name", sandbox_info.name) as command:
        command.until_second(0)
        rival = seatrial(place, "run", second, "--sandbox-name", sandbox_info.name)
        return command.end(), rival


def test_a_guard_trips(guarded: tuple[Ending, Ending], sandbox_info: SandboxInfo) -> None:
    """Goal: 4, healed. Method: four in ten requests are refused, and a guard minds."""
    ending, _ = guarded
    assert ending.code == 4, ending.err
    assert ending.folder.read_manifest().state == "aborted"
    assert ending.folder.read_manifest().reason.startswith("errors > 10% held for 1 s")
    assert ending.unhealed == frozenset()
    assert_kept(ending, seconds=6)
    assert "The run was aborted by a guard" in ending.out
    assert ending.left == NOTHING
    assert ending.virtual_services("after") == ending.virtual_services("before")
    status = control.status(sandbox_info.name, root=sandbox_info.home.parent)
    assert status is not None
    assert status.state == "ready"


def test_one_run_at_a_time(guarded: tuple[Ending, Ending]) -> None:
    """Goal: a run has its target for itself. Method: a second one while the first goes on."""
    _, rival = guarded
    assert rival.code == 3
    assert "another run (process " in rival.err
    assert "is using the sandbox 'tests'" in rival.err
    assert "load start begin" not in rival.steps
    assert rival.folder.read_manifest().state == "failed"


def test_a_killed_runner_undoes_its_fault_by_itself(
    place: Place, sandbox_info: SandboxInfo
) -> None:
    """Goal: promise 2. Method: SIGKILL in the fault; its orphan rolls back and ends, bounded."""
    before = routes(sandbox_info)
    name = place.experiment(
        "orphan", load=load(40), faults=[abort("payment-api", 3, 30)], objectives=OBJECTIVES
    )
    with Command.start(place, "run", name, "--sandbox-name", sandbox_info.name) as command:
        command.until_effect(ABORT, "verified")
        command.send(signal.SIGKILL)
        ending = command.end(gone_bound_s=20)
    assert ending.left == NOTHING
    assert routes(sandbox_info) == before
    assert ending.unhealed == {ABORT}  # Nobody has written it down yet.
    healed = seatrial(place, "heal", ending.folder.run_id)
    assert (healed.code, healed.out) == (0, "nothing to heal\n")
    assert ending.unhealed == frozenset()


def test_heal_removes_what_a_killed_run_left(place: Place, sandbox_info: SandboxInfo) -> None:
    """Goal: `heal RUN` finds it by name. Method: SIGKILL to the runner and to the fault's child."""
    before = routes(sandbox_info)
    name = place.experiment(
        "wreck", load=load(40), faults=[abort("payment-api", 3, 30)], objectives=OBJECTIVES
    )
    with Command.start(place, "run", name, "--sandbox-name", sandbox_info.name) as command:
        command.until_effect(ABORT, "verified")
        (child,) = (p for p in command.seen if p.is_running() and "chaostoolkit" in p.cmdline())
        child.suspend()  # Or it would undo its fault when the runner is gone.
        command.send(signal.SIGKILL)
        command.process.wait()
        child.kill()
        ending = command.end(gone_bound_s=20)
    assert ending.left.processes == ()
    left = routes(sandbox_info)
    assert left != before
    run_id = ending.folder.run_id
    assert f"seatrial-{run_id.lower()}-{ABORT}" in str(left)
    healed = seatrial(place, "heal", run_id)
    said = "healed: virtualservice/payment-api in ecommerce\n"
    assert (healed.code, healed.out) == (0, said), healed.err
    assert routes(sandbox_info) == before
    again = seatrial(place, "heal", "latest", "-o", "json")
    assert (again.code, again.out.split()) == (0, ["{", '"removed":', "[],", '"left":', "[]", "}"])
    assert ending.unhealed == frozenset()


# -- on sandboxes of their own ---------------------------------------------------------------------


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
    assert blinded.folder.read_load().users.keys() == set(range(9))
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


@background
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
        return Stuck(ending, before, healed, after, command.end())


def test_what_could_not_be_healed_is_said_and_healed_later(stuck: Stuck) -> None:
    """Goal: 5 wins, with the command that finishes the work. Method: a stopped API server."""
    ending = stuck.ending
    assert ending.code == 5, ending.err
    assert "Traceback" not in ending.err
    assert f"SOMETHING MAY BE LEFT BROKEN: {ABORT}" in ending.err
    assert f"to finish the work: seatrial heal {ending.folder.run_id}" in ending.err
    assert f"{ABORT} heal unknown" in ending.steps
    assert ending.folder.read_load().users.keys() >= {0, 1, 2, 3}
    assert stuck.healed.code == 0, stuck.healed.err
    assert stuck.after == stuck.before
    assert ending.unhealed == frozenset()
    assert stuck.down.code == 0
    assert stuck.down.left == NOTHING
