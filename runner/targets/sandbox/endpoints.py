"""The endpoints controller: which addresses a Service has, and how long a lost one lingers.

In a cluster a pod's address leaves the proxies some time after the pod stopped being ready or was
deleted. Here that time is a setting, and it is kept in the Endpoints object itself: the mesh
follows what stands there at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from runner.targets.sandbox.apiclient import (
    ENDPOINTS,
    PODS,
    SERVICES,
    ApiClient,
    ApiError,
    Informer,
    Obj,
    key_of,
)
from runner.targets.sandbox.pods import is_active, is_ready
from runner.targets.sandbox.reconcile import NOT_FOUND, following, reconcile
from runner.targets.sandbox.settings import SandboxSettings

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
COMPONENT: Final = "endpoints-controller"
# Marks the objects that are ours to delete with their Service.
MANAGED_BY: Final = {"endpoints.kubernetes.io/managed-by": COMPONENT}


class Listed(NamedTuple):
    """An address that proxies have been told of, and since when it should not be (None: it should).

    ``entry`` is an EndpointAddress, ``ports`` the EndpointPorts of its pod.
    """

    entry: Mapping[str, Any]
    ports: tuple[tuple[str, int, str], ...]
    lost_at_s: float | None = None


class Listing(NamedTuple):
    """The addresses of one Service at one moment.

    Attributes:
        listed: Pod uid → its address, those that linger included: the memory for the next time.
        subsets: What the Endpoints object says.
        next_s: Seconds until the next address has lingered long enough; None if none lingers.
    """

    listed: Mapping[str, Listed]
    subsets: list[dict[str, Any]]
    next_s: float | None


def endpoints_for(
    service: Object,
    pods: Iterable[Object],
    known: Mapping[str, Listed],
    now_s: float,
    removal_delay_s: float,
) -> Listing:
    """The addresses of a Service.

    Args:
        service: The Service, with a selector.
        pods: All pods of its namespace.
        known: ``listed`` of the last time.
        now_s: A monotonic time in seconds.
        removal_delay_s: How long an address stays after its pod stopped being ready.
    """
    ready: dict[str, Listed] = {}
    waiting: dict[str, Listed] = {}
    selector = service["spec"]["selector"]
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        address = pod.get("status", {}).get("podIP")
        if not address or not is_active(pod):
            continue
        if any(labels.get(key) != value for key, value in selector.items()):
            continue
        found = Listed(_entry(pod, address), _ports(service, pod))
        (ready if is_ready(pod) else waiting)[pod["metadata"]["uid"]] = found
    listed = dict(ready)
    next_s: float | None = None
    for uid, each in known.items():
        if uid in ready:
            continue
        lost_at_s = now_s if each.lost_at_s is None else each.lost_at_s
        left_s = lost_at_s + removal_delay_s - now_s
        if left_s > 0.0:
            listed[uid] = each._replace(lost_at_s=lost_at_s)
            next_s = left_s if next_s is None else min(next_s, left_s)
    not_ready = [each for uid, each in waiting.items() if uid not in listed]
    return Listing(listed, _subsets(list(listed.values()), not_ready), next_s)


def _entry(pod: Object, address: str) -> dict[str, Any]:
    metadata = pod["metadata"]
    return {
        "ip": address,
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }


def _ports(service: Object, pod: Object) -> tuple[tuple[str, int, str], ...]:
    named = {
        port["name"]: port["containerPort"]
        for container in pod["spec"].get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("name")
    }
    ports = []
    for port in service["spec"].get("ports") or ():
        target = port.get("targetPort", port["port"])
        number = named.get(target) if isinstance(target, str) else target
        if number is not None:
            ports.append((port.get("name", ""), int(number), port.get("protocol", "TCP")))
    return tuple(ports)


def _subsets(ready: list[Listed], not_ready: list[Listed]) -> list[dict[str, Any]]:
    """Kubernetes' shape: one subset per set of ports, addresses in order."""
    groups: dict[tuple[tuple[str, int, str], ...], dict[str, Any]] = {}
    for field, entries in (("addresses", ready), ("notReadyAddresses", not_ready)):
        for each in sorted(entries, key=lambda listed: listed.entry["targetRef"]["name"]):
            group = groups.setdefault(each.ports, {})
            group.setdefault(field, []).append(dict(each.entry))
    for ports, group in groups.items():
        group["ports"] = [
            {**({"name": name} if name else {}), "port": number, "protocol": protocol}
            for name, number, protocol in ports
        ]
    return [groups[ports] for ports in sorted(groups)]


