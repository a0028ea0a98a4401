"""Objectives: bounds, phases, samples, what is missing, and what is said about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from builders import (
    ABORT,
    ORDERS,
    OTHER_SERVICE,
    PRODUCTS,
    SERVICE,
    load_of,
    plan_of,
    recording_of,
    row,
    signals_of,
    with_signal,
)
from judging import judge_by, judged, last_judged, mixed

from runner.analysis.evaluate import evaluate
from runner.analysis.objectives import margin_ratio
from runner.model.bound import parse_bound
from runner.model.evaluation import Finding, Verdict
from runner.model.recording import LoadRow


def test_each_phase_is_judged_by_itself_and_the_worst_decides() -> None:
    """Half of the orders fail in the fault: 1 % is kept in the baseline and the recovery only."""
    finding = judged("errors < 1%", mixed(50, 20, 30))
    assert [(one.label, one.verdict, one.observed) for one in finding.parts] == [
        ("baseline", Verdict.PASS, 0.0),
        ("fault 01-http-abort", Verdict.FAIL, 0.5),
        ("recovery", Verdict.PASS, 0.0),
    ]
    assert (finding.verdict, finding.observed, finding.phase) == (Verdict.FAIL, 0.5, "fault")
    assert finding.margin_ratio == pytest.approx(-49.0)
    assert finding.samples == 1000
    assert finding.reason == (
        "The share of failed requests was 50 % (fault 01-http-abort; the worst of 3); "
        "the bound is < 1 %."
    )


def test_phases_that_are_not_named_are_not_judged() -> None:
    finding = judged(
        {"objective": "errors < 1%", "during": ["baseline", "recovery"]}, mixed(50, 20, 30)
    )
    assert [one.label for one in finding.parts] == ["baseline", "recovery"]
    assert finding.verdict is Verdict.PASS


def test_warmup_is_judged_only_when_it_is_named() -> None:
    rows = mixed(50, 0, 5)
    assert judged("errors < 1%", rows).verdict is Verdict.PASS
    assert judged({"objective": "errors < 1%", "during": "warmup"}, rows).verdict is Verdict.FAIL


def test_bound_itself_is_not_below_the_bound() -> None:
    """Exactly 50 % and 100/s: < and > are missed, <= and >= are met."""
    assert judged("errors < 50%", mixed(50)).verdict is Verdict.FAIL
    assert judged("errors <= 50%", mixed(50)).verdict is Verdict.PASS
    assert judged("traffic >= 100/s", mixed(50)).verdict is Verdict.PASS
    assert judged("traffic > 100/s", mixed(50)).verdict is Verdict.FAIL


def test_warning_band() -> None:
    """Between the warning and the bound is a warning; the bound itself still decides."""
    objective = {"objective": "errors < 60%", "warn": "40%"}
    finding = judged(objective, mixed(50))
    assert (finding.verdict, finding.bound, finding.warn) == (Verdict.WARN, 0.6, 0.4)
    assert "within the bound of 60 %, but past the warning at 40 %" in finding.reason
    assert judged(objective, mixed(10)).verdict is Verdict.PASS
    assert judged(objective, mixed(100)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("statistic", "bounds"),
    [
        ("p50", (9.9, 10.1)),
        ("p95", (99, 101)),
        ("avg", (18.9, 19.1)),
        ("min", (9.9, 10.1)),
        ("max", (99, 101)),
    ],
)
def test_latency_statistics(statistic: str, bounds: tuple[float, float]) -> None:
    """Nine requests of 10 ms and one of 100 ms each second; milliseconds within 1 %."""

    def rows(second: int) -> Sequence[LoadRow]:
        return (row(second, 9, latency_ms=10.0), row(second, 1, latency_ms=100.0))

    low, high = bounds
    assert judged(f"latency.{statistic} < {low}ms", rows).verdict is Verdict.FAIL
    assert judged(f"latency.{statistic} < {high}ms", rows).verdict is Verdict.PASS


def test_fast_refusals_do_not_make_latency_better() -> None:
    """All orders of the fault are refused in 1 ms: there is no latency, not a good one."""

    def rows(second: int) -> Sequence[LoadRow]:
        if 20 <= second < 30:
            return (row(second, outcome="http_5xx", latency_ms=1.0),)
        return (row(second),)

    finding = judged("latency.p95 < 500ms", rows)
    assert (finding.verdict, finding.phase) == (Verdict.INCONCLUSIVE, "fault")
    assert "no request succeeded" in finding.reason


def test_traffic_counts_every_request() -> None:
    """50 good and 10 failed orders a second are 60/s."""
    finding = judged("traffic > 59/s", mixed(10))
    assert (finding.verdict, finding.observed) == (Verdict.PASS, 60.0)
    assert judged("traffic > 60/s", mixed(10)).verdict is Verdict.FAIL


def test_of_one_endpoint() -> None:
    """Products fail, orders do not."""

    def rows(second: int) -> Sequence[LoadRow]:
        return (row(second), row(second, endpoint=PRODUCTS, outcome="timeout"))

    assert judged({"objective": "errors < 1%", "of": ORDERS}, rows).verdict is Verdict.PASS
    finding = judged({"objective": "errors < 1%", "of": PRODUCTS}, rows)
    assert (finding.verdict, finding.where) == (Verdict.FAIL, f"baseline, {PRODUCTS}")


def test_unknown_endpoint_is_no_evidence() -> None:
    """A typo in 'of' must not pass."""
    objective = {"objective": "errors < 1%", "of": "GET /typo"}
    assert judged(objective).verdict is Verdict.INCONCLUSIVE
    finding = judged({**objective, "on_missing": "fail"})
    assert (finding.verdict, finding.observed) == (Verdict.FAIL, None)
    assert "there were no requests to GET /typo" in finding.reason


def test_an_endpoint_that_nobody_called_gets_a_guess() -> None:
    finding = judged({"objective": "errors < 1%", "of": "GET /api/v1/product"})
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason.endswith(
        "no requests to GET /api/v1/product; did you mean GET /api/v1/products?"
    )


def test_what_was_kept_until_the_load_ended_is_told() -> None:
    """Goal: a whole baseline counts. Method: the load ends in the fault, 5 s after its start."""
    plan = plan_of(faults=[ABORT])
    finding = judged("errors < 1%", load=load_of(plan, until_s=25))
    assert (finding.verdict, finding.observed) == (Verdict.INCONCLUSIVE, 0.0)
    assert finding.where == "baseline"
    assert finding.reason == (
        "The share of failed requests was 0 % (baseline), within the bound of 1 %, but the load "
        "ended before the end of fault 01-http-abort, recovery."
    )
    assert [part.reason for part in finding.parts] == [
        "",
        "the load ended after 5 s of 10 s",
        "the load had ended before this phase began",
    ]


def test_a_baseline_that_was_missed_fails_though_the_load_ended_early() -> None:
    plan = plan_of(faults=[ABORT])
    load = load_of(plan, mixed(50), until_s=25)
    finding = judged("errors < 1%", load=load)
    assert (finding.verdict, finding.where) == (Verdict.FAIL, "baseline")


def test_a_phase_that_is_asked_for_by_name_must_have_been() -> None:
    """Goal: objectives of another experiment. Method: the fault of a run that had none."""
    objective = {"objective": "errors < 1%", "during": ["baseline", "fault"]}
    finding = judge_by(objective, recording_of(plan_of()))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert [(part.label, str(part.verdict)) for part in finding.parts] == [
        ("baseline", "pass"),
        ("fault", "inconclusive"),
    ]
    assert "this run has no fault phase" in finding.reason
    assert judge_by("errors < 1%", recording_of(plan_of())).verdict is Verdict.PASS


@pytest.mark.parametrize("changes", [{"value": math.nan}, {"samples": 0.0}, {"samples": None}])
def test_a_service_without_a_figure_is_not_hidden_by_another(changes: dict[str, Any]) -> None:
    """Goal: saturation of all services. Method: one of two has no figure, the other is well."""
    plan = plan_of("saturation.cpu < 50%")
    for service in (SERVICE, OTHER_SERVICE):
        phases = [phase.index for phase in plan.phases]
        signals = with_signal(signals_of(plan), "saturation.cpu", service, phases, **changes)
        finding = judge_by("saturation.cpu < 50%", recording_of(plan, signals=signals))
        assert (finding.verdict, service in finding.reason) == (Verdict.INCONCLUSIVE, True)


def test_too_few_samples_are_no_evidence() -> None:
    """100 requests a second for 10 s are 1,000."""
    assert judged({"objective": "errors < 1%", "at_least": 1000}).verdict is Verdict.PASS
    finding = judged({"objective": "errors < 1%", "at_least": 1001})
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "1,000 samples were seen, and at least 1,001 are needed" in finding.reason


def test_failure_weighs_more_than_ignorance() -> None:
    """One phase is missed and another cannot be judged: the promise was broken."""

    def rows(second: int) -> Sequence[LoadRow]:
        if second >= 30:
            return (row(second, endpoint=PRODUCTS),)
        return (row(second), row(second, 50 if second >= 20 else 0, outcome="timeout"))

    finding = judged({"objective": "errors < 1%", "of": ORDERS}, rows)
    assert [one.verdict for one in finding.parts] == [
        Verdict.PASS,
        Verdict.FAIL,
        Verdict.INCONCLUSIVE,
    ]
    assert finding.verdict is Verdict.FAIL


def test_phase_that_was_not_reached_is_no_evidence() -> None:
    plan = plan_of("errors < 1%", faults=[ABORT])
    finding = judged("errors < 1%", load=load_of(plan, until_s=25))
    assert finding.parts[-1].verdict is Verdict.INCONCLUSIVE
    assert finding.parts[-1].reason == "the load had ended before this phase began"


def test_phase_that_does_not_exist_is_no_evidence() -> None:
    """Judged later by other objectives, a run without a fault has no fault phase."""
    (objective,) = plan_of({"objective": "errors < 1%", "during": "fault"}).experiment.objectives
    evaluation = evaluate(recording_of(plan_of()), (objective,))
    finding = last_judged(evaluation)
    assert (finding.verdict, evaluation.verdict) == (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)
    assert finding.reason == "There was no fault phase in this run, so nothing was judged."


# -- the mesh's view -------------------------------------------------------------------------------


def recovered(bound: str, bad_until: int, **changes: Any) -> Finding:
    """A recovery objective, when orders fail from the fault's start to ``bad_until``."""
    plan = plan_of(
        {"objective": "errors < 1%", "during": ["baseline", "recovery"]},
        {"objective": bound, "warn": "8s"},
        faults=[ABORT],
    )
    recording = recording_of(plan, mixed(50, 20, bad_until), **changes)
    return last_judged(evaluate(recording))


