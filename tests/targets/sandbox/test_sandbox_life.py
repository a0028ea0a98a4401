"""Sandboxes that come and go: side by side, as guests, failing, killed, missing a part."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_rig import (
    free_port,
    get,
    objects,
    pods,
    processes,
    put_node,
    still_there,
    taken_ports,
    until,
)

from runner.errors import MissingPartError, TargetBusyError, TargetError
from runner.targets.sandbox import control
from runner.targets.sandbox.allocation import is_free
from runner.targets.sandbox.apiclient import DEPLOYMENTS, NODES, PODS
from runner.targets.sandbox.control import SandboxInfo

pytestmark = pytest.mark.sandbox


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """A folder for sandboxes of a single test; whatever is still up afterwards is taken down."""
    root = tmp_path / "sandboxes"
    yield root
    for info in control.all_sandboxes(root=root):
        control.down(info.name, root=root)


def test_two_side_by_side_and_the_end_of_one(sandbox_info: SandboxInfo, own: Path) -> None:
    """A second sandbox on a port of our choice; its Envoy is killed; it goes, the first stays."""
    port = free_port()
    words: list[str] = []
    side = control.up(
        "side", root=own, ports={"ingress": port}, owner_pid=os.getpid(), progress=words.append
    )
    assert side.ingress_url == f"http://127.0.0.1:{port}"
    assert any("pods not ready" in word for word in words)
    assert set(side.ports.values()).isdisjoint(sandbox_info.ports.values())
    addresses = [{pod["status"]["podIP"] for pod in pods(info)} for info in (side, sandbox_info)]
    assert [len(found) for found in addresses] == [12, 12]
    assert addresses[0].isdisjoint(addresses[1])
    assert get(side.ingress_url, "/api/v1/orders")[0] == 200

    os.kill(side.pids["envoy"], signal.SIGKILL)
    failed = until(
        lambda: control.status("side", root=own), lambda info: info and info.state == "failed"
    )
    assert failed is not None
    assert failed.message == "envoy ended by itself (killed by signal 9)"
    later = until(
        lambda: control.status("side", root=own), lambda info: info and "envoy" not in info.pids
    )
    assert later is not None
    assert "envoy" not in later.pids
    with pytest.raises(TargetError, match="is up, but has failed: envoy ended"):
        control.up("side", root=own)

    marks = processes(side)
    assert control.down("side", root=own) is True
    assert still_there(marks) == []
    assert taken_ports(side) == []
    assert not own.exists()
    assert control.down("side", root=own) is False
    assert get(sandbox_info.ingress_url, "/api/v1/orders")[0] == 200


def test_a_killed_supervisor_leaves_no_orphan(own: Path) -> None:
    """Prometheus is killed and it shows; the supervisor is killed and all is gone."""
    info = control.up("doomed", root=own, owner_pid=os.getpid())
    os.kill(info.pids["prometheus"], signal.SIGKILL)
    failed = until(
        lambda: control.status("doomed", root=own), lambda info: info and info.state == "failed"
    )
    assert failed is not None
    assert failed.message == "prometheus ended by itself (killed by signal 9)"
    marks = processes(failed)
    assert len(marks) >= 14
    os.kill(info.pids["supervisor"], signal.SIGKILL)
    assert until(lambda: still_there(marks), lambda left: not left) == []
    assert taken_ports(info) == []
    assert (own / "sandbox-doomed" / "kubeconfig").exists()
    assert control.status("doomed", root=own) is None
    assert not own.exists()


def test_a_sandbox_attaches_to_another_api_server(own: Path, tmp_path: Path) -> None:
    """A second process serves the API only; the sandbox ends with its owner and tidies up there."""
    home, port = tmp_path / "api", free_port()
    home.mkdir(mode=0o700)
    command = [sys.executable, "-m", "runner.targets.sandbox.apiserver"]
    command += ["--home", str(home), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        until((home / "kubeconfig").exists, bool)
        until(lambda: is_free("127.0.0.1", port), lambda free: not free)
        info = control.up("guest", root=own, api_server=home / "kubeconfig", owner_pid=owner.pid)
        assert info.attached is True
        assert info.api_url == f"https://127.0.0.1:{port}"
        assert "api" not in info.ports
        assert len(objects(home / "kubeconfig", PODS, "ecommerce")) == 12
        assert get(info.ingress_url, "/api/v1/orders")[0] == 200
        with pytest.raises(TargetBusyError, match="another sandbox is attached"):
            control.up("rival", root=own, api_server=home / "kubeconfig", owner_pid=os.getpid())
        marks = processes(info)
        owner.communicate(b"\n", timeout=10)
        assert until(lambda: still_there(marks), lambda left: not left) == []
        assert control.status("guest", root=own) is None
        assert objects(home / "kubeconfig", DEPLOYMENTS, "ecommerce") == []
        assert objects(home / "kubeconfig", PODS, "ecommerce") == []
        assert objects(home / "kubeconfig", NODES) == []
        assert server.poll() is None
        put_node(home / "kubeconfig", "somebodys-node")
        with pytest.raises(TargetError, match="nodes of its own: somebodys-node"):
            control.up("guest", root=own, api_server=home / "kubeconfig", owner_pid=os.getpid())
    finally:
        owner.kill()
        owner.communicate()
        server.terminate()
        server.wait(10)


def test_asked_to_end_while_it_starts(own: Path) -> None:
    """The supervisor in the foreground gets SIGTERM as soon as it says that it is starting."""
    home = own / "sandbox-hasty"
    command = [sys.executable, "-m", "runner.targets.sandbox", "--name", "hasty"]
    process = subprocess.Popen([*command, "--home", str(home)], stderr=subprocess.DEVNULL)
    info = until(lambda: control.status("hasty", root=own), lambda i: i and "envoy" in i.pids)
    assert info is not None
    marks = processes(info)
    process.terminate()
    assert process.wait(20) == 0
    assert still_there(marks) == []
    assert not home.exists()


# -- bad days --------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["starting", "pods not ready"])
def test_an_interrupted_up_leaves_nothing(own: Path, moment: str) -> None:
    """Ctrl-C in the caller, while it shows what the sandbox is waiting for."""
    seen: list[SandboxInfo | None] = []

    def interrupt(words: str) -> None:
        if moment in words:
            seen.append(control.status("hasty", root=own))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        control.up("hasty", root=own, owner_pid=os.getpid(), progress=interrupt)
    assert seen[0] is not None
    assert still_there(processes(seen[0])) == []
    assert taken_ports(seen[0]) == []
    assert not own.exists()


def test_a_taken_port_is_a_clear_error(own: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(TargetError) as caught:
            control.up("taken", root=own, ports={"ingress": port}, owner_pid=os.getpid())
    assert f"port {port} on 127.0.0.1" in caught.value.message
    assert f"(pid {os.getpid()})" in caught.value.message
    assert not own.exists()


def test_a_missing_prometheus_is_told_before_anything_starts(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_PROMETHEUS", "/no/such/prometheus")
    with pytest.raises(MissingPartError, match="/no/such/prometheus"):
        control.up("poor", root=own, owner_pid=os.getpid())
    assert not own.exists()


def test_a_missing_envoy_is_told_before_anything_starts(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a platform without the wheel: the module cannot be imported."""
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "envoy.py").write_text("raise ImportError('no wheel for this platform')\n")
    monkeypatch.setenv("PYTHONPATH", str(shadow))
    with pytest.raises(MissingPartError, match="Envoy") as caught:
        control.up("poor", root=own, owner_pid=os.getpid())
    assert caught.value.hint
    assert not own.exists()


def test_an_api_server_that_is_not_there_is_told(own: Path, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"server": f"http://127.0.0.1:{free_port()}"}
    context = {"cluster": "gone", "user": "me"}
    kubeconfig.write_text(
        json.dumps(
            {
                "clusters": [{"name": "gone", "cluster": cluster}],
                "users": [{"name": "me", "user": {"token": "t"}}],
                "contexts": [{"name": "gone", "context": context}],
                "current-context": "gone",
            }
        )
    )
    with pytest.raises(TargetError, match=r"the API server http://.* cannot be used"):
        control.up("lost", root=own, api_server=kubeconfig, owner_pid=os.getpid())
    assert not own.exists()


def test_an_end_before_ready_says_what_was_missing(own: Path) -> None:
    with pytest.raises(TargetError, match=r"not ready within 0\.2 s"):
        control.up("slow", root=own, timeout_s=0.2, owner_pid=os.getpid())
    assert not own.exists()
