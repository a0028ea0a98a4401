"""The list of runs and a comparison as pages, without a browser: words, links, safety."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from fleets import NOW_S, Ship, evaluation_of, fleet, launch, manifest_of, plan_of_ship, torn
from voyages import HOSTILE, Voyage, write_run

from runner.analysis.comparable import Subject
from runner.analysis.compare import compare
from runner.errors import RecordingError
from runner.model.evaluation import Verdict
from runner.model.plan import Plan
from runner.reports.comparepage import page_of, report_href
from runner.reports.comparing import comparison_text, render_comparison
from runner.reports.grid import Grid
from runner.reports.overlay import HEIGHT, WIDTH, LoadLines, load_lines, overlays
from runner.reports.runindex import render_index, write_index
from runner.reports.runlist import run_list
from runner.store import Store


def fleet_of(tmp_path: Path, *ships: Ship) -> Store:
    store = Store(tmp_path)
    for ship in ships:
        launch(store, ship)
    return store


# -- the list --------------------------------------------------------------------------------------


def test_every_run_is_on_the_page_and_links_lead_to_reports(tmp_path: Path) -> None:
    """Goal: the page opens from disk. Method: every link, followed as a browser would."""
    store = fleet_of(tmp_path, *fleet())
    torn(store)
    page = write_index(store, NOW_S)
    html = page.read_text(encoding="utf-8")
    assert page == tmp_path / "index.html"
    known = store.summaries(NOW_S)
    assert all(one.run_id in html for one in known)
    links = [link for link in re.findall(r'href="([^"#]+)"', html) if link != "data:,"]
    assert all((tmp_path / unquote(link)).is_file() for link in links)
    assert len({*links}) == sum(one.report for one in known) > 0
    assert not re.search(r'(?:src|href|action)="(?:/|https?:|//)', html)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Goal: no name becomes markup. Method: a script in each name, and a folder that needs care."""
    folder = "e <b>&'\"\u202e%2e"
    evil = Ship(title=HOSTILE, why=HOSTILE, target=HOSTILE, report=True, folder=folder)
    store = fleet_of(tmp_path, evil)
    html = write_index(store, NOW_S).read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert not re.search("[\x00\x1b\u202e]", html)
    (link,) = {*re.findall(r'href="([^"#]+/index.html)"', html)}
    assert (tmp_path / unquote(link)).is_file()


def test_each_experiment_has_its_sparks_and_main_objectives(tmp_path: Path) -> None:
    """Goal: a glance tells how it went. Method: the page's data for a known fleet."""
    missed = Ship(days_ago=1, verdict=Verdict.FAIL, p95_s=0.4, why="latency.p95 was missed.")
    store = fleet_of(tmp_path, Ship(days_ago=3, p95_s=0.2), Ship(days_ago=2, p95_s=0.1), missed)
    torn(store)
    doc = run_list(store.summaries(NOW_S), NOW_S)
    (one,) = doc.experiments  # what is no run is no experiment
    assert [(spark.kind, spark.height) for spark in one.sparks] == [
        ("pass", 1.0),
        ("pass", 1.0),
        ("fail", -1.0),
    ]
    assert one.about == "Verdicts, oldest first: 2 pass, 1 fail; the newest: fail."
    first, second = one.objectives
    assert (first.title, first.kind, first.last) == ("latency.p95 < 300ms", "fail", "400\u00a0ms")
    assert first.change == "+300\u00a0ms"
    heights = [y for _, y in first.points]
    assert heights[2] < heights[0] < heights[1]  # higher on the page is less
    assert first.bound_y is not None
    assert heights[2] < first.bound_y < heights[0]
    assert second.kind == "pass"


def test_a_page_of_nothing_says_how_to_begin(tmp_path: Path) -> None:
    html = render_index([], NOW_S)
    assert "No run is recorded yet" in html
    assert Store(tmp_path / "none").summaries(NOW_S) == []


def test_a_served_list_offers_more(tmp_path: Path) -> None:
    """Goal: live runs and comparisons only where there is a server. Method: both pages."""
    store = fleet_of(tmp_path, Ship(days_ago=1), Ship(state="running", judged=False))
    known = store.summaries(NOW_S)
    assert [one.standing for one in known] == ["under way", "judged"]
    served, static = render_index(known, NOW_S, served=True), render_index(known, NOW_S)
    assert f'href="/-/live/{known[0].folder}"' in served
    assert 'action="/-/compare"' in served
    assert "form-action 'self'; connect-src 'self'" in served
    assert "/-/" not in static
    assert "form-action 'none'" in static


def test_an_index_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    store = fleet_of(tmp_path, Ship())
    store.index_path.mkdir()
    with pytest.raises(RecordingError, match=r"index\.html cannot be written"):
        write_index(store, NOW_S)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


# -- a comparison ----------------------------------------------------------------------------------


def both(first: Ship, second: Ship) -> tuple[Subject, Subject]:
    one, two = (Subject(manifest_of(s), plan_of_ship(s), evaluation_of(s)) for s in (first, second))
    return one, two


def test_the_first_thing_said_is_whether_they_may_be_compared() -> None:
    """Goal: comparability first. Method: the order of words on the page."""
    html = render_comparison(compare(*both(Ship(days_ago=1), Ship(users=50))), ())
    order = ["Not comparable", "The load differs", "One run each", "What differs", "Objectives"]
    places = [html.index(f"{word}") for word in order]
    assert places == sorted(places)
    assert html.count("cannot be said") == 2


