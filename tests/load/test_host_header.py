"""The Host header of ordinary locustfiles, under the real Locust and at its real clients."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from loadserver import LoadServer, load_server
from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter
from trips import Trip, set_off

from runner.load.host_header import name_host

ORDINARY = """
from locust import constant, task
from {module} import {kind}

class Visitor({kind}):
    wait_time = constant(0.05)

    @task
    def look(self):
        self.client.get("/plain")
        self.client.get("/own", headers={{"host": "own.test"}})
        self.client.get(OTHER + "/other")

OTHER = "{other}"
"""


@pytest.fixture
def other() -> Iterator[LoadServer]:
    with load_server() as server:
        yield server


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("locust", "HttpUser"),
        ("locust", "FastHttpUser"),
        ("runner.load.swift", "SwiftHttpUser"),
    ],
)
def test_an_ordinary_locustfile_reaches_the_target_by_name(
    tmp_path: Path, other: LoadServer, module: str, kind: str
) -> None:
    """Goal: no 404 of an ingress for an ordinary file. Method: a real child, two servers.

    The target's host is named where the author names none, and only to the target.
    """
    with load_server() as server:
        source = ORDINARY.format(module=module, kind=kind, other=other.url)
        trip: Trip = set_off(tmp_path, server.url, source, [{"duration": "2s", "users": 2}])
        assert trip.wait() == 0, trip.job.tail(20)
        assert server.seen["GET /plain"] > 5
        assert server.hosts["shop.test"] == server.seen["GET /plain"]
        assert server.hosts["own.test"] == server.seen["GET /own"] > 5
        assert set(server.hosts) == {"shop.test", "own.test"}
        assert set(other.hosts) == {other.url.removeprefix("http://")}
        assert {row.outcome for row in trip.run.read_load().rows} == {"success"}


def test_what_is_no_client_of_locust_is_left_alone() -> None:
    class Own:
        base_url = "http://127.0.0.1:1"

    assert not name_host(Own(), "shop.test")
    assert not name_host(None, "shop.test")


def test_a_name_goes_no_further_than_its_request() -> None:
    """Goal: a redirect takes no name to another server. Method: headers during and after a send."""
    seen: list[str] = []

    class Inner(BaseAdapter):
        def send(self, request: PreparedRequest, **_: object) -> Response:  # type: ignore[override]
            seen.append(request.headers["Host"])
            answer = Response()
            answer.status_code, answer.url, answer.request = 200, str(request.url), request
            answer.raw = BytesIO(b"")
            return answer

        def close(self) -> None:
            pass

    with Session() as session:
        session.base_url = "http://127.0.0.1:1"  # type: ignore[attr-defined]
        session.mount("http://", Inner())
        assert name_host(session, "shop.test")
        answer = session.get("http://127.0.0.1:1/plain")
    assert seen == ["shop.test"]
    assert "Host" not in answer.request.headers
