"""The translator as a pure function: policies, gateways, EnvoyFilters, names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mesh_shop import GATEWAY, SETTINGS, Obj, rule, shop, virtual_service

from runner.targets.sandbox.mesh.policies import Rule, effective_policy
from runner.targets.sandbox.mesh.registry import full_host
from runner.targets.sandbox.mesh.schema import HTTP_FAULT_TYPE
from runner.targets.sandbox.mesh.translate import eds_path, rds_path, translate


def test_destination_rules_of_one_host_are_merged_by_age() -> None:
    """The older policy wins, subsets add up, and what is not used is reported."""
    v1 = {"name": "v1", "labels": {"version": "v1"}}
    v2 = {"name": "v2", "labels": {"version": "v2"}}
    limit = {"connectionPool": {"tcp": {"maxConnections": 3}}}
    old = rule("zz", age=1, trafficPolicy=limit, subsets=[v1])
    young = rule(
        "aa", age=2, trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}, subsets=[v1, v2]
    )
    config = translate(replace(shop(), destination_rules=(young, old)), SETTINGS)

    key = "outbound|80|{}|payment-api.ecommerce.svc.cluster.local@" + GATEWAY
    for subset in ("", "v1", "v2"):
        cluster = config.clusters[key.format(subset)]
        assert cluster["lb_policy"] == "LEAST_REQUEST"
        assert cluster["circuit_breakers"]["thresholds"][0]["max_connections"] == 3
    assert [(item.ref.name, item.path) for item in config.unsupported] == [
        ("aa", "spec.subsets[0]"),
        ("aa", "spec.trafficPolicy"),
    ]


def test_istios_defaults_of_a_cluster() -> None:
    """Nothing asked for: no breaker, no ejection, least request, 10 s to connect."""
    config = translate(replace(shop(), destination_rules=()), SETTINGS)
    cluster = config.clusters[f"outbound|80||payment-api.ecommerce.svc.cluster.local@{GATEWAY}"]
    assert cluster["circuit_breakers"]["thresholds"] == [
        {
            "max_connections": 4294967295,
            "max_pending_requests": 4294967295,
            "max_requests": 4294967295,
            "max_retries": 4294967295,
            "track_remaining": True,
        }
    ]
    assert "outlier_detection" not in cluster
    assert cluster["common_lb_config"] == {}
    assert (cluster["lb_policy"], cluster["connect_timeout"]) == ("LEAST_REQUEST", "10s")


def test_empty_outlier_detection_turns_it_on_without_panic() -> None:
    """Envoy's 5 errors, 10 s, 30 s and 10 %, and Istio's panic threshold of 0."""
    given = replace(shop(), destination_rules=(rule("r", trafficPolicy={"outlierDetection": {}}),))
    config = translate(given, SETTINGS)
    cluster = config.clusters[f"outbound|80||payment-api.ecommerce.svc.cluster.local@{GATEWAY}"]
    assert cluster["outlier_detection"] == {"enforcing_success_rate": 0}
    assert cluster["common_lb_config"] == {"healthy_panic_threshold": {"value": 0}}


def test_settings_for_a_port_do_not_inherit() -> None:
    """A port's settings replace all of the host's; a subset's replace one component each."""
    policy = {
        "connectionPool": {"tcp": {"maxConnections": 1}},
        "loadBalancer": {"simple": "RANDOM"},
        "portLevelSettings": [
            {"port": {"number": 81}, "loadBalancer": {"simple": "ROUND_ROBIN"}},
        ],
    }
    subset = {"trafficPolicy": {"loadBalancer": {"simple": "LEAST_REQUEST"}}}
    found = Rule(policy, {"v1": subset})
    assert effective_policy(found, "", 80) == {
        "connectionPool": {"tcp": {"maxConnections": 1}},
        "loadBalancer": {"simple": "RANDOM"},
    }
    assert effective_policy(found, "", 81) == {"loadBalancer": {"simple": "ROUND_ROBIN"}}
    assert effective_policy(found, "v1", 80) == {
        "connectionPool": {"tcp": {"maxConnections": 1}},
        "loadBalancer": {"simple": "LEAST_REQUEST"},
    }


