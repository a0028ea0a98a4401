"""What this machine, and a target that is up, have and lack: findings, not repairs."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from runner.errors import SeatrialError
from runner.model.recording import TargetInfo
from runner.targets.inspection import KINDS, read_objects
from runner.targets.preflight import is_ready
from runner.targets.reachability import check_ingress, check_prometheus

_PACKAGES = ("locust", "chaostoolkit", "chaostoolkit-kubernetes", "prometheus-api-client")
_MIN_FREE_GB = 1.0


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that was looked at.

    Attributes:
        state: ``ok``; ``warn``, something is worse than it could be; ``missing``, a run will fail.
        found: What was found.
        hint: What to do about it; empty when nothing.
    """

    part: str
    state: Literal["ok", "warn", "missing"]
    found: str
    hint: str = ""


def examine_machine(*, sandbox: bool) -> tuple[Symptom, ...]:
    """This machine; the parts of the sandbox only when ``sandbox`` is wanted."""
    return (
        _python(),
        *(_package(name) for name in _PACKAGES),
        *(_sandbox_parts() if sandbox else ()),
        _kubectl(),
        _disk(),
    )


def _python() -> Symptom:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Symptom("Python", "ok", found)


def _package(name: str) -> Symptom:
    try:
        return Symptom(name, "ok", version(name))
    except PackageNotFoundError:
        return Symptom(name, "missing", "not installed", "make setup")


def _sandbox_parts() -> list[Symptom]:
    from runner.targets.sandbox.binaries import find_prometheus
    from runner.targets.sandbox.mesh.envoy import find_envoy

    parts: list[tuple[str, Callable[[], object]]] = [
        ("Envoy", find_envoy),
        ("Prometheus", find_prometheus),
    ]
    symptoms = []
    for name, find in parts:
        try:
            symptoms.append(Symptom(name, "ok", str(find())))
        except SeatrialError as error:
            symptoms.append(Symptom(name, "missing", error.message, error.hint))
    return symptoms


def _kubectl() -> Symptom:
    found = shutil.which("kubectl")
    if found:
        return Symptom("kubectl", "ok", found)
    return Symptom("kubectl", "warn", "not found", "not needed to run; handy to look around")


def _disk() -> Symptom:
    free_gb = shutil.disk_usage(".").free / 1e9
    state: Literal["ok", "warn"] = "ok" if free_gb >= _MIN_FREE_GB else "warn"
    return Symptom(
        "disk", state, f"{free_gb:.0f} GB free here", "" if state == "ok" else "free some"
    )


def examine_target(target: TargetInfo) -> tuple[Symptom, ...]:
    """A target that is up: does it answer, and is it healthy?"""
    symptoms = []
    for part, check in (("ingress", check_ingress), ("Prometheus answers", check_prometheus)):
        try:
            check(target)
            symptoms.append(Symptom(part, "ok", f"of {target.name}"))
        except SeatrialError as error:
            symptoms.append(Symptom(part, "missing", error.message, error.hint))
    try:
        objects = read_objects(target)
    except SeatrialError as error:
        return (*symptoms, Symptom("Kubernetes API", "missing", error.message, error.hint))
    counts = ", ".join(f"{len(objects.of(kind))} {kind}" for kind in KINDS)
    unread = "; ".join(f"{kind}: {why}" for kind, why in objects.errors.items())
    symptoms.append(Symptom("Kubernetes API", "missing" if unread else "ok", unread or counts))
    unready = [p["metadata"]["name"] for p in objects.of("pods") if not is_ready(p)]
    pods = len(objects.of("pods"))
    state: Literal["ok", "warn"] = "warn" if unready or not pods else "ok"
    found = f"{pods - len(unready)} of {pods} ready" + (
        f"; not: {', '.join(unready)}" * bool(unready)
    )
    return (*symptoms, Symptom("pods", state, found))
