"""Validity: what makes a run prove nothing, one thing at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    ABORT,
    KILL,
    SERVICE,
    WALL_S,
    events_of,
    fault_records,
    healthy,
    load_of,
    plan_of,
    reasons,
    recording_of,
    signals_of,
    with_signal,
)

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Verdict
from runner.model.faultrecord import Effect, FaultRecord
from runner.model.plan import Plan
from runner.model.recording import ClockAnchor, LoadRow, Recording, SignalSeries

DELAY = {"kind": "http-delay", "service": SERVICE, "at": "20s", "duration": "10s", "delay": "1s"}


def findings(recording: Recording, check: str) -> dict[str, str]:
    return dict(reasons(evaluate(recording).findings, check))


def assert_unproven(recording: Recording, check: str, text: str) -> None:
    """``check`` is inconclusive with ``text`` in its reason, and so is the whole run."""
    found = findings(recording, check)
    assert (found["verdict"], text in found["reason"]) == ("inconclusive", True), found
    evaluation = evaluate(recording)
    assert (evaluation.verdict, evaluation.valid) == (Verdict.INCONCLUSIVE, False)


def test_good_run_is_valid_in_every_respect() -> None:
    """One finding per check, and three for each fault, all passed."""
    evaluation = evaluate(recording_of(plan_of(faults=[ABORT, {**KILL, "at": "40s"}])))
    checks = [one.check for one in evaluation.findings if one.kind == "validity"]
    assert checks == [
        "run-finished",
        "load-delivered",
        "load-recorded",
        "generator-had-room",
        *["fault-injected", "fault-seen", "fault-gone"] * 2,
        "signals-complete",
        "clock-skew",
        "views-agree",
    ]
    judged = {one.verdict for one in evaluation.findings if one.kind != "answer"}
    assert judged == {Verdict.PASS}
    assert (evaluation.verdict, evaluation.valid) == (Verdict.PASS, True)


def test_no_fault_no_fault_checks() -> None:
    checks = {one.check for one in evaluate(recording_of(plan_of())).findings}
    assert not any(check.startswith("fault-") for check in checks)


# -- run and load ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "reason", "text"),
    [
        ("aborted", "errors > 60% for 10 s", "aborted by a guard: errors > 60% for 10 s."),
        ("interrupted", "", "The run was interrupted."),
        ("failed", "Locust ended.", "broke off: Locust ended."),
        ("running", "", "was not finished"),
    ],
)
def test_run_that_did_not_end_as_planned(state: str, reason: str, text: str) -> None:
    recording = recording_of(plan_of())
    manifest = recording.manifest.model_copy(update={"state": state, "reason": reason})
    assert_unproven(replace(recording, manifest=manifest), "run-finished", text)


def test_no_request_is_no_load() -> None:
    assert_unproven(recording_of(plan_of(), lambda _: ()), "load-delivered", "No request was sent")


def test_short_record() -> None:
    plan = plan_of()
    short = recording_of(plan, load=load_of(plan, until_s=59))
    assert_unproven(short, "load-delivered", "The load ended after 59 s of the planned 60 s.")


def test_open_record() -> None:
    """A killed generator leaves whole seconds and no last line."""
    recording = recording_of(plan_of())
    torn = replace(recording, load=replace(recording.load, finished=False))
    assert_unproven(torn, "load-delivered", "did not close its record")


def test_holes_in_the_record() -> None:
    plan = plan_of()
    load = load_of(plan)
    kept = {second: users for second, users in load.users.items() if second not in (17, 18)}
    rows = tuple(one for one in load.rows if one.second not in (17, 18))
    holes = recording_of(plan, load=replace(load, users=kept, rows=rows))
    assert_unproven(holes, "load-delivered", "nothing in 2 seconds, the first 17 s after its start")


def with_users(plan: Plan, users: Callable[[int], int]) -> Recording:
    load = load_of(plan)
    return recording_of(plan, load=replace(load, users={s: users(s) for s in load.users}))


def test_users_within_five_percent() -> None:
    """95 of 100 are enough, 94 are not, nor are 106."""
    plan = plan_of(users=100)
    assert findings(with_users(plan, lambda _: 95), "load-delivered")["verdict"] == "pass"
    assert findings(with_users(plan, lambda _: 105), "load-delivered")["verdict"] == "pass"
    assert_unproven(
        with_users(plan, lambda _: 94),
        "load-delivered",
        "On average 94 users were running in baseline, where 100 were planned.",
    )
    assert_unproven(with_users(plan, lambda _: 106), "load-delivered", "106 users")


def test_users_are_a_mean_over_each_phase() -> None:
    """20 users missing for a second are bridged; for all of the fault, they are not."""
    plan = plan_of(users=100, faults=[ABORT])
    found = findings(with_users(plan, lambda s: 80 if s == 25 else 100), "load-delivered")
    assert found["verdict"] == "pass"
    assert found["reason"].startswith("On average 98 users were running in fault 01-http-abort, ")
    missing = with_users(plan, lambda s: 80 if 20 <= s < 30 else 100)
    assert_unproven(missing, "load-delivered", "80 users were running in fault")


def test_warmup_may_be_slow() -> None:
    """Users that start late are what a warmup is for."""
    plan = plan_of(users=100, warmup="10s")
    slow = with_users(plan, lambda s: 10 * s if s < 10 else 100)
    assert findings(slow, "load-delivered")["verdict"] == "pass"


def test_ramp_may_lag_by_a_second_and_end_early_by_one() -> None:
    """Users are counted once a second, and stopped when the last one is counted."""
    plan = plan_of(users=100, warmup="1s", duration="11s")
    lagging = with_users(plan, lambda s: {0: 0, 1: 99, 10: 0}.get(s, 100))
    assert findings(lagging, "load-delivered")["verdict"] == "pass"


# -- faults ----------------------------------------------------------------------------------------


def with_effects(plan: Plan, drop: Sequence[str], **changes: Any) -> Recording:
    """A run whose only fault has no effects of some kinds."""
    (record,) = fault_records(plan)
    effects = tuple(one for one in record.effects if one.what not in drop)
    changed = record.model_copy(update={"effects": effects, **changes})
    return recording_of(plan, faults=(changed,))


@pytest.mark.parametrize(
    ("fault", "drop", "check", "text"),
    [
        (ABORT, ["injected"], "fault-injected", "no record of having been injected"),
        (ABORT, ["verified"], "fault-injected", "no record of having been verified"),
        (ABORT, ["removed"], "fault-gone", "Nobody saw that 01-http-abort was gone"),
        (ABORT, ["gone"], "fault-gone", "Nobody saw that 01-http-abort was gone"),
        (KILL, ["killed"], "fault-injected", "no record of having been killed"),
        (KILL, ["killed"], "fault-seen", "killed no pod"),
        (KILL, ["replaced"], "fault-seen", "1 pod killed, but only 0 replaced"),
        (KILL, ["ready"], "fault-gone", "order-api was not seen to have all of its pods ready"),
    ],
)
def test_each_effect_is_needed(
    fault: dict[str, Any], drop: list[str], check: str, text: str
) -> None:
    assert_unproven(with_effects(plan_of(faults=[fault]), drop), check, text)


def test_fault_without_any_record() -> None:
    recording = recording_of(plan_of(faults=[ABORT]), faults=())
    assert_unproven(recording, "fault-injected", "no record of having been injected")


def test_failed_activity_and_journal() -> None:
    """What Chaos Toolkit says counts as evidence against, never alone as evidence for."""
    plan = plan_of(faults=[ABORT])
    failed = with_effects(plan, [], failed_activities=("verify-fault: not there",))
    assert_unproven(failed, "fault-injected", "A step of 01-http-abort failed: verify-fault: not")
    assert_unproven(
        with_effects(plan, [], journal_status="interrupted"),
        "fault-injected",
        "journal of 01-http-abort is interrupted",
    )


def test_skipped_fault_says_why() -> None:
    plan = plan_of(faults=[KILL])
    skipped = Effect(wall_s=WALL_S, what="skipped", subject="pods/x", detail="only 1 is ready.")
    record = FaultRecord(id="01-pod-kill", journal_status="failed", effects=(skipped,))
    recording = recording_of(plan, faults=(record,))
    assert_unproven(recording, "fault-injected", "It was skipped: only 1 is ready.")


def test_fault_that_is_not_on_record_as_healed() -> None:
    """The journal has the last word about what may still be broken."""
    plan = plan_of(faults=[ABORT])
    events = tuple(one for one in events_of(plan) if one.action != "heal")
    recording = recording_of(plan, events=events)
    assert_unproven(recording, "fault-gone", "no record of having been undone")


@pytest.mark.parametrize("fault", [ABORT, DELAY])
@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({}, "no data"),
        ({"fault_flags": None}, "no data"),
        ({"fault_flags": 0.0}, "saw no request to payment-api that was hit"),
        ({"fault_flags": float("nan")}, "no data"),
    ],
)
def test_fault_that_nobody_saw(fault: dict[str, Any], flags: dict[str, Any], text: str) -> None:
    plan = plan_of(faults=[fault])
    (planned,) = plan.faults
    changed = {name: {planned.id: value} for name, value in flags.items()} or {"fault_flags": {}}
    signals = signals_of(plan).model_copy(update=changed)
    assert_unproven(recording_of(plan, signals=signals), "fault-seen", text)


def with_hits(hits: float, percent: float = 50.0, **changes: Any) -> Recording:
    """A run whose abort hits ``hits`` of 1,000 requests."""
    plan = plan_of(faults=[{**ABORT, "percent": percent, **changes}])
    signals = signals_of(plan).model_copy(update={"fault_flags": {"01-http-abort": hits}})
    return recording_of(plan, signals=signals)


@pytest.mark.parametrize(
    ("hits", "verdict"),
    [(495.0, "pass"), (300.0, "pass"), (900.0, "pass"), (100.0, "inconclusive"), (1400.0, "warn")],
)
def test_share_of_requests_that_were_hit(hits: float, verdict: str) -> None:
    """Half of 1,000 should be hit; less than half of that proves nothing, twice is strange.

    The fault is in place 0.1 s late, so that 495 are to be expected.
    """
    found = findings(with_hits(hits), "fault-seen")
    assert found["verdict"] == verdict
    hit = f"saw {hits:,.0f} requests to payment-api that were hit; about 495 were to be expected."
    assert hit in found["reason"]


def test_share_of_few_requests_is_chance() -> None:
    """1 % of 1,000 are 10, and 2 may well be seen; so may any number where headers choose."""
    assert findings(with_hits(2.0, percent=1.0), "fault-seen")["verdict"] == "pass"
    chosen = with_hits(2.0, headers={"x-user": "me"})
    assert findings(chosen, "fault-seen")["verdict"] == "pass"


def test_rare_fault_that_chance_may_have_hidden() -> None:
    """0.1 % of 1,000 requests: that none was hit proves nothing, and the reason is the plan."""
    text = "that was hit; only about 1.0 were to be expected, too few to rely on."
    assert_unproven(with_hits(0.0, percent=0.1), "fault-seen", text)


def test_late_injection_is_allowed_for() -> None:
    """In place for 2 of 10 s: a fifth of the hits is what can be expected."""
    recording = with_hits(100.0)
    (record,) = recording.faults
    effects = tuple(
        one.model_copy(update={"wall_s": WALL_S + 28.0}) if one.what == "injected" else one
        for one in record.effects
    )
    late = replace(recording, faults=(record.model_copy(update={"effects": effects}),))
    assert findings(late, "fault-seen")["verdict"] == "pass"


@pytest.mark.parametrize(("late", "text"), [(3.0, "3 requests were"), (1.0, "1 request was")])
def test_fault_that_is_seen_too_late(late: float, text: str) -> None:
    plan = plan_of(faults=[ABORT])
    signals = signals_of(plan).model_copy(update={"late_flags": {"01-http-abort": late}})
    assert_unproven(recording_of(plan, signals=signals), "fault-gone", text)


def test_fault_at_the_end_of_the_run_has_no_time_after_it() -> None:
    """No figure about the time after it, because there is none; its own look has to do."""
    plan = plan_of(faults=[{**ABORT, "at": "50s"}])
    signals = signals_of(plan).model_copy(update={"late_flags": {"01-http-abort": None}})
    assert findings(recording_of(plan, signals=signals), "fault-gone")["verdict"] == "pass"


# -- signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"error": "it does not answer.", "phases": ()}, "no usable answer: it does not answer."),
        ({"scrape_gaps": ("A was away", "B was away")}, "A was away (and 1 more)."),
        ({"phases": ()}, "There is no figure of traffic of payment-api in fault 01-http-abort"),
    ],
)
def test_incomplete_signals(changes: dict[str, Any], text: str) -> None:
    plan = plan_of(faults=[ABORT])
    signals = signals_of(plan).model_copy(update=changes)
    assert_unproven(recording_of(plan, signals=signals), "signals-complete", text)


def test_missing_signals() -> None:
    recording = recording_of(plan_of(faults=[ABORT]), signals=None)
    assert_unproven(recording, "signals-complete", "No signals were collected")


def test_warning_of_prometheus_is_a_doubt() -> None:
    """A partial answer may lack the worst part."""
    plan = plan_of(faults=[ABORT])
    signals = with_signal(signals_of(plan), "traffic", SERVICE, [2], warnings=("partial",))
    recording = recording_of(plan, signals=signals)
    assert_unproven(recording, "signals-complete", "Prometheus warned about traffic: partial")


@pytest.mark.parametrize("state", ["empty", "gaps", "error"])
def test_figure_that_an_objective_needs(state: str) -> None:
    """Of the mesh's figures, those that objectives name are needed, in the phases they name."""
    objective = {"objective": "latency.p95 < 1s", "service": SERVICE, "during": "baseline"}
    plan = plan_of(objective)
    signals = with_signal(
        signals_of(plan), "latency.p95", SERVICE, [1], state=state, message="so it is"
    )
    recording = recording_of(plan, signals=signals)
    assert_unproven(recording, "signals-complete", "so it is")
    other = with_signal(signals_of(plan), "latency.p95", SERVICE, [0], state="empty", value=None)
    assert findings(recording_of(plan, signals=other), "signals-complete")["verdict"] == "pass"


