"""What the supervisor of a run loads at its start.

Contracts in pyproject.toml say who may import whom; they cannot say when.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

HEAVY = (
    *("locust", "gevent", "kubernetes", "chaoslib", "chaosk8s", "prometheus_api_client"),
    *("pandas", "numpy", "scipy", "matplotlib", "aiohttp"),
)
SUPERVISOR = ("cli", "catalog", "conductor", "store", "source", "load.engine", "process", "testing")
LOOK = "import sys, json, {}; print(json.dumps(sorted(set({!r}) & set(sys.modules))))"


def exists(module: str) -> bool:
    path = ROOT / "runner" / Path(*module.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("module", [name for name in SUPERVISOR if exists(name)])
def test_supervisor_starts_light(module: str) -> None:
    """Goal: a start within a blink, and no patched process. Method: import it in a new one."""
    look = LOOK.format(f"runner.{module}", HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == []


def test_the_look_finds_what_is_loaded() -> None:
    """Goal: the test above can fail. Method: the same look at a module that is heavy."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format("numpy", HEAVY)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == ["numpy"]


READERS = ("store", "catalog", "analysis.windows", "analysis.recovery", "model.evaluation")


def test_who_looks_at_a_plan_does_not_load_what_reads_recordings() -> None:
    """Goal: ``validate`` answers at once. Method: what doubting a plan takes, in a new process."""
    readers = tuple(f"runner.{name}" for name in READERS)
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format("runner.cli.experiments", readers)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == []


def test_children_do_not_import_from_the_working_folder() -> None:
    """Goal: a package ``runner`` in the working folder is not ours. Method: -P before each -m."""
    lines = [
        (path.name, line.strip())
        for path in sorted((ROOT / "runner").rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if '"-m", ' in line
    ]
    assert len(lines) >= 5
    assert [line for line in lines if '"-P", "-m"' not in line[1]] == []
