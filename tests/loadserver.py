"""A small HTTP server for tests of load generators: it does what the path says, and counts.

``/wait/<ms>`` answers 200 after so many milliseconds, ``/status/<code>`` with that status,
``/hang`` never, ``/close`` closes the connection without an answer; anything else is 200 at once.
Loopback only, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HANG_S = 60.0


@dataclass(slots=True)
class LoadServer:
    """What the server saw.

    Attributes:
        seen: ``METHOD path`` to requests that arrived in full.
        hosts: Values of the Host header, with their number.
    """

    url: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def stall(self, seconds: float) -> None:
        """Do nothing at all for so long, beginning now: neither read nor answer."""
        self.loop.call_soon_threadsafe(time.sleep, seconds)

    @property
    def total(self) -> int:
        return sum(self.seen.values())


class _Connection(asyncio.Protocol):
    def __init__(self, server: LoadServer) -> None:
        self._server = server
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, rest = self._data.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            pairs = [line.partition(":") for line in lines[1:]]
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                return
            self._data = rest[length:]
            hosts = [value.strip() for name, _, value in pairs if name.lower() == "host"]
            self._answer(lines[0], ",".join(hosts))

    def _answer(self, request_line: str, host: str) -> None:
        method, path, _ = request_line.split(" ")
        self._server.seen[f"{method} {path}"] += 1
        self._server.hosts[host] += 1
        action, _, value = path.strip("/").partition("/")
        status = int(value) if action == "status" else 200
        answer = f"HTTP/1.1 {status} Said\r\nContent-Length: 2\r\n\r\nok".encode()
        match action:
            case "close":
                self._transport.close()
            case "hang":
                asyncio.get_running_loop().call_later(HANG_S, self._write, answer)
            case "wait":
                asyncio.get_running_loop().call_later(int(value) / 1000, self._write, answer)
            case _:
                self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


@contextmanager
def load_server() -> Iterator[LoadServer]:
    """Run a server until the block is left."""
    server = LoadServer()
    loop = server.loop
    listener = loop.run_until_complete(
        loop.create_server(lambda: _Connection(server), "127.0.0.1", 0)
    )
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(listener.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
        loop.close()


def closed_port() -> int:
    """A port of the loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
