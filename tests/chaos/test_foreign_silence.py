"""None of the tool's silent successes gets through: real children, judged as a run is judged.

Each case is a child whose exit code, status or journal says that all is well, or says nothing. All
of them run at the same time, once, because each needs seconds to start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bare_api import NAMESPACE, BareApi
from foreign_children import HERE, findings, markers, process, python, record_of, start, until_end

from runner.chaos.environment import child_environment
from runner.chaos.foreign import play_rollbacks
from runner.model.evaluation import Verdict
from runner.model.faultrecord import FaultRecord
from runner.store import RunDir

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("foreign-silence")]

HELD_S = 12.0
"""Time for all children to start and to do their work before the fault's end."""

MUTED = process("sh", "-c", "exit 3", name="a-program-that-fails")


def probe(func: str, tolerance: Any) -> dict[str, Any]:
    return python("probe", func) | {"tolerance": tolerance}


CASES: dict[str, dict[str, Any]] = {
    "an action fails": {"method": [python("action", "fail")]},
    "a program fails": {"method": [MUTED]},
    "the background fails": {"method": [python("action", "fail") | {"background": True}]},
    "an activity swallows SIGTERM": {
        "method": [python("action", "swallow_sigterm", path="swallowed"), MUTED]
    },
    "the gate is missed": {
        "method": [python("action", "nothing")],
        "steady_state": [probe("nothing", True)],
    },
    "the gate raises": {
        "method": [python("action", "nothing")],
        "steady_state": [probe("fail", True)],
    },
    "the gate has no value": {
        "method": [python("action", "nothing")],
        "steady_state": [probe("nothing", [0, 1])],
    },
    "the gate is not a number": {
        "method": [python("action", "nothing")],
        "steady_state": [probe("not_a_number", {"type": "range", "range": [0, 1]})],
    },
    "no journal": {"method": [python("action", "kill_the_tool")]},
    "no rollbacks": {
        "method": [python("action", "leave_without_rollbacks")],
        "rollbacks": [python("action", "nothing", "undo")],
    },
    "a rollback fails": {
        "method": [python("action", "nothing")],
        "rollbacks": [python("action", "fail", "undo", reason="it is stuck")],
    },
}


@dataclass(frozen=True)
class Case:
    """What became of a child.

    Attributes:
        code: Exit code.
        journal: What it wrote; None for nothing.
        said: What the evaluation says: was it injected, and is it gone?
    """

    code: int
    journal: dict[str, Any] | None
    record: FaultRecord
    said: tuple[tuple[Verdict, str], ...]
    folder: Path
    marker: bool


