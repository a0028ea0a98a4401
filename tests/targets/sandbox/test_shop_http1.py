"""The pods' HTTP server, fed bytes on a transport in memory."""

from __future__ import annotations

import asyncio

import pytest

from runner.targets.sandbox.shop.http1 import (
    MAX_BODY,
    MAX_HEADERS,
    Connection,
    HttpServer,
    Request,
    Response,
    json_response,
    render,
)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.closed = True


async def echo(request: Request) -> Response:
    if request.path == "/break":
        raise RuntimeError("on purpose")
    return json_response(200, {"path": request.path, "size": len(request.body)})


def connect(server: HttpServer) -> tuple[Connection, Wire]:
    wire = Wire()
    connection = Connection(server)
    connection.connection_made(wire)
    return connection, wire


def talk(*chunks: bytes) -> Wire:
    async def scene() -> Wire:
        connection, wire = connect(HttpServer(echo))
        for chunk in chunks:
            connection.data_received(chunk)
        for _ in range(10):
            await asyncio.sleep(0)
        return wire

    return asyncio.run(scene())


def test_a_request_in_pieces() -> None:
    """A request cut at awkward places is answered once, whole, and the connection stays."""
    wire = talk(
        b"POST /or", b"ders?x=1 HTTP/1.1\r\nho", b"st: a\r\ncontent-length: 3\r\n\r\na", b"bc"
    )
    body = b'{"path":"/orders","size":3}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n"
    assert wire.sent == head + body
    assert not wire.closed


def test_pipelined_requests_are_answered_in_order() -> None:
    """Two requests in one packet: two answers, the first one first."""
    wire = talk(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    assert wire.sent.index(b'"/a"') < wire.sent.index(b'"/b"')
    assert wire.sent.count(b"HTTP/1.1 200") == 2


def test_connection_close_is_honoured() -> None:
    """The client asks to close: the answer says so and the connection is closed."""
    wire = talk(b"GET /a HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert b"connection: close" in wire.sent
    assert wire.closed


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999\r\n\r\n" + b"x" * (MAX_BODY + 1), 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * MAX_HEADERS + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n" * 40, 400),
        (b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 400),
    ],
)
def test_bad_requests_are_refused_and_closed(data: bytes, status: int) -> None:
    """What is no HTTP, or too big, gets its status and a closed connection."""
    wire = talk(data)
    assert wire.sent.startswith(f"HTTP/1.1 {status} ".encode())
    assert wire.closed


def test_a_failing_handler_answers_500(caplog: pytest.LogCaptureFixture) -> None:
    """An exception in the handler is logged and answered; the connection lives on."""
    wire = talk(b"GET /break HTTP/1.1\r\n\r\n", b"GET /a HTTP/1.1\r\n\r\n")
    assert wire.sent.startswith(b"HTTP/1.1 500 ")
    assert b'"/a"' in wire.sent
    assert "GET /break failed" in caplog.text


def test_extra_headers_are_rendered() -> None:
    """Headers given with a response come before the body."""
    data = render(Response(204, b"", (("x-pod", "a"),)), keep_alive=True)
    assert data.endswith(b"content-length: 0\r\nx-pod: a\r\n\r\n")


def test_draining_finishes_what_is_in_flight() -> None:
    """A request is held while the server drains: it is answered, with the wish to close."""

    async def scene() -> tuple[bool, Wire, Wire]:
        gate = asyncio.Event()

        async def slow(request: Request) -> Response:
            await gate.wait()
            return json_response(200, {"done": request.path})

        server = HttpServer(slow)
        busy, busy_wire = connect(server)
        idle, idle_wire = connect(server)
        busy.data_received(b"GET /a HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0)
        draining = asyncio.create_task(server.drain(0.0, 5.0))
        await asyncio.sleep(0)
        assert (idle_wire.closed, busy_wire.closed) == (True, False)
        idle.connection_lost(None)
        gate.set()
        while not busy_wire.closed:
            await asyncio.sleep(0)
        busy.connection_lost(None)
        return await draining, busy_wire, idle_wire

    clean, busy_wire, _ = asyncio.run(scene())
    assert clean
    assert b"connection: close" in busy_wire.sent
    assert b'{"done":"/a"}' in busy_wire.sent


def test_draining_gives_up_in_time() -> None:
    """A request that never ends makes the drain end unclean, at its bound."""

    async def scene() -> bool:
        async def never(request: Request) -> Response:
            await asyncio.Event().wait()
            return json_response(200, {"path": request.path})

        server = HttpServer(never)
        busy, _ = connect(server)
        busy.data_received(b"GET /a HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0)
        return await server.drain(0.0, 0.0)

    assert asyncio.run(scene()) is False
