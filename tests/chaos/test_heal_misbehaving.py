"""Healing through an API server on a bad day: bounded, and never taken for well when it is not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bare_api import NAMESPACE, BareApi, users_part
from chaos_objects import virtual_service
from misbehaving import Misbehaving, misbehaving

from runner.chaos.annotation import Tag
from runner.chaos.heal import main as heal_main
from runner.chaos.healing import heal_target
from runner.chaos.virtualservice import abort_block, add_fault
from runner.cli.live import View
from runner.cli.run import _conduct, _say_left
from runner.model.recording import TargetInfo
from runner.ports import HealReport
from runner.progress import StopRequest
from runner.source import load_experiment, plan_of
from runner.store import Store
from runner.testing import EPOCH_S, FakeInjector, FakeWorld

pytestmark = pytest.mark.sandbox

Run = Callable[..., tuple[int, str, str]]
RUN = "2026-11-20T092337Z-ab12"
VS = "bad-day"
SUBJECT = f"virtualservice/{VS} in {NAMESPACE}"
FAULT = f"{SUBJECT}: fault 01-abort of run {RUN}"
EXPERIMENTS = {
    "good": """\
name: good
description: A question.
load: {locustfile: shop.py, stages: [{duration: 60s, users: 10}]}
faults:
  - {kind: http-abort, service: bad-day, at: 20s, duration: 20s, status: 503}
