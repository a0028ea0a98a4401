"""VirtualService → the routes that one client sees. Pure.

The order of a VirtualService is kept and so are its names: an Envoy route bears the name of its
HTTPRoute (and of the match, after a dot). Defaults are Istio's (its route builder was the
source): no timeout, two retries on failures that are safe to retry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.targets.sandbox.mesh.actions import (
    direct_response,
    hash_policy,
    header_operations,
    redirect,
    retry_policy,
    rewrite,
)
from runner.targets.sandbox.mesh.clusters import cluster_name, service_key
from runner.targets.sandbox.mesh.durations import envoy_duration
from runner.targets.sandbox.mesh.faults import FAULT_FILTER, route_fault
from runner.targets.sandbox.mesh.matching import catches_all, concerns, route_match
from runner.targets.sandbox.mesh.model import UnsupportedField, Xds
from runner.targets.sandbox.mesh.parsed import Parsed
from runner.targets.sandbox.mesh.policies import NO_RULE, Rule, effective_policy
from runner.targets.sandbox.mesh.registry import Client, Registry, Service

DEFAULT_ROUTE = "default"


@dataclass(slots=True)
class RouteScope:
    """For whom routes are built, and what is found on the way.

    Attributes:
        item: The VirtualService.
        client: The client that sends.
        own_gateways: The gateways that the client is.
        port: The service port that its requests are for.
        unused: Filled with what of the objects has no effect.
    """

    item: Parsed
    client: Client
    own_gateways: frozenset[str]
    port: int
    registry: Registry
    rules: Mapping[str, Rule]
    unused: list[UnsupportedField] = field(default_factory=list)

    def report(self, path: str, reason: str) -> None:
        """Note that a part of the VirtualService has no effect."""
        self.unused.append(UnsupportedField(self.item.ref, path, reason))


def build_routes(scope: RouteScope) -> list[Xds]:
    """The Envoy routes of one VirtualService, in its order.

    A match that is not honoured in full makes no route: a wider one would catch requests that it
    was not written for. Nothing after a route without a condition can be reached, so it ends the
    list (as in Istio).
    """
    item = scope.item
    result: list[Xds] = []
    for position, route in enumerate(item.spec.get("http") or []):
        path = f"spec.http[{position}]"
        matches: list[tuple[str, Any]] = [
            (f"{path}.match[{number}]", match)
            for number, match in enumerate((route or {}).get("match") or [])
        ]
        if not matches and (route is None or item.incomplete(f"{path}.match")):
            continue
        for where, match in matches or [("", {})]:
            if where and (match is None or item.incomplete(where)):
                continue
            if not concerns(
                match, scope.client, scope.own_gateways, item.ref.namespace, scope.port
            ):
                continue
            built = _route(scope, path, route, match)
            if built is None:
                continue
            result.append(built)
            if catches_all(built["match"]):
                return result
    return result


def default_route(service: Service, port: int, client: Client, rules: Mapping[str, Rule]) -> Xds:
    """The route of a service that no VirtualService is about."""
    policy = effective_policy(rules.get(service.host, NO_RULE), "", port)
    hashing = hash_policy(policy)
    action: Xds = {
        "cluster": cluster_name(service_key(service, port), client),
        "timeout": "0s",
        "retry_policy": retry_policy(None, hashed=bool(hashing)),
    }
    if hashing:
        action["hash_policy"] = [hashing]
    return {"name": DEFAULT_ROUTE, "match": {"prefix": "/"}, "route": action}


def _route(
    scope: RouteScope, path: str, route: Mapping[str, Any], match: Mapping[str, Any]
) -> Xds | None:
    ref = scope.item.ref
    result: Xds = {
        "match": route_match(match),
        "metadata": {"filter_metadata": {"istio": {"config": f"{ref.namespace}/{ref.name}"}}},
    }
    name = ".".join(part for part in (route.get("name"), match.get("name")) if part)
    if name:
        result["name"] = name
    authority = header_operations(result, route.get("headers") or {})
    if "redirect" in route:
        result["redirect"] = redirect(route["redirect"])
    elif "directResponse" in route:
        result["direct_response"] = direct_response(route["directResponse"])
    elif not _forward(scope, path, route, result, authority):
        return None
    fault = route_fault(route.get("fault") or {})
    if fault is not None:
        result["typed_per_filter_config"] = {FAULT_FILTER: fault}
    return result


def _forward(
    scope: RouteScope, path: str, route: Mapping[str, Any], result: Xds, authority: str
) -> bool:
    """Let ``result`` forward to the route's destinations; False when it has none."""
    destinations = [
        (f"{path}.route[{number}]", entry)
        for number, entry in enumerate(route.get("route") or [])
        if entry and (entry.get("destination") or {}).get("host")
    ]
    if not destinations:
        scope.report(path, "the route has no destination that is honoured, and is left out")
        return False
    action: Xds = {"timeout": envoy_duration(route.get("timeout") or "0s")}
    hashing: list[Xds] = []
    if len(destinations) == 1:
        where, entry = destinations[0]
        action["cluster"], hashing = _destination(scope, where, entry)
        authority = header_operations(result, entry.get("headers") or {}, authority)
    else:
        weighted = [_weighted(scope, *pair) for pair in destinations if pair[1].get("weight")]
        action["weighted_clusters"] = {"clusters": [part for part, _ in weighted]}
        hashing = [policy for _, policies in weighted for policy in policies]
    rewriting = route.get("rewrite") or {}
    rewrite(action, rewriting)
    authority = rewriting.get("authority") or authority
    if authority:
        action["host_rewrite_literal"] = authority
    if hashing:
        action["hash_policy"] = hashing
    sticky = bool(hashing) and len(destinations) == 1
    policy = retry_policy(route.get("retries"), hashed=sticky)
    if policy is not None:
        action["retry_policy"] = policy
    result["route"] = action
    return True


def _weighted(scope: RouteScope, path: str, entry: Mapping[str, Any]) -> tuple[Xds, list[Xds]]:
    cluster, hashing = _destination(scope, path, entry)
    part: Xds = {"name": cluster, "weight": entry["weight"]}
    authority = header_operations(part, entry.get("headers") or {})
    if authority:
        part["host_rewrite_literal"] = authority
    return part, hashing


def _destination(scope: RouteScope, path: str, entry: Mapping[str, Any]) -> tuple[str, list[Xds]]:
    """The cluster name and hash policy of one destination.

    A destination that does not exist gets a name that does not either: Envoy answers 503 with
    the flag NC, as with Istio.
    """
    destination = entry["destination"]
    host, subset = destination["host"], destination.get("subset", "")
    service = scope.registry.find(host, scope.item.ref.namespace)
    if service is None:
        scope.report(f"{path}.destination.host", f"no service {host!r} here: answers 503")
        return f"outbound|{scope.port}|{subset}|{host}@{scope.client.name}", []
    port = (destination.get("port") or {}).get("number")
    if port is None:
        port = next(iter(service.ports)) if len(service.ports) == 1 else scope.port
    rule = scope.rules.get(service.host, NO_RULE)
    if subset and subset not in rule.subsets:
        reason = f"no DestinationRule of {service.name} has the subset {subset!r}: answers 503"
        scope.report(f"{path}.destination.subset", reason)
    if port not in service.ports:
        reason = f"{service.name} has no port {port}: answers 503"
        scope.report(f"{path}.destination.port.number", reason)
    hashing = hash_policy(effective_policy(rule, subset, port))
    name = cluster_name(service_key(service, port, subset), scope.client)
    return name, [hashing] if hashing else []
