"""The Python client and chaosk8s, unchanged, against the API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_client_checks import CHECKS
from api_rig import FakeKubelet, api_server, pod, seed

pytestmark = pytest.mark.sandbox

NAMESPACE = "clients"
EXPECTED: dict[str, Any] = {
    "read_typed": [
        ["web-1", "Running", "seatrial.dev/shop:1"],
        ["web-2", "Running", "seatrial.dev/shop:1"],
    ],
    "read_version": "1",
    "read_all_namespaces": 2,
    "read_log": "asked /containerLogs/clients/web-1/app?tailLines=2\n",
    "watch_from_list": [["ADDED", "1"], ["MODIFIED", "2"], ["DELETED", "2"]],
    "watch_too_old": 410,
    "patch_strategic": ["seatrial.dev/shop:1", ["A", "B"]],
    "patch_scale_subresource": [4, "app=web"],
    "replace_stale": [409, "Conflict"],
    "lease": ["me", 409, "AlreadyExists"],
    "delete_other_incarnation": 409,
    "can_i": True,
    "custom_json_patch": "3s",
    "custom_under_three_versions": [
        ["networking.istio.io/v1", True],
        ["networking.istio.io/v1beta1", True],
        ["networking.istio.io/v1alpha3", True],
    ],
    "custom_merge_keeps_lists_whole": True,
    "chaos_patch_custom_object": ["web", "api.c4ang.com"],
    "chaos_cordon": [["node-clients"], True, False],
    "chaos_scale": 6,
    "chaos_probes": [False, 2, True, ["web-1", "web-2"]],
    "chaos_terminate": [["web-1"], ["other-1", "web-2"]],
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What every check got, all made by one child process against one server."""
    kubelet = FakeKubelet()
    with api_server(tmp_path_factory.mktemp("api") / "sandbox-python") as server:
        kubelet.token = server.api.token
        seed(server.api, NAMESPACE, kubelet.port)
        server.api.post(f"/api/v1/namespaces/{NAMESPACE}/pods", pod("other-1", app="other"))
        child = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("api_client_checks.py")), NAMESPACE],
            env=dict(os.environ) | {"KUBECONFIG": str(server.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert child.returncode == 0, child.stderr
        yield json.loads(child.stdout)
    kubelet.close()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_client_gets_what_kubernetes_would_answer(name: str, answers: dict[str, Any]) -> None:
    """Compare one answer with what a cluster gives for the same calls."""
    assert answers[name] == EXPECTED[name]


def test_every_check_is_compared() -> None:
    """A check without an expectation would prove nothing."""
    assert {check.__name__ for check in CHECKS} == set(EXPECTED)
