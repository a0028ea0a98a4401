"""The error budget: burn rates, the share of a period, and what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from builders import (
    ABORT,
    ORDERS,
    SERVICE,
    Rows,
    healthy,
    load_of,
    plan_of,
    recording_of,
    row,
    signals_of,
    with_signal,
)

from runner.analysis.budget import budget_figures, budget_parts, burn_rate, burn_rate_in
from runner.analysis.evidence import Evidence, Judged, evidence_of
from runner.analysis.objectives import judge
from runner.analysis.windows import LoadTable
from runner.model.evaluation import Verdict
from runner.model.objective import Objective
from runner.model.recording import LoadRow
from runner.model.score import ErrorBudget

BUDGET: dict[str, Any] = {"slo": "99.9%", "period": "28d"}
PERIOD_S = 28 * 86400
BASELINE, FAULT = 1, 2


def failing(second: int) -> Sequence[LoadRow]:
    """100 requests a second; in the fault, from 20 s to 30 s, 25 of 125 fail."""
    bad = [row(second, 25, outcome="http_5xx")] if 20 <= second < 30 else []
    return (*healthy(second), *bad)


def evidence(
    rows: Rows = failing, budget: dict[str, Any] | None = BUDGET, **changes: Any
) -> Evidence:
    recording = recording_of(plan_of(faults=[ABORT]), rows, **changes)
    rules = recording.plan.experiment
    if budget is not None:
        rules = rules.model_copy(update={"budget": ErrorBudget.model_validate(budget)})
    table = LoadTable(recording.load, recording.plan)
    return evidence_of(recording, table, rules=rules)


def judged(text: str, seen: Evidence, **keys: Any) -> Judged:
    (one,) = budget_parts(Objective.model_validate({"objective": text, **keys}), seen)
    return one


def test_the_burn_rate_of_the_workbook() -> None:
    """Goal: the formula of its source. Method: 1.44 % of errors at an SLO of 99.9 % is 14.4."""
    budget = ErrorBudget.model_validate(BUDGET)
    assert burn_rate(0.0144, budget) == 14.4
    assert burn_rate(0.001, budget) == 1.0


def test_burn_rates_of_phases() -> None:
    """25 of 125 failed in the fault: 20 % of requests, 200 times what is allowed."""
    figures = budget_figures(evidence())
    assert figures is not None
    assert [(one.label, one.requests, one.failures, one.rate) for one in figures.phases] == [
        ("baseline", 1500, 0, 0.0),
        ("fault 01-http-abort", 1250, 250, 200.0),
        ("recovery", 3000, 0, 0.0),
    ]


def test_the_share_of_a_period_at_the_rate_of_the_baseline() -> None:
    """250 of 100/s x 28 days x 0.1 % = 241,920."""
    figures = budget_figures(evidence())
    assert figures is not None
    assert (figures.slo_ratio, figures.period_s, figures.failed) == (0.999, PERIOD_S, 250)
    assert figures.allowed == pytest.approx(241_920)
    assert figures.share_ratio == pytest.approx(250 / 241_920)


def test_the_share_of_a_period_whose_traffic_is_known() -> None:
    one = judged("budget < 5%", evidence(budget={**BUDGET, "traffic": 1_000_000.0}))
    assert one.part.observed == pytest.approx(0.25)
    assert (one.part.verdict, one.part.samples) == (Verdict.FAIL, 5750)
    assert one.said == (
        "This run would burn 25 % of the error budget of 28d: 250 requests failed, and 1,000 may; "
        "the bound is < 5 %."
    )


@pytest.mark.parametrize(
    ("text", "keys", "verdict", "end"),
    [
        ("budget < 1%", {}, Verdict.PASS, "within the bound of 1 %."),
        (
            "budget < 1%",
            {"warn": "0.01%"},
            Verdict.WARN,
            "within the bound of 1 %, but past the warning at 0.01 %.",
        ),
    ],
)
def test_a_budget_that_lasts(text: str, keys: dict[str, Any], verdict: Verdict, end: str) -> None:
    one = judged(text, evidence(), **keys)
    assert one.part.verdict is verdict
    assert one.said.endswith(end)


def test_one_endpoint_has_its_share_of_the_periods_traffic() -> None:
    """Orders are half of the baseline: 500 of a million's 1,000 may fail, and 250 did."""
    seen = evidence(budget={**BUDGET, "traffic": 1_000_000.0})
    assert judged("budget < 60%", seen, of=ORDERS).part.observed == pytest.approx(0.5)
    assert judged("budget < 60%", evidence(), of=ORDERS).part.observed == pytest.approx(
        250 / (50 * PERIOD_S * 0.001)
    )


def test_a_service_as_the_mesh_saw_it() -> None:
    """Half of 1,000 requests to it failed in the fault; 100/s in the baseline."""
    plan = plan_of(faults=[ABORT])
    signals = with_signal(signals_of(plan), "errors", SERVICE, [FAULT], value=0.5)
    one = judged("budget < 1%", evidence(signals=signals), service=SERVICE)
    assert one.part.observed == pytest.approx(500 / (100 * PERIOD_S * 0.001))
    objective = Objective.model_validate({"objective": "burn-rate < 14.4", "service": SERVICE})
    seen = burn_rate_in(objective, plan.phases[FAULT], evidence(signals=signals))
    assert (seen.value, seen.samples) == (500.0, 1000.0)


