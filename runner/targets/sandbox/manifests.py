"""The reference shop as Kubernetes and Istio objects: pure data, made from the settings.

Six services of two pods each in the namespace ``ecommerce``, one VirtualService and one
DestinationRule per service, one Gateway, the load balancer's Service in front of it, and two
autoscalers. Nothing here talks to an API server, and nothing here knows how a pod becomes a
process.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from runner.model.target import OPT_IN_LABEL, OPT_IN_VALUE
from runner.targets.sandbox.settings import HOST, SandboxSettings
from runner.targets.sandbox.shop.behaviour import OUTBOUND

Object = dict[str, Any]

GATEWAY: Final = "ecommerce-gateway"
INGRESS_NAMESPACE: Final = "istio-system"
INGRESS_SERVICE: Final = "istio-ingressgateway"
IMAGE: Final = "seatrial.dev/shop:1"
PART_OF: Final = "seatrial-sandbox"
OUTBOUND_ANNOTATION: Final = OUTBOUND

SLOTS: Final = 16
SIGMA: Final = 0.35

# CPU in percent of the requests from which more pods are started. 100 users take about 24 % of
# these services, 500 about 85 %: between the two, in proportion, with room for other machines.
AUTOSCALED: Final = ("order-api", "product-api")
CPU_TARGET_PERCENT: Final = 40
# No more: Envoy watches seven files for every order pod, and a user has few inotify instances.
GROWTH: Final = 2


class ShopService(NamedTuple):
    """One service of the shop.

    Attributes:
        name: Its name in Kubernetes, also the value of the pods' ``app`` label.
        full_name: The value of the recommended label ``app.kubernetes.io/name``.
        route: The path prefix under which the gateway serves it.
        mean_s: Mean of the time that its own work takes, in seconds. A pod's capacity is
            ``SLOTS / mean_s`` requests per second.
        calls: The services that it calls while it answers.
    """

    name: str
    full_name: str
    route: str
    mean_s: float
    calls: tuple[str, ...] = ()


SERVICES: Final[tuple[ShopService, ...]] = (
    ShopService("customer-api", "customer-service", "/api/v1/customers", 0.020),
    ShopService(
        "order-api", "order-service", "/api/v1/orders", 0.020, ("customer-api", "payment-api")
    ),
    ShopService("product-api", "product-service", "/api/v1/products", 0.025),
    ShopService("payment-api", "payment-service", "/api/v1/payments", 0.030),
    ShopService("recommendation-api", "recommendation-service", "/api/v1/recommendations", 0.030),
    ShopService("saga-tracker", "saga-tracker", "/api/v1/saga", 0.010),
)

# The traffic policy of every service of the reference system.
RETRIES: Final[Object] = {
    "attempts": 3,
    "perTryTimeout": "10s",
    "retryOn": "5xx,reset,connect-failure,refused-stream",
}
TIMEOUT: Final = "30s"
TRAFFIC_POLICY: Final[Object] = {
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


def namespaces(settings: SandboxSettings) -> list[Object]:
    """The shop's namespace (chaos allowed, sidecars on) and the ingress gateway's."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": settings.namespace,
                "labels": {"istio-injection": "enabled", OPT_IN_LABEL: OPT_IN_VALUE},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": INGRESS_NAMESPACE},
        },
    ]


def ingress(settings: SandboxSettings) -> Object:
    """The load balancer's Service; :func:`ingress_status` holds its address."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": INGRESS_SERVICE,
            "namespace": INGRESS_NAMESPACE,
            "labels": {"app": INGRESS_SERVICE, "istio": "ingressgateway"},
        },
        "spec": {
            "type": "LoadBalancer",
            "selector": {"istio": "ingressgateway"},
            "ports": [
                {
                    "name": "http2",
                    "port": 80,
                    "protocol": "TCP",
                    "targetPort": settings.ingress_port,
                }
            ],
        },
    }


def ingress_status(settings: SandboxSettings) -> Object:
    """The status of the load balancer: where the gateway listens on this machine."""
    port = {"port": settings.ingress_port, "protocol": "TCP"}
    return {"loadBalancer": {"ingress": [{"ip": "127.0.0.1", "ports": [port]}]}}


def gateway(settings: SandboxSettings) -> Object:
    """The one Gateway: plain HTTP on port 80 for the shop's host and for all others."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": settings.namespace},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [
                {
                    "port": {"number": 80, "name": "http", "protocol": "HTTP"},
                    "hosts": [HOST, "*"],
                }
            ],
        },
    }


