"""The Host header that the target wants, on requests of users who do not set one themselves.

An ingress chooses by the Host header, and an ordinary locustfile knows nothing of that. A request
that goes to the target and has no Host header yet gets it on its way out; one that its author gave
a Host header, and one to another server, are left as they are. Imports no Locust: what users talk
through is recognised by what it offers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter

_HEADER = "Host"
_OWN_CLIENT = "runner.load.swift.session"  # not imported: that would import Locust
_PORTS = {"http": 80, "https": 443}


def name_host(client: Any, host: str) -> bool:
    """Let requests of ``client`` to its base URL name ``host``.

    Args:
        client: The ``client`` of a user: Locust's HttpSession (requests) or FastHttpSession
            (geventhttpclient), or our own fast one. Anything else is left alone.
        host: Value of the header; nothing is done without one.

    Returns:
        Whether ``client`` is one of those.
    """
    base_url = getattr(client, "base_url", None)
    if not host or not isinstance(base_url, str):
        return False
    if isinstance(client, Session):
        # Of all adapters, the one with the longest fitting prefix is taken.
        origin = "{0.scheme}://{0.netloc}/".format(urlsplit(base_url))
        client.mount(origin, _NamingAdapter(client.get_adapter(origin), host))
        return True
    if any(kind.__module__ == _OWN_CLIENT for kind in type(client).__mro__):
        client.name_host(host)
        return True
    agent = getattr(client, "client", None)
    send = getattr(agent, "_urlopen", None)  # what Locust's own agent overrides
    if agent is None or send is None:
        return False
    agent._urlopen = _naming(send, base_url, host)  # noqa: SLF001
    return True


class _NamingAdapter(BaseAdapter):
    """Adds the header, and leaves the sending to ``inner``."""

    def __init__(self, inner: BaseAdapter, host: str) -> None:
        super().__init__()
        self._inner = inner
        self._host = host

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        with _named(request.headers, self._host):
            return self._inner.send(request, *args, **kwargs)

    def close(self) -> None:
        self._inner.close()


def _naming(send: Callable[[Any], Any], base_url: str, host: str) -> Callable[[Any], Any]:
    base = urlsplit(base_url)
    origin = (base.scheme, base.hostname, base.port or _PORTS.get(base.scheme))

    def send_named(request: Any) -> Any:
        headers, url = request.headers, request.url_split
        if _HEADER in headers or (url.scheme, url.host, url.port) != origin:
            return send(request)  # of all ways the cheapest: this is in the time of every request
        with _named(headers, host):
            return send(request)

    return send_named


@contextmanager
def _named(headers: MutableMapping[str, Any], host: str) -> Iterator[None]:
    """``headers`` with ``host``, only for now: a redirect may take them to another server."""
    if _HEADER in headers:
        yield
        return
    headers[_HEADER] = host
    try:
        yield
    finally:
        headers.pop(_HEADER, None)
