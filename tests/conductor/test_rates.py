"""The open model from plan to verdict, with the shipped doubles: what arrivals come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_conductor import carry_out

from runner.analysis.evaluate import evaluate
from runner.fakearrivals import FakeArrivals
from runner.model.evaluation import ArrivalFigures, Evaluation, Verdict
from runner.model.experiment import Experiment
from runner.model.plan import make_plan
from runner.progress import Status
from runner.testing import FakeWorld


def steady(**load: Any) -> Experiment:
    stages = [
        {"duration": "10s", "rate": "40/s", "ramp": "5s"},
        {"duration": "20s", "rate": "40/s"},
    ]
    return Experiment.model_validate(
        {
            "name": "steady",
            "description": "A rate.",
            "load": {"locustfile": "shop.py", "stages": stages, **load},
            "warmup": "10s",
            "objectives": ["latency.p95 < 500ms", "errors < 1%"],
        }
    )


def judged(world: FakeWorld, root: Path, **load: Any) -> Evaluation:
    _, recording = carry_out(world, root, asked=steady(**load))
    return evaluate(recording)


def baseline(evaluation: Evaluation) -> ArrivalFigures:
    (phase,) = [one for one in evaluation.phases if one.phase == "baseline"]
    assert phase.arrivals is not None
    return phase.arrivals


def reason(evaluation: Evaluation, check: str) -> tuple[Verdict, str]:
    (finding,) = [one for one in evaluation.findings if one.check == check]
    return finding.verdict, finding.reason


def test_a_target_that_keeps_up(tmp_path: Path) -> None:
    """Goal: every arrival is started, none waits, and both times are the same."""
    evaluation = judged(FakeWorld(), tmp_path)
    assert (evaluation.valid, evaluation.verdict) == (True, Verdict.PASS)
    seen = baseline(evaluation)
    assert (seen.offered, seen.started, seen.waited, seen.dropped) == (800, 800, 0, 0)
    assert seen.peak_in_flight <= 1
    (phase,) = [one for one in evaluation.phases if one.phase == "baseline"]
    assert phase.service is not None
    assert phase.p99_s == phase.service.p99_s == pytest.approx(0.02, rel=0.01)


def test_a_full_pool_makes_arrivals_wait_and_their_response_time_says_so(tmp_path: Path) -> None:
    """Goal: response time above service time, a miss instead of a pass by omission.

    Method: 4 users who take 0.2 s each serve 20 of 40 arrivals a second, and nobody gives up.
    """
    evaluation = judged(FakeWorld(latency_us=200_000), tmp_path, max_in_flight=4, max_wait="60s")
    (phase,) = [one for one in evaluation.phases if one.phase == "baseline"]
    assert phase.service is not None
    assert phase.service.p99_s == pytest.approx(0.2, rel=0.01)
    assert (phase.p50_s or 0) > 9
    assert baseline(evaluation).peak_in_flight == 4
    latency, _ = [one for one in evaluation.findings if one.kind == "objective"]
    assert latency.verdict is Verdict.FAIL
    assert reason(evaluation, "load-delivered")[0] is Verdict.INCONCLUSIVE


def test_arrivals_that_wait_for_too_long_are_dropped(tmp_path: Path) -> None:
    evaluation = judged(FakeWorld(latency_us=200_000), tmp_path, max_in_flight=4, max_wait="1s")
    seen = baseline(evaluation)
    assert seen.offered == 800
    assert seen.started == pytest.approx(20 * 20, abs=21)  # and those that waited already
    assert seen.started + seen.dropped == pytest.approx(800, abs=41)
    verdict, text = reason(evaluation, "arrivals-kept")
    assert verdict is Verdict.INCONCLUSIVE
    assert "were given up because no user was free: all 4 (max_in_flight) were busy" in text


def test_a_generator_that_offers_less_is_found_out(tmp_path: Path) -> None:
    evaluation = judged(FakeWorld(users_factor=0.9), tmp_path)
    verdict, text = reason(evaluation, "load-delivered")
    assert verdict is Verdict.INCONCLUSIVE
    assert "720 arrivals of 800 planned ones were started in baseline" in text


def test_the_watcher_sees_arrivals(tmp_path: Path) -> None:
    seen: list[tuple[float, int, int]] = []

    def watch(status: Status) -> None:
        if status.load is not None and status.activity == "running":
            arrivals = status.load.arrivals
            rate = arrivals.rate_per_s(status.offset_s or 0.0)
            seen.append((rate, arrivals.offered, arrivals.in_flight))

    carry_out(FakeWorld(latency_us=300_000), tmp_path, asked=steady(), watch=watch)
    assert max(rate for rate, _, _ in seen) == 40
    assert 1000 < seen[-1][1] <= 1100
    assert max(level for _, _, level in seen) == pytest.approx(12, abs=1)


def test_what_ends_after_the_end_is_on_record_in_the_last_second() -> None:
    """Goal: nothing is lost at the end. Method: requests of 5 s, and sums over all seconds."""
    plan = make_plan(steady(max_in_flight=1000))
    fake = FakeArrivals(plan, 5_000_000)
    ones = [fake.second(second)[1] for second in range(30)]
    assert sum(one.completed for one in ones) == sum(one.offered for one in ones) > 1050
    assert sum(sum(one.late_us.values()) for one in ones) == sum(one.started for one in ones)
