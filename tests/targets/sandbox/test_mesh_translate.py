"""The translator as a pure function: the shop's whole configuration, order, age, merging."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mesh_shop import GATEWAY, SETTINGS, Golden, Obj, routes, rule, shop, to, virtual_service

from runner.targets.sandbox.mesh.bootstrap import bootstrap, command_line
from runner.targets.sandbox.mesh.model import MeshInput
from runner.targets.sandbox.mesh.schema import HTTP_FAULT_TYPE
from runner.targets.sandbox.mesh.translate import translate


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
