"""A socket and a greenlet that waits for it, with and without TLS. Knows nothing of HTTP.

gevent's own sockets start and stop a watcher and a timer for every wait. Here the watcher goes on
while a connection is kept, which also tells when a peer hangs up in between, and there is one timer
per connection that is looked at, not restarted: it runs out at most once in ``timeout_s``, sees how
long the peer has really been silent, and goes on or ends the wait. A deadline is as exact as with a
timer per wait.
"""

from __future__ import annotations

import ssl
from math import inf
from select import POLLIN
from time import perf_counter
from typing import Any

from gevent import get_hub, getcurrent
from gevent.exceptions import InvalidSwitchError
from gevent.monkey import get_original

from runner.load.swift.failures import ConnectionLostError, NetworkTimeoutError, RequestTimeoutError

_READ, _WRITE = 1, 2
_PIECE = 65536
_SECOND_LOOK_S = 0.1
_READY, _TIME_IS_UP = object(), object()
"""What a waiting greenlet is woken by."""

_make_poll = get_original("select", "poll")


class NothingSentError(ConnectionError):
    """The connection was known to be broken before anything was sent."""


class _Ear:
    """Hears that something has come, for whoever waits for it, or to be asked later.

    An object of its own, because active watchers and timers hold on to what they call: the wire
    must be able to go, and to close, when nobody uses it.
    """

    __slots__ = (
        *("_heard", "_hub", "_look_s", "_poll", "_timeout_s", "_timer", "_until_s", "_waiting"),
        *("_watcher", "deadline_s"),
    )

    def __init__(self, sock: Any, timeout_s: float) -> None:
        self._hub = get_hub()
        self._timeout_s = timeout_s
        self._poll = _make_poll()
        self._poll.register(sock, POLLIN)
        # Without a reference: a kept connection must not keep the loop alive.
        self._watcher = self._hub.loop.io(sock.fileno(), _READ, ref=False)
        self._heard = False
        self._watcher.start(self._on_readable)
        self._waiting: Any = None
        self._timer: Any = None
        self._until_s = self._look_s = 0.0
        self.deadline_s = inf

    def full(self) -> bool:
        """Whether something has come; asks the system."""
        return bool(self._poll.poll(0))

    def quiet(self) -> bool:
        """Whether nothing had come when the loop last looked."""
        return not self._heard

    def wait(self, watcher: Any = None) -> None:
        """Let others run until something comes, the watcher's event, or the end of patience."""
        now_s = perf_counter()
        until_s = now_s + self._timeout_s
        if until_s > self.deadline_s:  # noqa: PLR1730 - min() costs more than the rest
            until_s = self.deadline_s
        self._until_s = until_s
        if self._timer is None or until_s < self._look_s:
            self._look_again_in(until_s - now_s)
        if self._heard:
            self._heard = False
            self._watcher.start(self._on_readable)
        greenlet = self._waiting = getcurrent()
        if watcher is not None:
            watcher.start(greenlet.switch, _READY)
        try:
            woken_by = self._hub.switch()
        finally:
            self._waiting = None
            if watcher is not None:
                watcher.stop()
        if woken_by is not _READY:
            if woken_by is _TIME_IS_UP and until_s == self.deadline_s:
                raise RequestTimeoutError("the time for the whole request was over")
            if woken_by is _TIME_IS_UP:
                raise NetworkTimeoutError(f"the peer was silent for {self._timeout_s:g} s")
            raise InvalidSwitchError(f"{greenlet!r} was woken by {woken_by!r}")

    def close(self) -> None:
        self._watcher.close()
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _on_readable(self) -> None:
        greenlet = self._waiting
        if greenlet is None:
            # Once is enough, and it would be called again and again.
            self._heard = True
            self._watcher.stop()
        else:
            self._waiting = None
            greenlet.switch(_READY)

    def _look_again_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.close()
        self._look_s = perf_counter() + seconds
        self._timer = self._hub.loop.timer(max(0.0, seconds))
        self._timer.start(self._look, update=True)

    def _look(self) -> None:
        self._timer.close()
        self._timer = None
        greenlet = self._waiting
        if greenlet is None:
            return
        left_s = self._until_s - perf_counter()
        if left_s <= 0 and self.full():
            # It has just come, and is only not yet handed on, for this process was busy.
            left_s = _SECOND_LOOK_S
        if left_s > 0:
            self._look_again_in(left_s)
        else:
            greenlet.switch(_TIME_IS_UP)


