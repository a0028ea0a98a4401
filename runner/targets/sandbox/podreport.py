"""What the kubelet tells the API server about one pod: its status, and in the end its deletion."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runner.errors import TargetError
from runner.targets.sandbox.apiclient import PODS, ApiClient, ApiError, Obj, key_of
from runner.targets.sandbox.podprocess import PodProcesses
from runner.targets.sandbox.podstatus import BackOff, ContainerFacts, pod_status
from runner.targets.sandbox.programs import PROXY_IMAGE
from runner.targets.sandbox.settings import SandboxSettings

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Host:
    """What every pod of a kubelet shares."""

    client: ApiClient
    settings: SandboxSettings
    processes: PodProcesses
    back_off: BackOff
    # (about, reason, message, kind): records an event without making the caller wait.
    tell: Callable[[Obj, str, str, str], None]

    def log_of(self, pod: str, *, previous: bool = False) -> Path:
        """The log file of a pod's process, or of the one before it."""
        return self.settings.logs / "pods" / f"{pod}{'.previous' if previous else ''}.log"


class PodReport:
    """Writes a pod's status whenever its facts have changed.

    Attributes:
        facts: What is known of each container; call :meth:`publish` after a change.
    """

    def __init__(self, client: ApiClient, pod: Obj, address: str) -> None:
        self.facts = [_first_facts(pod, each) for each in pod["spec"].get("containers") or ()]
        self._client = client
        self._pod = pod
        self._address = address
        self._since_s = time.time()
        self._dirty = asyncio.Event()
        self._dirty.set()

    def publish(self) -> None:
        """Have the status written soon."""
        self._dirty.set()

    async def run(self) -> None:
        """Write the status now and after every change; until cancelled, or the object is gone."""
        namespace, name = key_of(self._pod)
        written: dict[str, Any] = {}
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            status = pod_status(
                {"status": written or self._pod.get("status") or {}},
                self.facts,
                address=self._address,
                started_s=self._since_s,
                now_s=time.time(),
            )
            if status == written:
                continue
            try:
                await self._client.patch(
                    PODS, name, namespace, {"status": status}, subresource="status"
                )
            except TargetError as error:
                if isinstance(error, ApiError) and error.status == NOT_FOUND:
                    return
                log.warning("status of pod %s/%s: %s", namespace, name, error.message)
                await asyncio.sleep(RETRY_S)
                self._dirty.set()
                continue
            written = status

    async def delete(self) -> None:
        """Delete the object for good, because its process is gone."""
        namespace, name = key_of(self._pod)
        uid = self._pod["metadata"]["uid"]
        while True:
            try:
                await self._client.delete(PODS, name, namespace, grace_s=0, uid=uid)
            except ApiError as error:
                log.debug("deletion of pod %s/%s: %s", namespace, name, error.message)
            except TargetError as error:
                log.warning("deletion of pod %s/%s: %s", namespace, name, error.message)
                await asyncio.sleep(RETRY_S)
                continue
            return


def _first_facts(pod: Obj, container: Obj) -> ContainerFacts:
    """A new container; one that an earlier kubelet ran has been restarted since."""
    facts = ContainerFacts(str(container.get("name", "")), str(container.get("image", "")))
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status.get("name") == facts.name and facts.image != PROXY_IMAGE:
            ran = "running" in (status.get("state") or {}) or status.get("lastState")
            facts.restarts = int(status.get("restartCount", 0)) + (1 if ran else 0)
    return facts
