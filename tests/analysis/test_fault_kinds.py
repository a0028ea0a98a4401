"""What proves each kind of fault: injected, seen by others, gone; recordings made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from builders import (
    OTHER_SERVICE,
    SERVICE,
    WALL_S,
    plan_of,
    reasons,
    recording_of,
    signals_of,
    with_signal,
)
from fault_deeds import EVERY_KIND

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Evaluation
from runner.model.faultrecord import Effect, FaultRecord
from runner.model.recording import Recording, Signals, SignalSeries

Change = Callable[[Effect], Effect | None]
TIMES = {"at": "20s", "duration": "10s"}
FAULT_PHASE = 2


def fault_of(kind: str, **more: Any) -> dict[str, Any]:
    """The fault of a kind, from the 20th second to the 30th, without expectation."""
    (fault,) = [one for one in EVERY_KIND if one["kind"] == kind]
    kept = {key: value for key, value in fault.items() if key not in ("expects", "every")}
    return {**kept, **TIMES, **more}


def judged(
    fault: dict[str, Any],
    change: Change = lambda effect: effect,
    signals: Callable[[Signals], Signals] = lambda signals: signals,
) -> Evaluation:
    """The evaluation of a run with one fault, whose record and signals were changed."""
    return evaluate(run_of(fault, change, signals))


def run_of(fault: dict[str, Any], change: Change, signals: Callable[[Signals], Signals]) -> Any:
    plan = plan_of(faults=[fault])
    recording: Recording = recording_of(plan)
    (record,) = recording.faults
    effects = tuple(kept for effect in record.effects if (kept := change(effect)))
    changed = (FaultRecord(id=record.id, journal_status="completed", effects=effects),)
    services = (OTHER_SERVICE, SERVICE, fault["service"])
    return recording_of(
        plan, faults=changed, signals=signals(signals_of(plan, tuple(dict.fromkeys(services))))
    )


def without(*whats: str) -> Change:
    return lambda effect: None if effect.what in whats else effect


def said(evaluation: Evaluation, check: str) -> tuple[str, str]:
    found = reasons(evaluation.findings, check)
    return found["verdict"], found["reason"]


WELL = {
    "pod-kill": (
        "01-pod-kill acted on pod/order-api-a.",
        "pod/order-api-a was killed and replaced.",
        "All pods of order-api were ready again 3.5 s after the kill.",
    ),
    "http-delay": (
        "01-http-delay acted on virtualservice/payment-api.",
        "The mesh saw 600 requests to payment-api that were hit; about 594 were to be expected.",
        "01-http-delay was removed and hit no request after its end.",
    ),
    "http-abort": (
        "01-http-abort acted on envoyfilter/seatrial-01-http-abort.",
        "The mesh saw 500 requests to payment-api that were hit.",
        "01-http-abort was removed and hit no request after its end.",
    ),
    "scale": (
        "01-scale acted on deployment/product-api.",
        "deployment/product-api: 1 of 1 ready, 0.80 s after it was verified.",
        "01-scale was removed, and all pods were ready again.",
    ),
    "rollout-restart": (
        "01-rollout-restart acted on deployment/customer-api, pod/customer-api-new-a, "
        "pod/customer-api-new-b.",
        "2 new pods came in the place of the old: pod/customer-api-new-a, pod/customer-api-new-b.",
        "All pods of customer-api were ready again 4.4 s after the restart began.",
    ),
    "cordon": (
        "01-cordon acted on node/node-a.",
        "The API server held node/node-a unschedulable; whether a pod wanted to go there "
        "meanwhile, nobody tells.",
        "01-cordon was removed, and looked for: it is not there any more.",
    ),
    "drain": (
        "01-drain acted on node/node-b, pod/product-api-a.",
        "1 pod was evicted, and it was replaced by a new one.",
        "01-drain was removed, and all pods were ready again.",
    ),
    "network-deny": (
        "01-network-deny acted on networkpolicy/seatrial-01-network-deny.",
        "The mesh saw 40 requests fail for want of a connection.",
        "01-network-deny was removed, and looked for: it is not there any more.",
    ),
    "chaostoolkit": (
        "01-chaostoolkit acted on activity/fill-the-disk.",
        "30 % of the requests to order-api failed meanwhile, and 0 % before.",
        "01-chaostoolkit was removed, and looked for: it is not there any more.",
    ),
}


def lively(signals: Signals) -> Signals:
    """The signals of a run whose fault was felt by those who called its service."""
    changed = with_signal(signals, "errors", OTHER_SERVICE, [FAULT_PHASE], value=0.3)
    flags = {**changed.fault_flags, "01-network-deny": 40.0}
    return changed.model_copy(update={"fault_flags": flags})


@pytest.mark.parametrize("kind", WELL)
def test_a_fault_that_went_well_is_proven_in_three_ways(kind: str) -> None:
    """Goal: each kind has evidence of its own. Method: a whole record, sentence by sentence."""
    evaluation = judged(fault_of(kind), signals=lively)
    checks = ("fault-injected", "fault-seen", "fault-gone")
    assert [said(evaluation, check) for check in checks] == [("pass", one) for one in WELL[kind]]
    assert evaluation.valid


def test_every_kind_of_fault_is_tried_here() -> None:
    from runner.model.fault import FAULT_KINDS

    assert set(WELL) == set(FAULT_KINDS)


@pytest.mark.parametrize(
    ("kind", "lost", "check", "verdict", "reason"),
    [
        ("scale", "seen", "fault-seen", "inconclusive", "The status of deployment/product-api was"),
        ("scale", "ready", "fault-gone", "warn", "01-scale was removed; that all pods were ready"),
        ("scale", "gone", "fault-gone", "inconclusive", "Nobody saw that 01-scale was gone."),
        ("rollout-restart", "ready", "fault-gone", "inconclusive", "customer-api was not seen to"),
        ("rollout-restart", "replaced", "fault-seen", "inconclusive", "No pod of customer-api was"),
        ("drain", "evicted", "fault-injected", "inconclusive", "01-drain has no record of having"),
        ("drain", "replaced", "fault-seen", "warn", "1 pod was evicted; 0 of them were seen to be"),
        ("cordon", "removed", "fault-gone", "inconclusive", "Nobody saw that 01-cordon was gone."),
        ("network-deny", "verified", "fault-injected", "inconclusive", "01-network-deny has no"),
        ("pod-kill", "replaced", "fault-seen", "inconclusive", "1 pod killed, but only 0 replaced"),
    ],
)
def test_evidence_that_is_missing_is_missed(
    kind: str, lost: str, check: str, verdict: str, reason: str
) -> None:
    evaluation = judged(fault_of(kind), without(lost), lively)
    found = said(evaluation, check)
    assert found[0] == verdict
    assert found[1].startswith(reason)
    assert evaluation.valid == (verdict == "warn")


def test_traffic_that_was_forbidden_and_flowed_says_that_nobody_enforces_it() -> None:
    """Goal: a policy without a plug-in proves nothing. Method: no failed connection in its time."""
    silent = judged(
        fault_of("network-deny"),
        signals=lambda s: s.model_copy(update={"fault_flags": {"01-network-deny": 0.0}}),
    )
    reason = (
        "No connection to payment-api failed while it was forbidden: NetworkPolicies are not "
        "enforced here."
    )
    assert said(silent, "fault-seen") == ("inconclusive", reason)
    assert not silent.valid
    by_errors = judged(
        fault_of("network-deny"),
        signals=lambda s: with_signal(s, "errors", SERVICE, [FAULT_PHASE], value=0.5),
    )
    assert said(by_errors, "fault-seen") == (
        "pass",
        "50 % of the requests to payment-api failed meanwhile, and 0 % before.",
    )


def test_a_drain_tells_which_pods_stayed() -> None:
    def held(effect: Effect) -> Effect:
        if effect.what != "replaced":
            return effect
        held = {"what": "skipped", "subject": "pod/product-api-z", "detail": "a budget forbids it"}
        return effect.model_copy(update=held)

    assert said(judged(fault_of("drain"), held), "fault-seen") == (
        "warn",
        "1 pod was evicted. Left there: pod/product-api-z: a budget forbids it.",
    )


def test_activities_that_nobody_felt_are_their_own_word() -> None:
    """Goal: an activity is no proof of itself. Method: the mesh's figures do not move."""
    evaluation = judged(fault_of("chaostoolkit"))
    assert said(evaluation, "fault-seen") == (
        "warn",
        "That 01-chaostoolkit took place is its own word: nobody else was asked, and the figures "
        "of order-api show nothing of it.",
    )
    slow = judged(
        fault_of("chaostoolkit"),
        signals=lambda s: with_signal(s, "latency.p95", OTHER_SERVICE, [FAULT_PHASE], value=0.2),
    )
    assert said(slow, "fault-seen") == (
        "pass",
        "The p95 of order-api was 200 ms meanwhile, and 30 ms before.",
    )


