"""Whether a target can take a plan, and what should be known when its report is read. Pure.

The same findings for ``seatrial doctor``, which asks about a target, and for the preflight of each
run, which asks about a target and a plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.model.access import without_userinfo
from runner.model.faultmark import FaultMark, all_marks
from runner.model.objective import EVERY
from runner.model.plan import Plan
from runner.model.recording import TargetInfo
from runner.targets.faultfit import fault_symptoms
from runner.targets.health import clock_symptoms, health_symptoms
from runner.targets.inspection import Objects
from runner.targets.istio import istio_symptoms, load_balancers, policies
from runner.targets.reach import Reach
from runner.targets.sighting import Seen, data_symptom, ingress_symptoms
from runner.targets.symptom import Symptom, perhaps, refusals
from runner.targets.workloads import has_sidecar, is_ready, named, pods_of, ready_addresses

__all__ = ["is_ready", "leftovers", "plan_symptoms", "problems", "target_flags", "target_symptoms"]


def target_symptoms(
    objects: Objects, seen: Seen, target: TargetInfo, *, called: bool = True
) -> tuple[Symptom, ...]:
    """What is to be said about a target, whatever is run on it.

    Args:
        objects: What there is.
        seen: What its ingress and its Prometheus showed.
        target: Which one it is.
        called: Whether its services should have been called before.
    """
    hosts = [
        str(host)
        for vs in objects.of("virtualservices")
        for host in (vs.get("spec") or {}).get("hosts") or ()
    ]
    skews = (("Prometheus", seen.prometheus_skew_s), ("the API server", objects.api_skew_s))
    return (
        *ingress_symptoms(seen, without_userinfo(target.ingress_url), hosts),
        *load_balancers(objects),
        data_symptom(seen, services_in_mesh(objects), called=called),
        *clock_symptoms(skews),
        *health_symptoms(objects, target.namespace),
        *istio_symptoms(objects, target.namespace),
        policies(objects),
    )


def services_in_mesh(objects: Objects) -> list[str]:
    """Services with pods that have a sidecar, of which the mesh should tell."""
    return [
        name
        for name in named(objects.of("services"))
        if any(has_sidecar(pod) for pod in pods_of(name, objects))
    ]


def plan_symptoms(
    plan: Plan, objects: Objects, namespace: str, flags: str = "", reach: Reach | None = None
) -> tuple[Symptom, ...]:
    """What stands against ``plan`` on a target.

    Args:
        plan: The plan.
        objects: What there is on the target.
        namespace: Where that was read.
        flags: What names this target to ``seatrial heal``; see :func:`target_flags`.
        reach: Which services the load reaches; None when that was not looked at.
    """
    return (
        *(
            Symptom(kind, "missing", f"{kind} cannot be read ({why})")
            for kind, why in sorted(objects.needed.items())
        ),
        *(Symptom("faults left", "missing", sentence) for sentence in leftovers(objects, flags)),
        *_services(plan, objects, namespace),
        *fault_symptoms(plan, objects, namespace, reach),
    )


def problems(plan: Plan, objects: Objects, namespace: str, flags: str = "") -> list[str]:
    """Reasons why ``plan`` cannot be carried out or judged, each one sentence; empty if it can.

    Arguments are those of :func:`plan_symptoms`.
    """
    return refusals(plan_symptoms(plan, objects, namespace, flags))


def leftovers(objects: Objects, flags: str = "") -> list[str]:
    """Faults that are in place before anything was injected: each run's with how to remove them."""
    said = []
    for sentence, command in left_behind(objects, flags):
        many = " still carry " in sentence or " the faults " in sentence
        what = "them" if many else "it"
        # A node serves all namespaces, and a Lease holds for one: the run may well be under way.
        over = "if that run is over, " if "node/" in sentence else ""
        said.append(f"{sentence}; {over}remove {what} with `{command}`")
    return said


def left_behind(objects: Objects, flags: str = "") -> list[tuple[str, str]]:
    """The faults on objects: for each run a sentence, and the command that removes them."""
    by_command: dict[str, list[FaultMark]] = {}
    for mark in all_marks(objects.marked):
        by_command.setdefault(mark.heal_command(flags), []).append(mark)
    return [(_left(marks), command) for command, marks in by_command.items()]


def _left(marks: Sequence[FaultMark]) -> str:
    if len(marks) == 1:
        return marks[0].sentence
    on = list(dict.fromkeys(mark.subject for mark in marks))
    names = sorted({mark.fault for mark in marks})
    faults = f"the fault{'s' if len(names) > 1 else ''} {', '.join(names)}"
    carry = "carries" if len(on) == 1 else "carry"
    run = f"run {marks[0].run}" if marks[0].run else "an unknown run"
    return f"{', '.join(on)} still {carry} {faults} of {run}"


def target_flags(target: TargetInfo) -> str:
    """The flags that name ``target`` on a command line; empty for the default sandbox."""
    if target.kind == "cluster":
        return target.flags or f"--target {target.name}"
    return "" if target.name == "default" else f"--sandbox-name {target.name}"


def _services(plan: Plan, objects: Objects, namespace: str) -> Iterator[Symptom]:
    wanted = {fault.fault.service for fault in plan.faults}
    for objective in plan.experiment.objectives:
        wanted |= {*objective.other_than, objective.service or EVERY} - {EVERY}
    services = named(objects.of("services"))
    for name in sorted(wanted):
        if name not in services:
            known = ", ".join(sorted(services)) or "none"
            found = f"there is no Service {name} in {namespace}{perhaps(name, services)}"
            yield Symptom("services", "missing", f"{found}; there are: {known}")
        elif not ready_addresses(name, objects):
            yield Symptom("services", "missing", f"the Service {name} has no ready endpoint")
