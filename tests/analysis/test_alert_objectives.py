"""Objectives on alerts: what fired, what did not, and what nobody could have known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from builders import OTHER_SERVICE, healthy, load_of, plan_of, recording_of, signals_of

from runner.analysis.evaluate import evaluate
from runner.model.alertspan import AlertSpan
from runner.model.evaluation import Finding
from runner.model.plan import Plan

EXPECTED = {"expect_alert": {"name": "HighErrorRate", "firing_within": "20s"}}
ABORT = {
    "kind": "http-abort",
    "name": "half",
    "service": OTHER_SERVICE,
    "at": "20s",
    "duration": "15s",
    "status": 503,
}
KNOWN: dict[str, Any] = {
    "alerts_missing": "",
    "rules": ("HighErrorRate", "HighLatency"),
    "rule_severities": {"HighErrorRate": ("critical",), "HighLatency": ("warning",)},
}


def span(
    start_s: float,
    end_s: float,
    name: str = "HighErrorRate",
    state: str = "firing",
    severity: str = "critical",
    **labels: str,
) -> AlertSpan:
    return AlertSpan.model_validate(
        {
            "name": name,
            "severity": severity,
            "state": state,
            "labels": labels,
            "start_s": start_s,
            "end_s": end_s,
        }
    )


def found(
    plan: Plan, alerts: Sequence[AlertSpan] = (), until_s: int | None = None, **changes: Any
) -> Finding:
    """The finding about the plan's first objective; the load ends at ``until_s``."""
    signals = signals_of(plan).model_copy(update={"alerts": tuple(alerts), **KNOWN, **changes})
    load = load_of(plan, healthy, until_s)
    findings = evaluate(recording_of(plan, signals=signals, load=load)).findings
    (finding,) = [one for one in findings if one.kind == "objective"]
    return finding


def awaited(alerts: Sequence[AlertSpan] = (), plan: Plan | None = None, **changes: Any) -> Finding:
    return found(plan or plan_of(EXPECTED, faults=[ABORT]), alerts, **changes)


# -- one that must fire ----------------------------------------------------------------------------


def test_an_alert_in_time_passes_with_the_time_it_took() -> None:
    """Goal: from the start of the fault to the first firing. Method: pending at 4 s first."""
    finding = awaited([span(24.0, 32.0, state="pending"), span(32.5, 50.0)])
    assert (finding.verdict, finding.observed) == ("pass", 12.5)
    assert finding.reason == (
        "The time until the alert HighErrorRate fired was 12.5 s (from the start of 01-half), "
        "within the bound of 20 s."
    )


def test_an_alert_that_comes_late_fails() -> None:
    finding = awaited([span(41.0, 50.0)])
    assert (finding.verdict, finding.observed) == ("fail", 21.0)
    assert finding.reason.endswith("was 21 s (from the start of 01-half); the bound is <= 20 s.")


def test_an_alert_that_does_not_fire_fails_when_it_was_watched_for_as_long() -> None:
    """Goal: silence is a failure of the alert. Method: 40 s are watched, 20 s were allowed."""
    finding = awaited([span(26.0, 31.0, state="pending")])
    assert finding.verdict == "fail"
    assert finding.reason == (
        "The alert HighErrorRate did not fire in the 40s from the start of 01-half to the end of "
        "the run, though it was pending from 6s after that on, for 5s; the bound is <= 20 s."
    )


def test_an_alert_that_was_watched_too_shortly_proves_nothing() -> None:
    plan = plan_of(
        {"expect_alert": {"name": "HighErrorRate", "firing_within": "2m"}}, faults=[ABORT]
    )
    finding = awaited(plan=plan)
    assert finding.verdict == "inconclusive"
    assert "it did not fire, but was watched for 40 s only of 120 s" in finding.reason


def test_an_alert_that_fired_already_proves_nothing() -> None:
    """Goal: what fired before the fault was not fired by it. Method: since before the load."""
    finding = awaited([span(-120.0, 55.0)])
    assert finding.verdict == "inconclusive"
    assert "it fired already when the fault began, since 2m before the load" in finding.reason


