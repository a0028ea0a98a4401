"""A sandbox that is up already: joined when it is what was asked for, else refused with words.

Nothing is started: the folder of a sandbox, its lock and its status are all that is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.errors import UsageError
from runner.targets.sandbox import control
from runner.targets.sandbox.homes import create_home
from runner.targets.sandbox.state import SandboxInfo, write_status


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The root of one sandbox that says that it is ready, with 2 replicas on port 8080."""
    home = tmp_path / "sandboxes" / "sandbox-default"
    lock = create_home(home)
    info = SandboxInfo(
        name="default",
        state="ready",
        home=home,
        ports={"ingress": 8080},
        options={"replicas": 2, "pod_recreation_delay_s": 1.0},
        started_at_s=1_700_000_000.0,
    )
    write_status(info)
    (home / "logs" / "pods").mkdir(parents=True)
    for name in ("envoy", "supervisor", "pods/order-api-1"):
        (home / "logs" / f"{name}.log").write_text(f"of {name}\n")
    yield home.parent
    lock.release()


@pytest.mark.parametrize("asked", [{}, {"ports": {"ingress": 8080}, "options": {"replicas": 2}}])
def test_what_was_asked_for_is_up_already_and_said_so(root: Path, asked: Mapping[str, Any]) -> None:
    said: list[str] = []
    info = control.up(root=root, progress=said.append, **asked)
    assert info.name == "default"
    assert said == ["the sandbox 'default' is already up since 2023-11-14 22:13:20 UTC"]


@pytest.mark.parametrize(
    ("asked", "difference"),
    [
        ({"options": {"replicas": 3}}, "replicas 2 instead of 3"),
        ({"options": {"pod_recreation_delay_s": 0.5}}, "pod_recreation_delay_s 1 instead of 0.5"),
        ({"options": {"seed": 7}}, "seed None instead of 7"),
        ({"ports": {"ingress": 8081}}, "ingress port 8080 instead of 8081"),
    ],
)
def test_other_settings_than_the_running_ones_are_a_usage_error(
    root: Path, asked: Mapping[str, Any], difference: str
) -> None:
    with pytest.raises(UsageError) as caught:
        control.up(root=root, **asked)
    assert caught.value.message == f"the sandbox 'default' is already up, with {difference}"
    assert caught.value.hint.startswith("`seatrial sandbox down --name default` first")


def test_another_api_server_is_a_usage_error(root: Path) -> None:
    (root / "kubeconfig").touch()
    with pytest.raises(UsageError, match=r"with API server its own instead of .*kubeconfig"):
        control.up(root=root, api_server=root / "kubeconfig")


@pytest.mark.parametrize("part", ["envo", "", "nginx", "pods/payment-api"])
def test_logs_of_an_unknown_part_are_refused_with_the_known_ones(root: Path, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        control.logs(part=part, root=root)
    assert caught.value.accepted == "envoy, pods/order-api-1, supervisor"


@pytest.mark.parametrize("part", ["order-api", "pods/order", "pods/order-api-1"])
def test_logs_of_a_pod_are_found_by_the_beginning_of_its_name(root: Path, part: str) -> None:
    assert list(control.logs(part=part, root=root)) == ["of pods/order-api-1"]
