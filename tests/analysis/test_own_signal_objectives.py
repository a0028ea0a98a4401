"""Objectives on own signals: figures, units, and all the ways in which there is no figure."""

from __future__ import annotations

from typing import Any

import pytest
from builders import ABORT, plan_of, recording_of, signals_of

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Evaluation, Finding
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import PhaseSignal

WARMUP, BASELINE, FAULT, RECOVERY, WINDOW = range(5)
SIGNALS = {
    "queue": {"promql": "max(q)"},
    "age": {"promql": "max(a)", "unit": "s"},
    "full": {"promql": "max(f)", "unit": "ratio"},
}


def plan_with(*objectives: Any) -> Plan:
    document = plan_of(*objectives, faults=[ABORT]).experiment.model_dump(by_alias=True)
    return make_plan(Experiment.model_validate({**document, "signals": SIGNALS}))


def figure(name: str, unit: str, phase: int, value: float | None, **changes: Any) -> PhaseSignal:
    fields = {
        "phase": phase,
        "sli": f"signal.{name}",
        "service": "",
        "unit": unit,
        "query": "made by hand",
        "value": value,
        "samples": 10.0,
        "state": "ok",
        **changes,
    }
    return PhaseSignal.model_validate(fields)


def evaluated(objective: Any, *figures: PhaseSignal, **changes: Any) -> Evaluation:
    plan = plan_with(objective)
    signals = signals_of(plan)
    update = {"phases": (*signals.phases, *figures), **changes}
    return evaluate(recording_of(plan, signals=signals.model_copy(update=update)))


def judged(objective: Any, *figures: PhaseSignal, **changes: Any) -> Finding:
    findings = evaluated(objective, *figures, **changes).findings
    (finding,) = [one for one in findings if one.kind == "objective"]
    return finding


@pytest.mark.parametrize(
    ("objective", "given", "unit", "value", "said"),
    [
        ("signal.queue < 5", "queue", "count", 7.0, "The signal queue was 7 (baseline); the bound"),
        ("signal.age < 2s", "age", "s", 2.5, "was 2.5 s (baseline); the bound is < 2 s."),
        ("signal.full < 50%", "full", "ratio", 0.75, "was 75 % (baseline); the bound is < 50 %."),
    ],
)
def test_sentences_have_the_signals_unit(
    objective: str, given: str, unit: str, value: float, said: str
) -> None:
    """Goal: a figure is read as what it is. Method: three units, each missed."""
    finding = judged(
        {"objective": objective, "during": "baseline"}, figure(given, unit, BASELINE, value)
    )
    assert (finding.verdict, finding.observed, finding.unit) == ("fail", value, unit)
    assert said in finding.reason


def test_either_direction_can_be_well() -> None:
    finding = judged(
        {"objective": "signal.queue >= 5", "during": "baseline"},
        figure("queue", "count", BASELINE, 5.0),
    )
    assert finding.verdict == "pass"


def test_each_phase_and_window_is_judged_by_its_own_figure() -> None:
    """Goal: the worst decides, windows too. Method: well in the baseline only."""
    finding = judged(
        {"objective": "signal.queue < 5", "during": ["baseline", "22s..26s"]},
        figure("queue", "count", BASELINE, 1.0),
        figure("queue", "count", FAULT, 3.0),
        figure("queue", "count", WINDOW, 9.0),
    )
    assert [(part.observed, str(part.verdict)) for part in finding.parts] == [
        (1.0, "pass"),
        (9.0, "fail"),
    ]


def test_a_signal_can_be_compared_with_its_own_baseline() -> None:
    finding = judged(
        {"objective": "signal.queue <= baseline + 10%", "during": "fault"},
        figure("queue", "count", BASELINE, 100.0),
        figure("queue", "count", FAULT, 111.0),
    )
    assert finding.verdict == "fail"
    assert finding.bound == pytest.approx(110.0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"value": None, "state": "empty", "message": "no series matches"}, "no series matches"),
        ({"state": "gaps", "message": "known for 40 % only"}, "known for 40 % only"),
        ({"value": None, "state": "error", "message": "the query gives 3"}, "the query gives 3"),
        ({"warnings": ["a store is away"]}, "Prometheus warned: a store is away"),
    ],
)
def test_what_is_not_known_is_inconclusive_and_the_rest_is_judged(
    changes: dict[str, Any], why: str
) -> None:
    """Goal: no data is never a pass, and no reason to doubt the load. Method: four ways."""
    own = figure("queue", "count", BASELINE, **{"value": 1.0, **changes})
    evaluation = evaluated({"objective": "signal.queue < 5", "during": "baseline"}, own)
    (finding,) = [one for one in evaluation.findings if one.kind == "objective"]
    assert finding.verdict == "inconclusive"
    assert why in finding.reason
    (complete,) = [one for one in evaluation.findings if one.check == "signals-complete"]
    assert complete.verdict == "pass"
    assert evaluation.verdict == "inconclusive"


def test_a_signal_that_was_not_collected_is_inconclusive() -> None:
    finding = judged({"objective": "signal.queue < 5", "during": "baseline"})
    assert finding.verdict == "inconclusive"
    assert "Prometheus has no figure of signal.queue here" in finding.reason


def test_when_prometheus_is_gone_the_load_is_judged_and_nothing_else() -> None:
    """Goal: what can be said is said. Method: a load, a service, a signal and alerts, no answer."""
    objectives: list[str | dict[str, Any]] = [
        "errors < 1%",
        {"objective": "errors < 1%", "service": "order-api"},
        {"objective": "signal.queue < 5", "during": "baseline"},
        "no critical alert",
        {"expect_alert": {"name": "HighErrorRate", "firing_within": "10s"}},
    ]
    document = plan_of(*objectives).experiment.model_dump(by_alias=True)
    document |= {"signals": SIGNALS, "faults": [ABORT]}
    plan = make_plan(Experiment.model_validate(document))
    gone = signals_of(plan).model_copy(
        update={"phases": (), "error": "Prometheus does not answer: connection refused"}
    )
    evaluation = evaluate(recording_of(plan, signals=gone))
    first, *others = [one for one in evaluation.findings if one.kind == "objective"]
    assert first.verdict == "pass"
    assert [str(one.verdict) for one in others] == ["inconclusive"] * 4
    assert all("connection refused" in one.reason for one in others)
    assert evaluation.verdict == "inconclusive"


def test_alerts_that_nobody_may_ask_for_leave_the_run_valid() -> None:
    """Goal: a 403 for alerts is the matter of one objective. Method: a failing one beside it."""
    plan = plan_of("traffic > 1000/s", "no critical alert", faults=[ABORT])
    signals = signals_of(plan).model_copy(update={"alerts_missing": "HTTP 403"})
    evaluation = evaluate(recording_of(plan, signals=signals))
    verdicts = [str(one.verdict) for one in evaluation.findings if one.kind == "objective"]
    assert verdicts == ["fail", "inconclusive"]
    assert evaluation.verdict == "fail"
