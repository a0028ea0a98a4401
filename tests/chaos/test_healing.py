"""``heal_target``: what it tells its child, and what it says when the child is of no use."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.chaos.healing import changed_subjects, heal_target
from runner.errors import LeftBrokenError
from runner.model.recording import TargetInfo

RUN = "2026-11-20T092337Z-ab12"


@pytest.fixture
def target(tmp_path: Path) -> TargetInfo:
    return TargetInfo(
        kind="cluster",
        name="staging",
        namespace="shop",
        ingress_url="http://i",
        host="",
        prometheus_url="http://p",
        kubeconfig=str(tmp_path / "kubeconfig"),
        context="ctx",
        flags="--target staging --config ours.yaml",
    )


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run with two faults; one VirtualService was changed and not changed back."""
    folder = tmp_path / "results" / RUN
    effects = {
        "01-http-abort": [
            ("injected", "virtualservice/payment-api"),
            ("injected", "virtualservice/order-api"),
            ("verified", "virtualservice/payment-api"),
            ("removed", "virtualservice/order-api"),
        ],
        "02-pod-kill": [("killed", "pod/x")],
    }
    for fault, lines in effects.items():
        (folder / "chaos" / fault).mkdir(parents=True)
        text = "".join(
            json.dumps({"wall_s": 1.0, "what": what, "subject": subject}) + "\n"
            for what, subject in lines
        )
        (folder / "chaos" / fault / "effects.jsonl").write_text(text + '{"wall_s": 2.')
    return folder


def program(tmp_path: Path, answer: dict[str, Any] | str, code: int) -> str:
    """A stand-in for Python that keeps its arguments, answers, and ends with ``code``."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    path = tmp_path / "python"
    path.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"json.dump(sys.argv[1:], open({str(tmp_path / 'argv.json')!r}, 'w'))\n"
        f"print({text!r})\nsys.exit({code})\n"
    )
    path.chmod(0o700)
    return str(path)


def test_what_a_fault_is_known_to_have_changed(run_folder: Path, tmp_path: Path) -> None:
    """Goal: the record of a killed child is read as far as it goes. Method: a torn last line."""
    chaos = run_folder / "chaos"
    assert changed_subjects(chaos / "01-http-abort") == ["virtualservice/payment-api"]
    assert changed_subjects(chaos / "02-pod-kill") == []
    assert changed_subjects(tmp_path / "none") == []


def test_the_child_is_told_all_that_is_known(
    target: TargetInfo, run_folder: Path, tmp_path: Path
) -> None:
    python = program(tmp_path, {"removed": [], "left": [], "others": [], "notes": ["n"]}, 0)
    report = heal_target(target, RUN, None, run_folder=run_folder, python=python, request_s=2.0)
    assert (report.notes, report.left) == (("n",), ())
    assert json.loads((tmp_path / "argv.json").read_text()) == [
        *("-P", "-m", "runner.chaos.heal", "--namespace", "shop"),
        *("--deadline", "10", "--margin", "30", "--context", "ctx", "--request-timeout", "2"),
        *("--run-folder", str(run_folder)),
        *("--expect=virtualservice/payment-api", "--run", RUN),
    ]
    heal_target(target, None, None, expired_only=True, everywhere=True, python=python)
    argv = json.loads((tmp_path / "argv.json").read_text())
    assert argv[argv.index("ctx") + 1 :] == ["--expired", "--everywhere"]


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("01-http-abort", "virtualservice/payment-api in shop of staging still carries the fault "),
        (None, f"virtualservice/payment-api in shop of staging still carries a fault of run {RUN}"),
        ("02-pod-kill", f"the fault 02-pod-kill of run {RUN} is left in shop of staging"),
    ],
)
def test_when_nobody_could_look_it_says_what_was_changed_and_the_whole_command(
    target: TargetInfo, run_folder: Path, tmp_path: Path, fault: str | None, what: str
) -> None:
    """Goal: exactly which object, why, and the command. Method: a child that sees nothing."""
    python = program(tmp_path, {"error": "list virtualservices in shop: no answer"}, 3)
    with pytest.raises(LeftBrokenError) as caught:
        heal_target(target, RUN, fault, run_folder=run_folder, python=python, attempts=1)
    error = caught.value
    assert error.message.startswith(f"cannot see whether {what}")
    assert error.message.endswith(": list virtualservices in shop: no answer")
    command = f"seatrial heal {RUN} --target staging --config ours.yaml"
    assert error.hint == f"when the API server answers again: {command}"


@pytest.mark.parametrize(
    ("text", "code", "why"), [("", 1, "ended with 1"), ("{", 139, "ended with 139")]
)
def test_a_child_that_says_nothing_has_healed_nothing(
    target: TargetInfo, tmp_path: Path, text: str, code: int, why: str
) -> None:
    with pytest.raises(LeftBrokenError, match=why):
        heal_target(target, RUN, None, python=program(tmp_path, text, code), attempts=1)


def test_what_is_left_is_tried_again_and_then_told(target: TargetInfo, tmp_path: Path) -> None:
    """Goal: a bound on attempts. Method: a child that leaves something each time."""
    answer = {"removed": ["a"], "left": ["b: why"], "others": [], "notes": []}
    report = heal_target(target, RUN, None, python=program(tmp_path, answer, 5), attempts=2)
    assert (report.removed, report.left) == (("a",), ("b: why",))
