"""An HTTP/1.1 server on one asyncio Protocol and httptools: what the pods listen with.

Not a web framework: bodies are small and whole, answers are JSON, one request of a connection is
answered at a time. Idle connections are never closed while the server serves, so that a proxy's
keep-alive always ends first and no request meets a closing connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import httptools

logger = logging.getLogger(__name__)

MAX_BODY: Final = 64 * 1024
MAX_HEADERS: Final = 16 * 1024
MAX_PIPELINED: Final = 16

REASONS: Final = {
    200: "OK",
    201: "Created",
    204: "No Content",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Request(NamedTuple):
    """A whole request; header names are in lower case, and of equal ones the last counts."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool


class Response(NamedTuple):
    """An answer; ``headers`` are added to content type and length."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Request], Awaitable[Response]]


def json_response(status: int, data: Mapping[str, Any], *headers: tuple[str, str]) -> Response:
    """An answer with ``data`` as JSON."""
    return Response(status, json.dumps(data, separators=(",", ":")).encode(), headers)


def render(response: Response, *, keep_alive: bool) -> bytes:
    """The bytes of an answer."""
    lines = [
        f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}",
        "content-type: application/json",
        f"content-length: {len(response.body)}",
        *(f"{name}: {value}" for name, value in response.headers),
    ]
    if not keep_alive:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + response.body


class HttpServer:
    """Listens, answers with one handler, and stops without losing a request.

    Args:
        handler: Called with every whole request. Not cancelled when the client goes away: a worker
            that has begun finishes, as most servers' workers do.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.draining = False
        self.connections: set[Connection] = set()
        self.answered = 0
        self._server: asyncio.Server | None = None

    async def listen(self, address: str, port: int) -> int:
        """Listen; returns the port (that of the system's choice for port 0)."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), address, port, backlog=1024, reuse_address=True
        )
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def busy(self) -> int:
        """Connections with a request that is not answered yet."""
        return sum(connection.busy for connection in self.connections)

    async def drain(self, idle_s: float, timeout_s: float) -> bool:
        """Stop accepting, finish what is in flight, close; True if nothing had to be cut off.

        Connections that are idle stay usable for ``idle_s`` more seconds, because the proxy at the
        other end may just have sent a request; each answer then asks it to close.
        """
        self.draining = True
        if self._server is not None:
            self._server.close()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while loop.time() - begun < timeout_s:
            if not self.connections:
                return True
            if loop.time() - begun >= idle_s:
                for connection in [each for each in self.connections if not each.busy]:
                    connection.close()
            await asyncio.sleep(0.02)
        finished = not self.busy
        for connection in list(self.connections):
            connection.close()
        return finished


class Connection(asyncio.Protocol):
    """One client's connection: parses requests, answers them in order."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._pending: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._header_size = 0
        self._body = b""

    @property
    def busy(self) -> bool:
        """Whether a request is unanswered."""
        return self._task is not None

    def close(self) -> None:
        """Close the connection; what is written already is still sent."""
        if self._transport is not None:
            self._transport.close()

    def _send(self, data: bytes) -> None:
        if self._transport is not None:  # the client may have gone while we worked
            self._transport.write(data)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._pending.clear()
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            # Errors raised by our own callbacks arrive as the context of the parser's.
            status = error.__context__.status if isinstance(error.__context__, _TooBig) else 400
            self._refuse(status)
        except httptools.HttpParserUpgrade:
            self._refuse(400)

    def _refuse(self, status: int) -> None:
        self._send(render(json_response(status, {"error": REASONS[status]}), keep_alive=False))
        self.close()

    # httptools callbacks

    def on_message_begin(self) -> None:
        self._reset()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value))
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def _grow(self, size: int) -> None:
        self._header_size += size
        if self._header_size > MAX_HEADERS:
            raise _TooBig(431)

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > MAX_BODY:
            raise _TooBig(413)

    def on_message_complete(self) -> None:
        path = self._url.partition(b"?")[0].decode("latin-1")
        method = self._parser.get_method().decode("latin-1")
        keep_alive = self._parser.should_keep_alive()
        self._pending.append(Request(method, path, self._headers, self._body, keep_alive))
        if len(self._pending) > MAX_PIPELINED:
            raise _TooBig(400)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer())

    async def _answer(self) -> None:
        try:
            while self._pending and self._transport is not None:
                request = self._pending.popleft()
                try:
                    response = await self._server.handler(request)
                except Exception:
                    logger.exception("the answer to %s %s failed", request.method, request.path)
                    response = json_response(500, {"error": "internal"})
                self._server.answered += 1
                keep_alive = request.keep_alive and not self._server.draining
                self._send(render(response, keep_alive=keep_alive))
                if not keep_alive:
                    self.close()
                    return
        finally:
            self._task = None


class _TooBig(Exception):  # noqa: N818 - a signal to the parser's caller, never seen outside
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
