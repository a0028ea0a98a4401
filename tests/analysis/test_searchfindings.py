"""What a search proves: its checks, its answer and its objective, from recordings of whole runs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from search_runs import search_run

from runner.analysis.evaluate import evaluate
from runner.analysis.searched import searched, settings_of, step_result
from runner.analysis.searchfindings import search_answer
from runner.analysis.steps import Criteria, StepResult, StepSecond
from runner.fakesearch import FakeServer
from runner.model.evaluation import Evaluation, Finding, Verdict
from runner.model.experiment import Search
from runner.model.histogram import bucket_of
from runner.model.recording import (
    ArrivalSecond,
    GeneratorSecond,
    LoadRecord,
    LoadRow,
    SearchStep,
    SignalSeries,
    WorkerEvent,
)
from runner.testing import FakeWorld

STEP = SearchStep(number=1, rate_per_s=10.0, start_s=4.0, duration_s=6.0, ended=True)
CRITERIA = Criteria(latency_s=0.2, quantile=0.95)


def finding(evaluation: Evaluation, check: str) -> Finding:
    (found,) = (f for f in evaluation.findings if f.check == check)
    return found


def world(**server: float) -> FakeWorld:
    return FakeWorld(server=FakeServer(**server))  # type: ignore[arg-type]


def test_an_objective_below_the_interval_is_met_and_one_above_is_missed(tmp_path: Path) -> None:
    """Goal: pass, warn, fail and not proven. Method: capacity 333/s, and bounds all around."""
    objectives = (
        "breaking-point >= 200/s",
        {"objective": "breaking-point >= 200/s", "warn": "330/s"},
        "breaking-point > 600/s",
        "breaking-point >= 333/s",
    )
    _, recording = search_run(tmp_path, world(capacity_per_s=333.0), *objectives)
    evaluation = evaluate(recording)
    found = [f for f in evaluation.findings if f.kind == "objective"]
    low, high = evaluation.search.low_per_s, evaluation.search.high_per_s  # type: ignore[union-attr]
    assert high is not None
    assert 200 < low <= 333 <= high < 400
    verdicts = [Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.INCONCLUSIVE]
    assert [f.verdict for f in found] == verdicts
    assert [f.observed for f in found] == [low, low, high, low]
    assert found[0].margin_ratio == pytest.approx(low / 200 - 1)
    assert "past the warning at 330/s" in found[1].reason
    assert found[2].reason.endswith("the bound is > 600/s.")
    assert found[3].reason.startswith("Nothing was shown about 333/s.")
    assert (evaluation.verdict, evaluation.valid) == (Verdict.FAIL, True)


def test_the_answer_says_interval_and_reason(tmp_path: Path) -> None:
    _, recording = search_run(tmp_path, world(capacity_per_s=333.0))
    evaluation = evaluate(recording)
    answer = finding(evaluation, "breaking-point")
    assert answer.verdict is Verdict.PASS
    assert answer.reason.startswith("The breaking point is between ")
    assert evaluation.search is not None
    assert evaluation.search.reason in ("latency", "throughput-flat")
    assert answer.observed == evaluation.search.high_per_s
    assert (evaluation.search.statistic, evaluation.search.latency_bound_s) == ("p95", 0.5)
    assert finding(evaluation, "load-delivered").verdict is Verdict.PASS
    assert finding(evaluation, "generator-had-room").verdict is Verdict.PASS
    assert evaluation.verdict is Verdict.PASS


def test_errors_are_a_reason_of_their_own(tmp_path: Path) -> None:
    _, recording = search_run(tmp_path, world(fails_above_per_s=400.0))
    found = evaluate(recording).search
    assert found is not None
    assert found.reason == "errors"
    assert found.high_per_s is not None
    # Above 400/s all of the excess fails, and 1 % may.
    assert found.low_per_s <= 400 / 0.99 <= found.high_per_s


def test_without_a_knee_the_last_rate_is_what_was_shown(tmp_path: Path) -> None:
    _, recording = search_run(
        tmp_path, world(), "breaking-point >= 1600/s", "breaking-point > 2000/s"
    )
    evaluation = evaluate(recording)
    answer = finding(evaluation, "breaking-point")
    assert answer.reason.startswith("No breaking point up to 1,600/s")
    verdicts = [f.verdict for f in evaluation.findings if f.kind == "objective"]
    assert verdicts == [Verdict.PASS, Verdict.INCONCLUSIVE]


def test_a_generator_that_gives_in_is_no_answer_but_what_was_shown_counts(tmp_path: Path) -> None:
    """Goal: "the generator was the limit" is never taken for the target's breaking point."""
    given_in = world(capacity_per_s=math.inf, generator_max_per_s=300.0)
    objectives = ("breaking-point >= 100/s", "breaking-point >= 500/s")
    _, recording = search_run(tmp_path, given_in, *objectives)
    evaluation = evaluate(recording)
    answer = finding(evaluation, "breaking-point")
    assert answer.verdict is Verdict.INCONCLUSIVE
    assert answer.reason.startswith("No answer: the generator was the limit at 3")
    room = finding(evaluation, "generator-had-room")
    assert room.verdict is Verdict.WARN
    assert room.reason.endswith("These steps do not count.")
    verdicts = [f.verdict for f in evaluation.findings if f.kind == "objective"]
    assert verdicts == [Verdict.PASS, Verdict.INCONCLUSIVE]
    assert evaluation.verdict is Verdict.INCONCLUSIVE


