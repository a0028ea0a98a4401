"""Objectives on own signals and alerts that nothing can answer are mistakes in the file."""

from __future__ import annotations

from typing import Any

import pytest

from runner.analysis.foresight import doubts_about
from runner.model.experiment import Experiment
from runner.model.feasibility import mistakes_in
from runner.model.plan import make_plan
from runner.model.salvage import salvage

FAULT = {"kind": "http-abort", "name": "half", "service": "a", "at": "60s", "duration": "30s"}
SIGNALS = {"queue": {"promql": "max(q)"}, "age": {"promql": "max(a)", "unit": "s"}}


def document(*objectives: Any, faults: bool = True) -> dict[str, Any]:
    return {
        "name": "x",
        "description": "d",
        "load": {"locustfile": "x.py", "stages": [{"duration": "3m", "users": 1}]},
        "faults": [{**FAULT, "status": 503}] if faults else [],
        "objectives": list(objectives),
        "signals": SIGNALS,
    }


def mistakes(*objectives: Any, faults: bool = True) -> list[tuple[Any, str]]:
    found = mistakes_in(Experiment.model_validate(document(*objectives, faults=faults)))
    return [(one.loc, one.message) for one in found]


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (
            "signal.queu < 5",
            "there is no signal 'queu'; did you mean 'queue'? accepted: queue, age",
        ),
        ("signal.other < 5", "there is no signal 'other'; accepted: queue, age"),
        ("signal.queue < 5ms", "measured in 'count'; accepted: a plain number"),
        ("signal.age < 5", "measured in 's'; accepted: a duration, such as '2s'"),
        ("signal.age <= baseline + 5/s", "measured in 's'; accepted: a duration"),
        ({"objective": "signal.age < 5s", "warn": "4"}, "measured in 's'"),
    ],
)
def test_a_signal_is_there_and_in_its_unit(objective: Any, said: str) -> None:
    """Goal: found before a run, not after. Method: typing errors and wrong units."""
    ((loc, message),) = mistakes("errors < 1%", objective)
    assert loc == ("objectives", 1)
    assert said in message


@pytest.mark.parametrize(
    "objective", ["signal.queue < 5", "signal.age < 5s", "signal.age <= baseline + 10%"]
)
def test_what_fits_is_no_mistake(objective: str) -> None:
    assert mistakes(objective) == []


def test_signals_that_are_wrong_themselves_are_not_told_to_be_missing() -> None:
    """Goal: one mistake, said once. Method: a query that is never closed, and who uses it."""
    data = document("signal.queue < 5")
    data["signals"] = {"queue": {"promql": "max(q"}}
    remains = salvage(data)
    assert remains is not None
    assert remains.mistakes() == ()
    remains = salvage(document("signal.queu < 5", "wrong"))
    assert remains is not None
    assert [one.loc for one in remains.mistakes()] == [("objectives", 0)]


ALERT = {"expect_alert": {"name": "HighErrorRate", "firing_within": "150s"}}


@pytest.mark.parametrize("within", ["120s", "2m", "60s", "90s", "1m30s", "0.5m"])
def test_the_time_of_an_alert_is_written_as_one_likes(within: str) -> None:
    """Goal: 120s is 2m. Method: several ways to write it, and the way through a plan's file."""
    objective = {"expect_alert": {"name": "HighErrorRate", "firing_within": within}}
    plan = make_plan(Experiment.model_validate(document(objective)))
    assert type(plan).model_validate_json(plan.model_dump_json(by_alias=True)) == plan


def test_an_alert_needs_a_fault() -> None:
    ((_, message),) = mistakes(ALERT, faults=False)
    assert "needs a fault to fire after" in message
    assert mistakes(ALERT) == []


def test_an_alert_that_is_not_watched_for_long_enough_is_doubted() -> None:
    """Goal: who is told before a run wins a run. Method: 120 s are left, 150 s are allowed."""
    plan = make_plan(Experiment.model_validate(document(ALERT)))
    (doubt,) = [one for one in doubts_about(plan) if one.loc == ("objectives", 0)]
    assert doubt.message == (
        "HighErrorRate may take 150s to fire, but the load ends 2m after the start of 01-half: "
        "if it does not fire, that proves nothing"
    )
    within = {"expect_alert": {"name": "HighErrorRate", "firing_within": "120s"}}
    plan = make_plan(Experiment.model_validate(document(within)))
    assert [one for one in doubts_about(plan) if one.loc == ("objectives", 0)] == []