def test_a_marker_alone_is_no_activity() -> None:
    evaluation = judged(
        fault_of("chaostoolkit"), lambda e: None if e.subject.startswith("activity/") else e
    )
    assert said(evaluation, "fault-injected") == (
        "inconclusive",
        "No action of 01-chaostoolkit is on record as carried out.",
    )


def test_activities_without_rollbacks_leave_a_doubt() -> None:
    evaluation = judged(fault_of("chaostoolkit", rollbacks=[]))
    assert said(evaluation, "fault-gone") == (
        "warn",
        "01-chaostoolkit has no rollbacks: whether what its activities did is undone is not known.",
    )


# -- kills, again and again ------------------------------------------------------------------------

AGAIN = {"every": "5s", "duration": "20s"}


def test_each_of_many_kills_is_accounted_for() -> None:
    """Goal: repeated kills are each proven. Method: four kills, five seconds apart."""
    evaluation = judged(fault_of("pod-kill", **AGAIN))
    assert said(evaluation, "fault-seen") == (
        "pass",
        "4 pods were killed in 4 kills, and each was replaced by a new one.",
    )
    assert said(evaluation, "fault-gone") == (
        "pass",
        "All pods of order-api were ready again after each of 4 kills, at the latest 3.5 s after "
        "one.",
    )
    (figure,) = evaluation.faults
    assert figure.kills_s == pytest.approx((20.5, 25.5, 30.5, 35.5), abs=1e-3)
    assert (figure.injected_s, figure.gone_s) == pytest.approx((20.5, 39.0), abs=1e-3)


