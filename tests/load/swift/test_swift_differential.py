"""The fast client and Locust's own, side by side: the same requests, answers and events.

Goal: changing the import in a locustfile changes nothing that its author or the server can see,
but for what is listed in ``runner.load.swift.user`` and here: the name of the client, whether
there is an ``error`` attribute on success, and messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from swiftpairs import both, close, reported, same
from swiftpeers import LocustError, Peer, cookies, echo_server, fast, fields_of, swift


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[Peer]:
    with echo_server() as peer:
        yield peer


CALLS: dict[str, Callable[[Any], Any]] = {
    "get": lambda c: c.get("/a/b?c=d&e"),
    "params": lambda c: c.get("/a?x=1", params={"y": ["2", "3"], "ü": "ß &"}),
    "quoting": lambda c: c.get("/ä b/%7Euser/%zz?q=ü ß&r=%2F"),
    "semicolons": lambda c: c.get("/a;b/c;d?e;f#fragment"),
    "empty query": lambda c: c.get("/a?"),
    "no path": lambda c: c.get(""),
    "query only": lambda c: c.get("?a=1"),
    "json": lambda c: c.post("/", json={"ä": [1, None, 2.5]}),
    "empty json": lambda c: c.post("/", json={}),
    "json by keyword": lambda c: c.put("/", json=[1]),
    "form": lambda c: c.post("/", data={"a": "1 ü", "b": 2, "c": [1, 2]}),
    "text": lambda c: c.post("/", data="grüße"),
    "bytes": lambda c: c.patch("/", data=b"\0\xff"),
    "empty data": lambda c: c.post("/", data=""),
    "own type": lambda c: c.post("/", data="<a/>", headers={"content-type": "text/xml"}),
    "own type of json": lambda c: c.post(
        "/", json=1, headers={"content-type": "a/b", "accept": "c"}
    ),
    "get with a body": lambda c: c.request("GET", "/", data="x"),
    "delete with a body": lambda c: c.delete("/", json=[1]),
    "chunked": lambda c: c.post("/", data="abc", headers={"Transfer-Encoding": "chunked"}),
    "head": lambda c: c.head("/a"),
    "options": lambda c: c.options("/a"),
    "lower case": lambda c: c.request("report", "/a"),
    "name": lambda c: c.get("/a/1", name="/a/[id]"),
    "context": lambda c: c.get("/a", context={"k": "v"}),
    "auth": lambda c: c.get("/a", auth=("user", "päss")),
    "headers": lambda c: c.get("/", headers={"x-a": "1", "X-Default": "mine", "HOST": "other"}),
    "repeated": lambda c: c.get("/", headers={"X-Two": ["a", "b"]}),
    "numbers": lambda c: c.get("/", headers={"X-Number": 5}),
    "encoding": lambda c: c.get("/", headers={"accept-encoding": "identity"}),
    "cookie": lambda c: c.get("/", headers={"Cookie": "a=b"}),
    "agent": lambda c: c.get("/", headers={"User-Agent": "x"}),
    "chunked answer": lambda c: c.get("/chunked"),
    "until close": lambda c: c.get("/until-close"),
    "closing": lambda c: c.get("/close"),
    "double": lambda c: c.get("/double"),
    "latin-1": lambda c: c.get("/text/latin-1"),
    "utf-8": lambda c: c.get("/text/utf-8"),
    "head redirect": lambda c: c.head("/redirect/302/~to"),
    "dots": lambda c: c.get("/redirect/302/..~..~.~to"),
    "query redirect": lambda c: c.get("/redirect/302/?a=b"),
    "host-relative": lambda c: c.get(
        "/redirect/302/~~" + c.base_url.split("//")[1].replace("/", "~") + "~to"
    ),
    "not followed": lambda c: c.get("/redirect/302/~to", allow_redirects=False),
    "redirect with headers": lambda c: c.post(
        "/redirect/302/~to",
        data=b"1",
        auth=("a", "b"),
        headers={"Content-Type": "a/b", "X-Kept": "1", "Cookie": "a=b", "Host": "h"},
    ),
    "redirect of chunks": lambda c: c.post(
        "/redirect/307/~to", data="abc", headers={"Transfer-Encoding": "chunked"}
    ),
    "no location": lambda c: c.get("/status/302"),
}


def _asking(method: str, path: str, **kwargs: Any) -> Callable[[Any], Any]:
    return lambda client: client.request(method, path, **kwargs)


GOOD, BAD = (200, 201, 204, 206, 226, 304), (299, 300, 305, 400, 401, 404, 429, 499, 500, 503, 999)
for _status in GOOD + BAD:
    CALLS[f"status {_status}"] = _asking("GET", f"/status/{_status}")
for _encoding in ("gzip", "deflate", "bare", "identity"):
    CALLS[f"packed {_encoding}"] = _asking("GET", f"/packed/{_encoding}")
for _status in (300, 301, 302, 303, 304, 305, 307, 308):
    for _method in ("GET", "POST", "PUT", "DELETE"):
        _path = f"/redirect/{_status}/~to?a=b"
        CALLS[f"{_method} {_status}"] = _asking(_method, _path, json=[1])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("path", ["", "/base/v1"])
def test_a_call_looks_the_same(server: Peer, call: str, path: str) -> None:
    """Method: one call with either client; the server's echo, the response and the event."""
    headers = {"X-Default": "yes", "accept": "text/plain"}
    same(both(server, CALLS[call], path, headers=headers))


