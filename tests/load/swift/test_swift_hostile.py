"""The fast client against servers that cut, break, stall, lie and hang up."""

from __future__ import annotations

import gzip
import itertools
import socket
import time
import zlib
from typing import Any

import gevent
import pytest
from swiftpeers import HOLD, REQUEST, RESET, Line, answer, scripted, serving, swift

OK = answer(b"ok")


def test_an_answer_may_be_cut_at_every_byte() -> None:
    """Goal: framing never depends on packets. Method: each answer in two parts, cut anywhere."""
    answers = [
        answer(b"hello", X_Note="a"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
        + answer(b"hello"),
    ]
    cuts = [(each, at) for each in answers for at in range(1, len(each))]
    steps: list[Any] = []
    for each, at in cuts:
        steps += [REQUEST, each[:at], 0.0005, each[at:]]
    with scripted(steps) as peer:
        client, reports = swift(peer.url)
        for number, (_, at) in enumerate(cuts):
            response = client.get(f"/{number}")
            assert (response.status_code, response.content) == (200, b"hello"), at
        client.close()
    assert len(peer.received) == 1, "one connection carried all of them"
    assert {event["exception"] for event in reports.events} == {None}


def test_an_answer_may_come_byte_by_byte() -> None:
    data = answer(b"hello", Content_Type="text/plain")
    with scripted(
        [REQUEST, *itertools.chain.from_iterable((data[i : i + 1], 0.0) for i in range(len(data)))]
    ) as peer:
        client, _ = swift(peer.url)
        assert client.get("/").text == "hello"
        client.close()


@pytest.mark.parametrize(
    ("head", "method", "status"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", 204),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", "GET", 204),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "GET", 304),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", 304),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "HEAD", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\n", "HEAD", 200),
    ],
)
def test_answers_without_a_body_keep_the_connection(head: bytes, method: str, status: int) -> None:
    """Goal: no wait for a body that never comes, and the next answer is the next request's."""
    with scripted([REQUEST, head, REQUEST, OK]) as peer:
        client, reports = swift(peer.url)
        first = client.request(method, "/")
        assert (first.status_code, first.content) == (status, b"")
        assert client.get("/next").content == b"ok"
        client.close()
    assert peer.requests == [2]
    assert [event["exception"] for event in reports.events] == [None, None]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
    ],
)
def test_a_connection_that_ends_with_the_answer_is_replaced(data: bytes) -> None:
    with scripted([REQUEST, data], [REQUEST, data]) as peer:
        client, reports = swift(peer.url)
        assert [client.get("/").content, client.get("/").content] == [b"hello", b"hello"]
        client.close()
    assert peer.requests == [1, 1]
    assert [event["exception"] for event in reports.events] == [None, None]


def test_http_1_0_can_keep_its_connection() -> None:
    data = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    with scripted([REQUEST, data, REQUEST, data]) as peer:
        client, _ = swift(peer.url)
        assert client.get("/").content + client.get("/").content == b"okok"
        client.close()
    assert peer.requests == [2]


@pytest.mark.parametrize(
    "surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"garbage", b"\0"]
)
@pytest.mark.parametrize("pause", [(), (0.02,)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_nobody_asked_for_is_nobodys_answer(
    surplus: bytes, pause: tuple[float, ...], method: str
) -> None:
    """Goal: bytes behind an answer never become the next one's. Method: with it, and after it."""
    first = OK if method == "GET" else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    steps = [first, *pause, surplus] if pause else [first + surplus]
    with scripted([REQUEST, *steps, HOLD], [REQUEST, answer(b"right")]) as peer:
        client, reports = swift(peer.url)
        assert client.request(method, "/").status_code == 200
        gevent.sleep(0.05)
        assert client.post("/next", data="x").content == b"right"
        client.close()
    assert [event["exception"] for event in reports.events] == [None, None]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNa me: x\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"<html>hello</html>",
    ],
)
def test_what_is_no_http_is_an_error(data: bytes) -> None:
    """Goal: contradictions are refused, not guessed at, and the connection is not used again."""
    with scripted([REQUEST, data, HOLD], [REQUEST, OK]) as peer:
        client, reports = swift(peer.url)
        response = client.get("/")
        assert (response.status_code, response.content, response.ok) == (0, None, False)
        assert type(response.error).__name__ == "FramingError"
        assert reports.outcome == "error"
        assert client.get("/").content == b"ok"
        client.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTT",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
