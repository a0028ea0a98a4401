"""What cannot work is refused at once: a clear error on standard error, and nothing is started."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import NOTHING, SHOP, Ending, Place, seatrial
from conftest import ROOT

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("crew")]

LOAD = {"locustfile": SHOP, "stages": [{"duration": "10s", "users": 5}]}
ABORT = {"kind": "http-abort", "service": "payment-api", "duration": "3s", "status": 503}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path / "place")


def refused(ending: Ending, code: int, *words: str) -> None:
    assert ending.code == code, ending.err
    assert ending.out == ""
    assert "Traceback" not in ending.err
    assert "bug:" not in ending.err
    assert "error: " in ending.err
    for word in words:
        assert word in ending.err, word
    assert ending.left == NOTHING


def test_an_unknown_experiment(place: Place) -> None:
    place.experiment("calm", load=LOAD, objectives=["errors < 5%"])
    ending = seatrial(place, "run", "clam")
    refused(ending, 2, "there is no experiment 'clam'", "did you mean 'calm'?")
    assert ending.run is None


def test_malformed_yaml(place: Place) -> None:
    path = place.work / "experiments" / "torn.yaml"
    path.write_text("name: torn\nload: {stages: [\n")
    refused(seatrial(place, "run", "torn"), 2, "experiments/torn.yaml:", "this is not YAML")


def test_a_fault_after_the_end(place: Place) -> None:
    late = [ABORT | {"at": "9s"}]
    name = place.experiment("late", load=LOAD, faults=late, objectives=["errors < 5%"])
    refused(seatrial(place, "run", name), 2, "from 9s to 12s, but the load ends at 10s")


def test_an_objective_for_a_phase_that_does_not_exist(place: Place) -> None:
    objective = {"objective": "errors < 5%", "during": "recovery"}
    name = place.experiment("phases", load=LOAD, objectives=[objective])
    refused(seatrial(place, "run", name), 2, "there is no recovery phase", "accepted: baseline")


def test_a_results_folder_that_cannot_be_written(place: Place) -> None:
    name = place.experiment("calm", load=LOAD, objectives=["errors < 5%"])
    file = place.root / "file"
    file.touch()
    ending = seatrial(place, "run", name, "--results", str(file / "results"))
    refused(ending, 2, "the results folder", "cannot be written: Not a directory", "--results")


def test_no_prometheus_on_this_machine(place: Place) -> None:
    """Goal: a hint. Method: a copy of the package in a checkout without tools, an empty PATH."""
    checkout = place.root / "checkout"
    shutil.copytree(ROOT / "runner", checkout / "runner", ignore=_caches)
    name = place.experiment("calm", load=LOAD, objectives=["errors < 5%"])
    env = {"PYTHONPATH": str(checkout), "PATH": str(place.root)}
    ending = seatrial(place, "run", name, env=env)
    refused(ending, 3, "the sandbox needs Prometheus", "hint: run `make setup`")
    assert ending.folder.read_manifest().state == "failed"


def test_no_envoy_for_this_platform(place: Place) -> None:
    """Goal: a hint. Method: a package of Envoy's name that cannot be imported, as elsewhere."""
    shim = place.root / "shim"
    shim.mkdir()
    (shim / "envoy.py").write_text("raise ImportError('no wheel for this platform')\n")
    name = place.experiment("calm", load=LOAD, objectives=["errors < 5%"])
    ending = seatrial(place, "run", name, env={"PYTHONPATH": str(shim)})
    refused(ending, 3, "the sandbox needs Envoy", "no wheel for this platform", "hint: ")


def test_a_target_that_is_down(place: Place, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    context = {"name": "away", "context": {"cluster": "away", "user": "me"}}
    server = {"name": "away", "cluster": {"server": url}}
    kube = {"contexts": [context], "clusters": [server], "users": [{"name": "me", "user": {}}]}
    _write(place.root / "kubeconfig", kube)
    away = {"context": "away", "kubeconfig": str(place.root / "kubeconfig"), "namespace": "shop"}
    away |= {"ingress": url, "prometheus": url}
    _write(place.work / "seatrial.yaml", {"targets": {"away": away}})
    name = place.experiment("calm", load=LOAD, objectives=["errors < 5%"])
    ending = seatrial(place, "run", name, "--target", "away")
    refused(ending, 3, f"the ingress of away at {url} does not answer", "Connection refused")
    assert ending.folder.read_manifest().state == "failed"


def test_a_port_that_is_taken(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ending = seatrial(place, "sandbox", "up", "--ingress-port", str(port))
    refused(ending, 3, f"port {port}", "taken")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


_caches: Callable[[str, list[str]], set[str]] = shutil.ignore_patterns("__pycache__")
