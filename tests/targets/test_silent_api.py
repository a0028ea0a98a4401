"""An API server that accepts connections and never says a word."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from runner.errors import TargetError
from runner.model.recording import TargetInfo
from runner.targets.inspection import ask_child


def test_silence_is_an_answer_of_the_request_not_of_its_process(tmp_path: Path) -> None:
    """Goal: each request is bounded, so that a run ends soon. Method: a server that says nothing;
    the reason is the request's own, and not that of the child that was ended."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        config = {
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(config), encoding="utf-8")
        target = TargetInfo(
            kind="sandbox",
            name="silent",
            namespace="ecommerce",
            ingress_url="http://127.0.0.1:1",
            host="",
            prometheus_url="http://127.0.0.1:1",
            kubeconfig=str(kubeconfig),
            context="x",
        )
        with pytest.raises(TargetError, match=r"cannot be used: .*timed? ?out"):
            ask_child("inspection", target)
