"""The body of an answer, read while it comes."""

from __future__ import annotations

from collections.abc import Iterator

from runner.load.swift.connection import Connection, ConnectionPool
from runner.load.swift.content import unpackers
from runner.load.swift.failures import OversizeError

_NO_LIMIT = 1 << 62


class BodyStream:
    """Reads a body from a connection and undoes its encodings; gives the connection back then.

    Args:
        pool: Where the connection goes.
        connection: The head of the answer was read from it.
        encodings: Value of Content-Encoding.
        limit: Most bytes that one piece may unpack to.
    """

    def __init__(
        self, pool: ConnectionPool, connection: Connection, encodings: str, limit: int
    ) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._unpackers = unpackers(encodings)
        self._limit = limit
        self._ready = bytearray()
        self._any = False

    def read(self, size: int | None = None) -> bytes:
        """The next ``size`` bytes, fewer only at the end; None for everything.

        Raises:
            OSError: The connection broke, or the peer was silent for too long.
            AnswerError: What comes is of no use.
        """
        while (size is None or len(self._ready) < size) and self._more():
            pass
        size = len(self._ready) if size is None else size
        taken = bytes(self._ready[:size])
        del self._ready[:size]
        return taken

    def readline(self, end: bytes = b"\n") -> bytes:
        """The next line with its end; the rest if there is no more."""
        while (found := self._ready.find(end)) < 0 and self._more():
            pass
        return self.read(found + len(end) if found >= 0 else None)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def close(self) -> None:
        """Give the connection back; it is closed if something is left on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection)

    def __del__(self) -> None:
        self.close()

    def _more(self) -> bool:
        """Take in the next piece; whether there was one."""
        connection = self._connection
        if connection is None:
            return False
        reader = connection.reader
        try:
            if not (reader.chunks or reader.complete):
                connection.take(connection.wire.receive(), _NO_LIMIT)
            data = b"".join(reader.chunks)
            reader.chunks.clear()
            self._any = self._any or bool(data)
            for unpacker in self._unpackers:
                data = unpacker.feed(data, self._limit)
                _check(data, self._limit)
            if reader.complete:
                if self._any:
                    for unpacker in self._unpackers:
                        unpacker.close()
                self.close()
        except BaseException:
            self.close()
            raise
        self._ready += data
        return True


def _check(data: bytes, limit: int) -> None:
    if len(data) > limit:
        raise OversizeError(f"content of more than {limit} bytes in one piece")
