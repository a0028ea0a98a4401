"""Every kind of fault in a report: its story, its marks on the timeline and in the charts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from voyages import Voyage, every_kind, write_run

from runner.model.evaluation import Evaluation
from runner.model.recording import Recording
from runner.reports.document import Document, build_document
from runner.reports.faults import MOST_EFFECTS
from runner.reports.plots import render, settings
from runner.reports.timeline import MOST_MARKS


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, Evaluation, Document]:
    run = write_run(tmp_path_factory.mktemp("kinds"), every_kind())
    evaluation = run.read_evaluation()
    recording = run.recording()
    return recording, evaluation, build_document(recording, evaluation)


STORIES = {
    "01-the-pod-kill": ("First kill", "00:30", "Ready again", "00:44", "3 of 3 planned", ""),
    "02-the-http-delay": ("Injected", "00:58", "Gone", "01:13", "", "180 requests"),
    "03-the-http-abort": ("Injected", "01:26", "Gone", "01:41", "", "150 requests"),
    "04-the-scale": ("Injected", "01:54", "Gone", "02:09", "", ""),
    "05-the-rollout-restart": ("Begun", "02:22", "Ready again", "02:26", "", ""),
    "06-the-cordon": ("Injected", "02:50", "Gone", "03:05", "", ""),
    "07-the-drain": ("Injected", "03:18", "Gone", "03:33", "", ""),
    "08-the-network-deny": ("Injected", "03:46", "Gone", "04:01", "", "120 requests"),
    "09-the-chaostoolkit": ("Begun", "04:14", "Gone", "04:29", "", ""),
}


def test_each_kind_has_a_story_with_its_own_words(
    seen: tuple[Recording, Evaluation, Document],
) -> None:
    """Goal: a kill is not 'gone', and a rollout is not 'injected'. Method: one run with nine."""
    stories = {
        one.id: (one.begun, one.injected, one.ended, one.gone, one.kills, one.flagged)
        for one in seen[2].faults
    }
    assert stories == STORIES
    assert [len(one.evidence) for one in seen[2].faults] == [3, 3, 4, 3, 3, 3, 3, 3, 3]


def test_each_kind_is_a_span_and_kills_are_marks_on_it(
    seen: tuple[Recording, Evaluation, Document],
) -> None:
    spans = seen[2].timeline.faults
    assert [span.begun for span in spans] == [True] * 9
    assert spans[0].text == "pod-kill on order-api, 00:30 to 00:45, 3 kills"
    assert spans[0].kills_s == pytest.approx((30.5, 35.5, 40.5), abs=1e-3)
    assert spans[0].kills_percent == pytest.approx((10.167, 11.833, 13.5), abs=1e-2)
    assert {span.kills_s for span in spans[1:]} == {()}


def test_charts_have_a_shade_for_each_fault_and_a_mark_for_each_kill(
    seen: tuple[Recording, Evaluation, Document],
) -> None:
    """Goal: nine shades, and three strokes at the top. Method: shapes in the fault's colour."""
    document = seen[2]
    chart = document.charts[0].charts[0]
    with settings():
        drawn = render(chart, document)
    (fill,) = re.findall(r'd="([^"]*)"[^>]*fill: var\(--fault\); (?:fill-)?opacity: 0\.18', drawn)
    (stroke,) = re.findall(r'd="([^"]*)"[^>]*stroke: var\(--fault\)[^"]*stroke-width: 1\.4', drawn)
    assert (fill.count("M"), stroke.count("M")) == (9, 3)


def test_more_kills_than_can_be_told_apart_are_a_shade(tmp_path: Path) -> None:
    """Goal: no wall of strokes; all are counted. Method: a kill each second for 70 seconds."""
    kill = {"kind": "pod-kill", "name": "often", "service": "order-api", "every": "1s"}
    voyage = Voyage(length_s=120, faults=(kill | {"at": "20s", "duration": "70s"},))
    run = write_run(tmp_path, voyage)
    evaluation = run.read_evaluation()
    document = build_document(run.recording(), evaluation)
    (span,) = document.timeline.faults
    assert MOST_MARKS < len(evaluation.faults[0].kills_s) == 70
    assert (span.kills_s, span.kills_percent) == ((), ())
    assert span.text.endswith(", 70 kills")
    (story,) = document.faults
    assert (len(story.steps), story.more_steps) == (MOST_EFFECTS, 3 * 70 - MOST_EFFECTS)
