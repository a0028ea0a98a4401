"""The embedded API server with the workload parts on it, for tests that need real pods.

No Envoy and no Prometheus: a cluster like this one is up in well under a second.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.targets.sandbox.apiclient import (
    DEPLOYMENTS,
    ENDPOINTS,
    EVENTS,
    NAMESPACES,
    PODS,
    SERVICES,
    ApiClient,
    ApiError,
    Obj,
)
from runner.targets.sandbox.apiserver import serve
from runner.targets.sandbox.controllers import run_deployments, run_endpoints
from runner.targets.sandbox.exporter import run_exporter
from runner.targets.sandbox.kubelet import PodProcesses, run_kubelet
from runner.targets.sandbox.pods import is_ready
from runner.targets.sandbox.podstatus import BackOff
from runner.targets.sandbox.settings import SandboxSettings

NAMESPACE = "ecommerce"
APP = "payment-api"
QUICK = BackOff(first_s=0.3, cap_s=0.6)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def deployment(settings: SandboxSettings, replicas: int = 2, **env: str) -> Obj:
    """A Deployment of payment-api that takes no time, with an eager readiness probe."""
    variables = {"SHOP_SERVICE": APP, "SHOP_MEAN_S": "0", "SHOP_DRAIN_S": "0.1"} | env
    return {
        "metadata": {"name": APP, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": APP}},
            "template": {
                "metadata": {"labels": {"app": APP}},
                "spec": {"containers": [container(settings, variables)]},
            },
        },
    }


def container(settings: SandboxSettings, variables: dict[str, str]) -> Obj:
    return {
        "name": APP,
        "image": "seatrial.dev/shop:1",
        "ports": [{"name": "http", "containerPort": settings.pod_port}],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": "http"},
            "periodSeconds": 1,
            "failureThreshold": 1,
        },
    }


@dataclass(frozen=True, slots=True)
class Cluster:
    settings: SandboxSettings
    client: ApiClient
    processes: PodProcesses
    tasks: list[asyncio.Task[None]]

    async def pods(self, labels: str = f"app={APP}") -> list[Obj]:
        return (await self.client.list(PODS, NAMESPACE, labels=labels))[0]

    async def pod(self, name: str) -> Obj:
        return await self.client.get(PODS, name, NAMESPACE)

    async def addresses(self) -> list[str]:
        subsets = (await self.client.get(ENDPOINTS, APP, NAMESPACE)).get("subsets") or ()
        return [each["ip"] for subset in subsets for each in subset.get("addresses", ())]

    async def reasons(self, name: str) -> dict[str, str]:
        """Reason → message of the events about an object."""
        fields = f"involvedObject.name={name}"
        events, _ = await self.client.list(EVENTS, NAMESPACE, fields=fields)
        return {each["reason"]: each["message"] for each in events}

    async def told(self, name: str, reason: str) -> str:
        """The message of the event about an object: it is written after what it tells of."""
        async with asyncio.timeout(20.0):
            while reason not in (reasons := await self.reasons(name)):
                await asyncio.sleep(0.05)
        return reasons[reason]

    async def until(self, holds: Callable[[], Awaitable[object]], limit_s: float = 20.0) -> float:
        """Wait until something holds; the seconds that it took."""
        begun = time.monotonic()
        while not await holds():
            for task in self.tasks:
                if task.done():
                    task.result()
            waited_s = time.monotonic() - begun
            assert waited_s < limit_s, f"still not so after {limit_s} s: {holds}"
            await asyncio.sleep(0.02)
        return time.monotonic() - begun

    async def ready(self, count: int = 2) -> list[Obj]:
        """The pods, as soon as there are exactly so many, all ready and listed as endpoints."""

        async def holds() -> bool:
            pods = await self.pods()
            listed = set(await self.addresses())
            own = {pod["status"].get("podIP") for pod in pods}
            return len(pods) == count and all(map(is_ready, pods)) and listed == own

        await self.until(holds)
        return await self.pods()


@asynccontextmanager
async def cluster(home: Path, back_off: BackOff = QUICK, **more: Any) -> AsyncIterator[Cluster]:
    """A cluster with the namespace and the Service, and no Deployment yet."""
    settings = SandboxSettings(
        name="workloads",
        home=home,
        slot=58,
        api_port=0,
        ingress_port=0,
        prometheus_port=0,
        envoy_admin_port=0,
        exporter_port=free_port(),
        kubelet_port=free_port(),
        **{
            "pod_port": free_port(),
            "pod_recreation_delay_s": 0.3,
            "endpoint_removal_delay_s": 0.3,
        }
        | more,
    )
    processes = PodProcesses()
    async with AsyncExitStack() as stack:
        server = await serve(home, 0, "token")
        stack.push_async_callback(server.close)
        client = await stack.enter_async_context(ApiClient.from_kubeconfig(home / "kubeconfig"))
        await client.create(
            NAMESPACES,
            {"metadata": {"name": NAMESPACE, "labels": {"istio-injection": "enabled"}}},
        )
        port = {"name": "http", "port": 80, "targetPort": "http"}
        spec = {"selector": {"app": APP}, "ports": [port]}
        service = {"metadata": {"name": APP, "namespace": NAMESPACE}, "spec": spec}
        await client.create(SERVICES, service)
        parts: tuple[Coroutine[Any, Any, None], ...] = (
            run_deployments(client, settings),
            run_endpoints(client, settings),
            run_kubelet(client, settings, processes, back_off),
            run_exporter(client, settings, processes),
        )
        tasks = [asyncio.create_task(part) for part in parts]
        stack.push_async_callback(_stop, tasks)
        made = Cluster(settings, client, processes, tasks)

        async def listed() -> bool:
            return bool((await client.list(ENDPOINTS, NAMESPACE))[0])

        await made.until(listed)
        yield made


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def deploy(on: Cluster, replicas: int = 2, **env: str) -> list[Obj]:
    """Create the Deployment and wait until its pods are ready."""
    await on.client.create(DEPLOYMENTS, deployment(on.settings, replicas, **env))
    return await on.ready(replicas)


def app_status(pod: Obj) -> dict[str, Any]:
    """The status of the application's container."""
    found: dict[str, Any] = next(
        each for each in pod["status"]["containerStatuses"] if each["name"] == APP
    )
    return found


async def is_gone(on: Cluster, name: str) -> bool:
    try:
        await on.pod(name)
    except ApiError as error:
        return error.status == 404
    return False


async def annotate(on: Cluster, name: str, **wishes: str | None) -> None:
    """Set behaviour annotations and wait until the kubelet has told the process."""
    annotations = {f"sandbox.seatrial.dev/{key}": value for key, value in wishes.items()}
    before = (await on.reasons(name)).get("Behaviour")
    await on.client.patch(PODS, name, NAMESPACE, {"metadata": {"annotations": annotations}})

    async def told() -> bool:
        return (await on.reasons(name)).get("Behaviour") != before

    await on.until(told)
