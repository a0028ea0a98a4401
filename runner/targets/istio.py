"""Do the mesh's objects fit each other, and the Services and pods? Pure; nothing is repaired.

What is demanded is that what an object names is there. How many there are is told, never demanded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runner.targets.inspection import Object, Objects
from runner.targets.symptom import Symptom, perhaps, several
from runner.targets.workloads import named, selected, selector_of, service_named

MESH = "mesh"
"""In a VirtualService's list of gateways: the sidecars."""

_VERBS = {
    "ALLOW": "lets through only",
    "DENY": "refuses",
    "CUSTOM": "asks somebody else about",
}

_COUNTED = {
    "virtualservices": "VirtualService",
    "destinationrules": "DestinationRule",
    "gateways": "Gateway",
}


def istio_symptoms(objects: Objects, namespace: str) -> tuple[Symptom, ...]:
    """What is there, and what does not fit."""
    counts = ", ".join(
        f"{len(objects.of(kind))} {name}" + ("" if len(objects.of(kind)) == 1 else "s")
        for kind, name in _COUNTED.items()
    )
    if not objects.of("virtualservices") and "virtualservices" not in objects.errors:
        hint = "without a VirtualService no request can be delayed or refused on the client side"
        return (Symptom("Istio objects", "warn", counts, hint),)
    wrong = [
        *_virtual_services(objects, namespace),
        *_destination_rules(objects, namespace),
        *_gateways(objects),
    ]
    if wrong:
        return (Symptom("Istio objects", "warn", f"{counts}; {several(wrong)}"),)
    return (Symptom("Istio objects", "ok", f"{counts}; they fit each other"),)


def routes_of(virtual_service: Object) -> Sequence[Any]:
    """The HTTP routes of a VirtualService."""
    return (virtual_service.get("spec") or {}).get("http") or ()


def destinations(route: Any) -> Iterator[Any]:
    """Where a route may lead, mirrors included."""
    yield from (leg.get("destination") or {} for leg in route.get("route") or ())
    yield from (leg.get("destination") or {} for leg in route.get("mirrors") or ())
    if route.get("mirror"):
        yield route["mirror"]


def routes_to(virtual_service: Object, service: str, namespace: str) -> list[Any]:
    """The HTTP routes of ``virtual_service`` that lead to ``service`` of ``namespace``."""
    return [
        route
        for route in routes_of(virtual_service)
        if any(
            service_named((leg.get("destination") or {}).get("host", ""), namespace) == service
            for leg in route.get("route") or ()
        )
    ]


def covers(pattern: str, host: str) -> bool:
    """Whether a host pattern of the mesh (``*``, ``*.example``, ``ns/host``) covers ``host``."""
    pattern = pattern.rpartition("/")[2]
    return pattern in ("*", host) or (pattern.startswith("*") and host.endswith(pattern[1:]))


def gateways_of(virtual_service: Object) -> list[str]:
    """The gateways of a VirtualService; the sidecars alone when it names none."""
    return [str(one) for one in (virtual_service.get("spec") or {}).get("gateways") or [MESH]]


def rules_for(service: str, objects: Objects, namespace: str) -> list[Object]:
    """The DestinationRules about a Service."""
    return [
        rule
        for rule in objects.of("destinationrules")
        if service_named((rule.get("spec") or {}).get("host", ""), namespace) == service
    ]


def _virtual_services(objects: Objects, namespace: str) -> Iterator[str]:
    for name, vs in named(objects.of("virtualservices")).items():
        subject = f"virtualservice/{name}"
        yield from _gateways_named(subject, vs, objects, namespace)
        yield from _hosts(subject, vs, objects, namespace)
        for route in routes_of(vs):
            for to in destinations(route):
                yield from _destination(subject, to, objects, namespace)


def _gateways_named(subject: str, vs: Object, objects: Objects, namespace: str) -> Iterator[str]:
    known = named(objects.of("gateways"))
    for gateway in gateways_of(vs):
        where, _, name = gateway.rpartition("/")
        if gateway != MESH and where in ("", namespace) and name not in known:
            yield f"{subject} names the gateway {name}, which is not there{perhaps(name, known)}"


def _hosts(subject: str, vs: Object, objects: Objects, namespace: str) -> Iterator[str]:
    """Hosts that nobody would ever ask for: no Service, no entry, and in none of its gateways."""
    names = gateways_of(vs)
    here = named(objects.of("gateways"))
    if any("/" in name and name.partition("/")[0] != namespace for name in names):
        return  # A gateway of another namespace was not read; its hosts are not known.
    served = [
        str(host)
        for name in names
        for server in (here.get(name.rpartition("/")[2], {}).get("spec") or {}).get("servers") or ()
        for host in server.get("hosts") or ()
    ]
    outside = [h for e in objects.of("serviceentries") for h in (e["spec"].get("hosts") or ())]
    services = named(objects.of("services"))
    for host in (vs.get("spec") or {}).get("hosts") or ():
        service = service_named(host, namespace)
        inside = MESH in names and (
            service in services or any(covers(str(one), str(host)) for one in outside)
        )
        elsewhere = service is None and str(host).endswith(".svc.cluster.local")
        if not inside and not elsewhere and not any(covers(one, str(host)) for one in served):
            yield f"{subject} is for {host}, which is no Service and in none of its gateways"


