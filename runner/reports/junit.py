"""The report as JUnit XML, so that CI systems show it where they show tests.

A missed objective is a failure and an unproven one an error, as CI systems understand them; nothing
is ever "skipped", which they would count as well.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter

from runner.model.evaluation import Verdict
from runner.reports.document import Document
from runner.reports.rows import FindingRow


def render_junit(document: Document) -> str:
    """One test case for each finding with a verdict: objectives first, then validity."""
    cases = [("objectives", row) for row in document.objectives]
    cases += [("validity", row) for row in document.validity]
    verdicts = Counter(row.verdict for _, row in cases)
    totals = {
        "tests": str(len(cases)),
        "failures": str(verdicts[Verdict.FAIL]),
        "errors": str(verdicts[Verdict.INCONCLUSIVE]),
        "skipped": "0",
        "time": f"{document.timeline.duration_s:.3f}",
    }
    root = ET.Element("testsuites", {"name": "seatrial", **totals})
    suite = ET.SubElement(
        root,
        "testsuite",
        {"name": document.experiment, "timestamp": document.started_iso, **totals},
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(document).items():
        ET.SubElement(properties, "property", {"name": name, "value": value})
    seen: Counter[str] = Counter()
    for group, row in cases:
        seen[row.title] += 1
        again = f" ({seen[row.title]})" if seen[row.title] > 1 else ""
        _add_case(suite, f"seatrial.{document.experiment}.{group}", row.title + again, row)
    ET.SubElement(suite, "system-out").text = document.sentence
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _properties(document: Document) -> dict[str, str]:
    return {
        "run": document.run_id,
        "verdict": document.verdict.value,
        "valid": str(document.valid).lower(),
        "rehearsal": document.rehearsal or "no",
        "command": document.command,
    }


def _add_case(suite: ET.Element, classname: str, name: str, row: FindingRow) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": classname, "name": name, "time": "0.000"})
    match row.verdict:
        case Verdict.FAIL:
            found = ET.SubElement(case, "failure", {"type": "missed", "message": row.reason})
            found.text = _details(row)
        case Verdict.INCONCLUSIVE:
            found = ET.SubElement(case, "error", {"type": "inconclusive", "message": row.reason})
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
