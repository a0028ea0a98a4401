"""The translator as a pure function: the shop's whole configuration, order, age, merging."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.targets.sandbox import manifests
from runner.targets.sandbox.mesh.bootstrap import bootstrap, command_line
from runner.targets.sandbox.mesh.model import MeshConfig, MeshInput
from runner.targets.sandbox.mesh.policies import Rule, effective_policy
from runner.targets.sandbox.mesh.registry import full_host
from runner.targets.sandbox.mesh.schema import HTTP_FAULT_TYPE
from runner.targets.sandbox.mesh.translate import eds_path, rds_path, translate
from runner.targets.sandbox.settings import SandboxSettings

SETTINGS = SandboxSettings("t", Path("/sandbox"), 1, 20001, 20002, 20003, 20004, 20005, 20006)
GATEWAY = "istio-ingressgateway"
Obj = dict[str, Any]
Golden = Callable[[str, object], None]


def shop() -> MeshInput:
    """The reference shop with both pods of each service ready, as the parts would have made it."""
    objects = manifests.shop(SETTINGS)
    pods: list[Obj] = []
    endpoints: list[Obj] = []
    for service in manifests.SERVICES:
        addresses = []
        template = manifests.deployment(service, SETTINGS)["spec"]["template"]["metadata"]
        for letter in "ab":
            address = SETTINGS.pod_address(len(pods))
            owner = {"kind": "ReplicaSet", "name": f"{service.name}-5d8f", "controller": True}
            meta = {**template, "name": f"{service.name}-5d8f-{letter}", "namespace": "ecommerce"}
            pods.append(
                {
                    "kind": "Pod",
                    "metadata": meta | {"ownerReferences": [owner]},
                    "status": {"phase": "Running", "podIP": address},
                }
            )
            addresses.append({"ip": address})
        subset = {"addresses": addresses, "ports": [{"name": "http", "port": 8080}]}
        meta = {"name": service.name, "namespace": "ecommerce"}
        endpoints.append({"kind": "Endpoints", "metadata": meta, "subsets": [subset]})

    def of(kind: str) -> tuple[Obj, ...]:
        return tuple(
            item
            for item in objects
            if item["kind"] == kind and item["metadata"]["namespace"] == "ecommerce"
        )

    return MeshInput(
        pods=tuple(pods),
        endpoints=tuple(endpoints),
        services=of("Service"),
        virtual_services=of("VirtualService"),
        destination_rules=of("DestinationRule"),
        gateways=of("Gateway"),
    )


def virtual_service(name: str, http: list[Obj], *, age: int = 0, **spec: Any) -> Obj:
    meta = {
        "name": name,
        "namespace": "ecommerce",
        "creationTimestamp": f"2026-01-01T00:00:{age:02d}Z",
    }
    given = {"hosts": [name], "http": http} | spec
    return {"kind": "VirtualService", "metadata": meta, "spec": given}


def rule(name: str, *, age: int = 0, **spec: Any) -> Obj:
    made = virtual_service(name, [], age=age)
    return made | {"kind": "DestinationRule", "spec": {"host": "payment-api"} | spec}


def to(service: str, **more: Any) -> Obj:
    return {"destination": {"host": service, **more}}


def routes(config: MeshConfig, name: str, domain: str) -> list[Obj]:
    """The routes of one client for one domain."""
    (found,) = [host for host in config.routes[name]["virtual_hosts"] if domain in host["domains"]]
    answer: list[Obj] = found["routes"]
    return answer


def test_golden_configuration_of_the_shop(golden: Golden) -> None:
    """The shop as shipped: what Envoy is told of the gateway and of one calling pod."""
    config = translate(shop(), SETTINGS)

    assert config.unsupported == ()
    assert len(config.listeners) == 3  # the gateway and two pods of order-api
    assert len(config.clusters) == 18  # three clients of six services
    golden("mesh/shop-routes-gateway.json", config.routes["http.80"])
    caller = "outbound@ecommerce.order-api-5d8f-a"
    golden("mesh/shop-routes-order-api.json", config.routes[caller])
    golden("mesh/shop-listener-gateway.json", config.listeners["http.80"])
    golden("mesh/shop-listener-order-api.json", config.listeners[caller])
    key = "outbound|80||payment-api.ecommerce.svc.cluster.local"
    golden("mesh/shop-cluster-payment-api.json", config.clusters[f"{key}@{GATEWAY}"])
    golden("mesh/shop-endpoints-payment-api.json", config.endpoints[key])


def test_golden_faults_and_canary(golden: Golden) -> None:
    """A named route copy with a fault, a weighted canary, and an inbound fault on one pod."""
    given = shop()
    weights = [
        to("payment-api", subset="v1") | {"weight": 90},
        to("payment-api", subset="v2") | {"weight": 10},
    ]
    match = [{"uri": {"prefix": "/api/v1/payments"}}]
    fault = {
        "abort": {"httpStatus": 503, "percentage": {"value": 0.1}},
        "delay": {"fixedDelay": "5s", "percentage": {"value": 50}},
    }
    name = "seatrial-20260101-abort"
    canary = virtual_service(
        "payment-api",
        [{"name": name, "match": match, "fault": fault, "route": weights}, {"route": weights}],
        gateways=["mesh"],
    )
    others = [item for item in given.virtual_services if item["metadata"]["name"] != "payment-api"]
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
    inbound = {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "SIDECAR_INBOUND"},
        "patch": {
            "operation": "INSERT_BEFORE",
            "value": {
                "name": "envoy.filters.http.fault",
                "typed_config": {"@type": HTTP_FAULT_TYPE, "abort": {"http_status": 500}},
            },
        },
    }
    selector = {"labels": {"app": "payment-api"}}
    meta = {"name": "server-side", "namespace": "ecommerce"}
    spec = {"workloadSelector": selector, "configPatches": [inbound]}
    config = translate(
        replace(
            given,
            virtual_services=(*others, canary),
            destination_rules=(rule("canary", subsets=subsets),),
            envoy_filters=({"kind": "EnvoyFilter", "metadata": meta, "spec": spec},),
        ),
        SETTINGS,
    )

    assert config.unsupported == ()
    caller = "outbound@ecommerce.order-api-5d8f-a"
    golden("mesh/canary-routes.json", routes(config, caller, "payment-api"))
    golden("mesh/inbound-routes.json", config.routes["inbound@ecommerce.payment-api-5d8f-a"])
    golden("mesh/inbound-listener.json", config.listeners["inbound@ecommerce.payment-api-5d8f-a"])
    key = "outbound|80|v1|payment-api.ecommerce.svc.cluster.local"
    golden("mesh/inbound-endpoints.json", config.endpoints[key])
    assert config.inbound_pods == {f"ecommerce/payment-api-5d8f-{letter}" for letter in "ab"}


def test_golden_bootstrap(golden: Golden) -> None:
    """What Envoy is started with."""
    golden("mesh/bootstrap.json", bootstrap(SETTINGS))
    words = command_line(Path("/bin/envoy"), Path("/sandbox/envoy.json"))
    golden("mesh/command-line.txt", " ".join(words) + "\n")


def test_order_of_objects_does_not_matter() -> None:
    """Shuffle every list of the input: the configuration is the same, byte by byte."""
    given = shop()
    expected = translate(given, SETTINGS)
    source = random.Random(7)  # noqa: S311 - a shuffle, not a secret

    def mixed(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(source.sample(items, len(items)))

    for _ in range(5):
        other = MeshInput(
            pods=mixed(given.pods),
            endpoints=mixed(given.endpoints),
            services=mixed(given.services),
            virtual_services=mixed(given.virtual_services),
            destination_rules=mixed(given.destination_rules),
            gateways=mixed(given.gateways),
        )
        shuffled = translate(other, SETTINGS)
        assert shuffled == expected
        assert list(shuffled.clusters) == list(expected.clusters)


def test_names_of_routes_are_those_of_the_object() -> None:
    """A route's name, with the match's after a dot; a nameless one has none."""
    http: list[Obj] = [
        {"name": "first", "match": [{"name": "m", "uri": {"exact": "/1"}}], "route": [to("x")]},
        {"name": "second", "match": [{"uri": {"exact": "/2"}}], "route": [to("x")]},
        {"route": [to("x")]},
    ]
    given = replace(shop(), virtual_services=(virtual_service("payment-api", http),))
    found = routes(translate(given, SETTINGS), "outbound@ecommerce.order-api-5d8f-a", "payment-api")
    assert [route.get("name") for route in found] == ["first.m", "second", None]


def test_oldest_virtual_service_serves_a_host_inside_the_mesh() -> None:
    """Two for one service: the older one's route, and a report on the younger one."""
    old = virtual_service("zz", [{"name": "old", "route": [to("payment-api")]}], age=1)
    old["spec"]["hosts"] = ["payment-api"]
    young = virtual_service("payment-api", [{"name": "young", "route": [to("payment-api")]}], age=2)
    given = replace(shop(), virtual_services=(young, old))
    config = translate(given, SETTINGS)

    found = routes(config, "outbound@ecommerce.order-api-5d8f-a", "payment-api")
    assert [route["name"] for route in found] == ["old"]
    assert [(item.ref.name, item.path, item.reason) for item in config.unsupported] == [
        (
            "payment-api",
            "spec.hosts[0]",
            "inside the mesh VirtualService ecommerce/zz is older and serves this host",
        )
    ]


