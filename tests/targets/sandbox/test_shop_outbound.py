"""The pods' HTTP client, against a small server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from runner.targets.sandbox.shop.outbound import (
    Answer,
    CallFailedError,
    CallTimeoutError,
    Outbound,
)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def play(
    server: Talk, scene: Callable[[Outbound], Awaitable[None]], timeout_s: float = 5.0
) -> None:
    async def stage() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await server(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        outbound = Outbound("127.0.0.1", port, timeout_s)
        await scene(outbound)
        outbound.close()
        listening.close()
        await asyncio.sleep(0.01)

    asyncio.run(stage())


def test_calls_reuse_a_connection_and_name_the_service() -> None:
    """Two calls: one connection, the host header names the service, bodies and statuses pass."""
    heads: list[bytes] = []
    connections: list[int] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(2)
            writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\nbody")

    async def scene(outbound: Outbound) -> None:
        for _ in range(2):
            answer = await outbound.call("POST", "payment-api", "/x", {"a": "b"}, b"{}")
            assert answer == Answer(201, b"body")

    play(server, scene)
    assert len(connections) == 1
    assert heads[0] == (
        b"POST /x HTTP/1.1\r\nhost: payment-api\r\ncontent-length: 2\r\na: b\r\n\r\n"
    )


def test_a_connection_that_was_closed_meanwhile_is_replaced() -> None:
    """The server closes after each answer without saying so; the next call still succeeds."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        # A second request on this connection is read and never answered.
        await reader.read(10)

    async def scene(outbound: Outbound) -> None:
        for _ in range(3):
            assert (await outbound.call("GET", "a", "/", {})).status == 200

    play(server, scene)


@pytest.mark.parametrize("reply", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-le"])
def test_no_whole_answer_is_a_failed_call(reply: bytes) -> None:
    """A connection that ends early, or does not speak HTTP, is a failed call."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)

    async def scene(outbound: Outbound) -> None:
        with pytest.raises(CallFailedError):
            await outbound.call("GET", "a", "/", {})

    play(server, scene)


def test_a_refused_connection_is_a_failed_call() -> None:
    """Nobody listens on port 1: the error says that the proxy refused."""

    async def scene() -> None:
        with pytest.raises(CallFailedError, match="refused"):
            await Outbound("127.0.0.1", 1, 5.0).call("GET", "a", "/", {})

    asyncio.run(scene())


def test_a_late_answer_is_a_timeout() -> None:
    """No answer within the bound: a timeout, and the connection is not used again."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.read()

    async def scene(outbound: Outbound) -> None:
        with pytest.raises(CallTimeoutError, match="late-api gave no answer"):
            await outbound.call("GET", "late-api", "/", {})
        assert outbound._idle == []

    play(server, scene, timeout_s=0.02)
