"""Validity of the open model's load where there are several phases: the worst of them decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import ABORT, reasons, recording_of
from staged import staged_plan

from runner.analysis.evaluate import evaluate
from runner.model.histogram import bucket_of
from runner.model.recording import ArrivalSecond

RATE = 50
PHASES = {"baseline": range(5, 20), "fault": range(20, 40), "recovery": range(40, 60)}


def verdict_of(bad: ArrivalSecond, phase: str, check: str) -> tuple[str, str]:
    """Verdict and reason of ``check`` when ``bad`` is each second of one phase."""
    usual = ArrivalSecond(RATE, RATE, 0, 0, RATE, {bucket_of(802): RATE})
    fault = ABORT | {"at": "20s", "duration": "20s"}
    recording = recording_of(staged_plan((60, RATE), unit="rate", warmup="5s", faults=[fault]))
    arrivals = dict.fromkeys(range(60), usual) | dict.fromkeys(PHASES[phase], bad)
    recording = replace(recording, load=replace(recording.load, arrivals=arrivals))
    finding = reasons(evaluate(recording).findings, check)
    return finding["verdict"], finding["reason"]


@pytest.mark.parametrize("phase", PHASES)
def test_one_phase_with_too_few_arrivals_is_enough(phase: str) -> None:
    """Goal: no phase makes up for another. Method: half of the arrivals in one of three."""
    half = ArrivalSecond(RATE, RATE // 2, 0, 0, RATE // 2, {bucket_of(802): RATE // 2})
    verdict, reason = verdict_of(half, phase, "load-delivered")
    assert verdict == "inconclusive"
    assert f"planned ones were started in {phase}" in reason


@pytest.mark.parametrize("phase", PHASES)
def test_one_phase_with_late_arrivals_is_enough(phase: str) -> None:
    """Goal: as above. Method: starts that are late by 0.2 s in one of three."""
    late = ArrivalSecond(RATE, RATE, 0, 0, RATE, {bucket_of(200_000): RATE})
    verdict, reason = verdict_of(late, phase, "sent-in-time")
    assert verdict == "inconclusive"
    assert f"within 200 ms of their time in {phase}" in reason