def deployment(service: ShopService, settings: SandboxSettings) -> Object:
    """The Deployment of one service, as a cluster's would read."""
    labels = {
        "app": service.name,
        "app.kubernetes.io/name": service.full_name,
        "app.kubernetes.io/part-of": PART_OF,
        "version": "v1",
    }
    template: Object = {"labels": labels}
    if service.calls:
        template["annotations"] = {OUTBOUND_ANNOTATION: "true"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": service.name, "namespace": settings.namespace, "labels": labels},
        "spec": {
            "replicas": settings.replicas,
            "selector": {"matchLabels": {"app": service.name, "version": "v1"}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": template,
                "spec": {"containers": [_container(service, settings)]},
            },
        },
    }


def _container(service: ShopService, settings: SandboxSettings) -> Object:
    environment = {
        "SHOP_SERVICE": service.name,
        "SHOP_SLOTS": str(SLOTS),
        "SHOP_MEAN_S": f"{service.mean_s:g}",
        "SHOP_SIGMA": f"{SIGMA:g}",
        "SHOP_SEED": str(settings.seed),
    }
    return {
        "name": service.name,
        "image": IMAGE,
        "ports": [{"name": "http", "containerPort": settings.pod_port}],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi"},
        },
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": settings.pod_port},
            "periodSeconds": 1,
            "failureThreshold": 2,
        },
    }


def service_object(service: ShopService, settings: SandboxSettings) -> Object:
    """The Service of one of the shop's services: port 80 to the pods' port."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service.name,
            "namespace": settings.namespace,
            "labels": {"app": service.name},
        },
        "spec": {
            "selector": {"app": service.name},
            "ports": [
                {
                    "name": "http",
                    "port": 80,
                    "protocol": "TCP",
                    "targetPort": settings.pod_port,
                }
            ],
        },
    }


def virtual_service(service: ShopService, settings: SandboxSettings) -> Object:
    """The VirtualService of one service, for the gateway and for callers inside the mesh."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": service.name, "namespace": settings.namespace},
        "spec": {
            "hosts": [HOST, service.name],
            "gateways": [GATEWAY, "mesh"],
            "http": [
                {
                    "match": [{"uri": {"prefix": service.route}}],
                    "route": [{"destination": {"host": service.name, "port": {"number": 80}}}],
                    "timeout": TIMEOUT,
                    "retries": dict(RETRIES),
                }
            ],
        },
    }


def destination_rule(service: ShopService, settings: SandboxSettings) -> Object:
    """The DestinationRule of one service: connection pool and outlier detection."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": service.name, "namespace": settings.namespace},
        "spec": {
            "host": service.name,
            "trafficPolicy": {
                "connectionPool": {
                    "tcp": dict(TRAFFIC_POLICY["connectionPool"]["tcp"]),
                    "http": dict(TRAFFIC_POLICY["connectionPool"]["http"]),
                },
                "outlierDetection": dict(TRAFFIC_POLICY["outlierDetection"]),
            },
        },
    }


def autoscaler(service: ShopService, settings: SandboxSettings) -> Object:
    """The HorizontalPodAutoscaler of one service: from its replicas to twice as many, by CPU."""
    target = {"type": "Utilization", "averageUtilization": CPU_TARGET_PERCENT}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": service.name,
            "namespace": settings.namespace,
            "labels": {"app": service.name},
        },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": service.name,
            },
            "minReplicas": settings.replicas,
            "maxReplicas": settings.replicas * GROWTH,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def shop(settings: SandboxSettings) -> list[Object]:
    """Every object of the shop, in the order in which they have to be created."""
    objects = [*namespaces(settings), ingress(settings), gateway(settings)]
    for service in SERVICES:
        objects.append(service_object(service, settings))
        objects.append(destination_rule(service, settings))
        objects.append(virtual_service(service, settings))
    objects.extend(deployment(service, settings) for service in SERVICES)
    objects.extend(autoscaler(each, settings) for each in SERVICES if each.name in AUTOSCALED)
    return objects