def test_unhonoured_match_makes_no_route_rather_than_a_wider_one() -> None:
    """A match with an unknown condition must not catch what it was not written for."""
    http = [
        {"name": "a", "match": [{"uri": {"prefix": "/a"}, "moon": "full"}], "route": [to("x")]},
        {"name": "b", "match": ["no mapping"], "route": [to("x")]},
        {"name": "c", "match": "no list", "route": [to("x")]},
        {"name": "d", "match": [{"uri": {"prefix": 7}}], "route": [to("x")]},
        {"name": "e", "route": [to("payment-api")]},
    ]
    given = replace(shop(), virtual_services=(virtual_service("payment-api", http),))
    config = translate(given, SETTINGS)

    found = routes(config, "outbound@ecommerce.order-api-5d8f-a", "payment-api")
    assert [route["name"] for route in found] == ["e"]
    assert [item.path for item in config.unsupported] == [
        "spec.http[0].match[0].moon",
        "spec.http[1].match[0]",
        "spec.http[2].match",
        "spec.http[3].match[0].uri.prefix",
    ]


def test_nothing_after_a_route_without_condition() -> None:
    """Istio ends a VirtualService there; so does the list of routes."""
    http = [{"name": "all", "route": [to("payment-api")]}, {"name": "never", "route": [to("x")]}]
    given = replace(shop(), virtual_services=(virtual_service("payment-api", http),))
    found = routes(translate(given, SETTINGS), "outbound@ecommerce.order-api-5d8f-a", "payment-api")
    assert [route["name"] for route in found] == ["all"]


