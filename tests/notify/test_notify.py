"""People are told through Apprise: what a real receiver gets, and what is said of failures."""

from __future__ import annotations

import socket
import sys

import pytest
from letterbox import receiver

from runner.notify import Delivery, Letter, deliver, parse_addresses, scheme_of

LETTER = Letter("✗ Fail: good", "FAIL: 1 of 2 objectives was missed.\nRun: r", "failure")
SECRET = "s3cr3t-t0ken"


def test_everybody_is_told_and_who_is_not_is_named_by_scheme_only() -> None:
    """Goal: one broken service hinders no other, and no secret is said. Method: four at once."""
    with receiver() as well, receiver(500) as ill, socket.create_server(("127.0.0.1", 0)) as free:
        refused = free.getsockname()[1]
        free.close()
        told = deliver(
            LETTER,
            [
                f"json://127.0.0.1:{ill.server_port}/{SECRET}",
                f"json://user:{SECRET}@127.0.0.1:{well.server_port}",
                f"json://127.0.0.1:{refused}/{SECRET}",
                f"slack://{SECRET}",
            ],
            60,
        )
        (body,) = well.bodies
    assert (body["title"], body["message"], body["type"]) == (LETTER.title, LETTER.text, "failure")
    refusal = "the service refused it, or cannot be reached"
    assert told == (
        Delivery("json://…", refusal),
        Delivery("json://…", ""),
        Delivery("json://…", refusal),
        Delivery("slack://…", "Apprise does not understand this address"),
    )


def test_a_service_that_hangs_is_left_when_the_time_is_over() -> None:
    """Goal: nobody holds a run up. Method: a listener that never answers, and a second to do it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        told = deliver(LETTER, [f"json://127.0.0.1:{port}/{SECRET}"], 1)
    assert told == (Delivery("json://…", "no answer within 1 s"),)


def test_without_apprise_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    (told,) = deliver(LETTER, [f"slack://{SECRET}"], 1)
    assert told.service == "slack://…"
    assert told.problem == (
        "Apprise is not installed; to install it: python -m pip install 'seatrial[notify]'"
    )


def test_addresses_are_read_line_by_line_without_comments() -> None:
    text = "# the team\nslack://a/b\n\n  json://h/x#y  mailto://u:p@h\nslack://a/b\n"
    assert parse_addresses(text) == ("slack://a/b", "json://h/x#y", "mailto://u:p@h")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("Slack://TOKEN/x", "slack://…"),
        ("xoxb-token", "an address without a scheme"),
        ("token:secret@host://x", "an address without a scheme"),
    ],
)
def test_of_an_address_only_the_scheme_is_said(address: str, said: str) -> None:
    assert scheme_of(address) == said
