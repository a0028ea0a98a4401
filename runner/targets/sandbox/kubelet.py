"""The kubelet: registers the nodes, takes pods, runs each in a worker, serves their logs.

It is also the scheduler, and there is one for all nodes, which are this machine: a pod without a
node is bound to one that takes pods and holds fewest of its kind. A client of the Kubernetes API
like any other; what a pod may execute is decided in ``programs``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from typing import Any, Final

from runner.errors import TargetError
from runner.targets.sandbox.apiclient import (
    NODES,
    PODS,
    ApiClient,
    ApiError,
    Informer,
    Obj,
    key_of,
)
from runner.targets.sandbox.kubelet_logs import LogServer
from runner.targets.sandbox.node import node_object, node_status
from runner.targets.sandbox.podprocess import PodProcesses
from runner.targets.sandbox.podreport import Host
from runner.targets.sandbox.pods import is_active, is_terminating, owner_uid
from runner.targets.sandbox.podstatus import BackOff
from runner.targets.sandbox.podworker import PodWorker
from runner.targets.sandbox.reconcile import following, reconcile
from runner.targets.sandbox.settings import NODE_NAME, SandboxSettings

__all__ = ["PodProcesses", "run_kubelet"]

log = logging.getLogger(__name__)

HEARTBEAT_S: Final = 10.0
# Pods of the first boot come in quick succession; a longer pause ends it.
BURST_GAP_S: Final = 3.0
SHUTDOWN_GRACE_S: Final = 1.0
SHUTDOWN_LIMIT_S: Final = 4.0


async def run_kubelet(
    client: ApiClient,
    settings: SandboxSettings,
    processes: PodProcesses,
    back_off: BackOff | None = None,
) -> None:
    """Run the pods of the API server on this machine; until cancelled, which ends them all.

    Args:
        client: Client of the API server.
        settings: The sandbox's settings.
        processes: Filled with the pid of every pod's process.
        back_off: Delays between restarts; Kubernetes' own when None.

    Raises:
        TargetError: The API server gave no lists at the start, or the log port is taken.
    """
    await _Kubelet(client, settings, processes, back_off or BackOff()).run()


class _Kubelet:
    def __init__(
        self, client: ApiClient, settings: SandboxSettings, processes: PodProcesses, back: BackOff
    ) -> None:
        self._client = client
        self._settings = settings
        self._host = Host(client, settings, processes, back, self._tell)
        self._wake = asyncio.Event()
        self._pods = Informer(client, PODS, on_change=self._changed)
        self._nodes = Informer(client, NODES, on_change=self._changed)
        # Uid of a pod to what runs it, and the node that it counts for.
        self._workers: dict[str, tuple[PodWorker, asyncio.Task[None], str]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._next_address = 0
        self._is_booted = False
        self._last_taken_s: float | None = None
        # Owners that have lost a pod here: their next pods are replacements.
        self._bereaved: set[str] = set()
        self._started_s = time.time()

    async def run(self) -> None:
        logs = LogServer(self._host, self._client.endpoint.token, self._is_running)
        try:
            await logs.start(self._settings.kubelet_port)
            await self._register()
            async with following(self._pods, self._nodes):
                heartbeat = asyncio.create_task(self._beat())
                try:
                    await reconcile("kubelet", self._wake, self._step)
                finally:
                    heartbeat.cancel()
        finally:
            await self._shut_down()
            await logs.stop()

    # The node.

    async def _register(self) -> None:
        for name in self._settings.node_names:
            try:
                await self._client.create(NODES, node_object(name))
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
        await self._report(ready=True)

    async def _report(self, *, ready: bool) -> None:
        port = self._settings.kubelet_port
        for name in self._settings.node_names:
            status = node_status(port, time.time(), self._started_s, ready=ready, name=name)
            await self._client.patch(NODES, name, None, {"status": status}, subresource="status")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                await self._report(ready=True)
            except TargetError as error:
                log.warning("heartbeat: %s", error.message)

    # The pods.

    def _changed(self, change: str, obj: Obj) -> None:
        del change, obj
        self._wake.set()

    async def _step(self) -> float | None:
        pods = {
            pod["metadata"]["uid"]: pod
            for pod in self._pods.objects.values()
            if pod["spec"].get("nodeName", NODE_NAME) in self._settings.node_names
        }
        for uid, (worker, _, _) in list(self._workers.items()):
            if uid in pods:
                self._follow(worker, pods[uid])
            else:
                self._bereaved.add(owner_uid(worker.pod))
                worker.kill()
        for uid, pod in pods.items():
            if uid in self._workers:
                continue
            if is_terminating(pod):
                self._later(self._delete(pod))
            elif is_active(pod) and (node := pod["spec"].get("nodeName") or self._free_node(pod)):
                self._take(pod, node)
        return None

    def _free_node(self, pod: Obj) -> str | None:
        """The node for a new pod; None when no node takes pods."""
        nodes = self._nodes.objects
        free = [
            name
            for name in self._settings.node_names
            if not (nodes.get(("", name), {}).get("spec") or {}).get("unschedulable")
        ]
        placed = [(node, owner_uid(worker.pod)) for worker, _, node in self._workers.values()]
        mine = [node for node, owner in placed if owner == owner_uid(pod)]
        everyone = [node for node, _ in placed]
        return min(free, key=lambda name: (mine.count(name), everyone.count(name)), default=None)

    def _follow(self, worker: PodWorker, pod: Obj) -> None:
        worker.update(pod)
        if is_terminating(pod):
            self._bereaved.add(owner_uid(pod))
            grace_s = pod["metadata"].get("deletionGracePeriodSeconds")
            default_s = self._settings.default_grace_s
            worker.stop(default_s if grace_s is None else float(grace_s))

    def _take(self, pod: Obj, node: str) -> None:
        uid = pod["metadata"]["uid"]
        worker = PodWorker(self._host, pod, self._address(), self._delay_s(pod))
        bind = None if pod["spec"].get("nodeName") else node
        task = asyncio.create_task(self._run(worker, bind=bind))
        self._workers[uid] = (worker, task, node)
        task.add_done_callback(lambda _: self._ended(uid))

    def _delay_s(self, pod: Obj) -> float:
        """Seconds until a pod's process is started: none for the pods of the first boot.

        That is the first burst of pods, as far as they replace nobody.
        """
        now_s = asyncio.get_running_loop().time()
        if self._last_taken_s is not None and now_s - self._last_taken_s > BURST_GAP_S:
            self._is_booted = True
        self._last_taken_s = now_s
        is_first = not self._is_booted and owner_uid(pod) not in self._bereaved
        return 0.0 if is_first else self._settings.pod_recreation_delay_s

    def _is_running(self, name: str) -> bool:
        """Whether the pod of that name has a process."""
        return any(
            worker.pod["metadata"]["name"] == name and uid in self._host.processes
            for uid, (worker, _, _) in self._workers.items()
        )

    def _address(self) -> str:
        """The next address that no pod has, and that none had since this kubelet started.

        An address is not used again, so that a proxy's old entry never reaches another pod.
        """
        taken = {pod.get("status", {}).get("podIP") for pod in self._pods.objects.values()}
        while True:
            address = self._settings.pod_address(self._next_address)
            self._next_address += 1
            if address not in taken:
                return address

    async def _run(self, worker: PodWorker, *, bind: str | None) -> None:
        namespace, name = key_of(worker.pod)
        try:
            if bind is not None:
                await self._bind(worker.pod, bind)
            await worker.run()
        except TargetError as error:
            log.warning("pod %s/%s: %s", namespace, name, error.message)
        except Exception:
            log.exception("pod %s/%s failed", namespace, name)

    async def _bind(self, pod: Obj, node: str) -> None:
        namespace, name = key_of(pod)
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": pod["metadata"]["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        await self._client.request(
            "POST", self._client.url(PODS, namespace, name, "binding"), body=body
        )
        self._tell(pod, "Scheduled", f"Assigned {namespace}/{name} to {node}", "Normal")

    def _ended(self, uid: str) -> None:
        self._workers.pop(uid, None)
        self._wake.set()

    async def _delete(self, pod: Obj) -> None:
        """Delete a pod that has no process here for good."""
        namespace, name = key_of(pod)
        with contextlib.suppress(ApiError):
            uid = pod["metadata"]["uid"]
            await self._client.delete(PODS, name, namespace, grace_s=0, uid=uid)

    # What nobody waits for.

    def _tell(self, about: Obj, reason: str, message: str, kind: str) -> None:
        self._later(self._client.event(about, reason, message, kind, component="kubelet"))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_quietly(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _shut_down(self) -> None:
        """End every process: SIGTERM, and SIGKILL soon after. The objects stay as they are."""
        tasks = [task for _, task, _ in self._workers.values()]
        for worker, _, _ in list(self._workers.values()):
            worker.abandon(SHUTDOWN_GRACE_S)
        if tasks:
            await asyncio.wait(tasks, timeout=SHUTDOWN_LIMIT_S)
        for task in [*tasks, *self._background]:
            task.cancel()
        await asyncio.gather(*tasks, *self._background, return_exceptions=True)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except TargetError as error:
        log.info("%s", error.message)