def test_an_alert_that_was_over_before_the_fault_is_no_answer_and_no_obstacle() -> None:
    finding = awaited([span(5.0, 15.0), span(30.0, 50.0)])
    assert (finding.verdict, finding.observed) == ("pass", 10.0)


def test_an_alert_of_another_name_is_no_answer() -> None:
    assert awaited([span(30.0, 50.0, name="HighLatency")]).verdict == "fail"


def test_an_alert_that_fired_at_another_time_is_one_that_can_fire() -> None:
    """Goal: nobody need know the rules then. Method: it fired and was over before the fault."""
    assert awaited([span(5.0, 15.0)], rules=None).verdict == "fail"


@pytest.mark.parametrize(
    ("end_s", "said"),
    [
        (19.0, "to the end of the run; the bound"),
        (20.0, "to the end of the run, though it was pending when the fault began; the bound"),
    ],
)
def test_what_was_pending_before_the_fault_is_told_if_it_still_was(end_s: float, said: str) -> None:
    finding = awaited([span(10.0, end_s, state="pending")])
    assert finding.verdict == "fail"
    assert said in finding.reason


def test_the_first_of_those_that_fired_already_is_told() -> None:
    finding = awaited([span(15.0, 30.0, pod="a"), span(12.0, 40.0, pod="b")])
    assert finding.reason.rstrip(".").endswith("when the fault began, since 12s")


def test_a_fault_that_the_load_did_not_reach_raises_nothing() -> None:
    finding = awaited([span(22.0, 50.0)], until_s=15)
    assert (finding.verdict, finding.observed) == ("inconclusive", None)
    assert "the load had ended before the fault began" in finding.reason


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"rules": ("PodDown", "DiskFull")},
            "no rule for an alert HighErrorRate, only for PodDown, DiskFull",
        ),
        (
            {"rules": ("HighErrorRates", "Other")},
            "no rule for an alert HighErrorRate; did you mean",
        ),
        ({"rules": ()}, "Prometheus has no alerting rules"),
        ({"rules": None}, "whether Prometheus has a rule for it is not known"),
        ({"broken_rules": {"HighErrorRate": "vector is empty"}}, "cannot evaluate its rule"),
        ({"alerts_missing": "HTTP 403"}, "nobody knows about alerts: HTTP 403"),
        ({"error": "Prometheus is gone"}, "the signals are missing: Prometheus is gone"),
    ],
)
def test_silence_that_proves_nothing(changes: dict[str, Any], why: str) -> None:
    """Goal: no data is never a verdict. Method: no alert, in every way in which none can be."""
    finding = awaited(**changes)
    assert finding.verdict == "inconclusive"
    assert why in finding.reason


def test_each_fault_is_awaited_by_itself_and_the_worst_decides() -> None:
    second = {**ABORT, "name": "rest", "at": "45s", "duration": "5s"}
    plan = plan_of(EXPECTED, faults=[ABORT, second], duration="90s")
    finding = awaited([span(30.0, 40.0)], plan=plan)
    assert [(part.label, str(part.verdict)) for part in finding.parts] == [
        ("from the start of 01-half", "pass"),
        ("from the start of 02-rest", "fail"),
    ]
    assert finding.verdict == "fail"
    only = plan_of({**EXPECTED, "during": "fault:half"}, faults=[ABORT, second], duration="90s")
    assert awaited([span(30.0, 40.0)], plan=only).verdict == "pass"


def test_without_a_fault_no_alert_is_awaited() -> None:
    assert awaited(plan=plan_of(EXPECTED)).verdict == "inconclusive"


# -- none that may fire ----------------------------------------------------------------------------


def none_of(
    text: str, alerts: Sequence[AlertSpan] = (), during: Any = "all", **changes: Any
) -> Finding:
    plan = plan_of({"objective": text, "during": during}, faults=[ABORT])
    return found(plan, alerts, **changes)


def test_no_alert_is_a_pass_where_there_are_rules() -> None:
    finding = none_of("no critical alert")
    assert (finding.verdict, finding.observed) == ("pass", 0.0)
    assert finding.reason.startswith("No critical alert fired (baseline")


