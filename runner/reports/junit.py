"""The report as JUnit XML, so that CI systems show it where they show tests.

A missed objective is a failure, and what is not proven is an error, as CI systems understand them.
Nothing is ever "skipped": what was not judged has an error that says why. The dialect is the one
that Jenkins' schema ``junit-10.xsd`` describes, with the order of elements that Surefire's asks for
and the attributes that Ant's does, because every other reader takes at least one of them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping

from runner.model.evaluation import Verdict
from runner.reports.document import Document
from runner.reports.rows import FindingRow
from runner.reports.text import shown

_RUN_FINISHED = "run-finished"
"""The check whose case has the run's length: CI systems add up the times of cases."""

_UNWELL = (Verdict.FAIL, Verdict.INCONCLUSIVE)
_OUTWEIGHED = {
    Verdict.FAIL: "Missed, but outweighed in the score",
    Verdict.INCONCLUSIVE: "Not judged, and not counted in the score",
}
"""What is said of an objective that did not decide, by its verdict."""


def render_junit(document: Document) -> str:
    """One case for each finding with a verdict, in two suites: objectives, then validity."""
    groups = {"objectives": document.objectives, "validity": document.validity}
    root = ET.Element("testsuites", {"name": "seatrial"})
    for group, rows in groups.items():
        suite = _suite(root, document.experiment, group, document.started_iso)
        _add_properties(suite, _properties(document))
        classname = f"seatrial.{document.experiment}.{group}"
        for name, row in zip(_names(rows), rows, strict=True):
            case = {"classname": classname, "name": name, "time": _time(row, document)}
            _fill(ET.SubElement(suite, "testcase", case), row, document)
    return _finished(root)


def render_unjudged(experiment: str, run_id: str, started_iso: str, reason: str) -> str:
    """Of a run without a judgement: one error, so that no CI system takes silence for success.

    Args:
        experiment: Its name.
        run_id: Its id.
        started_iso: ISO 8601 in UTC, without a zone.
        reason: Why there is nothing to judge.
    """
    root = ET.Element("testsuites", {"name": "seatrial"})
    suite = _suite(root, experiment, "validity", started_iso)
    _add_properties(suite, {"run": run_id, "verdict": "inconclusive", "valid": "false"})
    classname = f"seatrial.{experiment}.validity"
    case = {"classname": classname, "name": "The run went to its end", "time": "0.000"}
    message = {"type": "inconclusive", "message": _line(shown(reason))}
    error = ET.SubElement(ET.SubElement(suite, "testcase", case), "error", message)
    error.text = shown(reason)
    return _finished(root)


def _suite(root: ET.Element, experiment: str, group: str, started_iso: str) -> ET.Element:
    known = {
        "name": f"{experiment}: {group}",
        "package": f"seatrial.{experiment}",
        "id": str(len(root)),
        "hostname": "localhost",
        "timestamp": started_iso,
    }
    return ET.SubElement(root, "testsuite", known)


def _add_properties(suite: ET.Element, known: Mapping[str, str]) -> None:
    properties = ET.SubElement(suite, "properties")
    for name, value in known.items():
        ET.SubElement(properties, "property", {"name": name, "value": _line(value)})


def _finished(root: ET.Element) -> str:
    """The file, with everything counted."""
    for element in (*root, root):
        cases = list(element.iter("testcase"))
        element.set("tests", str(len(cases)))
        element.set("failures", str(len(list(element.iter("failure")))))
        element.set("errors", str(len(list(element.iter("error")))))
        if element is not root:  # Jenkins' schema has it on suites alone.
            element.set("skipped", "0")
        element.set("time", f"{sum(float(case.attrib['time']) for case in cases):.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _properties(document: Document) -> dict[str, str]:
    return {
        "run": document.run_id,
        "verdict": document.verdict.value,
        "valid": str(document.valid).lower(),
        "sentence": document.sentence,
        **{
            fact.name.lower(): fact.text
            for fact in document.facts
            if fact.name in ("Target", "Load", "Requests")
        },
        "rehearsal": document.rehearsal or "no",
        "command": document.command,
    }


def _names(rows: Iterable[FindingRow]) -> list[str]:
    """Titles in one line; equal ones are numbered, since CI systems know a case by its name."""
    names: list[str] = []
    for row in rows:
        title = _line(row.title)
        name, number = title, 1
        while name in names:
            number += 1
            name = f"{title} ({number})"
        names.append(name)
    return names


def _time(row: FindingRow, document: Document) -> str:
    """Seconds that a case took: the whole load for the check that it went to its end, else none."""
    if row.check != _RUN_FINISHED:
        return "0.000"
    ended_percent = document.timeline.ended_percent
    share = 1.0 if ended_percent is None else ended_percent / 100
    return f"{document.timeline.duration_s * share:.3f}"


def _fill(case: ET.Element, row: FindingRow, document: Document) -> None:
    if row.verdict in _UNWELL and document.verdict not in _UNWELL:
        # Only a score outweighs an objective. A failure here would turn a run red that is not.
        text = f"{_OUTWEIGHED[row.verdict]}: {_details(row)}"
        ET.SubElement(case, "system-out").text = text
        return
    message = _line(row.reason)
    match row.verdict:
        case Verdict.FAIL:
            found = ET.SubElement(case, "failure", {"type": "missed", "message": message})
            found.text = _details(row)
        case Verdict.INCONCLUSIVE:
            found = ET.SubElement(case, "error", {"type": "inconclusive", "message": message})
            found.text = _details(row)
        case Verdict.WARN:
            ET.SubElement(case, "system-out").text = f"Warning: {_details(row)}"
        case Verdict.PASS:
            ET.SubElement(case, "system-out").text = _details(row)


def _details(row: FindingRow) -> str:
    """The reason, then a line for each window."""
    lines = [row.reason]
    for part in row.parts:
        text = f"{part.label} ({part.window}): {part.observed.text}, {part.verdict.value}"
        lines.append(f"{text}: {part.reason}" if part.reason else text)
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())
