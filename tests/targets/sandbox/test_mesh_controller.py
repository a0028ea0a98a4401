"""The mesh controller with the embedded API server and the real Envoy: objects in, effects out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mesh_rig import (
    MeshRig,
    Obj,
    destination_rule,
    gateway,
    inbound_fault,
    obj,
    to,
    virtual_service,
)

from runner.errors import TargetError
from runner.targets.sandbox.apiclient import (
    DESTINATIONRULES,
    ENDPOINTS,
    ENVOYFILTERS,
    EVENTS,
    GATEWAYS,
    NAMESPACES,
    PEERAUTHENTICATIONS,
    PODS,
    SERVICES,
    VIRTUALSERVICES,
    ApiClient,
)
from runner.targets.sandbox.apiserver.serving import serve
from runner.targets.sandbox.mesh.controller import run_mesh
from runner.targets.sandbox.state import MESH_STATUS_FILE

KINDS = {
    "VirtualService": VIRTUALSERVICES,
    "DestinationRule": DESTINATIONRULES,
    "Gateway": GATEWAYS,
    "EnvoyFilter": ENVOYFILTERS,
    "PeerAuthentication": PEERAUTHENTICATIONS,
}


class ControlledMesh:
    """A rig whose objects go through an API server."""

    def __init__(self, rig: MeshRig, client: ApiClient) -> None:
        self.rig = rig
        self.client = client

    async def create(self, item: Obj) -> Obj:
        body = {**item, "metadata": {**item["metadata"]}}
        for name in ("creationTimestamp", "generation"):
            body["metadata"].pop(name)
        if item["kind"] == "EnvoyFilter":
            body["apiVersion"] = ENVOYFILTERS.api_version
        return await self.client.create(KINDS[item["kind"]], body)

    async def workloads(self) -> None:
        """Create the rig's pods, services and endpoints."""
        given = self.rig.objects()
        for pod in given.pods:
            body = {**pod, "spec": {"containers": [{"name": "app", "image": "test"}]}}
            status = body.pop("status")
            body["metadata"] = {
                name: pod["metadata"][name] for name in ("name", "namespace", "labels")
            }
            await self.client.create(PODS, body)
            name = pod["metadata"]["name"]
            await self.client.patch(
                PODS, name, "ecommerce", {"status": status}, subresource="status"
            )
        for service in given.services:
            await self.client.create(SERVICES, dict(service))
        for endpoints in given.endpoints:
            body = {key: value for key, value in endpoints.items() if key != "spec"}
            await self.client.create(ENDPOINTS, body)

    async def events(self, reason: str) -> list[tuple[str, str]]:
        """Kind and message of the events with this reason."""
        items, _ = await self.client.list(EVENTS, "ecommerce")
        return [
            (item["involvedObject"]["kind"], item["message"])
            for item in items
            if item["reason"] == reason and item["type"] == "Warning"
        ]

    def status(self) -> Any:
        file = self.rig.settings.home / MESH_STATUS_FILE
        return json.loads(file.read_text()) if file.exists() else {}

    async def until_status(self, path: str, status: int) -> None:
        async def look() -> bool:
            with contextlib.suppress(OSError):
                return (await self.rig.get(path)).status == status
            return False

        await self.rig.until(look)


@contextlib.asynccontextmanager
async def controlled(home: Path) -> AsyncIterator[ControlledMesh]:
    async with asyncio.timeout(30), MeshRig(home) as rig:
        server = await serve(home, rig.settings.api_port, "token-of-a-test")
        client = ApiClient.from_kubeconfig(home / "kubeconfig", component="mesh")
        part = asyncio.create_task(run_mesh(client, rig.settings, rig.envoy))
        try:
            namespace = {"metadata": {"name": "ecommerce"}}
            await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", **namespace})
            yield ControlledMesh(rig, client)
        finally:
            part.cancel()
            await asyncio.gather(part, return_exceptions=True)
            await client.close()
            await server.close()


def with_mesh(
    scenario: Callable[[ControlledMesh], Awaitable[None]],
) -> Callable[[Path], None]:
    """A test that gives the scenario an API server, a controller and an Envoy."""

    async def run(home: Path) -> None:
        async with controlled(home) as mesh:
            await scenario(mesh)

    def test(tmp_path: Path) -> None:
        asyncio.run(run(tmp_path))

    test.__doc__ = scenario.__doc__
    test.__name__ = scenario.__name__
    marked: Callable[[Path], None] = pytest.mark.sandbox(test)
    return marked


