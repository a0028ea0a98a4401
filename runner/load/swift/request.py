"""Writes requests: from what a locustfile says to the bytes that are sent. Pure.

Defaults are FastHttpUser's, byte for byte where a server could tell: which headers come with
``json``, a form or bytes, how URLs are quoted and parameters encoded. What does not change from one
request to the next is kept, so that writing one is two look-ups and a concatenation.
"""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Mapping
from copy import copy
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

from geventhttpclient.header import Headers

from runner import __version__
from runner.load.swift.address import (
    Address,
    Origin,
    address_of,
    basic_auth,
    is_plain,
    moved,
)
from runner.load.swift.content import ACCEPTED
from runner.load.swift.failures import UnsupportedError

USER_AGENT = f"seatrial/{__version__}"
_MAX_KEPT = 2000

_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
# Paths that need no quoting and have no part that a parser would have to find.
_PLAIN_PATH = re.compile(r"/(?!/)[A-Za-z0-9\-._~/!$&'()*+,:=@?]*(?<!\?)")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})


Auth = tuple[str | bytes, str | bytes]
"""User and password."""


class Payload(NamedTuple):
    """A body, and the headers that come with its kind unless the author gave them."""

    data: bytes
    kind: str


class Heading(NamedTuple):
    """All of a request that does not depend on its body or on the moment.

    Attributes:
        method: In upper case.
        address: What is asked for.
        start: Request line and header lines.
        length: Content-Length is to be added, if there is a body or the method is one with a body.
        chunked: The body is to be sent as a chunk.
        own_cookies: The author gave a Cookie header: the jar is not asked.
        headers: The fields that the author gave with this request.
        auth: User and password that the author gave with this request.
        without: Names of fields that are not to be sent, whoever gave them; in lower case.
    """

    method: str
    address: Address
    start: bytes
    length: bool
    chunked: bool
    own_cookies: bool
    headers: Mapping[str, Any]
    auth: Auth | None
    without: frozenset[str]


class Draft(NamedTuple):
    """A request, ready but for what depends on the moment (cookies, between heading and end).

    Attributes:
        heading: Where to, and the fields.
        payload: The body.
        end: The rest of the head, and the body.
    """

    heading: Heading
    payload: Payload
    end: bytes


class _Block(NamedTuple):
    lines: bytes
    has_length: bool
    chunked: bool
    own_cookies: bool