class Wire:
    """TCP; used by one greenlet at a time.

    Args:
        sock: Connected and not blocking; owned from here on.
        timeout_s: Longest silence while something is waited for.
    """

    __slots__ = ("_ear", "_sock")

    def __init__(self, sock: Any, timeout_s: float) -> None:
        self._sock = sock
        self._ear = _Ear(sock, timeout_s)

    def end_at(self, deadline_s: float) -> None:
        """Let no wait last longer than to a moment (``perf_counter``)."""
        self._ear.deadline_s = deadline_s

    def send(self, data: bytes) -> memoryview | None:
        """Send, until everything is on its way or the peer has something to say.

        Returns:
            None, or what is left for :meth:`send_on`: then there is something to receive.

        Raises:
            NothingSentError: The connection is broken, and nothing of this has left.
            OSError: The connection broke on the way, or the peer took nothing for too long.
        """
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except ConnectionError as error:
            raise NothingSentError(error.errno, error.strerror) from error
        return None if sent == len(data) else self.send_on(memoryview(data)[sent:])

    def send_on(self, rest: memoryview) -> memoryview | None:
        """Send what :meth:`send` has left over, with the same result."""
        both = get_hub().loop.io(self._sock.fileno(), _READ | _WRITE)
        try:
            while rest:
                self._ear.wait(both)
                try:
                    rest = rest[self._sock.send(rest) :]
                except BlockingIOError:
                    if self._ear.full():
                        return rest
        finally:
            both.close()
        return None

    def receive(self) -> bytes:
        """The next bytes, as soon as there are some; empty at the end.

        Raises:
            OSError: The connection broke, or the peer was silent for too long.
        """
        while True:
            self._ear.wait()
            try:
                return self._sock.recv(_PIECE)  # type: ignore[no-any-return]
            except BlockingIOError:
                continue

    def quiet(self) -> bool:
        """Whether nothing has come that nobody asked for: the end of the connection, or bytes.

        What came since the loop has last looked is not noticed: asking the system each time would
        cost a tenth of a request.
        """
        return self._ear.quiet()

    def close(self) -> None:
        """Close; may be called again."""
        self._ear.close()
        self._sock.close()

    def __del__(self) -> None:
        self.close()


class TlsWire(Wire):
    """TLS over TCP. :meth:`shake_hands` comes first.

    Args:
        sock: Connected and not blocking; owned from here on.
        timeout_s: Longest silence while something is waited for.
        context: Says whom to trust.
        host: Name that the peer must prove, and that it is told (SNI).
    """

    __slots__ = ("_early", "_ended", "_incoming", "_outgoing", "_tls")

    def __init__(self, sock: Any, timeout_s: float, context: ssl.SSLContext, host: str) -> None:
        super().__init__(sock, timeout_s)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._early = b""
        self._ended = False
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake_hands(self) -> None:
        """Agree on keys, and have the peer prove who it is.

        Raises:
            OSError: Among others ``ssl.SSLError``.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._take_in()
            except ssl.SSLError:
                self._flush()  # tell the peer why
                raise
            else:
                self._flush()
                return

    def send(self, data: bytes) -> memoryview | None:
        """Send, like :meth:`Wire.send`; what is left over is already encrypted."""
        self._tls.write(data)
        return super().send(self._outgoing.read())

    def send_on(self, rest: memoryview) -> memoryview | None:
        """Send on; TLS talking to itself (tickets, new keys) is nothing to receive."""
        left = super().send_on(rest)
        while left is not None and self._only_tls():
            left = super().send_on(memoryview(bytes(left) + self._outgoing.read()))
        return left

    def receive(self) -> bytes:
        """The next bytes, like :meth:`Wire.receive`; a missing goodbye is taken for one."""
        while not self._ended:
            if self._early:
                data, self._early = self._early, b""
                return data
            if self._incoming.pending or self._tls.pending():
                try:
                    return self._tls.read(_PIECE)
                except ssl.SSLWantReadError:
                    self._flush()
                except ssl.SSLEOFError:
                    break
            if not self._take_in():
                break
        return b""

    def quiet(self) -> bool:
        """Like :meth:`Wire.quiet`; TLS talking to itself is no noise."""
        if not self._only_tls():
            return False
        self._flush()
        return True

    def _only_tls(self) -> bool:
        """Take in what has come, without waiting; whether nothing of it is for us."""
        try:
            while not (self._early or self._ended):
                if self._incoming.pending or self._tls.pending():
                    try:
                        self._early = self._tls.read(_PIECE)
                    except ssl.SSLWantReadError:
                        pass
                    else:
                        self._ended = not self._early
                        continue
                if super().quiet():
                    return True
                self._ended = not self._take_in()
        except OSError:
            self._ended = True
        return False

    def _take_in(self) -> bool:
        data = super().receive()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return bool(data)

    def _flush(self) -> None:
        rest = super().send(self._outgoing.read()) if self._outgoing.pending else None
        if rest is not None:
            raise ConnectionLostError("the peer does not take what keeps TLS going")
