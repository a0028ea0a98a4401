"""What the documents show is what is there."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from runner.cli.app import _COMMANDS

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
