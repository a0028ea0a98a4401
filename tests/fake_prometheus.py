"""A server on the loopback that answers as a test tells it to: the bad days of a Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Respond = Callable[[BaseHTTPRequestHandler, Mapping[str, str]], None]


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    """A whole answer."""
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def vector(*values: str, **more: Any) -> bytes:
    """An instant vector with one series per value, and other keys of the answer."""
    result = [
        {"metric": {"__name__": "m", "n": str(at)}, "value": [1.0, value]}
        for at, value in enumerate(values)
    ]
    data = {"resultType": "vector", "result": result}
    return json.dumps({"status": "success", "data": data, **more}).encode()


@contextmanager
def server(respond: Respond) -> Iterator[str]:
    """Serve ``respond`` (handler, parameters) for every GET, and POST of a form; its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            try:
                respond(self, {name: values[0] for name, values in query.items()})
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.path += ("&" if "?" in self.path else "?") + form
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