@pytest.mark.parametrize("end", [(), (RESET,)])
def test_an_answer_that_breaks_off_is_a_lost_connection(
    data: bytes, end: tuple[object, ...]
) -> None:
    """Goal: half an answer is none, whether the peer ends or resets the connection."""
    with scripted([REQUEST, data, 0.02, *end]) as peer:
        client, reports = swift(peer.url)
        response = client.get("/")
        client.close()
    assert (response.status_code, response.headers, response.text) == (0, None, None)
    assert reports.outcome == "connection"
    assert reports.last["response_length"] == 0
    assert len(peer.received) == 1, "a new connection is no reason to try again"


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        client, reports = swift(f"http://127.0.0.1:{probe.getsockname()[1]}")
        response = client.get("/")
    assert isinstance(response.error, ConnectionRefusedError)
    assert reports.outcome == "connection"
    assert reports.last["response_time"] >= 0


def test_a_name_that_does_not_exist() -> None:
    client, reports = swift("http://nobody.invalid")
    assert isinstance(client.get("/").error, socket.gaierror)
    assert reports.outcome == "connection"


@pytest.mark.parametrize(
    ("method", "connections"), [("GET", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)]
)
@pytest.mark.parametrize("end", [(), (RESET,)])
def test_a_stale_connection_repeats_only_what_may_be_repeated(
    method: str, connections: int, end: tuple[object, ...]
) -> None:
    """Goal: a POST is never sent twice. Method: the second request is answered by hanging up."""
    with scripted([REQUEST, OK, REQUEST, *end], [REQUEST, answer(b"again")]) as peer:
        client, reports = swift(peer.url)
        assert client.get("/").content == b"ok"
        response = client.request(method, "/second", data="body")
        client.close()
    assert len(peer.received) == connections
    sent = b"".join(peer.received).count(b" /second ")
    if connections == 2:
        assert (response.content, sent) == (b"again", 2)
        assert response.timing.before_s >= 0
    else:
        assert (response.status_code, sent, reports.outcome) == (0, 1, "connection")


def test_a_stale_connection_repeats_once() -> None:
    steps = [REQUEST, OK, REQUEST]
    with scripted(steps, [REQUEST], [REQUEST, OK]) as peer:
        client, reports = swift(peer.url)
        client.get("/")
        assert client.get("/").status_code == 0
        client.close()
    assert (len(peer.received), reports.outcome) == (2, "connection")


def test_half_an_answer_on_a_kept_connection_is_not_repeated() -> None:
    with scripted([REQUEST, OK, REQUEST, b"HTTP/1.1 200"], [REQUEST, OK]) as peer:
        client, reports = swift(peer.url)
        client.get("/")
        assert client.get("/").status_code == 0
        client.close()
    assert (len(peer.received), reports.outcome) == (1, "connection")


@pytest.mark.parametrize("end", [(), (RESET,)])
def test_a_connection_that_was_closed_in_between_costs_nothing(end: tuple[object, ...]) -> None:
    """Goal: keep-alive timeouts of servers are no failures, not even for a POST."""
    with scripted([REQUEST, OK, *end], [REQUEST, answer(b"new")]) as peer:
        client, reports = swift(peer.url)
        client.get("/")
        gevent.sleep(0.05)
        assert client.post("/", data="x").content == b"new"
        client.close()
    assert peer.requests == [1, 1]
    assert [event["exception"] for event in reports.events] == [None, None]


def test_a_head_has_a_bound() -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"X-Filler: %b\r\n" % (b"x" * 1000) * 1000
    with scripted(
        [REQUEST, head, HOLD], [REQUEST, head[:60_000] + b"\r\nContent-Length: 2\r\n\r\nok"]
    ) as peer:
        client, reports = swift(peer.url)
        assert type(client.get("/").error).__name__ == "OversizeError"
        assert reports.outcome == "error"
        large = client.get("/")
        assert (large.content, len(large.headers.getlist("x-filler"))) == (b"ok", 60)
        client.close()


def test_endless_interim_answers_have_a_bound() -> None:
    with scripted([REQUEST, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000, HOLD]) as peer:
        client, _ = swift(peer.url)
        assert type(client.get("/").error).__name__ == "OversizeError"
        client.close()


