"""Things that break while a run is under way on the shared sandbox, which others go on using."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from commands import GONE_BOUND_S, NOTHING, Command, Ending, Place, seatrial
from parts import ABORT, OBJECTIVES, abort, load, routes

from runner.model.recording import TargetInfo
from runner.targets import lease
from runner.targets.sandbox import control
from runner.targets.sandbox.control import SandboxInfo

UNDOING = {"chaostoolkit", "runner.chaos.guardian"}
"""Modules of the processes that undo a fault when its runner is gone."""

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("crew")]


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


def release_lease(info: SandboxInfo, run_id: str) -> None:
    """As a person does who deletes it."""
    target = TargetInfo(
        kind="sandbox",
        name=info.name,
        namespace=info.namespace,
        ingress_url=info.ingress_url,
        host=info.host,
        prometheus_url=info.prometheus_url,
        kubeconfig=str(info.kubeconfig),
        context=info.context,
    )
    lease.release(target, run_id)


@pytest.fixture
def place(tmp_path: Path, sandbox_info: SandboxInfo) -> Place:
    return Place.make(tmp_path / "place", sandbox_info.home.parent)


def test_a_service_that_is_not_there(place: Place, sandbox_info: SandboxInfo) -> None:
    """Goal: no load on a target that cannot take the plan. Method: two misspelt services."""
    faults = [abort("paymnt-api", 3, 3), abort("order-api", 6, 3)]
    objectives = [{"objective": "traffic > 1/s", "service": "prodct-api"}]
    name = place.experiment("absent", load=load(12), faults=faults, objectives=objectives)
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
    refused(ending, "the load generator ended at", "of 40 s by signal 9, killed from outside")
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
    """Goal: promise 2. Method: SIGKILL in the fault; its orphan rolls back, its guardian heals and
    puts that on record, and both end, bounded."""
    before = routes(sandbox_info)
    name = place.experiment(
        "orphan", load=load(40), faults=[abort("payment-api", 3, 30)], objectives=OBJECTIVES
    )
    with Command.start(place, "run", name, "--sandbox-name", sandbox_info.name) as command:
        command.until_effect(ABORT, "verified")
        command.send(signal.SIGKILL)
        ending = command.end(gone_bound_s=GONE_BOUND_S)
    assert ending.left == NOTHING
    assert routes(sandbox_info) == before
    assert ending.unhealed == frozenset()
    assert ending.steps[-3:] == ["guardian heal begin", "guardian heal ok", f"{ABORT} heal ok"]
    reason = ending.folder.read_manifest().reason
    assert reason.startswith(f"its runner was killed; the guardian healed {ABORT} in ")
    healed = seatrial(place, "heal", ending.folder.run_id)
    assert healed.code == 0
    assert healed.out.startswith(f"nothing to heal: no fault of run {ending.folder.run_id} in ")


def test_heal_removes_what_a_killed_run_left(place: Place, sandbox_info: SandboxInfo) -> None:
    """Goal: `heal RUN` finds it by name. Method: SIGKILL to the runner, to the fault's child and to
    the guardian; a Lease that is gone, too, because it would have the next run heal."""
    before = routes(sandbox_info)
    name = place.experiment(
        "wreck", load=load(40), faults=[abort("payment-api", 3, 30)], objectives=OBJECTIVES
    )
    with Command.start(place, "run", name, "--sandbox-name", sandbox_info.name) as command:
        command.until_effect(ABORT, "verified")
        undoing = [p for p in command.seen if p.is_running() and UNDOING & {*p.cmdline()}]
        assert len(undoing) == 2
        for process in undoing:
            process.suspend()  # Or it would undo the fault when the runner is gone.
        command.send(signal.SIGKILL)
        command.process.wait()
        for process in undoing:
            process.kill()
        ending = command.end(gone_bound_s=20)
    assert ending.left.processes == ()
    left = routes(sandbox_info)
    assert left != before
    run_id = ending.folder.run_id
    assert f"seatrial-{run_id.lower()}-{ABORT}" in str(left)
    release_lease(sandbox_info, run_id)
    refused(
        seatrial(place, "run", name, "--sandbox-name", sandbox_info.name),
        f"virtualservice/payment-api still carries the fault {ABORT} of run {run_id}",
        f"remove it with `seatrial heal {run_id} --sandbox-name {sandbox_info.name}`",
    )
    status = seatrial(place, "sandbox", "status", "--name", sandbox_info.name)
    assert f"carries the fault {ABORT} of run {run_id}" in " ".join(status.out.split())
    healed = seatrial(place, "heal", run_id)
    said = "healed: virtualservice/payment-api in ecommerce\n"
    assert (healed.code, healed.out) == (0, said), healed.err
    assert routes(sandbox_info) == before
    again = seatrial(place, "heal", "latest", "-o", "json")
    nothing: dict[str, list[str]] = {"removed": [], "left": [], "others": [], "notes": []}
    assert (again.code, json.loads(again.out)) == (0, nothing)
    assert again.left == NOTHING  # What the killed child had among its temporary files, too.
    assert ending.unhealed == frozenset()
