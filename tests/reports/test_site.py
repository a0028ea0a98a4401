"""What a browser is answered: pages, files of reports, and nothing else of this machine."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fleets import NOW_S, Ship, launch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from voyages import Voyage, write_run

from runner.catalog import follow_load, subject_of
from runner.errors import UsageError
from runner.reports.site import Answer, Site
from runner.reports.webserver import WebServer, is_loopback
from runner.store import Store
from runner.testing import FakeClock

HOST = "127.0.0.1:8090"
OUTSIDE = "the secret of another folder"
PIECES = (
    *("/", "//", "..", "%2e", "%2E%2e", "%2f", "%5c", "\\", "%00", "%25", "~", "?", "#", "-", "*"),
    *("latest", "shop-at-sea", "elsewhere", "outside.html", "report", "compare", "live", "now"),
    *("away.html", "inner.json", "manifest.json", "index.html", "?a=latest&b=latest"),
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A run with a report, an old one without, and things that nobody shall see."""
    root = tmp_path / "results"
    store = Store(root)
    run = launch(store, Ship(days_ago=1, report=True))
    launch(store, Ship(days_ago=2))
    store.link_latest(run)
    (run.report_dir / "plots").mkdir()
    (run.report_dir / "plots" / "a.svg").write_text("<svg/>", encoding="utf-8")
    (run.report_dir / "notes.sh").write_text("#!/bin/sh", encoding="utf-8")
    (tmp_path / "outside.html").write_text(OUTSIDE, encoding="utf-8")
    (run.report_dir / "away.html").symlink_to(tmp_path / "outside.html")
    (run.report_dir / "inner.json").symlink_to(run.manifest_path)
    (root / "elsewhere").symlink_to(tmp_path)
    (root / "compare").mkdir()
    (root / "compare" / "x.html").write_text("compared", encoding="utf-8")
    return root


@pytest.fixture
def site(results: Path) -> Site:
    clock = FakeClock()
    clock.now_s = 0.0
    return Site(Store(results), clock, follow_load, subject_of, frozenset({"ship.example"}))


def run_id(results: Path, days_ago: float = 1) -> str:
    return Ship(days_ago=days_ago).run_id


def test_pages_and_files_of_reports_are_given(site: Site, results: Path) -> None:
    """Goal: links of the list lead somewhere. Method: each kind of path."""
    base = f"/shop-at-sea/{run_id(results)}/report"
    assert b"<h1>Runs</h1>" in site.answer("/", HOST).body
    assert site.answer("/index.html", HOST).status == 200
    page = site.answer(f"{base}/index.html", HOST)
    assert (page.status, page.type) == (200, "text/html; charset=utf-8")
    assert b"A report" in page.body
    assert site.answer(f"{base}/plots/a.svg", HOST).type == "image/svg+xml"
    assert site.answer("/latest/report/index.html", HOST).body == page.body
    assert site.answer("/compare/x.html", HOST).body == b"compared"
    assert b"No run is under way" in site.answer("/-/live", HOST).body


@pytest.mark.parametrize(
    "path",
    [
        "/shop-at-sea/{run}/manifest.json",
        "/shop-at-sea/{run}/report/../manifest.json",
        "/shop-at-sea/{run}/report/%2e%2e/manifest.json",
        "/shop-at-sea/{run}/report/..%2fmanifest.json",
        "/shop-at-sea/{run}/report/%252e%252e/manifest.json",
        "/shop-at-sea/{run}/report/..%5cmanifest.json",
        "/shop-at-sea/{run}/report/notes.sh",
        "/shop-at-sea/{run}/report/away.html",
        "/shop-at-sea/{run}/report/inner.json",
        "/shop-at-sea/{run}/report/index.html%00.svg",
        "/shop-at-sea/{run}/report/",
        "/shop-at-sea/{run}/report//index.html",
        "/shop-at-sea//{run}/report/index.html",
        "/elsewhere/outside.html",
        "/elsewhere/results/shop-at-sea/{run}/plan.json",
        "/../outside.html",
        "//outside.html",
        "/%2e%2e/outside.html",
        "/.%2e/outside.html",
        "/~root",
        "/%ff%fe/x",
        "/" + "a" * 5000,
        "/-/live/shop-at-sea/nothing",
        "/-/live/../..",
        "/-/live/elsewhere/results",
        "/-/nothing",
        "outside.html",
        "http://localhost/",
        "*",
        "",
    ],
)
def test_nothing_else_is_given(site: Site, results: Path, path: str) -> None:
    """Goal: no way out of the reports. Method: every trick with a path that we know."""
    answer = site.answer(path.format(run=run_id(results)), HOST)
    assert answer.status == 404
    assert OUTSIDE.encode() not in answer.body
    assert b"schema_version" not in answer.body


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_no_path_is_a_way_out(site: Site, results: Path, path: str) -> None:
    """Goal: what no list has thought of. Method: any text, and mixes of what paths are made of."""
    answer = site.answer("/" + path, HOST)
    assert answer.status in (200, 302, 404)
    assert OUTSIDE.encode() not in answer.body
    assert b"schema_version" not in answer.body


def test_links_of_the_list_lead_to_their_runs(tmp_path: Path) -> None:
    """Goal: a folder's name is no hindrance. Method: follow each link of a served list."""
    for folder in ("e <b>&'\"%2e", "50% off?#1", "ünï 名"):
        launch(Store(tmp_path), Ship(days_ago=len(folder), folder=folder, report=True))
    launch(Store(tmp_path), Ship(folder="live & well?", state="running", judged=False))
    site = Site(Store(tmp_path), FakeClock(), follow_load, subject_of)
    list_ = site.answer("/", HOST).body.decode()
    links = {*re.findall(r'href="([^"#:]+)"', list_)} - {"/-/live"}
    assert len(links) == 4
    assert {site.answer("/" + link.lstrip("/"), HOST).status for link in links} == {200}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:9999", 200),
        ("LOCALHOST", 200),
        ("[::1]:8090", 200),
        ("ship.example:8090", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403),
        ("localhost:80:80", 403),
        ("", 403),
        (None, 403),
    ],
)
def test_only_names_of_this_machine_are_answered(site: Site, host: str | None, status: int) -> None:
    """Goal: a page elsewhere that points its name here reads nothing. Method: the Host header."""
    assert site.answer("/", host).status == status


