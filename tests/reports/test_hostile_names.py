"""A run in which every name means harm, through every output: nothing but text comes of it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostilevoyage import TEXTS, hostile_run

from runner.catalog import evaluate_run
from runner.cli.app import main
from runner.cli.tables import print_evaluation
from runner.errors import UsageError
from runner.legible import UNFIT
from runner.reports.document import Document, build_document
from runner.reports.github import command_lines, remarks_of
from runner.reports.html import render_page
from runner.reports.junit import render_junit
from runner.reports.markdown import render_markdown
from runner.reports.plots import render_charts
from runner.store import RunDir

NEVER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Parts(HTMLParser):
    """Elements, names of attributes and addresses of a page; none of them may be a name's."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.kinds: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()
        self.odd: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.kinds.add(tag)
        self.attributes |= {name for name, _ in attrs}
        links = ("href", "src", "action", "srcdoc", "xlink:href")
        self.addresses |= {str(value) for name, value in attrs if name in links}

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.odd.append(data)

    def handle_pi(self, data: str) -> None:
        self.odd.append(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """The run, in a folder with an odd name of its own."""
    name = os.fsdecode(b"a b\xff\n'$(id)")
    run = hostile_run(tmp_path_factory.mktemp("hostile") / name)
    (run.path / "experiment.yaml").write_text("name: shop-at-sea\n", encoding="utf-8")
    evaluate_run(run)
    return run


@pytest.fixture(scope="module")
def document(run: RunDir) -> Document:
    return build_document(run.recording(), run.read_evaluation())


@pytest.fixture(scope="module")
def page(document: Document) -> str:
    """The page, with a real drawing where a service's name stands in one, and none elsewhere."""
    plots = {chart.id: "<svg></svg>" for group in document.charts for chart in group.charts}
    group = document.charts[1]
    drawn = group.model_copy(update={"charts": group.charts[:1]})
    plots |= render_charts(document.model_copy(update={"charts": (drawn,)}))
    return render_page(document, plots)


def heard(
    run: RunDir, capfd: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> tuple[int, str, str]:
    """Exit code, output and talk of a command."""
    with pytest.raises(SystemExit) as ended:
        main([*argv, "--results", str(run.path.parents[1])])
    return int(ended.value.code or 0), *capfd.readouterr()


def test_the_page_has_no_part_that_a_name_made(page: str) -> None:
    """Goal: names are text. Method: elements, attributes and addresses; the texts themselves."""
    parts = Parts(page)
    assert not NEVER.search(page)
    assert parts.odd == []
    assert parts.kinds & {"img", "i", "code", "iframe", "object", "marquee"} <= {"code"}
    assert not [name for name in parts.attributes if re.match(r"on|src|[^a-z]", name)]
    assert all(one.startswith(("#", "data:,")) for one in parts.addresses)
    assert page.count("</script") == page.count("<script")
    for text in ("<img src=x onerror=alert(1)>", "{{7*7}}{% raw %}", "<svg onload=alert(1)>"):
        assert text in parts.text
    data = re.search(r'<script[^>]*id="chart-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert json.loads(data[1])


def test_nothing_is_cut_in_silence(page: str, document: Document) -> None:
    """Goal: who reads half a name knows it. Method: the name of 10,000 letters, everywhere."""
    for text in (page, render_markdown(document), render_junit(document)):
        longest = re.findall(r"x{100,}.?", text)
        assert longest
        assert {one[-1] for one in longest if len(one) < 10_000} <= {"…"}


def test_junit_is_xml_with_the_same_cases(document: Document) -> None:
    root = ET.fromstring(render_junit(document))  # noqa: S314
    cases = [case.attrib["name"] for case in root.iter("testcase")]
    assert len(cases) == len(set(cases)) > 20
    assert {element.tag for element in root.iter()} == {
        *("testsuites", "testsuite", "testcase", "properties", "property"),
        *("failure", "error", "system-out"),
    }
    assert not UNFIT.search("".join(cases))


def test_markdown_has_no_markup_of_names(document: Document) -> None:
    """Goal: a comment that says what it says. Method: all outside of the command's fence."""
    text = render_markdown(document)
    outside = re.sub(r"^(`{3,})sh\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    ours = re.sub(r"<!-- seatrial: [\w.-]+ -->|</?details>|</?summary>", "", outside)
    assert not re.search(r"(?<!\\)<", ours)
    assert not re.search(r"@(?=[a-z])", ours)
    assert not re.search(r"(?<!\\)!?\[[^\]]*(?<!\\)\]\((?!#)", ours)
    assert not re.search(r"^\s*(::|##\[)", text, re.MULTILINE)
    tables = re.split(r"\n(?!\|)", ours)
    for table in (one for one in tables if one.count("\n|") > 1):
        rows = [row for row in table.split("\n") if row.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, rows[:2]
    assert not NEVER.search(text)


def test_annotations_are_one_line_each(run: RunDir) -> None:
    lines = list(command_lines(remarks_of(run.read_evaluation(), "x.yaml")))
    assert len(lines) > 10
    assert all(re.match(r"::(error|warning) [^\n\r]*$", line) for line in lines)
    assert not NEVER.search("".join(lines))


@pytest.mark.parametrize(
    "argv",
    [
        ("history",),
        ("history", "-o", "json"),
        ("history", "--trend", "errors < 50%"),
        ("history", "--index"),
        ("series", "--every", "10s"),
        ("compare", "latest", "latest"),
        ("evaluate", "\x1b[31m\x07"),
        ("report", "../../x\udcff\n::error::x"),
        ("history", "\u202e" + "x" * 10_000),
        ("series", "--to", "\udcff/\x1b[2J/x"),
    ],
)
def test_a_terminal_gets_text_alone(
    run: RunDir, argv: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """Goal: no name moves the cursor, or ends in a traceback. Method: both streams, read."""
    link = run.path.parent / "latest"
    if not link.is_symlink():
        link.symlink_to(run.path.name)
        (run.path.parents[1] / "latest").symlink_to(Path(run.path.parent.name, run.path.name))
    code, out, err = heard(run, capfd, argv)
    assert code in (0, 1, 2, 3), err
    assert not NEVER.search(err), err
    assert not NEVER.search(out)
    assert "Traceback" not in err
    assert code < 2 or err or out
    assert max(map(len, err.splitlines()), default=0) < 3000
    if "json" in argv:
        assert json.loads(out)
    if argv[0] == "series" and code == 0:
        rows = list(csv.reader(io.StringIO(out)))
        assert {len(row) for row in rows} == {9}
        assert not [cell for row in rows for cell in row[2:7] if cell[:1] in ("=", "+", "-", "@")]


def test_the_verdict_in_a_terminal_is_text(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    print_evaluation(run.read_evaluation())
    out = capsys.readouterr().out
    assert "<img src=x" in out
    assert "[red]rich" in out
    assert not NEVER.search(out)


def test_no_name_becomes_a_file(run: RunDir, document: Document) -> None:
    """Goal: a closed set of names in a run folder. Method: each file below it, each chart."""
    for group in document.charts:
        for chart in group.charts:
            assert re.fullmatch(r"[a-z0-9-]{1,60}", chart.id)
    for path in run.path.rglob("*"):
        assert re.fullmatch(r"[a-z0-9][a-zA-Z0-9._-]{0,80}", path.name), path


def test_an_error_is_legible_whatever_it_tells_of() -> None:
    """Goal: no message moves a cursor or is a command. Method: each text in one."""
    for text in TEXTS:
        message = UsageError(f"there is no {text}", accepted=text, hint=text)
        for part in (message.message, message.accepted, message.hint, str(message)):
            part.encode()
            assert not NEVER.search(part)
            assert not re.search(r"^\s*(::|##\[)", part, re.MULTILINE)
            assert len(part) < 3000
