"""The one process that a sandbox is: it starts every part in order, watches them, and ends them.

The parts run as tasks here and know each other only through the Kubernetes API; Envoy, Prometheus
and the pods are children. What is going on stands in ``status.json``. This module decides the
order of things and what happens when one fails; how a part does its work is the part's own affair.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import aiohttp

from runner.errors import SeatrialError, TargetError
from runner.targets.sandbox import attach, manifests, readiness
from runner.targets.sandbox.apiclient import (
    DEPLOYMENTS,
    PODS,
    SERVICES,
    ApiClient,
    ApiError,
    Informer,
)
from runner.targets.sandbox.apiserver import ApiServerHandle, serve
from runner.targets.sandbox.controllers import run_autoscaler, run_deployments, run_endpoints
from runner.targets.sandbox.exporter import run_exporter
from runner.targets.sandbox.kubelet import PodProcesses, run_kubelet
from runner.targets.sandbox.mesh.controller import run_mesh
from runner.targets.sandbox.mesh.envoy import EnvoyProcess
from runner.targets.sandbox.parts import Parts
from runner.targets.sandbox.prometheus import PrometheusProcess
from runner.targets.sandbox.settings import SandboxSettings
from runner.targets.sandbox.state import start_mark
from runner.targets.sandbox.status import StatusBoard

log = logging.getLogger(__name__)

_POLL_S: Final = 0.1
_STATUS_EVERY_S: Final = 0.5
_CONFLICT: Final = 409

# The order of the end: first what would start anew what is ended next, then the way in, so that
# no client sees a half-dead mesh, then the pods, then those who watch, then what all stand on.
_STOP_ORDER: Final = (
    ("watch", 1.0),
    ("autoscaler", 1.0),
    ("deployments", 2.0),
    ("mesh", 2.0),
    ("envoy", 1.0),
    ("kubelet", 8.0),
    ("endpoints", 2.0),
    ("pods", 1.0),
    ("exporter", 2.0),
    ("prometheus", 1.0),
)


class Supervisor:
    """One sandbox from its start to its end.

    Args:
        settings: Its settings; the folder exists and is locked by this process.
        prometheus: Its Prometheus, started already: that takes longest.
        envoy: Its Envoy, not started.
        api_server: The kubeconfig of an API server that runs elsewhere; None to serve one here.
        owner_pid: A process whose end ends the sandbox; None to stay up.
        start_limit_s: Seconds that it may take to be ready.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        prometheus: PrometheusProcess,
        envoy: EnvoyProcess,
        *,
        api_server: Path | None = None,
        owner_pid: int | None = None,
        start_limit_s: float = 60.0,
    ) -> None:
        self._settings = settings
        self._prometheus = prometheus
        self._envoy = envoy
        self._api_server = api_server
        self._owner_pid = owner_pid
        self._owner_mark = None if owner_pid is None else start_mark(owner_pid) or "gone"
        self._start_limit_s = start_limit_s
        self._parts = Parts()
        self._stop_asked = asyncio.Event()
        self._clients: list[ApiClient] = []
        self._api: ApiServerHandle | None = None
        self._is_guest = False
        self._applied: list[manifests.Object] = []
        self._processes = PodProcesses()
        self._pods: Informer | None = None
        self._board = StatusBoard(settings, attached=api_server is not None, owner_pid=owner_pid)

    def ask_to_stop(self) -> None:
        """Begin the ordered end; the handler of SIGTERM and SIGINT."""
        self._stop_asked.set()

    async def run(self) -> int:
        """Live until asked to stop. Returns 0 after an ordered end, 1 when it never was ready."""
        self._board.set(state="starting", message="starting")
        try:
            if not await self._start():
                return 0
            await self._live()
        except SeatrialError as error:
            log.error("the sandbox could not be started: %s", error)  # noqa: TRY400 - it says all
            self._board.fail(error)
            return 1
        except Exception as error:
            log.exception("the sandbox could not be started")
            self._board.fail(error)
            return 1
        finally:
            await self._end()
        return 0

    async def _start(self) -> bool:
        """Start everything and wait for readiness. False when asked to stop meanwhile."""
        started = asyncio.create_task(self._start_all(), name="start")
        stopped = asyncio.create_task(self._stop_asked.wait(), name="stop asked")
        broken = asyncio.create_task(self._parts.failed.wait(), name="part failed")
        tasks = {started, stopped, broken}
        try:
            await asyncio.wait(
                tasks, timeout=self._start_limit_s, return_when=asyncio.FIRST_COMPLETED
            )
            if started.done():
                started.result()
                return True
            if stopped.done():
                return False
            if broken.done():
                raise TargetError(f"a part of the sandbox failed: {self._parts.failure}")
            raise TargetError(
                f"the sandbox was not ready within {self._start_limit_s:g} s: "
                f"{self._board.info.message}"
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _start_all(self) -> None:
        begun = time.monotonic()
        settings = self._settings
        await self._envoy.start()
        await self._provide_api()
        self._start_parts()
        self._board.set(pids=self._pids)
        self._parts.start("watch", self._watch())
        await self._apply_shop()
        await self._prometheus.wait_ready()
        async with aiohttp.ClientSession() as session:
            while words := await self._missing(session):
                self._board.set(message=words)
                await asyncio.sleep(_POLL_S)
            parts = await attach.versions(settings, self._client("seatrial"), session)
        self._board.set(
            state="ready",
            message="",
            pids=self._pids,
            parts=parts,
            ready_after_s=time.monotonic() - begun,
        )
        log.info("ready after %.2f s", time.monotonic() - begun)

    async def _provide_api(self) -> None:
        settings = self._settings
        if self._api_server is None:
            self._api = await serve(settings.home, settings.api_port, attach.new_token())
        else:
            attach.copy_kubeconfig(self._api_server, settings.kubeconfig)
        client = self._client("seatrial")
        self._board.set(api_url=client.endpoint.server, context=client.endpoint.context)
        await attach.check_reachable(client)
        if self._api_server is not None:
            await attach.check_bare(client)
            self._is_guest = True

    def _start_parts(self) -> None:
        settings = self._settings
        start = self._parts.start
        self._pods = Informer(self._client("seatrial"), PODS, settings.namespace)
        start("pods", self._pods.run())
        start("envoy", _end_of(self._envoy))
        start("prometheus", self._prometheus.wait())
        start("deployments", run_deployments(self._client("deployment-controller"), settings))
        start("endpoints", run_endpoints(self._client("endpoints-controller"), settings))
        start("kubelet", run_kubelet(self._client("kubelet"), settings, self._processes))
        start("exporter", run_exporter(self._client("exporter"), settings, self._processes))
        start("autoscaler", run_autoscaler(self._client("autoscaler"), settings, self._processes))
        start("mesh", run_mesh(self._client("mesh"), settings, self._envoy))

    async def _apply_shop(self) -> None:
        """Create the shop, unless the namespace has Deployments of its own."""
        client, settings = self._client("seatrial"), self._settings
        present, _ = await client.list(DEPLOYMENTS, settings.namespace)
        if present:
            return
        for obj in manifests.shop(settings):
            try:
                self._applied.append(await client.create(attach.resource_of(obj), obj))
            except ApiError as error:
                if error.status != _CONFLICT:
                    raise
        await client.patch(
            SERVICES,
            manifests.INGRESS_SERVICE,
            manifests.INGRESS_NAMESPACE,
            {"status": manifests.ingress_status(settings)},
            subresource="status",
        )

    async def _missing(self, session: aiohttp.ClientSession) -> str:
        try:
            return await readiness.missing(self._client("seatrial"), self._settings, session)
        except TargetError as error:
            return f"the API server does not answer: {error.message}"

    async def _live(self) -> None:
        stopped = asyncio.create_task(self._stop_asked.wait())
        broken = asyncio.create_task(self._parts.failed.wait())
        try:
            await asyncio.wait({stopped, broken}, return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                # It stays up, so that logs and objects can be looked at; but it says so.
                self._board.fail(TargetError(self._parts.failure))
                await stopped
        finally:
            stopped.cancel()
            broken.cancel()

    async def _watch(self) -> None:
        """Keep the process ids in the status file right, and end with the owner."""
        while True:
            self._board.set(pids=self._pids)
            if self._owner_pid is not None and start_mark(self._owner_pid) != self._owner_mark:
                log.info("the owner, process %d, is gone", self._owner_pid)
                self.ask_to_stop()
            await asyncio.sleep(_STATUS_EVERY_S)

    async def _end(self) -> None:
        if self._board.info.state != "failed":
            self._board.set(state="stopping", message="stopping")
        stop_child: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "envoy": self._envoy.stop,
            "prometheus": self._prometheus.stop,
        }
        for name, limit_s in _STOP_ORDER:
            await self._parts.stop(name, limit_s=limit_s)
            if name in stop_child:
                await _quietly(f"stop of {name}", stop_child[name](), 8.0)
        if self._is_guest:
            client = self._client("seatrial")
            await _quietly("leaving the API server", attach.leave(client, self._applied), 10.0)
        for client in self._clients:
            await _quietly("close of a client", client.close(), 2.0)
        if self._api is not None:
            await _quietly("stop of the API server", self._api.close(), 5.0)
        log.info("ended")

    def _client(self, component: str) -> ApiClient:
        for client in self._clients:
            if client.component == component:
                return client
        client = ApiClient.from_kubeconfig(self._settings.kubeconfig, component=component)
        self._clients.append(client)
        return client

    @property
    def _pids(self) -> dict[str, int]:
        found = {"supervisor": self._board.pid}
        if self._envoy.pid is not None:
            found["envoy"] = self._envoy.pid
        if self._prometheus.pid is not None:
            found["prometheus"] = self._prometheus.pid
        known = self._pods.objects.values() if self._pods is not None else ()
        names = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in known}
        for uid, pid in self._processes.items():
            found[names.get(uid, uid)] = pid
        return found


