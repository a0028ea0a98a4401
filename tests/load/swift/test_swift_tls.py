"""The fast client over TLS: whom it believes, whom it asks for, and what it makes of bad ends."""

from __future__ import annotations

import os
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import gevent
import pytest
from swiftpeers import HOLD, REQUEST, Line, answer, scripted, serving, swift

from runner.load.swift.connection import tls_context
from runner.targets.sandbox.apiserver.pki import make_identity


@dataclass(frozen=True)
class Certificates:
    """Of a server that proves to be 127.0.0.1 and localhost, and of who signed it."""

    server: ssl.SSLContext
    authority: str
    seen: list[str | None]


@pytest.fixture(scope="module", name="certificates")
def _certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    home = tmp_path_factory.mktemp("tls")
    identity = make_identity("swift")
    for name in ("authority", "certificate", "key"):
        (home / f"{name}.pem").write_bytes(getattr(identity, name))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(home / "certificate.pem", home / "key.pem")
    seen: list[str | None] = []
    server.sni_callback = lambda _sock, name, _context: seen.append(name)
    return Certificates(server, str(home / "authority.pem"), seen)


def secure(url: str) -> str:
    return url.replace("http:", "https:")


def test_strangers_are_refused_unless_told_otherwise(certificates: Certificates) -> None:
    """Goal: verification is on. Method: unknown authority, insecure, known authority."""
    steps = [REQUEST, answer(b"ok")]
    with scripted([], steps, steps, tls=certificates.server) as peer:
        client, reports = swift(secure(peer.url))
        assert isinstance(client.get("/").error, ssl.SSLCertVerificationError)
        assert reports.outcome == "connection"
        client, _ = swift(secure(peer.url), tls=lambda: tls_context(insecure=True))
        assert client.get("/").content == b"ok"
        client.close()
        client, _ = swift(
            secure(peer.url), tls=lambda: tls_context(authorities=certificates.authority)
        )
        assert client.get("/").content == b"ok"
        client.close()


def test_another_name_is_refused_and_the_name_is_told(certificates: Certificates) -> None:
    """Goal: the certificate must be for the host of the URL, which is sent as SNI."""
    steps = [REQUEST, answer(b"ok")]
    with scripted(steps, tls=certificates.server) as peer:
        url = secure(peer.url).replace("127.0.0.1", "localhost")
        client, _ = swift(url, tls=lambda: tls_context(authorities=certificates.authority))
        certificates.seen.clear()
        assert client.get("/", headers={"Host": "shop.example"}).content == b"ok"
        assert certificates.seen == ["localhost"]
        client.close()
    with scripted([], tls=certificates.server) as peer:
        url = secure(peer.url).replace("127.0.0.1", "127.0.0.2")
        client, reports = swift(url, tls=lambda: tls_context(authorities=certificates.authority))
        client.get("/")
        assert reports.outcome == "connection"


def test_a_connection_is_kept_and_timed(certificates: Certificates) -> None:
    """Goal: tickets that come after an answer do not make the connection look stale."""
    steps = [REQUEST, 0.03, answer(b"ok")] * 3
    with scripted(steps, tls=certificates.server) as peer:
        client, _ = swift(secure(peer.url), tls=lambda: tls_context(insecure=True))
        first = client.get("/")
        gevent.sleep(0.02)
        second = client.get("/")
        assert client.post("/", data="x").content == b"ok"
        client.close()
    assert len(peer.received) == 1
    assert first.timing.tls_s > 0
    assert first.timing.first_byte_s >= 0.03
    assert second.timing.tls_s == 0.0


def test_large_bodies_arrive_whole(certificates: Certificates) -> None:
    """Method: 4 MiB both ways, so that records and packets end in different places."""
    large = os.urandom(4 * 1024 * 1024)

    def handle(line: Line) -> None:
        request = line.request()
        assert request is not None
        line.send(answer(request[1]))

    with serving(handle, certificates.server) as peer:
        client, _ = swift(secure(peer.url), tls=lambda: tls_context(insecure=True))
        assert client.post("/", data=large).content == large
        client.close()


