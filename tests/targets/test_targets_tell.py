"""What targets say about themselves when they are opened and closed, and who keeps whom away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.errors import SeatrialError, TargetBusyError
from runner.model.access import PrometheusAccess
from runner.model.target import ClusterSpec
from runner.targets.cluster import ClusterTarget
from runner.targets.sandbox import control
from runner.targets.sandbox_target import SandboxTarget

if TYPE_CHECKING:
    from runner.targets.sandbox.control import SandboxInfo


@pytest.mark.sandbox
def test_a_cluster_that_is_a_running_sandbox_has_one_run_at_a_time(
    sandbox_info: SandboxInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: both say what they use, and one waits. Method: the same API server by two ways."""
    monkeypatch.setenv("SEATRIAL_SANDBOX_HOME", str(sandbox_info.home.parent))
    told: list[str] = []
    spec = ClusterSpec(
        context=sandbox_info.context,
        kubeconfig=str(sandbox_info.kubeconfig),
        namespace=sandbox_info.namespace,
        ingress=sandbox_info.ingress_url,
        host=sandbox_info.host,
        prometheus=PrometheusAccess(url=sandbox_info.prometheus_url),
    )
    first = SandboxTarget(sandbox_info.name, tell=told.append)
    second = ClusterTarget("staging", spec, tell=told.append)
    first.open("run")
    try:
        with pytest.raises(TargetBusyError, match=f"holds staging: run run, process {os.getpid()}"):
            second.open("run")
        second.close()
    finally:
        first.close()
    second.open("run")  # Free again.
    second.close()
    attached = (
        f"attached to context {sandbox_info.context} at {sandbox_info.api_url}, namespace ecommerce"
    )
    using = f"using the running sandbox {sandbox_info.name!r} (up since {sandbox_info.since})"
    assert told == [using, attached, attached]


@pytest.mark.sandbox
def test_a_sandbox_that_is_kept_is_said_to_be_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_SANDBOX_HOME", str(tmp_path))
    told: list[str] = []
    target = SandboxTarget("mine", keep=True, tell=told.append)
    try:
        target.open("run")
        target.close()
        assert told == [
            "starting the sandbox 'mine'",
            "the sandbox 'mine' is left up; to take it down: seatrial sandbox down --name mine",
        ]
        info = control.status("mine")
        assert info is not None
        assert info.state == "ready"
        assert info.options["replicas"] == 2
    finally:
        control.down("mine")


def test_a_sandbox_of_the_runs_own_is_announced_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Method: one that cannot start, because its Prometheus is no program."""
    monkeypatch.setenv("SEATRIAL_SANDBOX_HOME", str(tmp_path))
    monkeypatch.setenv("SEATRIAL_PROMETHEUS", str(tmp_path / "absent"))
    told: list[str] = []
    target = SandboxTarget("mine", tell=told.append)
    with pytest.raises(SeatrialError):
        target.open("run")
    target.close()
    assert told == [f"starting a sandbox of the run's own, 'mine-run-{os.getpid()}'"]
