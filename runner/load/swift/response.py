"""What a locustfile gets back: the answer, or why there is none. FastHttpUser's attributes.

Header lines, text and the split of the time are made when they are asked for: most are not.
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Self, cast

from charset_normalizer import detect
from geventhttpclient.header import Headers
from locust.exception import CatchResponseError, LocustError, ResponseError
from requests.utils import get_encoding_from_headers

from runner.load.swift.connection import Marks
from runner.load.swift.reader import header_lines
from runner.load.swift.request import Draft
from runner.load.swift.stream import BodyStream

_NO_CATCH = "success() and failure() need catch_response=True, and a with-block around the request"


class Timing(NamedTuple):
    """Where the time of a request went, in seconds; the parts add up to the whole.

    Attributes:
        before_s: Earlier hops of a redirect, or a first try over a stale connection.
        connect_s: Waiting for a free connection, name, TCP; about 0 for a kept connection.
        tls_s: The TLS handshake; about 0 for a kept connection.
        first_byte_s: From the send of the request to the first bytes of the answer.
        body_s: From there to the end of the body; with ``stream``, to the end of the head.
    """

    before_s: float
    connect_s: float
    tls_s: float
    first_byte_s: float
    body_s: float


class SwiftRequest:
    """What was asked."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    @property
    def method(self) -> str:
        return self._draft.heading.method

    @property
    def url(self) -> str:
        return self._draft.heading.address.url

    @property
    def headers(self) -> Headers:
        """The fields that were sent, but for Content-Length and Cookie."""
        return Headers(header_lines(self._draft.heading.start.rstrip()))

    @property
    def body(self) -> bytes | None:
        return self._draft.payload.data or None

    payload = data = body