def test_gateway_of_another_selector_or_port_serves_nothing_and_says_so() -> None:
    """A selector that matches no gateway here, and a TLS server: no route, three reports."""
    given = shop()
    meta = {"name": "ecommerce-gateway", "namespace": "ecommerce"}
    other = {"selector": {"istio": "egress"}, "servers": []}
    tls = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": ["*"],
        "tls": {"mode": "SIMPLE"},
    }
    high = {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    for spec, paths in (
        (other, {"spec.selector"}),
        (
            {"servers": [tls, high]},
            {"spec.servers[0].port.protocol", "spec.servers[0].tls", "spec.servers[1].port.number"},
        ),
    ):
        gateway = {"kind": "Gateway", "metadata": meta, "spec": spec}
        config = translate(replace(given, gateways=(gateway,)), SETTINGS)
        assert config.routes["http.80"]["virtual_hosts"] == []
        assert {item.path for item in config.unsupported if item.ref.kind == "Gateway"} == paths


def test_gateway_admits_only_its_hosts() -> None:
    """A Gateway for *.c4ang.com: the shop's host is served, the names of the services are not."""
    server = {
        "port": {"number": 80, "name": "http", "protocol": "HTTP"},
        "hosts": ["ecommerce/*.c4ang.com"],
    }
    meta = {"name": "ecommerce-gateway", "namespace": "ecommerce"}
    gateway = {"kind": "Gateway", "metadata": meta, "spec": {"servers": [server]}}
    config = translate(replace(shop(), gateways=(gateway,)), SETTINGS)
    domains = [host["domains"] for host in config.routes["http.80"]["virtual_hosts"]]
    assert domains == [["api.c4ang.com", "api.c4ang.com:*"]]


def test_virtual_service_of_a_gateway_that_is_not_there_is_reported() -> None:
    """No Gateway at all: the listener stays, without routes, and each object is told."""
    config = translate(replace(shop(), gateways=()), SETTINGS)
    assert config.routes["http.80"]["virtual_hosts"] == []
    assert {(item.path, item.reason) for item in config.unsupported} == {
        ("spec.gateways", "no Gateway ecommerce/ecommerce-gateway is served here")
    }
    assert len(config.unsupported) == 6


def test_half_of_an_envoy_filter_is_not_taken() -> None:
    """Patches of which any part is not honoured have no effect, and are reported."""
    fault = {"@type": HTTP_FAULT_TYPE, "abort": {"http_status": 500}}

    def patch(**changed: Any) -> Obj:
        value = {"name": "f", "typed_config": fault}
        parts = {
            "applyTo": "HTTP_FILTER",
            "match": {"context": "SIDECAR_INBOUND"},
            "patch": {"operation": "INSERT_BEFORE", "value": value},
        }
        return parts | changed

    wrong: list[tuple[Obj, str]] = [
        (patch(applyTo="LISTENER"), "spec.configPatches[0].applyTo"),
        (patch(match={"context": "GATEWAY"}), "spec.configPatches[0].match.context"),
        (patch(match={}), "spec.configPatches[0]"),
        (
            patch(match={"context": "SIDECAR_INBOUND", "proxy": {"proxyVersion": "1"}}),
            "spec.configPatches[0].match.proxy",
        ),
        (
            patch(patch={"operation": "REPLACE", "value": {}}),
            "spec.configPatches[0].patch.operation",
        ),
        (
            patch(patch={"operation": "INSERT_FIRST", "value": {"typed_config": {"@type": "lua"}}}),
            "spec.configPatches[0]",
        ),
    ]
    for given, path in wrong:
        meta = {"name": "f", "namespace": "ecommerce"}
        item = {"kind": "EnvoyFilter", "metadata": meta, "spec": {"configPatches": [given]}}
        config = translate(replace(shop(), envoy_filters=(item,)), SETTINGS)
        assert config.inbound_pods == frozenset(), given
        assert [found.path for found in config.unsupported] == [path]


def test_fifth_inbound_fault_of_a_pod_is_reported() -> None:
    """There is room for four; the youngest has no effect."""
    fault = {"@type": HTTP_FAULT_TYPE, "abort": {"http_status": 500}}
    patch = {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "SIDECAR_INBOUND"},
        "patch": {"operation": "INSERT_BEFORE", "value": {"name": "f", "typed_config": fault}},
    }
    filters = tuple(
        virtual_service(f"f{age}", [], age=age)
        | {
            "kind": "EnvoyFilter",
            "spec": {
                "workloadSelector": {"labels": {"app": "saga-tracker"}},
                "configPatches": [patch],
            },
        }
        for age in range(5)
    )
    config = translate(replace(shop(), envoy_filters=filters), SETTINGS)
    assert {item.ref.name for item in config.unsupported} == {"f4"}
    inbound = config.routes["inbound@ecommerce.saga-tracker-5d8f-a"]
    faults = inbound["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"]
    assert list(faults) == [f"envoy.filters.http.fault.{number}" for number in range(4)]


def test_pod_keeps_its_inbound_listener_while_it_lives() -> None:
    """Remembered pods that are there keep their listener without a fault; gone ones do not."""
    known = frozenset({"ecommerce/payment-api-5d8f-a", "ecommerce/gone"})
    config = translate(replace(shop(), inbound_pods=known), SETTINGS)
    assert config.inbound_pods == {"ecommerce/payment-api-5d8f-a"}
    (route,) = config.routes["inbound@ecommerce.payment-api-5d8f-a"]["virtual_hosts"][0]["routes"]
    assert "typed_per_filter_config" not in route
    ports = {
        point["endpoint"]["address"]["socket_address"]["port_value"]
        for point in config.endpoints["outbound|80||payment-api.ecommerce.svc.cluster.local"][
            "endpoints"
        ][0]["lb_endpoints"]
    }
    assert ports == {8080, 15006}


@pytest.mark.parametrize(
    ("host", "full"),
    [
        ("payment-api", "payment-api.ecommerce.svc.cluster.local"),
        ("payment-api.ecommerce.svc", "payment-api.ecommerce.svc.cluster.local"),
        ("payment-api.ecommerce.svc.cluster.local", "payment-api.ecommerce.svc.cluster.local"),
        ("api.c4ang.com", "api.c4ang.com"),
        ("*", "*"),
    ],
)
def test_full_names_of_hosts(host: str, full: str) -> None:
    assert full_host(host, "ecommerce") == full


def test_file_names_are_safe_and_different() -> None:
    """Names with anything in them stay inside the folder, and never meet."""
    names = ["a|b", "a/b", "a_b", "../../x", "a b", "x" * 300, "x" * 301]
    paths = {rds_path(SETTINGS, name) for name in names} | {eds_path(SETTINGS, n) for n in names}
    assert len(paths) == 2 * len(names)
    assert {str(Path(path).parent) for path in paths} == {"/sandbox/xds"}
    assert max(len(Path(path).name) for path in paths) < 160
