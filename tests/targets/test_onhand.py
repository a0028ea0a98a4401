"""Programs and modules that a plan's activities name are looked for before the load starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.targets.onhand import absent, has_module, has_program


def process(path: str) -> dict[str, Any]:
    return {"type": "action", "name": "do", "provider": {"type": "process", "path": path}}


def python(module: str) -> dict[str, Any]:
    provider = {"type": "python", "module": module, "func": "f"}
    return {"type": "probe", "name": "ask", "provider": provider}


def plan_of(**parts: Any) -> Plan:
    fault = {"kind": "chaostoolkit", "service": "s", "at": "20s", "duration": "10s"}
    return make_plan(
        Experiment.model_validate(
            {
                "name": "x",
                "description": "A question?",
                "load": {"locustfile": "l.py", "stages": [{"duration": "60s", "users": 1}]},
                "faults": [fault | parts],
                "objectives": ["errors < 1%"],
            }
        )
    )


def test_what_is_missing_here_is_a_reason_not_to_begin() -> None:
    """Goal: no run that fails halfway. Method: a program in the method, a module in the rollbacks
    and in the steady state, named once; what comes by configuration is not known before."""
    method = [process("/nonexist"), process("sh"), process("${tool}"), python("json.decoder")]
    steady = [python("nowhere.at_all") | {"tolerance": True}]
    plan = plan_of(method=method, rollbacks=[python("nowhere.at_all")], steady_state=steady)
    assert absent(plan) == [
        "01-chaostoolkit: the program '/nonexist' of 'do' is not found here; accepted: a path, or "
        "a name on PATH, of what may be executed",
        "01-chaostoolkit: the Python module 'nowhere.at_all' of 'ask' is not found here; accepted: "
        "one that is installed beside seatrial, or is in PYTHONPATH",
    ]
    assert absent(plan, program=lambda path: True, module=lambda name: True) == []


def test_modules_are_found_and_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: a look does nothing. Method: packages that raise when they are imported."""
    inner = tmp_path / "outer_pack" / "inner_pack"
    inner.mkdir(parents=True)
    for path in (inner.parent / "__init__.py", inner / "__init__.py", inner / "leaf.py"):
        path.write_text("raise RuntimeError", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert has_module("outer_pack.inner_pack.leaf")
    assert "outer_pack" not in sys.modules
    for name in ("outer_pack.other", "outer_pack.inner_pack.leaf.more", "", ".x", "outer_pack."):
        assert not has_module(name), name


def test_a_program_is_one_that_may_be_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: as Chaos Toolkit finds it. Method: a file in the home folder, before and after."""
    monkeypatch.setenv("HOME", str(tmp_path))
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n", encoding="utf-8")
    assert not has_program("~/tool")
    tool.chmod(0o700)
    assert has_program("~/tool")
