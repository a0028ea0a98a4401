"""A small HTTP server for locustfiles that expect an application: JSON, chosen statuses, XML-RPC.

Every request is noted and answered at once: 200 with the given JSON, or with what stands in
``answers`` for its path. Loopback only, in threads of its own.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xmlrpc.server import SimpleXMLRPCDispatcher

Answer = tuple[int, Any]
"""Status, and what becomes the body as JSON."""


@dataclass(slots=True)
class EchoServer:
    """What the server saw.

    Attributes:
        seen: ``METHOD path``, without the query, to requests.
        bodies: ``METHOD path`` to the bodies that came, as text.
        hosts: Values of the Host header, with their number.
    """

    url: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, list[str]] = field(default_factory=dict)
    hosts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


def _between(low: Any, high: Any) -> int:
    return int(low + high) // 2


def _procedures() -> SimpleXMLRPCDispatcher:
    dispatcher = SimpleXMLRPCDispatcher(allow_none=True)
    dispatcher.register_function(time.time, "get_time")
    dispatcher.register_function(_between, "get_random_number")
    return dispatcher


def _handler(server: EchoServer, answers: Mapping[str, Answer]) -> type[BaseHTTPRequestHandler]:
    procedures = _procedures()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            path = self.path.partition("?")[0]
            key = f"{self.command} {path}"
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with server.lock:  # else two first requests to a path could count as one
                server.seen[key] += 1
                server.bodies.setdefault(key, []).append(body.decode())
                server.hosts[self.headers.get("Host", "")] += 1
            if path == "/RPC2":
                called: Callable[[bytes], str] = procedures._marshaled_dispatch
                self.reply(200, called(body), "text/xml")
                return
            status, said = answers.get(path, (200, {"path": path}))
            self.reply(status, json.dumps(said).encode(), "application/json")

        def reply(self, status: int, body: Any, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


class _Threads(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """A client that goes away in the middle of a request is no news."""


@contextmanager
def echo_server(answers: Mapping[str, Answer] | None = None) -> Iterator[EchoServer]:
    """Run a server until the block is left.

    Args:
        answers: Path to what is answered there.
    """
    server = EchoServer()
    with _Threads(("127.0.0.1", 0), _handler(server, answers or {})) as listener:
        server.url = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join(timeout=5)
