"""How a search for the breaking point is told: page, Markdown, drawing and JSON."""

from __future__ import annotations

import json
import re

import pytest
from search_runs import search_run

from runner.analysis.evaluate import evaluate
from runner.fakesearch import FakeServer
from runner.model.searchfigures import RateFigure, SearchFigures
from runner.reports.document import Document, build_document
from runner.reports.markdown import render_markdown
from runner.reports.search import SearchStory, search_story, verdict_word
from runner.reports.searchplot import render_search
from runner.reports.svg import COLOURS
from runner.reports.write import write_reports
from runner.store import RunDir
from runner.testing import FakeWorld


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, Document]:
    """A search against a queue of capacity 333/s."""
    world = FakeWorld(server=FakeServer(capacity_per_s=333.0))
    run, recording = search_run(tmp_path_factory.mktemp("search"), world)
    evaluation = evaluate(recording)
    run.write_evaluation(evaluation)
    return run, build_document(recording, evaluation)


def story(document: Document) -> SearchStory:
    assert document.search is not None
    return document.search


def test_every_rate_has_a_row_and_every_step_too(told: tuple[RunDir, Document]) -> None:
    run, document = told
    found = story(document)
    rates = [row.rate.value for row in found.rates]
    assert rates == sorted(rates, key=lambda rate: rate or 0.0)
    assert [row.rate.value for row in found.steps] == [
        step.rate_per_s for step in run.read_load().steps
    ]
    first = found.rates[0]
    assert (first.rate.text, first.tries.text, first.word) == ("50/s", "1", "holds")
    assert (first.achieved.text, first.quantile.text) == ("100\u00a0%", "20\u00a0ms")
    assert (found.latency_bound, found.error_bound) == ("500\u00a0ms", "1\u00a0%")
    assert found.steps[0].at == "00:00"
    assert found.steps[0].why == "start"


def test_the_length_is_that_of_the_search(told: tuple[RunDir, Document]) -> None:
    """Goal: an early end is no missing end. Method: the timeline ends with the record."""
    run, document = told
    assert document.timeline.ended_percent is None
    assert document.timeline.duration_s == max(run.read_load().users) + 1
    assert document.timeline.duration_s < run.read_plan().duration_s / 2


def test_the_page_and_the_summary_have_the_table(told: tuple[RunDir, Document]) -> None:
    run, document = told
    page = write_reports(run).read_text(encoding="utf-8")
    found = story(document)
    assert page.count('id="search"') == 1
    section = page[page.index('id="search"') : page.index('id="timeline"')]
    assert section.count("<svg") == 1
    for row in found.rates:
        assert f'<th scope="row">{row.rate.text}</th>' in section
    assert f"{len(found.steps)} steps, one after the other" in section
    summary = render_markdown(document)
    assert "| 50/s | 1 | holds | 100 % | 20 ms | 0 % |" in summary
    assert (run.report_dir / "plots" / "search-latency.svg").exists()
    kept = json.loads((run.report_dir / "report.json").read_text(encoding="utf-8"))
    assert kept["search"]["sentence"] == found.sentence


def test_the_drawing_names_interval_and_bound(told: tuple[RunDir, Document]) -> None:
    _, document = told
    chart = story(document).chart
    svg = render_search(chart)
    texts = re.findall(r">([^<>]+)</text>", svg)
    low, high = chart.low_per_s, chart.high_per_s
    assert f"{low:g} to {high:g}/s" in texts
    assert "p95 &lt; 500\u00a0ms" in texts
    assert {"holds", "fails", "unclear"} <= set(texts)
    assert not any(colour in svg for colour in COLOURS.values())
    assert svg == render_search(chart)


RATE = RateFigure(rate_per_s=100.0, tries=1, verdict="holds", quantile_s=0.02)
FOUND = SearchFigures(
    low_per_s=100.0,
    high_per_s=None,
    reason="none",
    answered=True,
    converged=True,
    sentence="No breaking point up to 100/s.",
    start_per_s=10.0,
    end_per_s=100.0,
    statistic="p95",
    rates=(RATE,),
)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (FOUND, None),
        (FOUND.model_copy(update={"low_per_s": 0.0, "high_per_s": 100.0}), "below 100/s"),
        (
            FOUND.model_copy(
                update={"rates": (RATE, RATE.model_copy(update={"rate_per_s": 120.0}))}
            ),
            None,
        ),
    ],
)
def test_an_open_interval_is_drawn_as_far_as_it_is_known(
    found: SearchFigures, text: str | None
) -> None:
    svg = render_search(search_story(found).chart)
    assert not re.search(r">[^<]+ to [^<]+/s</text>", svg)
    if text is not None:
        assert f">{text}<" in svg


def test_the_axis_of_rates_has_even_steps_where_they_are_near() -> None:
    """Goal: an axis that can be read. Method: 50/s to 200/s, which is no logarithmic one."""
    rates = tuple(RATE.model_copy(update={"rate_per_s": rate}) for rate in (50.0, 100.0, 200.0))
    svg = render_search(search_story(FOUND.model_copy(update={"rates": rates})).chart)
    texts = re.findall(r">([0-9]+)</text>", svg)
    assert texts[: texts.index("200") + 1] == ["50", "100", "150", "200"]


def test_without_an_answer_there_is_nothing_to_draw() -> None:
    silent = RATE.model_copy(update={"quantile_s": None, "verdict": "fails", "reason": "latency"})
    told = search_story(FOUND.model_copy(update={"rates": (silent,)}))
    assert told.chart.missing
    assert told.chart.about == "No rate was answered."
    assert told.rates[0].quantile.text == "–"
    assert verdict_word(silent) == "fails: latency"
