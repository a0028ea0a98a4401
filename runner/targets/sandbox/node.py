"""The sandbox's Node objects: pure data, made from the machine's figures.

There is one, unless more are asked for; all of them are this machine.
"""

from __future__ import annotations

import platform
from typing import Any, Final

import psutil

from runner.targets.sandbox.pods import time_of
from runner.targets.sandbox.settings import NODE_NAME

MAX_PODS: Final = 250
VERSION: Final = "v1.32.0+seatrial"


def node_object(name: str = NODE_NAME) -> dict[str, Any]:
    """The Node ``name`` as it is registered."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(
            platform.machine(), platform.machine()
        ),
        "topology.kubernetes.io/zone": "sandbox" + name.removeprefix(NODE_NAME),
    }
    return {"metadata": {"name": name, "labels": labels}, "spec": {}}


def node_status(
    kubelet_port: int, now_s: float, since_s: float, *, ready: bool, name: str = NODE_NAME
) -> dict[str, Any]:
    """The status of the Node ``name``: Ready or not, its size, and where its kubelet answers."""
    size = {
        "cpu": str(psutil.cpu_count() or 1),
        "memory": f"{psutil.virtual_memory().total // 1024}Ki",
        "pods": str(MAX_PODS),
    }
    healthy = ("MemoryPressure", "DiskPressure", "PIDPressure")
    conditions = [_condition(kind, holds=False, now_s=now_s, since_s=since_s) for kind in healthy]
    conditions.append(_condition("Ready", holds=ready, now_s=now_s, since_s=since_s))
    return {
        "addresses": [
            {"type": "InternalIP", "address": "127.0.0.1"},
            {"type": "Hostname", "address": name},
        ],
        "capacity": size,
        "allocatable": size,
        "conditions": conditions,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        "nodeInfo": {
            "architecture": platform.machine(),
            "containerRuntimeVersion": "process://1",
            "kernelVersion": platform.release(),
            "kubeletVersion": VERSION,
            "operatingSystem": "linux",
            "osImage": platform.system(),
        },
    }


def _condition(kind: str, *, holds: bool, now_s: float, since_s: float) -> dict[str, Any]:
    reasons = {
        ("Ready", True): "KubeletReady",
        ("Ready", False): "KubeletStopped",
    }
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": reasons.get((kind, holds), f"KubeletHasNo{kind}"),
        "lastHeartbeatTime": time_of(now_s),
        "lastTransitionTime": time_of(since_s if kind != "Ready" or holds else now_s),
    }