@with_mesh
async def test_objects_take_effect_and_lose_it(mesh: ControlledMesh) -> None:
    """Create a shop step by step; then a fault of 100 %, which a delete takes away again."""
    await mesh.rig.service("shop")
    await mesh.workloads()
    await mesh.create(gateway())
    await mesh.create(virtual_service("shop", [{"route": [to("shop")]}]))
    await mesh.until_status("/", 200)

    copied = {"name": "seatrial-2026-01-02t030405z-abcd-01-abort-1", "route": [to("shop")]}
    await mesh.create(virtual_service("marked", [copied]))

    async def marked() -> bool:
        return bool(mesh.status()["faults"])

    await mesh.rig.until(marked)
    (mark,) = mesh.status()["faults"]
    assert (mark["subject"], mark["fault"]) == ("virtualservice/marked", "01-abort")
    assert mark["run"] == "2026-01-02T030405Z-abcd"
    await mesh.client.delete(VIRTUALSERVICES, "marked", "ecommerce")

    fault = {"abort": {"http_status": 555, "percentage": {"numerator": 100}}}
    await mesh.create(inbound_fault("f", {"app": "shop"}, fault))
    await mesh.until_status("/", 555)
    await mesh.client.delete(ENVOYFILTERS, "f", "ecommerce")
    await mesh.until_status("/", 200)
    await mesh.client.delete(VIRTUALSERVICES, "shop", "ecommerce")
    await mesh.until_status("/", 404)
    assert mesh.status() == {"faults": [], "rejected": [], "unsupported": []}


@with_mesh
async def test_unhonoured_fields_are_told_on_the_object_and_in_the_status(
    mesh: ControlledMesh,
) -> None:
    """A mirror, a field nobody knows, and a whole kind: an event each, once, and the status."""
    await mesh.rig.service("shop")
    await mesh.workloads()
    await mesh.create(gateway())
    http = [{"route": [to("shop")], "mirror": {"host": "shop"}, "timeuot": "5s"}]
    await mesh.create(virtual_service("shop", http))
    await mesh.create(
        obj("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}})
        | {"apiVersion": PEERAUTHENTICATIONS.api_version}
    )

    async def told() -> bool:
        return len(await mesh.events("FieldNotHonoured")) == 2

    await mesh.rig.until(told)
    # what has been said is not said again for a change elsewhere
    await mesh.create(destination_rule("shop"))
    await asyncio.sleep(0.5)
    found = dict(await mesh.events("FieldNotHonoured"))
    assert "spec.http[0].mirror" in found["VirtualService"]
    assert "spec.http[0].timeuot" in found["VirtualService"]
    assert "spec: the sandbox does not honour any" in found["PeerAuthentication"]
    assert await told()
    assert [(item["kind"], item["path"]) for item in mesh.status()["unsupported"]] == [
        ("PeerAuthentication", "spec"),
        ("VirtualService", "spec.http[0].mirror"),
        ("VirtualService", "spec.http[0].timeuot"),
    ]


@with_mesh
async def test_rejection_is_told_on_the_object_and_in_the_status(mesh: ControlledMesh) -> None:
    """A bad regular expression: event and status name it until it is corrected."""
    await mesh.rig.service("shop")
    await mesh.workloads()
    await mesh.create(gateway())
    bad = [{"match": [{"uri": {"regex": "("}}], "route": [to("shop")]}]
    await mesh.create(virtual_service("shop", bad))

    async def told() -> bool:
        return bool(await mesh.events("RejectedByEnvoy"))

    await mesh.rig.until(told)
    ((kind, message),) = await mesh.events("RejectedByEnvoy")
    assert kind == "VirtualService"
    assert "missing )" in message
    (rejected,) = mesh.status()["rejected"]
    assert (rejected["kind"], rejected["name"]) == ("VirtualService", "shop")

    change = {"spec": {"http": [{"route": [to("shop")]}]}}
    await mesh.client.patch(VIRTUALSERVICES, "shop", "ecommerce", change)
    await mesh.until_status("/", 200)

    async def forgotten() -> bool:
        return bool(mesh.status()["rejected"] == [])

    await mesh.rig.until(forgotten)


@with_mesh
async def test_every_change_takes_effect(mesh: ControlledMesh) -> None:
    """Patch a fault on and off ten times; each change must show before the next is made."""
    await mesh.rig.service("shop")
    await mesh.workloads()
    await mesh.create(gateway())
    await mesh.create(virtual_service("shop", [{"route": [to("shop")]}]))
    fault = {"abort": {"httpStatus": 555, "percentage": {"value": 100}}}
    for turn in range(10):
        route: Obj = {"route": [to("shop")]} | ({} if turn % 2 else {"fault": fault})
        change = {"spec": {"http": [route]}}
        await mesh.client.patch(VIRTUALSERVICES, "shop", "ecommerce", change)
        await mesh.until_status("/", 200 if turn % 2 else 555)


@pytest.mark.sandbox
def test_without_an_api_server_the_part_says_so(tmp_path: Path) -> None:
    """Nobody listens where the kubeconfig points: an error, not a hang."""

    async def run() -> None:
        async with asyncio.timeout(20), MeshRig(tmp_path) as rig:
            server = await serve(tmp_path, rig.settings.api_port, "token")
            await server.close()
            client = ApiClient.from_kubeconfig(tmp_path / "kubeconfig")
            try:
                await run_mesh(client, rig.settings, rig.envoy, sync_limit_s=0.3)
            finally:
                await client.close()

    with pytest.raises(TargetError, match=r"within 0\.3 s"):
        asyncio.run(run())
