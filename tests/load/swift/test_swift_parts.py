"""The pure parts of the fast client: requests, content encodings, cookies."""

from __future__ import annotations

import gzip
import io
import zlib

import brotli  # type: ignore[import-untyped]
import pytest
import swiftpeers  # noqa: F401 - before Locust
from hypothesis import given
from hypothesis import strategies as st

from runner.load.swift.address import Origin, address_of
from runner.load.swift.content import ACCEPTED, unpack, unpackers
from runner.load.swift.cookies import Jar
from runner.load.swift.failures import ContentError, OversizeError, UnsupportedError
from runner.load.swift.request import RequestWriter, payload_of


def sent(writer: RequestWriter, method: str, url: str, **kwargs: object) -> bytes:
    draft = writer.draft(method, url, **kwargs)  # type: ignore[arg-type]
    return draft.heading.start + draft.end


def test_a_request_is_these_bytes() -> None:
    writer = RequestWriter("http://h:81/v1", {"Host": "shop", "X-Run": "7"})
    agent = b"User-Agent: seatrial/0.1.0\r\n"
    assert sent(writer, "GET", "/a?b=c") == (
        b"GET /v1/a?b=c HTTP/1.1\r\nHost: shop\r\n" + agent + b"X-Run: 7\r\n"
        b"Accept-Encoding: gzip, deflate, br\r\n\r\n"
    )
    assert sent(writer, "POST", "/a", json={"b": 1}) == (
        b"POST /v1/a HTTP/1.1\r\nHost: shop\r\n" + agent + b"X-Run: 7\r\n"
        b"Content-Type: application/json\r\nAccept: application/json\r\n"
        b"Accept-Encoding: gzip, deflate, br\r\nContent-Length: 8\r\n\r\n" + b'{"b": 1}'
    )


def test_writing_is_the_same_the_second_time_and_after_thousands_of_urls() -> None:
    """Goal: what is kept never changes what is sent, and does not grow without bound."""
    writer, fresh = RequestWriter("http://h"), RequestWriter("http://h")
    for number in range(5000):
        url = f"/a/{number}?x=ä" if number % 2 else f"/a/{number}"
        headers = {"X-Number": str(number)}
        assert sent(writer, "PUT", url, data="x", headers=headers) == sent(
            RequestWriter("http://h") if number % 500 == 0 else fresh,
            *("PUT", url),
            data="x",
            headers=headers,
        )
    assert sent(writer, "GET", "/a/1?x=ä") == sent(fresh, "GET", "/a/1?x=ä")
    assert len(writer._headings) <= 2000
    assert len(writer._blocks) <= 2000


@pytest.mark.parametrize(
    ("url", "origin", "host", "path"),
    [
        ("http://h", ("http", "h", 80), "h", "/"),
        ("http://H:80/a", ("http", "h", 80), "h", "/a"),
        ("https://h:80/a", ("https", "h", 80), "h:80", "/a"),
        ("https://u:p@h?x#y", ("https", "h", 443), "h", "/?x"),
        ("http://[::1]:8080/", ("http", "::1", 8080), "[::1]:8080", "/"),
        (
            "http://bücher.example/ü",
            ("http", "xn--bcher-kva.example", 80),
            "xn--bcher-kva.example",
            "/%C3%BC",
        ),
    ],
)
def test_a_url_is_taken_apart(url: str, origin: tuple[str, str, int], host: str, path: str) -> None:
    target = address_of(url)
    assert (target.origin, target.host, target.path) == (Origin(*origin), host, path)


@pytest.mark.parametrize("url", ["ftp://h/", "http://", "h/a", "http://h:99999/", "http://h//a"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|cannot|range"):
        address_of(url)


def test_a_relative_url_needs_a_base() -> None:
    with pytest.raises(ValueError, match="no base URL"):
        RequestWriter(None).draft("GET", "/a")
    assert RequestWriter(None).draft("GET", "http://h/a").heading.address.path == "/a"


def test_files_and_pieces_are_sent_whole() -> None:
    assert payload_of(io.BytesIO(b"abc"), None).data == b"abc"
    assert payload_of(io.StringIO("äbc"), None).data == "äbc".encode()
    assert payload_of([b"ab", "ç"], None).data == b"ab\xc3\xa7"
    with pytest.raises(UnsupportedError, match="type int"):
        payload_of(5, None)


@given(
    body=st.binary(max_size=300),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    encoding=st.sampled_from(["gzip", "deflate", "bare", "br", "members", "twice"]),
)
def test_content_is_unpacked_whole_and_in_pieces(
    body: bytes, cuts: list[int], encoding: str
) -> None:
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    name, packed = {
        "gzip": ("gzip", gzip.compress(body)),
        "deflate": ("deflate", zlib.compress(body)),
        "bare": ("Deflate", bare.compress(body) + bare.flush()),
        "br": ("br", brotli.compress(body)),
        "members": ("x-gzip", gzip.compress(body[:9]) + gzip.compress(body[9:]) + bytes(8)),
        "twice": ("deflate, gzip", gzip.compress(zlib.compress(body))),
    }[encoding]
    assert unpack(packed, name, 1000) == body
    steps = unpackers(name)
    out, at = b"", 0
    while at < len(packed):
        piece = packed[at : at + cuts[at % len(cuts)]]
        at += len(piece)
        for step in steps:
            piece = step.feed(piece, 1000)
        out += piece
    for step in steps:
        step.close()
    assert out == body


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "identity"])
def test_a_bomb_is_stopped_at_the_limit(name: str) -> None:
    zeros = bytes(5_000_000)
    packed = {
        "gzip": gzip.compress(zeros),
        "deflate": zlib.compress(zeros),
        "br": brotli.compress(zeros),
        "identity": zeros,
    }[name]
    with pytest.raises(OversizeError, match="more than 100000 bytes"):
        unpack(packed, name, 100_000)
    [step] = unpackers(name)
    assert 100_000 < len(step.feed(packed, 100_000)) < 300_000


def test_nothing_packed_is_nothing() -> None:
    assert unpack(b"", "gzip", 10) == b""
    assert unpack(b"", "rot13", 10) == b""
    with pytest.raises(ContentError, match="'rot13'"):
        unpack(b"x", "rot13", 10)
    assert ACCEPTED == "gzip, deflate, br"


def test_a_kept_cookie_header_ends_with_the_first_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: the jar is asked again when a cookie expires. Method: a clock that is moved on."""
    now = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    jar = Jar()
    filled = [jar.filled]
    jar.take(["short=1; Max-Age=10", "long=2; Max-Age=100", "session=3"], "http://h/a")
    assert [*filled, jar.filled] == [False, True]
    assert sorted(jar.header_for("http://h/a").split("; ")) == ["long=2", "session=3", "short=1"]
    now[0] += 9
    assert "short=1" in jar.header_for("http://h/a")
    now[0] += 2
    assert sorted(jar.header_for("http://h/a").split("; ")) == ["long=2", "session=3"]
    assert jar.header_for("http://other/a") == ""
    jar.clear()
    assert jar.header_for("http://h/a") == ""


def test_an_author_may_change_his_headers_afterwards() -> None:
    """Goal: what is kept is a copy. Method: change the dict, then follow a redirect."""
    writer = RequestWriter("http://h")
    headers = {"X-A": "1"}
    writer.draft("GET", "/a", headers=headers)
    headers["X-A"] = "2"
    draft = writer.draft("GET", "/a", headers={"X-A": "1"})
    after = writer.redirected(draft, 302, "/b", draft.heading.address.origin)
    assert b"X-A: 1\r\n" in after.heading.start
