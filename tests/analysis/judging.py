"""Short ways to judge one objective over a handmade recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from builders import (
    ABORT,
    Rows,
    healthy,
    plan_of,
    recording_of,
    row,
)

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Evaluation, Finding
from runner.model.objective import Objective
from runner.model.recording import LoadRow, Recording

WARMUP, BASELINE, FAULT, RECOVERY = range(4)


def judged(objective: str | dict[str, Any], rows: Rows = healthy, **changes: Any) -> Finding:
    """The finding about one objective of a run with an abort from 20 s to 30 s."""
    recording = recording_of(plan_of(objective, faults=[ABORT]), rows, **changes)
    (finding,) = [one for one in evaluate(recording).findings if one.kind == "objective"]
    return finding


def last_judged(evaluation: Evaluation) -> Finding:
    """The finding about the last objective."""
    return [one for one in evaluation.findings if one.kind == "objective"][-1]


def judge_by(objective: str | dict[str, Any], recording: Recording) -> Finding:
    """The finding about one objective that the run did not have."""
    others = (Objective.model_validate(objective),)
    (finding,) = [f for f in evaluate(recording, others).findings if f.kind == "objective"]
    return finding


def mixed(bad_requests: int, start: int = 0, end: int = 60) -> Rows:
    """50 orders a second, and ``bad_requests`` more of them that fail, from start to end."""

    def rows(second: int) -> Sequence[LoadRow]:
        if bad_requests and start <= second < end:
            return (row(second), row(second, bad_requests, outcome="http_5xx"))
        return (row(second),)

    return rows