async def _end_of(envoy: EnvoyProcess) -> int:
    """Wait for Envoy's end; returns its exit code.

    Raises:
        TargetError: When Envoy said why it cannot go on. (Each file that it watches takes one of
            the user's inotify instances, of which Linux gives 128 by default.)
    """
    code = await envoy.wait()
    if why := envoy.last_critical():
        raise TargetError(f"it ended: {why}")
    return code


async def supervise(
    settings: SandboxSettings,
    prometheus: PrometheusProcess,
    envoy: EnvoyProcess,
    *,
    api_server: Path | None = None,
    owner_pid: int | None = None,
    start_limit_s: float = 60.0,
) -> int:
    """Run one sandbox until SIGTERM or SIGINT, or until its owner ends; see :class:`Supervisor`."""
    supervisor = Supervisor(
        settings,
        prometheus,
        envoy,
        api_server=api_server,
        owner_pid=owner_pid,
        start_limit_s=start_limit_s,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.ask_to_stop)
    return await supervisor.run()


async def _quietly(what: str, work: Coroutine[Any, Any, Any], limit_s: float) -> None:
    """Do one step of the end. It is bounded, and its failure must not keep the next from it."""
    try:
        async with asyncio.timeout(limit_s):
            await work
    except TimeoutError:
        log.warning("%s took longer than %g s", what, limit_s)
    except SeatrialError as error:
        log.warning("%s failed: %s", what, error.message)
    except Exception:
        log.exception("%s failed", what)
