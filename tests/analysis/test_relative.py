"""Relative objectives: against the baseline, against an earlier run, and against nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    ABORT,
    KILL,
    OTHER_SERVICE,
    SERVICE,
    Rows,
    load_of,
    plan_of,
    recording_of,
    row,
    signals_of,
    with_signal,
)
from judging import BASELINE, FAULT, RECOVERY, last_judged

from runner.analysis.evaluate import evaluate
from runner.analysis.evidence import ReferenceRun
from runner.analysis.relative import reference_run
from runner.model.evaluation import Finding, Verdict
from runner.model.plan import Plan
from runner.model.recording import LoadRow, Recording, TargetInfo


def slower(fault_ms: float, other_ms: float = 100.0) -> Rows:
    """Requests of one latency from 20 to 30 s, and of another one before and after."""

    def rows(at: int) -> Sequence[LoadRow]:
        return (row(at, latency_ms=fault_ms if 20 <= at < 30 else other_ms),)

    return rows


def judged(objective: str | dict[str, Any], rows: Rows, **changes: Any) -> Finding:
    recording = recording_of(plan_of(objective, faults=[ABORT]), rows, **changes)
    return last_judged(evaluate(recording))


def test_a_fault_is_compared_with_the_baseline() -> None:
    """100 ms and 10 % are 110 ms: 105 ms are within, 120 ms are not; the baseline is no part."""
    objective = "latency.p99 <= baseline + 10%"
    finding = judged(objective, slower(120.0))
    assert [one.label for one in finding.parts] == ["fault 01-http-abort", "recovery"]
    assert (finding.verdict, finding.where) == (Verdict.FAIL, "fault 01-http-abort")
    assert finding.reference is not None
    assert finding.reference.name == "baseline"
    assert finding.reference.samples == 15 * 50
    assert finding.reference.observed == pytest.approx(0.1, rel=0.005)
    assert finding.bound == pytest.approx(0.11, rel=0.005)
    assert finding.margin_ratio == pytest.approx(-0.09, abs=0.01)
    assert finding.reason == (
        "The p99 latency of successful requests was 120 ms (fault 01-http-abort; the worst of 2), "
        "the baseline's was 100 ms; at most 110 ms was allowed."
    )
    assert judged(objective, slower(105.0)).verdict is Verdict.PASS


def test_points_and_amounts() -> None:
    def rows(bad: int) -> Rows:
        def second(at: int) -> Sequence[LoadRow]:
            failed = bad if 20 <= at < 30 else 2
            return (row(at, 100 - failed), row(at, failed, outcome="timeout"))

        return second

    objective = "errors <= baseline + 3pp"
    finding = judged(objective, rows(5))
    assert finding.verdict is Verdict.PASS
    assert finding.bound == pytest.approx(0.05)
    assert judged(objective, rows(6)).verdict is Verdict.FAIL
    assert judged("traffic >= baseline - 10%", slower(100.0)).verdict is Verdict.PASS


def test_a_relative_warning() -> None:
    objective = {"objective": "latency.p99 <= baseline + 50%", "warn": "baseline + 10%"}
    finding = judged(objective, slower(120.0))
    assert finding.verdict is Verdict.WARN
    assert finding.warn == pytest.approx(0.11, rel=0.005)
    assert "past the warning at 110 ms" in finding.reason
    assert judged(objective, slower(105.0)).verdict is Verdict.PASS
    assert judged(objective, slower(200.0)).verdict is Verdict.FAIL


def test_a_baseline_without_requests_is_nothing_to_compare_with() -> None:
    def silent(at: int) -> Sequence[LoadRow]:
        return (row(at),) if at >= 20 else ()

    objective = {"objective": "latency.p99 <= baseline + 10%"}
    finding = judged(objective, silent)
    assert (finding.verdict, finding.bound, finding.observed) == (Verdict.INCONCLUSIVE, None, None)
    assert "of the baseline, there were no requests" in finding.reason
    assert judged({**objective, "on_missing": "fail"}, silent).verdict is Verdict.FAIL
    few = judged({**objective, "at_least": 800}, slower(100.0))  # The baseline has 750.
    assert (few.verdict, "of the baseline, 750 samples" in few.reason) == (
        Verdict.INCONCLUSIVE,
        True,
    )


def test_each_service_is_compared_with_its_own_baseline() -> None:
    """One is slow and always was; the other one became slow."""
    plan = plan_of(faults=[ABORT])
    signals = signals_of(plan)
    for phases, service, value in (
        ([BASELINE, FAULT, RECOVERY], OTHER_SERVICE, 0.9),
        ([FAULT], SERVICE, 0.06),
    ):
        signals = with_signal(signals, "latency.p95", service, phases, value=value)
    finding = judged(
        {"objective": "latency.p95 <= baseline + 20%", "service": "*"},
        slower(100.0),
        signals=signals,
    )
    assert (finding.verdict, finding.service, finding.observed) == (Verdict.FAIL, SERVICE, 0.06)
    assert finding.bound == pytest.approx(0.036)
    assert finding.where == f"fault 01-http-abort, {SERVICE}"


# -- earlier runs ----------------------------------------------------------------------------------


def earlier(plan: Plan, rows: Rows, **changes: Any) -> Recording:
    recording = recording_of(plan, rows, **changes)
    manifest = recording.manifest.model_copy(update={"run_id": "2025-12-31T000000Z-beef"})
    return replace(recording, manifest=manifest)


def against_run(reference: Recording | None, fault_ms: float = 120.0, **keys: Any) -> Finding:
    objective = {"objective": "latency.p99 <= run:before + 10%", **keys}
    plan = plan_of(objective, faults=[ABORT])
    known = {} if reference is None else {"before": reference_run("before", reference, plan)}
    recording = recording_of(plan, slower(fault_ms))
    return last_judged(evaluate(recording, references=known))


def test_phases_are_compared_with_those_of_the_same_name() -> None:
    """120 ms in the fault: within 10 % of an earlier 115 ms, beyond those of 100 ms."""
    same = plan_of(faults=[ABORT])
    finding = against_run(earlier(same, slower(115.0)))
    assert [one.label for one in finding.parts] == ["baseline", "fault 01-http-abort", "recovery"]
    assert finding.verdict is Verdict.PASS
    finding = against_run(earlier(same, slower(100.0)))
    assert (finding.verdict, finding.where) == (Verdict.FAIL, "fault 01-http-abort")
    assert finding.reference is not None
    assert finding.reference.run_id == "2025-12-31T000000Z-beef"
    assert finding.reason == (
        "The p99 latency of successful requests was 120 ms (fault 01-http-abort; the worst of 3), "
        "that of run before (2025-12-31T000000Z-beef) was 100 ms; at most 110 ms was allowed."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"users": 20}, "the load was another: up to 20 users instead of up to 10 users"),
        ({"time_scale": 0.5}, "durations were multiplied by 0.5, and those of this one by 1"),
        ({"faults": []}, "has no fault phase"),
    ],
)
def test_a_run_that_was_another_one_proves_nothing(changes: dict[str, Any], said: str) -> None:
    plan = plan_of(**{"faults": [ABORT], **changes})
    finding = against_run(earlier(plan, slower(100.0)))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert said in finding.reason


def test_a_run_of_another_locustfile_proves_nothing() -> None:
    plan = plan_of(faults=[ABORT])
    load = plan.experiment.load.model_copy(update={"locustfile": "bank.py"})
    other = plan.experiment.model_copy(update={"load": load})
    before = earlier(plan.model_copy(update={"experiment": other}), slower(100.0))
    finding = against_run(before)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "the load was that of bank.py, and this one's is that of shop.py" in finding.reason


def test_a_run_that_was_not_valid_proves_nothing() -> None:
    """Its load ended in the midst of it."""
    plan = plan_of(faults=[ABORT])
    broken = earlier(plan, slower(100.0), load=load_of(plan, slower(100.0), until_s=40))
    finding = against_run(broken)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "of the run 2025-12-31T000000Z-beef, it was not valid: " in finding.reason


def test_a_run_that_is_not_there_proves_nothing() -> None:
    finding = against_run(None)
    assert (finding.verdict, finding.bound) == (Verdict.INCONCLUSIVE, None)
    assert "there is no run before" in finding.reason
    assert against_run(None, on_missing="fail").verdict is Verdict.FAIL
    plan = plan_of({"objective": "errors <= run:x", "during": "baseline"})
    known = {"x": ReferenceRun("x", reason="no run in results is called 'x'")}
    finding = last_judged(evaluate(recording_of(plan), references=known))
    assert finding.reason.endswith("no run in results is called 'x'.")


def test_what_else_differs_is_said() -> None:
    """Another fault, and ten seconds more of load."""
    plan = plan_of(faults=[KILL], duration="70s")
    finding = against_run(earlier(plan, slower(100.0)))
    assert finding.verdict is Verdict.FAIL
    assert finding.reference is not None
    assert finding.reference.reason == (
        "it lasted 70 s, this one 60 s; its faults were others: fault 01-pod-kill"
    )


def test_another_target_is_said_and_an_unknown_one_is_not() -> None:
    """Goal: the same figures of another cluster are for the reader to judge."""
    staging = TargetInfo(
        kind="cluster",
        name="staging",
        namespace="shop",
        ingress_url="http://shop",
        host="",
        prometheus_url="http://prometheus",
        identity="uid-1",
    )
    objective = "latency.p99 <= run:before + 10%"
    plan = plan_of(objective, faults=[ABORT])

    def remark(then: TargetInfo | None, now: TargetInfo | None) -> str:
        before, run = (
            replace(one, manifest=one.manifest.model_copy(update={"target": target}))
            for one, target in (
                (earlier(plan, slower(100.0)), then),
                (recording_of(plan, slower(120.0)), now),
            )
        )
        references = {"before": reference_run("before", before, plan)}
        reference = last_judged(evaluate(run, references=references)).reference
        assert reference is not None
        return reference.reason

    other = staging.model_copy(update={"identity": "uid-2"})
    assert remark(other, staging) == "it was of another target, uid-2"
    assert remark(staging, staging) == ""
    assert remark(None, staging) == remark(staging, None) == ""


# -- the blast radius ------------------------------------------------------------------------------


def test_the_blast_radius_is_about_each_of_the_others() -> None:
    """Payment fails by half, which is the fault; order keeps its promise, or does not."""
    plan = plan_of(faults=[ABORT])
    objective = {"objective": "errors < 5%", "other_than": [SERVICE], "during": "fault"}
    signals = with_signal(signals_of(plan), "errors", SERVICE, [FAULT], value=0.5)
    finding = judged(objective, slower(100.0), signals=signals)
    assert [one.label for one in finding.parts] == [f"fault 01-http-abort, {OTHER_SERVICE}"]
    assert finding.reason == (
        "Services other than payment-api stayed within the bound of 5 %: at worst, the share of "
        "failed requests of order-api was 0 % (fault 01-http-abort)."
    )
    signals = with_signal(signals, "errors", OTHER_SERVICE, [FAULT], value=0.2)
    finding = judged(objective, slower(100.0), signals=signals)
    assert (finding.verdict, finding.service) == (Verdict.FAIL, OTHER_SERVICE)
    assert finding.reason == (
        "Services other than payment-api did not stay within the bound of 5 %: the share of failed "
        "requests of order-api was 20 % (fault 01-http-abort); the bound is < 5 %."
    )
    silent = with_signal(signals, "errors", OTHER_SERVICE, [FAULT], value=None, state="empty")
    finding = judged(objective, slower(100.0), signals=silent)
    assert (finding.verdict, OTHER_SERVICE in finding.reason) == (Verdict.INCONCLUSIVE, True)


def test_a_service_without_requests_does_not_hide_another_that_failed() -> None:
    """Goal: one quiet service of many. Method: the verdict of the whole run, not of the finding."""
    plan = plan_of({"objective": "errors < 5%", "service": "*"}, faults=[ABORT])
    quiet = with_signal(
        signals_of(plan), "errors", OTHER_SERVICE, [BASELINE], value=None, state="empty"
    )
    evaluation = evaluate(recording_of(plan, signals=quiet))
    assert (evaluation.valid, evaluation.verdict) == (True, Verdict.INCONCLUSIVE)
    failed = with_signal(quiet, "errors", SERVICE, [FAULT], value=0.5)
    evaluation = evaluate(recording_of(plan, signals=failed))
    assert (evaluation.valid, evaluation.verdict) == (True, Verdict.FAIL)
    gone = with_signal(failed, "errors", OTHER_SERVICE, [FAULT], value=None, state="gaps")
    assert evaluate(recording_of(plan, signals=gone)).valid is False


def test_weight_and_key_are_the_objectives() -> None:
    finding = judged({"objective": "errors < 5%", "weight": 3, "key": True}, slower(100.0))
    assert (finding.weight, finding.key) == (3.0, True)
