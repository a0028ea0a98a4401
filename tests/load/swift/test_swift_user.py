"""The user class inside Locust, and what a locustfile sees of a response."""

from __future__ import annotations

import gc
import json
import time
import weakref
from typing import Any

import gevent
import pytest
from gevent.pool import Group
from swiftpeers import (
    HOLD,
    REQUEST,
    Environment,
    Line,
    LocustError,
    StopTest,
    answer,
    echo_server,
    listen,
    scripted,
    serving,
    swift,
    task,
)

from runner.load.swift import ConnectionPool, SwiftHttpUser
from runner.load.swift.failures import UnsupportedError


class Shopper(SwiftHttpUser):
    wait_time = staticmethod(lambda: 0.001)
    network_timeout = 5.0
    default_headers = {"X-Run": "7"}  # noqa: RUF012 - as locustfiles do

    def context(self) -> dict[str, Any]:
        return {"who": "shopper"}

    @task
    def visit(self) -> None:
        self.client.get("/a", context={"page": "a"})
        with self.rest("POST", "/b", json={"x": 1}) as response:
            assert response.js["method"] == "POST"
            assert response.js["missing"] == 1


def test_a_user_works_inside_locust_and_leaves_nothing_open() -> None:
    """Goal: tasks, rest(), context and statistics as with FastHttpUser; sockets end with him."""
    with echo_server() as peer:
        environment = Environment(user_classes=[Shopper], host=peer.url)
        runner = environment.create_local_runner()
        events: list[dict[str, Any]] = []
        listen(environment.events.request, events)
        runner.start(2, spawn_rate=100)
        for _ in range(200):
            gevent.sleep(0.01)
            if len(events) > 20:
                break
        users = [greenlet.args[0] for greenlet in runner.user_greenlets]
        runner.quit()
        gevent.sleep(0.01)
        assert len(peer.received) == 2
        idle = [slots.idle for user in users for slots in user.client._pool._slots.values()]
        assert idle == [[], []]
    got, posted = events[0], next(event for event in events if event["name"] == "/b")
    assert (got["request_type"], got["name"], got["url"]) == ("GET", "/a", f"{peer.url}/a")
    assert (got["context"], got["exception"]) == ({"who": "shopper", "page": "a"}, None)
    assert "KeyError: 'missing'" in str(posted["exception"])
    assert environment.stats.get("/a", "GET").num_requests >= 10
    assert b"X-Run: 7" in peer.received[0]


def test_a_user_needs_a_host_and_refuses_what_he_cannot_do() -> None:
    environment = Environment()

    def user(**attributes: Any) -> SwiftHttpUser:
        made: SwiftHttpUser = type("Made", (SwiftHttpUser,), attributes)(environment)
        return made

    with pytest.raises(StopTest, match="no host"):
        user()
    for attributes in ({"proxy_host": "p"}, {"max_retries": 1}, {"client_pool": object()}):
        with pytest.raises(UnsupportedError, match=next(iter(attributes))):
            user(host="http://h", **attributes)
    assert user(host="http://h").insecure is False
    with pytest.raises(UnsupportedError, match="files="):
        user(host="http://h").client.post("/", files={"a": b"b"})


def test_users_may_share_their_connections() -> None:
    pool = ConnectionPool()
    with echo_server() as peer:
        kind = type("Sharing", (SwiftHttpUser,), {"host": peer.url, "client_pool": pool})
        for _ in range(3):
            user = kind(Environment())
            user.start(Group()).kill()
            user.client.get("/")
        pool.close()
    assert len(peer.received) == 1


def test_a_dropped_client_closes_its_connections() -> None:
    """Goal: no descriptor leaks when nobody closes. Method: the server waits for the end."""
    ended = []

    def handle(line: Line) -> None:
        line.request()
        line.send(answer(b"ok"))
        ended.append(line.read())

    with serving(handle) as peer:
        client, _ = swift(peer.url, network_timeout_s=60.0)
        assert client.get("/").content == b"ok"
        gone = weakref.ref(client)
        del client
        gc.collect()
        gevent.sleep(0.05)
    assert gone() is None
    assert ended == [b""]


def test_where_the_time_went_adds_up() -> None:
    """Goal: the split is of the reported time. Method: a server that waits in known places."""
    steps = [REQUEST, 0.06, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 0.15, b"ok"]
    redirect = [REQUEST, 0.05, answer(status="302 Found", Location="/next")]
    with scripted([*redirect, *steps, *steps]) as peer:
        client, reports = swift(peer.url)
        first, second = client.get("/"), client.get("/")
        client.close()
    assert first.timing is not None
    assert first.timing.before_s >= 0.05
    for response, event in zip((first, second), reports.events, strict=True):
        timing = response.timing
        assert sum(timing) * 1000 == pytest.approx(event["response_time"], abs=1e-6)
        assert timing.first_byte_s >= 0.06
        assert timing.body_s >= 0.05
        assert timing.tls_s == 0
        to_first_s = timing.connect_s + timing.first_byte_s
        assert response.elapsed.total_seconds() == pytest.approx(to_first_s, abs=1e-6)
    assert second.timing.before_s == 0


def test_a_stream_counts_to_its_head_and_is_read_as_it_comes() -> None:
    steps = [REQUEST, b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nab\n", 0.15, b"cd\nef\ngh\n"]
    with scripted([*steps, *steps, *steps, HOLD], [REQUEST, answer(b"new")]) as peer:
        client, reports = swift(peer.url)
        began_s = time.perf_counter()
        assert list(client.iter_lines("/")) == ["ab", "cd", "ef", "gh"]
        whole_ms = (time.perf_counter() - began_s) * 1000
        assert whole_ms - reports.last["response_time"] >= 50
        assert reports.last["response_length"] == 12
        response = client.get("/", stream=True)
        assert response.stream.readline() == b"ab\n"
        assert response.stream.read(2) == b"cd"
        assert response.text == "\nef\ngh\n"
        with client.get("/", stream=True):
            pass  # what is left on the connection makes it useless
        assert client.get("/").content == b"new"
        client.close()
    assert peer.requests == [3, 1]


def test_a_response_without_a_stream_cannot_be_read_like_one() -> None:
    with scripted([REQUEST, answer(b'{"a": 1}')]) as peer:
        client, _ = swift(peer.url)
        response = client.get("/x", params={"y": 1})
        with pytest.raises(LocustError, match="stream=True"):
            response.read(1)
        assert (response.json(), response.ok, list(response.history)) == ({"a": 1}, True, [])
        assert response.request.headers["host"] == peer.url.removeprefix("http://")
        assert response.request.body is None
        assert "GET" in repr(response)
        response.foo = "authors hang things on responses"
        client.close()


def test_cookies_of_an_answer_can_be_read() -> None:
    data = answer(Set_Cookie="a=1; Path=/\r\nSet-Cookie: b=x=y")
    with scripted([REQUEST, data]) as peer:
        client, _ = swift(peer.url)
        response = client.get("/")
        assert response.cookies == {"a": "1", "b": "x=y"}
        assert response.headers["SET-cookie"] == ["a=1; Path=/", "b=x=y"]
        client.close()


def test_the_base_and_the_credentials_may_change() -> None:
    with echo_server() as peer:
        client, _ = swift("http://unused.invalid")
        client.base_url = f"{peer.url}/v2"
        client.auth_header = "Bearer x"
        told = json.loads(client.get("/a").content)
        assert told["target"] == "/v2/a"
        assert ["Authorization", "Bearer x"] in told["fields"]
        client.close()
