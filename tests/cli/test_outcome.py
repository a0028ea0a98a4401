"""The exit codes: one table, every row."""

from __future__ import annotations

import pytest

from runner.cli.outcome import RunEnd, ending_line, exit_code
from runner.errors import FaultError, RecordingError, TargetError, UsageError
from runner.model.evaluation import Verdict
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import Event, RunState


@pytest.mark.parametrize(
    ("end", "state", "verdict", "code"),
    [
        (RunEnd(), "recorded", Verdict.PASS, 0),
        (RunEnd(), "recorded", Verdict.WARN, 0),
        (RunEnd(), "recorded", Verdict.FAIL, 1),
        (RunEnd(), "recorded", Verdict.INCONCLUSIVE, 3),
        (RunEnd(), "recorded", None, 3),
        (RunEnd(), "aborted", Verdict.FAIL, 4),
        (RunEnd(stop="interrupted"), "interrupted", Verdict.PASS, 130),
        (RunEnd(stop="terminated"), "interrupted", Verdict.PASS, 143),
        (RunEnd(error=TargetError("x")), "failed", None, 3),
        (RunEnd(error=FaultError("x")), "failed", Verdict.PASS, 3),
        (RunEnd(error=UsageError("x")), "failed", None, 2),
        (RunEnd(left=["01-x"]), "recorded", Verdict.PASS, 5),
        (RunEnd(stop="interrupted", left=["01-x"]), "interrupted", Verdict.FAIL, 5),
        (RunEnd(error=TargetError("x"), left=["01-x"]), "failed", None, 5),
        (RunEnd(left=["01-x"]), "aborted", None, 5),
    ],
)
def test_every_way_to_end_has_its_code(
    end: RunEnd, state: RunState, verdict: Verdict | None, code: int
) -> None:
    assert exit_code(end, state, verdict) == code


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("guard", "aborted by a guard at 17s of 1m; healed: 01-abort; nothing is left in place"),
        ("guardian", "aborted at 17s of 1m; healed: 01-abort; nothing is left in place"),
    ],
)
def test_who_aborted_a_run_is_told(source: str, line: str) -> None:
    """Goal: a switch that was set is no guard. Method: the journals of both."""
    steps = [
        ("guardian", "start", "ok", None),
        ("01-abort", "inject", "begin", 10.0),
        ("guardian", "lost", "note", 12.0),
        (source, "abort", "note", 17.0),
        ("01-abort", "heal", "ok", 18.0),
    ]
    events = [
        Event.model_validate(
            {"wall_s": 1.0, "offset_s": at_s, "source": who, "action": what, "kind": kind}
        )
        for who, what, kind, at_s in steps
    ]
    assert ending_line("aborted", events, plan()) == line


def plan() -> Plan:
    return make_plan(
        Experiment.model_validate(
            {
                "name": "x",
                "description": "d",
                "load": {"locustfile": "x", "stages": [{"duration": "60s", "users": 1}]},
                "objectives": ["errors < 1%"],
            }
        )
    )


def test_a_later_error_does_not_hide_the_root_cause() -> None:
    root = TargetError("first")
    assert RunEnd(error=root).with_error(RecordingError("second")).error is root
    later = RecordingError("only")
    assert RunEnd().with_error(later).error is later
