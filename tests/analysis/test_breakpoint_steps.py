"""Sums over steps, and the judgement of one rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builders import ORDERS, load_of, plan_of, row
from queue_model import (
    Server,
    buckets_of,
    end_times,
    exact_tail,
    run_step,
    simulated_curve,
    true_rate,
)

from runner.analysis.loadsteps import generator_problem, stage_figures
from runner.analysis.profile import plateaus
from runner.analysis.ratejudge import CALM_A, Idle, backlog_grows, calm_limit_s, judge_rate
from runner.analysis.steps import Criteria, Step, StepResult, StepSecond, in_flight, pool
from runner.analysis.windows import LoadTable
from runner.model.histogram import bucket_of
from runner.model.recording import GeneratorSecond

CRITERIA = Criteria(latency_s=0.2, quantile=0.95)


def second(offered: int, latency_s: float, failed: int = 0, flying: int | None = 0) -> StepSecond:
    counts = {bucket_of(round(latency_s * 1e6)): offered - failed}
    return StepSecond(offered, failed, counts, flying)


def test_pool_leaves_out_transients_and_adds_up() -> None:
    """Two steps of 8 s with a transient of 2 s: 12 s, four batches of 3 s."""
    slow, calm = second(100, 5.0, flying=9), second(100, 0.1, failed=10, flying=4)
    result = StepResult(100.0, (slow, slow, *(calm,) * 6))
    pooled = pool([result, result], 2.0, CRITERIA)
    assert (pooled.steps, pooled.length_s, pooled.offered, pooled.failed) == (2, 12.0, 1200, 120)
    assert pooled.mean_s == pytest.approx(0.1, rel=0.004)
    assert pooled.quantile_s(0.95) == pytest.approx(0.1, rel=0.004)
    assert [batch.offered for batch in pooled.batches] == [300] * 4
    assert [batch.over_bound for batch in pooled.batches] == [0] * 4
    assert pooled.backlog == (-5, 0, 0, 0, 0, 0) * 2
    assert pooled.error_ratio == 0.1
    with pytest.raises(ValueError, match="one rate"):
        pool([result, StepResult(1.0, ())], 2.0, CRITERIA)


def test_missing_requests_are_slower_than_any_bound() -> None:
    """10 % never came back: p95 is infinite, p80 is not, and they are over the bound."""
    lossy = StepSecond(100, 0, {bucket_of(1000): 90}, 0)
    pooled = pool([StepResult(100.0, (lossy,) * 6, dropped=60)], 0.0, CRITERIA)
    assert (pooled.missing, pooled.dropped_ratio) == (60, 0.1)
    assert pooled.quantile_s(0.95) == math.inf
    assert pooled.quantile_s(0.8) == pytest.approx(0.001, rel=0.004)
    assert [batch.over_bound for batch in pooled.batches] == [30, 30]
    assert pooled.achieved_ratio == pytest.approx(0.9)


def test_requests_in_flight_are_worked_out_from_latencies() -> None:
    """Against a count in a simulated queue that overflows: within 5 % after the first seconds."""
    server = Server(slots=4, service_s=0.05, arrivals="even")
    result = run_step(server, Step(100.0, 20.0), np.random.default_rng(3))
    counted = [s.in_flight or 0 for s in result.seconds]
    bare = [StepSecond(s.offered, s.failed, s.latency_us) for s in result.seconds]
    worked_out = in_flight(bare)
    assert counted[-1] > 300
    for known, guessed in zip(counted[4:], worked_out[4:], strict=True):
        assert guessed == pytest.approx(known, rel=0.05, abs=6)


def judged(server: Server, rate: float, criteria: Criteria = CRITERIA, steps: int = 2) -> str:
    rng = np.random.default_rng([9, round(rate)])
    idle = pool([run_step(server, Step(20.0, 20.0), rng)], 5.0, criteria)
    known = Idle(idle.mean_s or 0.0, idle.quantile_s(criteria.quantile))
    results = [run_step(server, Step(rate, 20.0), rng) for _ in range(steps)]
    verdict = judge_rate(pool(results, 5.0, criteria), criteria, known)
    return verdict.reason or verdict.verdict


def test_rates_far_from_the_breaking_point_are_clear() -> None:
    """Eight slots of 20 ms, 400/s: holds at half of it, fails above it, for the right reason."""
    server = Server(slots=8, service_s=0.02)
    assert judged(server, 200.0) == "holds"
    assert judged(server, 480.0) == "latency"
    assert judged(server, 480.0, Criteria()) == "throughput-flat"
    assert judged(server, 200.0, Criteria()) == "holds"


def test_nobody_can_tell_at_the_breaking_point() -> None:
    """At the exact rate at which the stationary p95 is 200 ms, 20 of 24 judgements are unclear."""
    unclear, held = 0, 0
    for slots in (1, 2, 4, 8):
        for arrivals in ("even", "random"):
            for service_s in (0.01, 0.015, 0.02):
                server = Server(slots, service_s, arrivals=arrivals)
                verdict = judged(server, true_rate(server, 0.95, 0.2))
                unclear += verdict == "unclear"
                held += verdict == "holds"
    assert unclear >= 20
    assert held <= 2


def test_backlog_that_wanders_is_no_backlog_that_grows() -> None:
    """A level that goes up and down by 20 is not significant; one that gains 5 of 100/s is."""
    wander = [50, 70, 45, 66, 52, 71, 48, 69, 55, 72, 49, 75]
    growing = [50 + 5 * at + (at % 3) for at in range(12)]
    for levels, expected in ((wander, False), (growing, True)):
        seconds = tuple(second(100, 0.01, flying=level) for level in levels)
        assert backlog_grows(pool([StepResult(100.0, seconds)], 0.0, CRITERIA), 0.99) is expected


def test_calm_limit() -> None:
    """Without a bound: sqrt(length / rate) / (2 A); with a bound less, and never above the wait."""
    seconds = (second(100, 0.01),) * 15
    pooled = pool([StepResult(100.0, seconds)], 0.0, CRITERIA)
    free_s = calm_limit_s(pooled, Criteria(), Idle(0.01, 0.03))
    assert free_s == pytest.approx(math.sqrt(15 / 100) / (2 * CALM_A))
    bound_s = calm_limit_s(pooled, CRITERIA, Idle(0.01, 0.03))
    wide_s = calm_limit_s(pooled, Criteria(100.0, 0.95), Idle(0.01, 0.03))
    assert bound_s < wide_s < free_s
    # An idle target without latency of its own: the wait alone has its p95 at the bound.
    wait_s = 0.2 / -math.log(0.05)
    expected = wait_s / (1 + wait_s / free_s)
    assert calm_limit_s(pooled, CRITERIA, Idle(0.0, 1e-9)) == pytest.approx(expected, rel=1e-3)


# -- from the record -------------------------------------------------------------------------------


def test_stages_from_the_record() -> None:
    """A plateau of 20 s leaves out a fifth; rate, p95 and ten pieces are those of the rest."""
    plan = plan_of(duration="21s", warmup="0s")
    table = LoadTable(
        load_of(plan, lambda s: [row(s, 10, latency_ms=9000.0 if s < 5 else 300.0)]), plan
    )
    (stage,) = stage_figures(table, {}, plateaus(plan))
    assert (stage.users, stage.unit) == (plan.stages[0].users_to, "users")
    assert (stage.requests, stage.rate_per_s, stage.error_ratio) == (160, 10.0, 0.0)
    assert stage.p95_s == pytest.approx(0.3, rel=0.004)
    assert len(stage.batches_s) == 16
    assert stage_figures(table, {}, plateaus(plan), endpoint=ORDERS + "x")[0].p95_s is None


def test_generator_problem_after_the_bounds_of_validity() -> None:
    """Two busy seconds are forgiven; three of ten are not, be it processor or punctuality."""
    calm, busy = GeneratorSecond(0.4, 0.0, 1), GeneratorSecond(0.95, 0.0, 1)
    late = GeneratorSecond(0.4, 0.2, 1)
    accounts = dict(enumerate([busy, calm, late, *(calm,) * 7]))
    assert generator_problem(accounts, range(10)) == ""
    accounts[5] = late
    assert generator_problem(accounts, range(10)).startswith("in 3 of 10 seconds it used more than")
    assert generator_problem({}, range(10)) == ""


def test_a_generator_that_stood_still_in_a_step_was_the_limit() -> None:
    """Goal: its stall is not the target's. Method: one account for 5 s of 20."""
    calm = GeneratorSecond(0.4, 0.0, 1)
    known = {second: calm for second in range(20) if not 6 <= second < 10}
    stalled = known | {10: GeneratorSecond(0.4, 4.2, 1)}
    assert generator_problem(stalled, range(20)).startswith("in 5 of 20 seconds it used more than")
    short = known | {10: GeneratorSecond(0.4, 1.2, 1)}
    assert generator_problem(short, range(20)) == ""