objectives: [errors < 1%]
"""
}


def faulty(run: str = RUN, fault: str = "01-abort") -> dict[str, Any]:
    until = "2999-01-01T00:00:00Z"
    tag = Tag(run, fault, "o", until, service=VS, block=abort_block(503, 50))
    return add_fault(virtual_service(VS), tag)


@pytest.fixture
def bad(bare_api: BareApi, tmp_path: Path) -> Iterator[Misbehaving]:
    """The proxy, with a fault on a VirtualService behind it."""
    bare_api.put(faulty())
    with misbehaving(bare_api, tmp_path) as proxy:
        yield proxy
    bare_api.delete(VS)


@pytest.fixture
def heal(bad: Misbehaving, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """The program: its exit code and report. An answer must come within 0.3 s."""

    def call(*words: str, deadline_s: float = 0.5) -> tuple[int, dict[str, Any]]:
        argv = ["-n", NAMESPACE, "--kubeconfig", str(bad.kubeconfig), "--run", RUN, *words]
        capsys.readouterr()
        code = heal_main([*argv, "--deadline", str(deadline_s), "--request-timeout", "0.3"])
        return code, json.loads(capsys.readouterr().out)

    return call


def is_whole(api: BareApi) -> bool:
    return users_part(api.get(VS)) == users_part(virtual_service(VS))


@pytest.mark.parametrize(
    "spoil",
    [
        {("PUT", VS): [409, 500, 429]},
        {("PUT", VS): ["hang"]},
        {("PUT", VS): ["lose"]},
        {("GET", "virtualservices"): [500, 429, 503, 200, "hang"]},
        {("GET", "/apis"): ["hang", 500]},
        {("GET", "deployments"): ["lose"], ("GET", "nodes"): [429]},
    ],
    ids=str,
)
def test_a_bad_moment_is_survived(
    bad: Misbehaving, heal: Callable[..., Any], bare_api: BareApi, spoil: dict[Any, list[Any]]
) -> None:
    """Goal: conflicts, overload, errors, silence and lost answers are repeated. Method: some of
    each, on looks and writes; the object is what it was, and the report says nothing is left."""
    bad.spoil = {key: [one for one in each if one != 200] for key, each in spoil.items()}
    code, report = heal(deadline_s=8.0)
    assert (code, report.get("left")) == (0, [])
    assert is_whole(bare_api)
    assert not any(bad.spoil.values())


@pytest.mark.parametrize(
    ("mischief", "why"),
    [
        (409, "HTTP 409: on strike"),
        (500, "HTTP 500: on strike"),
        ("hang", "no answer (ReadTimeoutError"),
    ],
)
def test_a_storm_on_writes_is_bounded_and_names_object_fault_and_reason(
    bad: Misbehaving, heal: Callable[..., Any], bare_api: BareApi, mischief: Any, why: str
) -> None:
    """Goal: exit 5 with exactly what is left. Method: every write is refused, or never answered."""
    bad.spoil = {("PUT", VS): [mischief, ...]}
    began_s = time.monotonic()
    code, report = heal()
    assert code == 5
    (left,) = report["left"]
    assert left.startswith(f"{FAULT}: replace virtualservice/{VS} in {NAMESPACE}: {why}")
    assert report["removed"] == []
    assert 1 <= len(bad.writes()) < 40
    assert time.monotonic() - began_s < 15  # Bounded; how fast is another question.
    bad.spoil = {}
    assert heal()[0] == 0
    assert is_whole(bare_api)


def test_one_kind_that_cannot_be_listed_is_named_and_hides_nothing(
    bad: Misbehaving, heal: Callable[..., Any], bare_api: BareApi
) -> None:
    """Goal: the rest is healed. Method: lists of Deployments hang."""
    bad.spoil = {("GET", "/deployments"): ["hang", ...]}
    code, report = heal()
    assert (code, report["removed"]) == (5, [SUBJECT])
    assert [left.split(":")[0] for left in report["left"]] == [f"deployments in {NAMESPACE}"]
    assert is_whole(bare_api)


@pytest.mark.parametrize("mischief", [500, "hang"])
def test_where_nobody_can_look_it_is_3_and_says_why(
    bad: Misbehaving, heal: Callable[..., Any], mischief: Any
) -> None:
    bad.spoil = {("GET", "/"): [mischief, ...]}
    code, report = heal()
    assert code == 3
    assert ("no answer" if mischief == "hang" else "HTTP 500") in report["error"]
    assert len(bad.asked) < 20


def test_the_command_ends_with_5_and_the_whole_command(
    run: Run, folder: Path, bad: Misbehaving, bare_api: BareApi
) -> None:
    """Goal: exactly which object, and what finishes the work. Method: a cluster by flags alone;
    nobody can look, then no write takes, then all is well, and the very words that were said."""
    where = ["--context", "seatrial-bare", "--kubeconfig", str(bad.kubeconfig), "-n", NAMESPACE]
    bad.spoil = {("GET", "/"): ["hang", ...]}
    code, _, err = run("heal", RUN, *where, "--timeout", "0.3s")
    assert code == 5
    assert f"cannot see whether a fault of run {RUN} is left in {NAMESPACE}" in err
    bad.spoil = {("PUT", VS): [409, ...]}
    code, _, err = run("heal", RUN, *where, "--timeout", "0.9s")
    assert code == 5
    assert f"STILL BROKEN: {FAULT}: " in err
    last = err.splitlines()[-1]
    assert last.startswith(f"to finish the work: seatrial heal {RUN} --context seatrial-bare ")
    bad.spoil = {}
    assert run(*last.split("seatrial ")[1].split())[0] == 0
    assert is_whole(bare_api)


def test_a_run_that_cannot_heal_ends_with_5_and_names_the_object(
    folder: Path, bad: Misbehaving, bare_api: BareApi, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: the conductor's way out. Method: a run whose load is a double and whose heal is the
    real one, through an API server that refuses every write."""

    class RealHeal(FakeInjector):
        def heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealReport:
            bare_api.put(faulty(run_id, str(fault_id)))
            return heal_target(
                bad.target, run_id, fault_id, attempts=1, deadline_s=0.5, request_s=0.3
            )

    bad.spoil = {("PUT", VS): [500, ...]}
    source = load_experiment(folder / "experiments" / "good.yaml")
    plan, world = plan_of(source), FakeWorld()
    one = Store(folder / "results").create_run("good", EPOCH_S)
    ports = replace(world.ports(), faults=RealHeal(world))
    end = _conduct(source, plan, ports, one, StopRequest(), View(one, world.clock))
    assert _say_left(one, end.left) == 5
    err = capsys.readouterr().err
    said = err[err.index("SOMETHING MAY BE LEFT BROKEN: 01-http-abort") :].splitlines()
    assert said[1].startswith(
        f"  01-http-abort: fault 01-http-abort is still in place: {SUBJECT}: "
        f"fault 01-http-abort of run {one.run_id}: replace virtualservice/{VS}"
    )
    assert "HTTP 500: on strike" in said[1]
    assert said[2].startswith(f"to finish the work: seatrial heal {one.run_id}")
