"""Servers for tests of the fast client: one that does as it is told, one that follows a script.

Both use real sockets on the loopback, in threads; nothing of them is shared with the client. Import
this module before anything of Locust: Locust would otherwise patch the whole process of the tests.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

_before = os.environ.get("LOCUST_SKIP_MONKEY_PATCH")
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
try:
    from locust import task
    from locust.contrib.fasthttp import FastHttpSession
    from locust.env import Environment
    from locust.event import EventHook
    from locust.exception import LocustError, StopTest
finally:
    if _before is None:
        del os.environ["LOCUST_SKIP_MONKEY_PATCH"]
    else:
        os.environ["LOCUST_SKIP_MONKEY_PATCH"] = _before

from runner.load.outcomes import classify  # noqa: E402 - after Locust
from runner.load.swift import ConnectionPool, SwiftHttpSession  # noqa: E402

__all__ = ["Environment", "LocustError", "StopTest", "task"]
"""What else tests need of Locust."""

PATIENCE_S = 5.0
_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
OWN_NAME = re.compile(r"User-Agent: (python/gevent-http-client|seatrial)", re.IGNORECASE)
_CHUNKED = re.compile(rb"^transfer-encoding:.*chunked", re.IGNORECASE | re.MULTILINE)


def listen(hook: Any, events: list[dict[str, Any]]) -> None:
    """Keep what an event fires."""
    hook.add_listener(lambda **kwargs: events.append(kwargs))


@dataclass
class Reports:
    """What a client has fired."""

    events: list[dict[str, Any]] = field(default_factory=list)
    hook: EventHook = field(default_factory=EventHook)

    def __post_init__(self) -> None:
        listen(self.hook, self.events)

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1]

    @property
    def outcome(self) -> str:
        return classify(self.last["exception"], self.last["response"])[0]


def swift(url: str | None, **kwargs: Any) -> tuple[SwiftHttpSession, Reports]:
    """A fast client; keywords go to its pool if they are the pool's."""
    reports = Reports()
    of_pool = {
        name: kwargs.pop(name)
        for name in (
            "connection_timeout_s",
            "network_timeout_s",
            "request_timeout_s",
            "concurrency",
            "tls",
        )
        if name in kwargs
    }
    pool = ConnectionPool(**{"network_timeout_s": PATIENCE_S, **of_pool})
    return SwiftHttpSession(url, reports.hook, pool=pool, **kwargs), reports


def fast(url: str | None, **kwargs: Any) -> tuple[FastHttpSession, Reports]:
    """Locust's own client, with the settings of its user class."""
    reports = Reports()
    settings = {"network_timeout": PATIENCE_S, "max_retries": 0, "max_redirects": 30, **kwargs}
    return FastHttpSession(url, reports.hook, None, **settings), reports


@dataclass
class Peer:
    """A listening server.

    Attributes:
        received: Per connection, all the bytes that came.
    """

    port: int
    received: list[bytes] = field(default_factory=list, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[int]:
        """Requests without a body per connection."""
        return [data.count(b"\r\n\r\n") for data in self.received]


@dataclass
class Line:
    """One connection, seen by the server."""

    sock: Any
    peer: Peer
    number: int
    rest: bytes = b""

    def read(self) -> bytes:
        """More bytes of the client; empty when it has closed."""
        try:
            data: bytes = self.sock.recv(65536)
        except OSError:
            data = b""
        self.peer.received[self.number] += data
        return data

    def request(self) -> tuple[bytes, bytes] | None:
        """Head and body of the next request; None when the client has closed."""
        data = self.rest
        while b"\r\n\r\n" not in data:
            more = self.read()
            if not more:
                return None
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        if _CHUNKED.search(head):
            body = b""
            while True:
                while b"\r\n" not in data:
                    data += self.read()
                size, _, data = data.partition(b"\r\n")
                while len(data) < int(size, 16) + 2:
                    data += self.read()
                body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
                if int(size, 16) == 0:
                    break
        else:
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            while len(data) < length:
                more = self.read()
                if not more:
                    return None
                data += more
            body, data = data[:length], data[length:]
        self.rest = data
        return head, body

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            self.sock.sendall(data)

    def reset(self) -> None:
        """Hang up so that the client gets a reset, not an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@contextmanager
def serving(
    handle: Callable[[Line], None], tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[Peer]:
    """Listen, and let ``handle`` speak on every connection, each in a thread of its own."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    peer = Peer(listener.getsockname()[1])
    threads: list[threading.Thread] = []
    open_socks: list[Any] = []

    def one(sock: Any, number: int) -> None:
        try:
            if tls is not None:
                sock = tls.wrap_socket(sock, server_side=True)
            sock.settimeout(PATIENCE_S)
            open_socks.append(sock)
            handle(Line(sock, peer, number))
        except OSError:
            pass
        finally:
            sock.close()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.received.append(b"")
            thread = threading.Thread(target=one, args=(sock, len(peer.received) - 1), daemon=True)
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield peer
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(PATIENCE_S)
        for sock in open_socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE_S)


