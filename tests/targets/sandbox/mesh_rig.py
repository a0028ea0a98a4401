"""A mesh for tests: the real Envoy, tiny upstream servers on loopback addresses, no API server.

Not a test. ``on_mesh`` makes a test of an async function that takes a :class:`MeshRig`.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import os
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import aiohttp
import pytest

from runner.targets.sandbox.mesh.envoy import EnvoyProcess
from runner.targets.sandbox.mesh.model import MeshConfig, MeshInput
from runner.targets.sandbox.mesh.schema import HTTP_FAULT_TYPE
from runner.targets.sandbox.mesh.trials import Trials
from runner.targets.sandbox.mesh.xds import XdsFolder
from runner.targets.sandbox.settings import SandboxSettings

NAMESPACE = "ecommerce"
TEST_LIMIT_S = 25.0
Obj = dict[str, Any]

# Addresses differ between test processes, so that several can run on one machine.
_addresses = itertools.count((os.getpid() % 64) * 1000)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def settings_in(home: Path) -> SandboxSettings:
    """Settings with free ports and addresses that no sandbox uses."""
    api, ingress, prometheus, envoy_admin, exporter, kubelet = free_ports(6)
    return SandboxSettings(
        name="test",
        home=home,
        slot=60,
        api_port=api,
        ingress_port=ingress,
        prometheus_port=prometheus,
        envoy_admin_port=envoy_admin,
        exporter_port=exporter,
        kubelet_port=kubelet,
    )


def obj(kind: str, name: str, spec: Obj | None = None, *, age: int = 0, **meta: Any) -> Obj:
    """One object of the namespace; a higher ``age`` means created later."""
    api = {"Pod": "v1", "Service": "v1", "Endpoints": "v1"}.get(kind, "networking.istio.io/v1")
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "creationTimestamp": f"2026-01-01T00:00:{age:02d}Z",
        "generation": 1,
        **meta,
    }
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec or {}}


def virtual_service(name: str, http: list[Obj], *, age: int = 0, **spec: Any) -> Obj:
    """A VirtualService of one service, for the gateway and the mesh unless ``spec`` says else."""
    given = {"hosts": ["shop.test", name], "gateways": ["edge", "mesh"], "http": http} | spec
    return obj("VirtualService", name, given, age=age)


def destination_rule(host: str, policy: Obj | None = None, subsets: Iterable[str] = ()) -> Obj:
    """A DestinationRule whose subsets are chosen by the label ``version``."""
    spec: Obj = {"host": host}
    if policy is not None:
        spec["trafficPolicy"] = policy
    spec["subsets"] = [{"name": name, "labels": {"version": name}} for name in subsets]
    return obj("DestinationRule", host, spec)


def gateway(name: str = "edge") -> Obj:
    """The Gateway that every test's VirtualServices are bound to."""
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    return obj("Gateway", name, {"selector": {"istio": "ingressgateway"}, "servers": [server]})


def to(service: str, subset: str = "", weight: int = 0) -> Obj:
    """One destination of a route."""
    destination: Obj = {"host": service}
    if subset:
        destination["subset"] = subset
    return {"destination": destination} | ({"weight": weight} if weight else {})


def inbound_fault(name: str, labels: Mapping[str, str], fault: Obj, *, age: int = 0) -> Obj:
    """An EnvoyFilter with a fault before the application of the pods with these labels."""
    router = {"name": "envoy.filters.http.router"}
    manager = {"name": "envoy.filters.network.http_connection_manager", "subFilter": router}
    value = {"name": "envoy.filters.http.fault", "typed_config": {"@type": HTTP_FAULT_TYPE}}
    value["typed_config"] |= fault  # type: ignore[operator]
    patch = {
        "applyTo": "HTTP_FILTER",
        "match": {
            "context": "SIDECAR_INBOUND",
            "listener": {"filterChain": {"filter": manager}},
        },
        "patch": {"operation": "INSERT_BEFORE", "value": value},
    }
    spec = {"workloadSelector": {"labels": dict(labels)}, "configPatches": [patch]}
    return obj("EnvoyFilter", name, spec, age=age)


