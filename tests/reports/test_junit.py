"""The report as JUnit XML: what CI systems read out of it, and that their schemas take it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voyages import HOSTILE, Voyage, write_run

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Verdict
from runner.model.score import ScoreRule
from runner.reports.document import Document, build_document
from runner.reports.junit import render_junit, render_unjudged
from runner.reports.text import shown

if TYPE_CHECKING:
    from conftest import Golden

SMALL = ("order-api", "payment-api")

TIME = re.compile(r"[0-9]+\.[0-9]{3}")
NUMBER = re.compile(r"[0-9]+")
WORDS = re.compile(r"[^\n\r\t]+")
ANY = re.compile(r".*", re.DOTALL)
COUNTS = {"tests": NUMBER, "failures": NUMBER, "errors": NUMBER, "time": TIME}
SUITE = COUNTS | {
    "name": WORDS,
    "package": WORDS,
    "hostname": WORDS,
    "id": NUMBER,
    "skipped": NUMBER,
    "timestamp": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"),
}
SCHEMA: dict[str, tuple[dict[str, re.Pattern[str]], str]] = {
    "testsuites": (COUNTS | {"name": WORDS}, r"(testsuite )*"),
    "testsuite": (SUITE, r"properties (testcase )*"),
    "properties": ({}, r"(property )*"),
    "property": ({"name": WORDS, "value": ANY}, ""),
    "testcase": (
        {"name": WORDS, "classname": WORDS, "time": TIME},
        r"(failure )?(error )?(system-out )?",
    ),
    "failure": ({"type": WORDS, "message": WORDS}, ""),
    "error": ({"type": WORDS, "message": WORDS}, ""),
    "system-out": ({}, ""),
}
"""Of each element: its attributes, all of them required, and its children in order.

