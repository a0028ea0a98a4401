"""The programs that a pod can run: a closed table of image names.

The Kubernetes API of a sandbox must never become a way to start an arbitrary command. A pod names
an image; an image that is not in the table is not run, and of a container only the image and
environment variables named ``SHOP_…`` reach the process. Everything else that could change what
runs (command, args, exec probes, hooks, other variables) refuses the container.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import runner

Object = Mapping[str, Any]

SHOP_IMAGE: Final = "seatrial.dev/shop:1"
PROXY_IMAGE: Final = "seatrial.dev/proxy:1"
PROXY_CONTAINER: Final = "istio-proxy"
ENV_PREFIX: Final = "SHOP_"
MAX_ENV_BYTES: Final = 4096

# Set by the kubelet alone: where the pod is, who its parent is, what it is called.
RESERVED_ENV: Final = frozenset(
    {
        *("SHOP_ADDRESS", "SHOP_PORT", "SHOP_OUTBOUND", "SHOP_POD", "SHOP_VERSION"),
        *("SHOP_TOKEN", "SHOP_PARENT"),
    }
)

# ``ssl`` costs 1.5 MiB per process and asyncio works without it; sites and user folders are not
# read (-I -S), so that only these two folders can be imported from.
_BOOT: Final = (
    "import sys; sys.modules['ssl'] = None; sys.path[:0] = sys.argv[1:3]; "
    "from runner.targets.sandbox.shop.app import main; sys.exit(main())"
)

_IGNORED_OF_PODS: Final = (
    *("volumes", "hostNetwork", "hostPID", "hostAliases", "nodeSelector", "affinity"),
    *("readinessGates", "topologySpreadConstraints"),
)
_IGNORED_OF_CONTAINERS: Final = ("startupProbe", "volumeMounts", "workingDir")


class Refusal(NamedTuple):
    """Why a container is not run; ``reason`` is a Kubernetes waiting reason."""

    reason: str
    message: str


class Program(NamedTuple):
    """What to execute; ``env`` is the whole environment. ``argv`` is empty for the shared proxy."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


def find_program(container: Object, given: Mapping[str, str]) -> Program | Refusal:
    """Look a container's image up in the table.

    Args:
        container: A container of a pod's spec.
        given: Reserved variables and their values, from the kubelet.
    """
    image = str(container.get("image", ""))
    if image not in (SHOP_IMAGE, PROXY_IMAGE):
        known = ", ".join((SHOP_IMAGE, PROXY_IMAGE))
        return Refusal("ErrImagePull", f"image {image!r} is not one of the sandbox's: {known}")
    for field in ("command", "args", "lifecycle"):
        if container.get(field) and not _only_sleeps(field, container[field]):
            message = f"{field} is not honoured: a sandbox runs the image's own program only"
            return Refusal("CreateContainerConfigError", message)
    for field in ("readinessProbe", "livenessProbe", "startupProbe"):
        probe = container.get(field)
        if probe and "httpGet" not in probe:
            message = f"{field} must be httpGet: a sandbox executes nothing in a container"
            return Refusal("CreateContainerConfigError", message)
    if image == PROXY_IMAGE:
        return Program((), {})
    if container.get("envFrom"):
        return Refusal("CreateContainerConfigError", "envFrom is not honoured")
    env = _environment(container.get("env") or (), given)
    if isinstance(env, Refusal):
        return env
    return Program(shop_argv(), env)


def shop_argv() -> tuple[str, ...]:
    """The command line of the shop's program."""
    import httptools

    root = str(Path(runner.__file__).resolve().parents[1])
    packages = str(Path(httptools.__file__).resolve().parents[1])
    return (sys.executable, "-I", "-S", "-c", _BOOT, root, packages)


def given_environment(
    *, pod: Object, address: str, port: int, outbound_port: int, token: str
) -> dict[str, str]:
    """The reserved variables of a pod's process."""
    metadata = pod["metadata"]
    return {
        "SHOP_ADDRESS": address,
        "SHOP_PORT": str(port),
        "SHOP_OUTBOUND": f"http://{address}:{outbound_port}",
        "SHOP_POD": str(metadata["name"]),
        "SHOP_VERSION": str((metadata.get("labels") or {}).get("version", "v1")),
        "SHOP_TOKEN": token,
        "SHOP_PARENT": str(os.getpid()),
    }


def ignored_fields(spec: Object, container: Object) -> list[str]:
    """The fields of a pod that have no effect in a sandbox, though somebody may count on them."""
    return [
        *(field for field in _IGNORED_OF_PODS if spec.get(field)),
        *(field for field in _IGNORED_OF_CONTAINERS if container.get(field)),
    ]


def _only_sleeps(field: str, value: Any) -> bool:
    """Whether a lifecycle is nothing but ``preStop.sleep``, which the kubelet does itself."""
    return field == "lifecycle" and set(value) == {"preStop"} and set(value["preStop"]) == {"sleep"}


def _environment(entries: Sequence[Object], given: Mapping[str, str]) -> dict[str, str] | Refusal:
    env: dict[str, str] = {}
    for entry in entries:
        name, value = str(entry.get("name", "")), entry.get("value", "")
        fault = ""
        if not name.startswith(ENV_PREFIX) or not name.isascii() or "=" in name or "\0" in name:
            fault = f"only variables named {ENV_PREFIX}… reach a pod's process"
        elif entry.get("valueFrom"):
            fault = "valueFrom is not honoured; give a value"
        elif not isinstance(value, str) or "\0" in value or len(value) > MAX_ENV_BYTES:
            fault = "the value must be a text of at most 4096 bytes"
        elif name in RESERVED_ENV and value != given.get(name):
            fault = "the kubelet sets this variable"
        if fault:
            return Refusal("CreateContainerConfigError", f"env {name[:80]!r}: {fault}")
        env[name] = value
    # The locale decides how Python encodes its log; nothing else of the caller's environment is
    # handed on.
    return {"LC_ALL": "C.UTF-8", **env, **given}
