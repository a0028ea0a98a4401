"""Which services a load or a fault affected, which it did not, and which nobody knows of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import ABORT, plan_of, recording_of, signals_of, with_signal
from staged import SPIKE, Figures, answer_to, mesh_of, recorded, signal, staged_plan

from runner.analysis.blast import BOUNDS
from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Finding, Verdict
from runner.model.recording import Signals

BEFORE, PEAK, AFTER = range(3)
FAULT = 2
ORDERS, PRODUCTS = "order-api", "product-api"


def spiked(figures: Figures | None = None, **changes: Any) -> Finding:
    """The answer for a spike with these figures of the mesh."""
    plan = staged_plan(*SPIKE)
    changes.setdefault("signals", mesh_of(plan, figures))
    return answer_to("affected-by-load", recorded(plan, **changes))


def states(finding: Finding) -> dict[str, str]:
    """Service to what became of it, in the order of the parts."""
    return {one.label: one.reason.partition(":")[0] for one in finding.parts}


def test_nobody_is_affected() -> None:
    finding = spiked()
    assert finding.verdict is Verdict.PASS
    assert finding.title == "Which services did the spike affect?"
    assert finding.reason == f"Affected: none. Not affected: {ORDERS}, {PRODUCTS}. {BOUNDS}"


def test_the_affected_are_named_with_what_rose() -> None:
    """Errors of one service rose to 4 %; the other one stayed as it was."""
    finding = spiked({(PEAK, ORDERS): (0.04, 0.041)})
    assert finding.reason.startswith(
        "Affected: order-api (errors 0.1 % → 4 % at 500 users). Not affected: product-api."
    )
    assert states(finding) == {ORDERS: "affected", PRODUCTS: "not affected"}
    assert [one.observed for one in finding.parts] == [0.04, 0.001]


@pytest.mark.parametrize(
    ("errors", "p95_s", "state"),
    [
        (0.001, 0.059, "not affected"),
        (0.001, 0.061, "affected"),  # more than 1.5 times 40 ms
        (0.006, 0.040, "not affected"),  # not more than 0.5 points above 0.1 %
        (0.013, 0.040, "affected"),
        (0.0, 0.020, "not affected"),  # better
    ],
)
def test_bounds(errors: float, p95_s: float, state: str) -> None:
    """On either side of each bound; 1000 requests in each window."""
    assert states(spiked({(PEAK, ORDERS): (errors, p95_s)}))[ORDERS] == state


def test_small_difference_of_a_fast_service_is_none() -> None:
    """2 ms instead of 1 ms is twice as much, and nothing."""
    figures = {(BEFORE, ORDERS): (0.0, 0.001), (PEAK, ORDERS): (0.0, 0.002)}
    assert states(spiked(figures))[ORDERS] == "not affected"


def test_few_failures_are_luck() -> None:
    """2 of 100 failed, after none of 1000: more than half a percent, but not surely."""
    plan = staged_plan(*SPIKE)
    signals = mesh_of(plan, {(BEFORE, ORDERS): (0.0, 0.04)})
    rare = signal(PEAK, "errors", ORDERS, 0.02, samples=100.0)
    finding = spiked(signals=_with(signals, rare))
    assert states(finding)[ORDERS] == "not affected"


@pytest.mark.parametrize("window", [BEFORE, PEAK])
@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (signal(0, "errors", ORDERS, None), "no request to it"),
        (signal(0, "errors", ORDERS, 0.0, state="error"), "no data"),
        (signal(0, "errors", ORDERS, 0.0, state="gaps"), "too few figures"),
        (signal(0, "errors", ORDERS, 0.0, samples=19.0), "too few requests"),
        (
            signal(0, "errors", ORDERS, 0.0).model_copy(update={"warnings": ("partial",)}),
            "partial data",
        ),
    ],
)
def test_no_data_is_never_not_affected(window: int, changed: Any, why: str) -> None:
    """Whatever is missing, before or during: the service is not known, and the reason is told."""
    signals = mesh_of(staged_plan(*SPIKE))
    users = {BEFORE: "50 users", PEAK: "500 users"}[window]
    finding = spiked(signals=_with(signals, changed.model_copy(update={"phase": window})))
    assert states(finding)[ORDERS] == "not known"
    assert f"Not known: order-api ({why} at {users})." in finding.reason
    assert "Affected: none that is known. Not affected: product-api." in finding.reason


def test_latency_that_nobody_knows_is_not_unharmed() -> None:
    """Errors did not rise, but there is no p95 in the spike."""
    finding = spiked({(PEAK, ORDERS): (0.001, 1.0)})
    assert states(finding)[ORDERS] == "affected"
    signals = mesh_of(staged_plan(*SPIKE), {(PEAK, ORDERS): (0.001, 0.04)})
    finding = spiked(signals=_with(signals, signal(PEAK, "latency.p95", ORDERS, None)))
    assert states(finding)[ORDERS] == "not known"


def test_latency_beyond_the_highest_bound_is_high_enough() -> None:
    """The mesh counts up to some bound; a p95 above it is a gap, and surely slow."""
    signals = mesh_of(staged_plan(*SPIKE))
    beyond = signal(PEAK, "latency.p95", ORDERS, 60.0, state="gaps")
    assert states(spiked(signals=_with(signals, beyond)))[ORDERS] == "affected"


@pytest.mark.parametrize("signals", [None, Signals(services=(ORDERS,))])
def test_no_signals_is_no_answer(signals: Signals | None) -> None:
    finding = spiked(signals=signals)
    assert (finding.verdict, finding.reason) == (
        Verdict.INCONCLUSIVE,
        "No answer: the mesh's figures are not on record.",
    )


def test_rising_load_is_compared_with_its_first_stage() -> None:
    """Only the third of three stages hurt; each service is told at its worst."""
    plan = staged_plan((30, 100), (30, 200), (30, 300))
    signals = mesh_of(plan, {(1, ORDERS): (0.02, 0.04), (2, ORDERS): (0.3, 0.04)})
    finding = answer_to("affected-by-load", recorded(plan, signals=signals))
    assert finding.title == "Which services did more load affect?"
    assert "Affected: order-api (errors 0.1 % → 30 % at 300 users)." in finding.reason


def test_a_fault_in_the_spike_leaves_no_answer() -> None:
    plan = staged_plan(*SPIKE, faults=[{**ABORT, "at": "70s"}])
    finding = answer_to("affected-by-load", recorded(plan))
    assert finding.reason == "No answer: faults were in effect as well."


def test_fault_is_compared_with_the_baseline() -> None:
    """Half of the payments are refused; orders are slower, products are as before."""
    plan = plan_of(faults=[ABORT])
    signals = signals_of(plan, ("order-api", "payment-api", "product-api"))
    signals = with_signal(signals, "errors", "payment-api", [FAULT], value=0.5)
    signals = with_signal(signals, "latency.p95", "order-api", [FAULT], value=0.2)
    finding = answer_to("affected-by-fault", recording_of(plan, signals=signals))
    assert (finding.title, finding.where) == (
        "Which services did the fault affect?",
        "01-http-abort",
    )
    assert finding.reason.startswith(
        "Affected: order-api (p95 30 ms → 200 ms with 01-http-abort), payment-api (errors 0 % → "
        "50 % with 01-http-abort). Not affected: product-api."
    )


def test_recovery_is_not_the_fault() -> None:
    """What happened after the fault does not count."""
    plan = plan_of(faults=[ABORT])
    signals = with_signal(signals_of(plan), "errors", "order-api", [3], value=0.5)
    finding = answer_to("affected-by-fault", recording_of(plan, signals=signals))
    assert states(finding)["order-api"] == "not affected"


def test_answer_never_touches_the_verdict() -> None:
    """The worst answers, and a run that passes."""
    plan = staged_plan(*SPIKE)
    calm = recorded(plan)
    harmed = replace(calm, signals=mesh_of(plan, {(PEAK, ORDERS): (1.0, 9.0)}))
    unknown = replace(calm, signals=None)
    for recording in (calm, harmed, unknown):
        evaluation = evaluate(recording)
        objectives = [one.verdict for one in evaluation.findings if one.kind == "objective"]
        assert objectives == [Verdict.PASS]
    assert evaluate(harmed).verdict is evaluate(calm).verdict
    assert evaluate(harmed).sentence == evaluate(calm).sentence


def _with(signals: Signals, changed: Any) -> Signals:
    """``signals`` with one figure in place of another."""
    key = (changed.phase, changed.sli, changed.service)
    return signals.model_copy(
        update={
            "stages": tuple(
                changed if (one.phase, one.sli, one.service) == key else one
                for one in signals.stages
            )
        }
    )
