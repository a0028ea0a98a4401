"""DestinationRule → Envoy clusters, and Endpoints → cluster load assignments. Pure.

Where Istio's defaults differ from Envoy's, these are Istio's (its cluster builder was the
source): no breaker unless one is asked for (2^32-1, not 1024 and 3 retries), panic threshold
``minHealthPercent`` (0, not 50 %) once there is outlier detection, success-rate ejection off,
LEAST_REQUEST, connect timeout 10 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.targets.sandbox.mesh.denials import NOBODY_LISTENS
from runner.targets.sandbox.mesh.durations import duration_s, envoy_duration
from runner.targets.sandbox.mesh.model import INBOUND_PORT, Xds
from runner.targets.sandbox.mesh.registry import Backend, Client, Pod, Service

UNLIMITED = 2**32 - 1
CONNECT_TIMEOUT = "10s"
MINIMUM_RING_SIZE = 1024
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_LB_POLICIES = {
    "ROUND_ROBIN": "ROUND_ROBIN",
    "LEAST_REQUEST": "LEAST_REQUEST",
    "LEAST_CONN": "LEAST_REQUEST",
    "UNSPECIFIED": "LEAST_REQUEST",
    "RANDOM": "RANDOM",
    # To the address that the application asked for: the service's own, behind which a node's
    # kube-proxy takes any backend.
    "PASSTHROUGH": "RANDOM",
}


def service_key(service: Service, port: int, subset: str = "") -> str:
    """Istio's name of a cluster, ``outbound|80|v1|payment-api.ecommerce.svc.cluster.local``."""
    return f"outbound|{port}|{subset}|{service.host}"


def cluster_name(key: str, client: Client) -> str:
    """The name of one client's own cluster."""
    return f"{key}@{client.name}"


def build_cluster(
    service: Service,
    port: int,
    subset: str,
    *,
    client: Client,
    policy: Mapping[str, Any],
    eds_path: str,
) -> Xds:
    """One client's cluster for one service port and subset.

    ``policy`` is the effective traffic policy (honoured fields only), ``eds_path`` the file with
    the endpoints.
    """
    key = service_key(service, port, subset)
    pool = policy.get("connectionPool") or {}
    name = cluster_name(key, client)
    cluster: Xds = {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        # The semicolon ends the name in statistics, because a host has dots.
        "alt_stat_name": f"{name};",
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": key,
            "eds_config": {
                "path_config_source": {"path": eds_path},
                "resource_api_version": "V3",
            },
        },
        "connect_timeout": envoy_duration(
            (pool.get("tcp") or {}).get("connectTimeout") or CONNECT_TIMEOUT
        ),
        "circuit_breakers": {"thresholds": [_thresholds(pool)]},
        "typed_extension_protocol_options": {_HTTP_OPTIONS: _protocol_options(pool)},
        "common_lb_config": {},
        "metadata": {
            "filter_metadata": {
                "istio": {
                    "service": service.host,
                    "service_name": service.name,
                    "service_namespace": service.namespace,
                }
            }
        },
    }
    keepalive = (pool.get("tcp") or {}).get("tcpKeepalive")
    if keepalive is not None:
        cluster["upstream_connection_options"] = {"tcp_keepalive": _keepalive(keepalive)}
    outlier = policy.get("outlierDetection")
    if outlier is not None:
        cluster["outlier_detection"] = _outlier_detection(outlier)
        cluster["common_lb_config"]["healthy_panic_threshold"] = {
            "value": outlier.get("minHealthPercent", 0)
        }
    cluster |= _load_balancer(policy.get("loadBalancer") or {})
    return cluster


def _thresholds(pool: Mapping[str, Any]) -> Xds:
    """Breaker limits; Istio reads 0 as "not set"."""
    tcp, http = pool.get("tcp") or {}, pool.get("http") or {}
    return {
        "max_connections": tcp.get("maxConnections") or UNLIMITED,
        "max_pending_requests": http.get("http1MaxPendingRequests") or UNLIMITED,
        "max_requests": http.get("http2MaxRequests") or UNLIMITED,
        "max_retries": http.get("maxRetries") or UNLIMITED,
        "track_remaining": True,
    }


def _protocol_options(pool: Mapping[str, Any]) -> Xds:
    tcp, http = pool.get("tcp") or {}, pool.get("http") or {}
    common: Xds = {}
    idle = http.get("idleTimeout") or tcp.get("idleTimeout")
    if idle:
        common["idle_timeout"] = envoy_duration(idle)
    if http.get("maxRequestsPerConnection"):
        common["max_requests_per_connection"] = http["maxRequestsPerConnection"]
    if tcp.get("maxConnectionDuration"):
        common["max_connection_duration"] = envoy_duration(tcp["maxConnectionDuration"])
    return {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": common,
    }


def _keepalive(keepalive: Mapping[str, Any]) -> Xds:
    """Envoy takes whole seconds; less than one second counts as one."""
    result: Xds = {}
    if keepalive.get("probes"):
        result["keepalive_probes"] = keepalive["probes"]
    for field, name in (("time", "keepalive_time"), ("interval", "keepalive_interval")):
        if keepalive.get(field):
            result[name] = max(1, round(duration_s(keepalive[field])))
    return result


