"""The kubelet's log endpoint: what ``kubectl logs`` is given, read from the pods' log files.

The API server passes requests on to it. It listens on 127.0.0.1 only and asks for the same bearer
token as the API server.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final

from aiohttp import web

from runner.errors import TargetError
from runner.targets.sandbox.podreport import Host
from runner.targets.sandbox.pods import seconds_of
from runner.targets.sandbox.programs import PROXY_CONTAINER

FOLLOW_S: Final = 0.2
MAX_BYTES: Final = 16 * 2**20
_TIMESTAMP: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SHARED: Final = b"One Envoy serves all pods of this sandbox; its log is not divided by pod.\n"


def select_lines(text: bytes, query: Mapping[str, str], now_s: float) -> bytes:
    """The part of a log that ``sinceSeconds``, ``sinceTime``, ``tailLines`` and ``limitBytes`` ask.

    A line without a time of its own belongs to the line before it.

    Raises:
        ValueError: A parameter that is no number or time.
    """
    lines = text.splitlines(keepends=True)
    since_s = 0.0
    if "sinceSeconds" in query:
        since_s = now_s - float(query["sinceSeconds"])
    elif "sinceTime" in query:
        since_s = seconds_of(query["sinceTime"])
    if since_s > 0.0:
        lines = _since(lines, since_s)
    if "tailLines" in query:
        count = int(query["tailLines"])
        lines = lines[-count:] if count > 0 else []
    chosen = b"".join(lines)
    return chosen[: int(query["limitBytes"])] if "limitBytes" in query else chosen


def _since(lines: list[bytes], since_s: float) -> list[bytes]:
    for index, line in enumerate(lines):
        found = _TIMESTAMP.match(line)
        if found and seconds_of(found.group().decode()) >= since_s:
            return lines[index:]
    return []


class LogServer:
    """Serves ``GET /containerLogs/{namespace}/{pod}/{container}``.

    Args:
        host: Knows where the log files are.
        token: The bearer token to ask for.
        is_running: Whether the pod of that name has a process; a log is followed while it has.
    """

    def __init__(self, host: Host, token: str, is_running: Callable[[str], bool]) -> None:
        self._host = host
        self._token = token
        self._is_running = is_running
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        """Listen on 127.0.0.1.

        Raises:
            TargetError: The port is taken.
        """
        app = web.Application()
        app.router.add_get("/healthz", _healthy)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", port).start()
        except OSError as error:
            raise TargetError(f"the kubelet cannot listen on 127.0.0.1:{port}: {error}") from error

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _is_allowed(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode()
        return bool(self._token) and hmac.compare_digest(given, f"Bearer {self._token}".encode())

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if not self._is_allowed(request):
            return web.Response(status=401, text="the bearer token is missing or wrong\n")
        pod, container = request.match_info["pod"], request.match_info["container"]
        if not _NAME.fullmatch(pod):
            return web.Response(status=400, text="not the name of a pod\n")
        if container == PROXY_CONTAINER:
            return web.Response(body=_SHARED, content_type="text/plain")
        query = request.query
        path = self._host.log_of(pod, previous=_is_true(query.get("previous")))
        if not path.exists():
            text = f"container {container} of pod {pod} has no such log\n"
            return web.Response(status=400, text=text)
        with path.open("rb") as file:
            try:
                chosen = select_lines(_read(file), query, time.time())
            except ValueError as error:
                return web.Response(status=400, text=f"{error}\n")
            if not _is_true(query.get("follow")):
                return web.Response(body=chosen, content_type="text/plain")
            return await self._follow(request, pod, file, chosen)

    async def _follow(
        self, request: web.Request, pod: str, file: BinaryIO, first: bytes
    ) -> web.StreamResponse:
        """Send what is added until the client leaves, or the process that writes it is gone."""
        path = self._host.log_of(pod)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(first)
        own = os.fstat(file.fileno()).st_ino
        while request.transport is not None and not request.transport.is_closing():
            # Asked before reading, so that the last words of a process are still sent.
            goes_on = self._is_running(pod) and path.exists() and path.stat().st_ino == own
            if added := file.read(64 * 1024):
                await response.write(added)
            elif not goes_on:
                break
            else:
                await asyncio.sleep(FOLLOW_S)
        await response.write_eof()
        return response


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _read(file: BinaryIO) -> bytes:
    """The file, or its last 16 MiB."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - MAX_BYTES, 0))
    return file.read()


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("1", "true")
