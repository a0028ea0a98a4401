"""What ``doctor`` finds on targets: each of their parts is a row, and no row ends the others."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bare_api import BareApi
from chaos_objects import virtual_service

from runner.catalog import TargetChoice, examine
from runner.chaos.annotation import Tag
from runner.chaos.virtualservice import abort_block, add_fault
from runner.errors import UsageError
from runner.model.rights import Right
from runner.model.target import ClusterSpec, Config
from runner.targets.doctor import examine_cluster, examine_sandbox, permitted
from runner.targets.permissions import Permissions
from runner.targets.reach import path_for
from runner.targets.sandbox.control import SandboxInfo
from runner.targets.symptom import Symptom

HOST = "api.c4ang.com"


class World(BaseHTTPRequestHandler):
    """A gateway that knows one host, and a Prometheus."""

    def do_GET(self) -> None:
        known = self.headers["Host"] == HOST or self.path.startswith("/api/v1/query")
        body = b'{"status": "success"}' if known else b""
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), World)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def spec(url: str, **more: str) -> ClusterSpec:
    given = {"context": "c", "namespace": "shop", "ingress": url, "prometheus": url, **more}
    return ClusterSpec.model_validate(given)


def rows(symptoms: tuple[Symptom, ...]) -> dict[str, tuple[str, str, str]]:
    return {s.part: (s.state, s.found, s.hint) for s in symptoms}


def test_an_absent_kubeconfig_is_a_row_beside_the_others(tmp_path: Path, url: str) -> None:
    """Goal: all that is wrong at once. Method: no file, a known and an unknown Host."""
    absent = str(tmp_path / "absent")
    found = rows(examine_cluster("staging", spec(url, kubeconfig=absent, host=HOST)))
    state, said, hint = found["kubeconfig"]
    assert (state, said) == ("missing", f"the kubeconfig file does not exist: {absent}")
    assert "`kubeconfig:` in seatrial.yaml" in hint
    assert found["ingress"] == ("ok", f"HTTP 200 at {url}/ (Host: {HOST})", "")
    assert found["Prometheus answers"] == ("ok", url, "")
    found = rows(examine_cluster("staging", spec(url, kubeconfig=absent, host="typo.example")))
    said = f"HTTP 404 at {url}/ (Host: typo.example)"
    hint = "is the Host right? the VirtualServices list: none"
    assert found["ingress"] == ("warn", said, hint)


def test_an_unknown_context_is_a_row_with_the_known_ones(tmp_path: Path, url: str) -> None:
    (tmp_path / "k").write_text(json.dumps({"contexts": [{"name": "a", "context": {}}]}))
    found = rows(examine_cluster("staging", spec(url, kubeconfig=str(tmp_path / "k"))))
    state, said, hint = found["kubeconfig"]
    assert (state, hint) == ("missing", "accepted: a")
    assert said.startswith("there is no context 'c' in ")


@pytest.mark.parametrize("text", ["[", "[]", '{"contexts": [1]}', '{"users": [{"user": 1}]}'])
def test_a_file_that_is_no_kubeconfig_is_a_row(tmp_path: Path, url: str, text: str) -> None:
    (tmp_path / "k").write_text(text)
    found = rows(examine_cluster("staging", spec(url, kubeconfig=str(tmp_path / "k"))))
    assert found["kubeconfig"][0] == "missing"
    assert str(tmp_path / "k") in found["kubeconfig"][1]


def test_a_sandbox_that_is_not_up_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_SANDBOX_HOME", str(tmp_path))
    hint = "nothing: `seatrial run` starts one"
    assert rows(examine_sandbox("x")) == {"sandbox 'x'": ("ok", "not up", hint)}


def test_an_unknown_target_is_still_a_usage_error() -> None:
    with pytest.raises(UsageError, match="there is no target 'stagin'"):
        examine(TargetChoice(name="stagin", config=Config()))


@pytest.mark.parametrize(
    ("host", "path"),
    [
        (HOST, "/api/v1/payments"),
        ("payment-api", "/api/v1/payments"),
        ("x.example", "/wild%20card"),
        ("example", "/"),
        ("", "/"),
    ],
)
def test_the_ingress_is_asked_for_a_path_that_the_host_has(host: str, path: str) -> None:
    wild: dict[str, Any] = virtual_service("wild")
    wild["spec"]["hosts"] = ["*.example"]
    wild["spec"]["http"] = [
        {"match": [{"uri": {"regex": ".*"}}, {"uri": {"exact": "/wild card"}}]},
    ]
    assert path_for([virtual_service(), wild], host) == path
    assert path_for([{"metadata": {}}], host) == "/"


NODES = [Right("", "nodes", verb, namespaced=False) for verb in ("get", "list", "update")]


@pytest.mark.parametrize(
    ("permissions", "state", "found"),
    [
        (Permissions(), "ok", "every kind of fault in shop"),
        (Permissions(trouble="HTTP 500"), "missing", "cannot be asked for: HTTP 500"),
        (
            Permissions(denied=(Right("", "pods", "list"), *NODES)),
            "missing",
            "no run without: list pods",
        ),
        (
            Permissions(denied=tuple(NODES)),
            "warn",
            "no cordon, drain without: get nodes; list nodes; update nodes",
        ),
        (
            Permissions(denied=(Right("", "configmaps", "get"),)),
            "warn",
            "less is seen without: get configmaps",
        ),
    ],
)
def test_what_is_not_permitted_bars_some_kinds_of_faults(
    permissions: Permissions, state: str, found: str
) -> None:
    """Goal: which faults are left. Method: rights of nodes, of looking on, and of every run."""
    symptom = permitted(permissions, "shop")
    assert (symptom.state, symptom.found) == (state, found)


@pytest.mark.sandbox
def test_an_empty_namespace_and_a_fault_that_was_left_are_missing(
    bare_api: BareApi, url: str
) -> None:
    """Goal: a run would fail, and doctor says why. Method: an API server without any pod."""
    run = "2026-02-02T020202Z-beef"
    tag = Tag(run, "01-abort", "ann", "2999-01-01T00:00:00Z", "seen", abort_block(503, 50))
    bare_api.put(add_fault(virtual_service("seen"), tag))
    given = {"context": bare_api.target.context, "kubeconfig": str(bare_api.kubeconfig)}
    try:
        here = spec(url, **given | {"namespace": bare_api.target.namespace}, host="x")
        found = rows(examine_cluster("bare", here))
    finally:
        bare_api.delete("seen")
    assert found["kubeconfig"] == ("ok", str(bare_api.kubeconfig), "")
    state, said, hint = found["faults left"]
    assert state == "missing"
    assert f"virtualservice/seen still carries the fault 01-abort of run {run}" in said
    assert f"seatrial heal {run} --target bare" in hint
    assert found["opt-in"][0] == "missing"
    assert found["opt-in"][1].startswith(f"the namespace {here.namespace} does not carry the label")
    assert found["permissions"][0] == "ok"
    hint = found["ingress"][2]
    assert hint.startswith("is the Host right? the VirtualServices list: ")
    assert HOST in hint
    empty = rows(examine_cluster("bare", spec(url, **given)))
    said = "there is no pod in the namespace shop"
    assert empty["pods"] == ("missing", said, "is it the right namespace?")
    assert empty["faults left"] == ("ok", "none", "")


@pytest.mark.sandbox
def test_a_sandbox_that_is_up_is_healthy(
    sandbox_info: SandboxInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_SANDBOX_HOME", str(sandbox_info.home.parent))
    found = rows(examine_sandbox(sandbox_info.name))
    # Earlier tests on this sandbox broke things on purpose, and an alert remembers that for long.
    worse = {part: row for part, row in found.items() if row[0] != "ok" and part != "alerts"}
    assert worse == {}
    part = f"sandbox {sandbox_info.name!r}"
    assert found[part] == ("ok", f"up since {sandbox_info.since}", "")
    assert found["ingress"][1].startswith(f"HTTP 200 at {sandbox_info.ingress_url}/api/v1/")
    assert found["pods"][1] == "12 of 12 ready (2/2)"
    assert found["sidecars"][1] == "in all 12 pods behind Services"
    assert found["endpoints"][1] == "each of 6 Services has ready ones"
    assert found["Istio objects"][1] == (
        "6 VirtualServices, 6 DestinationRules, 1 Gateway; they fit each other"
    )
    assert found["load's way"][1] == "through an Envoy"
    assert found["load balancer"][1] == "istio-ingressgateway at 127.0.0.1"
    assert found["mesh metrics"][1].endswith("s old or less, from both reporters")
    assert found["clocks"][1] == "Prometheus' and the API server's agree with ours within 2 s"
    assert found["permissions"][1] == "every kind of fault in ecommerce"
    state, said, _ = found["alerts"]
    assert said == "none fires" if state == "ok" else re.fullmatch(r"\d+ alerts? fires?: .+", said)
    paths = [f"/api/v1/{name}/health" for name in ("customers", "orders", "payments")]
    assert found["health paths"][1] == f"well: {'; '.join(paths)}"