class Seen(NamedTuple):
    """One request as an upstream saw it; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Upstream:
    """One pod's application: answers with its name, as slowly and as badly as it is told."""

    name: str
    address: str
    port: int
    labels: dict[str, str]
    calls: bool = False
    status: int = 200
    delay_s: float = 0.0
    seen: list[Seen] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, self.port)

    async def kill(self) -> None:
        """Die like a process: nobody listens any more, and open connections are reset."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._server = None
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        self.seen.append(Seen(method, path, headers))
        status = self.status
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        body = self.name.encode()
        writer.write(
            b"HTTP/1.1 %d X\r\nx-from: upstream\r\nx-extra: 1\r\ncontent-length: %d\r\n\r\n%s"
            % (status, len(body), body)
        )
        await writer.drain()


class Answer(NamedTuple):
    """What a client got."""

    status: int
    body: str
    headers: Mapping[str, str]
    seconds: float


class MeshRig:
    """An Envoy with services; objects are put into force by :meth:`apply`."""

    def __init__(self, home: Path) -> None:
        self.settings = settings_in(home)
        self.envoy = EnvoyProcess(self.settings)
        self.trials = Trials(XdsFolder(self.settings, self.envoy), self.settings)
        self.pods: dict[str, Upstream] = {}
        self.gone: set[str] = set()
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self.envoy.stop)
        await self.envoy.start()
        await self.envoy.wait_ready()
        connector = aiohttp.TCPConnector(limit=0)
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10))
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()
        for pod in self.pods.values():
            await pod.kill()

    async def service(self, name: str, versions: Iterable[str] = ("v1", "v1")) -> list[Upstream]:
        """Start the pods of a service, one per entry of ``versions``; the caller is a pod too."""
        started = []
        for number, version in enumerate(versions):
            labels = {"app": name, "version": version}
            address = self.settings.pod_address(next(_addresses))
            pod = Upstream(f"{name}-abc-{number}", address, self.settings.pod_port, labels)
            await pod.start()
            self.pods[pod.name] = pod
            started.append(pod)
        return started

    async def caller(self, name: str = "order-api") -> Upstream:
        """Start a pod that calls others through its outbound listener."""
        (pod,) = await self.service(name, ["v1"])
        pod.calls = True
        return pod

    def objects(self, *istio: Obj) -> MeshInput:
        """The rig's pods and services, and the given objects of Istio."""
        services: dict[str, list[Upstream]] = {}
        for pod in self.pods.values():
            services.setdefault(pod.labels["app"], []).append(pod)

        def of(kind: str) -> tuple[Obj, ...]:
            return tuple(item for item in istio if item["kind"] == kind)

        return MeshInput(
            pods=tuple(_pod(pod) for pod in self.pods.values() if pod.name not in self.gone),
            services=tuple(
                obj("Service", name, {"ports": [{"name": "http", "port": 80}]}) for name in services
            ),
            endpoints=tuple(
                _endpoints(name, [pod for pod in pods if pod.name not in self.gone])
                for name, pods in services.items()
            ),
            virtual_services=of("VirtualService"),
            destination_rules=of("DestinationRule"),
            gateways=(gateway(), *of("Gateway")),
            envoy_filters=of("EnvoyFilter"),
            network_policies=of("NetworkPolicy"),
        )

    async def apply(self, *istio: Obj) -> MeshConfig:
        """Put these objects into force, and nothing else of Istio."""
        return await self.trials.bring(self.objects(*istio))

    async def get(
        self,
        path: str,
        *,
        by: Upstream | None = None,
        host: str = "shop.test",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, through the gateway or through the outbound listener of the pod ``by``."""
        base = f"http://127.0.0.1:{self.settings.ingress_port}"
        if by is not None:
            base = f"http://{by.address}:15001"
        begun = asyncio.get_running_loop().time()
        async with self._http.request(
            method, base + path, headers={"host": host, **(headers or {})}, allow_redirects=False
        ) as answer:
            body = await answer.text()
            seconds = asyncio.get_running_loop().time() - begun
            return Answer(answer.status, body, answer.headers, seconds)

    async def many(self, count: int, path: str, *, at_once: int = 20, **how: Any) -> list[Answer]:
        """Many requests, ``at_once`` at a time."""
        gate = asyncio.Semaphore(at_once)

        async def one() -> Answer:
            async with gate:
                return await self.get(path, **how)

        return list(await asyncio.gather(*(one() for _ in range(count))))

    async def requests(self, **labels: str) -> Counter[tuple[str, str]]:
        """istio_requests_total by (code, flags), of the series with these labels."""
        totals: Counter[tuple[str, str]] = Counter()
        for series, value in await self.series("^istio.*requests_total"):
            if all(series.get(name) == wanted for name, wanted in labels.items()):
                totals[series["response_code"], series["response_flags"]] += int(value)
        return totals

    async def series(self, pattern: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values of what Envoy serves to Prometheus."""
        url = f"{self.envoy.url}/stats/prometheus?filter={quote(pattern)}"
        async with self._http.get(url) as answer:
            text = await answer.text()
        found = re.findall(r"^(\w+)\{(.*)\} (\S+)$", text, re.MULTILINE)
        return [
            (dict(re.findall(r'(\w+)="(.*?)"', labels)) | {"__name__": name}, float(value))
            for name, labels, value in found
        ]

    async def until(self, look: Callable[[], Awaitable[bool]], limit_s: float = 5.0) -> None:
        """Wait until ``look`` says yes.

        Raises:
            TimeoutError: It did not within ``limit_s``.
        """
        async with asyncio.timeout(limit_s):
            while not await look():
                await asyncio.sleep(0.02)

    def xds(self, name: str) -> Any:
        """The resources in one of the files that Envoy reads."""
        return json.loads((self.settings.xds / name).read_text())["resources"]


def _pod(pod: Upstream) -> Obj:
    annotations = {"sandbox.seatrial.dev/outbound": "true"} if pod.calls else {}
    owner = {"kind": "ReplicaSet", "name": f"{pod.labels['app']}-abc", "controller": True}
    made = obj("Pod", pod.name, labels=pod.labels, annotations=annotations, ownerReferences=[owner])
    return made | {"status": {"phase": "Running", "podIP": pod.address}}


def _endpoints(name: str, pods: list[Upstream]) -> Obj:
    addresses = [{"ip": pod.address} for pod in pods]
    subset = {"addresses": addresses, "ports": [{"name": "http", "port": 8080}]}
    return obj("Endpoints", name) | {"subsets": [subset]}


def on_mesh(scenario: Callable[[MeshRig], Awaitable[None]]) -> Callable[[Path], None]:
    """A test that gives the scenario an Envoy of its own, and has a limit of time."""

    async def with_rig(home: Path) -> None:
        async with asyncio.timeout(TEST_LIMIT_S), MeshRig(home) as rig:
            await scenario(rig)

    @functools.wraps(scenario)
    def test(tmp_path: Path) -> None:
        asyncio.run(with_rig(tmp_path))

    del test.__wrapped__
    test.__annotations__ = {"tmp_path": Path, "return": None}
    marked: Callable[[Path], None] = pytest.mark.sandbox(test)
    return marked
