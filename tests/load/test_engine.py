"""The engine on the supervisor's side: command line, environment, and what it refuses."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import LoadError
from runner.load.commandline import (
    RIDE_ALONG,
    child_environment,
    find_locustfile,
    free_port,
    locust_argv,
)
from runner.load.engine import LocustEngine
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import TargetInfo
from runner.store import RunDir, Store

TARGET = TargetInfo(
    kind="sandbox",
    name="test",
    namespace="ecommerce",
    ingress_url="http://127.0.0.1:8080",
    host="api.c4ang.com",
    prometheus_url="",
    kubeconfig="some/kubeconfig",
)


def plan_for(locustfile: str, stop_timeout: str = "1500ms") -> Plan:
    experiment = {
        "name": "engine",
        "description": "An engine.",
        "load": {
            "locustfile": locustfile,
            "stages": [{"duration": "1s", "users": 1}],
            "stop_timeout": stop_timeout,
        },
        "objectives": ["errors < 1%"],
    }
    return make_plan(Experiment.model_validate_json(json.dumps(experiment)))


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = Store(tmp_path / "results").create_run("engine", 1_700_000_000.0)
    run.write_plan(plan_for("a.py"), "")
    return run


def test_the_command_line_says_everything(tmp_path: Path) -> None:
    """Goal: nothing is left to Locust's defaults or files. Method: the whole list of arguments."""
    locustfile = tmp_path / "a.py"
    assert locust_argv("python", locustfile, plan_for("a.py"), TARGET) == [
        *("python", "-P", "-m", "locust", "-f", f"{RIDE_ALONG},{locustfile}", "--loglevel", "INFO"),
        *("--headless", "-H", "http://127.0.0.1:8080", "--stop-timeout", "2"),
        *("--exit-code-on-error", "0", "--only-summary"),
    ]


@pytest.mark.parametrize("name", ["a,b.py", "a.txt"])
def test_a_path_that_locust_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LoadError, match="Locust cannot load"):
        locust_argv("python", tmp_path / name, plan_for("a.py"), TARGET)


def test_the_childs_environment(run: RunDir) -> None:
    """Goal: the contract of the environment. Method: all of it, from a caller's with traps."""
    before = {"PATH": "bin", "LOCUST_RUN_TIME": "1s", "LOCUST_MODE_MASTER": "1", "TARGET_HOST": "x"}
    assert child_environment(before, run, TARGET) == {
        "PATH": "bin",
        "TARGET_HOST": "http://127.0.0.1:8080",
        "TARGET_HOST_HEADER": "api.c4ang.com",
        "SEATRIAL_RUN_ID": run.run_id,
        "SEATRIAL_PLAN": str(run.plan_path),
        "SEATRIAL_LOAD_DIR": str(run.load_dir),
        "KUBECONFIG": "some/kubeconfig",
    }


def test_without_a_kubeconfig_the_callers_stays(run: RunDir) -> None:
    target = TARGET.model_copy(update={"kubeconfig": ""})
    assert child_environment({"KUBECONFIG": "mine"}, run, target)["KUBECONFIG"] == "mine"


def test_an_unknown_locustfile_is_answered_with_those_there_are(
    run: RunDir, tmp_path: Path
) -> None:
    for name in ("shop.py", "other.py"):
        (tmp_path / name).write_text("", encoding="utf-8")
    engine = LocustEngine([tmp_path])
    with pytest.raises(LoadError) as caught:
        engine.start(plan_for("shpo.py"), TARGET, run.load_dir, run.log_path("locust"))
    assert caught.value.accepted == "other.py, shop.py"
    assert caught.value.hint == "did you mean shop.py?"


def test_the_file_that_was_checked_is_the_file_that_runs(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: no namesake by chance. Method: the folders' file and one in the working folder."""
    beside, here = tmp_path / "experiments", tmp_path / "here"
    for folder in (beside, here):
        folder.mkdir()
        (folder / "shop.py").touch()
    monkeypatch.chdir(here)
    assert find_locustfile("shop.py", [beside, here]) == beside / "shop.py"
    assert find_locustfile("shop.py", [tmp_path]) == here / "shop.py"


def test_a_port_that_is_taken_is_refused_by_name() -> None:
    """Goal: no words of ZeroMQ. Method: one that is in use, and an address of nobody."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LoadError, match=f"listened to at 127.0.0.1:{port}: Address already in"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", port) == port
    with pytest.raises(LoadError, match=r"listened to at 192\.0\.2\.1:5557: Cannot assign"):
        free_port("192.0.2.1", 5557)
    assert free_port("*") > 0


def test_a_folder_that_holds_a_record_is_refused(run: RunDir) -> None:
    record = run.load_dir / "seconds.jsonl"
    record.write_text("precious\n", encoding="utf-8")
    with pytest.raises(LoadError, match="already holds a record"):
        LocustEngine().start(plan_for("shop.py"), TARGET, run.load_dir, run.log_path("locust"))
    assert record.read_text(encoding="utf-8") == "precious\n"


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="holds no plan"):
        LocustEngine().start(plan_for("shop.py"), TARGET, tmp_path / "load", tmp_path / "log")


def test_an_interpreter_that_cannot_be_started_is_a_load_error(run: RunDir, tmp_path: Path) -> None:
    locustfile = tmp_path / "a.py"
    locustfile.write_text("", encoding="utf-8")
    engine = LocustEngine(python=str(tmp_path / "no-python"))
    with pytest.raises(LoadError, match="could not be started"):
        engine.start(plan_for(str(locustfile)), TARGET, run.load_dir, run.log_path("locust"))


def test_the_supervisors_side_imports_no_locust() -> None:
    """Goal: Locust patches the process that imports it. Method: import the engine elsewhere."""
    code = "import sys, runner.load.engine; sys.exit(bool({'locust', 'gevent'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
