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
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from math import inf
from time import perf_counter
from typing import Any

import certifi
import gevent.socket
from gevent import Timeout, get_hub
from gevent.event import Event
from gevent.monkey import get_original

from runner.load.swift.address import Origin
from runner.load.swift.failures import (
    ConnectTimeoutError,
    OversizeError,
    RequestTimeoutError,
)
from runner.load.swift.reader import AnswerReader
from runner.load.swift.wire import NothingSentError, TlsWire, Wire

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

_WRITE = 2
_Socket: Any = get_original("socket", "socket")
_numeric_getaddrinfo = get_original("socket", "getaddrinfo")


Marks = tuple[float, float, float, float]
"""Moments (``perf_counter``) of one exchange: a connection was asked for; TCP was there; TLS was
there too, and the request was about to be sent; the first bytes of the answer had come."""


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
        rest: memoryview | None = None
        broken = False
        try:
            rest = wire.send(data)
        except NothingSentError:
            raise
        except ConnectionError:
            broken = True  # perhaps it has said why before it hung up
        piece = wire.receive()
        first_s = perf_counter()
        self.take(piece, limit)
        while rest is not None and not reader.head_complete:
            # That was no answer yet: 100 Continue, for example.
            rest = wire.send_on(rest)
            if rest is not None:
                self.take(wire.receive(), limit)
        while not (reader.complete or (reader.head_complete and not whole)):
            self.take(wire.receive(), limit)
        if broken or rest is not None:
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
    """How many connections to one origin there may be, and those that are kept."""

    __slots__ = ("free", "idle", "waiting")

    def __init__(self, concurrency: int) -> None:
        self.free = concurrency
        self.idle: list[Connection] = []
        self.waiting: deque[Event] = deque()

    def acquire(self, timeout_s: float) -> bool:
        """Take a slot, perhaps after a wait; whether there was one in time."""
        if self.free > 0:
            self.free -= 1
            return True
        turn = Event()
        self.waiting.append(turn)
        try:
            turn.wait(timeout_s)
        except BaseException:
            if turn.is_set():
                self.release()  # it was handed over, and nobody is there to use it
            else:
                self.waiting.remove(turn)
            raise
        if not turn.is_set():
            self.waiting.remove(turn)
        return bool(turn.is_set())

    def release(self) -> None:
        """Give a slot back, or hand it to who has waited longest."""
        if self.waiting:
            self.waiting.popleft().set()
        else:
            self.free += 1


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
        asked_s: float,
        *,
        began_s: float,
        whole: bool,
        limit: int,
    ) -> tuple[Connection, Marks]:
        """Send a request over a connection to ``origin``, and read its answer.

        The caller takes what it needs from the connection's reader, and then calls
        :meth:`give_back`.

        Args:
            origin: Where to.
            method: In upper case.
            data: The request.
            asked_s: Now, by ``perf_counter``.
            began_s: When the request began, which this may be a later hop of.
            whole: Read the body, too.
            limit: Most bytes of the body.

        Raises:
            OSError: Nothing came, or not all.
            AnswerError: What came is of no use.
        """
        bodiless = method == "HEAD"
        deadline_s = inf if self._request_timeout_s is None else began_s + self._request_timeout_s
        slots = self._slots.get(origin)
        if slots is None:
            slots = self._slots[origin] = _Slots(self._concurrency)
        self._acquire(slots, deadline_s)
        try:
            connection = self._kept(slots) or self._open(origin, deadline_s)
            while True:
                connection.wire.end_at(deadline_s)
                ready_s = perf_counter()
                connected_s = connection.connected_s if connection.fresh else ready_s
                try:
                    first_s = connection.exchange(data, bodiless=bodiless, whole=whole, limit=limit)
                except BaseException as error:
                    connection.wire.close()
                    if not _may_repeat(connection, method, error):
                        raise
                    connection = self._open(origin, deadline_s)
                else:
                    return connection, (asked_s, connected_s, ready_s, first_s)
        except BaseException:
            slots.release()
            raise

    def give_back(self, connection: Connection) -> None:
        """Keep the connection for the next request, if another one may follow; else close it."""
        slots = self._slots[connection.origin]
        if connection.reader.complete and connection.reader.keep_alive:
            connection.fresh = False
            slots.idle.append(connection)
        else:
            connection.wire.close()
        slots.release()

    def close(self) -> None:
        """Close the connections that nobody uses now; the pool can be used on."""
        for slots in self._slots.values():
            while slots.idle:
                slots.idle.pop().wire.close()

    def _acquire(self, slots: _Slots, deadline_s: float) -> None:
        if slots.free > 0:  # as nearly always
            slots.free -= 1
            return
        seconds, late = self._bound(deadline_s, f"none of {self._concurrency} connections was free")
        if not slots.acquire(seconds):
            raise late

    def _kept(self, slots: _Slots) -> Connection | None:
        """A kept connection that still stands and is silent."""
        while slots.idle:
            connection = slots.idle.pop()
            if connection.wire.quiet():
                return connection
            connection.wire.close()
        return None

    def _open(self, origin: Origin, deadline_s: float) -> Connection:
        secure = origin.scheme == "https"
        if secure and self._tls is None:
            self._tls = self._make_tls()
        with Timeout(*self._bound(deadline_s, "no connection")):
            sock = _connected(origin)
            connected_s = perf_counter()
            if secure and self._tls is not None:
                wire: Wire = _secured(sock, self._network_timeout_s, self._tls, origin.host)
            else:
                wire = Wire(sock, self._network_timeout_s)
        return Connection(origin, wire, connected_s)

    def _bound(self, deadline_s: float, what: str) -> tuple[float, TimeoutError]:
        """How long to wait for a connection, and what to say then."""
        left_s = deadline_s - perf_counter()
        if left_s < self._connection_timeout_s:
            return max(0.0, left_s), RequestTimeoutError("the time for the whole request was over")
        seconds = self._connection_timeout_s
        return seconds, ConnectTimeoutError(f"{what} within {seconds:g} s")


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


def _secured(sock: Any, timeout_s: float, context: ssl.SSLContext, host: str) -> TlsWire:
    wire = TlsWire(sock, timeout_s, context, host)
    try:
        wire.shake_hands()
    except BaseException:
        wire.close()
        raise
    return wire


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
