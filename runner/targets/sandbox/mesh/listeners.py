"""Listeners of the gateway, of the pods' outbound side, and of pods with inbound faults. Pure.

A listener changes only when its pod comes or goes. All that objects can change stands in route
configurations, so no connection is closed by a fault that comes or goes.
"""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.mesh.clusters import inbound_name
from runner.targets.sandbox.mesh.faults import FAULT_FILTER, INBOUND_FAULTS
from runner.targets.sandbox.mesh.model import INBOUND_PORT, OUTBOUND_PORT, Xds
from runner.targets.sandbox.mesh.registry import Client, Pod
from runner.targets.sandbox.mesh.schema import HTTP_FAULT_TYPE
from runner.targets.sandbox.mesh.telemetry import (
    destination_logger,
    inbound_logger,
    peer_filter,
    source_logger,
)

_HCM = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    ".HttpConnectionManager"
)
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def route_config_name(client: Client) -> str:
    """The name of a client's route configuration."""
    return "http.80" if client.is_gateway else f"outbound@{client.name}"


def client_listener(client: Client, ingress_port: int, rds_path: str) -> Xds:
    """The listener through which a client's requests enter the mesh."""
    name = route_config_name(client)
    manager = _manager(
        "gateway" if client.is_gateway else "outbound",
        name,
        rds_path,
        filters=[_fault_filter(FAULT_FILTER)],
        log=source_logger(client),
        upstream_log=destination_logger(client),
    )
    if client.is_gateway:
        # The edge of the mesh: the address of the peer is the user's, and paths are normalised.
        manager |= {"use_remote_address": True, "normalize_path": True}
        return _listener(name, "127.0.0.1", ingress_port, manager)
    return _listener(name, client.address, OUTBOUND_PORT, manager)


def inbound_listener(pod: Pod, services: list[tuple[str, str, str]], rds_path: str) -> Xds:
    """The listener before a pod's application, with room for its faults.

    ``services`` holds host, name and namespace of the services that the pod belongs to.
    """
    name = inbound_name(pod)
    manager = _manager(
        "inbound",
        name,
        rds_path,
        filters=[peer_filter(), *(_fault_filter(fault_name(n)) for n in range(INBOUND_FAULTS))],
        log=inbound_logger(pod, services),
        upstream_log=None,
    )
    return _listener(name, pod.address, INBOUND_PORT, manager)


def inbound_routes(pod: Pod, faults: list[Xds]) -> Xds:
    """The route configuration of a pod's inbound listener."""
    name = inbound_name(pod)
    route: Xds = {
        "name": DEFAULT_INBOUND_ROUTE,
        "match": {"prefix": "/"},
        "route": {
            "cluster": name,
            "timeout": "0s",
            "retry_policy": {"retry_on": "reset-before-request", "num_retries": 2},
        },
    }
    if faults:
        route["typed_per_filter_config"] = {
            fault_name(number): fault for number, fault in enumerate(faults)
        }
    return {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": name,
        "virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}],
    }


DEFAULT_INBOUND_ROUTE = "default"


def fault_name(number: int) -> str:
    """The name of one of the inbound fault filters."""
    return f"{FAULT_FILTER}.{number}"


def _fault_filter(name: str) -> Xds:
    return {"name": name, "typed_config": {"@type": HTTP_FAULT_TYPE}}


def _manager(
    stat_prefix: str,
    routes: str,
    rds_path: str,
    *,
    filters: list[Xds],
    log: Xds,
    upstream_log: Xds | None,
) -> dict[str, Any]:
    router: Xds = {"@type": _ROUTER}
    if upstream_log is not None:
        router["upstream_log"] = [upstream_log]
    return {
        "@type": _HCM,
        "stat_prefix": stat_prefix,
        "server_name": "istio-envoy",
        # Requests may be as slow as they like: routes have timeouts, listeners have none.
        "stream_idle_timeout": "0s",
        "rds": {
            "route_config_name": routes,
            "config_source": {
                "path_config_source": {"path": rds_path},
                "resource_api_version": "V3",
            },
        },
        "http_filters": [
            *filters,
            {"name": "envoy.filters.http.router", "typed_config": router},
        ],
        "access_log": [log],
    }


def _listener(name: str, address: str, port: int, manager: Xds) -> Xds:
    return {
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
