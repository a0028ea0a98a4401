"""The Lease that keeps a second run away from a target: its rules, and on a real API server."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bare_api import NAMESPACE, BareApi

from runner.errors import LeftBrokenError, TargetBusyError, TargetError
from runner.model import lock
from runner.model.recording import TargetInfo
from runner.ports import HealReport
from runner.targets import halting, lease

NOW_S = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


RUN = "2026-01-02T030405Z-ab12"
OTHER = "2026-01-02T030405Z-cd34"


def made(seconds: float = 60, pid: int = 0, run: str = RUN) -> dict[str, Any]:
    mark = lease.process_mark(pid or os.getpid())
    return lock.new_lease(run, mark, "process 7 on here", seconds, NOW_S)


def test_a_live_process_of_this_machine_holds_it_whatever_the_clock_says() -> None:
    for later_s in (0, 59, 3600):
        assert lease.is_held(made(), NOW_S + later_s)


def test_a_process_that_is_gone_holds_nothing() -> None:
    """Goal: a run that was killed blocks nobody. Method: the Lease of a child that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        held = made(pid=child.pid)
        assert lease.is_held(held, NOW_S)
    assert not lease.is_held(held, NOW_S)


@pytest.mark.parametrize(("later_s", "holds"), [(0, True), (74.9, True), (75, False)])
def test_the_lease_of_another_machine_ends_with_its_time_and_a_margin(
    later_s: float, holds: bool
) -> None:
    held = made()
    held["metadata"]["annotations"][lock.PROCESS] = "another-boot/4026531836/1/1"
    assert lease.is_held(held, NOW_S + later_s) is holds


@pytest.mark.parametrize("mark", ["", "x", "///", "a/b/c/d", None])
def test_a_lease_of_any_shape_ends_with_its_time(mark: str | None) -> None:
    held = made()
    held["metadata"]["annotations"] = None if mark is None else {lock.PROCESS: mark}
    assert lease.is_held(held, NOW_S)
    assert not lease.is_held({"metadata": held["metadata"]}, NOW_S)
    held["spec"]["renewTime"] = "2026-01-02T03:04:05"  # Nobody knows where.
    assert not lease.is_held(held, NOW_S)


@pytest.mark.sandbox
def test_a_second_run_is_told_who_holds_the_target_and_until_when(bare_api: BareApi) -> None:
    """Goal: one run at a time. Method: what the child does, in the names of several runs."""
    assert ask(bare_api) == {}
    try:
        (held,) = leases(bare_api)
        assert held["spec"]["leaseDurationSeconds"] == 30
        busy = ask(bare_api, run=OTHER)["busy"]
        assert busy.startswith(f"run {RUN}, process {os.getpid()} on ")
        assert busy.endswith("UTC unless it is renewed")
        assert ask(bare_api, take=False, run=OTHER) == {}  # Not given back: it is not its own.
        assert leases(bare_api) == [held]
    finally:
        assert [ask(bare_api, take=False), ask(bare_api, take=False)] == [{}, {}]
    assert leases(bare_api) == []


@pytest.mark.sandbox
def test_a_stale_lease_is_taken_over_only_after_its_run_is_healed(bare_api: BareApi) -> None:
    """Goal: no run begins on the ruins of another. Method: a Lease whose process is no more; heals
    that fail, leave something, and work."""
    healed: list[str] = []
    told: list[str] = []

    def broken(target: TargetInfo, run: str) -> HealReport:
        raise LeftBrokenError("the API server is away")

    def heal(target: TargetInfo, run: str) -> HealReport:
        assert [lock.annotation(item, lock.RUN) for item in leases(bare_api)] == [OTHER]
        healed.append(run)
        return HealReport(removed=("virtualservice/payment-api",))

    abandon(bare_api, OTHER)
    try:
        for tries, left in ((broken, "the API server is away"), (lease.unhealed, OTHER)):
            with pytest.raises(
                TargetBusyError, match=rf"faults are not healed: .*{left}"
            ) as caught:
                lease.take(bare_api.target, RUN, tries, told.append)
            assert caught.value.hint == f"first: seatrial heal {OTHER} --sandbox-name bare"
            assert [lock.annotation(item, lock.RUN) for item in leases(bare_api)] == [OTHER]
        lease.take(bare_api.target, RUN, heal, told.append)
        assert healed == [OTHER]
        assert [lock.annotation(item, lock.RUN) for item in leases(bare_api)] == [RUN]
        (said,) = told
        assert said.startswith(f"taken over: the Lease of a run that is no more (run {OTHER}, ")
        assert said.endswith("; healed first: virtualservice/payment-api")
    finally:
        ask(bare_api, take=False)
        ask(bare_api, take=False, run=OTHER)


@pytest.mark.sandbox
def test_a_holder_is_named_in_the_error(bare_api: BareApi) -> None:
    assert ask(bare_api) == {}
    try:
        with pytest.raises(TargetBusyError) as caught:
            lease.take(bare_api.target, OTHER, lease.unhealed)
    finally:
        ask(bare_api, take=False)
    assert caught.value.message.startswith(f"another run holds bare: run {RUN}, process ")
    assert f"kubectl -n {NAMESPACE} delete lease seatrial" in caught.value.hint