def _destination(subject: str, to: Any, objects: Objects, namespace: str) -> Iterator[str]:
    service = service_named(to.get("host", ""), namespace)
    services = named(objects.of("services"))
    outside = [h for e in objects.of("serviceentries") for h in (e["spec"].get("hosts") or ())]
    if service is None or to.get("host") in outside:
        return
    if service not in services:
        yield f"{subject} leads to {service}, which is no Service{perhaps(service, services)}"
        return
    subset = to.get("subset")
    known = [
        str(one.get("name"))
        for rule in rules_for(service, objects, namespace)
        for one in rule["spec"].get("subsets") or ()
    ]
    if subset and subset not in known:
        yield (
            f"{subject} leads to the subset {subset} of {service}, which no DestinationRule has"
            f"{perhaps(str(subset), known)}"
        )


def _destination_rules(objects: Objects, namespace: str) -> Iterator[str]:
    services = named(objects.of("services"))
    outside = [h for e in objects.of("serviceentries") for h in (e["spec"].get("hosts") or ())]
    for name, rule in named(objects.of("destinationrules")).items():
        spec = rule.get("spec") or {}
        host = str(spec.get("host", ""))
        service = service_named(host, namespace)
        if service is None or "*" in host or host in outside:
            continue
        if service not in services:
            guess = perhaps(service, services)
            yield f"destinationrule/{name} is about {service}, which is no Service{guess}"
            continue
        for subset in spec.get("subsets") or ():
            wanted = selector_of(services[service]) | (subset.get("labels") or {})
            if not selected(wanted, objects.of("pods")):
                yield (
                    f"the subset {subset.get('name')} of destinationrule/{name} selects no pod "
                    f"({_labels(subset.get('labels') or {})})"
                )


def _gateways(objects: Objects) -> Iterator[str]:
    """Gateways that no proxy serves. Its proxies mostly live in another namespace."""
    if "gatewayproxies" in objects.errors or "gatewayproxies" not in objects.kinds:
        return
    for name, gateway in named(objects.of("gateways")).items():
        wanted = (gateway.get("spec") or {}).get("selector") or {}
        if wanted and not selected(wanted, objects.of("gatewayproxies")):
            yield f"the selector of gateway/{name} ({_labels(wanted)}) picks no pod"


def _labels(labels: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def load_balancers(objects: Objects) -> tuple[Symptom, ...]:
    """Whether the load balancers before the gateways have addresses; nothing of unknown ones."""
    known = [
        one
        for one in objects.of("gatewayproxies")
        if (one.get("spec") or {}).get("type") == "LoadBalancer"
    ]
    if not known:
        return ()
    addresses = {name: _addresses(one) for name, one in named(known).items()}
    waiting = [name for name, found in addresses.items() if not found]
    if waiting:
        return (Symptom("load balancer", "warn", f"without an address: {several(waiting)}"),)
    told = (f"{name} at {', '.join(found)}" for name, found in addresses.items())
    return (Symptom("load balancer", "ok", several(told)),)


def _addresses(service: Object) -> list[str]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [str(one.get("hostname") or one.get("ip")) for one in ingress]


def policies(objects: Objects) -> Symptom:
    """Policies that decide who may call: they stay as they are, and may explain what is seen."""
    found, mutual = [*_authorization(objects), *_tokens(objects)], [*_mutual(objects)]
    unread = [k for k in ("authorizationpolicies", "requestauthentications") if k in objects.errors]
    if found:
        hint = "if the load is refused with 401 or 403, this is why"
        return Symptom("access policies", "warn", several([*found, *mutual]), hint)
    if unread:
        return Symptom("access policies", "ok", f"not known: {', '.join(unread)} cannot be read")
    return Symptom("access policies", "ok", several(mutual) or "none in the way")


def _authorization(objects: Objects) -> Iterable[str]:
    for name, policy in named(objects.of("authorizationpolicies")).items():
        spec = policy.get("spec") or {}
        action = str(spec.get("action") or "ALLOW")
        if action not in _VERBS or (action == "ALLOW" and spec.get("rules") == [{}]):
            continue  # It only looks on, or lets everybody through: one empty rule.
        what = "what its rules say" if spec.get("rules") else "nothing"
        yield f"authorizationpolicy/{name} {_VERBS[action]} {what}"


def _tokens(objects: Objects) -> Iterable[str]:
    for name in named(objects.of("requestauthentications")):
        yield f"requestauthentication/{name} refuses requests with a token that is not valid"


def _mutual(objects: Objects) -> Iterable[str]:
    for name, policy in named(objects.of("peerauthentications")).items():
        spec = policy.get("spec") or {}
        if (spec.get("mtls") or {}).get("mode") == "STRICT":
            yield f"peerauthentication/{name} (STRICT) refuses callers outside of the mesh"
