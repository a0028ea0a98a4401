"""Connections: how they are made, used for a request, kept, and replaced when they were stale.

**When a request is sent a second time.** Only if the connection had been used before, broke before
a single byte of the answer came, and either nothing of the request had left, or its method is
idempotent (RFC 9110 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT, DELETE). Then once, over a new
connection. A POST that may have arrived is never repeated. A kept connection that the peer is known
to have closed is not used at all, so this is rare.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from math import inf
from time import perf_counter
from typing import Any, NamedTuple

import certifi
import gevent.socket
from gevent import Timeout, get_hub
from gevent.lock import Semaphore
from gevent.monkey import get_original

from runner.load.swift.failures import (
    ConnectTimeoutError,
    OversizeError,
    RequestTimeoutError,
)
from runner.load.swift.reader import AnswerReader
from runner.load.swift.request import Origin
from runner.load.swift.wire import NothingSentError, TlsWire, Wire

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

_WRITE = 2
_Socket: Any = get_original("socket", "socket")
_numeric_getaddrinfo = get_original("socket", "getaddrinfo")


class Marks(NamedTuple):
    """Moments (``perf_counter``) of one exchange.

    Attributes:
        asked_s: A connection was asked for.
        connected_s: TCP was there.
        ready_s: TLS was there too, and the request was about to be sent.
        first_s: The first bytes of the answer had come.
    """

    asked_s: float
    connected_s: float
    ready_s: float
    first_s: float


class Connection:
    """One connection, with the answer that is being read from it."""

    __slots__ = ("connected_s", "fresh", "origin", "reader", "wire")

    def __init__(self, origin: Origin, wire: Wire, connected_s: float) -> None:
        self.origin = origin
        self.wire = wire
        self.connected_s = connected_s
        self.reader = AnswerReader()
        self.fresh = True

    def exchange(self, data: bytes, *, bodiless: bool, whole: bool, limit: int) -> float:
        """Send a request and read its answer into ``reader``.

        Args:
            data: The request.
            bodiless: It is a HEAD.
            whole: Read the body, too.
            limit: Most bytes of the body.

        Returns:
            The moment at which the first bytes of the answer had come.
        """
        reader, wire = self.reader, self.wire
        reader.begin(bodiless=bodiless)
        try:
            sent = wire.send(data)
        except NothingSentError:
            raise
        except ConnectionError:
            sent = False  # perhaps it has said why before it hung up
        piece = wire.receive()
        first_s = perf_counter()
        self.take(piece, limit)
        while not (reader.complete or (reader.head_complete and not whole)):
            self.take(wire.receive(), limit)
        if not sent:
            reader.keep_alive = False
        return first_s

    def take(self, piece: bytes, limit: int) -> None:
        """Read on with what has come; an empty piece is the end of the connection."""
        reader = self.reader
        if piece:
            reader.feed(piece)
        else:
            reader.end()
        if reader.size > limit:
            raise OversizeError(f"body of more than {limit} bytes")


class _Slots:
    __slots__ = ("free", "idle")

    def __init__(self, concurrency: int) -> None:
        self.free = Semaphore(concurrency)
        self.idle: list[Connection] = []


class ConnectionPool:
    """The connections of one user, or of several who share it.

    Args:
        connection_timeout_s: Bound for name, TCP and TLS together, and for a free connection.
        network_timeout_s: Longest silence of the peer while it is waited for.
        request_timeout_s: Bound for a whole request; None for none.
        concurrency: Connections to one origin; who wants one more waits.
        tls: Makes the TLS context, when it is first needed.
    """

    def __init__(
        self,
        connection_timeout_s: float = 60.0,
        network_timeout_s: float = 60.0,
        request_timeout_s: float | None = None,
        concurrency: int = 10,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._connection_timeout_s = connection_timeout_s
        self._network_timeout_s = network_timeout_s
        self._request_timeout_s = request_timeout_s
        self._concurrency = concurrency
        self._make_tls = tls or tls_context
        self._tls: ssl.SSLContext | None = None
        self._slots: dict[Origin, _Slots] = {}

    def exchange(
        self,
        origin: Origin,
        method: str,
        data: bytes,
        began_s: float,
        *,
        whole: bool,
        limit: int,
    ) -> tuple[Connection, Marks]:
        """Send a request over a connection to ``origin``, and read its answer.

        The caller takes what it needs from the connection's reader, and then calls
        :meth:`give_back`.

        Raises:
            OSError: Nothing came, or not all.
            AnswerError: What came is of no use.
        """
        asked_s = perf_counter()
        bodiless = method == "HEAD"
        limit_s = self._request_timeout_s
        deadline_s = inf if limit_s is None else began_s + limit_s
        connection = self._take(origin, deadline_s)
        while True:
            ready_s = perf_counter()
            connected_s = connection.connected_s if connection.fresh else ready_s
            try:
                first_s = connection.exchange(data, bodiless=bodiless, whole=whole, limit=limit)
            except BaseException as error:
                connection.wire.close()
                if _may_repeat(connection, method, error):
                    connection = self._open(origin, deadline_s)
                    continue
                self._slots[origin].free.release()
                if isinstance(error, TimeoutError) and perf_counter() >= deadline_s:
                    raise RequestTimeoutError(f"no answer within {limit_s:g} s") from error
                raise
            return connection, Marks(asked_s, connected_s, ready_s, first_s)

    def give_back(self, connection: Connection) -> None:
        """Keep the connection for the next request, if another one may follow; else close it."""
        slots = self._slots[connection.origin]
        if connection.reader.complete and connection.reader.keep_alive:
            connection.fresh = False
            slots.idle.append(connection)
        else:
            connection.wire.close()
        slots.free.release()

    def close(self) -> None:
        """Close the connections that nobody uses now; the pool can be used on."""
        for slots in self._slots.values():
            while slots.idle:
                slots.idle.pop().wire.close()

    def _take(self, origin: Origin, deadline_s: float) -> Connection:
        slots = self._slots.get(origin)
        if slots is None:
            slots = self._slots[origin] = _Slots(self._concurrency)
        if not slots.free.acquire(timeout=self._connection_timeout_s):
            raise ConnectTimeoutError(
                f"none of {self._concurrency} connections was free within "
                f"{self._connection_timeout_s:g} s"
            )
        while slots.idle:
            connection = slots.idle.pop()
            if connection.wire.quiet():
                connection.wire.deadline_s = deadline_s
                return connection
            connection.wire.close()
        return self._open(origin, deadline_s)

    def _open(self, origin: Origin, deadline_s: float) -> Connection:
        """Connect; the slot is given back if that fails."""
        seconds = min(self._connection_timeout_s, max(0.0, deadline_s - perf_counter()))
        silence = ConnectTimeoutError(f"no connection within {seconds:g} s")
        try:
            with Timeout(seconds, silence):
                sock = _connected(origin)
                connected_s = perf_counter()
                if origin.scheme == "https":
                    wire: Wire = self._secured(sock, origin.host)
                else:
                    wire = Wire(sock, self._network_timeout_s)
        except BaseException:
            self._slots[origin].free.release()
            raise
        wire.deadline_s = deadline_s
        return Connection(origin, wire, connected_s)

    def _secured(self, sock: Any, host: str) -> TlsWire:
        if self._tls is None:
            self._tls = self._make_tls()
        wire = TlsWire(sock, self._network_timeout_s, self._tls, host)
        try:
            wire.shake_hands()
        except BaseException:
            wire.close()
            raise
        return wire


@lru_cache(maxsize=16)
def tls_context(*, insecure: bool = False, authorities: str | None = None) -> ssl.SSLContext:
    """How TLS is spoken, the same object for all users.

    Args:
        insecure: Believe any certificate.
        authorities: File with the certificates to trust; None for those of the system.
    """
    context = ssl.create_default_context(cafile=authorities)
    if authorities is None and ssl.get_default_verify_paths().cafile is None:
        context.load_verify_locations(certifi.where())
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _may_repeat(connection: Connection, method: str, error: BaseException) -> bool:
    """The rule at the top of this module."""
    if connection.fresh or not connection.reader.silent:
        return False
    return isinstance(error, NothingSentError) or (
        isinstance(error, ConnectionError) and method in IDEMPOTENT
    )


def _connected(origin: Origin) -> Any:
    """A socket that is connected to one of the addresses of a host, tried in their order."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in _addresses(origin.host, origin.port):
        sock = _Socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _connect(sock, address)
        except OSError as error:
            sock.close()
            failure = failure or error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure or OSError(f"{origin.host} has no address")


def _addresses(host: str, port: int) -> Any:
    try:
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return _numeric_getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=numeric)
    except socket.gaierror:
        return gevent.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _connect(sock: Any, address: Any) -> None:
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        watcher = get_hub().loop.io(sock.fileno(), _WRITE)
        try:
            get_hub().wait(watcher)
        finally:
            watcher.close()
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code not in (0, errno.EISCONN):
        raise OSError(code, os.strerror(code))