def test_recovery_is_judged_by_its_bound() -> None:
    finding = recovered("recovery < 12s", 37)
    assert (finding.verdict, finding.observed, finding.unit) == (Verdict.PASS, 7.0, "s")
    assert finding.parts[0].label == "after 01-http-abort"
    assert recovered("recovery < 12s", 39).verdict is Verdict.WARN
    assert recovered("recovery < 12s", 43).verdict is Verdict.FAIL


def test_recovery_that_was_not_seen() -> None:
    """30 s were watched: too long for 12 s already; nobody knows about 60 s."""
    finding = recovered("recovery < 12s", 60)
    assert (finding.verdict, finding.observed) == (Verdict.FAIL, 30.0)
    assert "did not hold again within the 30 s that were seen" in finding.reason
    finding = recovered("recovery < 60s", 60)
    assert (finding.verdict, finding.observed) == (Verdict.INCONCLUSIVE, None)


def test_a_recovery_to_what_was_never_well_is_told_as_such() -> None:
    """Goal: the fault is not blamed. Method: 1 % of errors all along, or from the fault on."""
    for since, told in ((0, True), (20, False)):

        def rows(second: int, since: int = since) -> Sequence[LoadRow]:
            return (row(second), *((row(second, 9, outcome="timeout"),) if second >= since else ()))

        recording = recording_of(
            plan_of("errors < 1%", "recovery < 12s", faults=[ABORT], duration="60s"), rows
        )
        finding = last_judged(evaluate(recording))
        assert finding.verdict is Verdict.FAIL
        assert finding.reason.startswith("The objectives did not hold again within the 30 s")
        said = "but 'errors < 1%' did not hold in the baseline either (after 01-http-abort)"
        assert (said in finding.reason) is told


@pytest.mark.parametrize(
    ("text", "observed", "expected"),
    [
        ("errors < 10%", 0.05, 0.5),
        ("errors < 10%", 0.2, -1.0),
        ("traffic > 100/s", 150.0, 0.5),
        ("traffic > 100/s", 50.0, -0.5),
        ("errors <= 0%", 0.1, None),
        ("errors < 10%", None, None),
        ("errors < 10%", float("nan"), None),
    ],
)
def test_margin(text: str, observed: float | None, expected: float | None) -> None:
    """A share of the bound, positive on the right side of it."""
    found = margin_ratio(parse_bound(text), observed)
    assert found == (None if expected is None else pytest.approx(expected))