@pytest.mark.parametrize("call", ["get", "json", "headers", "form", "redirect with headers"])
def test_default_headers_weigh_the_same(server: Peer, call: str) -> None:
    """Method: defaults that a call would set itself, and a Host."""
    defaults = {
        "HOST": "shop.example",
        "Content-Type": "a/b",
        "Accept-Encoding": "identity",
        "Cookie": "a=b",
        "Authorization": "Bearer x",
    }
    same(both(server, CALLS[call], headers=defaults))


def test_credentials_of_the_base_url_are_used(server: Peer) -> None:
    for make in (fast, swift):
        client, _ = make(f"http://us%40er:p%C3%A4ss@127.0.0.1:{server.port}/x")
        told = json.loads(client.get("/a").content)
        assert fields_of(told)["authorization"] == ["Basic dXNAZXI6cORzcw=="]
        close(client)
        assert client.base_url == f"{server.url}/x"


def test_other_origins_get_no_credentials(server: Peer) -> None:
    """Method: a redirect and an absolute URL to another port."""
    with echo_server() as other:

        def use(client: Any) -> Any:
            absolute = client.get(f"{other.url}/direct")
            assert json.loads(absolute.content)["target"] == "/direct"
            location = f"{other.url}/to".replace("/", "~")
            return client.get(f"/redirect/307/{location}", auth=("a", "b"))

        seen = same(both(server, use))
        assert "authorization" not in seen["seen"]["fields"]
        assert seen["seen"]["fields"]["host"] == [f"127.0.0.1:{other.port}"]


COOKIES = cookies(
    "plain=1",
    "path=2; Path=/deep",
    "elsewhere=3; Path=/other",
    "secure=4; Path=/; Secure",
    "foreign=5; Path=/; Domain=example.com",
    "gone=6; Path=/; Max-Age=0",
    "old=7; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "lasting=8; Path=/; Max-Age=1000; HttpOnly; SameSite=Lax",
    'quoted="9"',
    "plain=10",
    "wide=11; Path=/",
)


def test_cookies_are_kept_and_sent_alike(server: Peer) -> None:
    """Goal: domain, path, Secure and expiry. Method: many cookies, then two paths, then none."""

    def sent(client: Any, path: str, **headers: str) -> list[str]:
        told = json.loads(client.get(path, headers=headers).content)
        [value] = fields_of(told).get("cookie", [""])
        return sorted(value.split("; "))

    def use(client: Any) -> list[list[str]]:
        client.get(COOKIES)
        seen = [sent(client, "/cookies/"), sent(client, "/deep/x?q")]
        seen.append(sent(client, "/", cookie="own=1"))
        client.get(cookies("wide=; Path=/; Max-Age=0"))
        seen.append(sent(client, "/deep/x?q"))
        client.cookiejar.clear()
        return [*seen, sent(client, "/deep/x?q")]

    (old, _), (new, _) = both(server, use)
    assert new == old
    assert new == [
        ["lasting=8", "plain=10", 'quoted="9"', "wide=11"],
        ["lasting=8", "path=2", "wide=11"],
        ["own=1"],
        ["lasting=8", "path=2"],
        [""],
    ]


def test_a_cookie_set_by_a_redirect_is_sent_to_its_target(server: Peer) -> None:
    def use(client: Any) -> Any:
        client.get(cookies("a=1; Path=/"))
        return client.get("/redirect/302/~to", headers={"Cookie": "own=1"})

    assert same(both(server, use))["seen"]["fields"]["cookie"] == ["a=1"]


def test_redirects_have_a_limit(server: Peer) -> None:
    """Goal: a circle ends after as many steps; only the class of the exception is our own."""
    asked = []

    def use(client: Any) -> Any:
        response = client.get("/loop")
        asked.append(sum(data.count(b"GET /loop") for data in server.received))
        return response.status_code, response.content, response.headers

    (old, old_reports), (new, new_reports) = both(server, use)
    assert new == old == (0, None, None)
    assert asked == [31, 62]
    assert type(new_reports.last["exception"]).__name__ == "RedirectError"
    assert new_reports.outcome == "error"
    assert "limit" in str(old_reports.last["exception"])