def test_a_body_has_a_bound_packed_or_not() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    assert len(bomb) < 20_000
    with scripted(
        [REQUEST, answer(bytes(30_000)), HOLD],
        [REQUEST, answer(bomb, Content_Encoding="gzip")],
        [REQUEST, b"HTTP/1.1 200 OK\r\n\r\n" + bytes(30_000), HOLD],
    ) as peer:
        client, reports = swift(peer.url, max_body=20_000)
        kinds = {type(client.get("/").error).__name__ for _ in range(3)}
        client.close()
    assert kinds == {"OversizeError"}
    assert reports.outcome == "error"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"no gzip"),
        ("gzip", gzip.compress(b"hello", mtime=0)[:-6]),
        ("deflate", b"\x78\x9c\xff\xff"),
        ("deflate", zlib.compress(b"hello")[:-5]),
        ("br", b"\xff\xff\xff"),
        ("zstd", b"hello"),
        ("gzip, rot13", b"hello"),
    ],
)
def test_content_that_cannot_be_unpacked_is_an_error(encoding: str, body: bytes) -> None:
    with scripted([REQUEST, answer(body, Content_Encoding=encoding), REQUEST, OK]) as peer:
        client, reports = swift(peer.url)
        response = client.get("/")
        assert type(response.error).__name__ == "ContentError"
        assert (response.status_code, reports.outcome) == (0, "error")
        assert client.get("/").content == b"ok"
        client.close()
    assert peer.requests == [2], "the framing was right, so the connection stays"


def test_a_large_body_arrives_whole_both_ways() -> None:
    """Goal: more than the buffers of the kernel hold. Method: 8 MiB there and back."""
    large = bytes(range(256)) * 32_768

    def handle(line: Line) -> None:
        request = line.request()
        assert request is not None
        line.send(answer(request[1]))

    with serving(handle) as peer:
        client, reports = swift(peer.url)
        response = client.post("/", data=large)
        client.close()
    assert response.content == large
    assert reports.last["response_length"] == len(large)


@pytest.mark.parametrize("hangs_up", [True, False])
def test_an_early_refusal_of_a_large_body_is_heard(hangs_up: bool) -> None:
    """Goal: 413 is reported as 413, though the request was never sent to its end, and what was
    begun is not gone on with, even if the server would keep the connection.
    """

    def handle(line: Line) -> None:
        line.read()
        line.send(answer(b"too large", "413 Content Too Large"))
        if hangs_up:
            line.sock.shutdown(socket.SHUT_WR)
        while line.read():
            pass

    with serving(handle) as peer:
        client, reports = swift(peer.url, network_timeout_s=2.0)
        for number in range(2):
            response = client.post(f"/{number}", data=bytes(20_000_000))
            assert (response.status_code, response.content) == (413, b"too large")
            assert reports.outcome == "http_4xx"
        client.close()
    assert len(peer.received) == 2


def test_an_interim_answer_does_not_stop_a_large_request() -> None:
    """Goal: 100 Continue in the middle of a body is no early answer. Method: more than buffers."""
    large = bytes(range(256)) * 40_000

    def handle(line: Line) -> None:
        line.read()
        line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.1)
        line.rest = line.peer.received[0]
        request = line.request()
        assert request is not None
        line.send(answer(b"%d" % (request[1] == large)))
        line.send(answer(b"next") if line.request() else b"")

    with serving(handle) as peer:
        client, _ = swift(peer.url)
        response = client.post("/", data=large, headers={"Expect": "100-continue"})
        assert (response.status_code, response.content) == (200, b"1")
        assert client.get("/").content == b"next"
        client.close()
    assert len(peer.received) == 1


def test_the_second_address_of_a_name_is_tried() -> None:
    """Goal: a name that leads to ::1 first works with a server on 127.0.0.1 only."""
    with scripted([REQUEST, OK]) as peer:
        client, _ = swift(peer.url.replace("127.0.0.1", "localhost"))
        assert client.get("/").content == b"ok"
        client.close()


def test_version_6_of_ip_works() -> None:
    def handle(line: Line) -> None:
        request = line.request()
        assert request is not None
        line.send(answer(request[0]))

    try:
        with serving(handle, host="::1") as peer:
            client, _ = swift(f"http://[::1]:{peer.port}")
            assert b"Host: [::1]:%d" % peer.port in client.get("/").content
            client.close()
    except OSError:
        pytest.skip("no IPv6 here")
