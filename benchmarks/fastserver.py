"""A fast server on the loopback: it answers everything at once, as Envoy would put it, and counts.

Not a framework, and not for anything but the benchmarks: it must never be what is slow.
"""

from __future__ import annotations

import mmap
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from runner.process import die_with_parent

SERVER_CORE = 1
BOUND_S = 60.0
BODY = b'{"service":"product-api","pod":"product-api-5d9c7","id":7}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    b"x-envoy-upstream-service-time: 3\r\ndate: Sun, 09 Aug 2026 10:00:00 GMT\r\n"
    b"server: istio-envoy\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Server(NamedTuple):
    """The server.

    Attributes:
        counter: Shared with it; 8 bytes, the number of its answers.
    """

    pid: int
    port: int
    counter: mmap.mmap

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answered(self) -> int:
        return int(struct.unpack("Q", self.counter[:8])[0])


def serve(port_to: int, shared: int) -> None:
    """Answer every request at once, until killed. One thread, no framework: it must not be slow."""
    os.sched_setaffinity(0, {SERVER_CORE})
    counter = memoryview(mmap.mmap(shared, mmap.PAGESIZE)).cast("Q")
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    os.write(port_to, f"{listener.getsockname()[1]}\n".encode())
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    lines: dict[int, socket.socket] = {}
    waiting: dict[int, bytes] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                line, _ = listener.accept()
                line.setblocking(False)
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                lines[line.fileno()] = line
                poll.register(line, select.EPOLLIN)
                continue
            line = lines[number]
            try:
                data = line.recv(65536)
                if data and number in waiting:
                    data = waiting.pop(number) + data
                if data and not whole(data):
                    waiting[number] = data
                elif data:
                    line.send(ANSWER)
                    counter[0] += 1
            except OSError:
                data = b""
            if not data:
                waiting.pop(number, None)
                poll.unregister(number)
                lines.pop(number).close()


def whole(data: bytes) -> bool:
    """Whether a request, the only one on its way, has come to its end."""
    if data.startswith(b"GET"):
        return data.endswith(b"\r\n\r\n")
    end = data.find(b"\r\n\r\n")
    found = LENGTH.search(data, 0, end + 2)
    return end >= 0 and found is not None and len(data) - end - 4 >= int(found[1])


@contextmanager
def server() -> Iterator[Server]:
    """A server of our own."""
    read, write = os.pipe()
    shared = os.memfd_create("answers")
    os.ftruncate(shared, mmap.PAGESIZE)
    argv = [sys.executable, __file__, str(write), str(shared)]
    dies = die_with_parent()
    child = subprocess.Popen(argv, pass_fds=[write, shared], preexec_fn=dies)  # noqa: PLW1509
    try:
        os.close(write)
        with os.fdopen(read) as pipe:
            yield Server(child.pid, int(pipe.readline()), mmap.mmap(shared, mmap.PAGESIZE))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(BOUND_S)
        os.close(shared)


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
