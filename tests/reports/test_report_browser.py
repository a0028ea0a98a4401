"""The page in a real browser: what a reader sees, reads off its charts and hears; what it asks for.

One browser for all tests; the page opens from disk, as it does for a reader.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pictures import browser, opened
from voyages import HOSTILE, Voyage, write_run

from runner.reports import format as fmt
from runner.reports.write import write_reports
from runner.store import RunDir

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.browser

LENGTH_S = 60
_STICKING_OUT = """() => {
  const wide = document.documentElement.clientWidth;
  const hidden = '.scroll *, .hidden, .strip *, .contents *, pre, svg *, details:not([open]) *';
  const out = [...document.querySelectorAll('header *, main, main *')]
    .filter(e => e.getBoundingClientRect().right > wide + 1 && !e.matches(hidden))
    .map(e => e.tagName + '.' + e.className);
  return {more: document.documentElement.scrollWidth - wide, out};
}"""
_SEEN = """list => list.map(one => one.checkVisibility({visibilityProperty: true})
  && one.getBoundingClientRect().height > 0 && one.getBoundingClientRect().width > 0)"""
_FOLDING = "(open) => document.querySelectorAll('details').forEach(one => one.open = open)"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = write_run(
        tmp_path_factory.mktemp("browser"),
        Voyage(
            length_s=LENGTH_S,
            services=("order-api", "payment-api"),
            names={"GET /api/v1/products": HOSTILE, "GET /api/v1/customers": "x" * 400},
            failure_text=HOSTILE,
        ),
    )
    write_reports(run)
    return run


@pytest.fixture(scope="module")
def open_run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    voyage = Voyage(length_s=60, rate=50.0, pool=9, stall_s=3.0, services=("order-api",))
    run = write_run(tmp_path_factory.mktemp("open"), voyage)
    write_reports(run)
    return run


def shown(chromium: Browser, run: RunDir, **options: Any) -> Page:
    return opened(chromium, run.page_path.as_uri(), **options)


@pytest.fixture(scope="module")
def page(chromium: Browser, run: RunDir) -> Iterator[Page]:
    """One window for the tests that leave it as they found it."""
    window = {"width": 1000, "height": 900}
    page = shown(chromium, run, viewport=window, timezone_id="Asia/Kolkata", locale="en-GB")
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def report(run: RunDir) -> dict[str, Any]:
    text = (run.report_dir / "report.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def cursor(page: Page, chart: str = "load-latency") -> Locator:
    return page.locator(f"svg[data-chart={chart}] + .cursor")


def settled(page: Page) -> None:
    """Wait until what was asked for is drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def ticks(page: Page) -> list[str]:
    """The labels of the time axis that can be seen in the first chart."""
    texts = page.locator("svg[data-chart=load-latency] :is(.time-axis text, text.tick)")
    return [one.text_content() or "" for one in texts.all() if one.is_visible()]


# -- what a reader sees ----------------------------------------------------------------------------


def test_a_reader_sees_the_verdict_and_every_objective(page: Page, run: RunDir) -> None:
    """Goal: what matters is on the page. Method: the text of the browser's own tree."""
    text = " ".join((page.locator("main").text_content() or "").replace("\u00a0", " ").split())
    evaluation = run.read_evaluation()
    because = evaluation.sentence.partition(": ")[2]
    assert because[0].upper() + because[1:] in text
    for finding in evaluation.findings:
        assert finding.title in text
        assert finding.reason in text
    assert page.locator("h1").inner_text().split() == ["✗", "Fail"]
    for reading in (".crosshair", ".readout", ".point", ".foot", ".brush", ".view"):
        drawn = page.locator(reading).evaluate_all(_SEEN)
        assert not any(drawn), f"{reading} before anybody points at anything"


def test_it_is_quiet_and_asks_nobody(chromium: Browser, run: RunDir, page: Page) -> None:
    """Goal: no error, no request. Method: with its policy, and without, which would hide some."""
    address = (run.report_dir / "index.html").as_uri()
    free = shown(chromium, run, bypass_csp=True)
    for one in (page, free):
        assert one.told == [f"request: {address}"]  # type: ignore[attr-defined]
    free.evaluate("() => { new Image().src = 'http://elsewhere.invalid/x.png' }")
    assert "request: http://elsewhere.invalid/x.png" in free.told  # type: ignore[attr-defined]
    free.context.close()


def test_without_scripts_it_is_complete(chromium: Browser, run: RunDir) -> None:
    """Goal: reading needs no script. Method: none allowed; no dead control, every drawing."""
    page = shown(chromium, run, java_script_enabled=False)
    for control in (".tool", ".tools", ".cursor"):
        assert not any(one.is_visible() for one in page.locator(control).all()), control
    assert page.locator("svg.plot .legend").count() >= 12
    assert page.locator("#objectives-table > tbody > tr").count() == 8
    page.context.close()


