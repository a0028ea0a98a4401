"""Could each fault of a plan show anything on this target? Pure checks over its objects.

What the experiment's file alone tells was said before (``runner.model.faultlint``). Each sentence
here begins with the fault's id and says what would be accepted, where that is not plain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from runner.model.fault import (
    Cordon,
    Drain,
    HttpAbort,
    HttpDelay,
    PodKill,
    RolloutRestart,
    Scale,
)
from runner.model.faultlint import FIRST_COUNTED_STATUS
from runner.model.labels import matches
from runner.model.plan import Plan, PlannedFault
from runner.model.podcount import EVERY_POD, pods_meant
from runner.targets.health import ejectable
from runner.targets.inspection import Object, Objects
from runner.targets.istio import MESH, gateways_of, routes_of, routes_to
from runner.targets.reach import Reach
from runner.targets.symptom import State, Symptom, perhaps, several
from runner.targets.workloads import (
    has_sidecar,
    is_ready,
    labels_of,
    named,
    picks_none_of,
    pods_of,
    selected,
    selector_of,
)

Said = tuple[State, str]
REFUSED: Final = "missing"
TOLD: Final = "warn"


def fault_symptoms(
    plan: Plan, objects: Objects, namespace: str, reach: Reach | None = None
) -> tuple[Symptom, ...]:
    """What stands against the faults of ``plan`` on this target.

    Args:
        plan: The plan.
        objects: What there is on the target.
        namespace: Where that was read.
        reach: Which services the load reaches; None when that was not looked at.
    """
    services = named(objects.of("services"))
    found: list[Symptom] = []
    for planned in plan.faults:
        if planned.fault.service not in services:
            continue  # Said for all that need it.
        said = [*_of_kind(planned, objects, namespace), *_breaker(planned, objects, namespace)]
        if reach is not None:
            said += _reached(planned, reach)
        found += [Symptom(planned.id, state, f"{planned.id}: {text}") for state, text in said]
    return tuple(found)


def _of_kind(planned: PlannedFault, objects: Objects, namespace: str) -> Iterator[Said]:
    fault = planned.fault
    match fault:
        case PodKill():
            yield from _pod_kill(fault, objects)
        case HttpDelay() | HttpAbort() if fault.side == "server":
            yield from _server_side(fault, objects)
        case HttpDelay() | HttpAbort():
            yield from _client_side(fault, objects, namespace)
        case Scale() | RolloutRestart():
            yield from _deployment(fault, objects, namespace)
        case Cordon() | Drain():
            yield from _node(fault, objects)
        case _:
            return


# -- pods ------------------------------------------------------------------------------------------


def _pod_kill(fault: PodKill, objects: Objects) -> Iterator[Said]:
    wanted = selector_of(named(objects.of("services")).get(fault.service))
    if fault.selector is None and not wanted:
        yield REFUSED, f"the Service {fault.service} has no selector; state one in the fault"
    yield from _selector(fault, objects)
    if fault.selector is not None or not wanted:
        return  # Chosen and counted when the time has come; the API server does the selecting.
    ready = len([pod for pod in selected(wanted, objects.of("pods")) if is_ready(pod)])
    count = pods_meant(fault.count, ready)
    if not ready or ready < count + fault.min_healthy:
        are = "1 pod of {} is" if ready == 1 else f"{ready} pods of {{}} are"
        yield (
            REFUSED,
            f"{are.format(fault.service)} ready, but killing {count} and leaving "
            f"{fault.min_healthy} healthy needs {count + fault.min_healthy}",
        )


def _selector(fault: PodKill | Drain, objects: Objects) -> Iterator[Said]:
    """A selector that passes by the service: other pods would go, and what is asked of it stands.

    Where nothing is meant to go but others' pods, the fault is about their service.
    """
    if fault.selector is None or not picks_none_of(fault.selector, fault.service, objects):
        return
    others = sorted(
        name
        for name, service in named(objects.of("services")).items()
        if any(
            matches(fault.selector, labels_of(pod))
            for pod in selected(selector_of(service), objects.of("pods"))
        )
    )
    does = f"it picks pods of {several(others)}" if others else "it picks none of any service"
    own = "the Service's own" if isinstance(fault, PodKill) else "all of the namespace on the node"
    yield (
        REFUSED,
        f"the selector {fault.selector!r} picks no pod of {fault.service}; {does}; accepted: "
        f"{f'service: {others[0]}, ' if others else ''}labels of {fault.service}'s pods, or no "
        f"selector, for {own}",
    )


def _server_side(fault: HttpDelay | HttpAbort, objects: Objects) -> Iterator[Said]:
    ready = [pod for pod in pods_of(fault.service, objects) if is_ready(pod)]
    count = pods_meant(EVERY_POD if fault.count is None else fault.count, len(ready))
    if ready and count > len(ready):
        have = "1 pod" if len(ready) == 1 else f"{len(ready)} pods"
        yield REFUSED, f"it is for {count} pods, but {fault.service} has {have} that are ready"
    bare = sorted(str(pod["metadata"]["name"]) for pod in ready if not has_sidecar(pod))
    if bare:
        yield (
            REFUSED,
            f"on the server side, the pods' own proxies act, and there is no istio-proxy in "
            f"{several(bare)}",
        )


# -- routes ----------------------------------------------------------------------------------------


def _client_side(fault: HttpDelay | HttpAbort, objects: Objects, namespace: str) -> Iterator[Said]:
    service = fault.service
    leading = [vs for vs in objects.of("virtualservices") if routes_to(vs, service, namespace)]
    if not leading:
        yield (
            REFUSED,
            f"no VirtualService in {namespace} has an HTTP route to {service}, so that there is "
            "nothing to inject into",
        )
        return
    routes = [route for vs in leading for route in routes_to(vs, service, namespace)]
    most = max(len(routes_of(vs)) for vs in leading)
    if fault.route is not None and (why := _no_such_route(fault.route, service, routes, most)):
        yield REFUSED, why
        return
    matches = [m for vs in leading for m in _matches(vs, fault, namespace)]
    if not any(_can_meet(match, fault.conditions) for match in matches):
        names = ", ".join(sorted(fault.conditions))
        yield (
            REFUSED,
            f"no route to {service} can match these headers ({names}): each one asks for other "
            "values",
        )
    yield from _callers(fault, leading, objects)


def _no_such_route(route: str, service: str, routes: list[Any], most: int) -> str:
    """Why there is no such route as the fault names; empty when there is.

    Args:
        route: Its name, or ``#2``.
        service: To which it leads.
        routes: Those that lead there.
        most: The highest number of a route.
    """
    names = [
        str(one.get("name"))
        for one in routes
        if one.get("name") and not str(one["name"]).startswith("seatrial-")
    ]
    if route.startswith("#") and route[1:].isdigit():
        if 1 <= int(route[1:]) <= most:
            return ""
        return f"there is no route {route} to {service}; accepted: #1 to #{most}"
    if route in names:
        return ""
    known = ", ".join(dict.fromkeys(names)) or f"the routes have no names; accepted: #1 to #{most}"
    return f"no route to {service} is called {route!r}{perhaps(route, names)}; there are: {known}"


def _matches(vs: Object, fault: HttpDelay | HttpAbort, namespace: str) -> Iterator[Any]:
    """The matches of the routes that the fault is for; an empty one for a route without any."""
    for number, route in enumerate(routes_of(vs), start=1):
        chosen = fault.route in (None, route.get("name"), f"#{number}")
        if chosen and route in routes_to(vs, fault.service, namespace):
            yield from route.get("match") or [{}]


def _can_meet(match: Any, conditions: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a request can meet a route's match and the fault's conditions.

    Said to be impossible only of what surely is: two different values of one header.
    """
    wanted = {str(k).lower(): v or {} for k, v in (match.get("headers") or {}).items()}
    for name, condition in conditions.items():
        known = wanted.get(name) or {}
        if {"exact"} == set(known) == set(condition) and known != condition:
            return False
        for one, other in ((known, condition), (condition, known)):
            if (
                "exact" in one
                and "prefix" in other
                and not one["exact"].startswith(other["prefix"])
            ):
                return False
    return True