def remembered(endpoints: Object) -> dict[str, Listed]:
    """The listed addresses that an Endpoints object of an earlier controller holds."""
    found = {}
    for subset in endpoints.get("subsets") or ():
        ports = tuple(
            (port.get("name", ""), int(port["port"]), port.get("protocol", "TCP"))
            for port in subset.get("ports") or ()
        )
        for entry in subset.get("addresses") or ():
            uid = (entry.get("targetRef") or {}).get("uid")
            if uid:
                found[uid] = Listed(entry, ports)
    return found


async def run_endpoints(client: ApiClient, settings: SandboxSettings) -> None:
    """Keep an Endpoints object for every Service that has a selector; until cancelled.

    Raises:
        TargetError: The API server gave no lists at the start.
    """
    await _Endpoints(client, settings.endpoint_removal_delay_s).run()


class _Endpoints:
    def __init__(self, client: ApiClient, removal_delay_s: float) -> None:
        self._client = client
        self._removal_delay_s = removal_delay_s
        self._wake = asyncio.Event()
        self._services = Informer(client, SERVICES, on_change=self._changed)
        self._pods = Informer(client, PODS, on_change=self._changed)
        self._endpoints = Informer(client, ENDPOINTS)
        self._listed: dict[tuple[str, str], Mapping[str, Listed]] = {}
        self._written: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def _changed(self, change: str, obj: Obj) -> None:
        del change, obj
        self._wake.set()

    async def run(self) -> None:
        async with following(self._services, self._pods, self._endpoints):
            for key, each in self._endpoints.objects.items():
                self._listed[key] = remembered(each)
                self._written[key] = each.get("subsets") or []
            await reconcile("endpoints", self._wake, self._step)

    async def _step(self) -> float | None:
        now_s = asyncio.get_running_loop().time()
        soonest: list[float] = []
        wanted = {
            key: service
            for key, service in self._services.objects.items()
            if service["spec"].get("selector")
        }
        for key, service in wanted.items():
            pods = [pod for pod in self._pods.objects.values() if key_of(pod)[0] == key[0]]
            known = self._listed.get(key, {})
            made = endpoints_for(service, pods, known, now_s, self._removal_delay_s)
            self._listed[key] = made.listed
            if made.next_s is not None:
                soonest.append(made.next_s)
            if self._written.get(key) != made.subsets:
                await self._write(service, made.subsets)
                self._written[key] = made.subsets
        for key in [key for key in self._written if key not in self._services.objects]:
            await self._forget(key)
        return min(soonest, default=None)

    async def _write(self, service: Obj, subsets: list[dict[str, Any]]) -> None:
        namespace, name = key_of(service)
        try:
            await self._client.patch(ENDPOINTS, name, namespace, {"subsets": subsets})
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            labels = (service["metadata"].get("labels") or {}) | MANAGED_BY
            metadata = {"name": name, "namespace": namespace, "labels": labels}
            await self._client.create(ENDPOINTS, {"metadata": metadata, "subsets": subsets})

    async def _forget(self, key: tuple[str, str]) -> None:
        """Delete the Endpoints of a Service that is gone, if they were ours."""
        self._written.pop(key, None)
        self._listed.pop(key, None)
        known = self._endpoints.objects.get(key, {"metadata": {}})
        labels = known["metadata"].get("labels") or {}
        if MANAGED_BY.items() <= labels.items():
            with contextlib.suppress(ApiError):
                await self._client.delete(ENDPOINTS, key[1], key[0])