def _outlier_detection(outlier: Mapping[str, Any]) -> Xds:
    """Istio leaves what is not set to Envoy: 5 errors, 10 s, 30 s, at most 10 % ejected."""
    result: Xds = {"enforcing_success_rate": 0}
    five_hundreds = outlier.get("consecutive5xxErrors", outlier.get("consecutiveErrors"))
    if five_hundreds is not None:
        result["consecutive_5xx"] = five_hundreds
        result["enforcing_consecutive_5xx"] = 100 if five_hundreds else 0
    gateway = outlier.get("consecutiveGatewayErrors")
    if gateway is not None:
        result["consecutive_gateway_failure"] = gateway
        result["enforcing_consecutive_gateway_failure"] = 100 if gateway else 0
    if outlier.get("interval"):
        result["interval"] = envoy_duration(outlier["interval"])
    if outlier.get("baseEjectionTime"):
        result["base_ejection_time"] = envoy_duration(outlier["baseEjectionTime"])
    if outlier.get("maxEjectionPercent"):
        result["max_ejection_percent"] = round(outlier["maxEjectionPercent"])
    if outlier.get("splitExternalLocalOriginErrors"):
        result["split_external_local_origin_errors"] = True
        result["enforcing_local_origin_success_rate"] = 0
        if outlier.get("consecutiveLocalOriginFailures"):
            result["consecutive_local_origin_failure"] = outlier["consecutiveLocalOriginFailures"]
            result["enforcing_consecutive_local_origin_failure"] = 100
    return result


def _load_balancer(balancer: Mapping[str, Any]) -> Xds:
    consistent = balancer.get("consistentHash")
    if consistent is not None:
        return _hash_balancer(consistent)
    policy = _LB_POLICIES[balancer.get("simple") or "UNSPECIFIED"]
    result: Xds = {"lb_policy": policy}
    warmup = (balancer.get("warmup") or {}).get("duration") or balancer.get("warmupDurationSecs")
    if warmup and policy != "RANDOM":
        slow_start = {"slow_start_config": {"slow_start_window": envoy_duration(warmup)}}
        name = "round_robin_lb_config" if policy == "ROUND_ROBIN" else "least_request_lb_config"
        result[name] = slow_start
    return result


def _hash_balancer(consistent: Mapping[str, Any]) -> Xds:
    maglev, ring = consistent.get("maglev"), consistent.get("ringHash")
    if maglev is not None:
        size = maglev.get("tableSize")
        return {"lb_policy": "MAGLEV"} | (
            {"maglev_lb_config": {"table_size": size}} if size else {}
        )
    size = (ring or {}).get("minimumRingSize") if ring is not None else None
    if ring is None:
        size = consistent.get("minimumRingSize") or MINIMUM_RING_SIZE
    return {"lb_policy": "RING_HASH"} | (
        {"ring_hash_lb_config": {"minimum_ring_size": size}} if size else {}
    )


def confined_cluster(cluster: Xds, backends: tuple[Backend, ...]) -> Xds:
    """``cluster`` of a client that reaches nobody: none of its hosts takes a connection."""
    everybody = frozenset(item.address for item in backends)
    key = cluster["eds_cluster_config"]["service_name"]
    changed = {name: value for name, value in cluster.items() if name != "eds_cluster_config"}
    assignment = build_assignment(key, backends, frozenset(), 0, unreachable=everybody)
    del assignment["@type"]
    return {**changed, "type": "STATIC", "load_assignment": assignment}


def build_assignment(
    key: str,
    backends: tuple[Backend, ...],
    inbound: frozenset[str],
    pod_port: int,
    *,
    unreachable: frozenset[str] = frozenset(),
) -> Xds:
    """The endpoints of one cluster key.

    The pods in ``inbound`` (``namespace/name``) are reached through their inbound listener, which
    stands before ``pod_port`` and before no other port; those at the addresses ``unreachable`` not
    at all.
    """
    points = []
    for item in backends:
        if item.address in unreachable:
            points.append(_endpoint(item, NOBODY_LISTENS, through_inbound=False))
            continue
        through = item.pod is not None and item.pod.key in inbound and item.port == pod_port
        points.append(_endpoint(item, INBOUND_PORT if through else item.port, through))
    return {
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": key,
        "endpoints": [{"lb_endpoints": points}],
    }


def _endpoint(backend: Backend, port: int, through_inbound: bool) -> Xds:
    address = {"socket_address": {"address": backend.address, "port_value": port}}
    result: Xds = {"endpoint": {"address": address}}
    if backend.pod is not None:
        workload = backend.pod.workload
        metadata = {
            "workload": workload.name,
            "workload_namespace": workload.namespace,
            "app": workload.app,
            "version": workload.version,
        }
        if through_inbound:
            # Its own listener counts what arrives; the client must not count it again.
            metadata["counted_by"] = "inbound"
        result["metadata"] = {"filter_metadata": {"istio": metadata}}
    return result


def build_inbound_cluster(pod: Pod, pod_port: int) -> Xds:
    """From a pod's inbound listener to its application."""
    name = inbound_name(pod)
    return {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        "alt_stat_name": f"{name};",
        "type": "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": {"thresholds": [_thresholds({})]},
        "typed_extension_protocol_options": {_HTTP_OPTIONS: _protocol_options({})},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {
                    "lb_endpoints": [
                        {
                            "endpoint": {
                                "address": {
                                    "socket_address": {
                                        "address": pod.address,
                                        "port_value": pod_port,
                                    }
                                }
                            }
                        }
                    ]
                }
            ],
        },
    }


def inbound_name(pod: Pod) -> str:
    """The name of a pod's inbound cluster, listener and route configuration."""
    return f"inbound@{pod.namespace}.{pod.name}"
