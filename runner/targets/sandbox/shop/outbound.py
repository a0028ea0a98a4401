"""The pods' HTTP client: calls through the pod's own outbound proxy, over kept-alive connections.

The proxy is one address for all destinations; the ``host`` header names the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

import httptools

MAX_IDLE: Final = 32


class CallFailedError(Exception):
    """The proxy could not be reached, or closed the connection without an answer."""


class CallTimeoutError(Exception):
    """No answer within the time."""


class Answer(NamedTuple):
    status: int
    body: bytes


class _Caller(asyncio.Protocol):
    """One connection to the proxy; carries one call at a time."""

    def __init__(self, idle: list[_Caller]) -> None:
        self._idle = idle
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Answer] | None = None
        self._body = b""

    def send(self, data: bytes) -> asyncio.Future[Answer]:
        self._waiting = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        if self._transport is None:
            self._waiting.set_exception(CallFailedError("the connection was lost"))
        else:
            self._transport.write(data)
        return self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self in self._idle:
            self._idle.remove(self)
        if self._waiting is not None and not self._waiting.done():
            reason = f"the connection was lost: {exc or 'closed'}"
            self._waiting.set_exception(CallFailedError(reason))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_exception(CallFailedError(f"not HTTP: {error}"))
            self.close()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._waiting is None or self._waiting.done():
            self.close()
            return
        self._waiting.set_result(Answer(self._parser.get_status_code(), self._body))
        if self._parser.should_keep_alive() and len(self._idle) < MAX_IDLE:
            self._idle.append(self)
        else:
            self.close()


class Outbound:
    """Calls through one proxy.

    Args:
        address: The proxy's address.
        port: The proxy's port.
        timeout_s: Bound of every call, connecting included.
    """

    def __init__(self, address: str, port: int, timeout_s: float) -> None:
        self._address = address
        self._port = port
        self._timeout_s = timeout_s
        self._idle: list[_Caller] = []

    async def call(
        self, method: str, host: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Send one request and return its answer, whatever its status.

        Raises:
            CallFailedError: No connection, or no whole answer on it.
            CallTimeoutError: No answer within ``timeout_s``.
        """
        lines = [
            f"{method} {path} HTTP/1.1",
            f"host: {host}",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        data = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
        caller: _Caller | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._idle:
                    caller = self._idle.pop()
                    try:
                        return await caller.send(data)
                    except CallFailedError:
                        # The proxy closed an idle connection in the same moment. Every call of the
                        # shop is idempotent, so a fresh connection is no risk and no retry.
                        caller = None
                caller = await self._connect()
                return await caller.send(data)
        except TimeoutError as error:
            if caller is not None:
                caller.close()
            raise CallTimeoutError(f"{host} gave no answer in {self._timeout_s} s") from error

    async def _connect(self) -> _Caller:
        loop = asyncio.get_running_loop()
        try:
            _, caller = await loop.create_connection(
                lambda: _Caller(self._idle), self._address, self._port
            )
        except OSError as error:
            raise CallFailedError(f"the outbound proxy refused: {error}") from error
        return caller

    def close(self) -> None:
        """Close the connections that are kept for later."""
        for caller in list(self._idle):
            caller.close()
