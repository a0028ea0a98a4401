"""Objectives in the mesh's view: services, saturation, and what Prometheus does not know."""

from __future__ import annotations

from typing import Any

import pytest
from builders import (
    ABORT,
    OTHER_SERVICE,
    SERVICE,
    plan_of,
    signals_of,
    with_signal,
)
from judging import BASELINE, FAULT, RECOVERY, judged

from runner.model.evaluation import Verdict


def test_mesh_figure_of_a_service() -> None:
    """The figure of exactly that phase, indicator and service."""
    plan = plan_of(faults=[ABORT])
    signals = with_signal(
        signals_of(plan), "latency.p95", SERVICE, [FAULT], value=0.7, samples=42.0
    )
    objective = {"objective": "latency.p95 < 500ms", "service": SERVICE}
    finding = judged(objective, signals=signals)
    assert (finding.verdict, finding.observed, finding.samples) == (Verdict.FAIL, 0.7, 42.0)
    assert (finding.service, finding.phase, finding.source) == (SERVICE, "fault", "mesh")
    other = judged({**objective, "service": OTHER_SERVICE}, signals=signals)
    assert other.verdict is Verdict.PASS


def test_mesh_without_a_service_is_the_ingress() -> None:
    plan = plan_of(faults=[ABORT])
    signals = with_signal(signals_of(plan), "errors", "", [BASELINE], value=0.2)
    finding = judged({"objective": "errors < 1%", "source": "mesh"}, signals=signals)
    assert (finding.verdict, finding.observed, finding.phase) == (Verdict.FAIL, 0.2, "baseline")


def test_saturation_without_a_service_is_that_of_the_worst() -> None:
    plan = plan_of(faults=[ABORT])
    signals = with_signal(signals_of(plan), "saturation.cpu", SERVICE, [RECOVERY], value=0.45)
    finding = judged({"objective": "saturation.cpu < 50%", "warn": "40%"}, signals=signals)
    assert (finding.verdict, finding.observed, finding.service) == (Verdict.WARN, 0.45, SERVICE)
    assert finding.where == f"recovery, {SERVICE}"


@pytest.mark.parametrize(
    "changes",
    [
        {"value": None, "state": "empty", "message": "the mesh saw no request to it"},
        {"state": "gaps", "message": "the data has gaps"},
        {"value": None, "state": "error", "message": "too many samples"},
        {"value": float("nan")},
        {"samples": None},
        {"samples": 0.0},
    ],
)
def test_what_the_mesh_does_not_know_is_no_evidence(changes: dict[str, Any]) -> None:
    """A gap, an error, nothing, no number, no sample: none of it is a pass."""
    plan = plan_of(faults=[ABORT])
    signals = with_signal(signals_of(plan), "errors", SERVICE, [FAULT], **changes)
    objective = {"objective": "errors < 1%", "service": SERVICE}
    finding = judged(objective, signals=signals)
    assert (finding.verdict, finding.phase) == (Verdict.INCONCLUSIVE, "fault")
    failed = judged({**objective, "on_missing": "fail"}, signals=signals)
    assert failed.verdict is Verdict.FAIL


def test_one_silent_service_leaves_saturation_unproven() -> None:
    """Unless another is beyond the bound already."""
    plan = plan_of(faults=[ABORT])
    silent = with_signal(
        signals_of(plan), "saturation.cpu", SERVICE, [FAULT], value=None, state="empty"
    )
    finding = judged("saturation.cpu < 50%", signals=silent)
    assert (finding.verdict, finding.service) == (Verdict.INCONCLUSIVE, SERVICE)
    hot = with_signal(silent, "saturation.cpu", OTHER_SERVICE, [FAULT], value=0.9)
    assert judged("saturation.cpu < 50%", signals=hot).verdict is Verdict.FAIL


def test_statistic_that_the_mesh_does_not_have() -> None:
    """Buckets have no maximum."""
    finding = judged({"objective": "latency.max < 1s", "service": SERVICE})
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "the mesh has no figure of latency.max" in finding.reason


def test_service_in_the_clients_view_is_not_known() -> None:
    finding = judged({"objective": "errors < 1%", "service": SERVICE, "source": "client"})
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "the load sees endpoints, not services" in finding.reason


def test_no_signals_at_all() -> None:
    objective = {"objective": "errors < 1%", "service": SERVICE}
    assert "no signals were collected" in judged(objective, signals=None).reason
    error = signals_of(plan_of()).model_copy(update={"error": "it is away", "phases": ()})
    assert "the signals are missing: it is away" in judged(objective, signals=error).reason


# -- recovery --------------------------------------------------------------------------------------
