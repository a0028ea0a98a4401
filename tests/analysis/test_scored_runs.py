"""Whole evaluations of experiments with a score, and with an error budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from anyobjective import BASE, Trouble, run_of

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Evaluation, Verdict
from runner.model.experiment import Experiment
from runner.model.plan import make_plan

ILL = Trouble(failing=frozenset(range(10, 18)))
"""A fifth of all requests fail in the fault and in the two seconds after it."""


def scored(*objectives: Any, trouble: Trouble = ILL, **rules: Any) -> Evaluation:
    rules = {"score": {"pass": "90%", "warn": "75%"}, **rules}
    plan = make_plan(Experiment.model_validate({**BASE, **rules, "objectives": list(objectives)}))
    return evaluate(run_of(plan, trouble))


WELL = {"objective": "traffic > 10/s", "weight": 9}


def test_a_score_may_outweigh_what_was_missed() -> None:
    evaluation = scored(WELL, "errors < 1%")
    assert (evaluation.verdict, evaluation.valid) == (Verdict.PASS, True)
    assert evaluation.sentence == (
        "PASS: the score is 90 % (pass from 90 % on); 1 of 2 objectives was missed."
    )
    assert evaluation.score is not None
    assert (evaluation.score.reached, evaluation.score.possible) == (9.0, 10.0)


def test_without_a_score_weights_mean_nothing() -> None:
    evaluation = scored(WELL, {"objective": "errors < 1%", "weight": 0}, score=None)
    assert (evaluation.verdict, evaluation.score) == (Verdict.FAIL, None)


def test_a_key_objective_fails_the_run_and_is_told_first() -> None:
    """The heavier one is missed, too, and stands before it in the file."""
    evaluation = scored(
        WELL, "latency.p95 < 1ms", {"objective": "errors < 1%", "weight": 0.1, "key": True}
    )
    assert evaluation.verdict is Verdict.FAIL
    assert evaluation.sentence.startswith(
        "FAIL: 1 key objective was missed; the score is 89.1 %. The share of failed requests was"
    )
    assert evaluation.sentence.endswith("(And 1 more reason.)")


def test_what_could_not_be_judged_keeps_the_run_from_passing() -> None:
    evaluation = scored({**WELL, "weight": 99}, {"objective": "errors < 1%", "of": "GET /nobody"})
    assert evaluation.verdict is Verdict.INCONCLUSIVE
    assert evaluation.sentence.startswith(
        "INCONCLUSIVE: 1 of 2 objectives was not proven; the score is at least 99 % (pass from "
        "90 % on). Nothing could be said about the share of failed requests"
    )


def test_a_doubt_about_the_run_makes_a_pass_a_warning() -> None:
    """The gateway saw less than was sent, in the recovery."""
    evaluation = scored(WELL, trouble=Trouble(apart=True))
    assert evaluation.verdict is Verdict.WARN
    assert evaluation.sentence.startswith(
        "WARN: the score is 100 % (pass from 90 % on), with 1 warning about the run. In recovery"
    )


def test_a_run_that_proves_nothing_has_no_verdict_by_score() -> None:
    plan = make_plan(Experiment.model_validate({**BASE, "score": {}, "objectives": [WELL]}))
    evaluation = evaluate(replace(run_of(plan, ILL), faults=()))
    assert evaluation.verdict is Verdict.INCONCLUSIVE
    assert evaluation.sentence.startswith("INCONCLUSIVE: the run proves nothing.")


@pytest.mark.parametrize(
    ("objective", "verdict"),
    [("burn-rate < 200.1", Verdict.PASS), ("burn-rate < 14.4", Verdict.FAIL)],
)
def test_the_fastest_phase_decides_on_the_burn_rate(objective: str, verdict: Verdict) -> None:
    evaluation = scored(objective, budget={"slo": "99.9%"}, score=None)
    (finding,) = [one for one in evaluation.findings if one.kind == "objective"]
    assert (finding.verdict, finding.observed, finding.unit) == (verdict, 200.0, "count")
    assert finding.where == "fault 01-refusals"


def test_the_budget_is_one_figure_of_the_run() -> None:
    evaluation = scored("budget < 1%", budget={"slo": "99.9%"}, score=None)
    (finding,) = [one for one in evaluation.findings if one.kind == "objective"]
    assert finding.reason == (
        "This run would burn 0.0827 % of the error budget of 28d: 200 requests failed, and 241,920 "
        "may; within the bound of 1 %."
    )
    assert evaluation.budget is not None
    assert evaluation.budget.share_ratio == finding.observed == pytest.approx(200 / 241_920)
    assert [one.rate for one in evaluation.budget.phases] == [0.0, 200.0, pytest.approx(47.6, 0.01)]
