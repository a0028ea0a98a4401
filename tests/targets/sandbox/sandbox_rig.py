"""What the tests of the whole sandbox ask, from the outside, as a user or a run would."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from runner.targets.sandbox.allocation import is_free
from runner.targets.sandbox.apiclient import NODES, PODS, ApiClient, Obj, Resource
from runner.targets.sandbox.control import SandboxInfo
from runner.targets.sandbox.state import start_mark

T = TypeVar("T")


def get(url: str, path: str, host: str = "api.c4ang.com", method: str = "GET") -> tuple[int, str]:
    """Status and body of one request to 127.0.0.1, past any proxy setting."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def query(info: SandboxInfo, expression: str) -> list[dict[str, Any]]:
    status, body = get(
        info.prometheus_url, "/api/v1/query?" + urlencode({"query": expression}), "127.0.0.1"
    )
    assert status == 200, body
    result: list[dict[str, Any]] = json.loads(body)["data"]["result"]
    return result


def until(ask: Callable[[], T], good: Callable[[T], object], limit_s: float = 15.0) -> T:
    """Ask until the answer is good, at most ``limit_s`` seconds; the last answer."""
    deadline = time.monotonic() + limit_s
    while not good(answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


def objects(kubeconfig: Path, resource: Resource, namespace: str | None = None) -> list[Obj]:
    async def read() -> list[Obj]:
        async with ApiClient.from_kubeconfig(kubeconfig) as client:
            return (await client.list(resource, namespace))[0]

    return asyncio.run(read())


def put_node(kubeconfig: Path, name: str) -> None:
    async def put() -> None:
        async with ApiClient.from_kubeconfig(kubeconfig) as client:
            await client.create(NODES, {"metadata": {"name": name}})

    asyncio.run(put())


def pods(info: SandboxInfo) -> list[Obj]:
    return objects(info.kubeconfig, PODS, info.namespace)


def processes(info: SandboxInfo) -> dict[int, str]:
    """The live processes of a sandbox with their marks."""
    marks = {pid: start_mark(pid) for pid in info.pids.values()}
    return {pid: mark for pid, mark in marks.items() if mark is not None}


def still_there(marks: dict[int, str]) -> list[int]:
    return [pid for pid, mark in marks.items() if start_mark(pid) == mark]


def taken_ports(info: SandboxInfo) -> list[str]:
    return [name for name, port in info.ports.items() if not is_free("127.0.0.1", port)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
