"""The forms of a report: page, JUnit and Markdown, with names that mean harm."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from voyages import HOSTILE, Voyage, write_run

from runner.reports.document import Document, build_document
from runner.reports.html import palette, render_page
from runner.reports.markdown import marker, md, render_markdown

if TYPE_CHECKING:
    from conftest import Golden

VOID = {"meta", "link", "br", "img", "hr", "input"}
PLOT = '<svg role="img"></svg>'


def make(root: Path, voyage: Voyage) -> Document:
    run = write_run(root, voyage)
    return build_document(run.recording(), run.read_evaluation())


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return make(
        tmp_path_factory.mktemp("failed"),
        Voyage(length_s=60, services=("order-api", "payment-api")),
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Document:
    voyage = Voyage(
        length_s=60,
        services=("</desc><script>", "order-api"),
        names={"GET /api/v1/products": HOSTILE, "GET /api/v1/customers": "a|b`c <i>"},
        objectives=(
            {"objective": "errors < 5%", "of": HOSTILE},
            {"objective": "errors < 5%", "of": "a|b`c <i>"},
            "errors < 50%",
        ),
        failure_text=HOSTILE,
        description=HOSTILE,
        state="failed",
        reason=HOSTILE,
    )
    return make(tmp_path_factory.mktemp("hostile"), voyage)


class Page(HTMLParser):
    """A page taken apart: elements, texts, ids, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def page_of(document: Document) -> str:
    plots = {chart.id: PLOT for group in document.charts for chart in group.charts}
    return render_page(document, plots)


# -- the page --------------------------------------------------------------------------------------


def test_the_page_as_it_was_looked_at(failed: Document, golden: Golden) -> None:
    """Goal: no change goes unseen. Method: the page without style, scripts and drawings."""
    html = re.sub(r"<style>.*?</style>", "<style></style>", page_of(failed), flags=re.DOTALL)
    html = re.sub(r"<script>.*?</script>", "<script></script>", html, flags=re.DOTALL)
    golden("reports/index.html", re.sub(r"'sha256-[^']*'", "'sha256-'", html))


@pytest.mark.parametrize("which", ["failed", "hostile"])
def test_the_page_is_well_formed(which: str, request: pytest.FixtureRequest) -> None:
    """Goal: browsers need not guess. Method: elements closed, ids once, links met."""
    page = Page(page_of(request.getfixturevalue(which)))
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in page.named("a"):
        assert str(attrs["href"]).removeprefix("#") in ids
    labels = [str(a["aria-labelledby"]) for _, a in page.elements if "aria-labelledby" in a]
    assert {name for label in labels for name in label.split()} <= set(ids)


def test_the_verdict_is_the_first_thing_said(failed: Document) -> None:
    text = " ".join(Page(page_of(failed)).text.split())
    assert text.index("Fail") < text.index("1 of 8 objectives was missed") < text.index("Margin")


def test_what_failed_is_the_first_row(failed: Document) -> None:
    html = page_of(failed)
    rows = re.findall(r'<tr role="row" class="(\w+)" id="objective-', html)
    assert rows[0] == "fail"
    assert rows.count("fail") == 1


def test_an_invalid_run_says_first_why_it_proves_nothing(failed: Document, tmp_path: Path) -> None:
    invalid = make(tmp_path, Voyage(length_s=60, recorded_s=20, services=()))
    assert not invalid.valid
    for document, first in ((invalid, "validity"), (failed, "objectives")):
        ids = [str(attrs.get("id")) for attrs in Page(page_of(document)).named("section")]
        assert next(name for name in ids if name in ("validity", "objectives")) == first
        assert ids.count("validity") == 1


def test_the_menu_has_the_order_of_the_page(failed: Document, tmp_path: Path) -> None:
    """Goal: a menu that is a table of contents. Method: its links beside the panels' ids."""
    for document in (failed, make(tmp_path, Voyage(length_s=60, recorded_s=20, services=()))):
        page = Page(page_of(document))
        links = [str(attrs["href"])[1:] for attrs in page.named("a") if not attrs.get("class")]
        panels = [str(a["id"]) for a in page.named("section") if a.get("class") == "panel"]
        assert links == panels
        assert "failures" in links