@pytest.mark.parametrize("model", ["run", "open_run"])
def test_nothing_sticks_out(chromium: Browser, request: pytest.FixtureRequest, model: str) -> None:
    """Goal: no sideways scrolling, folded or not. Method: measured at three widths."""
    page = shown(chromium, request.getfixturevalue(model))
    for width in (400, 1000, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(_STICKING_OUT) == {"more": 0, "out": []}
    page.evaluate(_FOLDING, True)
    page.set_viewport_size({"width": 400, "height": 900})
    assert page.evaluate(_STICKING_OUT) == {"more": 0, "out": []}
    page.context.close()


# -- the charts ------------------------------------------------------------------------------------


def test_the_crosshair_reads_what_the_report_says(page: Page, report: dict[str, Any]) -> None:
    """Goal: figures, not impressions. Method: all charts at five places beside report.json."""
    target = cursor(page)
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box is not None
    seen = []
    for share in (0.15, 0.3, 0.45, 0.72, 0.95):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 60)
        settled(page)
        clock = page.locator("[data-says=clock]").inner_text()
        index = next(i for i, at in enumerate(report["at_s"]) if fmt.clock_offset(at) == clock)
        seen.append(index)
        for chart in (one for group in report["charts"] for one in group["charts"]):
            shown = page.locator(
                f"svg[data-chart={chart['id']}] .readout .value"
            ).all_text_contents()
            values = [line["values"][index] for line in chart["lines"]]
            assert shown == [fmt.quantity(value, chart["unit"]) for value in values]
    assert seen == sorted(set(seen))
    assert len(seen) == 5
    p95 = next(line for line in report["charts"][0]["charts"][0]["lines"] if line["name"] == "p95")
    points = page.locator("svg[data-chart=load-latency] .point")
    path = page.locator("svg[data-chart=load-latency] .line-1 path").get_attribute("d") or ""
    drawn = [float(one) for one in re.findall(r"[ML] [\d.]+ ([\d.]+)", path)]
    assert len(drawn) == len(p95["values"])
    assert float(points.nth(1).get_attribute("cy") or 0) == pytest.approx(drawn[seen[-1]], abs=0.02)


def test_the_crosshair_says_when_and_what_was_broken(page: Page, report: dict[str, Any]) -> None:
    """Goal: offset, UTC, phase and fault. Method: the keys lead into the first fault."""
    fault = report["timeline"]["faults"][0]
    cursor(page).focus()
    page.keyboard.press("Home")
    for _ in range(int(fault["start_s"]) + 1):
        page.keyboard.press("ArrowRight")
    settled(page)
    says = {
        one: page.locator(f"[data-says={one}]").inner_text()
        for one in ("clock", "utc", "phase", "faults")
    }
    assert says == {
        "clock": "00:16",
        "utc": "2026-01-01 00:00:16 UTC",
        "phase": "fault 01-pod-kill",
        "faults": "fault 1: 01-pod-kill",
    }
    heard = cursor(page).get_attribute("aria-valuetext") or ""
    p95 = next(line for line in report["charts"][0]["charts"][0]["lines"] if line["name"] == "p95")
    assert heard.startswith(
        "00:16, 2026-01-01 00:00:16 UTC, fault 01-pod-kill, fault 1: 01-pod-kill"
    )
    assert f"p95 {fmt.quantity(p95['values'][16], 's')}" in heard


