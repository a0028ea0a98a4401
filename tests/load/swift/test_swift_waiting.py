"""The fast client waits as long as it was told to, and no longer; and shares its connections."""

from __future__ import annotations

import gc
import socket
import time
import weakref
from typing import Any

import gevent
import pytest
from swiftpeers import HOLD, PATIENCE_S, REQUEST, Line, answer, scripted, serving, swift

from runner.load.swift.connection import _Slots

OK = answer(b"ok")


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]
)
def test_silence_is_a_timeout(sent: bytes) -> None:
    with scripted([REQUEST, sent, HOLD]) as peer:
        client, reports = swift(peer.url, network_timeout_s=0.1)
        response = client.get("/")
        client.close()
    assert type(response.error).__name__ == "NetworkTimeoutError"
    assert reports.outcome == "timeout"
    assert reports.last["response_time"] >= 100


def test_each_piece_renews_patience_but_not_that_for_the_whole() -> None:
    """Goal: a body that drips is no silence, and still has a bound if one is set."""
    drip = [REQUEST, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", *([0.1, b"x"] * 6)]
    with scripted(drip, drip) as peer:
        client, _ = swift(peer.url, network_timeout_s=0.35)
        assert client.get("/").content == b"xxxxxx"
        client.close()
        client, reports = swift(peer.url, network_timeout_s=0.35, request_timeout_s=0.4)
        assert type(client.get("/").error).__name__ == "RequestTimeoutError"
        assert reports.outcome == "timeout"
        assert reports.last["response_time"] >= 400
        client.close()


def test_a_kept_connection_is_not_ended_by_an_old_timer() -> None:
    """Goal: patience counts from the wait, not from the first request on the connection."""
    steps: list[Any] = []
    for _ in range(4):
        steps += [REQUEST, 0.12, OK]
    with scripted(steps) as peer:
        client, reports = swift(peer.url, network_timeout_s=0.25)
        for _ in range(4):
            client.get("/")
            gevent.sleep(0.05)
        client.close()
    assert [event["exception"] for event in reports.events] == [None] * 4
    assert peer.requests == [4]


def test_nobody_accepts() -> None:
    """Goal: connecting has its own bound. Method: a listener whose queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        client, reports = swift(
            f"http://127.0.0.1:{listener.getsockname()[1]}", connection_timeout_s=0.2
        )
        response = client.get("/")
        for filler in fillers:
            filler.close()
    assert type(response.error).__name__ == "ConnectTimeoutError"
    assert reports.outcome == "timeout"
    assert reports.last["response_time"] >= 200


def test_a_peer_that_takes_nothing_is_a_timeout() -> None:
    def handle(line: Line) -> None:
        time.sleep(0.6)

    with serving(handle) as peer:
        client, reports = swift(peer.url, network_timeout_s=0.15)
        client.post("/", data=bytes(20_000_000))
        client.close()
    assert reports.outcome == "timeout"


def test_an_interrupted_request_leaves_no_half_used_connection() -> None:
    """Goal: the answer to a request that was given up is not the next one's. Method: a kill, and
    Locust's own way to give up, a gevent.Timeout, which is reported."""
    with scripted(
        [REQUEST, 0.2, answer(b"late")], [REQUEST, 0.2, answer(b"late")], [REQUEST, OK]
    ) as peer:
        client, reports = swift(peer.url)
        greenlet = gevent.spawn(client.get, "/killed")
        greenlet.join(0.05)
        greenlet.kill()
        assert reports.events == []
        with gevent.Timeout(0.05):
            assert isinstance(client.get("/given-up").error, gevent.Timeout)
        assert reports.outcome == "timeout"
        assert client.get("/").content == b"ok"
        client.close()
    assert len(peer.received) == 3


def test_connections_are_bounded_and_shared_by_greenlets() -> None:
    """Goal: ``concurrency`` holds, nobody gets another's answer. Method: 12 greenlets, 3 lines."""

    def handle(line: Line) -> None:
        while (request := line.request()) is not None:
            time.sleep(0.01)
            line.send(answer(request[0].split(b" ")[1]))

    with serving(handle) as peer:
        client, _ = swift(peer.url, concurrency=3)
        jobs = [gevent.spawn(lambda n: client.get(f"/{n}").content, n) for n in range(12)]
        gevent.joinall(jobs, timeout=PATIENCE_S)
        client.close()
    assert [job.value for job in jobs] == [b"/%d" % n for n in range(12)]
    assert len(peer.received) == 3


def test_waiting_for_a_free_connection_has_a_bound() -> None:
    with scripted([REQUEST, 0.5, OK]) as peer:
        client, reports = swift(peer.url, concurrency=1, connection_timeout_s=0.1)
        slow = gevent.spawn(client.get, "/slow")
        gevent.sleep(0.02)
        assert type(client.get("/").error).__name__ == "ConnectTimeoutError"
        slow.join(PATIENCE_S)
        client.close()
    assert reports.outcome == "success"


def test_the_bound_for_a_request_includes_its_connection() -> None:
    """Method: no free connection, for a stream has it; then a server that is silent in TLS."""
    with scripted([REQUEST, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", HOLD], [HOLD]) as peer:
        client, reports = swift(peer.url, concurrency=1, request_timeout_s=0.1)
        stream = client.get("/stream", stream=True)
        kinds = [type(client.get("/").error).__name__]
        kinds.append(type(client.get(peer.url.replace("http", "https")).error).__name__)
        stream.release()
        client.close()
    assert stream.status_code == 200
    assert kinds == ["RequestTimeoutError"] * 2
    assert reports.outcome == "timeout"


def test_whoever_gives_up_waiting_leaves_his_turn_to_others() -> None:
    """Goal: slots are never lost. Method: one line; of four waiting, one is killed before and one
    just when his turn has come.
    """
    steps = [REQUEST, 0.05, OK] * 4
    with scripted(steps, steps) as peer:
        client, reports = swift(peer.url, concurrency=1)
        first, second, third, fourth = (gevent.spawn(client.get, f"/{n}") for n in range(4))
        gevent.sleep(0.02)
        second.kill()
        first.link(lambda _: third.kill(block=False))
        gevent.joinall([first, third, fourth], timeout=PATIENCE_S)
        assert client.get("/last").content == b"ok"
        client.close()
    assert [event["name"] for event in reports.events] == ["/0", "/3", "/last"]
    assert reports.outcome == "success"


def test_a_turn_that_comes_with_the_end_of_patience_is_passed_on() -> None:
    """Goal: as above, where both happen in one round of the loop. Method: in the hub itself."""
    slots = _Slots(1)
    assert slots.acquire(1.0)
    waiting = gevent.spawn(slots.acquire, PATIENCE_S)
    gevent.sleep(0)

    def both() -> None:
        slots.release()
        assert slots.free == 0
        waiting.throw(gevent.GreenletExit)

    gevent.get_hub().loop.run_callback(both)
    waiting.join(PATIENCE_S)
    assert (slots.free, len(slots.waiting)) == (1, 0)


def test_a_busy_generator_does_not_take_an_answer_for_silence() -> None:
    """Goal: a timeout says that nothing came, not that we were late to look.

    Method: the process does nothing else for longer than its patience, while the answer comes.
    """
    with scripted([REQUEST, 0.03, OK]) as peer:
        client, reports = swift(peer.url, network_timeout_s=0.1)
        asking = gevent.spawn(client.get, "/")
        gevent.sleep(0.01)
        time.sleep(0.3)
        asking.join(PATIENCE_S)
        client.close()
    assert reports.outcome == "success"
    assert reports.last["response_time"] > 200


def test_a_failed_response_goes_when_nobody_holds_it() -> None:
    """Goal: a storm of failures is no work for the garbage collector. Method: without it."""
    redirect = answer(status="302 Found", Location="ftp://h/")
    with scripted([REQUEST, b"nonsense"], [REQUEST, redirect], [REQUEST]) as peer:
        client, reports = swift(peer.url)
        gc.disable()
        try:
            gone = [weakref.ref(client.get("/")) for _ in range(3)]
            gone.append(weakref.ref(client.get("http://127.0.0.1:1/")))
            kinds = [type(event["exception"]).__name__ for event in reports.events]
            reports.events.clear()
            assert [each() for each in gone] == [None] * 4
        finally:
            gc.enable()
        client.close()
    assert kinds[:3] == ["FramingError", "RedirectError", "ConnectionLostError"]
    assert kinds[3] == "ConnectionRefusedError"
