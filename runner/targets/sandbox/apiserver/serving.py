"""Running the API server: keys, kubeconfig, socket, shutdown."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from runner.errors import TargetError
from runner.targets.sandbox.apiserver import pki, seeds
from runner.targets.sandbox.apiserver.app import ApiServer
from runner.targets.sandbox.apiserver.store import Store
from runner.targets.sandbox.settings import NAMESPACE

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
SHUTDOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class ApiServerHandle:
    """A running API server.

    Attributes:
        url: Its base URL.
        kubeconfig: The file that tells clients of it.
        store: Its objects.
    """

    url: str
    kubeconfig: Path
    store: Store
    _runner: web.AppRunner
    _session: aiohttp.ClientSession

    async def close(self) -> None:
        """End all watches and connections and give the port back."""
        self.store.close()
        await asyncio.sleep(0)
        await self._runner.cleanup()
        await self._session.close()


async def serve(home: Path, port: int, token: str, name: str = "") -> ApiServerHandle:
    """Start an API server on 127.0.0.1 inside the running event loop.

    Args:
        home: Private folder; ``kubeconfig`` (mode 0600) and ``pki/`` are written into it.
        port: TCP port; 0 lets the system choose.
        token: Bearer token of the one user.
        name: The sandbox's name; ``home``'s own, without ``sandbox-``, when empty.

    Raises:
        TargetError: The port is taken.
    """
    name = name or home.name.removeprefix("sandbox-")
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    identity = pki.make_identity(name)
    tls = pki.server_tls(home, identity)
    # Versions start above all that an earlier life can have given out, so that its clients,
    # should any be left, are told to list again.
    store = Store(start=int(time.time() * 1000))
    seeds.plant(store)
    session = aiohttp.ClientSession()
    try:
        runner, port = await _listen(store, session, tls, port, token)
    except BaseException:
        await session.close()
        raise
    content = pki.kubeconfig(name, port, token, identity, NAMESPACE)
    kubeconfig = home / "kubeconfig"
    pki.write_private(kubeconfig, content)
    url = f"https://{LOOPBACK}:{port}"
    log.info("Kubernetes API on %s", url)
    return ApiServerHandle(url, kubeconfig, store, runner, session)


async def _listen(
    store: Store, session: aiohttp.ClientSession, tls: ssl.SSLContext, port: int, token: str
) -> tuple[web.AppRunner, int]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        raise TargetError(
            f"cannot serve the Kubernetes API on {LOOPBACK}:{port}: {error.strerror}",
            hint="choose another port, or end what listens there",
        ) from error
    port = listener.getsockname()[1]
    hosts = frozenset({f"{LOOPBACK}:{port}", f"localhost:{port}"})
    app = ApiServer(store, token, hosts, session).application()
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S
    )
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=tls, backlog=256).start()
    return runner, port
