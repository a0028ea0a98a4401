"""Validity of the load: a record that ends early, loses requests, or was slowed by its maker."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from builders import ABORT, KILL, plan_of, reasons, recording_of, signals_of

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Verdict
from runner.model.plan import GeneratorPlan
from runner.model.recording import Event, GeneratorSecond, Recording

EASY = GeneratorSecond(0.3, 0.004, 80_000_000)
BUSY = GeneratorSecond(0.97, 0.02, 80_000_000)
LATE = GeneratorSecond(0.4, 0.25, 80_000_000)


def findings(recording: Recording, check: str) -> dict[str, str]:
    return dict(reasons(evaluate(recording).findings, check))


def with_load(recording: Recording, **changes: Any) -> Recording:
    return replace(recording, load=replace(recording.load, **changes))


def test_a_record_that_does_not_say_complete_proves_nothing() -> None:
    """Goal: a generator that was stopped early. Method: closed in order, but not complete."""
    recording = with_load(recording_of(plan_of()), complete=False)
    found = findings(recording, "load-delivered")
    assert found["verdict"] == "inconclusive"
    assert "does not say that it followed the plan to its end" in found["reason"]
    assert evaluate(recording).verdict is Verdict.INCONCLUSIVE


def test_users_that_nobody_could_count_are_not_delivered() -> None:
    """Goal: no pass without a figure. Method: a run that is over before a second is counted."""
    found = findings(recording_of(plan_of(duration="1s", warmup="0s")), "load-delivered")
    assert found["verdict"] == "inconclusive"
    assert found["reason"].startswith("Nobody counted users")


@pytest.mark.parametrize(
    ("interrupted", "verdict"), [(0, "pass"), (1, "warn"), (6, "warn"), (7, "inconclusive")]
)
def test_requests_that_were_broken_off(interrupted: int, verdict: str) -> None:
    """6,000 requests: six without an outcome are 0.1 %, one more may hide what is judged."""
    found = findings(with_load(recording_of(plan_of()), interrupted=interrupted), "load-recorded")
    assert found["verdict"] == verdict
    if interrupted:
        assert f"{interrupted} user" in found["reason"]


def test_remarks_of_the_generator_are_said() -> None:
    notes = ("requests without a response time (None) are not recorded", "b")
    evaluation = evaluate(with_load(recording_of(plan_of()), notes=notes))
    assert dict(reasons(evaluation.findings, "load-recorded")) == {
        "verdict": "warn",
        "reason": f"The load generator remarks: {notes[0]}.",
    }
    assert evaluation.verdict is Verdict.WARN


def test_a_record_that_was_not_closed_may_lack_requests() -> None:
    found = findings(with_load(recording_of(plan_of()), finished=False), "load-recorded")
    assert (found["verdict"], "last second" in found["reason"]) == ("warn", True)


OWN = {
    ("(user code)", "error", "KeyError: 'id'"): 7,
    ("(user code)", "error", "IndexError: list index out of range"): 2,
}


def test_what_the_locustfile_did_wrong_is_said() -> None:
    """Goal: requests that were never sent are no secret. Method: its code failed beside 6,000."""
    failures = {("POST /api/v1/orders", "http_5xx", "HTTP 503"): 9, **OWN}
    evaluation = evaluate(with_load(recording_of(plan_of()), failures=failures))
    assert dict(reasons(evaluation.findings, "load-recorded")) == {
        "verdict": "warn",
        "reason": "What was not sent is not on record: the locustfile's own code failed 9 times, "
        """as with "KeyError: 'id'".""",
    }
    assert evaluation.verdict is Verdict.WARN


def test_a_locustfile_that_sent_nothing_is_told_why() -> None:
    recording = with_load(recording_of(plan_of(), lambda _: ()), failures=OWN)
    found = findings(recording, "load-delivered")
    assert found["verdict"] == "inconclusive"
    assert found["reason"].startswith("No request was sent, so nothing was tried: the locustfile's")


def test_a_target_that_hangs_is_not_said_to_be_untried() -> None:
    """Goal: not "nothing was sent". Method: no row, and users that were ended while they waited."""
    recording = with_load(recording_of(plan_of(), lambda _: ()), interrupted=20)
    found = findings(recording, "load-delivered")
    assert found["verdict"] == "inconclusive"
    assert found["reason"].startswith("No request had ended when the load did: 20 users still")


def test_a_child_s_last_words_are_no_sentence() -> None:
    """Goal: one line in a table. Method: a reason that ends in lines of a log."""
    recording = recording_of(plan_of())
    reason = "the load generator ended at 1.6 s of 12 s with exit code 7:\n[…] Starting\n[…] over"
    manifest = recording.manifest.model_copy(update={"state": "failed", "reason": reason})
    found = findings(replace(recording, manifest=manifest), "run-finished")
    assert found["reason"] == (
        "The run broke off: the load generator ended at 1.6 s of 12 s with exit code 7."
    )


def test_a_run_that_was_halted_was_not_aborted_by_a_guard() -> None:
    """Goal: the reader looks in the right place. Method: its guardian said that it must end."""
    recording = recording_of(plan_of())
    update = {"state": "aborted", "reason": "every run in shop was told to stop: incident 4711"}
    manifest = recording.manifest.model_copy(update=update)
    word = Event(wall_s=1.0, source="guardian", action="abort", kind="note")
    halted = replace(recording, manifest=manifest, events=(*recording.events, word))
    assert findings(halted, "run-finished")["reason"] == (
        "The run was aborted: every run in shop was told to stop: incident 4711."
    )


@pytest.mark.parametrize(
    ("account", "seconds", "verdict"),
    [
        (BUSY, range(10, 12), "pass"),  # two seconds may always be
        (BUSY, range(10, 15), "pass"),  # 5 of 55
        (BUSY, range(10, 16), "inconclusive"),
        (LATE, range(10, 16), "inconclusive"),
        (GeneratorSecond(math.nan, 0.0, 0), range(10, 16), "inconclusive"),
        (BUSY, range(5), "pass"),  # the warmup
    ],
)
def test_the_generator_as_the_limit(account: GeneratorSecond, seconds: range, verdict: str) -> None:
    """One phase of 55 s after a warmup of 5: a tenth of it may be busy or late."""
    generator = {second: account if second in seconds else EASY for second in range(60)}
    recording = with_load(recording_of(plan_of()), generator=generator)
    found = findings(recording, "generator-had-room")
    assert found["verdict"] == verdict
    if verdict == "inconclusive":
        assert found["reason"].startswith("The generator was the limit: in 6 of 55 seconds of base")
        assert not evaluate(recording).valid


@pytest.mark.parametrize(("lag_s", "verdict"), [(4.8, "pass"), (5.3, "inconclusive")])
def test_a_generator_that_stood_still_was_the_limit(lag_s: float, verdict: str) -> None:
    """Goal: one account for many seconds counts as many. Method: a stall within 55 s."""
    stalled = {second: EASY for second in range(60) if not 20 <= second < 20 + int(lag_s)}
    stalled[20 + int(lag_s)] = GeneratorSecond(1.0, lag_s, 80_000_000)
    found = findings(with_load(recording_of(plan_of()), generator=stalled), "generator-had-room")
    assert found["verdict"] == verdict
    if verdict == "inconclusive":
        assert "in 6 of 55 seconds of baseline" in found["reason"]


def test_a_short_phase_is_looked_at_by_itself() -> None:
    """Goal: a mean over the run hides nothing. Method: busy in 3 of the fault's 10 s."""
    generator = {second: BUSY if 20 <= second < 23 else EASY for second in range(60)}
    recording = with_load(recording_of(plan_of(faults=[ABORT])), generator=generator)
    assert "in 3 of 10 seconds of fault" in findings(recording, "generator-had-room")["reason"]


