"""Answers in every form of a report: under a heading of their own, and never as a verdict."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from voyages import Voyage, write_run

from runner.cli.tables import print_evaluation
from runner.model.evaluation import Evaluation, Finding, Part, Verdict
from runner.reports.document import Document, build_document
from runner.reports.html import render_page
from runner.reports.junit import render_junit
from runner.reports.markdown import render_markdown

KNOWN = Finding(
    kind="answer",
    check="seen-in-stages",
    title="What did users see?",
    verdict=Verdict.PASS,
    reason="Errors were highest with 90 <users>: 40 %.",
    where="stage 2",
    observed=0.4,
    unit="ratio",
    parts=(
        Part(
            label="90 users",
            start_s=60.0,
            end_s=90.0,
            verdict=Verdict.PASS,
            observed=0.4,
            samples=1234.0,
            reason="41/s, p95 9 s",
        ),
    ),
)
OPEN = KNOWN.model_copy(
    update={
        "check": "replicas",
        "title": "Did it scale?",
        "verdict": Verdict.INCONCLUSIVE,
        "reason": "No answer: nobody counted.",
        "where": "",
        "observed": None,
        "parts": (),
    }
)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return _evaluated(tmp_path_factory.mktemp("answers"))[0]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return _evaluated(tmp_path_factory.mktemp("answers"))[1]


def _evaluated(folder: Path) -> tuple[Evaluation, Document]:
    run = write_run(folder, Voyage(length_s=60, kill=False, abort=False))
    found = run.read_evaluation()
    others = tuple(one for one in found.findings if one.kind != "answer")
    found = found.model_copy(update={"findings": (*others, KNOWN, OPEN)})
    return found, build_document(run.recording(), found)


def test_the_document_has_each_with_its_figures(document: Document) -> None:
    known, open_ = document.answers
    assert (known.question, known.where, known.answered) == ("What did users see?", "stage 2", True)
    assert known.observed.text == "40\u00a0%"
    assert [(one.label, one.window, one.samples.text) for one in known.parts] == [
        ("90 users", "01:00 to 01:30", "1,234")
    ]
    assert (open_.answered, open_.observed.value, open_.text) == (
        False,
        None,
        "No answer: nobody counted.",
    )
    titles = {row.title for row in (*document.objectives, *document.validity)}
    assert not titles & {"What did users see?", "Did it scale?"}


def page_of(document: Document) -> str:
    """The page without its drawings."""
    return render_page(document, {c.id: "" for group in document.charts for c in group.charts})


def test_the_page_has_them_under_their_heading(document: Document) -> None:
    """Escaped, with a table of stages for the one that has parts, and a mark on the open one."""
    page = page_of(document)
    section = page.split('<section class="panel" id="answers"')[1].split("</section>")[0]
    assert "<h2" in section
    assert "90 &lt;users&gt;: 40\u00a0%." in section
    assert section.count("<summary>Stage by stage</summary>") == 1
    assert section.count("<table") == 1
    assert '<div class="known"><dt>What did users see?' in section
    assert '<div class="open"><dt>Did it scale?' in section
    assert '<a href="#answers">' in page


def test_a_page_without_answers_has_no_heading_for_them(document: Document) -> None:
    page = page_of(document.model_copy(update={"answers": ()}))
    assert 'id="answers"' not in page
    assert "#answers" not in page


def test_markdown_has_a_line_for_each(document: Document) -> None:
    text = render_markdown(document)
    assert (
        "**Answers**\n\n"
        "- **What did users see? (stage 2)** Errors were highest with 90 \\<users\\>: 40 %.\n"
        "- **Did it scale?** No answer: nobody counted.\n"
    ) in text


def test_junit_has_none(document: Document) -> None:
    """A question without an answer must not fail a build."""
    root = ET.fromstring(render_junit(document))  # noqa: S314 - our own text
    names = {case.get("name") for case in root.iter("testcase")}
    assert len(names) == len(document.objectives) + len(document.validity)
    assert not names & {"What did users see?", "Did it scale?"}


def test_the_terminal_shows_them(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    print_evaluation(evaluation)
    said = " ".join(capsys.readouterr().out.split())
    assert "Answers Question Answer" in said
    assert "What did users see? (stage 2) Errors were highest with 90 <users>: 40 %." in said
    assert "Did it scale? No answer: nobody counted." in said
    assert said.count("nobody counted") == 1
