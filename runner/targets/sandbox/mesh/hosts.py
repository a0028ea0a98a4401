"""Which VirtualServices serve which hosts: virtual hosts of the gateway and of a pod. Pure.

Several VirtualServices of one host: at the gateway their routes follow each other, the oldest
first, a route without condition last. Inside the mesh the oldest one serves a service's host alone
and the others are reported. Both as in Istio; a host that is no service, such as the shop's public
one, is merged inside the mesh too (there Istio takes the oldest).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runner.targets.sandbox.mesh.matching import MESH, catches_all, gateway_names
from runner.targets.sandbox.mesh.model import (
    CLUSTER_DOMAIN,
    GATEWAY_LABELS,
    GATEWAY_PORT,
    UnsupportedField,
    Xds,
)
from runner.targets.sandbox.mesh.parsed import Parsed
from runner.targets.sandbox.mesh.policies import Rule
from runner.targets.sandbox.mesh.registry import Client, Registry, Service, full_host
from runner.targets.sandbox.mesh.routes import RouteScope, build_routes, default_route

BLACK_HOLE = "block_all"
_IN_MESH = frozenset({MESH})


def served_gateways(
    gateways: Iterable[Parsed],
) -> tuple[dict[str, list[str]], list[UnsupportedField]]:
    """The hosts that each Gateway (``namespace/name``) admits on the ingress port."""
    served: dict[str, list[str]] = {}
    unused: list[UnsupportedField] = []
    for item in gateways:
        selector = item.spec.get("selector") or {}
        if any(GATEWAY_LABELS.get(name) != value for name, value in selector.items()):
            reason = f"the one gateway here has the labels {GATEWAY_LABELS}"
            unused.append(UnsupportedField(item.ref, "spec.selector", reason))
            continue
        hosts: list[str] = []
        for position, server in enumerate(item.spec.get("servers") or []):
            path = f"spec.servers[{position}]"
            if item.incomplete(path):
                continue
            number = ((server or {}).get("port") or {}).get("number")
            if number != GATEWAY_PORT:
                reason = f"only port {GATEWAY_PORT} is served (on the ingress port)"
                unused.append(UnsupportedField(item.ref, f"{path}.port.number", reason))
                continue
            hosts += [_plain_host(host) for host in server.get("hosts") or [] if host]
        served[f"{item.ref.namespace}/{item.ref.name}"] = hosts
    return served, unused


def _plain_host(host: str) -> str:
    """A Gateway's host without the namespace that may stand before it."""
    return host.rpartition("/")[2]


def gateway_hosts(
    items: Iterable[Parsed],
    served: Mapping[str, list[str]],
    client: Client,
    registry: Registry,
    rules: Mapping[str, Rule],
) -> tuple[list[Xds], list[UnsupportedField]]:
    """The virtual hosts of the ingress gateway."""
    routes: dict[str, list[Xds]] = {}
    unused: list[UnsupportedField] = []
    for item in items:
        names = gateway_names(item.spec.get("gateways"), item.ref.namespace)
        unused += [
            UnsupportedField(item.ref, "spec.gateways", f"no Gateway {name} is served here")
            for name in sorted(names - served.keys() - {MESH})
        ]
        own = names & served.keys()
        if not own:
            continue
        scope = RouteScope(item, client, frozenset(own), GATEWAY_PORT, registry, rules)
        built = build_routes(scope)
        unused += scope.unused
        admitted = [pattern for name in own for pattern in served[name]]
        for host in item.spec.get("hosts") or []:
            full = full_host(host, item.ref.namespace) if host else ""
            if full and any(_admits(pattern, full) for pattern in admitted):
                routes.setdefault(full, []).extend(built)
    return _virtual_hosts(routes), unused


def _virtual_hosts(routes: Mapping[str, list[Xds]]) -> list[Xds]:
    """One virtual host per host that has routes; those without condition stand last."""
    return [
        _virtual_host(host, _host_domains(host), sorted(built, key=_is_last))
        for host, built in sorted(routes.items())
        if built
    ]


def _is_last(route: Xds) -> bool:
    return catches_all(route["match"])


def _admits(pattern: str, host: str) -> bool:
    return pattern in {"*", host} or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _host_domains(host: str) -> list[str]:
    return [host] if host.startswith("*") else [host, f"{host}:*"]


def mesh_hosts(
    items: Iterable[Parsed],
    client: Client,
    registry: Registry,
    rules: Mapping[str, Rule],
) -> tuple[list[Xds], list[UnsupportedField]]:
    """The virtual hosts of a pod's outbound side.

    Every service is there, with or without a VirtualService; any other host answers 502, as with
    Istio's ``REGISTRY_ONLY``: nothing leaves the sandbox.
    """
    owners, others, unused = _owners(items, registry)
    routes_of: dict[str, list[Xds]] = {}
    for host, item in others:
        scope = RouteScope(item, client, _IN_MESH, GATEWAY_PORT, registry, rules)
        routes_of.setdefault(host, []).extend(build_routes(scope))
        unused += scope.unused
    result = _virtual_hosts(routes_of)
    for service in registry.services.values():
        for port in service.ports:
            routes: list[Xds] = []
            if service.host in owners:
                owner = owners[service.host]
                scope = RouteScope(owner, client, _IN_MESH, port, registry, rules)
                routes = build_routes(scope)
                unused += scope.unused
            # Istio: a VirtualService that says nothing to this client leaves the service as it is.
            routes = routes or [default_route(service, port, client, rules)]
            domains = _service_domains(service, port, client.workload.namespace)
            result.append(_virtual_host(f"{service.host}:{port}", domains, routes))
    result.append(_black_hole())
    return result, unused


def _owners(
    items: Iterable[Parsed], registry: Registry
) -> tuple[dict[str, Parsed], list[tuple[str, Parsed]], list[UnsupportedField]]:
    """Who serves what inside the mesh: services by host, then pairs of other host and object."""
    services: dict[str, Parsed] = {}
    others: list[tuple[str, Parsed]] = []
    unused: list[UnsupportedField] = []
    for item in items:
        if MESH not in gateway_names(item.spec.get("gateways"), item.ref.namespace):
            continue
        for position, host in enumerate(item.spec.get("hosts") or []):
            service = registry.find(host, item.ref.namespace) if host else None
            first = services.setdefault(service.host, item) if service else item
            if first is not item:
                reason = f"inside the mesh {first.ref} is older and serves this host"
            elif host == "*":
                reason = "the host * is not honoured inside the mesh"
            else:
                others += [(host, item)] if host and not service else []
                continue
            unused.append(UnsupportedField(item.ref, f"spec.hosts[{position}]", reason))
    return services, others, unused


def _service_domains(service: Service, port: int, namespace: str) -> list[str]:
    """All names of a service; without a port only for the one that such a request means."""
    names = [
        f"{service.name}.{service.namespace}",
        f"{service.name}.{service.namespace}.svc",
        f"{service.name}.{service.namespace}.svc.{CLUSTER_DOMAIN}",
    ]
    if service.namespace == namespace:
        names.insert(0, service.name)
    bare = names if port == service.default_port else []
    return [*bare, *(f"{name}:{port}" for name in names)]


def _virtual_host(name: str, domains: list[str], routes: list[Xds]) -> Xds:
    return {
        "name": name,
        "domains": domains,
        "routes": routes,
        "include_request_attempt_count": True,
    }


def _black_hole() -> Xds:
    route = {"name": BLACK_HOLE, "match": {"prefix": "/"}, "direct_response": {"status": 502}}
    return {"name": BLACK_HOLE, "domains": ["*"], "routes": [route]}