@pytest.mark.parametrize("polite", [True, False])
def test_a_body_may_end_with_the_connection(certificates: Certificates, polite: bool) -> None:
    """Goal: as with FastHttpUser, a missing goodbye is taken for one; a missing byte is not."""

    def handle(line: Line) -> None:
        line.request()
        line.send(
            b"HTTP/1.1 200 OK\r\n"
            + (b"Content-Length: 9\r\n" if line.number else b"")
            + b"\r\nhello"
        )
        if polite:
            line.sock.unwrap()

    with serving(handle, certificates.server) as peer:
        client, reports = swift(secure(peer.url), tls=lambda: tls_context(insecure=True))
        assert client.get("/").content == b"hello"
        assert client.get("/").status_code == 0
        assert reports.outcome == "connection"
        client.close()


def test_a_connection_that_was_closed_in_between_costs_nothing(certificates: Certificates) -> None:
    with scripted(
        [REQUEST, answer(b"ok")], [REQUEST, answer(b"new")], tls=certificates.server
    ) as peer:
        client, reports = swift(secure(peer.url), tls=lambda: tls_context(insecure=True))
        client.get("/")
        gevent.sleep(0.05)
        assert client.post("/", data="x").content == b"new"
        client.close()
    assert [event["exception"] for event in reports.events] == [None, None]


def test_plain_http_behind_a_tls_port_is_a_lost_connection() -> None:
    with scripted([b"HTTP/1.1 400 Bad Request\r\n\r\n", HOLD]) as peer:
        client, reports = swift(secure(peer.url))
        assert isinstance(client.get("/").error, ssl.SSLError)
        assert reports.outcome == "connection"


def test_a_handshake_has_a_bound() -> None:
    with scripted([HOLD]) as peer:
        client, reports = swift(secure(peer.url), connection_timeout_s=0.15)
        assert type(client.get("/").error).__name__ == "ConnectTimeoutError"
        assert reports.last["response_time"] >= 150
        assert reports.outcome == "timeout"


def test_the_context_is_made_once_for_all_and_only_when_needed(certificates: Certificates) -> None:
    made = []

    def make() -> ssl.SSLContext:
        made.append(1)
        return tls_context(insecure=True)

    steps = [REQUEST, answer(b"ok", Connection="close")]
    with scripted(steps, steps, tls=certificates.server) as peer:
        client, _ = swift(secure(peer.url), tls=make)
        assert made == []
        client.get("/")
        client.get("/")
        client.close()
    assert made == [1]
    assert tls_context(insecure=True) is tls_context(insecure=True)
    assert Path(certificates.authority).exists()


def test_tickets_in_the_middle_of_a_large_request_do_not_stop_it(
    certificates: Certificates,
) -> None:
    """Goal: what TLS says to itself is no early answer; a real one is heard to its first byte.

    Method: the server, which sends its tickets with the end of the handshake, reads late.
    """
    large = bytes(range(256)) * 20_000

    def handle(line: Line) -> None:
        time.sleep(0.1)
        if line.number == 1:
            line.send(answer(b"refused", "413 Content Too Large"))
            while line.read():
                pass
        request = line.request()
        if request is not None:
            line.send(answer(b"%d" % (request[1] == large)))

    with serving(handle, certificates.server) as peer:
        client, _ = swift(secure(peer.url), tls=lambda: tls_context(insecure=True))
        assert client.post("/", data=large, headers={"Connection": "close"}).content == b"1"
        client.close()
        response = client.post("/", data=large * 4)
        assert (response.status_code, response.content) == (413, b"refused")
        client.close()


def test_late_tickets_are_no_noise(certificates: Certificates) -> None:
    """Goal: a ticket that comes while nobody waits keeps the connection; an answer does not.

    Method: TLS 1.3 sends its tickets with the first thing the server writes after the handshake,
    here the end of an answer that the client has already read by its length.
    """
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with scripted(
        [REQUEST, head, REQUEST, head, 0.02, b"HTTP/1.1 200 OK\r\n", HOLD],
        [REQUEST, answer(b"new")],
        tls=certificates.server,
    ) as peer:
        client, _ = swift(secure(peer.url), tls=lambda: tls_context(insecure=True))
        client.get("/")
        [connection] = next(iter(client._pool._slots.values())).idle
        gevent.sleep(0.02)
        assert connection.wire.quiet()
        client.get("/")
        gevent.sleep(0.1)
        assert not connection.wire.quiet()
        assert client.get("/").content == b"new"
        client.close()
    assert len(peer.received) == 2
