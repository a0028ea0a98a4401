"""What GitHub Actions is given: annotations, a summary, outputs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import Located
from runner.model.evaluation import Evaluation, Finding, Verdict, overall
from runner.reports.github import (
    MOST_SUMMARY_BYTES,
    Remark,
    command_lines,
    remarks_of,
    step_outputs,
    step_summary,
)
from runner.reports.text import shown


def finding(kind: str, verdict: str, title: str = "errors < 1%") -> Finding:
    return Finding.model_validate(
        {"kind": kind, "check": kind, "title": title, "reason": f"Of {title}."}
        | {"verdict": Verdict(verdict)}
    )


def evaluation(*findings: Finding, **known: Any) -> Evaluation:
    verdict, valid = overall(findings)
    base = {"run_id": "r", "experiment": "x", "verdict": verdict, "valid": valid}
    return Evaluation.model_validate({**base, "sentence": "Why.", "findings": findings, **known})


WELL = finding("validity", "pass", "The load was delivered")


@pytest.mark.parametrize(
    ("findings", "levels"),
    [
        ([WELL, finding("objective", "fail"), finding("objective", "inconclusive")], "ew"),
        ([WELL, finding("objective", "inconclusive"), finding("objective", "pass")], "e"),
        ([finding("validity", "inconclusive"), finding("objective", "fail")], "ew"),
        ([finding("validity", "warn"), finding("objective", "pass")], "w"),
        ([WELL, finding("objective", "pass"), finding("answer", "inconclusive")], ""),
        ([WELL], "e"),
    ],
    ids=["failed", "not judged", "not valid", "warned", "passed", "nothing judged"],
)
def test_what_decides_is_an_error_and_the_rest_a_warning(
    findings: list[Finding], levels: str
) -> None:
    """Goal: red where the exit code is. Method: the levels of all that is said, in its order."""
    assert "".join(remark.level[0] for remark in remarks_of(evaluation(*findings))) == levels


def test_an_objective_is_annotated_where_it_stands() -> None:
    judged = evaluation(
        WELL,
        finding("objective", "pass", "traffic > 1/s"),
        finding("objective", "fail", "errors < 1%"),
    )
    places = [Located(9, 3, ""), Located(10, 5, "")]
    (line,) = command_lines(remarks_of(judged, "experiments/x.yaml", places))
    assert line == (
        "::error file=experiments/x.yaml,line=10,col=5,title=Missed%3A errors < 1%25::"
        "Of errors < 1%25."
    )
    (line,) = command_lines(remarks_of(judged, "experiments/x.yaml", places[:1]))
    assert line.startswith("::error file=experiments/x.yaml,title=")
    (line,) = command_lines(remarks_of(judged))
    assert line.startswith("::error title=Missed")


def test_equal_objectives_have_their_own_places() -> None:
    twice = evaluation(WELL, finding("objective", "fail"), finding("objective", "fail"))
    places = [Located(9, 3, ""), Located(10, 3, "")]
    assert [remark.line for remark in remarks_of(twice, "x.yaml", places)] == [9, 10]


def test_nothing_gets_out_of_its_command() -> None:
    """Goal: one line, one command. Method: text that would end a property, a line, a command."""
    evil = "a,line=1::error::\r\n::add-mask::x\x1b[0m%0A\u2028\ud800"
    (line,) = command_lines([Remark("warning", evil, evil, "a:b,c%\n.yaml", 1, 2)])
    head, _, data = line.removeprefix("::").partition("::")
    assert len(line.splitlines()) == 1
    assert head == (
        "warning file=a%3Ab%2Cc%25%0A.yaml,line=1,col=2,"
        "title=a%2Cline=1%3A%3Aerror%3A%3A %3A%3Aadd-mask%3A%3Ax\ufffd[0m%250A\ufffd\ufffd"
    )
    assert data == "a,line=1::error::%0A::add-mask::x\ufffd[0m%250A\ufffd\ufffd"
    line.encode()


@given(st.text(), st.text(), st.text())
def test_any_text_comes_out_as_it_went_in(title: str, text: str, path: str) -> None:
    """Goal: nothing lost but what may not be shown. Method: what GitHub makes of the command."""
    (line,) = command_lines([Remark("error", f"t {title}", text, f"p{path}", 3, 4)])
    assert "\n" not in line
    assert "\r" not in line
    head, data = line.removeprefix("::error ").split("::", 1)
    properties = dict(one.split("=", 1) for one in head.split(","))
    assert {name: unescaped(value) for name, value in properties.items()} == {
        "file": f"p{path}",
        "line": "3",
        "col": "4",
        "title": " ".join(shown(f"t {title}").split()),
    }
    assert unescaped(data) == shown(text)


def unescaped(text: str) -> str:
    for escape, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ",")):
        text = text.replace(escape, character)
    return text.replace("%25", "%")


def test_ten_of_a_level_and_the_tenth_counts_the_rest() -> None:
    """Goal: nothing is dropped unsaid. Method: twelve errors and ten warnings."""
    errors = [Remark("error", "e", f"error {n}") for n in range(12)]
    warnings = [Remark("warning", "w", f"warning {n}") for n in range(10)]
    lines = list(command_lines([*errors, *warnings]))
    assert len(lines) == 20
    assert lines[8] == "::error title=e::error 8"
    assert lines[9].startswith("::error title=seatrial::3 more are in the report")
    assert lines[19] == "::warning title=w::warning 9"


def test_a_summary_is_never_larger_than_github_takes() -> None:
    """Goal: not dropped as a whole. Method: too many rows, with and without a fold to drop."""
    row = "| é | " + "x" * 94 + " |\n"
    rows = row * 12_000
    cut = step_summary(rows)
    assert MOST_SUMMARY_BYTES - 200 < len(cut.encode()) <= MOST_SUMMARY_BYTES
    assert cut.endswith(" |\n\n*The summary was cut here; the report has all of it.*\n")
    folded = step_summary(f"head\n\n<details>\n{rows}</details>\n")
    assert folded == "head\n\n*The summary was cut here; the report has all of it.*\n"
    assert step_summary("short\n", MOST_SUMMARY_BYTES - 6) == "short\n"
    assert step_summary("short\n", MOST_SUMMARY_BYTES - 5) == ""


def test_outputs_hold_any_text() -> None:
    text = step_outputs({"verdict": "fail", "report": "a\nvalid=true"}, "word")
    assert text == "verdict<<word\nfail\nword\nreport<<word\na\nvalid=true\nword\n"
    assert re.fullmatch(r"(\w+<<word\n(?:(?!word\n).*\n)*word\n)*", text)
