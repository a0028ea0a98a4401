"""Guards over the real thing: one on what Prometheus says, one on a target that answers nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import NOTHING, Ending, Place, seatrial
from parts import OBJECTIVES

from runner.targets.sandbox.control import SandboxInfo

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("crew")]

LOCUSTFILE = '''\
"""Products only, by somebody who waits for a second at most."""

from locust import FastHttpUser, constant, task


class Impatient(FastHttpUser):
    wait_time = constant(0.2)
    network_timeout = 1.0
    connection_timeout = 1.0

    @task
    def look(self) -> None:
        self.client.get("/api/v1/products")
'''
REFUSED = 'sum(rate(istio_requests_total{response_code="503",response_flags="FI"}[5s]))'
LOAD = {"locustfile": "impatient.py", "stages": [{"duration": "40s", "users": 10}]}


def sail(place: Place, info: SandboxInfo, name: str, **parts: object) -> Ending:
    (place.work / "experiments" / "impatient.py").write_text(LOCUSTFILE, encoding="utf-8")
    place.experiment(name, load=LOAD, objectives=OBJECTIVES, **parts)
    return seatrial(place, "run", name, "--sandbox-name", info.name)


def assert_aborted(ending: Ending, fault: str) -> str:
    """Exit code, states, heal and report of a run that a guard has stopped; its reason."""
    assert ending.code == 4, ending.err
    manifest = ending.folder.read_manifest()
    assert manifest.state == "aborted"
    assert f"{fault} heal ok" in ending.steps
    assert ending.unhealed == frozenset()
    assert ending.virtual_services("after") == ending.virtual_services("before")
    assert ending.left == NOTHING
    page = (ending.folder.path / "report" / "summary.md").read_text(encoding="utf-8")
    assert "was aborted by a guard" in ending.out
    assert "was aborted by a guard" in page
    assert manifest.reason.rsplit(", ", 1)[1] in page  # When it was.
    return manifest.reason


def test_a_query_of_prometheus_ends_a_run(place: Place, sandbox_info: SandboxInfo) -> None:
    """Goal: exit code 4, healed. Method: refusals by a fault, which Prometheus counts."""
    fault = {"kind": "http-abort", "service": "product-api", "status": 503, "at": "3s"}
    guard = {"promql": REFUSED, "abort_when": "> 1", "for": "2s", "grace": "1s"}
    ending = sail(
        place,
        sandbox_info,
        "refused",
        faults=[{**fault, "duration": "30s"}],
        guards=[{**guard, "on_missing": "ignore"}],
    )
    reason = assert_aborted(ending, "01-http-abort")
    assert reason.startswith(f"{REFUSED} > 1 held for 2 s (last seen ")
    (asked,) = (event for event in ending.folder.read_events() if event.action == "ask")
    assert asked.detail.startswith("guard 1: ")
    observed = float(reason.split("(last seen ")[1].split(")")[0])
    assert 1 < observed < 60


def test_a_target_that_answers_nothing_ends_a_run(place: Place, sandbox_info: SandboxInfo) -> None:
    """Goal: exit code 4, healed. Method: a delay that is longer than anybody waits."""
    fault = {"kind": "http-delay", "service": "product-api", "delay": "30s", "at": "3s"}
    ending = sail(
        place,
        sandbox_info,
        "hanging",
        faults=[{**fault, "duration": "30s"}],
        guards=[{"abort_when": "silent", "for": "3s", "grace": "2s"}],
    )
    reason = assert_aborted(ending, "01-http-delay")
    assert reason.startswith("silent held for 3 s (the last answer came at ")
    assert " requests ended without one since), at " in reason
    came_s, tripped_s = (float(number) for number in re.findall(r"at (\d+\.\d) s", reason))
    # What is sent when the last answer is there, and early enough to time out before the heal.
    sent = range(int(came_s) + 1, int(tripped_s) - 1)
    outcomes = {row.outcome for row in ending.folder.read_load().rows if row.second in sent}
    assert outcomes == {"timeout"}


@pytest.fixture
def place(tmp_path: Path, sandbox_info: SandboxInfo) -> Place:
    return Place.make(tmp_path / "place", sandbox_info.home.parent)
