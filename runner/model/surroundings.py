"""What stood around the load of a run: limits of connection pools, autoscalers. Pure.

Read out of Kubernetes objects, as a snapshot of the target has them. What the snapshot lacks is
None here, which is not the same as "there is none".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.model.shape import Items, Model

Object = Mapping[str, Any]

POOLS, AUTOSCALERS = "destinationrules", "horizontalpodautoscalers"
KINDS = (POOLS, AUTOSCALERS, "services", "deployments")
"""The kinds of objects that are looked at; files of a snapshot are named by them."""


class PoolLimits(Model):
    """What a DestinationRule lets each calling proxy have of one service at once.

    Attributes:
        connections: Connections; None when the rule does not limit them.
        pending: Requests that wait for a connection; likewise.
    """

    service: str
    connections: int | None = None
    pending: int | None = None


class Autoscaler(Model):
    """A HorizontalPodAutoscaler, by the service whose pods it scales."""

    service: str
    name: str
    lowest: int
    highest: int


class Surroundings(Model):
    """All of it; None where the snapshot does not tell."""

    pools: Items[PoolLimits] | None = None
    autoscalers: Items[Autoscaler] | None = None

    def pool_of(self, service: str) -> PoolLimits | None:
        """The limits of a service; None when none are known."""
        return next((one for one in self.pools or () if one.service == service), None)

    def autoscaler_of(self, service: str) -> Autoscaler | None:
        """The autoscaler of a service; None when none is known."""
        return next((one for one in self.autoscalers or () if one.service == service), None)


def surroundings_of(objects: Mapping[str, Sequence[Object]]) -> Surroundings:
    """Read ``objects``, by kind; a kind that is not there was not read."""
    rules, scalers = objects.get(POOLS), objects.get(AUTOSCALERS)
    return Surroundings(
        pools=None if rules is None else tuple(_pools(rules)),
        autoscalers=None
        if scalers is None
        else tuple(
            _autoscalers(scalers, objects.get("services", ()), objects.get("deployments", ()))
        ),
    )


def _pools(rules: Iterable[Object]) -> Iterable[PoolLimits]:
    """Of a rule's own limits and those of its subsets and ports, the lowest."""
    found: dict[str, list[Object]] = {}
    for rule in rules:
        spec = rule.get("spec") or {}
        policies = [spec.get("trafficPolicy") or {}]
        policies += [one.get("trafficPolicy") or {} for one in spec.get("subsets") or ()]
        policies += [port for one in policies for port in one.get("portLevelSettings") or ()]
        service = _service(spec.get("host") or "", rule)
        found.setdefault(service, []).extend(one.get("connectionPool") or {} for one in policies)
    for service, pools in sorted(found.items()):
        tcp = [(pool.get("tcp") or {}).get("maxConnections") for pool in pools]
        http = [(pool.get("http") or {}).get("http1MaxPendingRequests") for pool in pools]
        yield PoolLimits(service=service, connections=_lowest(tcp), pending=_lowest(http))


def _service(host: str, rule: Object) -> str:
    """The Service's name where the host is one of the rule's own namespace; else the host."""
    name, _, rest = host.partition(".")
    namespace = (rule.get("metadata") or {}).get("namespace") or ""
    own = rest in ("", namespace) or rest.startswith(f"{namespace}.svc")
    return name if own else host


def _lowest(limits: Iterable[object]) -> int | None:
    # Istio reads 0 as "not set".
    return min((one for one in limits if isinstance(one, int) and one > 0), default=None)


def _autoscalers(
    scalers: Iterable[Object], services: Iterable[Object], deployments: Iterable[Object]
) -> Iterable[Autoscaler]:
    labels = {
        one["metadata"]["name"]: _at(one, "spec", "template", "metadata", "labels")
        for one in deployments
    }
    selectors = {one["metadata"]["name"]: _at(one, "spec", "selector") for one in services}
    for one in scalers:
        spec = one.get("spec") or {}
        workload = _at(spec, "scaleTargetRef").get("name", "")
        own = labels.get(workload, {})
        known = [
            service
            for service, selector in selectors.items()
            if selector and selector.items() <= own.items()
        ]
        for service in sorted(known) or [workload]:
            yield Autoscaler(
                service=service,
                name=one["metadata"]["name"],
                lowest=spec.get("minReplicas") or 1,
                highest=spec.get("maxReplicas") or 1,
            )


def _at(value: Any, *path: str) -> Mapping[str, Any]:
    for key in path:
        value = (value or {}).get(key)
    return value or {}
