"""Other people's activities in real children: what is done, what is undone, what is never said."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from bare_api import BareApi
from foreign_children import (
    FAULT,
    HERE,
    findings,
    markers,
    process,
    python,
    record_of,
    run_folder,
    start,
    until_end,
)

from runner.chaos.environment import child_environment
from runner.chaos.foreign import play_rollbacks
from runner.errors import FaultError

pytestmark = pytest.mark.sandbox
LEAD_S = 3.0
"""What a child needs to start on a busy machine."""

CANARY = "tr0ub4dor&3/ +x"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def test_activities_are_carried_out_and_undone(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: the whole way. Method: a python action, a program in the background with a pause, a
    gate that is looked at again; then traces, effects, journal and verdict."""
    folder = run_folder(tmp_path)
    trace = tmp_path / "trace"
    steady = python("probe", "exists", "no-trace", path=str(trace)) | {"tolerance": False}
    fault, child, zero_s = start(
        bare_api,
        folder,
        duration_s=1.5,
        lead_s=LEAD_S,
        method=[
            python("action", "write", path=str(trace), text="on"),
            process("sleep", "0.3", background=True, pauses={"before": 0.1}),
        ],
        rollbacks=[python("action", "remove", path=str(trace))],
        steady_state=[steady],
    )
    assert until_end(child) == 0, child.tail(20)
    assert not trace.exists()
    assert markers(bare_api) == []
    record = record_of(folder, fault)
    marker = "configmap/seatrial-2026-11-20t092337z-f0e1-01-chaostoolkit"
    assert [(e.what, e.subject) for e in record.effects] == [
        ("injected", marker),
        ("injected", "activity/write"),
        ("verified", marker),
        ("injected", "activity/program"),
        ("removed", "activity/remove"),
        ("removed", marker),
        ("gone", "fault/seatrial-2026-11-20t092337z-f0e1-01-chaostoolkit"),
    ]
    assert (record.journal_status, record.failed_activities) == ("completed", ())
    said = [(one.verdict, one.reason) for one in findings(fault, record, zero_s)]
    assert said == [
        ("pass", "01-chaostoolkit acted on activity/program, activity/write."),
        ("pass", "01-chaostoolkit was removed, and looked for: it is not there any more."),
    ]


def test_no_secret_reaches_the_run_folder(
    bare_api: BareApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: a resolved secret stays in the child. Method: activities that answer, print, raise and
    echo it, and a configuration that is probed with it; the canary is sought in every file."""
    monkeypatch.setenv("CHAOSTOOLKIT_CANARY", CANARY)
    folder = run_folder(tmp_path)
    tell = python("probe", "tell")
    tell["provider"]["secrets"] = ["site"]
    cry = python("action", "cry")
    cry["provider"]["secrets"] = ["site"]
    probed = python("probe", "tell", "probed")
    fault, child, _ = start(
        bare_api,
        folder,
        duration_s=1.0,
        lead_s=LEAD_S,
        method=[tell, cry, process("echo", "token=${token}", name="echo")],
        configuration={"probed": probed},
        secrets={"site": {"token": {"type": "env", "key": "CHAOSTOOLKIT_CANARY"}}},
    )
    until_end(child)
    journal = json.loads((folder.fault_dir(FAULT) / "journal.json").read_text())
    outputs = {item["activity"]["name"]: item.get("output") for item in journal["run"]}
    assert outputs["tell"] == {"headers": {"x-token": "***"}, "about": "Bearer ***"}
    assert outputs["echo"]["stdout"] == "token=***\n"
    assert record_of(folder, fault).failed_activities == ("cry: RuntimeError: 401 for ***",)
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"chaos.log", "experiment.json", "journal.json"}
    words = (CANARY, json.dumps(CANARY)[1:-1], "tr0ub4dor")
    leaks = [path.name for path in files if any(word in path.read_text() for word in words)]
    assert leaks == []
    assert "the token is ***" in (folder.fault_dir(FAULT) / "chaos.log").read_text()


def test_a_variable_that_is_missing_is_named_before_anything_starts(
    bare_api: BareApi, tmp_path: Path
) -> None:
    """Goal: no child that cannot work. Method: a secret of the environment that is not there."""
    secrets = {"site": {"token": {"type": "env", "key": "SURELY_MISSING"}}}
    with pytest.raises(FaultError, match="need SURELY_MISSING, which the environment lacks"):
        start(bare_api, run_folder(tmp_path), method=[python("action", "nap")], secrets=secrets)


def test_rollbacks_are_played_again_from_the_run_folder(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: undo without the child. Method: an activity kills the tool; the replay fails while the
    way back is blocked, which leaves the marker, and succeeds after that; then again."""
    folder = run_folder(tmp_path)
    trace = tmp_path / "trace"
    blocked = tmp_path / "a file that is in the way"
    _, child, _ = start(
        bare_api,
        folder,
        method=[
            python("action", "write", path=str(trace), text="on"),
            python("action", "kill_the_tool"),
        ],
        rollbacks=[
            process("test", "!", "-e", str(blocked), name="the way is free"),
            python("action", "remove", path=str(trace)),
        ],
    )
    assert until_end(child) == -9
    assert trace.exists()
    (marker,) = markers(bare_api)
    blocked.write_text("")
    env = child_environment(os.environ, bare_api.target, tmp_path)
    assert play_rollbacks(folder.fault_dir(FAULT), env) == [
        "rollback the way is free: the program ended with 1",
        "rollback unmark-fault: the marker stays, because not "
        "all is undone: the way is free: the program ended with 1",
        f"rollback verify-removal: {marker} is still on configmap/{marker}",
    ]
    assert markers(bare_api) == [marker]
    blocked.unlink()
    assert play_rollbacks(folder.fault_dir(FAULT), env) == []
    assert (markers(bare_api), trace.exists()) == ([], False)
    assert play_rollbacks(folder.fault_dir(FAULT), env) == []
