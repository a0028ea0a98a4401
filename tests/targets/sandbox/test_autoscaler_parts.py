"""What the autoscaler measures with and what it tells: pure parts, against values."""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.autoscaler_status import (
    metric_status,
    name_of,
    quantity_text,
    status_of,
)
from runner.targets.sandbox.exporter_families import Usage
from runner.targets.sandbox.readings import Readings
from runner.targets.sandbox.scaling import Proposal, Reading, Target
from runner.targets.sandbox.scaling_rules import Condition


def sampled(window_s: float, *samples: tuple[float, float]) -> Readings:
    """Samples of one pod: seconds, and CPU seconds used until then."""
    readings = Readings(window_s)
    for at_s, cpu_s in samples:
        readings.take({"a": Usage(cpu_s, 7, 0.0)}, at_s)
    return readings


def test_cpu_is_the_increase_over_the_window() -> None:
    """0.9 s of CPU in the last 15 s are 60 thousandths of a core; what was before is left out."""
    readings = sampled(15.0, (0.0, 5.0), (5.0, 9.0), (10.0, 9.3), (20.0, 9.9))
    assert readings.of("cpu", {}) == {"a": Reading(60, 20.0, 15.0)}


def test_cpu_is_taken_since_the_pod_is_ready() -> None:
    """The start took a whole second; the 8 s since the pod is ready took 0.08 s."""
    readings = sampled(15.0, (0.0, 0.0), (2.0, 1.0), (10.0, 1.08))
    assert readings.of("cpu", {"a": 2.0}) == {"a": Reading(10, 10.0, 8.0)}
    # Less than half a window since then says too little: the whole one, which shows its age.
    assert readings.of("cpu", {"a": 9.0}) == {"a": Reading(108, 10.0, 10.0)}


def test_too_few_samples_are_no_figure() -> None:
    """Neither one sample, nor two that are closer than half a window."""
    assert sampled(10.0, (0.0, 1.0)).of("cpu", {}) == {}
    assert sampled(10.0, (0.0, 1.0), (4.9, 2.0)).of("cpu", {}) == {}
    assert sampled(10.0, (0.0, 1.0), (5.0, 2.0)).of("cpu", {}) == {"a": Reading(200, 5.0, 5.0)}


def test_a_restarted_process_begins_anew() -> None:
    """Its CPU seconds begin at zero again and must not become a negative usage."""
    readings = sampled(10.0, (0.0, 50.0), (9.0, 60.0))
    readings.take({"a": Usage(0.1, 7, 9.5)}, 10.0)
    assert readings.of("cpu", {}) == {}
    readings.take({}, 11.0)
    assert readings.of("memory", {}) == {}


def test_memory_is_what_is_there_now() -> None:
    readings = sampled(10.0, (0.0, 1.0))
    assert readings.of("memory", {}) == {"a": Reading(7000, 0.0, 0.0)}


def test_quantities_of_the_status() -> None:
    """Cores in thousandths, memory in bytes, as Kubernetes writes them."""
    assert quantity_text("cpu", 37) == "37m"
    assert quantity_text("cpu", 2000) == "2"
    assert quantity_text("memory", 7_000_999) == "7000"


def test_metrics_of_the_status() -> None:
    share, absolute = Target("cpu", utilization=60), Target("memory", average_milli=5000)
    assert metric_status(share, Proposal(3, 37, 74)) == {
        "type": "Resource",
        "resource": {"name": "cpu", "current": {"averageValue": "37m", "averageUtilization": 74}},
    }
    assert metric_status(absolute, Proposal(3, 6000, None)) == {
        "type": "Resource",
        "resource": {"name": "memory", "current": {"averageValue": "6"}},
    }
    assert name_of(share) == "cpu resource utilization (percentage of request)"
    assert name_of(absolute) == "memory resource"


def reasons(status: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {
        each["type"]: (each["status"], each["reason"], each["lastTransitionTime"])
        for each in status["conditions"]
    }


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    """Its reason may change meanwhile; of two of a type the later one is told."""
    able = Condition("AbleToScale", True, "SucceededGetScale", "m")
    first = status_of({}, 60.0, [able], current=2, desired=4)
    assert first["lastScaleTime"] == "1970-01-01T00:01:00Z"
    assert (first["currentReplicas"], first["desiredReplicas"]) == (2, 4)
    late = [able, able._replace(reason="ReadyForNewScale")]
    active = Condition("ScalingActive", False, "FailedGetResourceMetric", "m")
    second = status_of({"status": first}, 120.0, [*late, active], current=4, desired=4)
    assert "lastScaleTime" not in second
    assert reasons(second) == {
        "AbleToScale": ("True", "ReadyForNewScale", "1970-01-01T00:01:00Z"),
        "ScalingActive": ("False", "FailedGetResourceMetric", "1970-01-01T00:02:00Z"),
    }


def test_without_a_scale_the_last_numbers_stay() -> None:
    before = {"status": {"currentReplicas": 3, "desiredReplicas": 5, "conditions": []}}
    failed = Condition("AbleToScale", False, "FailedGetScale", "m")
    status = status_of(before, 0.0, [failed])
    assert (status["currentReplicas"], status["desiredReplicas"]) == (3, 5)
    assert status["currentMetrics"] == []
