"""Requests to a Kubernetes API: an asynchronous client, as small as the sandbox's parts need it.

It speaks only the public HTTPS API, so that its users work with the embedded API server and with
a real one alike. It is not a general client library: no exec plug-ins, no discovery, no typed
models. An object is the ``dict`` that its JSON is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import ssl
from asyncio.trsock import TransportSocket
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from runner.errors import TargetError
from runner.targets.sandbox.apiobjects import EVENTS, Obj, Resource, event_body, key_of, timestamp
from runner.targets.sandbox.kubeconfig import Endpoint, read_kubeconfig

log = logging.getLogger(__name__)

PatchKind = Literal["merge", "json", "strategic", "apply"]

REQUEST_TIMEOUT_S = 15.0
WATCH_S = 240
CLOSE_S = 0.5
CLOSE_POLL_S = 0.002
EVENTS_REMEMBERED = 512
GONE = 410
NOT_FOUND = 404

CONTENT_TYPES: dict[str, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ApiError(TargetError):
    """The API server's refusal: HTTP status, machine-readable reason, message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message or f"the Kubernetes API answered {status}")
        self.status = status
        self.reason = reason


class _Connector(aiohttp.TCPConnector):
    """Connections of which one can wait until they are closed.

    A request that is cancelled says goodbye to its TLS peer and waits for an answer. When the
    event loop ends before that, the socket leaks, and Python warns of it.
    """

    def __init__(self, *, ssl: ssl.SSLContext | bool, limit: int) -> None:
        super().__init__(ssl=ssl, limit=limit)
        self._sockets: list[TransportSocket] = []

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if connection.transport is not None:
            used = connection.transport.get_extra_info("socket")
            self._sockets = [one for one in self._sockets if one.fileno() >= 0 and one is not used]
            self._sockets.append(used)
        return connection

    async def all_closed(self) -> None:
        """Wait until no socket is open, at most CLOSE_S seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while any(one.fileno() >= 0 for one in self._sockets):
                    await asyncio.sleep(CLOSE_POLL_S)


class ApiClient:
    """One connection pool to one API server. Make and use it inside one event loop."""

    def __init__(self, endpoint: Endpoint, component: str = "seatrial") -> None:
        self.endpoint = endpoint
        self.component = component
        self._session: aiohttp.ClientSession | None = None
        self._events: OrderedDict[tuple[str, ...], tuple[str, int]] = OrderedDict()

    @classmethod
    def from_kubeconfig(
        cls, path: Path, context: str | None = None, component: str = "seatrial"
    ) -> Self:
        """A client for one context of a kubeconfig (the current one when none is named).

        Args:
            path: The kubeconfig file.
            context: Name of the context; ``None`` takes ``current-context``.
            component: Who we are: the field manager and the source of events.

        Raises:
            TargetError: The file is missing, malformed, or asks for an unsupported log-in.
        """
        return cls(read_kubeconfig(path, context), component)

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP session, made at first use because it needs a running loop."""
        if self._session is None:
            headers = {"User-Agent": f"{self.component}/1", "Accept": "application/json"}
            if self.endpoint.token:
                headers["Authorization"] = f"Bearer {self.endpoint.token}"
            connector = _Connector(ssl=self.endpoint.ssl or True, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, headers=headers)
        return self._session

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; running watches end with an error."""
        if self._session is None:
            return
        connector = self._session.connector
        await self._session.close()
        self._session = None
        if isinstance(connector, _Connector):
            await connector.all_closed()

    def url(self, res: Resource, namespace: str | None, name: str = "", sub: str = "") -> str:
        """The URL of a collection, an object or a subresource."""
        parts = ["apis", res.group, res.version] if res.group else ["api", res.version]
        if res.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts += [res.plural, quote(name, safe=""), *sub.split("/")]
        return self.endpoint.server + "/" + "/".join(part for part in parts if part)

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: dict[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Obj:
        """One bounded request; the JSON object of the answer.

        Raises:
            ApiError: The server refused.
            TargetError: The server could not be reached or did not answer in time.
        """
        data = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": content_type}
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        try:
            async with self.session.request(
                method, url, params=params, data=data, headers=headers, timeout=timeout
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TargetError(f"{method} {url}: {str(error) or type(error).__name__}") from error
        return _object_or_error(response.status, text)

    async def list(
        self, res: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> tuple[list[Obj], str]:
        """The objects of a kind, and the resourceVersion to watch from."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        params = {name: value for name, value in selectors.items() if value}
        answer = await self.request("GET", self.url(res, namespace), params=params)
        items = [_typed(item, res) for item in answer.get("items") or []]
        return items, answer["metadata"]["resourceVersion"]

    async def get(self, res: Resource, name: str, namespace: str | None = None) -> Obj:
        """One object; ``ApiError`` with status 404 when there is none."""
        return await self.request("GET", self.url(res, namespace, name))

    async def create(self, res: Resource, body: Obj, namespace: str | None = None) -> Obj:
        """Create an object; its namespace is taken from the body when not given."""
        namespace = namespace or body.get("metadata", {}).get("namespace")
        return await self.request("POST", self.url(res, namespace), body=_typed(body, res))

    async def replace(self, res: Resource, body: Obj, *, subresource: str = "") -> Obj:
        """PUT an object; 409 when its resourceVersion is no longer the newest."""
        namespace, name = key_of(body)
        url = self.url(res, namespace, name, subresource)
        return await self.request("PUT", url, body=_typed(body, res))

    async def patch(
        self,
        res: Resource,
        name: str,
        namespace: str | None,
        body: object,
        *,
        kind: PatchKind = "merge",
        subresource: str = "",
    ) -> Obj:
        """Patch an object or its subresource; ``apply`` takes the fields over by force."""
        params = {"fieldManager": self.component}
        if kind == "apply":
            params["force"] = "true"
        url = self.url(res, namespace, name, subresource)
        return await self.request(
            "PATCH", url, params=params, body=body, content_type=CONTENT_TYPES[kind]
        )

    async def delete(
        self,
        res: Resource,
        name: str,
        namespace: str | None = None,
        *,
        grace_s: int | None = None,
        uid: str = "",
    ) -> None:
        """Delete an object; with ``uid``, only that incarnation of it (409 otherwise)."""
        options: Obj = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        if uid:
            options["preconditions"] = {"uid": uid}
        await self.request("DELETE", self.url(res, namespace, name), body=options)

    async def event(
        self, about: Obj, reason: str, message: str, kind: str = "Normal", component: str = ""
    ) -> None:
        """Record a core/v1 Event about an object; a repetition raises the count of the first."""
        component = component or self.component
        namespace, name = key_of(about)
        namespace = namespace or "default"
        same = (about["metadata"].get("uid", ""), name, reason, message, kind, component)
        known = self._events.pop(same, None)
        if known is not None:
            event_name, count = known[0], known[1] + 1
            change = {"count": count, "lastTimestamp": timestamp()}
            try:
                await self.patch(EVENTS, event_name, namespace, change)
            except ApiError as error:
                if error.status != NOT_FOUND:
                    raise
            else:
                self._events[same] = (event_name, count)
                return
        event_name = f"{name}.{secrets.token_hex(8)}"
        body = event_body(about, event_name, namespace)
        body |= {"reason": reason, "message": message, "type": kind}
        body |= {"source": {"component": component}, "reportingComponent": component}
        await self.create(EVENTS, body, namespace)
        self._events[same] = (event_name, 1)
        if len(self._events) > EVENTS_REMEMBERED:
            self._events.popitem(last=False)

    async def watch(
        self, res: Resource, namespace: str | None, version: str
    ) -> AsyncIterator[tuple[str, Obj]]:
        """The changes after ``version`` as ``(type, object)``, bookmarks included.

        Ends when the server ends it (after at most WATCH_S seconds).

        Raises:
            ApiError: Status 410 when ``version`` is too old: list again.
        """
        params = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        params["timeoutSeconds"] = str(WATCH_S)
        timeout = aiohttp.ClientTimeout(total=WATCH_S + REQUEST_TIMEOUT_S, sock_connect=5)
        url = self.url(res, namespace)
        async with self.session.get(url, params=params, timeout=timeout) as response:
            if response.status >= 400:
                _object_or_error(response.status, await response.text())
            buffer = b""
            async for chunk in response.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in filter(None, lines):
                    change = json.loads(line)
                    if change["type"] == "ERROR":
                        _raise_status(change["object"])
                    yield change["type"], change["object"]


def _typed(obj: Obj, res: Resource) -> Obj:
    """The object with its type, which items of a list may leave out."""
    return {"apiVersion": res.api_version, "kind": res.kind} | obj


def _object_or_error(status: int, text: str) -> Obj:
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        answer = {}
    if status >= 400:
        if isinstance(answer, dict) and answer.get("kind") == "Status":
            _raise_status(answer)
        raise ApiError(status, "", text.strip()[:500])
    return answer if isinstance(answer, dict) else {}


def _raise_status(status: Obj) -> None:
    raise ApiError(
        int(status.get("code", 500)), status.get("reason", ""), status.get("message", "")
    )
