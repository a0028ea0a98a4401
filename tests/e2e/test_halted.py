"""A run that takes over from one that is no more, and is halted itself: on the shared sandbox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NOTHING, Command, Place, seatrial
from parts import ABORT, OBJECTIVES, abort, load, routes

from runner.chaos import virtualservice as vs_
from runner.chaos.annotation import Tag
from runner.chaos.client import KubeCluster
from runner.chaos.objects import VIRTUAL_SERVICES
from runner.model.recording import TargetInfo
from runner.targets.inspection import ask_child

if TYPE_CHECKING:
    from runner.targets.sandbox.control import SandboxInfo

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("crew")]

WRECK = "2026-01-02T030405Z-ab12"


def wreck(info: SandboxInfo) -> None:
    """What a run leaves that was killed together with its guardian: a Lease and a fault."""
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
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as runner:
        assert ask_child("lease", target, "--take", f"--run={WRECK}", f"--pid={runner.pid}") == {}
    cluster = KubeCluster(str(info.kubeconfig), info.context)
    tag = Tag(WRECK, "01-x", "o", "2999-01-01T00:00:00Z", "order-api", vs_.abort_block(503, 1))
    order = cluster.read(VIRTUAL_SERVICES, info.namespace, "order-api")
    cluster.replace(VIRTUAL_SERVICES, vs_.add_fault(order, tag))


def test_a_run_takes_over_and_is_halted(tmp_path: Path, sandbox_info: SandboxInfo) -> None:
    """Goal: no run begins on ruins, and one object ends it. Method: a stale Lease and the fault of
    its run; then `seatrial halt` in the middle of the run's own fault."""
    place = Place.make(tmp_path / "place", sandbox_info.home.parent)
    before = routes(sandbox_info)
    wreck(sandbox_info)
    assert routes(sandbox_info) != before
    name = place.experiment(
        "halted", load=load(40), faults=[abort("payment-api", 3, 30)], objectives=OBJECTIVES
    )
    where = ("--sandbox-name", sandbox_info.name)
    try:
        with Command.start(place, "run", name, *where) as command:
            command.until_effect(ABORT, "verified")
            halted = seatrial(place, "halt", "--reason", "incident 4711", *where)
            ending = command.end()
    finally:
        lifted = seatrial(place, "halt", "--lift", *where)
    assert (halted.code, lifted.code) == (0, 0)
    assert ending.code == 4, ending.err
    assert f"taken over: the Lease of a run that is no more (run {WRECK}, process " in ending.err
    assert "; healed first: virtualservice/order-api in ecommerce" in ending.err
    manifest = ending.folder.read_manifest()
    assert manifest.state == "aborted"
    assert manifest.reason.startswith(
        "every run in ecommerce was told to stop: incident 4711 (set by "
    )
    assert "aborted at " in ending.err
    assert f"healed: {ABORT}; nothing is left in place" in ending.err
    assert "The run was aborted: every run in" in " ".join(ending.out.split())
    assert ending.unhealed == frozenset()
    assert routes(sandbox_info) == before
    assert ending.left == NOTHING
