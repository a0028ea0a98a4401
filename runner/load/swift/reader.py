"""Makes one answer after the other out of bytes, wherever they were cut. No socket in here.

The framing is llhttp's, in its strict mode (package httptools): answers that contradict themselves,
such as one with both Content-Length and Transfer-Encoding, are refused and never guessed at. Header
lines are not looked at while an answer comes in; they are split off the kept head when somebody
asks. That is exact, because the parser has refused folded lines and lines without CR LF.
"""

from __future__ import annotations

from collections.abc import Iterator

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from runner.load.swift.failures import ConnectionLostError, FramingError, OversizeError

MAX_HEAD = 256 * 1024
"""Bytes of status line and headers, those of interim answers (1xx) included."""

_END = b"\r\n\r\n"


class _NoBodyError(Exception):
    """Stops the parser after the head of an answer to HEAD, whose length tells of no body."""


class _SurplusError(Exception):
    """Stops the parser where bytes begin that no request has asked for."""


class AnswerReader:
    """Reads the answers of one connection, one at a time.

    Attributes:
        status: Status code of the final answer; valid when ``head_complete``.
        head_complete: The final status line and all header lines are here.
        complete: The whole answer is here.
        keep_alive: Another request may follow on the connection; valid when ``complete``.
        chunks: Pieces of the body, as sent (content encoding not undone); may be taken away.
        size: Bytes of the body so far.
    """

    __slots__ = (
        *("status", "head_complete", "complete", "keep_alive", "chunks", "size"),
        *("_parser", "_bodiless", "_interim", "_interims", "_segments", "_head_size"),
    )

    def __init__(self) -> None:
        self._parser: HttpResponseParser | None = None
        self.begin(bodiless=False)

    def begin(self, *, bodiless: bool) -> None:
        """Expect the answer to a request.

        Args:
            bodiless: The request was a HEAD: the answer ends with its head.
        """
        if self._parser is None:
            self._parser = HttpResponseParser(self)
        self.status = 0
        self.head_complete = self.complete = self.keep_alive = self._interim = False
        self.chunks: list[bytes] = []
        self.size = 0
        self._bodiless = bodiless
        self._interims = 0
        self._segments: list[bytes] = []
        self._head_size = 0

    @property
    def silent(self) -> bool:
        """Not one byte has come."""
        return not self._segments

    def feed(self, data: bytes) -> None:
        """Take in what has come.

        Raises:
            FramingError: This is not HTTP/1, or contradicts itself.
            OversizeError: The head is larger than :data:`MAX_HEAD`.
        """
        if self._parser is None:
            raise FramingError("bytes after the end of an answer")
        if not self.head_complete:
            self._segments.append(data)
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._parser = None
            if not self.complete:
                raise FramingError(_reason(error)) from error
            # Without a body the parser had to be stopped: were there bytes behind the head?
            self.keep_alive &= self._bodiless and self._after_head() == self._head_size
        if not self.head_complete and self._head_size > MAX_HEAD:
            raise OversizeError(f"head of more than {MAX_HEAD} bytes")

    def end(self) -> None:
        """The peer has closed: the answer is complete, or never will be.

        Raises:
            ConnectionLostError: Something is missing.
        """
        if self.complete:
            return
        if not self.head_complete:
            when = "before the answer" if self.silent else "in the head of the answer"
            raise ConnectionLostError(f"the peer closed the connection {when}")
        if not self._ends_with_connection():
            raise ConnectionLostError("the peer closed the connection in the body of the answer")
        self.complete = True
        self._parser = None

    def head(self) -> bytes:
        """Status line and header lines of the final answer, without the empty line at the end."""
        raw = self._segments[0]
        if self._interims or len(self._segments) > 1 or not raw.startswith(b"H"):
            return b"".join(self._segments)[slice(*self._final_head())]
        return raw[: raw.find(_END)]

    def _final_head(self) -> tuple[int, int]:
        """Where the final head begins and where its last line ends."""
        raw = b"".join(self._segments)
        end = 0
        for _ in range(self._interims + 1):
            start = end
            while raw.startswith(b"\r\n", start):  # empty lines before an answer mean nothing
                start += 2
            end = raw.find(_END, start) + len(_END)
        return start, end - len(_END)

    def _after_head(self) -> int:
        return self._final_head()[1] + len(_END)

    def _ends_with_connection(self) -> bool:
        """Whether nothing but the end of the connection says where the body ends."""
        fields = {name.lower(): value.lower() for name, value in header_lines(self.head())}
        coding = fields.get("transfer-encoding")
        if coding is not None:
            return coding.rpartition(",")[2].strip() != "chunked"
        return "content-length" not in fields

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        if self.complete:
            raise _SurplusError

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None  # noqa: S101 - the parser itself is calling
        status = parser.get_status_code()
        if status < 200:
            self._interim = True
            if status < 100:
                raise FramingError(f"status {status}")
            return
        self.status = status
        self.head_complete = True
        if self._bodiless:
            self.complete = True
            self.keep_alive = parser.should_keep_alive()
            raise _NoBodyError

    def on_body(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.size += len(chunk)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            self._interims += 1
            self.chunks = []
            self.size = 0
        else:
            self.complete = True
            # The parser forgets what the answer said about it right after this.
            self.keep_alive = self._parser.should_keep_alive()  # type: ignore[union-attr]


def header_lines(head: bytes) -> Iterator[tuple[str, str]]:
    """Name and value of each header line of a head that the parser has accepted."""
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        yield name, value.strip(" \t")


def _reason(error: Exception) -> str:
    if isinstance(error, HttpParserUpgrade):
        return "the peer switched to another protocol (101), which nobody has asked for"
    return str(error.__context__ or error)
