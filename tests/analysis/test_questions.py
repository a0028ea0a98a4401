"""The breaking point of a rising load, out of a whole recording."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import load_of
from staged import answer_to, asked, at_rate, recorded, staged_plan

from runner.model.evaluation import Finding, Verdict
from runner.model.recording import GeneratorSecond

RISE = tuple((20, users) for users in (100, 200, 300, 400, 500))


def knee(
    latency_ms: dict[float, float], unit: str = "users", stages: Any = RISE, **changes: Any
) -> Finding:
    plan = staged_plan(*stages, unit=unit, **changes)
    return answer_to("breaking-point", recorded(plan, at_rate(plan, latency_ms)))


def test_latency_shoots_up() -> None:
    """20 ms up to 300 users, ten times that from 400 on."""
    finding = knee({400.0: 200.0, 500.0: 300.0})
    assert finding.verdict is Verdict.PASS
    assert finding.reason == (
        "The breaking point is between 300 and 400 users: latency p95 rose from 20 ms to 200 ms, "
        "and did not come back."
    )


def test_open_model_speaks_of_arrivals() -> None:
    finding = knee({400.0: 200.0, 500.0: 300.0}, unit="rate")
    assert finding.reason.startswith("The breaking point is between 300 and 400 requests/s:")


def test_no_breaking_point_is_an_answer() -> None:
    finding = knee({})
    assert (finding.verdict, finding.reason) == (
        Verdict.PASS,
        "No breaking point up to 500 users.",
    )


def test_promise_about_p95_is_a_bound() -> None:
    """30 ms at 400 users has not shot up from 20 ms, but it breaks the promise of 25 ms."""
    finding = knee({400.0: 30.0, 500.0: 30.0}, objectives=["latency.p95 < 25ms"])
    assert "between 300 and 400 users: latency p95 was 30 ms, above 25 ms" in finding.reason


def test_promises_about_less_are_no_bound() -> None:
    """About one endpoint, by the mesh, or about another quantile."""
    objectives = [
        {"objective": "latency.p95 < 25ms", "of": "GET /api/v1/products"},
        {"objective": "latency.p95 < 25ms", "service": "order-api"},
        "latency.p99 < 25ms",
    ]
    finding = knee({400.0: 30.0, 500.0: 30.0}, objectives=objectives)
    assert finding.reason == "No breaking point up to 500 users."


def test_generator_that_was_the_limit_is_no_answer() -> None:
    """Its core was busy from 300 users on: all is well up to 200, and nobody knows further."""
    plan = staged_plan(*RISE)
    load = load_of(plan, at_rate(plan))
    busy = {second: GeneratorSecond(0.99 if second >= 40 else 0.2, 0.0, 1) for second in range(100)}
    recording = recorded(plan, load=replace(load, generator=busy))
    finding = answer_to("breaking-point", recording)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason.startswith("No answer: the generator was the limit at 300 users:")
    assert finding.reason.endswith("; up to 200 users all was well.")


def test_too_few_stages_that_ended() -> None:
    """The run was broken off in the fourth of five stages."""
    plan = staged_plan(*RISE)
    finding = answer_to("breaking-point", recorded(plan, load=load_of(plan, at_rate(plan), 70)))
    assert finding.reason == "No answer: 3 of 5 stages came to their end, and it takes 4."


def test_way_down_is_not_asked_about() -> None:
    """Four rising stages, then none: the knee is looked for on the way up."""
    finding = knee({400.0: 200.0}, stages=(*RISE[:4], (20, 100)))
    assert "between 300 and 400 users" in finding.reason


@pytest.mark.parametrize("stages", [RISE[:3], ((20, 100), (20, 50), (20, 200), (20, 300))])
def test_fewer_than_four_rising_stages_raise_no_question(stages: Any) -> None:
    assert "breaking-point" not in asked(recorded(staged_plan(*stages)))


def test_nobody_asks_what_a_fault_did_that_the_run_did_not_live_to_see() -> None:
    """Goal: no question without sense. Method: a fault at 40 s, and a record of 30 s or of all."""
    fault = {"kind": "http-abort", "service": "payment-api", "at": "40s", "duration": "20s"}
    plan = staged_plan(*RISE, faults=[{**fault, "status": 503}])
    whole = recorded(plan)
    assert "affected-by-fault" in asked(whole)
    assert "affected-by-fault" not in asked(replace(whole, load=load_of(plan, until_s=30)))