# -- the oracle itself -----------------------------------------------------------------------------


def test_queue_recursions_agree() -> None:
    """One slot by Lindley's formula and by the heap, on the same times; two slots by hand."""
    rng = np.random.default_rng(1)
    arrivals, services = np.sort(rng.random(200)) * 10, rng.exponential(0.05, 200)
    slow, free = [], 0.0
    for arrival, service in zip(arrivals, services, strict=True):
        free = max(arrival, free) + service
        slow.append(free)
    assert end_times(1, arrivals, services) == pytest.approx(np.array(slow))
    two = end_times(2, np.array([0.0, 0.0, 0.0, 1.0]), np.array([3.0, 1.0, 1.0, 1.0]))
    assert two.tolist() == [3.0, 1.0, 2.0, 3.0]
    assert end_times(0, arrivals, services) == pytest.approx(arrivals + services)


@pytest.mark.parametrize("arrivals", ["random", "even"])
def test_exact_tail_against_simulation(arrivals: str) -> None:
    """p99 of one slot at 80 % load: the closed form says 1 % where the simulation has its p99."""
    unit = Server(1, 1.0, arrivals=arrivals)  # type: ignore[arg-type]
    p99 = float(simulated_curve(unit)[0.99][7])
    assert exact_tail(unit, 0.8, p99) == pytest.approx(0.01, rel=0.15)


def test_buckets_of_is_the_recorders() -> None:
    values = [0.0, 1e-6, 127e-6, 128e-6, 255e-6, 256e-6, 0.0123, 1.5, 600.0]
    assert buckets_of(np.array(values)).tolist() == [bucket_of(round(v * 1e6)) for v in values]
