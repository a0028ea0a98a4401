"""Ten thousand broken experiment files: each is a plan, or an error that says where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT
from mutations import mutated

from runner.errors import InvalidFileError
from runner.model.plan import Plan
from runner.source import check_experiment, plan_of
from runner.yamltext import parse

EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
CHUNK = 1000


def outcome(text: str, path: Path) -> tuple[Plan | None, str, list[tuple[int, int]]]:
    """The plan that ``text`` is; or what is said of it, and of which places."""
    try:
        return plan_of(check_experiment(text, path)), "", []
    except InvalidFileError as error:
        return None, error.message, [(one.line, one.column) for one in error.mistakes]


@pytest.mark.parametrize("first", range(0, 10 * CHUNK, CHUNK))
def test_a_mutated_experiment_is_a_plan_or_an_error_with_a_place(first: int) -> None:
    """Goal: never a traceback, never a shrug. Method: pieces and values of shipped files changed.

    A file that is wrong says so with line and column, and names itself.
    """
    known = [(path, path.read_text(encoding="utf-8")) for path in EXPERIMENTS]
    files = [(path, text, parse(text, path)[0]) for path, text in known]
    plans = 0
    for seed in range(first, first + CHUNK):
        path, text, data = files[seed % len(files)]
        plan, said, places = outcome(mutated(text, data, seed), path)
        if plan is None:
            assert places, f"seed {seed}: {said[:200]}"
            assert min(places) >= (1, 1), f"seed {seed}"
            assert re.match(rf".*{path.name}:\d+:\d+: ", said), f"seed {seed}: {said[:200]}"
        else:
            plans += 1
            assert plan.experiment.objectives, f"seed {seed}"
            assert plan.phases[-1].end_s == plan.duration_s, f"seed {seed}"
    assert 0.02 * CHUNK < plans < 0.5 * CHUNK  # Neither all nonsense nor hardly touched.


def test_a_character_that_no_text_has_is_shown_where_it_stands() -> None:
    with pytest.raises(InvalidFileError, match=r"x.yaml:2:7: '\\x00' has no place in a text"):
        check_experiment("name: x\nload: \x00{}\n", Path("x.yaml"))
