"""The fast client and Locust's own, side by side: the same requests, the same answers, the same events.

Goal: changing the import in a locustfile changes nothing that its author or the server can see,
but for what is listed in ``runner.load.swift.user`` and here: the name of the client, whether
there is an ``error`` attribute on success, and messages.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from swiftpeers import Peer, Reports, cookies, echo_server, fast, fields_of, swift


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[Peer]:
    with echo_server() as peer:
        yield peer


def both(server: Peer, use: Callable[[Any], Any], path: str = "", **kwargs: Any) -> list[Any]:
    """What ``use`` gives with either client, and what they report."""
    seen = []
    for make in (fast, swift):
        client, reports = make(server.url + path, **kwargs)
        try:
            seen.append((use(client), reports))
        finally:
            close(client)
    return seen


def close(client: Any) -> None:
    """Close the connections of either client."""
    getattr(client, "client", client).close()


def shown(response: Any) -> dict[str, Any]:
    """What an author can see of a response, made comparable."""
    content = response.content
    try:
        told = json.loads(content)
        seen: Any = {**told, "fields": fields_of(told)}
    except (TypeError, ValueError):
        seen = content
    headers = None if response.headers is None else dict(response.headers.itermerged())
    return {
        "status": response.status_code,
        "seen": seen,
        "headers": headers,
        "text": response.text if seen is content else None,
        "url": response.url,
        "asked": (response.request.method, response.request.url),
        "error": type(getattr(response, "error", None)).__name__,
        "history": [each.status_code for each in response.history],
    }


def reported(reports: Reports) -> list[dict[str, Any]]:
    """The events, without what is a measurement."""
    events = []
    for event in reports.events:
        assert isinstance(event["response_time"], float)
        assert isinstance(event["start_time"], float)
        kept = {
            name: value
            for name, value in event.items()
            if name not in {"response", "response_time", "start_time"}
        }
        kept["exception"] = repr(event["exception"])
        kept["fields"] = sorted(event)
        kept["outcome"] = reports.outcome
        events.append(kept)
    return events


def same(seen: list[Any], server: Peer | None = None) -> dict[str, Any]:
    """Assert that two clients saw and reported the same; what the fast one saw."""
    (old, old_reports), (new, new_reports) = seen
    assert shown(new) == shown(old)
    assert reported(new_reports) == reported(old_reports)
    return shown(new)


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
    "own type of json": lambda c: c.post("/", json=1, headers={"content-type": "a/b", "accept": "c"}),
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
    **{f"packed {name}": (lambda c, name=name: c.get(f"/packed/{name}")) for name in ("gzip", "deflate", "bare", "identity")},
    **{
        f"status {status}": (lambda c, status=status: c.get(f"/status/{status}"))
        for status in (200, 201, 204, 206, 226, 299, 300, 304, 305, 400, 401, 404, 429, 499, 500, 503, 599, 600, 999)
    },
    **{
        f"{method} {status}": (lambda c, method=method, status=status: c.request(method, f"/redirect/{status}/~to?a=b", json=[1]))
        for status in (300, 301, 302, 303, 304, 305, 307, 308)
        for method in ("GET", "POST", "PUT", "DELETE")
    },
    "head redirect": lambda c: c.head("/redirect/302/~to"),
    "dots": lambda c: c.get("/redirect/302/..~..~.~to"),
    "query redirect": lambda c: c.get("/redirect/302/?a=b"),
    "host-relative": lambda c: c.get("/redirect/302/~~" + c.base_url.split("//")[1].replace("/", "~") + "~to"),
    "not followed": lambda c: c.get("/redirect/302/~to", allow_redirects=False),
    "redirect with headers": lambda c: c.post(
        "/redirect/302/~to",
        data=b"1",
        auth=("a", "b"),
        headers={"Content-Type": "a/b", "X-Kept": "1", "Cookie": "a=b", "Host": "h"},
    ),
    "redirect of chunks": lambda c: c.post("/redirect/307/~to", data="abc", headers={"Transfer-Encoding": "chunked"}),
    "no location": lambda c: c.get("/status/302"),
}  # fmt: skip


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

    def use(client: Any) -> Any:
        client.get(COOKIES)
        plain = client.get("/cookies/")
        sent = [fields_of(json.loads(plain.content))["cookie"]]
        sent.append(fields_of(json.loads(client.get("/deep/x?q").content))["cookie"])
        sent.append(fields_of(json.loads(client.get("/", headers={"cookie": "own=1"}).content))["cookie"])
        client.get(cookies("wide=; Path=/; Max-Age=0"))
        sent.append(fields_of(json.loads(client.get("/deep/x?q").content))["cookie"])
        client.cookiejar.clear()
        sent.append(fields_of(json.loads(client.get("/deep/x?q").content)).get("cookie"))
        return sent

    (old, _), (new, _) = both(server, use)
    assert new == old
    assert sorted(new[0][0].split("; ")) == ["lasting=8", "plain=10", 'quoted="9"', "wide=11"]
    assert sorted(new[1][0].split("; ")) == ["lasting=8", "path=2", "wide=11"]
    assert new[2] == ["own=1"]
    assert sorted(new[3][0].split("; ")) == ["lasting=8", "path=2"]
    assert new[4] is None


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
    assert reports.outcome == "error"


def test_a_caught_response_is_judged_alike(server: Peer) -> None:
    """Method: every way through a with-block, with good and bad answers."""

    def nothing(_response: Any) -> None:
        pass

    def raising(_response: Any) -> None:
        raise KeyError("x")

    def late(response: Any) -> None:
        response.failure("bad")
        raise KeyError("x")

    def renamed(response: Any) -> None:
        response.request_meta["name"] = "renamed"
        response.request_meta["context"] = {"a": 1}

    def checked(response: Any) -> None:
        response.success()
        response.raise_for_status()

    blocks: list[Callable[[Any], None]] = [
        nothing,
        raising,
        late,
        renamed,
        checked,
        lambda r: r.success(),
        lambda r: r.failure("wrong"),
        lambda r: r.failure(ValueError("wrong")),
        lambda r: (r.failure("x"), r.success()),
    ]

    def use(client: Any) -> Any:
        ends = []
        for path in ("/a", "/status/503", "/status/404", "http://127.0.0.1:1/"):
            for block in blocks:
                try:
                    with client.get(path, catch_response=True) as response:
                        block(response)
                except Exception as error:  # noqa: BLE001 - which one is what is compared
                    ends.append(repr(error))
                else:
                    ends.append("")
        return ends

    (old, old_reports), (new, new_reports) = both(server, use)
    assert new == old
    assert [e["name"] for e in new_reports.events] == [e["name"] for e in old_reports.events]
    kinds = [[type(e["exception"]).__name__ for e in r.events] for r in (new_reports, old_reports)]
    assert kinds[0] == kinds[1]
    assert len(new_reports.events) == 4 * (len(blocks) - 1)


def test_outside_of_a_block_nothing_is_judged(server: Peer) -> None:
    from locust.exception import LocustError

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


paths = st.text(string.ascii_letters + string.digits + "/-._~%äß ;,:@&=+$!*'()?#", max_size=20)
names = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=8).filter(
    lambda name: name.lower() not in {"host", "content-length", "transfer-encoding", "expect", "connection", "te", "upgrade"}
)
values = st.text("".join(map(chr, [*range(0x21, 0x7F), *range(0xA0, 0x100)])), max_size=8)
plain = st.text(max_size=8).filter(lambda text: text.isprintable())
requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "X-Y"]),
        "url": paths.map(lambda path: "/" + path.lstrip("/")),
    },
    optional={
        "headers": st.dictionaries(names.map(lambda n: "X" + n), values, max_size=3),
        "params": st.dictionaries(plain, st.one_of(plain, st.integers(), st.lists(plain, max_size=2)), max_size=3),
        "data": st.one_of(plain, st.binary(max_size=40), st.dictionaries(plain, plain, max_size=3)),
        "json": st.recursive(st.none() | st.integers() | plain, lambda x: st.lists(x, max_size=2) | st.dictionaries(plain, x, max_size=2), max_leaves=4),
        "name": plain,
        "auth": st.tuples(st.text(string.ascii_letters, max_size=5), st.text(string.ascii_letters, max_size=5)),
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=requests)
def test_any_request_looks_the_same(server: Peer, request: dict[str, Any]) -> None:
    """Goal: nothing was forgotten above. Method: random requests, the echo of either client."""
    try:
        seen = both(server, lambda client: client.request(**request))
    except ValueError as refused:
        # geventhttpclient has refused it: so do we.
        client, _ = swift(server.url)
        with pytest.raises(ValueError, match=""):
            client.request(**request)
        assert refused.args
        return
    same(seen)
