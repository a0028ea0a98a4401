"""The pod metrics exporter: what Prometheus scrapes in place of cAdvisor and kube-state-metrics.

A client of the Kubernetes API for the objects; the figures of the processes come from the
operating system, by the pids that the kubelet gives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import psutil
from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from runner.errors import TargetError
from runner.targets.sandbox.apiclient import (
    DEPLOYMENTS,
    ENDPOINTS,
    HPAS,
    NODES,
    PODS,
    REPLICASETS,
    ApiClient,
    Informer,
)
from runner.targets.sandbox.exporter_families import Usage, World, families
from runner.targets.sandbox.reconcile import following
from runner.targets.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


async def run_exporter(
    client: ApiClient, settings: SandboxSettings, processes: Mapping[str, int]
) -> None:
    """Serve ``/metrics`` on 127.0.0.1:``exporter_port``; until cancelled.

    Args:
        client: Client of the API server.
        settings: The sandbox's settings.
        processes: Pod uid → pid, kept up to date by the kubelet.

    Raises:
        TargetError: The API server gave no lists at the start, or the port is taken.
    """
    kinds = (PODS, REPLICASETS, DEPLOYMENTS, ENDPOINTS, NODES, HPAS)
    informers = [Informer(client, kind) for kind in kinds]
    pods, replicasets, deployments, endpoints, nodes, autoscalers = informers
    meter = Meter()

    def look() -> World:
        return World(
            pods=tuple(pods.objects.values()),
            replicasets=tuple(replicasets.objects.values()),
            deployments=tuple(deployments.objects.values()),
            endpoints=tuple(endpoints.objects.values()),
            nodes=tuple(nodes.objects.values()),
            autoscalers=tuple(autoscalers.objects.values()),
            usage=meter.read(processes),
        )

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(look))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    async with following(*informers):
        await runner.setup()
        try:
            port = settings.exporter_port
            try:
                await web.TCPSite(runner, "127.0.0.1", port).start()
            except OSError as error:
                message = f"the exporter cannot listen on 127.0.0.1:{port}: {error}"
                raise TargetError(message) from error
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


class Meter:
    """Reads what processes use; keeps their handles, because opening one costs more than asking."""

    def __init__(self) -> None:
        self._handles: dict[int, psutil.Process] = {}

    def read(self, processes: Mapping[str, int]) -> dict[str, Usage]:
        """The usage by pod uid; a process that is gone has none."""
        self._handles = {
            pid: handle for pid, handle in self._handles.items() if pid in processes.values()
        }
        found: dict[str, Usage] = {}
        for uid, pid in processes.items():
            try:
                handle = self._handles.get(pid) or psutil.Process(pid)
                self._handles[pid] = handle
                with handle.oneshot():
                    times = handle.cpu_times()
                    resident = int(handle.memory_info().rss)
                    found[uid] = Usage(times.user + times.system, resident, handle.create_time())
            except psutil.Error:
                self._handles.pop(pid, None)
        return found


class _Collector(Collector):
    def __init__(self, look: Callable[[], World]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        return families(self._look())