class SwiftResponse:
    """An answer, or, with ``status_code`` 0 and ``error``, the reason why there is none."""

    encoding: str | None = None
    """Set it before :attr:`text` is read, where the answer does not say it rightly."""

    error: BaseException | None = None
    """Why the request counts as failed: no answer, or a status of 4xx, 5xx and the like."""

    body: bytes | None = None
    body_stream: BodyStream | None = None
    history: Sequence[SwiftResponse] = ()
    """The redirects that led here, first one first."""

    began_s = 0.0
    ended_s = 0.0
    """Begin and end of the time that counts, by ``perf_counter``."""

    _headers: Headers | None = None

    def __init__(
        self, draft: Draft, status_code: int = 0, head: bytes = b"", marks: Marks | None = None
    ) -> None:
        self.status_code = status_code
        self._draft = draft
        self._head = head
        self._marks = marks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: object, trace: object, /) -> bool | None:
        self.release()
        return None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status_code} {self._draft.heading.method} {self.url}>"

    @property
    def request(self) -> SwiftRequest:
        return SwiftRequest(self._draft)

    @property
    def url(self) -> str:
        """The URL that was asked for last, redirects included."""
        return self._draft.heading.address.url

    @property
    def headers(self) -> Headers | None:
        """The fields of the answer, None if there is none. Several of a name make a list."""
        if self._headers is None and self._head:
            self._headers = Headers(header_lines(self._head))
        return self._headers

    def fields(self, name: str) -> list[str]:
        """The values of all fields of a name."""
        headers = self.headers
        return [] if headers is None else headers.getlist(name)

    @property
    def content(self) -> bytes | None:
        """The body, content encoding undone; with ``stream`` read now. None without an answer."""
        if self.body is None and self.body_stream is not None:
            self.body = self.body_stream.read()
        return self.body

    @property
    def text(self) -> str | None:
        """The body as text; its encoding is told by the head, else guessed."""
        content = self.content
        if content is None:
            return None
        if self.encoding is None:
            declared = get_encoding_from_headers(cast("Any", self.headers or {}))
            self.encoding = declared or detect(content)["encoding"]
        if self.encoding is None:
            return None
        return content.decode(self.encoding, errors="replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: It is none.
        """
        return jsonlib.loads(self.text or "")

    @property
    def ok(self) -> bool:
        """There is an answer, with a status below 400."""
        return 0 < self.status_code < 400

    @property
    def cookies(self) -> dict[str, str]:
        """Name and value of the cookies that this very answer set."""
        lines = self.fields("set-cookie")
        pairs = [line.partition(";")[0].partition("=") for line in lines]
        return {name.strip(): value.strip() for name, _, value in pairs}

    @property
    def timing(self) -> Timing | None:
        """Where the time went; None if the answer did not come so far as to tell."""
        if self._marks is None:
            return None
        asked_s, connected_s, ready_s, first_s = self._marks
        return Timing(
            asked_s - self.began_s,
            connected_s - asked_s,
            ready_s - connected_s,
            first_s - ready_s,
            self.ended_s - first_s,
        )

    @property
    def elapsed(self) -> timedelta | None:
        """Time to the first bytes of the last answer, connecting included."""
        if self._marks is None:
            return None
        asked_s, _, _, first_s = self._marks
        return timedelta(seconds=first_s - asked_s)

    @property
    def stream(self) -> BodyStream:
        """The body as a file.

        Raises:
            LocustError: The request was not made with ``stream=True``.
        """
        if self.body_stream is None:
            raise LocustError("only a response to a request with stream=True can be read so")
        return self.body_stream

    def iter_content(
        self, chunk_size: int = 1024, decode_content: bool = True
    ) -> Iterator[bytes | str]:
        """The body piece by piece.

        Args:
            chunk_size: Bytes of a piece; the last one may be shorter.
            decode_content: Give the pieces that are UTF-8 as text.
        """
        while chunk := self.stream.read(chunk_size):
            if decode_content:
                try:
                    yield chunk.decode()
                    continue
                except UnicodeDecodeError:
                    pass
            yield chunk

    def read(self, size: int | None = None) -> bytes:
        """Read from the stream, like a file."""
        return self.stream.read(size)

    def release(self) -> None:
        """Read no more. Closes the connection if something is left on it."""
        if self.body_stream is not None:
            self.body_stream.close()

    def info(self) -> Headers | None:
        return self.headers

    def raise_for_status(self) -> None:
        """Raise why the request failed, if it did."""
        if self.error is not None:
            raise self.error

    def success(self) -> None:
        raise LocustError(_NO_CATCH)

    def failure(self, _exception: object) -> None:
        raise LocustError(_NO_CATCH)


class CaughtResponse(SwiftResponse):
    """A response of ``catch_response=True``: the with-block decides, and then it is reported."""

    request_meta: dict[str, Any]
    """What the ``request`` event will say; may be changed in the block."""

    js: Any
    """The body as JSON, inside of ``rest()``."""

    _event: Any = None
    _judgement: BaseException | bool | None = None
    _entered = False

    def will_report(self, event: Any, request_meta: dict[str, Any]) -> None:
        """Say what to fire at the end of the with-block."""
        self._event = event
        self.request_meta = request_meta

    def __enter__(self) -> Self:
        self._entered = True
        return self

    def __exit__(self, kind: object, value: object, trace: object, /) -> bool:
        if self._judgement is not None:
            self.request_meta["exception"] = None if self._judgement is True else self._judgement
        elif isinstance(value, ResponseError):
            self.request_meta["exception"] = value
        elif kind:
            return False
        elif self.error is not None:
            self.request_meta["exception"] = self.error
        self._event.fire(**self.request_meta)
        return kind is None or self._judgement is None

    def success(self) -> None:
        """Count the request as good, whatever the status says."""
        self._judge(True)

    def failure(self, exception: object) -> None:
        """Count the request as failed, for a reason: a text or an exception."""
        if not isinstance(exception, Exception):
            exception = CatchResponseError(exception)
        self._judge(exception)

    def raise_for_status(self) -> None:
        """Raise why the request failed, if it did and was not declared good."""
        if isinstance(self._judgement, BaseException):
            raise self._judgement
        if self._judgement is None:
            super().raise_for_status()

    def _judge(self, judgement: BaseException | bool) -> None:
        if not self._entered:
            raise LocustError(_NO_CATCH)
        self._judgement = judgement
