"""The part that keeps Envoy in step with the API server: watch, translate, move, report."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from runner.errors import TargetError
from runner.targets.sandbox.apiclient import (
    AUTHORIZATIONPOLICIES,
    DESTINATIONRULES,
    ENDPOINTS,
    ENVOYFILTERS,
    GATEWAYS,
    NETWORKPOLICIES,
    PEERAUTHENTICATIONS,
    PODS,
    REQUESTAUTHENTICATIONS,
    SERVICEENTRIES,
    SERVICES,
    SIDECARS,
    VIRTUALSERVICES,
    ApiClient,
    Informer,
    Resource,
)
from runner.targets.sandbox.mesh.envoy import EnvoyProcess
from runner.targets.sandbox.mesh.model import MeshInput, Object, ObjectRef, ref_of
from runner.targets.sandbox.mesh.reporting import MeshReporter
from runner.targets.sandbox.mesh.trials import Trials
from runner.targets.sandbox.mesh.xds import XdsFolder
from runner.targets.sandbox.settings import SandboxSettings

log = logging.getLogger(__name__)

DEBOUNCE_S: Final = 0.005
"""Changes that come together are applied together; one alone waits this long."""
SYNC_LIMIT_S: Final = 30.0
ISTIO_SYNC_LIMIT_S: Final = 3.0
RETRY_S: Final = 1.0

_CORE: Final = {
    "pods": PODS,
    "endpoints": ENDPOINTS,
    "services": SERVICES,
    "network_policies": NETWORKPOLICIES,
}
_ISTIO: Final = {
    "virtual_services": VIRTUALSERVICES,
    "destination_rules": DESTINATIONRULES,
    "gateways": GATEWAYS,
    "envoy_filters": ENVOYFILTERS,
}
_NOT_HONOURED: Final = (
    SERVICEENTRIES,
    SIDECARS,
    PEERAUTHENTICATIONS,
    AUTHORIZATIONPOLICIES,
    REQUESTAUTHENTICATIONS,
)


async def run_mesh(
    client: ApiClient,
    settings: SandboxSettings,
    envoy: EnvoyProcess,
    *,
    sync_limit_s: float = SYNC_LIMIT_S,
) -> None:
    """Keep ``envoy`` (started already) in step with the API server until cancelled.

    Args:
        client: The client to watch and to write Events with.
        settings: Folders and ports.
        envoy: The process; its end is not noticed here but by who started it.
        sync_limit_s: How long the first lists may take.

    Raises:
        TargetError: When Envoy does not get ready, or pods, services, endpoints and
            NetworkPolicies cannot be listed at all. Later trouble with either is logged and tried
            again.
    """
    await envoy.wait_ready()
    await _Controller(client, settings, envoy).run(sync_limit_s)


class _Controller:
    def __init__(self, client: ApiClient, settings: SandboxSettings, envoy: EnvoyProcess) -> None:
        self._dirty = asyncio.Event()
        self._trials = Trials(XdsFolder(settings, envoy), settings)
        self._reporter = MeshReporter(client, settings)

        def watched(resource: Resource, namespace: str | None = None) -> Informer:
            return Informer(client, resource, namespace, self._on_change)

        # Only pods of the sandbox have addresses on this machine; routes may stand anywhere.
        self._core = {name: watched(res, settings.namespace) for name, res in _CORE.items()}
        self._istio = {name: watched(res) for name, res in _ISTIO.items()}
        self._others = [(res, watched(res)) for res in _NOT_HONOURED]

    def _on_change(self, _change: str, _obj: dict[str, Any]) -> None:
        self._dirty.set()

    async def run(self, sync_limit_s: float) -> None:
        informers = [
            *self._core.values(),
            *self._istio.values(),
            *(informer for _, informer in self._others),
        ]
        tasks = [asyncio.create_task(informer.run()) for informer in informers]
        tasks.append(asyncio.create_task(self._reporter.run()))
        tasks.append(asyncio.create_task(self._start(sync_limit_s)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _start(self, sync_limit_s: float) -> None:
        await asyncio.gather(*(item.synced(sync_limit_s) for item in self._core.values()))
        await self._sync_istio()
        self._dirty.set()
        await self._follow()

    async def _sync_istio(self) -> None:
        """Wait for Istio's kinds; an API server that does not have them is no reason to stop."""
        waits = [informer.synced(ISTIO_SYNC_LIMIT_S) for informer in self._istio.values()]
        for answer in await asyncio.gather(*waits, return_exceptions=True):
            if isinstance(answer, TargetError):
                log.warning("%s", answer.message)
            elif isinstance(answer, BaseException):
                raise answer

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S if self._trials.in_trouble else None):
                    await self._dirty.wait()
            await asyncio.sleep(DEBOUNCE_S)
            self._dirty.clear()
            objects = self._objects()
            try:
                config = await self._trials.bring(objects)
            except TargetError as error:
                log.warning("the mesh is not up to date: %s", error.message)
                await asyncio.sleep(RETRY_S)
                self._dirty.set()
                continue
            self._reporter.update(config.unsupported, self._trials.rejected, _by_ref(objects))

    def _objects(self) -> MeshInput:
        core = {name: tuple(inf.objects.values()) for name, inf in self._core.items()}
        istio = {
            name: tuple(_with_kind(obj, _ISTIO[name]) for obj in informer.objects.values())
            for name, informer in self._istio.items()
        }
        return MeshInput(
            pods=core["pods"],
            endpoints=core["endpoints"],
            services=core["services"],
            network_policies=tuple(
                _with_kind(obj, NETWORKPOLICIES) for obj in core["network_policies"]
            ),
            virtual_services=istio["virtual_services"],
            destination_rules=istio["destination_rules"],
            gateways=istio["gateways"],
            envoy_filters=istio["envoy_filters"],
            others=tuple(
                _with_kind(obj, resource)
                for resource, informer in self._others
                for obj in informer.objects.values()
            ),
        )


def _with_kind(obj: Object, resource: Resource) -> Object:
    """An object with its kind: items of a list may come without it."""
    if obj.get("kind"):
        return obj
    return {**obj, "kind": resource.kind, "apiVersion": resource.api_version}


def _by_ref(objects: MeshInput) -> dict[ObjectRef, Object]:
    named = (
        *objects.virtual_services,
        *objects.destination_rules,
        *objects.gateways,
        *objects.envoy_filters,
        *objects.network_policies,
        *objects.others,
    )
    return {ref_of(obj): obj for obj in named}
