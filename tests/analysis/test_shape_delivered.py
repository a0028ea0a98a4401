"""Was a locustfile's own shape followed? What it wanted stands in the record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import healthy, load_of, reasons, recording_of

from runner.analysis.evaluate import evaluate
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import SHAPE_ENDED, Recording

WAVES = {second: 20 + 20 * (second // 10 % 2) for second in range(60)}
"""20 users for 10 s, 40 for 10 s, and so on."""


def own(time_scale: float = 1.0) -> Plan:
    load = {"locustfile": "waves.py", "shape": "own", "duration": f"{60 / time_scale:g}s"}
    text: dict[str, Any] = {"name": "own", "description": "A shape.", "load": load}
    experiment = Experiment.model_validate(text | {"objectives": ["errors < 1%"]})
    return make_plan(experiment, time_scale=time_scale)


def recorded(
    users: dict[int, int], wanted: dict[int, int], plan: Plan | None = None, *notes: str
) -> Recording:
    plan = plan or own()
    load = replace(load_of(plan, healthy), users=users, wanted=wanted, notes=notes)
    return replace(recording_of(plan), load=load)


def delivered(recording: Recording) -> dict[str, str]:
    return dict(reasons(evaluate(recording).findings, "load-delivered"))


@pytest.mark.parametrize(
    ("lag_s", "ratio", "verdict"), [(0, 1.0, "pass"), (1, 1.0, "pass"), (0, 0.8, "inconclusive")]
)
def test_users_are_compared_with_what_was_wanted(lag_s: int, ratio: float, verdict: str) -> None:
    """Goal: a shape is held to its word. Method: as wanted, a second late, and a fifth too few."""
    users = {second: round(ratio * WAVES[max(0, second - lag_s)]) for second in range(60)}
    found = delivered(recorded(users, WAVES))
    assert found["verdict"] == verdict
    if verdict == "inconclusive":
        assert found["reason"].startswith("On average 23.9 users were running in baseline, where 2")


def test_a_second_that_is_not_on_record_is_as_the_one_before() -> None:
    holes = {second: users for second, users in WAVES.items() if second % 10 != 5}
    assert delivered(recorded(WAVES, holes))["verdict"] == "pass"


def test_a_shape_of_which_nothing_is_known_proves_nothing() -> None:
    found = delivered(recorded(WAVES, {}))
    assert found["verdict"] == "inconclusive"


@pytest.mark.parametrize(("time_scale", "told"), [(1.0, "40s"), (0.1, "400s")])
def test_a_shape_that_ended_early_tells_the_duration_to_set(time_scale: float, told: str) -> None:
    """Goal: the reader knows what to do. Method: 60 s planned, nobody wanted after 40 s."""
    wanted = {second: users if second < 40 else 0 for second, users in WAVES.items()}
    note = f"{SHAPE_ENDED} at 40 s of 60 s"
    recording = recorded(wanted, wanted, own(time_scale), note)
    assert delivered(recording) == {
        "verdict": "warn",
        "reason": "The locustfile's load shape ended 40 s after its start, and nobody was running "
        f"in the rest of the planned 60 s; set the load's duration to {told}.",
    }
    assert dict(reasons(evaluate(recording).findings, "load-recorded"))["verdict"] == "pass"
