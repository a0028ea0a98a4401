"""Objectives against earlier runs: which run a name means, and the verdict over real folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from voyages import Voyage, write_run

from runner.catalog import earlier_run, evaluate_run
from runner.errors import UsageError
from runner.model.evaluation import Finding, Verdict
from runner.model.objective import Objective
from runner.model.objectiveset import ObjectiveSet
from runner.store import RunDir

OLD, MID, NEW = (f"2026-01-0{day}T000000Z-{day}{day}{day}{day}" for day in (1, 2, 3))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of one experiment, the same sailed thrice, and one of another experiment."""
    made = write_run(tmp_path_factory.mktemp("made"), Voyage(length_s=60, users=5), evaluated=False)
    root = tmp_path_factory.mktemp("results")
    for folder in (f"shop/{OLD}", f"shop/{MID}", f"shop/{NEW}", f"other/{OLD}"):
        shutil.copytree(made.path, root / folder)
        path = root / folder / "manifest.json"
        known = json.loads(path.read_text())
        path.write_text(json.dumps({**known, "run_id": path.parent.name}))
    (root / "shop" / "latest").symlink_to(NEW)
    return root


def run(results: Path, name: str) -> RunDir:
    return RunDir(results / "shop" / name)


@pytest.mark.parametrize(
    ("name", "of", "meant"),
    [
        ("latest", NEW, f"shop/{MID}"),
        ("latest", MID, f"shop/{OLD}"),  # What came later is not earlier.
        ("shop", NEW, f"shop/{MID}"),
        ("other", NEW, f"other/{OLD}"),
        (f"shop/{OLD}", NEW, f"shop/{OLD}"),
        (MID, NEW, f"shop/{MID}"),
    ],
)
def test_a_name_means_an_earlier_run(results: Path, name: str, of: str, meant: str) -> None:
    assert earlier_run(name, run(results, of)).path == results / meant


@pytest.mark.parametrize(
    ("name", "of", "said"),
    [
        ("latest", OLD, "there is no earlier run of shop"),
        ("shop", OLD, "there is no earlier run of shop"),
        (NEW, NEW, "is this run itself"),
        (NEW, OLD, f"{NEW} came after this run"),
        (f"shop/{MID}", OLD, "came after this run"),
        ("nobody", NEW, "no run in"),
    ],
)
def test_never_itself_and_never_nothing(results: Path, name: str, of: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        earlier_run(name, run(results, of))


def judged(results: Path, text: str, of: str = NEW) -> Finding:
    others = ObjectiveSet(name="others", objectives=(Objective(objective=text),))
    evaluation = evaluate_run(run(results, of), others, save=False)
    (finding,) = [one for one in evaluation.findings if one.kind == "objective"]
    return finding


def test_a_run_is_compared_with_the_one_before(results: Path) -> None:
    """The same voyage twice: as fast as before is kept, faster than before is not."""
    finding = judged(results, "latency.p95 <= run:latest")
    assert finding.verdict is Verdict.PASS
    assert finding.reference is not None
    assert (finding.reference.run_id, finding.reference.observed) == (MID, finding.observed)
    assert finding.bound == finding.observed
    assert judged(results, "latency.p95 <= run:latest - 1ms").verdict is Verdict.FAIL


def test_a_run_without_one_before_proves_nothing(results: Path) -> None:
    finding = judged(results, "latency.p95 <= run:latest", OLD)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "there is no earlier run of shop" in finding.reason


def test_a_damaged_run_before_proves_nothing(results: Path, tmp_path: Path) -> None:
    """Goal: this run is judged all the same. Method: the plan of the one before is torn."""
    for name in (MID, NEW):
        shutil.copytree(run(results, name).path, tmp_path / "shop" / name)
    (tmp_path / "shop" / MID / "plan.json").write_text("{")
    finding = judged(tmp_path, "latency.p95 <= run:latest")
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "plan.json" in finding.reason


def test_windows_of_other_objectives_are_scaled_as_the_run_was(
    results: Path, tmp_path: Path
) -> None:
    """A run at half its length: from 40 to 60 s of the file are 20 to 30 s of the run."""
    scaled = RunDir(tmp_path / "shop" / OLD)
    shutil.copytree(run(results, OLD).path, scaled.path)
    plan = json.loads(scaled.plan_path.read_text())
    scaled.plan_path.write_text(json.dumps({**plan, "time_scale": 0.5}))
    objective = Objective(objective="errors < 100%", during=("40s..60s",))
    others = ObjectiveSet(name="others", objectives=(objective,))
    (finding,) = [
        one for one in evaluate_run(scaled, others, save=False).findings if one.kind == "objective"
    ]
    assert [(one.start_s, one.end_s) for one in finding.parts] == [(20.0, 30.0)]
