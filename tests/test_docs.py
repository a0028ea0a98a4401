"""What the documents show is what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT

from runner.cli.app import _COMMANDS
from runner.model.fault import FAULT_KINDS

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))


def test_the_experiment_in_the_readme_is_the_shipped_one() -> None:
    """Goal: the first thing that a reader copies is true. Method: the file that it names."""
    blocks = re.findall(r"`(experiments/[^`]+)`:\n\n```yaml\n(.*?)```", README, re.DOTALL)
    assert [name for name, _ in blocks] == ["experiments/payment-abort.yaml"]
    for name, text in blocks:
        assert text == (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("command", _COMMANDS)
def test_the_readme_names_every_command(command: str) -> None:
    assert f"| `seatrial {command}" in README


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_readme_names_every_experiment(path: object) -> None:
    stem = getattr(path, "stem", "")
    assert f"| `{stem}` |" in README


# -- faults ----------------------------------------------------------------------------------------

FAULTS = ROOT / "docs" / "faults"


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_kind_of_fault_has_a_page_and_is_found(kind: str) -> None:
    """Goal: no kind without its page. Method: the page, its title, and who refers to it."""
    page = (FAULTS / f"{kind}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {kind}\n")
    assert f"kind: {kind}" in page
    assert f"| [`{kind}`]({kind}.md) |" in (FAULTS / "README.md").read_text(encoding="utf-8")
    grammar = (ROOT / "docs" / "experiment-file.md").read_text(encoding="utf-8")
    assert f"(faults/{kind}.md)" in grammar


@pytest.mark.parametrize("path", sorted(FAULTS.glob("*.md")), ids=lambda path: path.stem)
def test_links_between_pages_on_faults_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


# -- pages -----------------------------------------------------------------------------------------

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


@pytest.mark.parametrize("path", PAGES[1:], ids=lambda path: path.stem)
def test_the_readme_leads_to_every_page(path: Path) -> None:
    assert f"](docs/{path.name})" in README


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    """Goal: no dead link. Method: each target that is no address, without its place in a page."""
    for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link
