"""Faults on pods, Deployments and nodes by plain ``chaos run``, on real pods that come back."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from workload_cluster import APP, NAMESPACE, Cluster, cluster, deploy

from runner.chaos.toolkit import ToolkitInjector
from runner.model.fault import Fault
from runner.model.plan import PlannedFault
from runner.model.recording import TargetInfo
from runner.targets.sandbox.apiclient import DEPLOYMENTS, NODES, Obj

pytestmark = pytest.mark.sandbox

RUN = "2026-11-20T092337Z-ab12"
LEAD_S, GRACE_S = 1.5, 25.0
_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


def planned(number: int, kind: str, duration_s: float, **fields: Any) -> PlannedFault:
    wish = {"kind": kind, "service": APP, "at": "0s", "duration": f"{duration_s}s", **fields}
    return PlannedFault(
        id=f"{number:02d}-{kind}",
        start_s=0.0,
        end_s=duration_s,
        undo_by_s=duration_s + GRACE_S,
        seed=number,
        fault=_FAULT.validate_python(wish),
    )


async def play(on: Cluster, home: Path, fault: PlannedFault) -> tuple[dict[str, Any], list[Any]]:
    """The journal and the effects of a child that has come to its end."""
    target = TargetInfo(
        kind="sandbox",
        name="workloads",
        namespace=NAMESPACE,
        ingress_url="http://127.0.0.1:1",
        host="",
        prometheus_url="http://127.0.0.1:1",
        kubeconfig=str(on.settings.kubeconfig),
        context="",
    )
    workdir = home / fault.id
    start = ToolkitInjector().inject
    job = await asyncio.to_thread(start, fault, RUN, target, workdir, time.time() + LEAD_S)

    async def over() -> bool:
        return job.poll() is not None

    try:
        await on.until(over, 60.0)
    finally:
        await asyncio.to_thread(job.stop, 1.0)
    journal = json.loads((workdir / "journal.json").read_text())
    assert (journal["status"], journal["deviated"]) == ("completed", False), job.tail(20)
    lines = (workdir / "effects.jsonl").read_text(encoding="utf-8").splitlines()
    return journal, list(map(json.loads, lines))


def users(obj: Obj) -> dict[str, Any]:
    """What the user owns of an object."""
    kept = {k: v for k, v in obj["metadata"].items() if k in ("labels", "annotations")}
    return {"metadata": kept, "spec": obj["spec"]}


def whats(effects: list[Any]) -> list[str]:
    return [effect["what"] for effect in effects]


def test_faults_on_workloads_by_chaos_run(tmp_path: Path) -> None:
    """Goal: each kind is carried out, seen, undone exactly, and the pods are back.

    Method: one after the other on two pods on two nodes: kills that repeat, a scaling, a restart, a
    drain; then the objects as they were before.
    """

    async def scene() -> None:
        async with cluster(tmp_path, nodes=2) as on:
            first = await deploy(on, 2)
            assert {pod["spec"]["nodeName"] for pod in first} == set(on.settings.node_names)
            await _kills(on, tmp_path)
            before = users(await on.client.get(DEPLOYMENTS, APP, NAMESPACE))
            await _scaling(on, tmp_path)
            assert users(await on.client.get(DEPLOYMENTS, APP, NAMESPACE)) == before
            await _restart(on, tmp_path)
            await _drain(on, tmp_path)

    asyncio.run(scene())


async def _kills(on: Cluster, home: Path) -> None:
    uids = {pod["metadata"]["uid"] for pod in await on.ready(2)}
    journal, effects = await play(on, home, planned(1, "pod-kill", 4.0, every="3s"))
    result = journal["run"][-1]["output"]
    assert result["kills"] + len(result["skipped"]) == 2
    assert whats(effects)[:3] == ["killed", "replaced", "ready"]
    assert whats(effects).count("killed") == result["kills"]
    now = {pod["metadata"]["uid"] for pod in await on.ready(2)}
    assert {one["uid"] for one in result["killed"]}.isdisjoint(now)
    assert result["killed"][0]["uid"] in uids


async def _scaling(on: Cluster, home: Path) -> None:
    _, effects = await play(on, home, planned(2, "scale", 4.0, replicas=3))
    assert whats(effects) == ["injected", "verified", "seen", "removed", "gone", "ready"]
    assert effects[2]["detail"].startswith("3 of 3 pods ready")
    assert effects[-1]["detail"].startswith("2 of 2 pods ready")
    await on.ready(2)


async def _restart(on: Cluster, home: Path) -> None:
    old = {pod["metadata"]["uid"] for pod in await on.ready(2)}
    journal, effects = await play(on, home, planned(3, "rollout-restart", 1.0))
    assert whats(effects) == ["injected", "replaced", "replaced", "ready"]
    result = journal["run"][-1]["output"]
    assert set(result["before"].values()) == old
    assert set(result["after"].values()).isdisjoint(old)
    new = {pod["metadata"]["uid"] for pod in await on.ready(2)}
    assert set(result["after"].values()) == new


async def _drain(on: Cluster, home: Path) -> None:
    nodes = {name: users(await on.client.get(NODES, name)) for name in on.settings.node_names}
    journal, effects = await play(on, home, planned(4, "drain", 6.0, grace_period="0s"))
    drained = effects[0]["subject"].removeprefix("node/")
    result = next(
        step["output"] for step in journal["run"] if step["activity"]["name"] == "evict-pods"
    )
    assert result["node"] == drained
    assert len(result["evicted"]) >= 1
    assert whats(effects)[:2] == ["injected", "verified"]
    assert whats(effects)[-3:] == ["removed", "gone", "ready"]
    assert {"evicted", "replaced", "ready"} <= set(whats(effects))
    assert {pod["spec"]["nodeName"] for pod in await on.ready(2)} == set(nodes) - {drained}
    assert {name: users(await on.client.get(NODES, name)) for name in nodes} == nodes