@pytest.fixture(scope="module")
def cases(bare_api: BareApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    """All cases, carried out."""
    folder = RunDir(tmp_path_factory.mktemp("silence") / "2026-11-20T092337Z-f0e1")
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.chdir(folder.path.parent)
        started = {
            name: start(bare_api, folder, duration_s=HELD_S, number=number, **fields)
            for number, (name, fields) in enumerate(CASES.items(), start=1)
        }
        codes = {name: until_end(child, 90.0) for name, (_, child, _) in started.items()}
        left = markers(bare_api)
        made = {}
        for name, (fault, _, zero_s) in started.items():
            path = folder.fault_dir(fault.id) / "journal.json"
            record = record_of(folder, fault)
            made[name] = Case(
                code=codes[name],
                journal=json.loads(path.read_text()) if path.exists() else None,
                record=record,
                said=tuple((one.verdict, one.reason) for one in findings(fault, record, zero_s)),
                folder=path.parent,
                marker=any(marker.endswith(fault.id) for marker in left),
            )
        yield made
        for marker in markers(bare_api):
            bare_api.core.delete_namespaced_config_map(marker, NAMESPACE)


def unproven(case: Case) -> str:
    """Why the evaluation does not believe that the fault was injected."""
    verdict, reason = case.said[0]
    assert verdict == Verdict.INCONCLUSIVE
    return reason


def test_an_action_that_failed(cases: dict[str, Case]) -> None:
    """Goal: the tool calls the experiment completed and exits with 0; we do not."""
    case = cases["an action fails"]
    assert case.journal is not None
    assert (case.code, case.journal["status"]) == (0, "completed")
    assert "fail: OSError: the disk is full" in unproven(case)
    assert not case.marker


def test_a_program_that_failed(cases: dict[str, Case]) -> None:
    """Goal: the tool calls the activity itself succeeded; the journal that we keep does not."""
    case = cases["a program fails"]
    assert case.journal is not None
    assert [one["status"] for one in case.journal["run"] if one["activity"] == MUTED] == ["failed"]
    assert "a-program-that-fails: the program ended with 3" in unproven(case)


def test_an_activity_in_the_background_that_failed(cases: dict[str, Case]) -> None:
    """Goal: nobody waits for it, and its failure is on record all the same."""
    case = cases["the background fails"]
    assert case.code == 0
    assert "fail: OSError: the disk is full" in unproven(case)


def test_sigterm_that_an_activity_swallows(cases: dict[str, Case]) -> None:
    """Goal: SIGTERM is obeyed: the next activity is not begun, and the fault is undone."""
    case = cases["an activity swallows SIGTERM"]
    assert case.journal is not None
    assert not (case.folder.parents[2] / "swallowed").exists()
    assert [one["activity"]["name"] for one in case.journal["run"]][2:] == ["swallow_sigterm"]
    assert case.journal["status"] == "interrupted"
    assert "swallow_sigterm: SIGTERM was received" in unproven(case)
    assert not case.marker


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("the gate is missed", "the steady state was missed before the fault: not within true"),
        ("the gate raises", "fail: OSError: the disk is full"),
    ],
)
def test_a_gate_that_is_missed(cases: dict[str, Case], name: str, reason: str) -> None:
    """Goal: nothing was begun, nothing is undone, nothing is proven. Method: the tool's status of a
    missed gate is completed."""
    case = cases[name]
    assert case.journal is not None
    assert (case.journal["run"], case.journal["rollbacks"]) == ([], [])
    assert reason in unproven(case)
    assert case.record.effects == ()
    assert not case.marker


@pytest.mark.parametrize("name", ["the gate has no value", "the gate is not a number"])
def test_a_gate_without_a_value(cases: dict[str, Case], name: str) -> None:
    """Goal: the tool breaks down over None and NaN and leaves no journal; nothing is proven."""
    case = cases[name]
    assert (case.code, case.journal) == (1, None)
    assert "no record of having been injected" in unproven(case)
    assert not case.marker


def test_no_journal_at_all(cases: dict[str, Case]) -> None:
    """Goal: a killed child proves nothing, and its fault is known to be there."""
    case = cases["no journal"]
    assert (case.code, case.journal) == (-9, None)
    assert unproven(case) == "The Chaos Toolkit journal of 09-chaostoolkit is missing."
    assert case.said[1][0] == Verdict.INCONCLUSIVE
    assert case.marker


def test_an_end_without_rollbacks(cases: dict[str, Case]) -> None:
    """Goal: an experiment that was told not to roll back is known to be open."""
    case = cases["no rollbacks"]
    assert case.journal is not None
    assert (case.journal["status"], case.journal["rollbacks"]) == ("interrupted", [])
    assert "leave_without_rollbacks" in unproven(case)
    assert case.said[1] == (Verdict.INCONCLUSIVE, "Nobody saw that 10-chaostoolkit was gone.")
    assert case.marker


def test_a_rollback_that_failed(bare_api: BareApi, cases: dict[str, Case]) -> None:
    """Goal: the marker stays, and every heal says what is left. Method: the child, and a replay."""
    case = cases["a rollback fails"]
    assert case.journal is not None
    assert (case.code, case.journal["status"]) == (0, "completed")
    assert "undo: OSError: it is stuck" in unproven(case)
    assert case.said[1] == (Verdict.INCONCLUSIVE, "Nobody saw that 11-chaostoolkit was gone.")
    assert case.marker
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    env = child_environment(os.environ, bare_api.target, case.folder) | {"PYTHONPATH": paths}
    said = play_rollbacks(case.folder, env)
    assert said[0] == "rollback undo: OSError: it is stuck"
    assert "the marker stays, because not all is undone: undo: OSError: it is stuck" in said[1]
