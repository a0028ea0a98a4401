"""What can go wrong between the send of a request and the end of its answer. Pure.

::

    OSError
    ├── TimeoutError
    │   ├── ConnectTimeoutError   timeout     no connection in time: name, TCP, TLS, a free one
    │   ├── NetworkTimeoutError   timeout     the peer was silent for too long
    │   └── RequestTimeoutError   timeout     the whole request took too long
    └── ConnectionError
        └── ConnectionLostError   connection  the peer closed before the answer was complete
    AnswerError                   error       an answer came, and is of no use
    ├── FramingError              error       it is not HTTP/1, or contradicts itself
    ├── OversizeError             error       it is larger than allowed, packed or unpacked
    ├── ContentError              error       its content encoding is unknown or broken
    └── RedirectError             error       it points nowhere, or in circles

The middle column is the outcome that :func:`runner.load.outcomes.classify` gives. What the system
itself says (``ConnectionRefusedError``, ``ssl.SSLError``, ``socket.gaierror``, …) is passed on as
it is, and classified as ``connection``.
"""

from __future__ import annotations

from runner.errors import UsageError


class ConnectTimeoutError(TimeoutError):
    pass


class NetworkTimeoutError(TimeoutError):
    pass


class RequestTimeoutError(TimeoutError):
    pass


class ConnectionLostError(ConnectionError):
    pass


class AnswerError(Exception):
    pass


class FramingError(AnswerError):
    pass


class OversizeError(AnswerError):
    pass


class ContentError(AnswerError):
    pass


class RedirectError(AnswerError):
    pass


class UnsupportedError(UsageError):
    """Something that FastHttpUser can do and this client cannot; raised to the author at once."""
