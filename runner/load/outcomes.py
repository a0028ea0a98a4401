"""How a request ended, told from what Locust's ``request`` event carries. Pure.

Clients report trouble in many ways: FastHttpUser wraps a timeout in ``RetriesExceeded`` and gives
a response with status 0, ``requests`` nests urllib3's errors three deep, ``catch_response`` blocks
raise whatever the author liked. Classes are recognised by name, so that this module imports no
client and can be tested without one. An exception of None means success, as in Locust: the author
of a locustfile may declare a 404 to be right.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator

from runner.model.recording import Outcome

MAX_TEXT = 200
_MAX_CAUSES = 8

_TIMEOUT_NAMES = frozenset(
    {"TimeoutError", "Timeout", "ConnectTimeoutError", "ReadTimeoutError", "PoolTimeout"}
)
_CONNECTION_NAMES = frozenset(
    {
        *("ConnectionError", "HTTPConnectionClosed", "ConnectionClosed"),  # builtin, geventhttp
        *("MaxRetryError", "NewConnectionError", "ProtocolError", "NameResolutionError"),  # urllib3
        *("ChunkedEncodingError", "IncompleteRead", "RemoteDisconnected"),  # requests, http.client
    }
)
_VERDICT_NAMES = frozenset({"CatchResponseError", "ResponseError", "AssertionError", "str"})
_UNREACHABLE = frozenset(
    {
        *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN),
        *(errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE, errno.ENETRESET),
    }
)
# Numbers make every message unique ("port 49152", "at 0x7f…", "order 123").
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F-]*\d[0-9a-fA-F-]{7,}\b|\d+")


def classify(exception: object, response: object = None) -> tuple[Outcome, str]:
    """The outcome of a request, and a short text that says why it failed.

    Args:
        exception: What the event carries as ``exception``: None, an exception, or a text.
        response: What it carries as ``response``; ``status_code`` and ``error`` are looked at.

    Returns:
        The outcome and a text of at most :data:`MAX_TEXT` characters, empty for a success. Numbers
        in the text are replaced by ``N``, except for the HTTP status.
    """
    if exception is None:
        return "success", ""
    status = _status(exception, response)
    if _is_verdict(exception):
        # The author's own words. What happened on the wire decides the class all the same.
        error = getattr(response, "error", None)
        kind = _transport(error) if isinstance(error, BaseException) and status == 0 else None
        message = _clean(str(exception)) or type(exception).__name__
        outcome = kind or _http(status) or "error"
        return outcome, _cut(f"HTTP {status}: {message}" if _http(status) else message)
    if _bears_status(exception):
        return _http(status) or "error", f"HTTP {status}"
    kind = _transport(exception)
    return kind or _http(status) or "error", _cut(_describe(exception))


def _is_verdict(exception: object) -> bool:
    return any(kind.__name__ in _VERDICT_NAMES for kind in type(exception).__mro__)


def _status(exception: object, response: object) -> int:
    own = getattr(exception, "code", None)
    carried = getattr(getattr(exception, "response", None), "status_code", None)
    given = getattr(response, "status_code", None)
    for status in (own, carried, given):
        if isinstance(status, int) and not isinstance(status, bool) and status > 0:
            return status
    return 0


def _bears_status(exception: object) -> bool:
    """Whether the exception itself says "bad status": LocustBadStatusCode, requests.HTTPError."""
    names = {kind.__name__ for kind in type(exception).__mro__}
    return bool(names & {"BadStatusCode", "LocustBadStatusCode", "HTTPError"}) and bool(
        _status(exception, None)
    )


def _http(status: int) -> Outcome | None:
    if 500 <= status <= 599:
        return "http_5xx"
    return "http_4xx" if 400 <= status <= 499 else None


def _transport(exception: object) -> Outcome | None:
    """``timeout`` or ``connection`` when the exception, or what it wraps, is one."""
    kinds = [_one_transport(cause) for cause in _causes(exception)]
    # A timeout inside a "connection error" is a timeout: the wrapper is the less exact of the two.
    if "timeout" in kinds:
        return "timeout"
    return "connection" if "connection" in kinds else None


def _one_transport(exception: BaseException) -> Outcome | None:
    names = {kind.__name__ for kind in type(exception).__mro__}
    if names & _TIMEOUT_NAMES:
        return "timeout"
    if names & _CONNECTION_NAMES or isinstance(
        exception, ssl.SSLError | socket.gaierror | socket.herror
    ):
        return "connection"
    if "SSLError" in names:
        return "connection"
    if "HTTPParseError" in names and "connection closed" in str(exception):
        return "connection"
    if isinstance(exception, OSError) and exception.errno in _UNREACHABLE:
        return "connection"
    return None


def _causes(exception: object) -> Iterator[BaseException]:
    """The exception and what it wraps, outermost first, bounded."""
    seen: list[BaseException] = []
    waiting: list[object] = [exception]
    while waiting and len(seen) < _MAX_CAUSES:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or any(cause is other for other in seen):
            continue
        seen.append(cause)
        yield cause
        waiting += [getattr(cause, "original", None), getattr(cause, "reason", None)]
        waiting += [cause.__cause__, *cause.args[:1]]


def _describe(exception: object) -> str:
    """Name and message of the innermost exception that has something to say."""
    chain = list(_causes(exception))
    if not chain:
        return _clean(str(exception)) or type(exception).__name__
    root = chain[-1]
    message = root.strerror if isinstance(root, OSError) and root.strerror else str(root)
    cleaned = _clean(str(message))
    name = type(root).__name__
    return f"{name}: {cleaned}" if cleaned else name


def _clean(text: str) -> str:
    return " ".join(_NUMBERS.sub("N", text[: 4 * MAX_TEXT]).split())


def _cut(text: str) -> str:
    text = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate travels nowhere
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
