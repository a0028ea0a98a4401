"""Which containers run, with what environment, and which are refused."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from runner.targets.sandbox.programs import (
    PROXY_IMAGE,
    SHOP_IMAGE,
    Program,
    Refusal,
    find_program,
    given_environment,
)

GIVEN = {"SHOP_ADDRESS": "127.64.0.2", "SHOP_PORT": "8080"}


def container(**fields: Any) -> dict[str, Any]:
    return {"name": "app", "image": SHOP_IMAGE} | fields


def test_the_shop_runs_with_its_variables_and_nothing_else() -> None:
    """The environment is the spec's, the kubelet's and a locale: nothing of ours."""
    env = [{"name": "SHOP_SERVICE", "value": "order-api"}]
    program = find_program(container(env=env), GIVEN)
    assert isinstance(program, Program)
    assert program.env == {"LC_ALL": "C.UTF-8", "SHOP_SERVICE": "order-api", **GIVEN}
    assert program.argv[:4] == (sys.executable, "-I", "-S", "-c")


def test_the_proxy_has_no_process() -> None:
    """The shared proxy's image is known and has nothing to execute."""
    assert find_program({"name": "istio-proxy", "image": PROXY_IMAGE}, {}) == Program((), {})


@pytest.mark.parametrize("image", ["busybox", "", f"{SHOP_IMAGE}x", "/bin/sh", None])
def test_unknown_images_are_refused(image: str | None) -> None:
    """Only names in the table run; the message shows the table."""
    refusal = find_program({"name": "app", "image": image}, GIVEN)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "ErrImagePull"
    assert SHOP_IMAGE in refusal.message


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ["sh"]},
        {"args": ["-c", "id"]},
        {"lifecycle": {"preStop": {"exec": {"command": ["sh"]}}}},
        {"lifecycle": {"postStart": {"exec": {"command": ["sh"]}}}},
        {"readinessProbe": {"exec": {"command": ["sh"]}}},
        {"livenessProbe": {"tcpSocket": {"port": 1}}},
        {"envFrom": [{"configMapRef": {"name": "x"}}]},
        {"env": [{"name": "LD_PRELOAD", "value": "x.so"}]},
        {"env": [{"name": "PYTHONPATH", "value": "x"}]},
        {"env": [{"name": "SHOP_X=LD_PRELOAD", "value": "x"}]},
        {"env": [{"name": "SHOP_X", "value": "a\0b"}]},
        {"env": [{"name": "SHOP_X", "value": "a" * 5000}]},
        {"env": [{"name": "SHOP_X", "valueFrom": {"fieldRef": {}}}]},
        {"env": [{"name": "SHOP_ADDRESS", "value": "127.0.0.1"}]},
        {"env": [{"name": "SHOP_OUTBOUND", "value": "http://127.0.0.1:1"}]},
    ],
)
def test_whatever_could_change_what_runs_is_refused(fields: dict[str, Any]) -> None:
    """Commands, hooks, executed probes, foreign or reserved variables: never a process."""
    refusal = find_program(container(**fields), GIVEN)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "CreateContainerConfigError"


def test_what_the_kubelet_honours_is_not_refused() -> None:
    """A sleep before the stop, HTTP probes, and a reserved variable with its own value pass."""
    fields = {
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
        "env": [{"name": "SHOP_ADDRESS", "value": "127.64.0.2"}],
    }
    assert isinstance(find_program(container(**fields), GIVEN), Program)


def test_the_kubelets_variables() -> None:
    """Address, port, proxy, name, version, token and parent come from the kubelet."""
    pod = {"metadata": {"name": "order-api-1", "labels": {"version": "v2"}}}
    given = given_environment(
        pod=pod, address="127.64.0.9", port=8080, outbound_port=15001, token="t"
    )
    assert given == {
        "SHOP_ADDRESS": "127.64.0.9",
        "SHOP_PORT": "8080",
        "SHOP_OUTBOUND": "http://127.64.0.9:15001",
        "SHOP_POD": "order-api-1",
        "SHOP_VERSION": "v2",
        "SHOP_TOKEN": "t",
        "SHOP_PARENT": str(os.getpid()),
    }