def test_the_page_asks_nobody_for_anything(failed: Document) -> None:
    """Goal: it opens from disk and tells nobody. Method: every attribute that could load."""
    page = Page(page_of(failed))
    loads = [
        value
        for _, attrs in page.elements
        for name, value in attrs.items()
        if name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert all(str(value).startswith(("#", "data:,")) for value in loads)
    (style,) = re.findall(r"<style>(.*?)</style>", page_of(failed), flags=re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [a for a in page.named("meta") if a.get("http-equiv")]
    assert str(policy["content"]).startswith("default-src 'none'")


def test_the_policy_allows_our_own_scripts_only(failed: Document) -> None:
    """Goal: no name becomes a script. Method: the hash of each script on the page, by hand."""
    html = page_of(failed)
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    hashes = [f"'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'" for one in scripts]
    assert len(scripts) == 2
    assert f"script-src {' '.join(hashes)};" in html
    assert "eval(" not in html
    assert not re.search(r"\son[a-z]+=", html), "no handler in an attribute"


def test_tables_have_captions_and_scopes(failed: Document) -> None:
    page = Page(page_of(failed))
    without = [a for a in page.named("table") if a.get("class") == "parts" and a.get("role")]
    assert len(page.named("caption")) == len(page.named("table")) - len(without)
    assert all("scope" in attrs for attrs in page.named("th"))


def test_hostile_names_are_text(hostile: Document) -> None:
    """Goal: no name becomes markup. Method: names that try to."""
    html = page_of(hostile)
    page = Page(html)
    assert [attrs.get("id") for attrs in page.named("script")] == ["chart-data", None, None]
    assert page.named("i") == []
    assert "<script>alert('1')</script>" in page.text
    assert "a|b`c <i>" in page.text
    assert not re.search("[\x00\x1b\u202e]", html)


def test_a_name_of_which_nothing_is_seen_has_a_dash(tmp_path: Path) -> None:
    """Goal: no empty head of a row. Method: an endpoint that is a blank."""
    html = page_of(
        make(tmp_path, Voyage(length_s=40, services=(), names={"POST /api/v1/payments": " "}))
    )
    assert not re.search(r"<th[^>]*>\s*</th>", html)
    assert '<th scope="rowgroup" colspan="10">–</th>' in html


def test_a_chart_without_data_says_why(tmp_path: Path) -> None:
    doc = make(tmp_path, Voyage(length_s=60, recorded_s=0, services=()))
    assert Page(page_of(doc)).text.count("The load generator recorded nothing.") == 3


# -- contrast --------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance after WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def schemes() -> dict[str, dict[str, str]]:
    light, dark = palette().split("prefers-color-scheme: dark")
    first = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", light))
    dark = dark.split("@media print")[0]
    return {"light": first, "dark": first | dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", dark))}


TONES = ("pass", "warn", "fail", "inconclusive")
TEXTS = [
    *[(text, ground) for text in ("text", "muted") for ground in ("page", "panel")],
    *[(text, f"{tone}-soft") for text in ("text", "muted") for tone in TONES],
    *[(tone, f"{tone}-soft") for tone in TONES],
    *[(tone, "panel") for tone in (*TONES, "accent", "fault", "missed")],
    *[
        (text, tint)
        for text in ("text", "muted")
        for tint in ("warmup", "baseline", "recovery", "faulty")
    ],
    ("text", "code"),
    ("accent", "page"),
]
LINES = ("blue", "sky", "violet", "red", "orange", "teal", "brown", "grey", "fault", "muted")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_weak_eyes(scheme: str) -> None:
    """Goal: WCAG AA in both schemes. Method: 4.5 for text, 3 for lines of charts."""
    colours = schemes()[scheme]
    ratios = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in TEXTS}
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < 4.5} == {}
    drawn = {line: contrast(colours[line], colours["panel"]) for line in LINES}
    assert {line: round(ratio, 2) for line, ratio in drawn.items() if ratio < 3} == {}


# -- Markdown --------------------------------------------------------------------------------------


def test_markdown_as_it_was_looked_at(failed: Document, golden: Golden) -> None:
    golden("reports/summary.md", render_markdown(failed))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("errors < 1%", r"errors \< 1%"),
        ("a|b`c*d_e", r"a\|b\`c\*d\_e"),
        ("[x](javascript:1)", r"\[x\](javascript:1)"),
        ("<b>&amp;\n\nnext", r"\<b\>\&amp; next"),
        ("# title", r"\# title"),
        ("1. item", r"1\. item"),
        ("1.5 s, -8 %", "1.5 s, -8 %"),
        ("- item", r"\- item"),
        ("---", r"\---"),
        ("@team", "@\u2060team"),
        ("GET /items/#12", "GET /items/#\u206012"),
        ("back\\|slash", "back\\\\\\|slash"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, expected: str) -> None:
    assert md(text) == expected


def test_a_bot_finds_its_comment_again(failed: Document, hostile: Document) -> None:
    """Goal: one comment, renewed. Method: the first line, also with a name that closes it."""
    assert render_markdown(failed).splitlines()[0] == "<!-- seatrial: shop-at-sea -->"
    assert marker("a --> <b>\n@c") == "<!-- seatrial: a-b-c -->"
    assert render_markdown(hostile).splitlines()[0] == "<!-- seatrial: shop-at-sea -->"


def test_details_are_folded_away_behind_what_decides(failed: Document) -> None:
    """Goal: a short comment. Method: what stands before the fold, and that it is closed."""
    before, after = render_markdown(failed).split("<details>")
    for said in (
        "| ✗ fail | errors",
        "**What broke**",
        "- **01-pod-kill** (00:15 to 00:22): Kills",
    ):
        assert said in before
    assert "| Phase |" not in before
    assert "</summary>\n\n" in after  # Else GitHub would not take what follows for Markdown.
    assert after.endswith("\n\n</details>\n")


def test_hostile_names_break_no_table(hostile: Document) -> None:
    """Goal: every row has its columns, nobody is notified. Method: pipes that are not escaped."""
    text = render_markdown(hostile)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    objectives = rows[: len(hostile.objectives) + 2]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in objectives} == {7}
    ours = re.sub(r"<!-- seatrial: [\w.-]+ -->|</?details>|<summary>.*</summary>", "", text)
    assert not re.search(r"(?<!\\)<", ours)
    assert "@team" not in text
    assert "**Validity**" in text
