"""What every target keeps: the shipped double, the sandbox, and a cluster alike.

The cluster is the sandbox's API server, reached through a kubeconfig as any other cluster would be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.errors import TargetError
from runner.model.access import PrometheusAccess
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.target import ClusterSpec
from runner.ports import Target
from runner.targets.cluster import ClusterTarget
from runner.targets.sandbox_target import SandboxTarget
from runner.testing import FakeTarget, FakeWorld

if TYPE_CHECKING:
    from runner.targets.sandbox.control import SandboxInfo

Make = Callable[[], Target]


@pytest.fixture(
    params=[
        "fake",
        pytest.param("sandbox", marks=pytest.mark.sandbox),
        pytest.param("cluster", marks=pytest.mark.sandbox),
    ]
)
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    if request.param == "fake":
        return lambda: FakeTarget(FakeWorld())
    info: SandboxInfo = request.getfixturevalue("sandbox_info")
    if request.param == "sandbox":
        monkeypatch.setenv("SEATRIAL_SANDBOX_HOME", str(info.home.parent))
        return lambda: SandboxTarget(info.name)
    spec = ClusterSpec(
        context=info.context,
        kubeconfig=str(info.kubeconfig),
        namespace=info.namespace,
        ingress=info.ingress_url,
        host=info.host,
        prometheus=PrometheusAccess(url=info.prometheus_url),
    )
    return lambda: ClusterTarget("staging", spec)


def plan(service: str = "payment-api") -> Plan:
    fault = {"kind": "http-abort", "service": service, "at": "5s", "duration": "5s", "status": 503}
    return make_plan(
        Experiment.model_validate(
            {
                "name": "x",
                "description": "d",
                "load": {"locustfile": "x", "stages": [{"duration": "20s", "users": 1}]},
                "faults": [fault],
                "objectives": ["errors < 1%"],
            }
        )
    )


def test_an_open_target_says_where_it_is(make: Make) -> None:
    target = make()
    info = target.open("run")
    try:
        assert info.kind in ("sandbox", "cluster")
        assert info.namespace == "ecommerce"
        assert info.host == "api.c4ang.com"
        assert info.ingress_url.startswith("http://127.0.0.1:")
        assert info.prometheus_url.startswith("http://127.0.0.1:")
        assert info.name
        assert info.identity
    finally:
        target.close()


def test_a_plan_that_fits_has_no_problems(make: Make) -> None:
    target = make()
    target.open("run")
    try:
        assert list(target.preflight(plan())) == []
    finally:
        target.close()


def test_remarks_come_with_the_preflight_and_are_no_obstacle(make: Make) -> None:
    """Goal: what is not known is told. Method: a locustfile that nobody can read."""
    target = make()
    assert list(target.remarks()) == []
    target.open("run")
    try:
        assert list(target.preflight(plan())) == []
        said = list(target.remarks())
    finally:
        target.close()
    doubt = "01-http-abort: whether the load reaches payment-api is not known before the run: "
    assert said == [] or [one.startswith(doubt) for one in said] == [True]


def test_a_snapshot_is_json_files_in_the_folder(make: Make, tmp_path: Path) -> None:
    target = make()
    target.open("run")
    try:
        target.snapshot(tmp_path)
    finally:
        target.close()
    files = sorted(tmp_path.iterdir())
    assert "pods.json" in [file.name for file in files]
    assert all(isinstance(json.loads(file.read_text()), list) for file in files)


def test_closing_is_harmless_twice_and_before_opening(make: Make) -> None:
    target = make()
    target.close()
    target.open("run")
    target.close()
    target.close()


def test_a_closed_target_can_be_opened_again(make: Make) -> None:
    """Goal: close gives everything back. Method: a second target opens after the first closed."""
    first = make()
    info = first.open("run")
    first.close()
    second = make()
    try:
        assert second.open("run").identity == info.identity
    finally:
        second.close()


@pytest.mark.sandbox
def test_a_target_that_was_never_opened_is_refused(
    sandbox_info: SandboxInfo, tmp_path: Path
) -> None:
    target = SandboxTarget(sandbox_info.name)
    with pytest.raises(TargetError, match="has not been opened"):
        target.preflight(plan())
    with pytest.raises(TargetError, match="has not been opened"):
        target.snapshot(tmp_path)