@pytest.mark.parametrize("location", ["ftp:~~x~y", "http:~~~y", "http:~~x:y~"])
def test_redirects_to_nowhere_fail(server: Peer, location: str) -> None:
    client, reports = swift(server.url)
    assert client.get(f"/redirect/302/{location}").status_code == 0
    client.close()
    assert reports.outcome == "error"


def _raising(_response: Any) -> None:
    raise KeyError("x")


def _late(response: Any) -> None:
    response.failure("bad")
    raise KeyError("x")


def _renamed(response: Any) -> None:
    response.request_meta["name"] = "renamed"
    response.request_meta["context"] = {"a": 1}


def _good(response: Any) -> None:
    response.success()
    response.raise_for_status()


def _both_ways(response: Any) -> None:
    response.failure("x")
    response.success()


BLOCKS: list[Callable[[Any], None]] = [
    *(lambda _: None, _raising, _late, _renamed, _good, _both_ways),
    lambda response: response.success(),
    lambda response: response.failure("wrong"),
    lambda response: response.failure(ValueError("wrong")),
]


def _through(client: Any, path: str, block: Callable[[Any], None]) -> str:
    """How a with-block ends."""
    try:
        with client.get(path, catch_response=True) as response:
            block(response)
    except Exception as error:  # noqa: BLE001 - which one is what is compared
        return repr(error)
    return ""


def test_a_caught_response_is_judged_alike(server: Peer) -> None:
    """Method: every way through a with-block, with good and bad answers."""

    def use(client: Any) -> list[str]:
        paths = ("/a", "/status/503", "/status/404", "http://127.0.0.1:1/")
        return [_through(client, path, block) for path in paths for block in BLOCKS]

    (old, old_reports), (new, new_reports) = both(server, use)
    assert new == old
    assert [e["name"] for e in new_reports.events] == [e["name"] for e in old_reports.events]
    kinds = [[type(e["exception"]).__name__ for e in r.events] for r in (new_reports, old_reports)]
    assert kinds[0] == kinds[1]
    assert len(new_reports.events) == 4 * (len(BLOCKS) - 1)


def test_outside_of_a_block_nothing_is_judged(server: Peer) -> None:
    for make in (fast, swift):
        client, reports = make(server.url)
        response = client.get("/a")
        with pytest.raises(LocustError, match="catch_response"):
            response.success()
        with pytest.raises(LocustError, match="catch_response"):
            response.failure("x")
        caught = client.get("/a", catch_response=True)
        with pytest.raises(LocustError, match="with-block"):
            caught.success()
        assert len(reports.events) == 1
        close(client)


def test_requests_are_renamed_alike(server: Peer) -> None:
    def use(client: Any) -> Any:
        with client.rename_request("grouped"):
            client.get("/1")
            client.get("/2", name="own")
        client.request_name = "for ever"
        return client.get("/3")

    seen = both(server, use)
    same(seen)
    assert [event["name"] for event in seen[1][1].events] == ["grouped", "own", "for ever"]


@pytest.mark.parametrize("path", ["/a", "/chunked", "/until-close", "/status/204"])
def test_a_stream_is_read_alike(server: Peer, path: str) -> None:
    """Method: in pieces, by line, at once; and what is left over does not disturb the next one."""

    def use(client: Any) -> Any:
        pieces = list(client.get(path, stream=True).iter_content(chunk_size=10))
        raw = list(client.get(path, stream=True).iter_content(chunk_size=10, decode_content=False))
        whole = client.get(path, stream=True).content
        part = client.get(path, stream=True)
        part.read(3)
        part.release()
        after = client.get("/after").status_code
        ours = [b"".join(raw), "".join(pieces), whole]
        return ours, after

    (old, old_reports), (new, new_reports) = both(server, use)
    assert new == old
    assert reported(new_reports) == reported(old_reports)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda c: c.get("/", headers={"a b": "c"}), ValueError),
        (lambda c: c.get("/", headers={"a": "b\r\nc: d"}), ValueError),
        (lambda c: c.get("/", headers={"a": "\N{SNOWMAN}"}), ValueError),
        (lambda c: c.request("GET /x", "/"), ValueError),
        (lambda c: c.get("http://"), Exception),
    ],
)
def test_what_cannot_be_sent_is_raised(server: Peer, call: Any, error: type[Exception]) -> None:
    """Goal: no header can be smuggled in. Method: both clients refuse, and send nothing."""
    for make in (fast, swift):
        client, reports = make(server.url)
        before = len(server.received)
        if make is swift:
            with pytest.raises(error):
                call(client)
            assert reports.events == []
        assert len(server.received) == before
        close(client)