REQUEST = object()
"""A step of a script: wait for a whole request."""

RESET = object()
"""A step of a script: hang up with a reset."""

HOLD = object()
"""A step of a script: wait until the client hangs up."""

Step = bytes | float | object


def scripted(*connections: Sequence[Step], tls: ssl.SSLContext | None = None) -> Any:
    """A server that plays one script per connection, and closes at its end.

    A step is bytes to send, a float of seconds to wait, :data:`REQUEST` or :data:`RESET`. Further
    connections are closed at once.
    """

    def handle(line: Line) -> None:
        steps = connections[line.number] if line.number < len(connections) else ()
        for step in steps:
            if step is REQUEST:
                if line.request() is None:
                    return
            elif step is RESET:
                line.reset()
                return
            elif step is HOLD:
                while line.read():
                    pass
            elif isinstance(step, float):
                time.sleep(step)
            else:
                assert isinstance(step, bytes)
                line.send(step)

    return serving(handle, tls)


def answer(body: bytes = b"", status: str = "200 OK", **fields: str) -> bytes:
    """An ordinary answer; underscores in names of fields become dashes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def echo_server() -> Any:
    """A server that tells what it was asked, and can do what the first part of a path says.

    ``/status/<n>``, ``/redirect/<n>/<location>`` (``~`` for ``/``), ``/loop``, ``/cookies/<hex>``,
    ``/packed/<encoding>``, ``/chunked``, ``/until-close``, ``/close`` (after an answer),
    ``/double`` (two fields of a name), ``/text/<charset>``. Everything else is echoed as JSON, but
    for the name that a client gives itself.
    """

    def handle(line: Line) -> None:
        while (request := line.request()) is not None:
            head, body = request
            start, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = start.split(" ")
            fields = [each.split(": ", 1) for each in lines if not OWN_NAME.match(each)]
            told = {
                "method": method,
                "target": target,
                "fields": sorted(fields, key=lambda field: field[0].lower()),
                "body": body.decode("latin-1"),
            }
            data, goes_on = _do(target.partition("?")[0], json.dumps(told).encode())
            if method == "HEAD":
                data = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            line.send(data)
            if not goes_on:
                return

    return serving(handle)


def cookies(*values: str) -> str:
    """A path of the echo server that sets cookies."""
    return "/cookies/" + "\r\n".join(f"Set-Cookie: {value}" for value in values).encode().hex()


def _do(path: str, told: bytes) -> tuple[bytes, bool]:  # noqa: C901, PLR0911 - a table
    action, _, rest = path.removeprefix("/base/v1")[1:].partition("/")
    match action:
        case "status":
            bodiless = rest in {"204", "304"}
            return answer(b"" if bodiless else told, f"{rest} Said"), True
        case "redirect":
            status, _, location = rest.partition("/")
            body = b"" if status == "304" else b"moved"
            return answer(body, f"{status} Moved", Location=location.replace("~", "/")), True
        case "loop":
            return answer(status="302 Found", Location="/loop"), True
        case "cookies" if rest:
            lines = bytes.fromhex(rest).decode()
            return f"HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: 0\r\n\r\n".encode(), True
        case "packed" if rest:
            bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            packed = {
                "gzip": gzip.compress(told),
                "deflate": zlib.compress(told),
                "bare": bare.compress(told) + bare.flush(),
                "identity": told,
            }[rest]
            return answer(packed, Content_Encoding="deflate" if rest == "bare" else rest), True
        case "chunked":
            cuts = [told[at : at + 7] for at in range(0, len(told), 7)]
            pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in cuts)
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            return head + pieces + b"0\r\nX-Trailer: 1\r\n\r\n", True
        case "until-close":
            return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + told, False
        case "close":
            return answer(told, Connection="close"), False
        case "double":
            return answer(told, X_Double="a\r\nX-Double: b"), True
        case "text" if rest:
            return answer("grüße".encode(rest), Content_Type=f"text/plain; charset={rest}"), True
        case _:
            return answer(told, Content_Type="application/json"), True


def fields_of(told: Mapping[str, Any]) -> dict[str, list[str]]:
    """The fields that a server saw, by folded name, but for the name that a client gives itself."""
    fields: dict[str, list[str]] = {}
    for name, value in told["fields"]:
        fields.setdefault(name.lower(), []).append(value)
    return fields
