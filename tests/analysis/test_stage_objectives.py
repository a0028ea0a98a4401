"""Objectives of one stage: judged there, and nowhere else; refused where that makes no sense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from builders import ORDERS, PRODUCTS, load_of, plan_of, row
from judging import last_judged
from pydantic import ValidationError
from staged import SPIKE, at_rate, recorded, staged_plan

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Finding, Verdict
from runner.model.experiment import Experiment
from runner.model.feasibility import mistakes_in
from runner.model.objective import Objective, promises
from runner.model.recording import LoadRow


def judged(objective: dict[str, Any], until_s: int | None = None, **changes: Any) -> Finding:
    """A spike from 60 s to 90 s in which a tenth of the orders fail, and nothing else does."""
    plan = staged_plan(*SPIKE, objectives=[objective], **changes)

    def rows(second: int) -> Sequence[LoadRow]:
        bad = 10 if 60 <= second < 90 else 0
        failed = [row(second, bad, outcome="http_5xx")] if bad else []
        return [row(second, 100 - bad), row(second, 100, endpoint=PRODUCTS), *failed]

    return last_judged(evaluate(recorded(plan, load=load_of(plan, rows, until_s))))


@pytest.mark.parametrize(
    ("stage", "observed", "verdict"),
    [(1, 0.0, Verdict.PASS), (2, 0.05, Verdict.FAIL), (3, 0.0, Verdict.PASS)],
)
def test_a_stage_is_judged_by_itself(stage: int, observed: float, verdict: Verdict) -> None:
    finding = judged({"objective": "errors < 4%", "stage": stage})
    assert (finding.observed, finding.verdict) == (observed, verdict)
    assert (finding.title, finding.where) == (
        f"errors < 4% in stage {stage}",
        f"baseline, stage {stage}",
    )
    spans = {1: (0.0, 60.0), 2: (60.0, 90.0), 3: (90.0, 150.0)}
    assert [(one.start_s, one.end_s) for one in finding.parts] == [spans[stage]]


def test_all_stages_together_dilute_it() -> None:
    """What stages are for: 5 % of one of them is 1 % of the run."""
    assert judged({"objective": "errors < 4%"}).observed == pytest.approx(0.01)


def test_an_endpoint_in_a_stage() -> None:
    finding = judged({"objective": "errors < 4%", "stage": 2, "of": ORDERS})
    assert (finding.observed, finding.where) == (0.1, f"baseline, stage 2, {ORDERS}")
    assert finding.title == f"errors < 4% of {ORDERS} in stage 2"


def test_the_warmup_is_not_judged_in_a_stage_either() -> None:
    finding = judged({"objective": "errors < 4%", "stage": 2}, warmup="70s")
    assert [(one.start_s, one.end_s) for one in finding.parts] == [(70.0, 90.0)]


def test_a_stage_that_did_not_come_to_its_end_is_not_proven() -> None:
    finding = judged({"objective": "errors < 40%", "stage": 2}, until_s=80)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.parts[0].reason == "the load ended after 20 s of 30 s"


def test_a_run_without_that_stage_is_not_judged() -> None:
    """Such as one that is judged later by another experiment's objectives."""
    (objective,) = staged_plan(
        *SPIKE, objectives=[{"objective": "errors < 4%", "stage": 2, "during": "baseline"}]
    ).experiment.objectives
    plan = plan_of()
    finding = last_judged(evaluate(recorded(plan, at_rate(plan)), (objective,)))
    assert (finding.verdict, finding.reason) == (
        Verdict.INCONCLUSIVE,
        "There was no baseline phase in stage 2 in this run, so nothing was judged.",
    )


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ({"objective": "recovery < 30s"}, "recovery is not judged by stages"),
        ({"objective": "saturation.cpu < 50%"}, "not the mesh"),
        ({"objective": "errors < 1%", "service": "order-api"}, "not the mesh"),
        ({"objective": "errors < 1%", "source": "mesh"}, "not the mesh"),
        ({"objective": "errors < 1%", "stage": 0}, "greater than or equal to 1"),
    ],
)
def test_what_has_no_stages_is_refused(objective: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Objective.model_validate({"stage": 2, **objective})


def test_a_stage_that_is_not_there_is_a_mistake() -> None:
    plan = staged_plan(*SPIKE, objectives=["errors < 1%", {"objective": "errors < 4%", "stage": 4}])
    (mistake,) = mistakes_in(plan.experiment)
    assert (mistake.loc, mistake.message) == (
        ("objectives", 1, "stage"),
        "there is no stage 4 in this experiment; accepted: 1 to 3",
    )


def test_a_search_has_no_stages() -> None:
    document = {
        "name": "x",
        "description": "x",
        "load": {
            "locustfile": "shop.py",
            "search": {"from": "10/s", "to": "90/s", "until": ["errors < 1%"]},
        },
        "objectives": ["breaking-point > 20/s", {"objective": "errors < 4%", "stage": 1}],
    }
    said = [one.message for one in mistakes_in(Experiment.model_validate(document))]
    assert any("accepted: no 'stage', because the load has none" in text for text in said)


def test_a_promise_of_one_stage_does_not_say_what_well_is() -> None:
    """Otherwise a recovery would be judged by what holds in a spike only."""
    one = Objective.model_validate({"objective": "errors < 4%", "stage": 2})
    assert promises([one]) == ()
