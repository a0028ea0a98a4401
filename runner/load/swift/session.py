"""The client of one user: FastHttpSession's interface over our own connections."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from time import perf_counter
from typing import Any

from gevent import Timeout
from locust.contrib.fasthttp import LocustBadStatusCode

from runner.load.swift.address import Address, Origin, address_of, split_credentials
from runner.load.swift.connection import Connection, ConnectionPool, Marks
from runner.load.swift.content import unpack
from runner.load.swift.cookies import Jar
from runner.load.swift.failures import AnswerError, RedirectError, UnsupportedError
from runner.load.swift.request import Auth, Draft, RequestWriter
from runner.load.swift.response import CaughtResponse, SwiftResponse
from runner.load.swift.stream import BodyStream

GOOD_STATUSES = frozenset(
    {200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 301, 302, 303, 304, 307, 308}
)
"""The same as FastHttpUser's: every other status is a failure."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_BODY = 256 * 1024 * 1024

_FAILURES = (OSError, AnswerError, Timeout)
_NO_CONTEXT: Mapping[str, Any] = {}


class SwiftHttpSession:
    """Sends requests one user's way, and reports each as Locust's ``request`` event.

    The time of a request counts, like FastHttpUser's, from just before a connection is taken or
    made to the last byte of the body, content encoding undone, redirects included; with ``stream``
    to the end of the head.

    Args:
        base_url: What is put before paths; may hold user and password.
        request_event: Locust's event.
        user: Whose client this is; its ``context()`` goes into every event.
        pool: The connections.
        headers: Fields for every request.
        max_redirects: How many redirects are followed in a row.
        max_body: Most bytes of a body, packed or unpacked, unless it is streamed.
    """

    def __init__(
        self,
        base_url: str | None,
        request_event: Any,
        user: Any = None,
        *,
        pool: ConnectionPool | None = None,
        headers: Mapping[str, Any] | None = None,
        max_redirects: int = 30,
        max_body: int = MAX_BODY,
    ) -> None:
        self.request_event = request_event
        self.user = user
        self.cookiejar = Jar()
        self.request_name: str | None = None
        """A name for all requests that are given none."""
        self._pool = ConnectionPool() if pool is None else pool
        self._default_headers = headers
        self._max_redirects = max_redirects
        self._max_body = max_body
        self._base_url = base_url
        self._auth_header: str | None = None
        self._named: tuple[tuple[Origin, str], ...] = ()
        if base_url:
            self._base_url, self._auth_header = split_credentials(base_url)
        self._writer = self._make_writer()

    @property
    def base_url(self) -> str | None:
        return self._base_url

    @base_url.setter
    def base_url(self, url: str | None) -> None:
        self._base_url = url
        self._writer = self._make_writer()

    @property
    def auth_header(self) -> str | None:
        """Value of the Authorization header of every request."""
        return self._auth_header

    @auth_header.setter
    def auth_header(self, value: str | None) -> None:
        self._auth_header = value
        self._writer = self._make_writer()

    def name_host(self, host: str) -> None:
        """Send ``host`` as the Host header of requests, and redirects, to whom the base URL names.

        A Host header that the author gives goes before it. A base URL that is set later is another
        server's.
        """
        if self._base_url:
            self._named = ((address_of(self._base_url).origin, host),)
            self._writer = self._make_writer()

    @contextmanager
    def rename_request(self, name: str) -> Iterator[None]:
        """Give all requests of a with-block one name."""
        self.request_name = name
        try:
            yield
        finally:
            self.request_name = None

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.close()

    def request(  # noqa: PLR0917 - the order of FastHttpSession, which locustfiles may use
        self,
        method: str,
        url: str,
        name: str | None = None,
        data: Any = None,
        catch_response: bool = False,
        stream: bool = False,
        headers: Mapping[str, Any] | None = None,
        auth: Auth | None = None,
        json: Any = None,
        allow_redirects: bool = True,
        context: Mapping[str, Any] = _NO_CONTEXT,
        params: Any = None,
        files: Any = None,
    ) -> Any:
        """Send a request; a failure to get an answer is reported, never raised.

        Args:
            method: Any method but CONNECT.
            url: A path below the base URL, or an absolute URL.
            name: What the request is called in the statistics; the URL if None.
            data: The body: str, bytes, a mapping (sent as a form), a file, or pieces of bytes.
            catch_response: Return a context manager whose block may judge the response.
            stream: Return after the head; the body is read from the response.
            headers: Fields for this request; they go before the default ones.
            auth: User and password for basic authentication.
            json: What to send as JSON, if there is no ``data``.
            allow_redirects: Follow redirects.
            context: Goes into the event.
            params: What to add to the query.
            files: Not supported.

        Returns:
            A :class:`SwiftResponse`, or a :class:`CaughtResponse` if ``catch_response``.

        Raises:
            ValueError: A method, header or URL that cannot be sent.
            UnsupportedError: ``files``, or a body that cannot be sent.
        """
        if files:
            raise _no_files()
        name = name or self.request_name
        start_time = time.time()
        if self.user:
            context = {**self.user.context(), **context}
        draft = self._writer.draft(method, url, data, json, headers, auth, params)
        kind = CaughtResponse if catch_response else SwiftResponse
        response = self._ask(draft, kind, stream, allow_redirects)
        meta = {
            "request_type": method,
            "name": name or url,
            "context": context,
            "response": response,
            "exception": response.error,
            "start_time": start_time,
            "url": draft.heading.address.url,
            "response_length": _length(response) if stream else len(response.body or b""),
            "response_time": (response.ended_s - response.began_s) * 1000,
        }
        if isinstance(response, CaughtResponse):
            response.will_report(self.request_event, meta)
        else:
            self.request_event.fire(**meta)
        return response

    def get(self, url: str, **kwargs: Any) -> Any:
        """Send a GET, like :meth:`request`."""
        return self.request("GET", url, **kwargs)

    def post(self, url: str, data: Any = None, json: Any = None, **kwargs: Any) -> Any:
        """Send a POST, like :meth:`request`."""
        return self.request("POST", url, data=data, json=json, **kwargs)

    def put(self, url: str, data: Any = None, **kwargs: Any) -> Any:
        """Send a PUT, like :meth:`request`."""
        return self.request("PUT", url, data=data, **kwargs)

    def patch(self, url: str, data: Any = None, **kwargs: Any) -> Any:
        """Send a PATCH, like :meth:`request`."""
        return self.request("PATCH", url, data=data, **kwargs)

    def delete(self, url: str, **kwargs: Any) -> Any:
        """Send a DELETE, like :meth:`request`."""
        return self.request("DELETE", url, **kwargs)

    def head(self, url: str, **kwargs: Any) -> Any:
        """Send a HEAD, like :meth:`request`."""
        return self.request("HEAD", url, **kwargs)

    def options(self, url: str, **kwargs: Any) -> Any:
        """Send an OPTIONS, like :meth:`request`."""
        return self.request("OPTIONS", url, **kwargs)

    def iter_lines(self, url: str, method: str = "GET", **kwargs: Any) -> Iterator[str]:
        """Send a request and give the lines of its answer as they come, without their ends.

        Raises:
            Exception: Whatever made the request fail.
        """
        response = self.request(method, url, stream=True, **kwargs)
        response.raise_for_status()
        for line in response.stream:
            yield line.removesuffix(b"\n").decode("utf-8", errors="replace")

    def _make_writer(self) -> RequestWriter:
        return _writer(self._base_url, self._default_headers, self._auth_header, self._named)

    def _ask(
        self, draft: Draft, kind: type[SwiftResponse], stream: bool, allow_redirects: bool
    ) -> SwiftResponse:
        """Send a request and take the time; a response that says why there is none, if need be."""
        began_s = perf_counter()
        try:
            response = self._follow(draft, kind, began_s, stream, allow_redirects)
            ended_s = perf_counter()
        except _FAILURES as error:
            ended_s = perf_counter()
            response = kind(draft)
            response.error = _without_traces(error)
        else:
            if response.status_code not in GOOD_STATUSES:
                response.error = LocustBadStatusCode(response.url, code=response.status_code)
        response.began_s, response.ended_s = began_s, ended_s
        return response

    def _follow(
        self,
        draft: Draft,
        kind: type[SwiftResponse],
        began_s: float,
        stream: bool,
        allow_redirects: bool,
    ) -> SwiftResponse:
        """Send a request, and those that its answers ask for."""
        jar, first = self.cookiejar, draft.heading.address.origin
        earlier: list[SwiftResponse] = []
        asked_s = began_s
        while True:
            heading = draft.heading
            data = heading.start + draft.end
            if jar.filled and not heading.own_cookies:
                cookies = jar.header_for(_cookie_url(heading.address))
                if cookies:
                    data = b"%bCookie: %b\r\n%b" % (heading.start, cookies.encode(), draft.end)
            connection, marks = self._pool.exchange(
                heading.address.origin,
                heading.method,
                data,
                asked_s,
                began_s=began_s,
                whole=not stream,
                limit=self._max_body,
            )
            response = self._receive(draft, kind, connection, marks, stream)
            if response.status_code not in REDIRECTS or not allow_redirects:
                break
            locations = response.headers.getlist("location") if response.headers else []
            if len(locations) != 1 or not locations[0] or self._max_redirects <= 0:
                break
            response.release()
            earlier.append(response)
            if len(earlier) > self._max_redirects:
                raise RedirectError(f"more than {self._max_redirects} redirects")
            try:
                draft = self._writer.redirected(draft, response.status_code, locations[0], first)
            except ValueError as error:
                raise RedirectError(f"a redirect that cannot be followed: {error}") from error
            asked_s = perf_counter()
        if earlier:
            response.history = earlier
        return response

    def _receive(
        self,
        draft: Draft,
        kind: type[SwiftResponse],
        connection: Connection,
        marks: Marks,
        stream: bool,
    ) -> SwiftResponse:
        """Make a response of what a connection has read, and give the connection back."""
        reader = connection.reader
        head = reader.head()
        folded = head.lower()
        response = kind(draft, reader.status, head, marks)
        packed = b"\r\ncontent-encoding:" in folded
        encodings = ",".join(response.fields("content-encoding")) if packed else ""
        if stream:
            response.body_stream = BodyStream(self._pool, connection, encodings, self._max_body)
        else:
            chunks = reader.chunks
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self._pool.give_back(connection)
            response.body = unpack(body, encodings, self._max_body) if packed else body
        if b"\r\nset-cookie:" in folded:
            self.cookiejar.take(response.fields("set-cookie"), _cookie_url(draft.heading.address))
        return response


