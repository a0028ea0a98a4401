"""The whole evaluation: its sentence, its figures, and what must never happen to a verdict."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    ABORT,
    KILL,
    ORDERS,
    OTHER_SERVICE,
    PRODUCTS,
    SERVICE,
    healthy,
    load_of,
    plan_of,
    recording_of,
    row,
    signals_of,
    with_signal,
)
from conftest import Golden
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Evaluation, Verdict
from runner.model.recording import LoadRecord, LoadRow, Recording, Signals

GOOD = (Verdict.PASS, Verdict.WARN)
OBJECTIVES: tuple[Any, ...] = (
    "latency.p95 < 500ms",
    {"objective": "errors < 1%", "during": ["baseline", "recovery"]},
    {"objective": "errors < 40%", "during": "fault", "of": ORDERS},
    {"objective": "latency.p99 < 1s", "service": SERVICE, "warn": "900ms"},
    "saturation.cpu < 50%",
    "recovery < 20s",
)


def troubled(second: int) -> Sequence[LoadRow]:
    """A third of the orders fail in the fault and for 4 s after it."""
    if 20 <= second < 34:
        return (*healthy(second), row(second, 25, outcome="http_5xx"))
    return healthy(second)


def shop_run(rows: Any = troubled, **changes: Any) -> Recording:
    return recording_of(plan_of(*OBJECTIVES, faults=[ABORT]), rows, **changes)


# -- sentences -------------------------------------------------------------------------------------


def sentence_of(recording: Recording) -> str:
    return evaluate(recording).sentence


def test_sentence_of_a_pass() -> None:
    assert sentence_of(shop_run(healthy)) == (
        "PASS: all 6 objectives were met and the run was valid."
    )


def test_sentence_of_a_failure() -> None:
    """The first objective that was missed, with figures; the others are counted."""
    objectives = ("errors < 1%", "latency.p95 < 1ms", "traffic > 1/s")
    recording = recording_of(plan_of(*objectives, faults=[ABORT]), troubled)
    assert sentence_of(recording) == (
        "FAIL: 2 of 3 objectives were missed. The share of failed requests was 20 % "
        "(fault 01-http-abort; the worst of 3); the bound is < 1 %. (And 1 more reason.)"
    )


def test_sentence_of_a_run_that_proves_nothing() -> None:
    """Whatever was missed: an invalid run has no verdict on the service."""
    plan = plan_of("errors < 1%", faults=[ABORT])
    recording = recording_of(plan, load=load_of(plan, troubled, until_s=40))
    assert sentence_of(recording) == (
        "INCONCLUSIVE: the run proves nothing. The load ended after 40 s of the planned 60 s."
    )


def test_sentence_of_a_warning() -> None:
    plan = plan_of("errors < 1%", {"objective": "latency.p95 < 500ms", "warn": "10ms"})
    assert sentence_of(recording_of(plan)) == (
        "WARN: all 2 objectives were met, with 1 warning. The p95 latency of successful requests "
        "was 20 ms (baseline): within the bound of 500 ms, but past the warning at 10 ms."
    )


def test_sentence_of_what_could_not_be_judged() -> None:
    plan = plan_of("errors < 1%", {"objective": "errors < 1%", "of": "GET /typo"})
    assert sentence_of(recording_of(plan)) == (
        "INCONCLUSIVE: 1 of 2 objectives was not proven. Nothing could be said about the share of "
        "failed requests (baseline, GET /typo): there were no requests to GET /typo, only to "
        "others: GET /api/v1/products, POST /api/v1/orders."
    )


def test_sentence_of_a_rehearsal() -> None:
    plan = plan_of("errors < 1%", duration="600s", warmup="10s", time_scale=0.1)
    evaluation = evaluate(recording_of(plan))
    assert evaluation.sentence.startswith("REHEARSAL (durations × 0.1), PASS: the objective was")
    assert evaluation.time_scale == 0.1


def test_nothing_to_judge_is_no_pass() -> None:
    evaluation = evaluate(recording_of(plan_of()), ())
    assert (evaluation.verdict, evaluation.valid) == (Verdict.INCONCLUSIVE, True)
    assert evaluation.sentence == "INCONCLUSIVE: the run has no objective, so nothing was judged."


# -- figures ---------------------------------------------------------------------------------------


def test_figures_of_a_fault() -> None:
    """When it was in place and gone, whom it hit, and how long the recovery took."""
    first, second = evaluate(
        recording_of(plan_of(*OBJECTIVES, faults=[ABORT, {**KILL, "at": "45s"}]), troubled)
    ).faults
    assert first.injected_s == pytest.approx(20.2)
    assert first.gone_s == pytest.approx(30.2)
    assert (first.recovery_s, first.flagged) == (4.0, 500.0)
    assert first.subjects == ("virtualservice/payment-api",)
    assert second.injected_s == pytest.approx(45.5)
    assert second.gone_s == pytest.approx(49.0)
    assert (second.recovery_s, second.flagged, second.subjects) == (0.0, None, ("pod/order-api-a",))


def test_figures_of_signals() -> None:
    """One line per service and phase, in the right fields; the ingress is no service."""
    plan = plan_of(*OBJECTIVES, faults=[ABORT])
    signals = with_signal(signals_of(plan), "errors", SERVICE, [2], value=0.5)
    known = {(one.service, one.phase): one for one in evaluate(shop_run(signals=signals)).signals}
    assert set(known) == {
        (service, phase)
        for service in (OTHER_SERVICE, SERVICE)
        for phase in ("warmup", "baseline", "fault", "recovery")
    }
    seen = known[SERVICE, "fault"]
    assert (seen.error_ratio, seen.traffic_per_s, seen.p50_s) == (0.5, 100.0, 0.010)
    assert (seen.p95_s, seen.p99_s) == (0.030, 0.050)
    assert (seen.cpu_ratio, seen.memory_ratio) == (0.20, 0.30)


def test_failures_are_listed_by_frequency() -> None:
    recording = shop_run()
    failures = {(ORDERS, "http_5xx", "HTTP 503"): 7, (PRODUCTS, "timeout", "timed out"): 9}
    evaluation = evaluate(replace(recording, load=replace(recording.load, failures=failures)))
    assert [(one.text, one.count) for one in evaluation.failures] == [
        ("timed out", 9),
        ("HTTP 503", 7),
    ]


def test_evaluation_survives_json() -> None:
    """What is written is what is read: no NaN, no type that JSON lacks."""
    evaluation = evaluate(shop_run())
    assert Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation


def test_whole_evaluation(golden: Golden) -> None:
    """A run whose recovery from an abort was bumpy, as a person has looked at it."""
    golden("analysis/evaluation.json", evaluate(shop_run()).model_dump(mode="json"))


def test_heavy_packages_are_loaded_when_needed_only() -> None:
    """The supervisor of a run imports this module and never pandas; a fresh interpreter tells."""
    code = (
        "import sys, runner.analysis.evaluate, runner.signals.prometheus\n"
        "print(sorted({'pandas', 'numpy', 'scipy', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- what must never happen ------------------------------------------------------------------------


def without_seconds(load: LoadRecord, missing: set[int]) -> LoadRecord:
    return replace(
        load,
        rows=tuple(one for one in load.rows if one.second not in missing),
        users={second: users for second, users in load.users.items() if second not in missing},
    )


def without_signals(signals: Signals, missing: set[int]) -> Signals:
    kept = [one for at, one in enumerate(signals.phases) if at not in missing]
    return signals.model_copy(update={"phases": tuple(kept)})


BAD_SIGNALS = [
    ("saturation.cpu", SERVICE, {"value": 0.9}),
    ("latency.p99", SERVICE, {"value": 3.0}),
    ("latency.p99", SERVICE, {"value": None, "state": "empty"}),
]


@settings(max_examples=60)
@given(
    st.sets(st.integers(0, 59), max_size=5),
    st.sets(st.integers(0, 59), max_size=5),
    st.sets(st.integers(0, 95), max_size=10),
    st.sampled_from([None, *BAD_SIGNALS]),
    st.sampled_from(["flags", "faults", ""]),
)
def test_missing_data_never_makes_a_run_good(
    failing: set[int],
    missing: set[int],
    silent: set[int],
    bad: tuple[str, str, dict[str, Any]] | None,
    gone: str,
) -> None:
    """Take seconds, signals, flags or faults away: what was not good does not become good."""

    def rows(second: int) -> Sequence[LoadRow]:
        if second in failing:
            return (*healthy(second), row(second, 60, outcome="timeout"))
        return troubled(second)

    whole = shop_run(rows)
    assert whole.signals is not None
    if bad is not None:
        sli, service, changes = bad
        whole = replace(whole, signals=with_signal(whole.signals, sli, service, [2], **changes))
    assert whole.signals is not None
    signals = without_signals(whole.signals, silent)
    if gone == "flags":
        signals = signals.model_copy(update={"fault_flags": {}, "late_flags": {}})
    less = replace(
        whole,
        load=without_seconds(whole.load, missing),
        signals=signals,
        faults=() if gone == "faults" else whole.faults,
    )
    before, after = evaluate(whole).verdict, evaluate(less).verdict
    assert before in GOOD or after not in GOOD
    if missing or gone:
        assert after is Verdict.INCONCLUSIVE


@given(
    st.sampled_from(
        [
            "latency.p95 < 100s",
            "latency.max < 100s",
            "errors < 100%",
            "traffic >= 0/s",
            "saturation.cpu < 100%",
            "recovery < 1000s",
        ]
    ),
    st.sampled_from(["client", "mesh", None]),
    st.booleans(),
)
def test_nothing_passes_without_samples(text: str, source: str | None, empty: bool) -> None:
    """Bounds that anything would meet, in a run that saw nothing: never a pass."""
    client_only = text.startswith("saturation") and source == "client"
    document: dict[str, Any] = {"objective": text}
    if source is not None and not client_only:
        document["source"] = source
    plan = plan_of(document, faults=[ABORT])
    signals = signals_of(plan)
    silent = tuple(
        one.model_copy(update={"value": None if empty else one.value, "samples": 0.0})
        for one in signals.phases
    )
    recording = recording_of(
        plan, lambda _: (), signals=signals.model_copy(update={"phases": silent})
    )
    evaluation = evaluate(recording)
    (judged,) = [one for one in evaluation.findings if one.kind == "objective"]
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert evaluation.verdict is Verdict.INCONCLUSIVE