@pytest.mark.sandbox
def test_no_run_starts_while_the_switch_is_set(bare_api: BareApi) -> None:
    """Goal: one object keeps every run away, and says why. Method: set, look, take, lift, take."""
    target = bare_api.target
    assert (halting.halted(target), halting.lift(target)) == ("", "")
    said = halting.halt(target, "incident 4711")
    try:
        assert said.startswith("incident 4711 (set by ")
        assert said.endswith(" UTC)")
        assert halting.halt(target, "another reason") == halting.halted(target) == said
        with pytest.raises(TargetError) as caught:
            lease.take(target, RUN, lease.unhealed)
        assert caught.value.message == f"no run may start in {NAMESPACE} of bare: {said}"
        assert "seatrial halt --lift --sandbox-name bare" in caught.value.hint
        assert leases(bare_api) == []
    finally:
        assert halting.lift(target) == said
    lease.take(target, RUN, lease.unhealed)
    lease.release(target, RUN)
    assert leases(bare_api) == []


def abandon(api: BareApi, run: str) -> None:
    """The Lease of a run whose process has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert ask(api, run=run, pid=child.pid) == {}


def ask(api: BareApi, *, take: bool = True, run: str = RUN, pid: int = 0) -> dict[str, Any]:
    asked = argparse.Namespace(
        kubeconfig=str(api.kubeconfig),
        context=api.target.context,
        namespace=NAMESPACE,
        take=take,
        run=run,
        pid=pid or os.getpid(),
        hold=90.0,
        over="",
    )
    return lease._carry_out(asked)


def leases(api: BareApi) -> list[dict[str, Any]]:
    found: dict[str, Any] = api.custom.list_namespaced_custom_object(
        "coordination.k8s.io", "v1", NAMESPACE, "leases"
    )
    return [item for item in found["items"] if item["metadata"]["name"] == lock.LEASE]


class Strict(ThreadingHTTPServer):
    """An API server that keeps Leases, and forbids some methods.

    Attributes:
        forbidden: Methods that it answers with 403.
        kept: The Lease that there is, if any.
        made: How long each Lease that was made is to hold.
    """

    forbidden: tuple[str, ...] = ()
    kept: dict[str, Any] | None = None
    made: list[int]


class Handler(BaseHTTPRequestHandler):
    server: Strict

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "{}")
        status, answer = self._answer(body)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def _answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.command in self.server.forbidden:
            return 403, {}
        if self.command == "GET" and (self.server.kept is None or "configmaps" in self.path):
            return 404, {}
        if self.command == "POST":
            known = {"uid": "u", "resourceVersion": "1", **body["metadata"]}
            self.server.kept = {**body, "metadata": known}
            self.server.made.append(body["spec"]["leaseDurationSeconds"])
        answer = self.server.kept or {}
        if self.command == "DELETE":
            self.server.kept = None
        return 200, answer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def strict() -> Iterator[Strict]:
    server = Strict(("127.0.0.1", 0), Handler)
    server.made = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def forbidding(strict: Strict, tmp_path: Path) -> TargetInfo:
    """A cluster that answers everything with 403, until a test allows more."""
    strict.forbidden = ("GET", "POST", "PUT", "DELETE")
    url = f"http://127.0.0.1:{strict.server_port}"
    config = {
        "contexts": [{"name": "strict", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    return TargetInfo(
        kind="cluster",
        name="strict",
        namespace="shop",
        ingress_url=url,
        host="",
        prometheus_url=url,
        kubeconfig=str(tmp_path / "kubeconfig"),
        context="strict",
    )


def test_a_lease_that_may_not_be_renewed_holds_for_the_whole_run(
    forbidding: TargetInfo, strict: Strict
) -> None:
    """Goal: a rival elsewhere does not take a run for dead. Method: every right but update."""
    strict.forbidden = ("PUT",)
    told: list[str] = []
    lease.take(forbidding, RUN, lease.unhealed, told.append, hold_s=900.0)
    assert strict.made == [30, 900]
    assert told == [
        "warning: the Lease in shop cannot be renewed (HTTP 403: Forbidden), so it holds for 900 "
        "s, also when this run is killed"
    ]
    lease.release(forbidding, RUN, told.append)
    assert (strict.kept, len(told)) == (None, 1)


def test_what_may_not_be_had_is_a_warning(forbidding: TargetInfo) -> None:
    """Goal: no new right is needed to run. Method: an API server that forbids everything."""
    told: list[str] = []
    lease.take(forbidding, RUN, lease.unhealed, told.append)
    lease.release(forbidding, RUN, told.append)
    assert told == [
        "warning: no Lease can be had in shop (HTTP 403: Forbidden), so another run there would "
        "not be noticed",
        "warning: the ConfigMap seatrial-stop in shop cannot be read (HTTP 403: Forbidden), so "
        "`seatrial halt` would not stop this run",
    ]
    with pytest.raises(TargetError, match="seatrial-stop in shop of strict: HTTP 403: Forbidden"):
        halting.halt(forbidding, "x")
