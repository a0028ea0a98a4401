"""An API server on a bad day: a proxy before a real one that does not always do what it should.

It speaks plain HTTP to the client and HTTPS to the server, passes on what it is not told to spoil,
and keeps a list of what was asked.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from bare_api import BareApi

from runner.model.recording import TargetInfo

Mischief = int | Literal["hang", "lose"]
"""A status to answer with; no answer at all; or the real answer, lost on its way back."""

HANG_S = 20.0


@dataclass
class Misbehaving:
    """What the proxy does, by method and a part of the path.

    Attributes:
        spoil: ``(method, part of the path)`` to what becomes of the next requests; an endless
            misfortune is a list whose last entry is ``...``, which repeats the one before it.
        asked: ``(method, path)`` of all requests.
        kubeconfig: By which it is reached.
        target: The same, as a target.
    """

    kubeconfig: Path
    target: TargetInfo
    spoil: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def next_for(self, method: str, path: str) -> Mischief | None:
        self.asked.append((method, path))
        for (verb, part), planned in self.spoil.items():
            if verb == method and part in path and planned:
                if len(planned) == 2 and planned[1] is ...:
                    return planned[0]  # type: ignore[no-any-return]
                return planned.pop(0)  # type: ignore[no-any-return]
        return None

    def writes(self) -> list[tuple[str, str]]:
        return [entry for entry in self.asked if entry[0] != "GET"]


@contextmanager
def misbehaving(api: BareApi, folder: Path) -> Iterator[Misbehaving]:
    """A proxy before ``api``; its kubeconfig is in ``folder``."""
    config = json.loads(api.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    address = cluster["server"].removeprefix("https://")
    authority = base64.b64decode(cluster.pop("certificate-authority-data")).decode()
    trust = ssl.create_default_context(cadata=authority)
    kubeconfig = folder / "misbehaving.kubeconfig"
    told = Misbehaving(
        kubeconfig, api.target.model_copy(update={"kubeconfig": str(kubeconfig), "name": "bad"})
    )

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            mischief = told.next_for(self.command, self.path)
            if mischief == "hang":
                told.over.wait(HANG_S)
                self.close_connection = True
                return
            if isinstance(mischief, int):
                refusal = {"kind": "Status", "status": "Failure", "message": "on strike"}
                self._answer(mischief, json.dumps({**refusal, "code": mischief}).encode())
                return
            status, answer = self._ask(body)
            if mischief == "lose":
                self.close_connection = True
                return
            self._answer(status, answer)

        def _ask(self, body: bytes) -> tuple[int, bytes]:
            server = http.client.HTTPSConnection(address, context=trust, timeout=10)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            server.request(self.command, self.path, body or None, headers)
            answer = server.getresponse()
            text = answer.read()
            server.close()
            return answer.status, text

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - the library's names

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    cluster["server"] = f"http://127.0.0.1:{server.server_port}"
    kubeconfig.write_text(json.dumps(config))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield told
    finally:
        told.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
