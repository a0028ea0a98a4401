"""The page on safety shows the rights that are asked for, and options that there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT

from runner.model.rights import OF_KIND, OF_SOME_PODS, SERVER_SIDE, Right
from runner.model.target import Bounds, ClusterSpec
from runner.source import load_config

PAGE = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
ROWS = {f"`{kind}`": rights for kind, rights in OF_KIND.items()} | {
    "`http-*`, server side": SERVER_SIDE,
    "`http-*`, server side, with `count`": (*SERVER_SIDE, *OF_SOME_PODS),
}


def row(name: str, rights: tuple[Right, ...]) -> str:
    """A row of the page's table: resources with their verbs."""
    verbs: dict[str, list[str]] = {}
    for right in rights:
        verbs.setdefault(right.resource, []).append(right.verb)
    cells = (f"{resource}: {', '.join(found)}" for resource, found in verbs.items())
    return f"| {name} | {'; '.join(cells)} |"


@pytest.mark.parametrize("name", ROWS)
def test_the_page_shows_the_rights_of_every_kind(name: str) -> None:
    """Goal: one table, in the program and on the page. Method: each row, as it must stand."""
    assert row(name, ROWS[name]) in PAGE.splitlines()


def test_the_page_names_every_bound() -> None:
    for name in (*Bounds.model_fields, "production", "require_opt_in", "alerts", "alert_selector"):
        assert f"`{name}" in PAGE or f"{name}:" in PAGE, name
    assert {"production", "require_opt_in"} <= set(ClusterSpec.model_fields)


def test_the_example_on_the_page_is_a_configuration(tmp_path: Path) -> None:
    """Goal: what a reader copies is accepted. Method: the page's YAML, read as seatrial.yaml."""
    text = PAGE.split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "seatrial.yaml"
    path.write_text(text, encoding="utf-8")
    config = load_config(path)
    assert config.targets["staging"].bounds.max_percent == 34
    assert config.sandbox.bounds.max_percent == 50
