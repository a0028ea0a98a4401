"""Replicas over time: what was scaled, by whom, and what is not known."""

from __future__ import annotations

from typing import Any

from staged import SPIKE, answer_to, asked, mesh_of, recorded, series_of, staged_plan

from runner.model.evaluation import Finding, Verdict
from runner.model.recording import SignalSeries
from runner.model.surroundings import Autoscaler, Surroundings

ORDERS = "order-api"
SCALER = Autoscaler(service=ORDERS, name="orders", lowest=2, highest=4)


def gauge(sli: str, *steps: tuple[float, float], service: str = ORDERS) -> SignalSeries:
    """A series over 150 s that takes each value from an offset on."""
    points = [
        (float(at_s), [value for since_s, value in steps if since_s <= at_s][-1])
        for at_s in range(150)
    ]
    return series_of(sli, service, *points)


def scaled(
    *series: SignalSeries,
    autoscalers: tuple[Autoscaler, ...] | None = (SCALER,),
    services: tuple[str, ...] = (ORDERS,),
    **changes: Any,
) -> Finding:
    """The answer about replicas in a spike from 60 s to 90 s."""
    plan = staged_plan(*SPIKE)
    recording = recorded(
        plan,
        signals=mesh_of(plan, services=services, series=series),
        surroundings=Surroundings(autoscalers=autoscalers),
        **changes,
    )
    return answer_to("replicas", recording)


def test_scaled_out_and_in_again() -> None:
    """From 2 to 4 at 70 s, ready at 83 s, and back at 130 s."""
    finding = scaled(
        gauge("replicas.desired", (0, 2), (70, 4), (130, 2)),
        gauge("replicas.ready", (0, 2), (75, 3), (83, 4), (131, 2)),
    )
    assert (finding.verdict, finding.observed, finding.unit) == (Verdict.PASS, 2.0, "count")
    assert finding.reason == (
        "order-api (its autoscaler may use 2 to 4) went from 2 to 4 replicas at 1m 10s (ready at "
        "1m 23s), from 4 to 2 replicas at 2m 10s."
    )
    assert [(one.label, one.observed) for one in finding.parts] == [(ORDERS, 4.0)]


def test_never_ready_is_said() -> None:
    finding = scaled(gauge("replicas.desired", (0, 2), (70, 3)), gauge("replicas.ready", (0, 2)))
    assert "went from 2 to 3 replicas at 1m 10s (never ready)." in finding.reason


def test_scaled_by_somebody_else() -> None:
    finding = scaled(gauge("replicas.desired", (0, 2), (70, 1)), autoscalers=())
    assert finding.reason == (
        "order-api (not by an autoscaler: none is defined for it) went from 2 to 1 replica at "
        "1m 10s."
    )


def test_stayed_although_it_might_have_grown() -> None:
    finding = scaled(gauge("replicas.desired", (0, 2)), gauge("replicas.ready", (0, 2)))
    assert (finding.observed, finding.reason) == (
        0.0,
        "order-api stayed at 2: the autoscaler may use 2 to 4.",
    )


def test_stayed_because_nobody_scales() -> None:
    """Those with the same reason are named together."""
    finding = scaled(
        gauge("replicas.desired", (0, 2)),
        gauge("replicas.desired", (0, 2), service="product-api"),
        autoscalers=(),
        services=(ORDERS, "product-api"),
    )
    assert finding.reason == "order-api, product-api stayed at 2: no autoscaler is defined."


def test_pod_that_was_gone_for_a_while() -> None:
    """What is wanted did not change, but one of two was not ready for some seconds."""
    finding = scaled(
        gauge("replicas.desired", (0, 2)),
        gauge("replicas.ready", (0, 2), (70, 1), (78, 2)),
        autoscalers=None,
    )
    assert finding.reason == (
        "order-api stayed at 2, at times with only 1 ready; whether there is an autoscaler is not "
        "known."
    )


def test_service_without_data_did_not_stay() -> None:
    finding = scaled(
        gauge("replicas.desired", (0, 2)),
        series_of("replicas.desired", "product-api", (0.0, None)),
        services=(ORDERS, "product-api", "pay.example.com"),
    )
    assert finding.reason.endswith("Not known: product-api (no data).")


def test_nothing_on_record_is_no_answer() -> None:
    finding = scaled()
    assert (finding.verdict, finding.reason) == (
        Verdict.INCONCLUSIVE,
        "No answer: the numbers of replicas are not on record.",
    )


def test_even_load_is_asked_about_only_if_something_scales() -> None:
    """A flat line under an even load is no news, but a change is, and so is an autoscaler."""
    plan = staged_plan((150, 50))
    flat = mesh_of(plan, series=[gauge("replicas.desired", (0, 2))])
    moved = mesh_of(plan, series=[gauge("replicas.desired", (0, 2), (70, 3))])
    around = Surroundings(autoscalers=(SCALER,))
    assert asked(recorded(plan, signals=flat)) == []
    assert asked(recorded(plan, signals=moved)) == ["replicas"]
    assert asked(recorded(plan, signals=flat, surroundings=around)) == ["replicas"]