def _callers(
    fault: HttpDelay | HttpAbort, leading: list[Object], objects: Objects
) -> Iterator[Said]:
    if not fault.source:
        return
    labels = ", ".join(f"{key}={value}" for key, value in fault.source.items())
    if not any(MESH in gateways_of(vs) for vs in leading):
        yield (
            REFUSED,
            f"'source' is about callers inside of the mesh, and the VirtualServices of "
            f"{fault.service} are for gateways only",
        )
    elif not any(fault.source.items() <= labels_of(pod).items() for pod in objects.of("pods")):
        yield TOLD, f"no pod of this namespace has the labels of 'source' ({labels})"


# -- Deployments and nodes -------------------------------------------------------------------------


def _deployment(fault: Scale | RolloutRestart, objects: Objects, namespace: str) -> Iterator[Said]:
    known = named(objects.of("deployments"))
    deployment = known.get(fault.of)
    if deployment is None:
        there = ", ".join(sorted(known)) or "none"
        guess = perhaps(fault.of, known)
        yield (
            REFUSED,
            f"there is no Deployment {fault.of} in {namespace}{guess}; there are: {there}",
        )
        return
    if not isinstance(fault, Scale):
        return
    now = (deployment.get("spec") or {}).get("replicas", 1)
    if now == fault.replicas:
        are = "1 replica" if now == 1 else f"{now} replicas"
        yield REFUSED, f"deployment/{fault.of} has {are} already, so that nothing would change"
    for scaler in objects.of("horizontalpodautoscalers"):
        scaled = (scaler.get("spec") or {}).get("scaleTargetRef") or {}
        if fault.replicas and (scaled.get("kind"), scaled.get("name")) == ("Deployment", fault.of):
            yield (
                REFUSED,
                f"horizontalpodautoscaler/{scaler['metadata']['name']} takes care of "
                f"deployment/{fault.of}, and would set the replicas back; accepted: replicas: 0, "
                "which an autoscaler leaves alone",
            )


