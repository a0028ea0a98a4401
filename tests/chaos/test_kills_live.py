"""A series of kills in a real Chaos Toolkit child: what ends it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bare_api import NAMESPACE, BareApi
from chaos_objects import pod
from chaos_plans import planned

from runner.chaos.toolkit import ToolkitInjector

pytestmark = pytest.mark.sandbox

SELECTOR = "app=series"
PODS = 12


@pytest.fixture
def pods(bare_api: BareApi) -> Iterator[None]:
    """Ready pods that nobody replaces."""
    names = [f"series-{number:02d}" for number in range(PODS)]
    for name in names:
        body = pod(name)
        status = body.pop("status")
        del body["metadata"]["uid"], body["metadata"]["ownerReferences"]
        body["metadata"]["labels"] = {"app": "series"}
        bare_api.core.create_namespaced_pod(NAMESPACE, body)
        bare_api.core.patch_namespaced_pod_status(name, NAMESPACE, {"status": status})
    yield
    for name in left(bare_api):
        bare_api.core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)


def left(api: BareApi) -> list[str]:
    found = api.core.list_namespaced_pod(NAMESPACE, label_selector=SELECTOR).items
    return [item.metadata.name for item in found]


@pytest.mark.usefixtures("pods")
def test_nobody_is_killed_after_the_series_was_ended(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: an abort is an end. Method: end the child after its second kill, as a run does."""
    fault = planned(
        "pod-kill",
        duration_s=60.0,
        selector=SELECTOR,
        every="500ms",
        while_recovering=True,
        min_healthy=0,
    )
    job = ToolkitInjector().inject(fault, "Run-1", bare_api.target, tmp_path, time.time())
    try:
        until_s = time.monotonic() + 30.0
        while len(left(bare_api)) > PODS - 2:
            assert job.poll() is None, job.tail(20)
            assert time.monotonic() < until_s
            time.sleep(0.05)
        os.kill(job.pid, signal.SIGUSR1)
        while job.poll() is None:
            assert time.monotonic() < until_s
            time.sleep(0.05)
    finally:
        job.stop(1.0)
    there = left(bare_api)
    time.sleep(1.2)
    assert left(bare_api) == there
    assert json.loads((tmp_path / "journal.json").read_text())["status"] == "interrupted"
    lines = (tmp_path / "effects.jsonl").read_text().splitlines()
    killed = [e["subject"] for e in map(json.loads, lines) if e["what"] == "killed"]
    assert len(killed) == PODS - len(there)