def test_an_alert_is_a_failure_with_its_name_and_phase() -> None:
    """Goal: who reads knows which. Method: two pods of one alert, and another alert."""
    alerts = [
        span(25.0, 40.0, pod="a"),
        span(25.0, 40.0, pod="b"),
        span(28.0, 34.0, name="PodDown"),
    ]
    finding = none_of("no critical alert", alerts)
    assert (finding.verdict, finding.observed) == ("fail", 3.0)
    assert "3 critical alerts fired (" in finding.reason
    assert finding.reason.endswith("): HighErrorRate, PodDown.")
    verdicts = {part.label: str(part.verdict) for part in finding.parts}
    assert list(verdicts.values()) == ["pass", "fail", "fail"]


def test_only_alerts_of_the_severity_count_and_pending_ones_do_not() -> None:
    alerts = [span(25.0, 40.0, severity="warning"), span(25.0, 40.0, state="pending")]
    assert none_of("no critical alert", alerts).verdict == "pass"
    assert none_of("no alert", alerts).verdict == "fail"
    assert none_of("no Warning alert", alerts).verdict == "fail"


def test_an_alert_of_before_the_run_is_told_to_be_that() -> None:
    finding = none_of("no critical alert", [span(-30.0, 10.0)], during="baseline")
    assert finding.verdict == "fail"
    assert finding.reason.endswith("HighErrorRate; HighErrorRate fired already before the load.")


def test_another_bound_on_alerts_is_told() -> None:
    alerts = [span(25.0, 40.0, pod="a"), span(25.0, 40.0, pod="b")]
    within = none_of("alerts.critical < 3", alerts, during="fault")
    assert within.verdict == "pass"
    assert within.reason.endswith("HighErrorRate, within the bound of 3.")
    finding = none_of("alerts.critical < 2", alerts, during="fault")
    assert finding.reason.endswith("HighErrorRate; the bound is < 2.")


@pytest.mark.parametrize(
    ("start_s", "end_s", "verdict"),
    [(5.0, 20.0, "fail"), (5.0, 19.5, "pass"), (34.5, 50.0, "fail"), (35.0, 50.0, "pass")],
)
def test_an_alert_belongs_to_the_phases_in_which_it_fired(
    start_s: float, end_s: float, verdict: str
) -> None:
    """The fault is from 20 s to 35 s: what was seen firing at 20 s is of it, and at 35 s is not."""
    assert none_of("no alert", [span(start_s, end_s)], during="fault").verdict == verdict


def test_a_phase_that_the_load_did_not_reach_has_no_alerts() -> None:
    finding = none_of("no alert", [span(22.0, 50.0)], during="fault", until_s=15)
    assert (finding.verdict, finding.observed) == ("inconclusive", None)
    assert "the load had ended before this phase began" in finding.reason


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"alerts_missing": "HTTP 403"}, "nobody knows about alerts: HTTP 403"),
        ({"error": "Prometheus is gone"}, "the signals are missing: Prometheus is gone"),
        ({"rules": (), "rule_severities": {}}, "Prometheus has no alerting rules"),
        ({"rules": None, "rule_severities": {}}, "which alerting rules Prometheus has"),
        (
            {"rule_severities": {}},
            "of which severities Prometheus' alerting rules are is not known",
        ),
        (
            {"rule_severities": {"HighErrorRate": ("page",), "HighLatency": ("warning",)}},
            "no alerting rule of the severity 'critical', only of page, warning",
        ),
        ({"broken_rules": {"HighErrorRate": "x"}}, "cannot evaluate the rule HighErrorRate"),
    ],
)
def test_no_alert_where_none_could_fire_is_never_a_pass(changes: dict[str, Any], why: str) -> None:
    """Goal: no data is never a pass. Method: silence, in every way in which it says nothing."""
    finding = none_of("no critical alert", **changes)
    assert finding.verdict == "inconclusive"
    assert why in finding.reason


def test_a_broken_rule_of_another_severity_is_no_obstacle() -> None:
    assert none_of("no critical alert", broken_rules={"HighLatency": "x"}).verdict == "pass"


def test_an_alert_that_was_seen_counts_also_when_not_all_is_known() -> None:
    finding = none_of("no critical alert", [span(25.0, 30.0)], alerts_missing="a partial answer")
    assert finding.verdict == "fail"
