"""The pages about faults: one for each kind, and what they show for other people's experiments."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from chaoslib.activity import ensure_activity_is_valid
from conftest import ROOT
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from runner.model.fault import FAULT_KINDS, Fault

PAGES = sorted((ROOT / "docs" / "faults").glob("*.md"))
_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def test_every_kind_has_a_page_and_the_way_to_it() -> None:
    """Goal: nothing is undocumented. Method: the kinds of the model, and the links to the pages."""
    overview = (ROOT / "docs" / "experiment-file.md").read_text(encoding="utf-8")
    assert {path.stem for path in PAGES} >= set(FAULT_KINDS)
    assert [kind for kind in FAULT_KINDS if f"faults/{kind}.md" not in overview] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_faults_and_activities_on_a_page_are_valid(path: Path) -> None:
    """Goal: what is copied works. Method: the model, and the library's own validation, which
    imports each function and binds its arguments."""
    for text in blocks(path, "yaml"):
        for fault in (YAML(typ="safe").load(text) or {}).get("faults") or ():
            _FAULT.validate_python(fault)
    for text in blocks(path, "json"):
        for activity in activities(json.loads(text)):
            ensure_activity_is_valid(activity)


def activities(shown: Any) -> list[dict[str, Any]]:
    """The activities in a part of an experiment."""
    if isinstance(shown, list):
        return [one for part in shown for one in activities(part)]
    if not isinstance(shown, dict):
        return []
    if "provider" in shown:
        return [shown]
    return [one for part in shown.values() for one in activities(part)]