def _writer(
    base_url: str | None,
    headers: Mapping[str, Any] | None,
    authorization: str | None,
    named: tuple[tuple[Origin, str], ...],
) -> RequestWriter:
    """The same writer for all users who would write the same."""
    try:
        return _shared_writer(base_url, tuple((headers or {}).items()), authorization, named)
    except TypeError:  # a list of values cannot be looked up
        return RequestWriter(base_url, headers, authorization, dict(named))


@lru_cache(maxsize=64)
def _shared_writer(
    base_url: str | None,
    headers: tuple[tuple[str, Any], ...],
    authorization: str | None,
    named: tuple[tuple[Origin, str], ...],
) -> RequestWriter:
    return RequestWriter(base_url, dict(headers), authorization, dict(named))


def _cookie_url(address: Address) -> str:
    path = address.path.partition("?")[0]
    return f"{address.origin.scheme}://{address.host}{path}"


def _length(response: SwiftResponse) -> int:
    """What the head of a streamed answer says."""
    lengths = response.fields("content-length")
    return int(lengths[0]) if lengths else 0


def _without_traces(error: BaseException) -> BaseException:
    """The error; its traces, and those of its causes, would hold the response in a circle."""
    inner: BaseException | None = error
    while inner is not None and inner.__traceback__ is not None:
        inner = inner.with_traceback(None)
        inner = inner.__cause__ or inner.__context__
    return error


def _no_files() -> UnsupportedError:
    return UnsupportedError(
        "files= cannot be sent by this client",
        accepted="data= with a body in multipart/form-data, and its Content-Type",
        hint="or let this user class inherit from FastHttpUser",
    )
