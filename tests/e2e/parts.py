"""Parts of experiments, and a look at what faults change."""

from __future__ import annotations

import asyncio
from typing import Any

from commands import SHOP

from runner.targets.sandbox.apiclient import VIRTUALSERVICES, ApiClient
from runner.targets.sandbox.control import SandboxInfo

ABORT = "01-http-abort"
OBJECTIVES = ["errors < 90%"]


def load(seconds: int, locustfile: str = SHOP) -> dict[str, object]:
    return {"locustfile": locustfile, "stages": [{"duration": f"{seconds}s", "users": 20}]}


def abort(service: str, at: int, duration: int, **more: object) -> dict[str, object]:
    when = {"at": f"{at}s", "duration": f"{duration}s"}
    return {"kind": "http-abort", "service": service, "status": 503, **when, **more}


def routes(info: SandboxInfo) -> list[tuple[str, Any, Any]]:
    """Name, spec and annotations of each VirtualService of a sandbox now."""

    async def ask() -> list[dict[str, Any]]:
        client = ApiClient.from_kubeconfig(info.kubeconfig)
        try:
            items, _ = await client.list(VIRTUALSERVICES, info.namespace)
        finally:
            await client.close()
        return items

    found = asyncio.run(ask())
    return sorted((o["metadata"]["name"], o["spec"], _notes(o)) for o in found)


def _notes(obj: dict[str, Any]) -> Any:
    return obj["metadata"].get("annotations")
