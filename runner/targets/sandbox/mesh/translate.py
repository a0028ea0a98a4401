"""Istio's and Kubernetes' objects → one Envoy's configuration. Pure: nothing is read or written.

One Envoy stands for the ingress gateway and for the sidecar of every pod that calls others. Each
such client has its own listener, route configuration and clusters, so that breakers and ejections
are each client's own, as with one Envoy per pod.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from runner.targets.sandbox.mesh.clusters import (
    build_assignment,
    build_cluster,
    build_inbound_cluster,
    confined_cluster,
    inbound_name,
    service_key,
)
from runner.targets.sandbox.mesh.denials import Denials, denials
from runner.targets.sandbox.mesh.faults import inbound_faults
from runner.targets.sandbox.mesh.hosts import gateway_hosts, mesh_hosts, served_gateways
from runner.targets.sandbox.mesh.listeners import (
    client_listener,
    inbound_listener,
    inbound_routes,
    route_config_name,
)
from runner.targets.sandbox.mesh.model import (
    MeshConfig,
    MeshInput,
    UnsupportedField,
    Xds,
    ref_of,
)
from runner.targets.sandbox.mesh.parsed import Parsed, parse, unsupported_of
from runner.targets.sandbox.mesh.policies import (
    NO_RULE,
    Rule,
    collect_rules,
    effective_policy,
)
from runner.targets.sandbox.mesh.registry import (
    Client,
    Registry,
    Service,
    build_registry,
)
from runner.targets.sandbox.mesh.telemetry import peer_header
from runner.targets.sandbox.settings import SandboxSettings

_UNSAFE = re.compile(r"[^A-Za-z0-9._@-]+")


class _World(NamedTuple):
    """Everything that is known before the first resource is built."""

    registry: Registry
    rules: Mapping[str, Rule]
    virtual_services: list[Parsed]
    gateways: list[Parsed]
    denied: Denials
    settings: SandboxSettings


def translate(objects: MeshInput, settings: SandboxSettings) -> MeshConfig:
    """The configuration that the objects ask for, and what of them has no effect.

    The same objects in another order give the same configuration.

    Args:
        objects: The objects of the API server.
        settings: Ports, and the folder that Envoy reads.
    """
    registry = build_registry(objects.pods, objects.services, objects.endpoints)
    virtual_services = parse("VirtualService", objects.virtual_services)
    destination_rules = parse("DestinationRule", objects.destination_rules)
    gateways = parse("Gateway", objects.gateways)
    filters = parse("EnvoyFilter", objects.envoy_filters)
    parsed = [*virtual_services, *destination_rules, *gateways, *filters]
    unsupported = unsupported_of(parsed) + [_not_at_all(obj) for obj in objects.others]

    rules, unused = collect_rules(destination_rules, registry)
    denied, unused_rules = denials(objects.network_policies, registry.pods.values())
    world = _World(registry, rules, virtual_services, gateways, denied, settings)
    faults, unused_patches = inbound_faults(filters, registry.pods.values())
    result = MeshConfig(
        inbound_pods=frozenset(registry.pods) & (objects.inbound_pods | frozenset(faults))
    )
    unsupported += unused + unused_patches + unused_rules + _clients(world, result)
    _endpoints(world, result)
    for key in sorted(result.inbound_pods):
        pod = registry.pods[key]
        name = inbound_name(pod)
        services = _services_of(registry, pod.address)
        result.clusters[name] = build_inbound_cluster(pod, settings.pod_port)
        result.routes[name] = inbound_routes(pod, faults.get(key, []))
        result.listeners[name] = inbound_listener(pod, services, rds_path(settings, name))
    return MeshConfig(
        result.listeners,
        result.routes,
        result.clusters,
        result.endpoints,
        tuple(_without_repeats(unsupported)),
        result.inbound_pods,
    )


def rds_path(settings: SandboxSettings, name: str) -> str:
    """The file of a route configuration."""
    return str(settings.xds / f"rds-{_file_part(name)}.json")


def eds_path(settings: SandboxSettings, key: str) -> str:
    """The file of a cluster load assignment."""
    return str(settings.xds / f"eds-{_file_part(key)}.json")


def _file_part(name: str) -> str:
    """A resource name as part of a file name; different names give different parts."""
    safe = _UNSAFE.sub("_", name)[:120]
    if safe == name:
        return name
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _clients(world: _World, result: MeshConfig) -> list[UnsupportedField]:
    unsupported: list[UnsupportedField] = []
    served, unused = served_gateways(world.gateways)
    unsupported += unused
    for client in world.registry.clients:
        name = route_config_name(client)
        if client.is_gateway:
            hosts, unused = gateway_hosts(
                world.virtual_services, served, client, world.registry, world.rules
            )
        else:
            hosts, unused = mesh_hosts(world.virtual_services, client, world.registry, world.rules)
        unsupported += unused
        result.routes[name] = {
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": name,
            "virtual_hosts": hosts,
            "request_headers_to_add": [peer_header(client)],
        }
        result.listeners[name] = client_listener(
            client, world.settings.ingress_port, rds_path(world.settings, name)
        )
        for service in world.registry.services.values():
            for cluster in _clusters(world, service, client):
                result.clusters[cluster["name"]] = cluster
    return unsupported


def _clusters(world: _World, service: Service, client: Client) -> Iterable[Xds]:
    rule = world.rules.get(service.host, NO_RULE)
    for port, backends in service.ports.items():
        for subset in ("", *rule.subsets):
            cluster = build_cluster(
                service,
                port,
                subset,
                client=client,
                policy=effective_policy(rule, subset, port),
                eds_path=eds_path(world.settings, service_key(service, port, subset)),
            )
            confined = client.address in world.denied.confined
            yield confined_cluster(cluster, backends) if confined else cluster


def _endpoints(world: _World, result: MeshConfig) -> None:
    for service in world.registry.services.values():
        rule = world.rules.get(service.host, NO_RULE)
        for port, backends in service.ports.items():
            for subset in ("", *rule.subsets):
                labels = (rule.subsets.get(subset) or {}).get("labels") or {}
                chosen = tuple(
                    item
                    for item in backends
                    if not labels or (item.pod and labels.items() <= dict(item.pod.labels).items())
                )
                key = service_key(service, port, subset)
                result.endpoints[key] = build_assignment(
                    key,
                    chosen,
                    result.inbound_pods,
                    world.settings.pod_port,
                    unreachable=world.denied.unreachable,
                )


def _services_of(registry: Registry, address: str) -> list[tuple[str, str, str]]:
    return [
        (service.host, service.name, service.namespace)
        for service in registry.services.values()
        if any(item.address == address for items in service.ports.values() for item in items)
    ]


def _not_at_all(obj: Mapping[str, object]) -> UnsupportedField:
    ref = ref_of(obj)
    return UnsupportedField(ref, "spec", f"the sandbox does not honour any {ref.kind}")


def _without_repeats(fields: list[UnsupportedField]) -> Iterable[UnsupportedField]:
    """Each field once (every client finds the same), in the order of the objects."""
    return sorted(dict.fromkeys(fields), key=lambda item: (item.ref, item.path))