def test_a_generator_without_account_is_a_doubt() -> None:
    found = findings(with_load(recording_of(plan_of()), generator={}), "generator-had-room")
    assert found["verdict"] == "warn"


def moved(recording: Recording, what: str, by_s: float) -> Recording:
    """``recording`` with its only fault's effects of one kind later by ``by_s``."""
    (record,) = recording.faults
    effects = tuple(
        one.model_copy(update={"wall_s": one.wall_s + by_s}) if one.what == what else one
        for one in record.effects
    )
    return replace(recording, faults=(record.model_copy(update={"effects": effects}),))


@pytest.mark.parametrize(
    ("fault", "what", "by_s", "verdict"),
    [
        (ABORT, "injected", 1.7, "pass"),
        (ABORT, "injected", 2.5, "inconclusive"),
        (ABORT, "removed", -3.0, "inconclusive"),
        (KILL, "killed", 1.4, "pass"),
        (KILL, "killed", 2.0, "inconclusive"),
        (KILL, "killed", 30.0, "inconclusive"),
    ],
)
def test_a_fault_that_was_hardly_there(
    fault: dict[str, Any], what: str, by_s: float, verdict: str
) -> None:
    """Goal: a phase without its fault is not judged. Method: 10 s of fault, late or cut short."""
    found = findings(moved(recording_of(plan_of(faults=[fault])), what, by_s), "fault-injected")
    assert found["verdict"] == verdict
    if verdict == "inconclusive":
        assert "of the 10 s that are judged as its phase" in found["reason"]


def test_hits_after_the_end_that_nobody_counted_are_a_doubt() -> None:
    """Goal: no data is not a pass. Method: no figure, with 30 s and with 4 s of time for one."""
    for at, verdict in (("20s", "warn"), ("46s", "pass")):
        plan = plan_of(faults=[{**ABORT, "at": at}])
        signals = signals_of(plan).model_copy(update={"late_flags": {}})
        found = findings(recording_of(plan, signals=signals), "fault-gone")
        assert found["verdict"] == verdict, at


def test_of_several_workers_the_busiest_is_named() -> None:
    """Goal: no mean over who had nothing to do. Method: the same account, alone and of two."""
    recording = recording_of(plan_of())
    crew = recording.plan.model_copy(update={"generator": GeneratorPlan(workers=2)})
    alone = findings(recording, "generator-had-room")["reason"]
    assert alone.startswith("The generator used 20 % of a core")
    shared = findings(replace(recording, plan=crew), "generator-had-room")["reason"]
    assert shared.startswith("The busiest of 2 workers used 20 % of a core")
