"""A Locust user with the fast client.

A locustfile changes one import::

    from runner.load.swift import SwiftHttpUser as FastHttpUser

What differs from FastHttpUser on purpose: certificates are verified unless ``insecure`` is set,
proxies and automatic retries are refused, and sizes and times are bounded.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

from gevent import Greenlet
from gevent.pool import Group
from locust import User
from locust.env import Environment
from locust.exception import StopTest
from locust.user.users import RestMixin

from runner.load.swift.connection import ConnectionPool, tls_context
from runner.load.swift.failures import UnsupportedError
from runner.load.swift.response import CaughtResponse
from runner.load.swift.session import MAX_BODY, SwiftHttpSession


class SwiftHttpUser(User, RestMixin[CaughtResponse]):
    """A user whose ``client`` is a :class:`SwiftHttpSession`. Set the attributes in a subclass."""

    abstract = True

    connection_timeout: float = 60.0
    """Seconds for name, TCP and TLS together, and to wait for a free connection."""

    network_timeout: float = 60.0
    """Longest silence of the peer, in seconds."""

    request_timeout: float | None = None
    """Bound for a whole request with its redirects, in seconds; None for none."""

    max_redirects: int = 30
    """How many redirects are followed in a row; 0 follows none."""

    max_body: int = MAX_BODY
    """Most bytes of a body, packed or unpacked, unless it is streamed."""

    insecure: bool = False
    """Believe any certificate."""

    verify: str | None = None
    """File with the certificates of the authorities to trust; None for those of the system."""

    ssl_context_factory: Callable[[], ssl.SSLContext] | None = None
    """Makes the TLS context, in place of ``insecure`` and ``verify``."""

    default_headers: Mapping[str, Any] | None = None
    """Fields for every request."""

    concurrency: int = 10
    """Connections of one user to one host; more than one only if he spawns greenlets."""

    client_pool: ConnectionPool | None = None
    """Connections that all users of a class share; its own settings count."""

    max_retries: int = 0
    """Refused unless 0: a retry would hide a failure."""

    proxy_host: str | None = None
    proxy_port: int | None = None
    """Refused."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if self.host is None:
            raise StopTest("no host: set it in the user class, or on the command line (-H)")
        self._refuse()
        self.client = SwiftHttpSession(
            self.host,
            self.environment.events.request,
            user=self,
            pool=self.client_pool or self._make_pool(),
            headers=self.default_headers,
            max_redirects=self.max_redirects,
            max_body=self.max_body,
        )

    def start(self, group: Group) -> Greenlet:
        """Start the user; his connections are closed when he has ended."""
        greenlet = super().start(group)
        if self.client_pool is None:
            greenlet.link(lambda _: self.client.close())
        return greenlet

    def _make_pool(self) -> ConnectionPool:
        make_tls = type(self).ssl_context_factory or (
            lambda: tls_context(insecure=self.insecure, authorities=self.verify)
        )
        return ConnectionPool(
            connection_timeout_s=self.connection_timeout,
            network_timeout_s=self.network_timeout,
            request_timeout_s=self.request_timeout,
            concurrency=self.concurrency,
            tls=make_tls,
        )

    def _refuse(self) -> None:
        if self.proxy_host or self.proxy_port:
            raise UnsupportedError(
                "proxy_host: this client speaks to servers only",
                hint="let this user class inherit from FastHttpUser",
            )
        if self.max_retries:
            raise UnsupportedError(
                "max_retries: this client repeats no request that has failed",
                accepted="0",
                hint="repeat it in the task, so that every failure is counted",
            )
        if not isinstance(self.client_pool, ConnectionPool | None):
            raise UnsupportedError(
                "client_pool: geventhttpclient's pools cannot be used here",
                accepted="a runner.load.swift.ConnectionPool",
            )
