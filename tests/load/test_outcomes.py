"""Every way in which clients report trouble, and the class it belongs to."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass, field

import pytest

from runner.load.outcomes import MAX_TEXT, classify


@dataclass
class Response:
    """What a client hands over as response, as far as it is looked at."""

    status_code: int = 200
    error: BaseException | None = None


class ForeignConnectionError(Exception):
    """Stands for geventhttpclient's: it shares its name with a builtin, and wraps others."""

    def __init__(self, text: str = "", **kept: object) -> None:
        super().__init__(text)
        self.__dict__.update(kept)


ForeignConnectionError.__name__ = "ConnectionError"
LocustBadStatusCode = type("LocustBadStatusCode", (ForeignConnectionError,), {})
RetriesExceeded = type("RetriesExceeded", (ForeignConnectionError,), {})
HTTPParseError = type("HTTPParseError", (Exception,), {})
HTTPConnectionClosed = type("HTTPConnectionClosed", (HTTPParseError,), {})
CatchResponseError = type("CatchResponseError", (Exception,), {})
RequestException = type("RequestException", (OSError,), {})
TooManyRedirects = type("TooManyRedirects", (RequestException,), {})
ReadTimeout = type("ReadTimeout", (type("Timeout", (RequestException,), {}),), {})


@dataclass(eq=False)
class HTTPError(Exception):  # as in requests: an exception that carries its response
    response: Response


@dataclass(eq=False)
class MaxRetryError(Exception):  # as in urllib3: it carries a reason
    reason: BaseException = field(default_factory=Exception)

    def __str__(self) -> str:
        return "Max retries exceeded with url: /x"


CASES: list[tuple[str, object, object, tuple[str, str]]] = [
    ("success", None, Response(200), ("success", "")),
    ("the author's success on a 404", None, Response(404), ("success", "")),
    ("fast 503", LocustBadStatusCode(code=503), Response(503), ("http_5xx", "HTTP 503")),
    ("fast 404", LocustBadStatusCode(code=404), Response(404), ("http_4xx", "HTTP 404")),
    ("fast 305", LocustBadStatusCode(code=305), Response(305), ("error", "HTTP 305")),
    ("requests 500", HTTPError(Response(500)), Response(500), ("http_5xx", "HTTP 500")),
    (
        "fast timeout",
        RetriesExceeded("0", original=TimeoutError("timed out")),
        Response(0),
        ("timeout", "TimeoutError: timed out"),
    ),
    (
        "bare timeout",
        TimeoutError("timed out"),
        Response(0),
        ("timeout", "TimeoutError: timed out"),
    ),
    ("timeout in the body", TimeoutError(), Response(200), ("timeout", "TimeoutError")),
    ("requests timeout", ReadTimeout("slow"), Response(0), ("timeout", "ReadTimeout: slow")),
    (
        "requests connect timeout",
        ForeignConnectionError("x", original=MaxRetryError(TimeoutError("late"))),
        Response(0),
        ("timeout", "TimeoutError: late"),
    ),
    (
        "refused",
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        Response(0),
        ("connection", "ConnectionRefusedError: Connection refused"),
    ),
    ("reset", ConnectionResetError(), Response(0), ("connection", "ConnectionResetError")),
    (
        "unreachable",
        OSError(errno.EHOSTUNREACH, "No route to host"),
        Response(0),
        ("connection", "OSError: No route to host"),
    ),
    (
        "unknown name",
        socket.gaierror(-2, "Name or service not known"),
        Response(0),
        ("connection", "gaierror: Name or service not known"),
    ),
    ("TLS", ssl.SSLError(1, "bad"), Response(0), ("connection", "SSLError: bad")),
    (
        "closed before the answer",
        HTTPConnectionClosed("connection closed."),
        Response(0),
        ("connection", "HTTPConnectionClosed: connection closed."),
    ),
    (
        "closed in the headers",
        HTTPParseError("connection closed before end of the headers"),
        Response(0),
        ("connection", "HTTPParseError: connection closed before end of the headers"),
    ),
    ("nonsense answered", HTTPParseError("bad"), Response(0), ("error", "HTTPParseError: bad")),
    (
        "out of files: our own limit",
        OSError(errno.EMFILE, "Too many open files"),
        Response(0),
        ("error", "OSError: Too many open files"),
    ),
    (
        "redirects: a kind of OSError",
        TooManyRedirects("Exceeded 30 redirects."),
        Response(302),
        ("error", "TooManyRedirects: Exceeded N redirects."),
    ),
    ("author's failure", CatchResponseError("empty"), Response(200), ("error", "empty")),
    ("author's text", "wrong total", Response(200), ("error", "wrong total")),
    (
        "author's failure on a 503",
        CatchResponseError("shop is down"),
        Response(503),
        ("http_5xx", "HTTP 503: shop is down"),
    ),
    (
        "author's failure without an answer",
        CatchResponseError("no answer"),
        Response(0, error=RetriesExceeded("0", original=TimeoutError("timed out"))),
        ("timeout", "no answer"),
    ),
    (
        "custom client",
        RuntimeError("queue 12 is full"),
        None,
        ("error", "RuntimeError: queue N is full"),
    ),
]


@pytest.mark.parametrize(
    ("exception", "response", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_classification(exception: object, response: object, expected: tuple[str, str]) -> None:
    assert classify(exception, response) == expected


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("order 123 of 456", "order N of N"),
        ("at 0x7f33aa10 again", "at N again"),
        ("id 6f1c2a34-0b7e-4c55-9a10-aabbccddeeff gone", "id N gone"),
        ("two\n  lines\tand tabs", "two lines and tabs"),
    ],
)
def test_texts_lose_what_makes_each_of_them_unique(raw: str, text: str) -> None:
    assert classify(CatchResponseError(raw), Response(200)) == ("error", text)


def test_texts_are_cut() -> None:
    outcome, text = classify(CatchResponseError("x" * 100_000), Response(200))
    assert (outcome, len(text), text[-1]) == ("error", MAX_TEXT, "…")


def test_causes_that_go_in_circles_are_followed_once() -> None:
    first, second = ForeignConnectionError("a"), ForeignConnectionError("b")
    first.__cause__, second.__cause__ = second, first
    assert classify(first, Response(0)) == ("connection", "ConnectionError: b")
