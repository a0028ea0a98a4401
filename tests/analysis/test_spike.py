"""What users saw in each stage, and when all was normal again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from builders import ABORT, load_of, row
from staged import SPIKE, answer_to, asked, at_rate, recorded, staged_plan

from runner.model.evaluation import Finding, Verdict
from runner.model.recording import LoadRow, Recording

BACK_S = 90


def after_spike(
    *, slow_until_s: float = 0, failing_until_s: float = 0, noisy: bool = False, **changes: Any
) -> Recording:
    """A spike from 60 s to 90 s, after which requests stay slow, or fail, for a while."""
    plan = staged_plan(*SPIKE, **changes)

    def rows(second: int) -> Sequence[LoadRow]:
        users = round(plan.users_at(second + 0.5))
        late = second >= BACK_S
        slow = late and second < BACK_S + slow_until_s
        latency_ms = 200.0 if slow else 20.0 * (1 + 9 * (noisy and second % 20 < 10))
        failed = 5 if late and second < BACK_S + failing_until_s else 0
        return (
            row(second, users - failed, latency_ms=latency_ms),
            *([row(second, failed, outcome="http_5xx")] if failed else []),
        )

    return recorded(plan, rows)


def back(**changes: Any) -> Finding:
    return answer_to("back-to-normal", after_spike(**changes))


def test_back_at_once() -> None:
    """Nothing was wrong when the users were gone: 0 s, and the band is told."""
    finding = back()
    assert (finding.verdict, finding.observed, finding.unit) == (Verdict.PASS, 0.0, "s")
    assert finding.reason == (
        "At once, as soon as the load was back at 50 users. Normal is as before it, at 50 users: "
        "in 5 s, a p95 up to 30 ms and errors up to 0.73 %."
    )


@pytest.mark.parametrize("slow_until_s", [7, 20])
def test_back_after_latency_fell(slow_until_s: int) -> None:
    """The answer is the second from which on each window of 5 s is normal."""
    finding = back(slow_until_s=slow_until_s)
    assert finding.observed == pytest.approx(slow_until_s, abs=1e-3)
    assert finding.reason.startswith(f"{slow_until_s} s after the load was back at 50 users.")


def test_errors_are_not_normal_either() -> None:
    """A tenth of the requests failed for 12 s, as fast as ever."""
    assert back(failing_until_s=12).observed == pytest.approx(12, abs=1e-3)


def test_never_back() -> None:
    """That is an answer, without a figure."""
    finding = back(slow_until_s=60)
    assert (finding.verdict, finding.observed) == (Verdict.PASS, None)
    assert finding.reason.startswith("It was not back to normal in the 1m that were seen.")


def test_no_answer_where_it_was_not_steady_before() -> None:
    """p95 was 20 ms or 200 ms in turns: nobody knows what normal is."""
    finding = back(noisy=True)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason == (
        "No answer: latency before the spike was not steady enough to compare with."
    )


def test_no_answer_with_a_fault_in_the_spike() -> None:
    finding = back(faults=[{**ABORT, "at": "65s"}])
    assert finding.reason == "No answer: a fault was in effect before or during the spike."


def test_no_answer_where_the_time_before_is_too_short() -> None:
    plan = staged_plan((12, 50), (30, 500), (60, 50))
    finding = answer_to("back-to-normal", recorded(plan))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason == "No answer: 10s before the spike are too few to tell what is normal."


def test_no_answer_where_the_run_ended_in_the_spike() -> None:
    plan = staged_plan(*SPIKE)
    finding = answer_to("back-to-normal", recorded(plan, load=load_of(plan, at_rate(plan), 80)))
    assert finding.reason == "No answer: the run ended before the spike did."


def test_no_answer_where_too_little_was_seen_after_it() -> None:
    plan = staged_plan(*SPIKE)
    finding = answer_to("back-to-normal", recorded(plan, load=load_of(plan, at_rate(plan), 93)))
    assert finding.reason == "No answer: only 3s were seen after the spike, too short to tell."


def test_windows_are_longer_where_requests_are_few() -> None:
    """At 10/s a window takes 20 s for 200 requests: the band says so."""
    plan = staged_plan((120, 10), (30, 100), (60, 10))
    finding = answer_to("back-to-normal", recorded(plan))
    assert "in 20 s, a p95 up to" in finding.reason


def test_failures_of_the_spike_by_stage() -> None:
    """A hundredth fails at 500 users: figure, stages beside it, and every stage as a part."""
    plan = staged_plan(*SPIKE)

    def rows(second: int) -> Sequence[LoadRow]:
        if not 60 <= second < 90:
            return [row(second, 50)]
        return [row(second, 495, latency_ms=80.0), row(second, 5, outcome="timeout")]

    finding = answer_to("seen-in-stages", recorded(plan, rows))
    assert (finding.title, finding.observed) == ("How many requests failed in the spike?", 0.01)
    assert finding.reason == (
        "1 % of 15,000 requests failed at 500 users; 0 % before it and 0 % after it. Latency p95 "
        "was 20 ms at 50 users and 80.1 ms at 500 users."
    )
    assert [(one.label, one.start_s, one.observed, one.samples) for one in finding.parts] == [
        ("50 users", 0.0, 0.0, 3000),
        ("500 users", 60.0, 0.01, 15_000),
        ("50 users", 90.0, 0.0, 3000),
    ]


def test_stages_of_a_rising_load_of_arrivals() -> None:
    """The open model's stages bear arrivals; those that were not reached are left out."""
    plan = staged_plan((20, 50), (20, 80), (20, 110), unit="rate")
    finding = answer_to("seen-in-stages", recorded(plan, load=load_of(plan, at_rate(plan), 40)))
    assert finding.title == "What did users see in each stage?"
    assert finding.reason.startswith("No request failed in any stage. Latency p95 was ")
    assert [one.label for one in finding.parts] == ["50 requests/s", "80 requests/s"]


def test_even_load_raises_no_question() -> None:
    assert asked(recorded(staged_plan((60, 50)))) == []


def test_no_request_at_all_is_no_answer() -> None:
    plan = staged_plan(*SPIKE)
    finding = answer_to("seen-in-stages", recorded(plan, lambda second: ()))
    assert (finding.verdict, finding.reason) == (
        Verdict.INCONCLUSIVE,
        "No answer: no request is on record.",
    )