What is common to the schemas of Jenkins' xUnit plug-in (``junit-10.xsd``: which elements and
attributes there are, none else), Surefire (order in a case, a type for each failure, milliseconds)
and Ant (timestamp without a zone, hostname, package, id).
"""


def assert_valid(element: ET.Element) -> None:
    attributes, children = SCHEMA[element.tag]
    assert set(element.attrib) == set(attributes), element.tag
    for name, pattern in attributes.items():
        assert pattern.fullmatch(element.attrib[name]), (element.tag, name, element.attrib[name])
    assert re.fullmatch(children, "".join(f"{child.tag} " for child in element)), element.tag
    for child in element:
        assert_valid(child)


def make(root: Path, voyage: Voyage) -> Document:
    run = write_run(root, voyage)
    return build_document(run.recording(), run.read_evaluation())


def junit_of(document: Document) -> ET.Element:
    """What a parser of XML 1.0 makes of the bytes, as they are written."""
    return ET.fromstring(render_junit(document).encode())  # noqa: S314 - our own file


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """A run that broke off, with names that mean harm, one of them of 10 kB."""
    evil = "]]><a>&\r\n\tx" + HOSTILE
    voyage = Voyage(
        length_s=60,
        services=("</desc><script>", "order-api"),
        names={"GET /api/v1/products": evil, "GET /api/v1/customers": "n" * 10_000},
        objectives=(
            {"objective": "errors < 5%", "of": evil},
            {"objective": "errors < 0.0001%", "of": "n" * 10_000},
            "errors < 50%",
            "errors < 0.1%",
        ),
        state="failed",
    )
    recording = write_run(tmp_path_factory.mktemp("hostile"), voyage, evaluated=False).recording()
    reason = {"reason": "half \ud800 of ]]> a character " + HOSTILE}  # no file could hold it
    recording = replace(recording, manifest=recording.manifest.model_copy(update=reason))
    return build_document(recording, evaluate(recording))


def test_junit_as_it_was_looked_at(tmp_path: Path, golden: Golden) -> None:
    golden("reports/junit.xml", render_junit(make(tmp_path, Voyage(length_s=60, services=SMALL))))


def test_it_is_what_the_common_schemas_describe(hostile: Document, tmp_path: Path) -> None:
    """Goal: no CI system refuses it. Method: elements, order and attributes by ``SCHEMA``."""
    assert_valid(junit_of(hostile))
    assert_valid(junit_of(make(tmp_path, Voyage(length_s=60, services=SMALL))))


def test_no_character_is_left_that_xml_or_a_terminal_takes_badly(hostile: Document) -> None:
    text = render_junit(hostile)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff\ufffe\uffff]", text)
    assert "]]>" not in text
    assert "<script>" not in text


def test_each_finding_is_a_case_of_its_verdict(hostile: Document) -> None:
    """Goal: fail is failure, inconclusive is error, nothing skipped. Method: count by verdict."""
    root = junit_of(hostile)
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == [
        "shop-at-sea: objectives",
        "shop-at-sea: validity",
    ]
    wanted = {Verdict.FAIL: "failure", Verdict.INCONCLUSIVE: "error"}
    for suite, rows in zip(suites, (hostile.objectives, hostile.validity), strict=True):
        cases = suite.findall("testcase")
        assert [case[0].tag for case in cases] == [
            wanted.get(row.verdict, "system-out") for row in rows
        ]
        for tag, counted in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert suite.get(counted) == str(len(suite.findall(f"testcase/{tag}")))
        assert suite.get("tests") == str(len(rows))
    for counted in ("tests", "failures", "errors"):
        assert int(root.attrib[counted]) == sum(int(suite.attrib[counted]) for suite in suites)
    assert int(suites[0].attrib["failures"]) >= 1
    assert int(suites[1].attrib["errors"]) >= 1
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(names)) == len(names)
    assert max(len(str(name)) for _, name in names) < 700


@pytest.mark.parametrize(
    ("state", "recorded_s", "said"),
    [
        ("aborted", 30, "The run was aborted by a guard: errors > 60%."),
        ("interrupted", 30, "The run was interrupted: errors > 60%."),
        ("recorded", 60, None),
    ],
)
def test_a_run_that_did_not_end_as_planned_is_an_error(
    state: str, recorded_s: int, said: str | None, tmp_path: Path
) -> None:
    """Goal: CI sees a guard and Ctrl-C. Method: the case that has the length of the load."""
    voyage = Voyage(
        length_s=60, services=SMALL, state=state, reason="errors > 60%", recorded_s=recorded_s
    )
    root = junit_of(make(tmp_path, voyage))
    case = next(c for c in root.iter("testcase") if c.get("name") == "The run went to its end")
    error = case.find("error")
    assert (None if error is None else error.get("message")) == said
    assert case.get("time") == f"{recorded_s}.000"
    assert root.get("time") == f"{recorded_s}.000"
    assert sum(float(c.attrib["time"]) for c in root.iter("testcase")) == recorded_s


def test_a_run_without_a_judgement_is_one_error() -> None:
    """Goal: silence is no success. Method: a target that refused, with a reason that means harm."""
    text = render_unjudged("shop", "r", "2026-01-01T00:00:00", f"It is busy.\n]]>{HOSTILE}")
    root = ET.fromstring(text.encode())  # noqa: S314 - our own file
    assert_valid(root)
    assert (root.get("tests"), root.get("errors"), root.get("failures")) == ("1", "1", "0")
    error = next(root.iter("error"))
    assert error.attrib["message"].startswith("It is busy. ]]><script>")
    assert str(error.text).startswith("It is busy.\n]]><script>")


@given(st.text(st.characters(exclude_categories=())))
def test_any_reason_is_xml(reason: str) -> None:
    """Goal: always a file that parses. Method: any text, half characters included."""
    root = ET.fromstring(render_unjudged("shop", "r", "", reason).encode())  # noqa: S314 - ours
    error = next(root.iter("error"))
    assert error.attrib["message"] == " ".join(shown(reason).split())
    assert (error.text or "") == shown(reason)


def test_who_asked_and_what_for_stands_in_the_properties(tmp_path: Path) -> None:
    root = junit_of(make(tmp_path, Voyage(length_s=60, services=SMALL)))
    found = {p.attrib["name"]: p.attrib["value"] for p in root.iter("property")}
    assert found["run"] == "2026-01-01T000000Z-abcd"
    assert found["verdict"] == "fail"
    assert found["valid"] == "true"
    assert found["target"] == "sandbox default"
    assert found["sentence"].startswith("FAIL: 1 of 8 objectives was missed.")


def test_a_message_is_one_line_and_the_windows_follow(tmp_path: Path) -> None:
    root = junit_of(make(tmp_path, Voyage(length_s=60, services=SMALL)))
    failure = next(root.iter("failure"))
    assert "\n" not in failure.attrib["message"]
    first, *windows = str(failure.text).splitlines()
    assert " ".join(first.split()) == failure.attrib["message"]
    assert windows[-1] == "fault 02-http-abort (00:39 to 00:46): 9.1 %, fail".replace(
        " %", "\u00a0%"
    )


def test_equal_objectives_have_names_of_their_own(tmp_path: Path) -> None:
    objectives = (
        {"objective": "errors < 90%", "during": "fault"},
        {"objective": "errors < 90%", "during": "recovery"},
    )
    doc = make(tmp_path, Voyage(length_s=60, services=(), objectives=objectives))
    names = [case.get("name") for case in junit_of(doc).findall("./testsuite/testcase")][:2]
    assert names == ["errors < 90%", "errors < 90% (2)"]


def test_a_warning_passes_and_is_said(tmp_path: Path) -> None:
    objectives = ({"objective": "errors < 90%", "during": "fault", "warn": "0.001%"},)
    doc = make(tmp_path, Voyage(length_s=60, services=SMALL, objectives=objectives))
    case = junit_of(doc).find("./testsuite/testcase")
    assert case is not None
    assert [child.tag for child in case] == ["system-out"]
    assert str(case[0].text).startswith("Warning: ")
    assert doc.word == "Pass with warnings"


def test_what_a_score_outweighs_is_no_failure(tmp_path: Path) -> None:
    """Goal: CI is as red as the exit code. Method: one of three missed, one not judged.

    The same without a score has a failure and an error.
    """
    voyage = Voyage(
        length_s=60,
        services=SMALL,
        objectives=(
            {"objective": "errors < 90%", "weight": 8},
            {"objective": "latency.p95 < 1ms", "during": "baseline"},
            {"objective": "traffic > 1/s", "of": "GET /typo", "weight": 0},
        ),
    )
    recording = write_run(tmp_path, voyage, evaluated=False).recording()
    scored = recording.plan.experiment.model_copy(update={"score": ScoreRule()})
    plan = recording.plan.model_copy(update={"experiment": scored})
    tags = {}
    for name, one in (("without", recording), ("with", replace(recording, plan=plan))):
        root = junit_of(build_document(one, evaluate(one)))
        cases = root.findall("testsuite")[0].findall("testcase")
        tags[name] = [case[0].tag for case in cases]
    assert tags == {
        "without": ["system-out", "failure", "error"],
        "with": ["system-out", "system-out", "system-out"],
    }
    said = [str(case[0].text).partition(":")[0] for case in cases]
    assert said[1:] == [
        "Missed, but outweighed in the score",
        "Not judged, and not counted in the score",
    ]
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
