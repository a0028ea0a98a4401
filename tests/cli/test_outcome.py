"""The exit codes: one table, every row."""

from __future__ import annotations

import pytest

from runner.cli.outcome import RunEnd, exit_code
from runner.errors import FaultError, RecordingError, TargetError, UsageError
from runner.model.evaluation import Verdict
from runner.model.recording import RunState


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


def test_a_later_error_does_not_hide_the_root_cause() -> None:
    root = TargetError("first")
    assert RunEnd(error=root).with_error(RecordingError("second")).error is root
    later = RecordingError("only")
    assert RunEnd().with_error(later).error is later
