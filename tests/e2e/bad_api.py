"""A Kubernetes API server that goes bad: a proxy before a good one, told what to do from when on.

Plain HTTP on the loopback, forwarded with the credentials of a kubeconfig. For trials of what a run
does when it cannot undo its faults at once.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from runner.targets.sandbox.kubeconfig import Endpoint, read_kubeconfig

Mode = Literal["good", "refuse", "hang", "slow", "500", "409", "429"]
BAD: Final[tuple[Mode, ...]] = ("refuse", "hang", "slow", "500", "409", "429")
HANG_S, SLOW_S = 30.0, 1.5
CONTEXT: Final = "behind-a-proxy"
WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")
HOP_BY_HOP: Final = ("connection", "transfer-encoding", "content-length", "host", "keep-alive")
SAID: Final = {"500": "InternalError", "409": "Conflict", "429": "TooManyRequests"}


@dataclass
class BadApi:
    """The proxy.

    Attributes:
        url: Where it listens.
        mode: What it does with requests now: answers of 409 are for those that change something,
            and 500 and 429 for all; ``refuse`` breaks off, ``hang`` answers too late.
        until_s: When it is good again, by the monotonic clock.
        spoilt: How many requests it has spoilt.
    """

    url: str
    mode: Mode = "good"
    until_s: float = 0.0
    spoilt: int = 0
    again: threading.Event = field(default_factory=threading.Event)

    def go_bad(self, mode: Mode, seconds: float = float("inf")) -> None:
        self.again.clear()
        self.until_s, self.mode = time.monotonic() + seconds, mode

    def be_good(self) -> None:
        self.mode = "good"
        self.again.set()

    def now(self, method: str) -> Mode:
        """What to do with a request of ``method``."""
        if self.mode == "good" or time.monotonic() > self.until_s:
            return "good"
        if self.mode == "409" and method not in WRITES:
            return "good"
        self.spoilt += 1
        return self.mode

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig that leads here; JSON is YAML."""
        path = folder / "behind-a-proxy.json"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CONTEXT,
            "clusters": [{"name": "proxy", "cluster": {"server": self.url}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": "proxy", "user": "proxy"}}],
            "users": [{"name": "proxy", "user": {}}],
        }
        path.write_text(json.dumps(config), encoding="utf-8")
        return path


@contextmanager
def bad_api(kubeconfig: Path, context: str) -> Iterator[BadApi]:
    """A proxy before the API server of ``context``; good until it is told otherwise."""
    endpoint = read_kubeconfig(kubeconfig, context)
    api = BadApi("")

    class Handler(_Handler):
        upstream, proxy = endpoint, api

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.be_good()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    upstream: Endpoint
    proxy: BadApi

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mode = self.proxy.now(self.command)
        if mode == "hang":
            self.proxy.again.wait(HANG_S)
        if mode == "slow":
            time.sleep(SLOW_S)
        if mode in ("refuse", "hang"):
            self.close_connection = True
        elif mode in SAID:
            self._answer(int(mode), _status(int(mode), SAID[mode]), "application/json")
        else:
            self._forward(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _take  # noqa: N815 - the library's names

    def _forward(self, body: bytes) -> None:
        parts = urlsplit(self.upstream.server)
        connection: Any
        if self.upstream.ssl is not None:
            connection = http.client.HTTPSConnection(
                str(parts.hostname), parts.port, timeout=HANG_S, context=self.upstream.ssl
            )
        else:
            connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=HANG_S)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        if self.upstream.token:
            headers["Authorization"] = f"Bearer {self.upstream.token}"
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            self._answer(answer.status, content, answer.headers.get("Content-Type") or "")
        finally:
            connection.close()

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nobody reads it."""


def _status(code: int, reason: str) -> bytes:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return json.dumps({**body, "reason": reason, "message": f"{reason}, for a trial"}).encode()
