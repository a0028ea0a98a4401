"""What is secret is blotted out, in all the ways in which it is written."""

from __future__ import annotations

import io
import logging

import pytest

from runner.chaos.redaction import CleanStream, blotter_of

TOKEN = "p&ss wörd/1"
BLOTTER = blotter_of({"site": {"token": TOKEN, "pin": 7, "on": True, "none": ""}})


@pytest.mark.parametrize(
    "text",
    [
        f"x {TOKEN} y",
        "x p%26ss%20w%C3%B6rd%2F1 y",
        "x p%26ss+w%C3%B6rd%2F1 y",
        "x p&ss w\\xf6rd/1 y",
        "x cCZzcyB3w7ZyZC8x y",
    ],
)
def test_a_secret_is_found_in_other_clothes(text: str) -> None:
    """Goal: URLs, JSON and headers tell nothing. Method: the same secret, encoded."""
    assert BLOTTER.clean(text) == "x *** y"


def test_short_secrets_go_only_where_they_stand_alone() -> None:
    """Goal: a pin of one digit does not blot out every number. Method: alone, and in a word."""
    assert BLOTTER.clean({"pin": "7", "port": "8071", "7": [7, None, True]}) == {
        "pin": "***",
        "port": "8071",
        "***": [7, None, True],
    }


def test_log_lines_and_their_tracebacks_are_clean() -> None:
    """Goal: the kept log. Method: a record with arguments and an exception."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(BLOTTER.clean_record)
    logger = logging.getLogger("a-log-of-its-own")
    logger.propagate = False
    logger.addHandler(handler)
    try:
        int(TOKEN)
    except ValueError:
        logger.exception("for %s", TOKEN)
    assert out.getvalue().startswith("for ***\nTraceback")
    assert out.getvalue().endswith("ValueError: invalid literal for int() with base 10: '***'\n")


def test_streams_pass_on_the_rest() -> None:
    """Goal: what activities print. Method: lines with a secret, as text and bytes; one without."""
    out = io.StringIO()
    stream = CleanStream(out, BLOTTER)
    print(TOKEN, file=stream)
    stream.buffer.write(f"{TOKEN}!\n".encode())
    print("7 lives", file=stream, flush=True)
    assert out.getvalue() == "***\n***!\n7 lives\n"