def test_a_generator_that_is_never_up_to_it_proves_nothing(tmp_path: Path) -> None:
    _, recording = search_run(tmp_path, world(generator_max_per_s=10.0))
    evaluation = evaluate(recording)
    assert finding(evaluation, "generator-had-room").verdict is Verdict.INCONCLUSIVE
    assert not evaluation.valid


def test_a_generator_without_an_account_of_itself_is_doubted(tmp_path: Path) -> None:
    """Goal: no data is no praise. Method: a whole record without the generator's own lines."""
    _, recording = search_run(tmp_path, world(capacity_per_s=333.0))
    blind = evaluate(replace(recording, load=replace(recording.load, generator={})))
    room = finding(blind, "generator-had-room")
    assert (room.verdict, "kept no account" in room.reason) == (Verdict.WARN, True)
    assert finding(evaluate(recording), "generator-had-room").verdict is Verdict.PASS


def test_a_search_that_was_cut_short_is_no_proof(tmp_path: Path) -> None:
    """Goal: half a search answers nothing. Method: drop the last steps from a whole record."""
    _, recording = search_run(tmp_path, world(capacity_per_s=333.0))
    cut = replace(recording, load=replace(recording.load, steps=recording.load.steps[:4]))
    evaluation = evaluate(cut)
    assert finding(evaluation, "load-delivered").verdict is Verdict.INCONCLUSIVE
    assert "not come to its end after 4 steps" in finding(evaluation, "load-delivered").reason
    assert finding(evaluation, "breaking-point").verdict is Verdict.INCONCLUSIVE
    none = evaluate(replace(recording, load=replace(recording.load, steps=())))
    assert finding(none, "load-delivered").reason.startswith("No step of the search")


def test_the_figures_name_every_rate_and_every_step(tmp_path: Path) -> None:
    _, recording = search_run(tmp_path, world(capacity_per_s=333.0))
    found = evaluate(recording).search
    assert found is not None
    assert [step.rate_per_s for step in found.steps] == [
        step.rate_per_s for step in recording.load.steps
    ]
    assert sum(rate.tries for rate in found.rates) == len(found.steps)
    by_rate = {rate.rate_per_s: rate for rate in found.rates}
    assert by_rate[50.0].verdict == "holds"
    assert by_rate[50.0].quantile_s == pytest.approx(0.02, rel=0.01)
    assert found.steps[0].why == "start"
    held = [rate.rate_per_s for rate in found.rates if rate.verdict == "holds"]
    assert max(held) == found.low_per_s


def test_the_settings_are_those_of_the_experiment() -> None:
    search = Search.model_validate(
        {
            "from": "10/s",
            "to": "900/s",
            "until": ["latency.p99 < 250ms"],
            "step": "15s",
            "transient": "4s",
            "tolerance": "20%",
            "max_steps": 3,
        }
    )
    settings = settings_of(search)
    assert (settings.start_rate, settings.max_rate, settings.tolerance_ratio) == (10, 900, 0.2)
    assert (settings.step_s, settings.transient_s, settings.max_steps) == (15, 4, 3)
    assert settings.criteria == Criteria(latency_s=0.25, quantile=0.99, error_ratio=None)


# -- one step --------------------------------------------------------------------------------------