def test_two_runs_are_compared_on_demand(tmp_path: Path) -> None:
    """Goal: a comparison without a command. Method: two voyages; then names that mean none."""
    store = Store(tmp_path)
    first = write_run(tmp_path, Voyage(length_s=30, kill=False, services=()))
    second = launch(store, Ship(days_ago=1))
    site = Site(store, FakeClock(), follow_load, subject_of)
    (second.load_dir / "seconds.jsonl").touch()
    answer = site.answer(f"/-/compare?a={first.run_id}&b={second.run_id}", HOST)
    assert answer.status == 200
    assert b"Not comparable" in answer.body
    for query in (
        "",
        f"a={first.run_id}",
        f"a={first.run_id}&b={first.run_id}",
        f"a={first.run_id}&b=2026",
        f"a={first.run_id}&b=../x",
    ):
        assert site.answer(f"/-/compare?{query}", HOST).status == 404
    assert not (tmp_path / "compare").exists()


def test_the_run_under_way_is_found_and_shown(results: Path, site: Site) -> None:
    """Goal: /-/live leads to it. Method: a run that is being written."""
    run = launch(Store(results), Ship(state="running", judged=False))
    (run.load_dir / "seconds.jsonl").write_text(
        f'{{"kind":"start","wall_s":{NOW_S}}}\n', encoding="utf-8"
    )
    moved = site.answer("/-/live", HOST)
    where = f"/-/live/shop-at-sea/{run.run_id}"
    assert (moved.status, moved.headers["Location"]) == (302, where)
    page = site.answer(where, HOST)
    assert f'data-part="{where}/now"'.encode() in page.body
    part = site.answer(f"{where}/now", HOST)
    assert part.status == 200
    assert b"<html" not in part.body
    assert b'data-over="no"' in part.body


def test_a_torn_run_is_an_answer_and_no_crash(results: Path, site: Site) -> None:
    run = launch(Store(results), Ship(days_ago=3))
    run.plan_path.write_text("{", encoding="utf-8")
    answer = site.answer(f"/-/live/shop-at-sea/{run.run_id}", HOST)
    assert answer.status == 500
    assert b"plan.json cannot be read" in answer.body
    assert b"unreadable" in site.answer("/", HOST).body


# -- sockets ---------------------------------------------------------------------------------------


@contextmanager
def serving(site: Site) -> Iterator[WebServer]:
    with WebServer("127.0.0.1", 0, site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(timeout=10)


def ask(
    server: WebServer, method: str, path: str, host: str = "localhost", **more: str
) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(method, path, headers={"Host": host, **more})
        answer = connection.getresponse()
        return answer.status, answer.read(), str(answer.headers)
    finally:
        connection.close()


def test_it_answers_over_http_and_only_reads(site: Site) -> None:
    """Goal: the sockets do what the site says. Method: a real server on a free port."""
    with serving(site) as server:
        assert server.url == f"http://127.0.0.1:{server.server_port}/"
        status, body, headers = ask(server, "GET", "/")
        assert status == 200
        assert b"<h1>Runs</h1>" in body
        for line in (
            "Content-Security-Policy: default-src 'none'",
            "X-Content-Type-Options: nosniff",
            "X-Frame-Options: DENY",
            "Cross-Origin-Resource-Policy: same-origin",
            "Cache-Control: no-store",
        ):
            assert line in headers
        assert "Access-Control" not in headers
        assert "Python" not in headers
        status, body, headers = ask(server, "HEAD", "/")
        assert (status, body) == (200, b"")
        assert {ask(server, method, "/")[0] for method in ("POST", "PUT", "DELETE")} == {501}
        assert ask(server, "GET", "/", host="evil.example")[0] == 403


def test_a_page_from_elsewhere_cannot_make_us_work(site: Site) -> None:
    """Goal: no image or script of a foreign page is answered; links lead here. Method: headers."""
    with serving(site) as server:
        for whose, mode, status in (
            ("cross-site", "no-cors", 403),
            ("same-site", "cors", 403),
            ("cross-site", "navigate", 200),
            ("same-origin", "cors", 200),
            ("none", "navigate", 200),
        ):
            more = {"Sec-Fetch-Site": whose, "Sec-Fetch-Mode": mode}
            assert ask(server, "GET", "/", **more)[0] == status, whose


def test_a_site_that_fails_is_an_answer(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Goal: a mistake of ours ends no server. Method: a site that raises."""

    class Broken(Site):
        def answer(self, target: str, host: str | None, *, embedded: bool = False) -> Answer:
            raise ZeroDivisionError

    site.__class__ = Broken
    with serving(site) as server:
        assert ask(server, "GET", "/")[0] == 500
        assert ask(server, "GET", "/")[0] == 500
    assert "a page could not be made" in caplog.text


def test_a_taken_port_is_said(site: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1") as error:
            WebServer("127.0.0.1", port, site)
    assert error.value.accepted == "a free port, or 0 for any that is free (--port)"


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        *[("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True)],
        *[("0.0.0.0", False), ("::", False), ("192.0.2.1", False), ("ship.example", False)],  # noqa: S104
    ],
)
def test_loopback_is_known(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here