def test_each_service_is_a_part() -> None:
    asked = Objective.model_validate({"objective": "budget < 1%", "service": "*"})
    parts = budget_parts(asked, evidence())
    assert [(one.service, one.part.label) for one in parts] == [
        ("order-api", "whole run, order-api"),
        (SERVICE, f"whole run, {SERVICE}"),
    ]


def test_a_service_that_is_excepted_is_no_part() -> None:
    asked = Objective.model_validate({"objective": "budget < 1%", "other_than": [SERVICE]})
    assert [one.service for one in budget_parts(asked, evidence())] == ["order-api"]


def test_no_service_at_all_is_no_pass() -> None:
    one = judged("budget < 1%", evidence(signals=None), service="*")
    assert (one.part.verdict, one.part.reason) == (Verdict.INCONCLUSIVE, "no service was seen")


@pytest.mark.parametrize("keys", [{"service": "*"}, {"other_than": ["order-api"]}])
def test_the_burn_rate_of_each_service_is_its_own(keys: dict[str, Any]) -> None:
    """Half of the requests to one of them failed in the fault: 500 times what is allowed."""
    plan = plan_of(faults=[ABORT])
    signals = with_signal(signals_of(plan), "errors", SERVICE, [FAULT], value=0.5)
    seen = evidence(signals=signals)
    finding = judge(Objective.model_validate({"objective": "burn-rate < 14.4", **keys}), seen)
    assert (finding.verdict, finding.observed, finding.service) == (Verdict.FAIL, 500.0, SERVICE)


@pytest.mark.parametrize(
    ("changes", "keys", "why"),
    [
        ({"budget": None}, {}, "the experiment has no 'budget' that says what may fail"),
        ({"rows": lambda second: ()}, {}, "there were no requests"),
        ({"rows": lambda s: healthy(s) if s >= 30 else ()}, {}, "how many requests a period has"),
        ({}, {"of": "GET /typo"}, "there were no requests to GET /typo"),
        ({"signals": None}, {"service": SERVICE}, "no signals were collected"),
        (
            {"signals": signals_of(plan_of(faults=[ABORT])).model_copy(update={"error": "gone"})},
            {"service": SERVICE},
            "the signals are missing: gone",
        ),
        ({}, {"service": "unknown-api"}, "the mesh has no figure of errors here"),
        ({}, {"at_least": 100_000}, "5,750 samples were seen, and at least 100,000 are needed"),
        ({"load": load_of(plan_of(faults=[ABORT]), failing, 40)}, {}, "the load ended after 40 s"),
    ],
)
def test_what_is_not_known_is_no_pass(
    changes: dict[str, Any], keys: dict[str, Any], why: str
) -> None:
    one = judged("budget < 99%", evidence(**changes), **keys)
    assert (one.part.verdict, one.said) == (Verdict.INCONCLUSIVE, "")
    assert one.part.reason.startswith(why)


def test_no_traffic_is_no_share_rather_than_none_burned() -> None:
    """Goal: None, never 0. Method: the baseline is silent, and nobody says how much there is."""
    figures = budget_figures(evidence(lambda second: healthy(second) if second >= 30 else ()))
    assert figures is not None
    assert (figures.allowed, figures.share_ratio) == (None, None)
    assert [one.rate for one in figures.phases] == [None, None, 0.0]


def test_a_figure_of_the_mesh_with_gaps_burns_nothing_and_saves_nothing() -> None:
    signals = signals_of(plan_of(faults=[ABORT]))
    gaps = with_signal(signals, "errors", SERVICE, [FAULT], value=0.0, state="gaps", message="why")
    one = judged("budget < 99%", evidence(signals=gaps), service=SERVICE)
    assert (one.part.verdict, one.part.observed) == (Verdict.INCONCLUSIVE, None)
    assert one.part.reason == "why"


def test_times_are_those_of_the_run_without_its_warmup() -> None:
    part = judged("budget < 99%", evidence()).part
    assert (part.start_s, part.end_s) == (5.0, 60.0)
    figures = budget_figures(evidence(load=load_of(plan_of(faults=[ABORT]), failing, 25)))
    assert figures is not None
    assert [(one.start_s, one.end_s) for one in figures.phases] == [(5.0, 20.0), (20.0, 25.0)]


def test_a_phase_that_the_load_did_not_reach_has_no_burn_rate() -> None:
    """The load ended at 20 s, just as the fault was to begin."""
    figures = budget_figures(evidence(load=load_of(plan_of(faults=[ABORT]), failing, 20)))
    assert figures is not None
    assert [(one.label, one.end_s, one.rate) for one in figures.phases] == [("baseline", 20.0, 0.0)]


def test_without_a_budget_there_are_no_figures() -> None:
    assert budget_figures(evidence(budget=None)) is None
    objective = Objective.model_validate("burn-rate < 14.4")
    seen = burn_rate_in(objective, plan_of().phases[BASELINE], evidence(budget=None))
    assert (seen.value, seen.missing) == (
        None,
        "the experiment has no 'budget' that says what may fail",
    )
