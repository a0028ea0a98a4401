"""Where objectives hold: single faults, stages, windows; also of runs that do not have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from builders import ABORT, KILL, SERVICE, load_of, plan_of, recording_of, row, signals_of
from judging import judge_by, last_judged

from runner.analysis.evaluate import evaluate
from runner.analysis.places import NOT_COLLECTED, places_of
from runner.model.evaluation import Finding, Verdict
from runner.model.objective import Objective
from runner.model.plan import Plan
from runner.model.recording import LoadRow, PhaseSignal, Signals

FAULTS = ({**ABORT, "name": "half"}, {**KILL, "at": "35s"})


def second_by_second(at: int) -> Sequence[LoadRow]:
    """As many failures of 100 orders as the number of the second says."""
    return (row(at, 100 - at), row(at, at, outcome="timeout")) if at else (row(at, 100),)


def judged(*during: str, **keys: Any) -> Finding:
    plan = plan_of({"objective": "errors < 30%", "during": list(during), **keys}, faults=FAULTS)
    return last_judged(evaluate(recording_of(plan, second_by_second)))


def test_one_fault_is_judged_alone() -> None:
    """Failures from 20 to 30 s are 24.5 %; in the second fault they are 39.5 %."""
    finding = judged("fault:half")
    assert [(one.label, one.observed) for one in finding.parts] == [("fault 01-half", 0.245)]
    assert (finding.verdict, finding.phase) == (Verdict.PASS, "fault")
    assert judged("fault:pod-kill").verdict is Verdict.FAIL
    assert len(judged("fault", "fault:half").parts) == 2


def test_a_window_is_judged_over_exactly_its_seconds() -> None:
    """10 to 14 s: 10, 11, 12 and 13 failures of 100."""
    finding = judged("10s..14s")
    (part,) = finding.parts
    assert (part.label, part.start_s, part.end_s, part.observed) == ("10s..14s", 10, 14, 0.115)
    assert (finding.samples, finding.where) == (400, "10s..14s")
    finding = judged("baseline", "10s..14s", "40s..44s")
    assert [one.label for one in finding.parts] == ["baseline", "10s..14s", "40s..44s"]
    assert (finding.verdict, finding.where, finding.observed) == (
        Verdict.FAIL,
        "40s..44s",
        0.415,
    )


def test_a_stage_has_its_own_window() -> None:
    """The only stage is the whole run, with its warmup."""
    finding = judged("stage:1")
    assert [(one.label, one.start_s, one.end_s) for one in finding.parts] == [("stage 1", 0, 60)]
    assert finding.observed == sum(range(60)) / 6000


def test_windows_of_other_objectives_are_those_of_the_load() -> None:
    """Goal: what was not collected is not guessed. Method: a window that the run did not have."""
    recording = recording_of(plan_of(faults=FAULTS), second_by_second)
    window = {"objective": "errors < 30%", "during": "10s..14s"}
    assert judge_by(window, recording).observed == 0.115
    finding = judge_by({**window, "service": SERVICE}, recording)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "collected for the windows of the run's own objectives" in finding.reason


def with_windows(plan: Plan, value: float) -> Signals:
    """Signals that have the error ratio of a service in each window."""
    known = signals_of(plan)
    more = tuple(
        PhaseSignal(
            phase=window.index,
            sli="errors",
            service=SERVICE,
            unit="ratio",
            query="made by hand",
            value=value,
            samples=100.0,
            state="ok",
        )
        for window in plan.windows
    )
    return known.model_copy(update={"phases": (*known.phases, *more)})


def test_the_mesh_knows_the_windows_of_the_run() -> None:
    plan = plan_of({"objective": "errors < 10%", "during": "10s..14s", "service": SERVICE})
    finding = last_judged(evaluate(recording_of(plan, signals=with_windows(plan, 0.2))))
    assert (finding.verdict, finding.observed) == (Verdict.FAIL, 0.2)
    evaluation = evaluate(recording_of(plan))  # Collected, and not answered.
    (complete,) = [one for one in evaluation.findings if one.check == "signals-complete"]
    assert complete.verdict is Verdict.INCONCLUSIVE
    assert "There is no figure of errors of payment-api in 10s..14s" in complete.reason


def test_what_a_run_does_not_have_is_not_judged() -> None:
    recording = recording_of(plan_of(faults=FAULTS), second_by_second)
    finding = judge_by(
        {
            "objective": "errors < 30%",
            "during": ["baseline", "fault:hlaf", "stage:2", "70s..80s", "fault:x"],
        },
        recording,
    )
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert [(one.label, one.verdict) for one in finding.parts] == [
        ("baseline", Verdict.PASS),
        ("stage 2", Verdict.INCONCLUSIVE),
        ("70s..80s", Verdict.INCONCLUSIVE),
        ("fault hlaf", Verdict.INCONCLUSIVE),
        ("fault x", Verdict.INCONCLUSIVE),
    ]
    reasons = [one.reason for one in finding.parts[1:]]
    assert reasons == [
        "this run has no stage 2",
        "this run ended at 60 s, before that window",
        "this run has no fault 'hlaf'; did you mean half?",
        "this run has no fault 'x', only 01-half, 02-pod-kill, half, http-abort, payment-api, "
        "pod-kill and 1 more",
    ]


@pytest.mark.parametrize(
    ("during", "reason"),
    [
        ("fault:hlaf", "This run has no fault 'hlaf'; did you mean half?"),
        ("stage:2", "This run has no stage 2, so nothing was judged."),
        ("70s..80s", "This run ended at 60 s, before that window, so nothing was judged."),
    ],
)
def test_nothing_of_what_was_asked_for(during: str, reason: str) -> None:
    recording = recording_of(plan_of(faults=FAULTS), second_by_second)
    finding = judge_by({"objective": "errors < 30%", "during": during}, recording)
    assert (finding.verdict, finding.reason) == (Verdict.INCONCLUSIVE, reason)


def test_a_window_that_the_load_did_not_reach_the_end_of_proves_nothing() -> None:
    plan = plan_of({"objective": "errors < 30%", "during": "10s..14s"})
    load = load_of(plan, second_by_second, until_s=12)
    finding = last_judged(evaluate(recording_of(plan, load=load)))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.parts[0].reason == "the load ended after 2 s of 4 s"


def test_windows_of_a_rehearsal_are_found_again() -> None:
    """Goal: scaled offsets do not lose their figures. Method: thirds of seconds."""
    plan = plan_of({"objective": "errors < 1%", "during": "10s..20s"}, time_scale=1 / 3)
    (objective,) = plan.experiment.objectives
    (place,) = places_of(objective, plan)
    assert place.phase.index == plan.windows[0].index
    (other,) = places_of(Objective(objective="errors < 1%", during=("4s..5s",)), plan)
    assert other.phase.index == NOT_COLLECTED
