"""An HTTP server of known capacity, in a process of its own: slots, and exponential service times.

Whatever comes is put in a queue, first come first served, for ``slots`` slots that are each busy
for a random time with mean ``service_s``. The moment at which a request ends follows from those
before it (Kiefer and Wolfowitz 1955), and is waited for, not worked for: the capacity is
``slots / service_s`` whatever the machine is busy with, and ``queue_model`` knows the latency.

    python tests/slot_server.py SLOTS SERVICE_S SEED    prints its port, serves until it is ended
"""

from __future__ import annotations

import asyncio
import heapq
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.process import die_with_parent

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nfine\n"
USERS = """
from locust import task

from runner.load.swift import SwiftHttpUser


class Users(SwiftHttpUser):
    network_timeout = 60.0

    @task
    def go(self):
        self.client.get("/work")
"""
"""A locustfile for it."""


class Slots:
    """The queue; a number of slots of 0 has none, and nobody waits."""

    def __init__(self, slots: int, service_s: float, seed: int) -> None:
        self._free = [0.0] * slots
        self._service_s = service_s
        self._random = random.Random(seed)  # noqa: S311 - the same each time

    def end_s(self, now_s: float) -> float:
        """When a request that comes now ends."""
        service_s = self._random.expovariate(1 / self._service_s)
        if not self._free:
            return now_s + service_s
        end_s = max(now_s, self._free[0]) + service_s
        heapq.heapreplace(self._free, end_s)
        return end_s


class _Connection(asyncio.Protocol):
    def __init__(self, slots: Slots, loop: asyncio.AbstractEventLoop) -> None:
        self._slots = slots
        self._loop = loop
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            _, _, self._data = self._data.partition(b"\r\n\r\n")
            self._loop.call_at(self._slots.end_s(self._loop.time()), self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


async def serve(slots: Slots) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(slots, loop), "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - to the parent
    await server.serve_forever()


@contextmanager
def slot_server(slots: int, service_s: float, seed: int = 1) -> Iterator[str]:
    """The server's URL, while it is up."""
    argv = [sys.executable, str(Path(__file__)), str(slots), str(service_s), str(seed)]
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509
    ) as child:
        try:
            assert child.stdout is not None
            port = int(child.stdout.readline())
            yield f"http://127.0.0.1:{port}"
        finally:
            child.kill()


if __name__ == "__main__":
    asyncio.run(serve(Slots(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))))
