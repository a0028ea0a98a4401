"""Limits and autoscalers, read out of a snapshot's objects."""

from __future__ import annotations

from typing import Any

import pytest

from runner.model.surroundings import Autoscaler, PoolLimits, Surroundings, surroundings_of


def rule(host: str, *pools: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A DestinationRule of the namespace ``ecommerce`` with one pool, others in subsets."""
    policies = [{"connectionPool": pool} for pool in pools]
    subsets = [{"name": "v", "trafficPolicy": policy} for policy in policies[1:]]
    return {
        "metadata": {"name": "rule", "namespace": "ecommerce"},
        "spec": {"host": host, "trafficPolicy": (policies or [{}])[0], "subsets": subsets, **spec},
    }


def pool(connections: int, pending: int) -> dict[str, Any]:
    """A connection pool's settings."""
    return {
        "tcp": {"maxConnections": connections},
        "http": {"http1MaxPendingRequests": pending},
    }


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("order-api", "order-api"),
        ("order-api.ecommerce", "order-api"),
        ("order-api.ecommerce.svc.cluster.local", "order-api"),
        ("order-api.elsewhere.svc.cluster.local", "order-api.elsewhere.svc.cluster.local"),
        ("pay.example.com", "pay.example.com"),
    ],
)
def test_host_of_the_own_namespace_is_the_service(host: str, service: str) -> None:
    """Another namespace's service of that name is another service."""
    found = surroundings_of({"destinationrules": [rule(host, pool(100, 50))]})
    assert found.pools == (PoolLimits(service=service, connections=100, pending=50),)


def test_lowest_limit_of_subsets_and_ports_counts() -> None:
    """Headroom is that of the tightest pool; 0 is Istio's "not set"."""
    port = {"port": {"number": 80}, "connectionPool": {"tcp": {"maxConnections": 7}}}
    tight = rule("order-api", pool(100, 0), pool(30, 40))
    tight["spec"]["trafficPolicy"]["portLevelSettings"] = [port]
    found = surroundings_of({"destinationrules": [tight]})
    assert found.pool_of("order-api") == PoolLimits(service="order-api", connections=7, pending=40)


def test_rule_without_a_pool_limits_nothing() -> None:
    found = surroundings_of({"destinationrules": [rule("order-api")]})
    assert found.pool_of("order-api") == PoolLimits(service="order-api")
    assert found.pool_of("cart-api") is None


def test_autoscaler_is_known_by_the_service_whose_pods_it_scales() -> None:
    """The Deployment bears another name than the Service, which selects its pods by labels."""
    labels = {"app": "order", "version": "v1"}
    objects: dict[str, Any] = {
        "horizontalpodautoscalers": [
            {
                "metadata": {"name": "orders"},
                "spec": {"scaleTargetRef": {"name": "order-v1"}, "maxReplicas": 4},
            }
        ],
        "deployments": [
            {
                "metadata": {"name": "order-v1"},
                "spec": {"template": {"metadata": {"labels": labels}}},
            }
        ],
        "services": [
            {"metadata": {"name": "order-api"}, "spec": {"selector": {"app": "order"}}},
            {"metadata": {"name": "cart-api"}, "spec": {"selector": {"app": "cart"}}},
            {"metadata": {"name": "outside"}, "spec": {}},
        ],
    }
    found = surroundings_of(objects)
    assert found.autoscalers == (
        Autoscaler(service="order-api", name="orders", lowest=1, highest=4),
    )
    assert found.autoscaler_of("cart-api") is None


def test_kind_that_was_not_read_is_not_known() -> None:
    """No answer is not the same as none."""
    assert surroundings_of({}) == Surroundings(pools=None, autoscalers=None)
    assert surroundings_of({"horizontalpodautoscalers": []}).autoscalers == ()