def _node(fault: Cordon | Drain, objects: Objects) -> Iterator[Said]:
    if isinstance(fault, Drain):
        yield from _selector(fault, objects)
    holders = {
        str((pod.get("spec") or {}).get("nodeName"))
        for pod in pods_of(fault.service, objects)
        if (pod.get("spec") or {}).get("nodeName")
    }
    if "nodes" in objects.errors or "nodes" not in objects.kinds:
        return  # Whether it may be done at all is the permissions' question.
    nodes = named(objects.of("nodes"))
    if fault.node is not None and fault.node not in nodes:
        there = ", ".join(sorted(nodes)) or "none"
        guess = perhaps(fault.node, nodes)
        yield REFUSED, f"there is no node {fault.node}{guess}; there are: {there}"
        return
    if fault.node is None and not holders:
        yield REFUSED, f"no node holds a pod of {fault.service}"
        return
    if fault.node is not None and fault.node not in holders:
        yield TOLD, f"{fault.node} holds no pod of {fault.service}"
    chosen = {fault.node} if fault.node else holders
    shut = [name for name in chosen if (nodes.get(name, {}).get("spec") or {}).get("unschedulable")]
    if shut and set(shut) == chosen:
        yield REFUSED, f"{several(sorted(shut))} is cordoned already, so that nothing would change"
    opened = {
        name for name, node in nodes.items() if not (node.get("spec") or {}).get("unschedulable")
    }
    # One of them is drawn; the others stay as they are, also where they hold pods of the service.
    if isinstance(fault, Drain) and not any(opened - {name} for name in chosen):
        alone = "there is no other node that takes pods, so that evicted ones wait for the end"
        yield (TOLD, alone) if fault.last_node else (REFUSED, f"{alone}; accepted: last_node: true")


# -- breakers, and the load ------------------------------------------------------------------------


def _breaker(planned: PlannedFault, objects: Objects, namespace: str) -> Iterator[Said]:
    """A breaker that cannot eject a pod, under a fault that only ejection would answer."""
    fault = planned.fault
    server = isinstance(fault, HttpDelay | HttpAbort) and fault.side == "server"
    counted = not isinstance(fault, HttpAbort) or fault.status >= FIRST_COUNTED_STATUS
    if fault.expects == "no-breaker" or not (fault.expects or (server and counted)):
        return
    most, why = ejectable(fault.service, objects, namespace)
    if most is None and fault.expects:
        yield REFUSED, f"it is meant to show a breaker, but {why}"
    elif most == 0:
        yield (
            REFUSED,
            f"no breaker can eject a pod of {fault.service}: {why} is less than one pod; accepted: "
            "a higher maxEjectionPercent, or expects: no-breaker, if that is what it is to show",
        )


def _reached(planned: PlannedFault, reach: Reach) -> Iterator[Said]:
    service = planned.fault.service
    if service in reach.sure:
        return
    ways = ", ".join(sorted(reach.sure)) or "no service"
    if reach.whole:
        yield (
            REFUSED,
            f"the load never reaches {service}: its paths lead to {ways}, and in the last hour "
            f"none of these called {service}; if one does, send it a few such requests first",
        )
    else:
        yield TOLD, f"whether the load reaches {service} is not known before the run: {reach.why}"