def test_a_kill_that_was_left_out_is_told() -> None:
    """Goal: nobody takes three kills for four. Method: the third one was skipped."""

    def third_left_out(effect: Effect) -> Effect | None:
        if "kill 3 of 4" not in effect.detail:
            return effect
        if effect.what != "killed":
            return None
        why = {"what": "skipped", "detail": "kill 3 of 4: too few pods are ready."}
        return effect.model_copy(update=why)

    evaluation = judged(fault_of("pod-kill", **AGAIN), third_left_out)
    assert said(evaluation, "fault-seen") == (
        "warn",
        "3 pods were killed in 3 kills, and each was replaced by a new one. 4 kills were planned. "
        "Left out: kill 3 of 4: too few pods are ready.",
    )
    (figure,) = evaluation.faults
    assert len(figure.kills_s) == 3


def test_a_kill_whose_pods_never_came_back_is_found() -> None:
    last = WALL_S + 35.0
    evaluation = judged(
        fault_of("pod-kill", **AGAIN),
        lambda e: None if e.what == "ready" and e.wall_s > last else e,
    )
    assert said(evaluation, "fault-gone") == (
        "inconclusive",
        "order-api was not seen to have all of its pods ready again after 1 of 4 kills.",
    )


# -- what a fault is there to show -----------------------------------------------------------------


def ejections(*values: float | None) -> Callable[[Signals], Signals]:
    series = SignalSeries(
        sli="pool.ejected",
        service=SERVICE,
        unit="count",
        query="made by hand",
        step_s=5.0,
        points=tuple(
            (15.0 + 5 * n, None if value is None else float(value))
            for n, value in enumerate(values)
        ),
        state="ok",
    )
    return lambda signals: signals.model_copy(update={"series": (series,)})


@pytest.mark.parametrize(
    ("expects", "ejected", "verdict", "reason"),
    [
        ("breaker", (0, 0, 1, 2), "pass", "2 pods of payment-api ejected at once, first at 25s."),
        ("breaker", (0, 0, 0), "inconclusive", "No pod of payment-api was ejected while"),
        (
            "breaker",
            (None, None),
            "inconclusive",
            "Whether the breaker towards payment-api",
        ),
        (
            "no-breaker",
            (0, 0, 0),
            "pass",
            "No pod of payment-api was ejected while",
        ),
        (
            "no-breaker",
            (0, 0, 2),
            "inconclusive",
            "2 pods of payment-api ejected at once",
        ),
        # What was ejected before is not the fault's doing.
        (
            "breaker",
            (1, 1, 1),
            "inconclusive",
            "No pod of payment-api was ejected while",
        ),
        (
            "no-breaker",
            (1, 1, 0),
            "pass",
            "No pod of payment-api was ejected while",
        ),
        ("breaker", (1, 1, 2), "pass", "2 pods of payment-api ejected at once, first at 25s."),
        # Nor what is ejected after the fault and its grace.
        (
            "breaker",
            (*[0] * 8, 1),
            "inconclusive",
            "No pod of payment-api was ejected while",
        ),
    ],
)
def test_a_run_about_a_breaker_needs_the_breaker(
    expects: str, ejected: tuple[float | None, ...], verdict: str, reason: str
) -> None:
    """Goal: no conclusion about a breaker that never acted. Method: ejected pods over time."""
    evaluation = judged(fault_of("http-abort", expects=expects), signals=ejections(*ejected))
    found = said(evaluation, "fault-expected")
    assert found[0] == verdict
    assert found[1].startswith(reason)
    assert evaluation.valid == (verdict == "pass")


def test_without_expectation_there_is_no_such_finding() -> None:
    evaluation = judged(fault_of("http-abort"), signals=ejections(0, 0))
    assert "fault-expected" not in {finding.check for finding in evaluation.findings}