def test_service_without_virtual_service_has_istios_default_route() -> None:
    """No timeout and two retries of what is safe, not of a 503 that the application answered."""
    found = routes(
        translate(replace(shop(), virtual_services=()), SETTINGS),
        "outbound@ecommerce.order-api-5d8f-a",
        "payment-api",
    )
    action = found[0]["route"]
    assert (found[0]["name"], action["timeout"]) == ("default", "0s")
    assert action["retry_policy"]["num_retries"] == 2
    assert action["retry_policy"]["retry_on"] == (
        "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    )
    assert "retriable_status_codes" not in action["retry_policy"]


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        (None, (2, "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes")),
        ({"attempts": 0}, None),
        ({"perTryTimeout": "1s"}, None),  # attempts of 0 disable retries in Istio
        ({"attempts": 5, "retryOn": "5xx, 429"}, (5, "5xx,retriable-status-codes")),
    ],
)
def test_retries(retries: Obj | None, expected: tuple[int, str] | None) -> None:
    """Istio's retry policy in Envoy's words."""
    http: list[Obj] = [{"route": [to("payment-api")]} | ({"retries": retries} if retries else {})]
    given = replace(shop(), virtual_services=(virtual_service("payment-api", http),))
    found = routes(translate(given, SETTINGS), "outbound@ecommerce.order-api-5d8f-a", "payment-api")
    policy = found[0]["route"].get("retry_policy")
    assert (policy and (policy["num_retries"], policy["retry_on"])) == expected
    if retries and "429" in retries.get("retryOn", ""):
        assert policy["retriable_status_codes"] == [429]


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
