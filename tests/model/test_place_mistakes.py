"""Objectives about faults, stages, windows and groups that an experiment does not have."""

from __future__ import annotations

from typing import Any

import pytest

from runner.model.experiment import Experiment
from runner.model.faultname import faults_called, faults_meant, names_of
from runner.model.feasibility import mistakes_in
from runner.model.objective import Objective
from runner.model.plan import make_plan

ABORT = {"kind": "http-abort", "service": "payment-api", "status": 503, "duration": "20s"}
FAULTS = (
    {**ABORT, "name": "half", "at": "30s"},
    {**ABORT, "at": "70s"},
    {"kind": "pod-kill", "service": "order-api", "at": "110s", "duration": "20s"},
)


def document(*objectives: Any, **changes: Any) -> dict[str, Any]:
    return {
        "name": "x",
        "description": "d",
        "load": {
            "locustfile": "x.py",
            "stages": [{"duration": "60s", "users": 1}, {"duration": "120s", "users": 2}],
        },
        "warmup": "10s",
        "faults": list(FAULTS),
        "objectives": list(objectives),
        "groups": {"reads": ["GET /a", "GET /b*"]},
        **changes,
    }


def mistakes(*objectives: Any, **changes: Any) -> list[tuple[Any, str]]:
    found = mistakes_in(Experiment.model_validate(document(*objectives, **changes)))
    return [(one.loc, one.message) for one in found]


def during(span: str | list[str], **more: Any) -> dict[str, Any]:
    return {"objective": "errors < 1%", "during": span, **more}


@pytest.mark.parametrize(
    ("objective", "key", "said"),
    [
        (during("fault:hlaf"), "during", "there is no fault 'hlaf'; did you mean 'half'? accepted"),
        (during("fault:02-http-abrot"), "during", "did you mean '02-http-abort'?"),
        (
            during("fault:http-abort"),
            "during",
            "can mean more than one fault; accepted: '01-half', '02-http-abort'",
        ),
        (
            during("stage:3"),
            "during",
            "no stage 3 in this experiment; accepted: stage:1 to stage:2",
        ),
        (during("170s..190s"), "during", "ends at 180s; accepted: an end of at most 180s"),
        (during("200s..210s"), "during", "is not within the run, which ends at 180s"),
        (during("20s..21s"), "during", "too short to be judged; accepted: 2s or more"),
        (
            during("20s..26s", **{"for": "10s"}),
            "during",
            "too short to be judged; accepted: so long as 'for' (10s) or more",
        ),
        (
            {"objective": "errors < 1%", "of": "raeds"},
            "of",
            "there is no group 'raeds'; did you mean 'reads'? accepted: reads",
        ),
        (
            during("stage:2", stage=1),
            "stage",
            "stage 1 is from 0s to 60s, and no part of stage:2 is in it: nothing would be judged",
        ),
        (during(["60s..70s", "fault:02-http-abort"], stage=1), "stage", "nothing would be judged"),
        (during("warmup", stage=2), "stage", "no part of warmup is in it"),
        (
            {"objective": "errors < 1%", "service": "order-api", "source": "client"},
            "source",
            "services are seen by the mesh only; drop 'source: client'",
        ),
    ],
)
def test_what_is_not_there_is_a_mistake_at_its_key(objective: Any, key: str, said: str) -> None:
    ((loc, message),) = mistakes(objective)
    assert loc == ("objectives", 0, key)
    assert said in message


@pytest.mark.parametrize(
    "objective",
    [
        during("fault:half"),
        during("fault:01-half"),
        during("fault:pod-kill"),
        during("fault:order-api"),
        during("stage:2"),
        during("20s..180s"),
        during("59s..70s", stage=1),
        during(["stage:1", "stage:2"], stage=1),
        during("fault:half", stage=1),
        {"objective": "errors < 1%", "stage": 2},
        {"objective": "errors < 1%", "service": "order-api", "source": "mesh"},
        {"objective": "errors < 1%", "of": "reads"},
        {"objective": "errors < 1%", "of": "GET /redas"},
        "latency.p95 <= baseline + 10%",
        "latency.p95 <= run:latest",
    ],
)
def test_what_is_there_is_none(objective: Any) -> None:
    assert mistakes(objective) == []


def test_a_baseline_that_is_not_there_cannot_be_compared_with() -> None:
    """Goal: nothing to judge is said before the run. Method: no fault; then windows, or a run."""
    relative = "latency.p95 <= baseline + 10%"
    ((loc, message),) = mistakes(relative, faults=[])
    assert loc == ("objectives", 0)
    assert "this experiment has no fault; accepted: a fault, 'during' with windows" in message
    assert mistakes({"objective": relative, "during": "60s..180s"}, faults=[]) == []


def test_a_score_without_weights_and_a_group_without_endpoints() -> None:
    score = {"pass": "90%", "warn": "75%"}
    weightless = {"objective": "errors < 1%", "weight": 0}
    ((loc, message),) = mistakes(weightless, score=score)
    assert (loc, "every objective has the weight 0" in message) == (("score",), True)
    assert mistakes(weightless, "latency.p95 < 1s", score=score) == []
    ((loc, message),) = mistakes("errors < 1%", groups={"none": []})
    assert (loc, "has no endpoint" in message) == (("groups", "none"), True)


def test_names_of_faults() -> None:
    """A name goes before a kind, a kind before a service; what several bear means none of them."""
    plan = make_plan(Experiment.model_validate(document("errors < 1%")))
    called = {
        name: [one.id for one in faults_called(name, plan.faults)]
        for name in ("half", "02-http-abort", "http-abort", "payment-api", "order-api", "x")
    }
    assert called == {
        "half": ["01-half"],
        "02-http-abort": ["02-http-abort"],
        "http-abort": ["01-half", "02-http-abort"],
        "payment-api": ["01-half", "02-http-abort"],
        "order-api": ["03-pod-kill"],
        "x": [],
    }
    ids = ("01-half", "02-http-abort", "03-pod-kill")
    assert names_of(plan.faults) == (*ids, "half", "pod-kill", "order-api")
    named = Objective.model_validate(during("fault:half"))
    assert [one.id for one in faults_meant(named, plan)] == ["01-half"]
    assert faults_meant(Objective(objective="recovery < 5s"), plan) == plan.faults
