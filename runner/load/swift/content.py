"""Undoes content encodings, within bounds. Pure.

A few kilobytes of gzip can unpack to gigabytes; the bound is on what comes out.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

from runner.load.swift.failures import ContentError, OversizeError

try:
    import brotli  # type: ignore[import-untyped]
except ImportError:  # pragma: no cover - it comes with Locust
    brotli = None

ACCEPTED = "gzip, deflate, br" if brotli is not None else "gzip, deflate"
"""What a request says in Accept-Encoding."""


_GZIP = 16 + zlib.MAX_WBITS


class Unpacker(Protocol):
    """Undoes one encoding, piece by piece."""

    def feed(self, data: bytes, limit: int) -> bytes:
        """What the piece unpacks to; if that is more than ``limit`` bytes, little more of it."""

    def close(self) -> None:
        """Raise :class:`ContentError` when something is missing."""


class _Zlib:
    """One zlib stream; for gzip several, as its definition allows."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._stream: Any = zlib.decompressobj(wbits)

    def feed(self, data: bytes, limit: int) -> bytes:
        out = b""
        while data and len(out) <= limit:
            if self._stream.eof:
                if self._wbits != _GZIP or not data.strip(b"\0"):
                    break  # only gzip has members, and zeros are its padding
                self._stream = zlib.decompressobj(self._wbits)
            try:
                out += self._stream.decompress(data, limit + 1 - len(out))
            except zlib.error as error:
                raise ContentError(f"broken content: {error}") from error
            data = self._stream.unused_data
        return out

    def close(self) -> None:
        if not self._stream.eof:
            raise ContentError("the compressed content is cut off")


class _Deflate:
    """``deflate`` means zlib's frame; many servers send the stream without it."""

    def __init__(self) -> None:
        self._start = b""
        self._stream: _Zlib | None = None

    def feed(self, data: bytes, limit: int) -> bytes:
        if self._stream is None:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return b""
            # RFC 1950 2.2: method 8 in the low bits, and a check that makes a multiple of 31. A
            # bare stream cannot begin so: its low bits would say "stored", with dirt behind.
            framed = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._stream = _Zlib(zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)
        return self._stream.feed(data, limit)

    def close(self) -> None:
        if self._stream is None:
            raise ContentError("the compressed content is cut off")
        self._stream.close()


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def feed(self, data: bytes, limit: int) -> bytes:
        try:
            return bytes(self._stream.process(data, output_buffer_limit=limit + 1))
        except brotli.error as error:
            raise ContentError(f"broken content: {error}") from error

    def close(self) -> None:
        if not self._stream.is_finished():
            raise ContentError("the compressed content is cut off")


class _Identity:
    def feed(self, data: bytes, limit: int) -> bytes:
        return data[: limit + 1]

    def close(self) -> None:
        pass


def _gzip() -> Unpacker:
    return _Zlib(_GZIP)


_UNPACKERS: dict[str, Callable[[], Unpacker]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _Deflate,
    "identity": _Identity,
    "": _Identity,
} | ({} if brotli is None else {"br": _Brotli})


def unpackers(encodings: str) -> list[Unpacker]:
    """What undoes a Content-Encoding, in the order of its use.

    Raises:
        ContentError: An encoding that is not known here.
    """
    names = [name.strip().lower() for name in encodings.split(",")]
    try:
        return [_UNPACKERS[name]() for name in reversed(names)]
    except KeyError as error:
        raise ContentError(f"unknown content encoding {error.args[0]!r}") from None


def unpack(body: bytes, encodings: str, limit: int) -> bytes:
    """The body without its encodings.

    An empty body stays empty: answers to HEAD, and 304s, name an encoding for a body that they do
    not have.

    Raises:
        ContentError: An encoding is unknown, or the body is broken.
        OversizeError: The body unpacks to more than ``limit`` bytes.
    """
    if not body:
        return body
    for unpacker in unpackers(encodings):
        body = unpacker.feed(body, limit)
        if len(body) > limit:
            raise OversizeError(f"content of more than {limit} bytes")
        unpacker.close()
    return body
