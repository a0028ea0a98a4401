"""The supervisor's side of ``status.json``: one place that changes it, and only when it changes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runner.targets.sandbox.options import OPTIONS
from runner.targets.sandbox.settings import HOST, SandboxSettings
from runner.targets.sandbox.state import SandboxInfo, error_to_json, write_status


class StatusBoard:
    """What the sandbox says about itself; :attr:`info` is the last thing that was written."""

    def __init__(self, settings: SandboxSettings, *, attached: bool, owner_pid: int | None) -> None:
        self.pid = os.getpid()
        ports = {
            "api": settings.api_port,
            "ingress": settings.ingress_port,
            "prometheus": settings.prometheus_port,
            "envoy_admin": settings.envoy_admin_port,
            "exporter": settings.exporter_port,
            "kubelet": settings.kubelet_port,
        }
        if attached:
            del ports["api"]
        self.info = SandboxInfo(
            name=settings.name,
            state="starting",
            home=settings.home,
            kubeconfig=settings.kubeconfig,
            namespace=settings.namespace,
            host=HOST,
            ingress_url=f"http://127.0.0.1:{settings.ingress_port}",
            prometheus_url=f"http://127.0.0.1:{settings.prometheus_port}",
            attached=attached,
            ports=ports,
            slot=settings.slot,
            pids={"supervisor": self.pid},
            owner_pid=owner_pid,
            options={name: getattr(settings, name) for name in OPTIONS},
            started_at_s=time.time(),
        )

    def set(self, **changes: Any) -> None:
        """Change fields of :class:`SandboxInfo`; the file is written when something changed."""
        new = replace(self.info, **changes)
        if new != self.info or changes.get("state") == "starting":
            self.info = new
            write_status(new)

    def fail(self, error: BaseException) -> None:
        """Say that the sandbox has failed, and why."""
        document: Mapping[str, str] = error_to_json(error)
        self.set(state="failed", message=document["message"], error=document)