_KIND_HEADERS: dict[str, dict[str, str]] = {
    "none": {},
    "json": {"Content-Type": "application/json", "Accept": "application/json"},
    "form": {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    "text": {"Content-Type": "text/plain; charset=utf-8"},
    "bytes": {"Content-Type": "application/octet-stream"},
}
_NOTHING = Payload(b"", "none")


def payload_of(data: Any, json: Any) -> Payload:
    """The body for FastHttpUser's ``data`` and ``json``; the latter counts if there is no data.

    Raises:
        UnsupportedError: ``data`` is of a type that cannot be sent.
    """
    if not data:
        return _NOTHING if json is None else Payload(jsonlib.dumps(json).encode(), "json")
    if isinstance(data, str):
        return Payload(data.encode(), "text")
    if isinstance(data, bytes | bytearray | memoryview):
        return Payload(bytes(data), "bytes")
    if isinstance(data, Mapping):
        return Payload(urlencode(data).encode(), "form")
    if hasattr(data, "read"):
        data = [data.read()]
    try:
        pieces = [piece.encode() if isinstance(piece, str) else bytes(piece) for piece in data]
    except TypeError:
        raise UnsupportedError(
            f"data of type {type(data).__name__} cannot be sent",
            accepted="str, bytes, a mapping (sent as a form), a file, or an iterable of bytes",
        ) from None
    return Payload(b"".join(pieces), "bytes")


class RequestWriter:
    """Writes requests relative to one base URL, with one set of default headers.

    Args:
        base_url: Scheme, host and perhaps a path that is put before every path; None if all URLs
            are absolute.
        default_headers: Fields for every request.
        authorization: Value of the Authorization header, if there is one for every request.
        named: Origins, and the value of the Host header there unless the author gives one.
    """

    def __init__(
        self,
        base_url: str | None,
        default_headers: Mapping[str, Any] | None = None,
        authorization: str | None = None,
        named: Mapping[Origin, str] | None = None,
    ) -> None:
        self._base_url = base_url
        self._default_headers = dict(default_headers or {})
        self._authorization = authorization
        self._named = dict(named or {})
        self._base = None if base_url is None else address_of(base_url)
        # A query or a fragment in a base URL swallows the path: the parser has to look.
        self._plain = base_url is not None and is_plain(base_url)
        self._drafts: dict[tuple[str, str], Draft] = {}
        self._headings: dict[Any, Heading] = {}
        self._blocks: dict[Any, _Block] = {}

    def draft(  # noqa: PLR0917 - called for every request, and keywords cost
        self,
        method: str,
        url: str,
        data: Any = None,
        json: Any = None,
        headers: Mapping[str, Any] | None = None,
        auth: Auth | None = None,
        params: Any = None,
    ) -> Draft:
        """Write a request.

        Raises:
            ValueError: A method, header or URL that cannot be sent.
            UnsupportedError: A body that cannot be sent.
        """
        nothing = data is None and json is None and headers is None and auth is None
        if nothing and params is None and (kept := self._drafts.get((method, url))):
            return kept
        payload = payload_of(data, json)
        key = None
        if params is None:
            key = (method, url, payload.kind, tuple(headers.items()) if headers else (), auth)
        try:
            heading = self._headings.get(key)
        except TypeError:  # a list of values cannot be looked up
            key = heading = None
        if heading is None:
            address = self._find(url, params)
            given = copy(headers or {})  # the author may change his own later
            heading = self._heading(_verb(method), address, payload.kind, given, auth)
            if key is not None:
                _keep(self._headings, key, heading)
        draft = _finished(heading, payload)
        if nothing and params is None:
            _keep(self._drafts, (method, url), draft)
        return draft

    def redirected(self, draft: Draft, status: int, location: str, first: Origin) -> Draft:
        """The request that follows on a redirect, by the rules of RFC 9110 15.4 and of habit.

        301, 302 and 303 make it a GET without a body (a HEAD stays one); 307 and 308 repeat it.
        Cookies are the jar's from here on; credentials go to no other origin than the first.

        Raises:
            ValueError: The location cannot be asked for.
        """
        heading, payload = draft.heading, draft.payload
        method, headers = heading.method, heading.headers
        address = moved(heading.address, location)
        without = heading.without | {"cookie", "cookie2"}
        if address.origin != first:
            without |= {"authorization"}
        if status in (301, 302, 303):
            if payload.kind == "json":
                headers = Headers(_KIND_HEADERS["json"]) | headers  # Accept outlives the body
            method, payload = method if method == "HEAD" else "GET", _NOTHING
            without |= {"content-length", "content-type", "content-encoding"}
        then = self._heading(method, address, payload.kind, headers, heading.auth, without)
        return _finished(then, payload)

    def _find(self, url: str, params: Any) -> Address:
        if _ABSOLUTE.match(url):
            address = address_of(url, params)
        elif self._base is None:
            raise ValueError(f"{url!r} is relative, and there is no base URL (host)")
        elif self._plain and params is None and _PLAIN_PATH.fullmatch(url):
            prefix = "" if self._base.path == "/" else self._base.path
            address = self._base._replace(path=prefix + url, url=f"{self._base_url}{url}")
        else:
            address = address_of(f"{self._base_url}{url}", params)
        return address

    def _heading(  # noqa: PLR0917 - like draft
        self,
        method: str,
        address: Address,
        kind: str,
        headers: Mapping[str, Any],
        auth: Auth | None,
        without: frozenset[str] = frozenset(),
    ) -> Heading:
        given = tuple(headers.items())
        host = self._named.get(address.origin, address.host)
        key = (host, kind, given, auth, without)
        try:
            block = self._blocks.get(key)
        except TypeError:
            block = self._block(host, kind, headers, auth, without)
        if block is None:
            block = self._block(host, kind, headers, auth, without)
            _keep(self._blocks, key, block)
        length = not block.chunked and not block.has_length
        return Heading(
            method,
            address,
            f"{method} {address.path} HTTP/1.1\r\n".encode("latin-1") + block.lines,
            length,
            block.chunked,
            block.own_cookies,
            headers,
            auth,
            without,
        )

    def _block(
        self,
        host: str,
        kind: str,
        headers: Mapping[str, Any],
        auth: Auth | None,
        without: frozenset[str],
    ) -> _Block:
        own = Headers()
        own.update(headers)  # one by one: of two spellings of a name, the last one counts
        authorization = basic_auth(*auth) if auth else self._authorization
        if authorization:
            own["Authorization"] = authorization
        own.setdefault("Accept-Encoding", ACCEPTED)
        of_kind = _KIND_HEADERS[kind]
        if kind == "json":  # FastHttpUser's order: these go before the default headers
            own = Headers(of_kind) | own
        fields = Headers({"Host": host, "User-Agent": USER_AGENT}) | self._default_headers | own
        for name, value in of_kind.items():
            fields.setdefault(name, value)
        chunked = "chunked" in str(fields.get("transfer-encoding", "")).lower()
        for name in without | ({"content-length"} if chunked else frozenset()):
            fields.discard(name)
        lines = "".join(map(_line, fields.items()))
        return _Block(
            lines.encode("latin-1"), "content-length" in fields, chunked, "cookie" in fields
        )


def _finished(heading: Heading, payload: Payload) -> Draft:
    """A heading with a body."""
    data = payload.data
    if heading.chunked:
        end = b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"\r\n0\r\n\r\n"
    elif heading.length and (data or heading.method in _WITH_LENGTH):
        end = b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
    else:
        end = b"\r\n" + data
    return Draft(heading, payload, end)


@cache
def _verb(method: str) -> str:
    if not _TOKEN.fullmatch(method) or method.upper() == "CONNECT":
        raise ValueError(f"method {method!r} cannot be used")
    return method.upper()


def _line(field: tuple[str, Any]) -> str:
    name, value = field
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"header name {name!r} cannot be sent")
    if not _VALUE.fullmatch(text):
        raise ValueError(f"value {text!r} of header {name} cannot be sent")
    return f"{name}: {text}\r\n"


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    if len(kept) >= _MAX_KEPT:
        kept.clear()
    kept[key] = value
