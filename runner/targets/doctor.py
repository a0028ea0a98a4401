"""What this machine, and a target that is up, have and lack: findings, not repairs."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from runner.credentials import NOBODY, credentials_for
from runner.errors import SeatrialError
from runner.model.access import without_userinfo
from runner.model.recording import TargetInfo
from runner.model.rights import LOOK, OF_KIND, all_rights
from runner.model.target import OPT_IN_LABEL, OPT_IN_VALUE, ClusterSpec, Rules
from runner.targets.alerts import alert_findings
from runner.targets.cluster import bare_info, cluster_info
from runner.targets.inspection import Objects, read_objects
from runner.targets.looking import look
from runner.targets.permissions import Permissions, opt_in
from runner.targets.preflight import left_behind, target_flags, target_symptoms
from runner.targets.reachability import check_prometheus
from runner.targets.sighting import ingress_symptoms
from runner.targets.survey import asked_for, host_of
from runner.targets.symptom import State, Symptom, several

COUNTED_KINDS = ("pods", "services", "deployments")
_PACKAGES = ("locust", "chaostoolkit", "chaostoolkit-kubernetes", "prometheus-api-client")
_MIN_FREE_GB = 1.0
RULES = Rules()


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


def examine_sandbox(name: str, rules: Rules = RULES) -> tuple[Symptom, ...]:
    """The sandbox ``name``, if it is up; a run starts one where it is not."""
    from runner.targets.sandbox import control
    from runner.targets.sandbox_target import sandbox_info

    part, info, target = f"sandbox {name!r}", control.status(name), sandbox_info(name)
    if info is None or target is None:
        return (Symptom(part, "ok", "not up", "nothing: `seatrial run` starts one"),)
    if info.state != "ready":
        hint = f"`seatrial sandbox logs --name {name}` says more"
        return (Symptom(part, "missing", f"{info.state}: {info.message}", hint),)
    return (Symptom(part, "ok", f"up since {info.since}"), *examine_target(target, rules))


def examine_cluster(name: str, spec: ClusterSpec) -> tuple[Symptom, ...]:
    """A cluster that ``seatrial.yaml`` names; its parts are looked at one by one."""
    try:
        target = cluster_info(name, spec)
    except SeatrialError as error:
        unread = Symptom("kubeconfig", "missing", error.message, _advice(error))
        bare = bare_info(name, spec)
        return (unread, _ingress(bare), _prometheus(bare))
    return (Symptom("kubeconfig", "ok", target.kubeconfig), *examine_target(target, spec))


def examine_target(target: TargetInfo, rules: Rules) -> tuple[Symptom, ...]:
    """A target that is up: does it answer, is it healthy, is it as it should be, and what may we?

    Args:
        target: The target.
        rules: What its owner allows.
    """
    try:
        objects = read_objects(target, all_rights())
    except SeatrialError as error:
        unread = Symptom("Kubernetes API", "missing", error.message, _advice(error))
        return (_ingress(target), _prometheus(target), unread)
    host = host_of(target)
    seen = look(target, host, [*asked_for(objects, host)])
    return (
        _prometheus(target),
        _api(target, objects),
        *target_symptoms(objects, seen, target),
        permitted(objects.permissions, target.namespace),
        *_opt_in(target, objects, rules),
        *_alerts(target, rules),
        _faults(target, objects),
    )


def permitted(permissions: Permissions, namespace: str) -> Symptom:
    """Which kinds of faults the permissions allow."""
    part, hint = "permissions", "`seatrial role` prints the Role that grants them"
    if permissions.trouble:
        return Symptom(part, "missing", f"cannot be asked for: {permissions.trouble}")
    denied = set(permissions.denied)
    needed = [str(right) for right in LOOK if right in denied]
    if needed:
        return Symptom(part, "missing", f"no run without: {several(needed)}", hint)
    barred = [kind for kind, rights in OF_KIND.items() if denied & set(rights)]
    lacking = several(str(right) for right in permissions.denied)
    if barred:
        return Symptom(part, "warn", f"no {', '.join(barred)} without: {lacking}", hint)
    if denied:
        return Symptom(part, "warn", f"less is seen without: {lacking}", hint)
    return Symptom(part, "ok", f"every kind of fault in {namespace}")


def _opt_in(target: TargetInfo, objects: Objects, rules: Rules) -> tuple[Symptom, ...]:
    """Whether the namespace of a cluster allows to be disturbed."""
    if not isinstance(rules, ClusterSpec) or objects.permissions.trouble:
        return ()
    refusals = opt_in(objects.permissions, target.namespace)
    if not refusals:
        found = f"{target.namespace} carries {OPT_IN_LABEL}={OPT_IN_VALUE}"
        return (Symptom("opt-in", "ok", found),)
    state: State = "missing" if rules.require_opt_in else "warn"
    return (Symptom("opt-in", state, refusals[0]),)


def _alerts(target: TargetInfo, rules: Rules) -> tuple[Symptom, ...]:
    """Alerts that fire now, as far as they count."""
    reasons, warnings = alert_findings(target, rules)
    found = [Symptom("alerts", "missing", reason) for reason in reasons]
    found += [Symptom("alerts", "warn", warning) for warning in warnings]
    told = "none fires" if rules.alerts != "ignore" else "not looked at: `alerts: ignore`"
    return tuple(found) or (Symptom("alerts", "ok", told),)


def _ingress(target: TargetInfo) -> Symptom:
    """The ingress alone, when nobody tells what it should have routes for."""
    seen = look(target, host_of(target), ["/"])
    return ingress_symptoms(seen, without_userinfo(target.ingress_url), ())[0]


def _prometheus(target: TargetInfo) -> Symptom:
    try:
        check_prometheus(target)
    except SeatrialError as error:
        return Symptom("Prometheus answers", "missing", error.message, _advice(error))
    who = credentials_for(target.access).name
    asked = "" if who == NOBODY else f", asked with {who}"
    return Symptom("Prometheus answers", "ok", f"{target.prometheus_url}{asked}")


def _api(target: TargetInfo, objects: Objects) -> Symptom:
    if objects.needed:
        unread = "; ".join(f"{kind}: {why}" for kind, why in objects.needed.items())
        return Symptom("Kubernetes API", "missing", unread, "may this user read them?")
    counts = ", ".join(f"{len(objects.of(kind))} {kind}" for kind in COUNTED_KINDS)
    return Symptom("Kubernetes API", "ok", f"{target.identity}: {counts}")


def _faults(target: TargetInfo, objects: Objects) -> Symptom:
    left = left_behind(objects, target_flags(target))
    if not left:
        return Symptom("faults left", "ok", "none")
    found = "; ".join(sentence for sentence, _ in left)
    return Symptom("faults left", "missing", found, "; ".join(command for _, command in left))


def _advice(error: SeatrialError) -> str:
    accepted = f"accepted: {error.accepted}" if error.accepted else ""
    return "; ".join(filter(None, (error.hint, accepted)))
