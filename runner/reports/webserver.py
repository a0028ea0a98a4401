"""The sockets of ``seatrial serve``: few requests at a time, each bounded; the pages are a Site's.

Binds to loopback unless the caller says that others may read. Holds nothing on disk.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runner.errors import UsageError
from runner.reports.site import HEADERS, Answer, Site

log = logging.getLogger(__name__)

REQUEST_S = 10.0
"""How long a client may take to send its request, or to take the answer."""

MOST_REQUESTS = 16
"""Requests at a time; one more is refused."""


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach ``host``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class WebServer(ThreadingHTTPServer):
    """Serves a site until :meth:`shutdown`, or until an exception in :meth:`serve_forever`.

    Args:
        host: Address to listen on.
        port: Its port; 0 for any that is free.
        site: The pages.

    Raises:
        UsageError: When it cannot listen there.
    """

    daemon_threads = True
    block_on_close = False  # A slow client does not hold the end up.
    request_queue_size = 32

    def __init__(self, host: str, port: int, site: Site) -> None:
        self.site = site
        self._free = threading.BoundedSemaphore(MOST_REQUESTS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UsageError(
                f"port {port} of {host} cannot be listened on: {error.strerror or error}",
                accepted="a free port, or 0 for any that is free (--port)",
            ) from error

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the resolver for a name of this machine.
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    @property
    def url(self) -> str:
        """Where it can be reached."""
        host, port = self.server_address[:2]
        name = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{name}:{port}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or hang up when too many are under way."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one request, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is logged."""
        log.debug("a request ended early: %s", sys.exception())


class _Handler(BaseHTTPRequestHandler):
    """One request, one answer, one connection."""

    server: WebServer
    timeout = REQUEST_S
    server_version = "seatrial"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_GET  # noqa: N815 - the parent looks for it; what has no such name is refused

    def _answer(self) -> None:
        hosts = self.headers.get_all("Host") or []
        host = hosts[0] if len(hosts) == 1 else None
        foreign = self.headers.get("Sec-Fetch-Site", "") in ("cross-site", "same-site")
        embedded = foreign and self.headers.get("Sec-Fetch-Mode") != "navigate"
        try:
            answer = self.server.site.answer(self.path, host, embedded=embedded)
        except Exception:
            log.exception("a page could not be made")
            answer = Answer(500, b"This is a mistake in seatrial.\n", "text/plain; charset=utf-8")
        self.send_response(answer.status)
        for name, value in {**HEADERS, **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the parent's
        log.debug("%s", (format % args).encode("ascii", "backslashreplace").decode("ascii"))
