"""The Lease that keeps a second run away from a target: its rules, and on a real API server."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bare_api import NAMESPACE, BareApi

from runner.errors import TargetBusyError
from runner.model.recording import TargetInfo
from runner.targets import lease

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_live_process_of_this_machine_holds_it_whatever_the_clock_says() -> None:
    mine = lease.new_lease(60, os.getpid(), NOW)
    for later_s in (0, 59, 3600):
        said = lease.holder_of(mine, NOW + timedelta(seconds=later_s))
        assert said.startswith(f"process {os.getpid()} on ")
        assert said.endswith(
            ", since 2026-01-02 03:04:05 UTC, until 2026-01-02 03:05:05 UTC at the latest"
        )


def test_a_process_that_is_gone_holds_nothing() -> None:
    """Goal: a run that was killed blocks nobody. Method: the Lease of a child that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        held = lease.new_lease(60, child.pid, NOW)
        assert lease.holder_of(held, NOW) != ""
    assert lease.holder_of(held, NOW) == ""


@pytest.mark.parametrize(("later_s", "holds"), [(0, True), (59.9, True), (60, False)])
def test_the_lease_of_another_machine_ends_with_its_time(later_s: float, holds: bool) -> None:
    held = lease.new_lease(60, os.getpid(), NOW)
    held["metadata"]["annotations"][lease.PROCESS] = "another-boot/4026531836/1/1"
    assert bool(lease.holder_of(held, NOW + timedelta(seconds=later_s))) is holds


@pytest.mark.parametrize("mark", ["", "x", "///", None])
def test_a_lease_of_any_shape_ends_with_its_time(mark: str | None) -> None:
    held = lease.new_lease(60, os.getpid(), NOW)
    held["metadata"]["annotations"] = None if mark is None else {lease.PROCESS: mark}
    assert lease.holder_of(held, NOW).startswith("process ")
    assert lease.holder_of({"metadata": held["metadata"]}, NOW) == ""
    held["spec"]["renewTime"] = "2026-01-02T03:04:05"  # Nobody knows where.
    assert lease.holder_of(held, NOW) == ""


@pytest.mark.sandbox
def test_a_second_run_is_told_who_holds_the_target_and_until_when(bare_api: BareApi) -> None:
    """Goal: one run at a time. Method: what the child does, in the names of several processes."""
    assert ask(bare_api, take=60) == {}
    try:
        (held,) = leases(bare_api)
        assert held["spec"]["leaseDurationSeconds"] == 60
        busy = ask(bare_api, take=60, pid=os.getppid())["busy"]
        assert busy.startswith(f"process {os.getpid()} on ")
        others = {**held["metadata"]["annotations"], lease.PROCESS: "another-boot/1/1/1"}
        put(bare_api, held, others, held["spec"])
        assert ask(bare_api) == {}  # Not given back: it is not ours any more.
        (held,) = leases(bare_api)
        assert held["metadata"]["annotations"] == others
        put(bare_api, held, others, {**held["spec"], "renewTime": "2026-01-01T00:00:00.000000Z"})
        assert ask(bare_api, take=90) == {}
        assert [item["spec"]["leaseDurationSeconds"] for item in leases(bare_api)] == [90]
    finally:
        assert [ask(bare_api), ask(bare_api)] == [{}, {}]
    assert leases(bare_api) == []


@pytest.mark.sandbox
def test_a_holder_is_named_in_the_error(bare_api: BareApi) -> None:
    assert ask(bare_api, take=60) == {}
    try:
        with pytest.raises(TargetBusyError) as caught:
            lease.take(bare_api.target, 60, print)
    finally:
        ask(bare_api)
    assert caught.value.message.startswith(f"another run holds bare: process {os.getpid()} on ")
    assert f"kubectl -n {NAMESPACE} delete lease seatrial" in caught.value.hint


def ask(api: BareApi, take: float = 0.0, pid: int = 0) -> dict[str, str]:
    asked = argparse.Namespace(
        kubeconfig=str(api.kubeconfig),
        context=api.target.context,
        namespace=NAMESPACE,
        take=take,
        pid=pid or os.getpid(),
    )
    return lease._carry_out(asked)


def leases(api: BareApi) -> list[dict[str, Any]]:
    found: dict[str, Any] = api.custom.list_namespaced_custom_object(
        "coordination.k8s.io", "v1", NAMESPACE, "leases"
    )
    return [item for item in found["items"] if item["metadata"]["name"] == lease.NAME]


def put(
    api: BareApi, held: dict[str, Any], annotations: dict[str, str], spec: dict[str, Any]
) -> None:
    body = {**held, "metadata": {**held["metadata"], "annotations": annotations}, "spec": spec}
    for gone in ("resourceVersion", "managedFields"):
        body["metadata"].pop(gone, None)
    kind = ("coordination.k8s.io", "v1", NAMESPACE, "leases", lease.NAME)
    api.custom.replace_namespaced_custom_object(*kind, body)


@pytest.fixture
def forbidding(tmp_path: Path) -> Iterator[TargetInfo]:
    """A cluster that answers everything with 403."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(403, "Forbidden")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    config = {
        "contexts": [{"name": "strict", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    yield TargetInfo(
        kind="cluster",
        name="strict",
        namespace="shop",
        ingress_url=url,
        host="",
        prometheus_url=url,
        kubeconfig=str(tmp_path / "kubeconfig"),
        context="strict",
    )
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_lease_that_may_not_be_had_is_a_warning(forbidding: TargetInfo) -> None:
    """Goal: no new right is needed to run. Method: an API server that forbids everything."""
    told: list[str] = []
    lease.take(forbidding, 60, told.append)
    lease.release(forbidding, told.append)
    assert told == [
        "warning: no Lease can be had in shop (HTTP 403: Forbidden), so another run on strict "
        "would not be noticed"
    ]