def record(**changes: object) -> LoadRecord:
    """Ten arrivals in each of the seconds 4 to 9, answered in 50 ms; nine in time, one late."""
    rows = tuple(
        LoadRow(second, "GET /", "success", {bucket_of(50_000): 10}) for second in range(12)
    )
    arrivals = {
        second: ArrivalSecond(offered=10, started=10, completed=9, late_us={0: 10})
        for second in range(12)
    }
    known = LoadRecord(
        rows=rows,
        users=dict.fromkeys(range(12), 1),
        failures={},
        generator={second: GeneratorSecond(0.2, 0.001, 1) for second in range(12)},
        arrivals=arrivals,
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def test_a_step_is_its_own_seconds() -> None:
    result = step_result(record(), STEP, CRITERIA)
    assert result.generator_problem == ""
    assert [second.offered for second in result.seconds] == [10] * 6
    assert [second.succeeded for second in result.seconds] == [10] * 6
    assert [second.in_flight for second in result.seconds] == [1, 2, 3, 4, 5, 6]


def test_what_was_due_and_never_answered_is_missing() -> None:
    """Goal: silence is not success. Method: leave out the rows of one second, drop in another."""
    known = record()
    rows = tuple(row for row in known.rows if row.second != 5)
    arrivals = {**known.arrivals, 7: ArrivalSecond(offered=30, started=10, dropped=20, completed=9)}
    result = step_result(replace(known, rows=rows, arrivals=arrivals), STEP, CRITERIA)
    assert [second.missing for second in result.seconds] == [0, 10, 0, 20, 0, 0]
    assert result.dropped == 20


def test_what_ends_after_the_search_went_on_is_missing_for_ever() -> None:
    """Goal: the same answer from the same record. Method: time-outs that come a minute later."""
    known = record()
    rows = tuple(
        replace(row, outcome="timeout", late=True) if row.second in (5, 6) else row
        for row in known.rows
    )
    result = step_result(replace(known, rows=rows), STEP, CRITERIA)
    assert [second.missing for second in result.seconds] == [0, 10, 10, 0, 0, 0]
    assert [second.failed for second in result.seconds] == [0] * 6


def test_several_requests_for_each_arrival_are_all_offered() -> None:
    """Goal: an order that takes three requests is not two answers too many."""
    known = record()
    rows = (*known.rows, *known.rows, *known.rows)
    arrivals = {**known.arrivals, 7: ArrivalSecond(offered=12, started=10, dropped=2, completed=9)}
    result = step_result(replace(known, rows=rows, arrivals=arrivals), STEP, CRITERIA)
    assert [second.offered for second in result.seconds] == [30, 30, 30, 32, 30, 30]
    assert [second.missing for second in result.seconds] == [0, 0, 0, 2, 0, 0]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            # A tenth of the bound of 200 ms.
            {
                "arrivals": {
                    s: ArrivalSecond(10, 10, late_us={bucket_of(25_000): 10}) for s in range(12)
                }
            },
            "in 6 of 6 seconds it sent requests more than 20 ms late",
        ),
        ({"users": dict.fromkeys(range(9), 1)}, "it recorded nothing in 1 second"),
        ({"workers": (WorkerEvent(6, "w2", "lost"),)}, "it lost 1 worker"),
        ({"generator": {s: GeneratorSecond(0.97, 0.0, 1) for s in range(12)}}, "in 6 of 6 seconds"),
    ],
)
def test_a_generator_that_is_the_limit_says_so(changes: dict[str, object], problem: str) -> None:
    assert problem in step_result(record(**changes), STEP, CRITERIA).generator_problem


def test_a_target_that_was_scaled_meanwhile_is_not_one_target(tmp_path: Path) -> None:
    """Goal: who reads the interval knows of it. Method: one service scaled in the third step, one
    after the last.
    """
    _, recording = search_run(tmp_path, world(capacity_per_s=333.0))
    assert recording.signals is not None
    ends = [step.start_s + step.duration_s for step in recording.load.steps]

    def replicas(service: str, at_s: float) -> SignalSeries:
        points = ((0.0, 2.0), (at_s, 3.0))
        series = {"sli": "replicas.desired", "service": service, "unit": "count", "query": "x"}
        return SignalSeries(**series, step_s=1.0, points=points, state="ok")  # type: ignore[arg-type]

    series = (replicas("order-api", ends[2] - 1), replicas("payment-api", ends[-1] + 1))
    signals = recording.signals.model_copy(update={"series": series})
    answer = finding(evaluate(replace(recording, signals=signals)), "breaking-point")
    assert answer.reason.endswith(
        "Replicas of order-api changed meanwhile: it was not the same target at all of these rates."
    )


@pytest.mark.parametrize(
    ("failed", "said"),
    [((0, 10, 10), True), ((10, 10, 10), False), ((1, 10, 10), False), ((0, 4, 4), False)],
)
def test_a_target_that_broke_meanwhile_is_not_taken_for_its_limit(
    tmp_path: Path, failed: tuple[int, ...], said: bool
) -> None:
    """Goal: who reads "below the first step" knows. Method: three steps at the rate that fails."""
    _, recording = search_run(tmp_path, world(capacity_per_s=333.0))
    known = searched(recording)
    assert known is not None
    steps = tuple(
        replace(
            known.steps[0],
            result=StepResult(10.0, (StepSecond(10, lost, {bucket_of(5_000): 10 - lost}),)),
        )
        for lost in failed
    )
    found = replace(known.answer, low_per_s=0.0, high_per_s=10.0)
    reason = search_answer(replace(known, steps=steps, answer=found, law=None)).reason
    sentence = (
        " In step 1, at 10/s, no request had failed, and in step 3 most did: see whether the "
        "target broke meanwhile."
    )
    assert reason.endswith(sentence) is said


def test_steps_that_the_generator_spoilt_are_no_matter_once_there_is_an_answer(
    tmp_path: Path,
) -> None:
    """Goal: no warning for what was made good. Method: the generator can do less than the first
    rate that would fail, but more than the target.
    """
    both = world(capacity_per_s=333.0, generator_max_per_s=390.0)
    _, recording = search_run(tmp_path, both)
    evaluation = evaluate(recording)
    assert evaluation.search is not None
    assert evaluation.search.high_per_s is not None
    assert evaluation.search.low_per_s <= 333 <= evaluation.search.high_per_s < 390
    room = finding(evaluation, "generator-had-room")
    assert room.verdict is Verdict.PASS
    assert "the generator was the limit, first at 400/s" in room.reason
    assert evaluation.verdict is Verdict.PASS