def test_signals_that_nobody_needs() -> None:
    """A run without faults and mesh objectives can be judged without them; it is said."""
    evaluation = evaluate(recording_of(plan_of(), signals=None))
    found = dict(reasons(evaluation.findings, "signals-complete"))
    assert found["verdict"] == "warn"
    assert (evaluation.verdict, evaluation.valid) == (Verdict.WARN, True)


@pytest.mark.parametrize(
    ("skew_s", "verdict"), [(0.0, "pass"), (-0.9, "pass"), (1.5, "warn"), (None, "warn")]
)
def test_clocks(skew_s: float | None, verdict: str) -> None:
    """Corrected for, so only worth a warning."""
    recording = recording_of(plan_of())
    anchor = ClockAnchor(load_started_wall_s=WALL_S, prometheus_skew_s=skew_s)
    manifest = recording.manifest.model_copy(update={"anchor": anchor})
    found = findings(replace(recording, manifest=manifest), "clock-skew")
    assert found["verdict"] == verdict


def test_rows_after_the_planned_end_do_not_stretch_the_run() -> None:
    """A request that is booked in the second after the end belongs to no phase."""
    plan = plan_of()
    load = load_of(plan)
    late = (*load.rows, LoadRow(60, "GET /late", "success", {1: 5}))
    evaluation = evaluate(recording_of(plan, load=replace(load, rows=late)))
    assert sum(one.requests for one in evaluation.phases) == 60 * 100
    assert evaluation.phases[-1].end_s == 60.0
    assert evaluate(recording_of(plan, healthy)).verdict is evaluation.verdict


def test_signals_that_only_answers_rest_on_are_no_condition() -> None:
    """Prometheus refused to tell of a pool; nothing that is judged needs it."""
    plan = plan_of(faults=[ABORT])
    refused = SignalSeries(
        sli="pool.connections",
        service=SERVICE,
        unit="count",
        query="q",
        step_s=1.0,
        state="error",
        points=(),
        message="too many samples",
    )
    for sli, verdict in (("pool.connections", Verdict.PASS), ("traffic", Verdict.INCONCLUSIVE)):
        series = (refused.model_copy(update={"sli": sli}),)
        signals = signals_of(plan).model_copy(update={"series": series})
        judged = evaluate(recording_of(plan, signals=signals)).findings
        (found,) = [one for one in judged if one.check == "signals-complete"]
        assert found.verdict is verdict
