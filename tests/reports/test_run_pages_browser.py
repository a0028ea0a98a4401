"""The pages about several runs in a real browser: readable by all, silent, none too wide."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fleets import NOW_S, Ship, fleet, launch, torn
from pictures import SCHEMES, browser, opened
from voyages import HOSTILE, Voyage, write_run

from runner.catalog import follow_load, subject_of
from runner.reports.comparepage import page_of, report_href
from runner.reports.runindex import write_index
from runner.reports.site import Site
from runner.reports.webserver import WebServer
from runner.store import Store, write_atomically
from runner.testing import FakeClock

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

_STICKING_OUT = """() => {
  const wide = document.documentElement.clientWidth;
  return [...document.querySelectorAll('main *')]
    .filter(e => e.getBoundingClientRect().right > wide + 1)
    .filter(e => !e.matches('.scroll *, .hidden, svg *'))
    .map(e => e.tagName + '.' + e.className);
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("runs"))
    for ship in fleet():
        launch(store, ship)
    torn(store)
    launch(store, Ship(days_ago=0.05, title=HOSTILE, why=HOSTILE, target=HOSTILE, report=True))
    return store


def is_sound(page: Page) -> None:
    """No violation of axe, nothing on the console, nothing asked for but itself, no overflow."""
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    asked = [one for one in page.told if one != f"request: {page.url}"]  # type: ignore[attr-defined]
    assert asked == []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        violations = Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in violations] == []
    for width in (400, 1000, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(_STICKING_OUT) == [], width


def test_the_list_is_sound_and_filters(chromium: Browser, store: Store) -> None:
    """Goal: a page for everybody, from disk. Method: axe, the console, requests, the filter."""
    url = write_index(store, NOW_S).as_uri()
    page = opened(chromium, url)
    is_sound(page)
    known = len(store.summaries(NOW_S))
    assert page.locator("#shown").inner_text() == f"{known} runs"
    page.locator("select[name=verdict]").select_option("fail")
    assert page.locator("#runs tbody tr:visible").count() == 1
    page.locator("select[name=verdict]").select_option("")
    page.locator("input[name=text]").fill("STAGING shop")
    assert page.locator("#runs tbody tr:visible").count() == 1
    assert page.locator("#shown").inner_text() == f"1 of {known} runs"
    page.context.close()


def test_the_list_is_there_without_its_script(chromium: Browser, store: Store) -> None:
    """Goal: the script is a convenience. Method: a browser that runs none."""
    url = write_index(store, NOW_S).as_uri()
    page = opened(chromium, url, java_script_enabled=False)
    assert page.locator("#runs tbody tr").count() == len(store.summaries(NOW_S))
    assert not page.locator("#filter").is_visible()
    page.context.close()


def test_a_comparison_is_sound(chromium: Browser, tmp_path: Path) -> None:
    """Goal: two recordings over each other, for everybody. Method: voyages with hostile names."""
    first = write_run(tmp_path / "a", Voyage(length_s=40, services=()))
    names = {"GET /api/v1/products": HOSTILE, "GET /api/v1/customers": "x" * 400}
    second = write_run(tmp_path / "b", Voyage(length_s=40, kill=False, names=names, services=()))
    path = tmp_path / "compare" / "page.html"
    hrefs = (report_href(first, path), report_href(second, path))
    subjects = (subject_of(first), subject_of(second))
    write_atomically(path, page_of((first, second), subjects, hrefs)[1])
    page = opened(chromium, path.as_uri())
    is_sound(page)
    assert page.locator("h1").inner_text().split("\n")[-1] == "Not comparable"
    assert page.locator("svg.over").count() == 3
    page.context.close()


def test_a_live_page_follows_its_run(chromium: Browser, tmp_path: Path) -> None:
    """Goal: the page shows what is written while it is. Method: a server, a run that grows."""
    store = Store(tmp_path)
    run = launch(store, Ship(state="running", judged=False))
    clock = FakeClock()
    record = run.load_dir / "seconds.jsonl"
    started = clock.wall_s() - 20
    row = '{{"kind":"rows","second":{0},"users":{1},"rows":[["GET /","success",[[900,50]]]]}}\n'
    record.write_text(f'{{"kind":"start","wall_s":{started}}}\n', encoding="utf-8")
    with record.open("a", encoding="utf-8") as file:
        file.writelines(row.format(second, 7) for second in range(20))
    site = Site(store, clock, follow_load, subject_of)
    with WebServer("127.0.0.1", 0, site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            page = opened(chromium, f"{server.url}-/live")
            assert page.url.endswith(f"/-/live/shop-at-sea/{run.run_id}")
            users = page.locator("dt:text-is('Users') + dd")
            assert users.inner_text() == "7"
            with record.open("a", encoding="utf-8") as file:
                file.write(row.format(20, 42))
            clock.now_s += 1.2
            page.locator("dt:text-is('Users') + dd:text-is('42')").wait_for(timeout=20_000)
            assert page.locator("#said").inner_text() == "baseline"
            errors = [one for one in page.told if not one.startswith("request")]  # type: ignore[attr-defined]
            assert errors == []
        finally:
            server.shutdown()
            thread.join(timeout=10)
    page.context.close()
