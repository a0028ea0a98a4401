"""The shop's objects: the numbers of the reference system, and that they fit together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.targets.sandbox import manifests
from runner.targets.sandbox.programs import SHOP_IMAGE, Program, find_program, given_environment
from runner.targets.sandbox.settings import SandboxSettings
from runner.targets.sandbox.shop.services import ROUTES, read_settings

SETTINGS = SandboxSettings(
    name="unit",
    home=Path("home"),
    slot=3,
    api_port=1,
    ingress_port=2,
    prometheus_port=3,
    envoy_admin_port=4,
    exporter_port=5,
    kubelet_port=6,
)


def of_kind(kind: str, settings: SandboxSettings = SETTINGS) -> list[dict[str, Any]]:
    return [obj for obj in manifests.shop(settings) if obj["kind"] == kind]


def test_the_shop_has_the_objects_that_the_checks_before_a_deployment_count() -> None:
    counted = Counter(obj["kind"] for obj in manifests.shop(SETTINGS))
    assert counted == {
        "Namespace": 2,
        "Gateway": 1,
        "Service": 7,  # six of the shop, one load balancer
        "VirtualService": 6,
        "DestinationRule": 6,
        "Deployment": 6,
        "HorizontalPodAutoscaler": 2,
    }


def test_the_namespace_comes_before_what_stands_in_it() -> None:
    """Creating in order must never meet a namespace that does not exist yet."""
    made: set[str] = set()
    for obj in manifests.shop(SETTINGS):
        if obj["kind"] == "Namespace":
            made.add(obj["metadata"]["name"])
        else:
            assert obj["metadata"]["namespace"] in made


def test_the_namespace_allows_chaos_and_has_sidecars() -> None:
    namespace = of_kind("Namespace")[0]["metadata"]
    assert namespace["name"] == "ecommerce"
    assert namespace["labels"] == {"istio-injection": "enabled", "seatrial.dev/inject": "enabled"}


@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_each_deployment_has_the_replicas_that_are_asked_for(replicas: int) -> None:
    deployments = of_kind("Deployment", replace(SETTINGS, replicas=replicas))
    assert [deployment["spec"]["replicas"] for deployment in deployments] == [replicas] * 6


@pytest.mark.parametrize(("replicas", "most"), [(1, 2), (2, 4), (5, 10)])
def test_autoscalers_begin_with_what_their_deployments_have(replicas: int, most: int) -> None:
    """Each names a Deployment of the shop, whose pods request the CPU that it is a share of."""
    settings = replace(SETTINGS, replicas=replicas)
    deployments = {each["metadata"]["name"]: each for each in of_kind("Deployment", settings)}
    autoscalers = of_kind("HorizontalPodAutoscaler", settings)
    assert [each["metadata"]["name"] for each in autoscalers] == ["order-api", "product-api"]
    for each in autoscalers:
        spec = each["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (replicas, most)
        reference = spec["scaleTargetRef"]
        assert (reference["apiVersion"], reference["kind"]) == ("apps/v1", "Deployment")
        (container,) = deployments[reference["name"]]["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["requests"]["cpu"] == "50m"


def test_selectors_choose_the_pods_of_their_own_service_only() -> None:
    """Deployment and Service selectors are held against the labels of every pod template."""
    templates = {
        deployment["metadata"]["name"]: deployment["spec"]["template"]["metadata"]["labels"]
        for deployment in of_kind("Deployment")
    }
    for deployment in of_kind("Deployment"):
        assert chosen(deployment["spec"]["selector"]["matchLabels"], templates) == [
            deployment["metadata"]["name"]
        ]
    for service in of_kind("Service")[1:]:
        assert chosen(service["spec"]["selector"], templates) == [service["metadata"]["name"]]


def chosen(selector: dict[str, str], templates: dict[str, dict[str, str]]) -> list[str]:
    return [name for name, labels in templates.items() if selector.items() <= labels.items()]


def test_pods_carry_the_labels_that_experiments_select_by() -> None:
    labels = {
        deployment["metadata"]["name"]: deployment["spec"]["template"]["metadata"]["labels"]
        for deployment in of_kind("Deployment")
    }
    assert labels["order-api"]["app.kubernetes.io/name"] == "order-service"
    assert labels["saga-tracker"]["app.kubernetes.io/name"] == "saga-tracker"
    assert {item["version"] for item in labels.values()} == {"v1"}


def test_resources_are_those_of_the_reference_system() -> None:
    for deployment in of_kind("Deployment"):
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        assert container["resources"] == {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi"},
        }


def test_only_the_service_that_calls_others_has_an_outbound_proxy() -> None:
    annotated = [
        deployment["metadata"]["name"]
        for deployment in of_kind("Deployment")
        if deployment["spec"]["template"]["metadata"].get("annotations")
        == {"sandbox.seatrial.dev/outbound": "true"}
    ]
    assert annotated == ["order-api"]


def test_the_traffic_policy_is_that_of_the_reference_system() -> None:
    for rule in of_kind("DestinationRule"):
        assert rule["spec"]["host"] == rule["metadata"]["name"]
        assert rule["spec"]["trafficPolicy"] == {
            "connectionPool": {
                "tcp": {"maxConnections": 100},
                "http": {
                    "http1MaxPendingRequests": 50,
                    "http2MaxRequests": 100,
                    "maxRequestsPerConnection": 2,
                },
            },
            "outlierDetection": {
                "consecutive5xxErrors": 5,
                "interval": "10s",
                "baseEjectionTime": "30s",
                "maxEjectionPercent": 50,
                "minHealthPercent": 40,
            },
        }
    for service in of_kind("VirtualService"):
        (route,) = service["spec"]["http"]
        assert route["timeout"] == "30s"
        assert route["retries"] == {
            "attempts": 3,
            "perTryTimeout": "10s",
            "retryOn": "5xx,reset,connect-failure,refused-stream",
        }


def test_objects_do_not_share_their_policies() -> None:
    """A change to one rule (a tuning) must not reach another through a shared dictionary."""
    one, other = of_kind("DestinationRule")[:2]
    one["spec"]["trafficPolicy"]["outlierDetection"]["interval"] = "1s"
    assert other["spec"]["trafficPolicy"]["outlierDetection"]["interval"] == "10s"
    assert manifests.TRAFFIC_POLICY["outlierDetection"]["interval"] == "10s"


def test_the_gateway_routes_each_prefix_to_its_service() -> None:
    routes = {
        service["spec"]["http"][0]["match"][0]["uri"]["prefix"]: service["spec"]["http"][0][
            "route"
        ][0]["destination"]["host"]
        for service in of_kind("VirtualService")
    }
    assert routes == {
        "/api/v1/customers": "customer-api",
        "/api/v1/orders": "order-api",
        "/api/v1/products": "product-api",
        "/api/v1/payments": "payment-api",
        "/api/v1/recommendations": "recommendation-api",
        "/api/v1/saga": "saga-tracker",
    }
    for service in of_kind("VirtualService"):
        assert service["spec"]["gateways"] == ["ecommerce-gateway", "mesh"]
        assert service["spec"]["hosts"] == ["api.c4ang.com", service["metadata"]["name"]]


def test_the_shop_program_answers_under_the_prefix_that_the_mesh_routes() -> None:
    for service in manifests.SERVICES:
        assert ROUTES[service.name].prefix == service.route


def test_the_kubelet_would_run_every_container_as_it_is_written() -> None:
    """Each container goes through the image table, and its program reads the environment."""
    for deployment in of_kind("Deployment"):
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        pod = {"metadata": {"name": "pod-1", "labels": {"version": "v1"}}}
        given = given_environment(
            pod=pod, address="127.67.0.2", port=8080, outbound_port=15001, token="t"
        )
        program = find_program(container, given)
        assert isinstance(program, Program)
        shop = read_settings(program.env)
        service = next(s for s in manifests.SERVICES if s.name == deployment["metadata"]["name"])
        assert container["image"] == SHOP_IMAGE == manifests.IMAGE
        assert (shop.service, shop.slots, shop.mean_s, shop.sigma) == (
            service.name,
            16,
            service.mean_s,
            0.35,
        )


def test_the_load_balancer_has_the_address_of_the_ingress() -> None:
    status = manifests.ingress_status(SETTINGS)
    assert status["loadBalancer"]["ingress"] == [
        {"ip": "127.0.0.1", "ports": [{"port": 2, "protocol": "TCP"}]}
    ]