def test_zooming_moves_every_chart_and_comes_back(page: Page, report: dict[str, Any]) -> None:
    """Goal: one time for all. Method: drag, choose, press keys; the axis and what it says."""
    whole = ["00:00", "00:10", "00:20", "00:30", "00:40", "00:50", "01:00"]
    assert ticks(page) == whole
    target = cursor(page)
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box is not None
    left, right = box["x"] + box["width"] * 47 / 330, box["x"] + box["width"] * 315 / 330
    page.mouse.move(left + (right - left) * 20 / LENGTH_S, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(left + (right - left) * 40.2 / LENGTH_S, box["y"] + 70, steps=3)
    page.mouse.up()
    assert ticks(page) == ["00:20", "00:25", "00:30", "00:35", "00:40"]
    moved = page.locator(".zoomed[data-chart] .over-time[transform]").count()
    assert moved == page.locator("[data-chart] .over-time").count() > 50
    page.mouse.dblclick(box["x"] + 100, box["y"] + 60)
    assert ticks(page) == whole

    page.locator("#charts-zoom").select_option("fault:0")
    assert ticks(page)[0] >= "00:11"
    assert ticks(page)[-1] <= "00:27"
    target.focus()
    page.keyboard.press("Escape")
    assert ticks(page) == whole
    page.keyboard.press("+")
    assert page.locator("#charts-zoom").input_value() == "part"
    assert ticks(page) != whole
    page.keyboard.press("0")
    assert ticks(page) == whole
    assert page.locator("#charts-zoom").input_value() == "whole"


def test_a_fault_leads_to_its_place_in_the_charts(page: Page) -> None:
    page.locator("[data-zoom-fault='2']").click()
    assert page.locator("#charts-zoom").input_value() == "fault:1"
    page.locator("[data-zoom=whole]").click()
    assert page.locator("#charts-zoom").input_value() == "whole"


# -- keys, ears, eyes ------------------------------------------------------------------------------


def test_the_keys_lead_through_the_page(chromium: Browser, run: RunDir) -> None:
    """Goal: nothing needs a mouse. Method: tabs from the top; the charts are one stop."""
    page = shown(chromium, run)
    focused = (
        "() => document.activeElement.getAttribute('aria-label')"
        " || document.activeElement.textContent.trim()"
    )
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Skip to the report"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(focused))
        if stops[-1].startswith("Time "):
            break
    assert stops[-1] == "Time on the timeline"
    assert "Only what did not pass (1 of 8)" in [
        " ".join(label.split()) for label in page.locator("label").all_inner_texts()
    ]
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "Time in Latency: the load"
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == "Time on the timeline"
    outline = "() => getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid", "what has the focus can be seen"
    page.context.close()


def test_headings_have_an_order_and_charts_a_text(page: Page, report: dict[str, Any]) -> None:
    tags = page.locator("h1, h2, h3, h4").evaluate_all("list => list.map(one => one.tagName)")
    levels = [int(tag[1]) for tag in tags]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    first = report["charts"][0]["charts"][0]
    assert page.locator("svg[data-chart=load-latency] desc").text_content() == first["about"]
    assert "highest at" in first["about"]
    rows = page.locator("figure:has([data-chart=load-latency]) details.data tbody tr")
    assert rows.count() == len(report["timeline"]["phases"])


def test_axe_finds_nothing(chromium: Browser, run: RunDir) -> None:
    """Goal: no known barrier. Method: axe, light and folded, dark and unfolded."""
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    page = shown(chromium, run, viewport={"width": 1300, "height": 900})
    # Drawings hold thousands of shapes without a name, and are slow to walk through.
    parts, only = {"exclude": [["svg.plot > g"]]}, {"resultTypes": ["violations"]}
    found = {}
    looks: tuple[tuple[Literal["light", "dark"], bool], ...] = (("light", False), ("dark", True))
    for scheme, unfold in looks:
        page.emulate_media(color_scheme=scheme)
        page.evaluate(_FOLDING, unfold)
        cursor(page).focus()
        settled(page)
        for one in Axe().run(page, context=parts, options=only).response["violations"]:
            found[scheme, one["id"]] = [node["html"][:120] for node in one["nodes"]]
    assert found == {}
    page.context.close()


def test_the_scheme_can_be_turned_by_hand(chromium: Browser, run: RunDir) -> None:
    """Goal: light and dark, by setting and by hand. Method: colour of the page; paper is white."""
    page = shown(chromium, run, color_scheme="dark")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    dark, button = page.evaluate(ground), page.locator("button.scheme")
    assert button.inner_text() == "Light colours"
    button.click()
    assert (button.inner_text(), page.evaluate(ground)) == ("Dark colours", "rgb(246, 247, 249)")
    button.click()
    assert page.evaluate(ground) == dark == "rgb(15, 20, 26)"
    page.emulate_media(media="print")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.context.close()


def test_a_moment_is_utc_and_tells_the_local_time(page: Page) -> None:
    moment = page.locator(".facts time").first
    assert moment.inner_text() == "2026-01-01 00:00:00 UTC"
    assert (moment.get_attribute("title") or "").startswith("1 Jan 2026, 05:30:00")


def test_the_filter_leaves_what_did_not_pass(page: Page) -> None:
    rows = page.locator("#objectives-table > tbody > tr")
    box = page.locator("[data-filters=objectives-table]")
    box.check()
    left = [one for one in rows.all() if one.is_visible()]
    assert [one.get_attribute("class") for one in left] == ["fail"]
    box.uncheck()
    assert sum(one.is_visible() for one in rows.all()) == 8


def test_the_command_can_be_copied_from_a_file(page: Page) -> None:
    """Goal: copy without a server. Method: copy, and paste into a field of the test's own."""
    page.locator("[data-copies=command]").click()
    page.locator("[data-copies=command]", has_text="Copied").wait_for()
    page.evaluate("() => main.prepend(document.createElement('textarea'))")
    field = page.locator("main > textarea")
    field.focus()
    page.keyboard.press("Control+v")
    assert field.input_value() == "seatrial run shop-at-sea --target sandbox"
    field.evaluate("one => one.remove()")


# -- on paper --------------------------------------------------------------------------------------


def test_it_prints(page: Page) -> None:
    """Goal: a clean PDF. Method: its pages hold text and have the size of A4; no controls."""
    unfolded = page.locator("details[open]").count()
    pdf = page.pdf(prefer_css_page_size=True)
    sizes = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert {(round(float(wide)), round(float(high))) for wide, high in sizes} == {(595, 842)}
    assert 5 <= len(sizes) <= 25
    texts = 0
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, flags=re.DOTALL):
        try:
            texts += re.search(rb"T[jJ]\b", zlib.decompress(stream)) is not None
        except zlib.error:
            continue
    assert texts >= len(sizes)
    page.emulate_media(media="print")
    for control in (".contents", ".tool", ".tools", ".anchor", ".cursor", "summary"):
        assert not any(one.is_visible() for one in page.locator(control).all()), control
    page.emulate_media(media="screen")
    assert page.locator("details[open]").count() == unfolded, "folded again after the print"
