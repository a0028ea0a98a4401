"""What holds of every verdict, whatever the objectives are and whatever is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from anyobjective import BASE, LENGTH_S, TROUBLE, Trouble, plans, run_of, without_samples
from builders import OTHER_SERVICE, SERVICE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Evaluation, Finding, Verdict, overall, worst
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import PhaseSignal, Recording, Signals

PASS, WARN, INCONCLUSIVE, FAIL = Verdict
GOOD = (PASS, WARN)
SILENCES = ("none", "refused", "empty", "gaps", "error", "nan", "unsampled")

few = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


# -- the order -------------------------------------------------------------------------------------


def finding(kind: str, verdict: Verdict) -> Finding:
    return Finding.model_validate(
        {"kind": kind, "check": "c", "title": "t", "verdict": verdict, "reason": "r"}
    )


VERDICTS = st.lists(st.sampled_from(list(Verdict)), max_size=5)


@given(VERDICTS, VERDICTS, VERDICTS, st.one_of(st.none(), st.sampled_from(list(Verdict))))
def test_not_valid_first_then_fail_inconclusive_warn_pass(
    validity: list[Verdict],
    objectives: list[Verdict],
    answers: list[Verdict],
    by_score: Verdict | None,
) -> None:
    """Goal: the order of the verdict. Method: each part of it is written out once more."""
    findings = [finding("validity", one) for one in validity]
    findings += [finding("objective", one) for one in objectives]
    findings += [finding("answer", one) for one in answers]
    verdict, valid = overall(findings, by_score)
    assert valid == (bool(validity) and set(validity) <= {PASS, WARN})
    judged = worst(objectives) if by_score is None else by_score
    if not valid or not objectives:
        assert verdict is INCONCLUSIVE
    elif judged in (FAIL, INCONCLUSIVE):
        assert verdict is judged
    else:
        assert verdict is (WARN if WARN in (judged, *validity) else PASS)


@few
@given(plans(), TROUBLE, st.sampled_from(["state", "load", "faults"]))
def test_what_is_not_valid_is_inconclusive_whatever_was_met_or_missed(
    plan: Plan, trouble: Trouble, broken: str
) -> None:
    """The run was broken off, its load not closed, or its fault not seen."""
    whole = run_of(plan, trouble)
    changes: dict[str, dict[str, Any]] = {
        "state": {"manifest": whole.manifest.model_copy(update={"state": "aborted"})},
        "load": {"load": replace(whole.load, finished=False)},
        "faults": {"faults": ()},
    }
    evaluation = evaluate(replace(whole, **changes[broken]))
    assert (evaluation.verdict, evaluation.valid) == (INCONCLUSIVE, False)


# -- missing data ----------------------------------------------------------------------------------

Loss = Callable[[Recording], Recording]


def _of_signals(change: Callable[[Signals], Signals]) -> Loss:
    def lose(recording: Recording) -> Recording:
        signals = recording.signals
        return recording if signals is None else replace(recording, signals=change(signals))

    return lose


def _of_phases(concerned: Callable[[int, PhaseSignal], bool], how: dict[str, Any] | None) -> Loss:
    """Signals that are changed, or gone."""

    def change(signals: Signals) -> Signals:
        kept = []
        for at, one in enumerate(signals.phases):
            if not concerned(at, one):
                kept.append(one)
            elif how is not None:
                kept.append(one.model_copy(update=how))
        return signals.model_copy(update={"phases": tuple(kept)})

    return _of_signals(change)


def _without_seconds(missing: frozenset[int]) -> Loss:
    def lose(recording: Recording) -> Recording:
        load = recording.load
        kept = {second: users for second, users in load.users.items() if second not in missing}
        rows = tuple(one for one in load.rows if one.second not in missing)
        return replace(recording, load=replace(load, rows=rows, users=kept))

    return lose


HOWS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"value": None, "samples": None, "state": "empty"},
    {"value": None, "state": "gaps", "message": "Prometheus was away"},
    {"state": "error", "message": "the query was refused"},
    {"value": float("nan")},
    {"samples": 0.0},
    {"samples": None},
)
LOSSES: st.SearchStrategy[Loss] = st.one_of(
    st.builds(
        lambda which, how: _of_phases(lambda at, one: at % 97 in which, how),
        st.frozensets(st.integers(0, 96), min_size=1, max_size=20),
        st.sampled_from(HOWS),
    ),
    st.builds(
        lambda phase, how: _of_phases(lambda at, one: one.phase == phase, how),
        st.integers(0, 5),
        st.sampled_from(HOWS),
    ),
    st.builds(
        lambda name, how: _of_phases(lambda at, one: one.service == name, how),
        st.sampled_from(["", SERVICE, OTHER_SERVICE]),
        st.sampled_from(HOWS),
    ),
    st.builds(
        lambda sli, how: _of_phases(lambda at, one: one.sli.startswith(sli), how),
        st.sampled_from(["errors", "traffic", "latency", "saturation", "signal"]),
        st.sampled_from(HOWS),
    ),
    st.builds(
        _without_seconds,
        st.frozensets(st.integers(0, LENGTH_S - 1), min_size=1, max_size=LENGTH_S),
    ),
    st.just(_of_signals(lambda one: one.model_copy(update={"error": "Prometheus died"}))),
    st.just(_of_signals(lambda one: one.model_copy(update={"alerts_missing": "refused"}))),
    st.just(_of_signals(lambda one: one.model_copy(update={"fault_flags": {}}))),
    st.just(_of_signals(lambda one: one.model_copy(update={"series": ()}))),
    st.just(_of_signals(lambda one: one.model_copy(update={"scrape_gaps": ("it was away",)}))),
    st.just(lambda one: replace(one, signals=None)),
    st.just(lambda one: replace(one, faults=())),
    st.just(lambda one: replace(one, load=replace(one.load, rows=()))),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), TROUBLE, st.lists(LOSSES, min_size=1, max_size=2))
def test_missing_data_never_makes_a_verdict_better(
    plan: Plan, trouble: Trouble, losses: list[Loss]
) -> None:
    """Goal: who loses data gains nothing. Method: the same run, and with one or two losses.

    What was no pass and no warning is none afterwards, and a warning is no pass.
    """
    whole = run_of(plan, trouble)
    less = whole
    for lose in losses:
        less = lose(less)
    before, after = evaluate(whole).verdict, evaluate(less).verdict
    assert before in GOOD or after not in GOOD
    assert not (before is WARN and after is PASS)


@few
@given(plans(), TROUBLE, st.sampled_from(SILENCES))
def test_nothing_passes_without_samples(plan: Plan, trouble: Trouble, how: str) -> None:
    """Goal: no set of objectives is met by silence. Method: each finding, not the run alone."""
    evaluation = evaluate(without_samples(run_of(plan, trouble), how))
    judged = [one for one in evaluation.findings if one.kind == "objective"]
    assert len(judged) == len(plan.experiment.objectives)
    assert [one for one in judged if one.verdict in GOOD] == []
    assert evaluation.verdict is INCONCLUSIVE
    if evaluation.score is not None:
        assert evaluation.score.reached == 0.0


# -- the same again --------------------------------------------------------------------------------


def concluded(evaluation: Evaluation) -> tuple[Any, ...]:
    """What must not depend on the order of objectives."""
    findings = sorted(
        (one.title, one.verdict, repr(one.observed), repr(one.bound), one.weight, one.key)
        for one in evaluation.findings
    )
    return (
        evaluation.verdict,
        evaluation.valid,
        findings,
        evaluation.score,
        evaluation.budget,
        evaluation.views,
    )


@few
@given(plans(), TROUBLE, st.data())
def test_the_order_of_objectives_changes_nothing(
    plan: Plan, trouble: Trouble, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(plan.experiment.objectives))
    recording = run_of(plan, trouble)
    one = evaluate(recording)
    assert concluded(evaluate(recording, tuple(shuffled))) == concluded(one)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), TROUBLE)
def test_the_same_recording_is_judged_the_same(plan: Plan, trouble: Trouble) -> None:
    one, again = evaluate(run_of(plan, trouble)), evaluate(run_of(plan, trouble))
    assert one.model_dump_json() == again.model_dump_json()


@pytest.mark.parametrize(
    ("objectives", "trouble", "verdict"),
    [
        (["errors < 1%"], Trouble(), PASS),
        (["errors < 1%"], Trouble(failing=frozenset({12})), FAIL),
        ([{"objective": "latency.p95 < 1s", "warn": "10ms"}], Trouble(), WARN),
        ([{"objective": "errors < 1%", "of": "GET /nobody"}], Trouble(), INCONCLUSIVE),
        (["no critical alert"], Trouble(firing=True), FAIL),
        (["errors < 1%"], Trouble(apart=True), WARN),
    ],
)
def test_the_runs_of_these_tests_have_every_verdict(
    objectives: Sequence[Any], trouble: Trouble, verdict: Verdict
) -> None:
    """Goal: the properties are not true of nothing."""
    plan = make_plan(Experiment.model_validate({**BASE, "objectives": objectives}))
    assert evaluate(run_of(plan, trouble)).verdict is verdict
