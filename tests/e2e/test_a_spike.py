"""A short spike on the shared sandbox: the questions it raises are answered from real parts."""

from __future__ import annotations

import json

import pytest
from commands import SHOP, Ending, Place, seatrial

from runner.model.evaluation import Finding
from runner.model.recording import Recording
from runner.targets.sandbox.control import SandboxInfo

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("crew")]

CALLED = {"customer-api", "order-api", "payment-api", "product-api"}
SPIKE = {
    "load": {
        "locustfile": SHOP,
        "stages": [
            {"duration": "20s", "users": 50},
            {"duration": "5s", "users": 110},
            {"duration": "8s", "users": 50},
        ],
    },
    "objectives": ["errors < 50%"],
}


@pytest.fixture(scope="module")
def spike(sandbox_info: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Ending:
    place = Place.make(tmp_path_factory.mktemp("spike"), sandbox_info.home.parent)
    name = place.experiment("small-spike", **SPIKE)
    return seatrial(place, "run", name, "--sandbox-name", sandbox_info.name)


@pytest.fixture(scope="module")
def answers(spike: Ending) -> dict[str, Finding]:
    findings = spike.folder.read_evaluation().findings
    return {one.check: one for one in findings if one.kind == "answer"}


def test_every_question_is_asked_and_shown(spike: Ending, answers: dict[str, Finding]) -> None:
    """Goal: nothing is lost on the way. Method: the evaluation, the terminal and the reports."""
    assert list(answers) == [
        "seen-in-stages",
        "back-to-normal",
        "affected-by-load",
        "replicas",
        "pool-headroom",
        "breaker",
    ]
    shown = json.loads((spike.folder.report_dir / "report.json").read_text())["answers"]
    assert [one["text"] for one in shown] == [one.reason for one in answers.values()]
    page = (spike.folder.report_dir / "index.html").read_text()
    assert all(one.title in page for one in answers.values())
    assert "Did autoscaling act?" in spike.out


def test_stages_are_counted_by_generator_and_mesh_alike(
    spike: Ending, answers: dict[str, Finding]
) -> None:
    """Goal: both tell of the same windows. Method: requests through the gateway, stage by stage."""
    recording: Recording = spike.folder.recording()
    assert recording.signals is not None
    mesh = {
        one.phase: one.samples
        for one in recording.signals.stages
        if (one.sli, one.service) == ("traffic", "")
    }
    parts = answers["seen-in-stages"].parts
    assert [part.label for part in parts] == ["50 users", "110 users", "50 users"]
    for index, part in enumerate(parts):
        # A scrape may come a second after the edge, with what was sent since.
        assert mesh[index] == pytest.approx(part.samples, rel=0.5)
    assert sum(filter(None, mesh.values())) == pytest.approx(
        sum(part.samples or 0 for part in parts), rel=0.1
    )


def test_services_replicas_and_pools_are_known(answers: dict[str, Finding]) -> None:
    """Goal: the sandbox leaves nothing unknown. Method: parts of the three answers."""
    affected = {one.label: one for one in answers["affected-by-load"].parts}
    assert affected.keys() >= CALLED
    assert all(not affected[name].reason.startswith("not known") for name in CALLED)
    replicas = {one.label: one.observed for one in answers["replicas"].parts}
    assert replicas.keys() >= CALLED
    assert all((replicas[name] or 0) >= 2 for name in CALLED)
    pools = {one.label: one for one in answers["pool-headroom"].parts}
    assert "of 100 connections and " in pools["order-api"].reason
    assert "of 50 waiting, " in pools["order-api"].reason
    assert "refused for overflow" in pools["order-api"].reason
    assert 0 < (pools["order-api"].observed or 0) <= 1