def test_figures_of_both_are_told(tmp_path: Path) -> None:
    first, second = both(Ship(days_ago=1, errors=0.001), Ship(p95_s=0.3, errors=0.004))
    doc = comparison_text(compare(first, second))
    latency, errors = doc.objectives
    assert latency.observed.first == "200\u00a0ms"
    assert latency.observed.difference == "+100\u00a0ms"
    assert latency.observed.change == "+50\u00a0%"
    assert (latency.sign, latency.word) == ("▼", "worse")
    assert errors.observed.difference == "+0.3\u00a0pp"
    assert [one.name for one in doc.conditions if one.kind != "pass"] == []
    ((endpoint, rows),) = doc.endpoints
    assert (endpoint, rows[0].name) == ("GET /api/v1/products", "baseline")
    assert [one.notable for one in rows[0].figures] == [False, True, False, True, False]


def test_names_in_a_comparison_stay_text() -> None:
    evil = Ship(title=HOSTILE, why=HOSTILE, target=HOSTILE)
    html = render_comparison(compare(*both(evil, replace(evil, days_ago=1))), ())
    assert "<script>alert" not in html
    assert not re.search("[\x00\x1b\u202e]", html)


def test_a_page_of_two_recordings(tmp_path: Path) -> None:
    """Goal: from folders to a page with charts and links. Method: two voyages on disk."""
    runs = []
    for name, kill in (("a", True), ("b", False)):
        run = write_run(tmp_path / name, Voyage(length_s=40, kill=kill, services=("order-api",)))
        runs.append(run)
    one, two = runs
    one.report_dir.mkdir()
    one.page_path.touch()
    subjects = tuple(Subject(r.read_manifest(), r.read_plan(), r.read_evaluation()) for r in runs)
    page = tmp_path / "compare" / "x y.html"
    hrefs = (report_href(one, page), report_href(two, page))
    assert hrefs == (f"../a/shop-at-sea/{one.run_id}/report/index.html", "")
    made, html = page_of((one, two), (subjects[0], subjects[1]), hrefs)
    assert not made.comparable
    assert html.count('<path class="line A" d="M') >= 3
    assert html.count('<path class="line B" d="M') >= 3
    assert html.count('<rect class="shade"') == 3 * 3  # two faults and one, in three charts
    assert f'href="{hrefs[0]}"' in html
    seen = {one.label: (one.missing, one.cpu_ratio.difference) for one in made.services}
    assert seen["baseline"][0] == ""
    assert seen["baseline"][1] is not None
    assert seen["fault 01-pod-kill"] == ("second", None)


GRID = Grid(step_s=1.0, count=4, duration_s=4.0)


def lines(*latency: float | None, faults: tuple[tuple[float, float], ...] = ()) -> LoadLines:
    return LoadLines(latency=latency, errors=(), traffic=(), faults=faults)


def test_lines_have_gaps_and_lone_values_are_dots() -> None:
    """Goal: nothing is drawn where nothing was. Method: the path of a line with holes."""
    latency, errors, _ = overlays(lines(0.1, None, 0.2, 0.3), lines(), GRID)
    assert latency.paths[0].count("M") == 2
    assert latency.paths[0].count("L") == 1
    assert latency.paths[1] == ""
    assert errors.paths == ("", "")
    assert latency.about == "Latency p95, A: from 100\u00a0ms to 300\u00a0ms; B: nothing."


def test_faults_of_both_are_shaded_apart() -> None:
    """Goal: each half belongs to one run. Method: one fault each, and one that never came."""
    first = lines(0.1, faults=((1.0, 2.0),))
    latency, *_ = overlays(first, lines(0.1, faults=((2.0, 9.0), (8.0, 9.0))), GRID)
    upper, lower = latency.shades
    assert upper.y + upper.height == lower.y
    assert upper.x < lower.x
    assert lower.x + lower.width <= WIDTH
    alone, *_ = overlays(first, None, GRID)
    assert alone.shades[0].height == 2 * upper.height


@pytest.mark.parametrize("highest", [0.0, 1e-6, 0.004, 0.5, 7.0, 12345.0])
def test_axes_have_round_numbers_within_the_drawing(highest: float) -> None:
    latency, *_ = overlays(lines(highest), None, GRID)
    places = [tick.at for tick in latency.up]
    assert 3 <= len(places) <= 6
    assert places == sorted(places, reverse=True)
    assert all(0 <= place <= HEIGHT for place in places)
    assert latency.up[0].text == "0"


def test_load_lines_are_those_of_the_recording(tmp_path: Path) -> None:
    """Goal: the charts tell the record. Method: totals against the evaluation's."""
    run = write_run(tmp_path, Voyage(length_s=40, kill=False, services=()))
    recording, evaluation = run.recording(), run.read_evaluation()
    plan: Plan = recording.plan
    grid = Grid(step_s=1.0, count=40, duration_s=plan.duration_s)
    seen = load_lines(recording, evaluation, grid)
    total = sum(phase.requests for phase in evaluation.phases)
    assert sum(value or 0.0 for value in seen.traffic) == pytest.approx(total)
    assert max(value or 0.0 for value in seen.errors) > 0
    assert [round(edge) for span in seen.faults for edge in span] == [26, 31]
