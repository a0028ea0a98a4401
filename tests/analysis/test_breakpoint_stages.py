"""The knee over stages of users: found where it is, and never in noise."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from stage_profiles import closed, flat

from runner.analysis.stageknee import StageFigures, find_knee_in_stages


def stages_of(*p95_ms: float, rates: dict[int, float] | None = None) -> list[StageFigures]:
    """Stages of 100, 200, … users, 1 request/s each, with these p95."""
    return [
        StageFigures(
            users=100.0 * (at + 1),
            requests=24_000 * (at + 1),
            rate_per_s=(rates or {}).get(at, 100.0 * (at + 1)),
            error_ratio=0.0005,
            p95_s=value / 1000,
            batches_s=tuple(value / 1000 * f for f in (0.9, 0.95, 1.0, 1.05, 1.1)),
        )
        for at, value in enumerate(p95_ms)
    ]


def test_latency_shoots_up_between_two_stages() -> None:
    """Calm to 400 users, five times as slow from 500 on: that pair, and both figures."""
    knee = find_knee_in_stages(stages_of(100, 104, 98, 110, 520, 900, 1500))
    assert (knee.low_users, knee.high_users, knee.reason) == (400.0, 500.0, "latency")
    assert knee.sentence == (
        "The breaking point is between 400 and 500 users: latency p95 rose from 100 ms to 520 ms, "
        "and did not come back."
    )


def test_flat_noise_has_no_knee() -> None:
    """1000 profiles of white, autocorrelated and spiky noise: none in 99 %, a knee in 0.5 %."""
    reasons = Counter(
        find_knee_in_stages(flat(np.random.default_rng([2, at]))).reason for at in range(1000)
    )
    assert reasons["none"] >= 990
    assert reasons["latency"] <= 5
    assert reasons["none"] + reasons["unclear"] + reasons["latency"] == 1000


def test_closed_systems_of_known_capacity() -> None:
    """200 systems, 120 to 930/s: 99 % of intervals hold where latency doubles, +-3 %."""
    answered, right = 0, 0
    for at in range(200):
        rng = np.random.default_rng([6, at])
        capacity = float(rng.uniform(120, 930))
        knee = find_knee_in_stages(closed(rng, capacity))
        if knee.high_users is None:
            assert knee.reason in ("unclear", "none")  # only the last stage was slow
            continue
        answered += 1
        right += knee.low_users / 1.03 <= 1.05 * capacity <= knee.high_users * 1.03
    assert answered >= 170
    assert right >= 0.99 * answered


def test_one_bad_stage_that_passes_is_no_knee() -> None:
    """What comes back under more load was not caused by the load."""
    knee = find_knee_in_stages(stages_of(100, 100, 900, 100, 100, 100))
    assert (knee.reason, knee.low_users, knee.high_users) == ("none", 600.0, None)
    assert knee.sentence == "No breaking point up to 600 users."


@pytest.mark.parametrize(("last_ms", "reason"), [(270, "unclear"), (900, "latency")])
def test_last_stage_alone_must_be_much_slower(last_ms: float, reason: str) -> None:
    """Nothing confirms it, so a factor of 2.7 is no answer, and one of 9 is."""
    knee = find_knee_in_stages(stages_of(100, 101, 99, 100, last_ms))
    assert knee.reason == reason
    assert knee.answered == (reason == "latency")
    assert knee.low_users == 400.0


def test_bound_of_an_objective_counts_at_once() -> None:
    """A slow rise over the bound is no jump, but the promise is broken from there on."""
    slow_rise = stages_of(100, 120, 140, 160, 180, 195)
    assert find_knee_in_stages(slow_rise).reason == "none"
    knee = find_knee_in_stages(slow_rise, latency_s=0.15)
    assert (knee.low_users, knee.high_users, knee.reason) == (300.0, 400.0, "latency")
    assert "above 150 ms, after 120 ms in calm stages" in knee.sentence


def test_first_stage_over_the_bound() -> None:
    knee = find_knee_in_stages(stages_of(600, 700, 800), latency_s=0.5)
    assert (knee.low_users, knee.high_users) == (0.0, 100.0)
    assert knee.sentence.startswith("The breaking point is below the first stage of 100 users")


def test_errors() -> None:
    """3 % of errors from 300 users on, at unchanged latency; 1.01 % of few is not sure enough."""
    stages = stages_of(100, 100, 100, 100)
    failing = [*stages[:2], *(replace(s, error_ratio=0.03) for s in stages[2:])]
    knee = find_knee_in_stages(failing)
    assert (knee.low_users, knee.high_users, knee.reason) == (200.0, 300.0, "errors")
    assert "3 % of requests failed, more than 1 %" in knee.sentence
    few = [replace(s, error_ratio=0.0101, requests=1000) for s in stages]
    assert find_knee_in_stages(few).reason == "none"
    dead = [*stages[:2], *(replace(s, error_ratio=1.0, p95_s=None) for s in stages[2:])]
    assert find_knee_in_stages(dead).reason == "errors"


def test_throughput_flat() -> None:
    """Each user sends less, and latency explains it although it did not double."""
    knee = find_knee_in_stages(stages_of(100, 100, 100, 150, 160, rates={3: 280.0, 4: 290.0}))
    assert (knee.low_users, knee.high_users, knee.reason) == (300.0, 400.0, "throughput-flat")
    assert "70 % of that in calm stages" in knee.sentence


def test_less_throughput_at_the_same_latency_is_the_generator() -> None:
    """In a closed model only latency can slow users down: no answer."""
    knee = find_knee_in_stages(stages_of(100, 100, 100, 102, 101, rates={3: 280.0, 4: 290.0}))
    assert (knee.reason, knee.answered, knee.high_users) == ("generator-limited", False, None)
    assert knee.low_users == 300.0


def test_generator_problem_ends_what_can_be_told() -> None:
    """A knee before the problem counts if it was confirmed; behind it, nothing does."""
    stages = stages_of(100, 100, 100, 900, 950, 990)
    early = [*stages[:3], *(replace(s, generator_problem="it was busy.") for s in stages[3:])]
    knee = find_knee_in_stages(early)
    assert (knee.reason, knee.answered, knee.low_users) == ("generator-limited", False, 300.0)
    assert knee.sentence == (
        "No answer: the generator was the limit at 400 users: it was busy; up to 300 users all was "
        "well."
    )
    late = [*stages[:5], replace(stages[5], generator_problem="it was busy")]
    assert find_knee_in_stages(late).high_users == 400.0


def test_no_data_is_no_answer() -> None:
    """No stage, one stage, or a stage with next to no requests."""
    stages = stages_of(100, 100, 100)
    assert find_knee_in_stages([]).reason == "no-data"
    assert find_knee_in_stages(stages[:1]).reason == "no-data"
    thin = [stages[0], replace(stages[1], requests=99), stages[2]]
    knee = find_knee_in_stages(thin)
    assert (knee.reason, knee.low_users) == ("no-data", 100.0)
    assert "the stage of 200 users has too few requests" in knee.sentence


def test_way_down_is_ignored() -> None:
    """Stages after the highest one do not take part, however slow."""
    stages = stages_of(100, 100, 100)
    down = replace(stages[0], p95_s=9.0)
    assert find_knee_in_stages([*stages, down]).sentence == "No breaking point up to 300 users."
