"""The framing alone: random bytes, random cuts, and what is said of a head."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import swiftpeers  # noqa: F401 - before Locust
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.load.swift.failures import AnswerError, ConnectionLostError, FramingError
from runner.load.swift.reader import AnswerReader, header_lines

STREAMS = 4000

PIECES = [
    *(b"HTTP/1.1 ", b"HTTP/1.0 ", b"200 OK", b"204 No Content", b"304 x", b"100 x", b"101 x"),
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b":", b"\0", b"\xff" * 3, b"a" * 40),
    *(b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(b"0", b"5", b"-1", b"5\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"hello", b"Upgrade: x\r\n"),
    *(b"X-Note: a\r\n", b"X: \r\n y\r\n", b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
]


def read(pieces: list[bytes], *, bodiless: bool = False) -> tuple[object, ...]:
    """All that can be told after the pieces and the end of the connection."""
    reader = AnswerReader()
    reader.begin(bodiless=bodiless)
    try:
        for piece in pieces:
            if reader.complete:
                break
            reader.feed(piece)
        reader.end()
    except (AnswerError, ConnectionLostError) as error:
        return (type(error),)
    assert reader.complete
    assert reader.size == sum(map(len, reader.chunks))
    return reader.status, reader.head(), b"".join(reader.chunks)


def test_random_streams_end_in_an_answer_or_in_an_error_of_ours() -> None:
    """Goal: never a hang or a stray exception, and cuts never matter.

    Method: thousands of seeded streams of fitting and unfitting pieces, some with flipped bytes;
    each is read whole, and byte by byte.
    """
    dice = random.Random(20260809)  # noqa: S311
    seen: dict[object, int] = {}
    for _ in range(STREAMS):
        data = b"".join(dice.choices(PIECES, k=dice.randint(1, 9)))
        if dice.random() < 0.5:
            data = b"HTTP/1.1 200 OK\r\n" + data
        if data and dice.random() < 0.3:
            at = dice.randrange(len(data))
            data = data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
        bodiless = dice.random() < 0.2
        whole = read([data], bodiless=bodiless)
        assert read([data[i : i + 1] for i in range(len(data))], bodiless=bodiless) == whole, data
        seen[whole[0]] = seen.get(whole[0], 0) + 1
    assert seen[200] > 100, "the pieces make answers, too"
    assert seen[FramingError] > 100
    assert seen[ConnectionLostError] > 100


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_behind_a_status_line_are_survived(data: bytes) -> None:
    read([b"HTTP/1.1 200 OK\r\n" + data])
    read([data])


bodies = st.lists(st.binary(min_size=1, max_size=30), max_size=4)
names = st.from_regex(r"\AX[A-Za-z0-9-]{0,6}\Z")
values = st.text("".join(map(chr, [*range(0x21, 0x7F), *range(0xA0, 0x100)])), max_size=10)


@settings(max_examples=200, deadline=None)
@given(
    fields=st.lists(st.tuples(names, values), max_size=5),
    body=bodies,
    chunked=st.booleans(),
    interims=st.integers(0, 2),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_what_was_written_is_read(
    fields: list[tuple[str, str]], body: list[bytes], chunked: bool, interims: int, cuts: list[int]
) -> None:
    """Goal: fields and body come out as they went in, three answers in a row on one reader."""
    whole = b"".join(body)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(whole)}"
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in fields), framing]
    data = b"\r\n".join(line.encode("latin-1") for line in lines) + b"\r\n\r\n"
    if chunked:
        data += b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body) + b"0\r\n\r\n"
    else:
        data += whole
    data = b"HTTP/1.1 102 Processing\r\nX-Wrong: 1\r\n\r\n" * interims + data
    reader = AnswerReader()
    for _ in range(3):
        reader.begin(bodiless=False)
        assert reader.silent
        edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        for start, end in pairwise(edges):
            assert not reader.complete
            reader.feed(data[start:end])
        assert (reader.complete, reader.keep_alive, reader.status) == (True, True, 200)
        assert b"".join(reader.chunks) == whole
        assert list(header_lines(reader.head()))[: len(fields)] == fields


@pytest.mark.parametrize("bodiless", [True, False])
def test_empty_lines_before_an_answer_mean_nothing(bodiless: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2"
    data = b"\r\n\r\n" + head + b"\r\n\r\n" + (b"" if bodiless else b"ok")
    reader = AnswerReader()
    for _ in range(2):
        reader.begin(bodiless=bodiless)
        reader.feed(data)
        assert (reader.complete, reader.keep_alive, reader.head()) == (True, True, head)


def test_nothing_may_follow_on_a_reader_that_has_broken() -> None:
    reader = AnswerReader()
    with pytest.raises(FramingError, match="Expected HTTP"):
        reader.feed(b"nonsense")
    with pytest.raises(FramingError, match="after the end"):
        reader.feed(b"HTTP/1.1 200 OK\r\n")


def test_an_interim_answer_with_a_body_leaves_nothing_behind() -> None:
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 150 Odd\r\nContent-Length: 3\r\n\r\nodd")
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (reader.status, reader.chunks, reader.size) == (200, [b"ok"], 2)
