"""Whether a target can take a plan: pure checks over the target's objects."""

from __future__ import annotations

from runner.model.fault import HttpAbort, HttpDelay, PodKill
from runner.model.faultmark import all_marks
from runner.model.plan import Plan
from runner.model.podcount import pods_meant
from runner.model.recording import TargetInfo
from runner.targets.inspection import Object, Objects


def problems(plan: Plan, objects: Objects, namespace: str, flags: str = "") -> list[str]:
    """Reasons why ``plan`` cannot be carried out or judged, each one sentence; empty if it can.

    Args:
        plan: The plan.
        objects: What there is on the target.
        namespace: Where that was read.
        flags: What names this target to ``seatrial heal``; see :func:`target_flags`.
    """
    found = [f"{kind} cannot be read ({why})" for kind, why in sorted(objects.needed.items())]
    found += leftovers(objects, flags)
    services = {o["metadata"]["name"]: o for o in objects.of("services")}
    for name in sorted(_services_of(plan)):
        if name not in services:
            known = ", ".join(sorted(services)) or "none"
            found.append(f"there is no Service {name} in {namespace}; there are: {known}")
        elif not _ready_addresses(name, objects):
            found.append(f"the Service {name} has no ready endpoint")
    for planned in plan.faults:
        fault = planned.fault
        if fault.service not in services:
            continue
        match fault:
            case PodKill():
                found.extend(_pod_kill_problems(planned.id, fault, services, objects))
            case HttpDelay() | HttpAbort():
                if not any(routes_to(vs, fault.service) for vs in objects.of("virtualservices")):
                    found.append(
                        f"{planned.id}: no VirtualService in {namespace} has an HTTP route to "
                        f"{fault.service}, so that there is nothing to inject into"
                    )
            case _:
                pass
    return found


def leftovers(objects: Objects, flags: str = "") -> list[str]:
    """Faults that are in place before anything was injected: each with how to remove it."""
    marks = all_marks(objects.of("virtualservices"))
    return [f"{mark.sentence}; remove it with `{mark.heal_command(flags)}`" for mark in marks]


def target_flags(target: TargetInfo) -> str:
    """The flags that name ``target`` on a command line; empty for the default sandbox."""
    if target.kind == "cluster":
        return f"--target {target.name}"
    return "" if target.name == "default" else f"--sandbox-name {target.name}"


def _services_of(plan: Plan) -> set[str]:
    named = {fault.fault.service for fault in plan.faults}
    return named | {o.service for o in plan.experiment.objectives if o.service}


def _ready_addresses(name: str, objects: Objects) -> int:
    return sum(
        len(subset.get("addresses") or ())
        for endpoints in objects.of("endpoints")
        if endpoints["metadata"]["name"] == name
        for subset in endpoints.get("subsets") or ()
    )


def _pod_kill_problems(
    fault_id: str, fault: PodKill, services: dict[str, Object], objects: Objects
) -> list[str]:
    if fault.selector is None and not services[fault.service]["spec"].get("selector"):
        return [f"{fault_id}: the Service {fault.service} has no selector; state one in the fault"]
    if fault.selector is not None:
        return []  # Chosen and counted when the time has come; the API server does the selecting.
    wanted = services[fault.service]["spec"]["selector"]
    ready = [
        pod
        for pod in objects.of("pods")
        if wanted.items() <= (pod["metadata"].get("labels") or {}).items() and is_ready(pod)
    ]
    count = pods_meant(fault.count, len(ready))
    if ready and len(ready) >= count + fault.min_healthy:
        return []
    return [
        f"{fault_id}: {len(ready)} pods of {fault.service} are ready, but killing {count} "
        f"and leaving {fault.min_healthy} healthy needs {count + fault.min_healthy}"
    ]


def is_ready(pod: Object) -> bool:
    """Whether ``pod`` is ready and not on its way out."""
    conditions = pod.get("status", {}).get("conditions") or ()
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def routes_to(virtual_service: Object, service: str) -> bool:
    """Whether an HTTP route of ``virtual_service`` leads to ``service`` (short name or FQDN)."""
    return any(
        str(leg.get("destination", {}).get("host", "")).split(".")[0] == service
        for route in virtual_service.get("spec", {}).get("http") or ()
        for leg in route.get("route") or ()
    )
