"""The search for the breaking point: which rates it asks for, and what it answers.

Most tests feed it with steps whose figures were made by hand; the last ones drive it against queues
of known capacity in virtual time. ``benchmarks/bench_breakpoint.py`` is their long form.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from breakpoint_trials import Kind, draw, run_trial
from queue_model import Server, run_step

from runner.analysis.breakpoint import (
    BreakingPoint,
    Criteria,
    Search,
    SearchSettings,
    Step,
    StepResult,
    StepSecond,
)
from runner.model.histogram import bucket_of

Target = Callable[[Step], StepResult]
CRITERIA = Criteria(latency_s=0.5, quantile=0.95)


def steady(
    step: Step, latency_s: float = 0.05, *, failed: float = 0.0, problem: str = "", dropped: int = 0
) -> StepResult:
    """A step in which every second is the same: one latency for all."""
    offered = round(step.rate_per_s)
    errors = round(offered * failed)
    lost = dropped // round(step.duration_s)
    second = StepSecond(
        offered=offered,
        failed=errors,
        latency_us={bucket_of(round(latency_s * 1e6)): offered - errors - lost},
        in_flight=round(step.rate_per_s * latency_s),
    )
    seconds = (second,) * round(step.duration_s)
    return StepResult(step.rate_per_s, seconds, dropped, problem)


def slow_above(limit: float) -> Target:
    return lambda step: steady(step, 0.05 if step.rate_per_s <= limit else 2.0)


def searched(target: Target, **changes: object) -> tuple[BreakingPoint, list[Step]]:
    """Run a search from 100/s to 3200/s to its end."""
    settings = SearchSettings(100.0, 3200.0, CRITERIA, **changes)  # type: ignore[arg-type]
    search, steps = Search(settings), []
    while (step := search.next_step()) is not None:
        steps.append(step)
        search.add(target(step))
        assert len(steps) <= settings.max_steps
    return search.outcome(), steps


def test_a_rate_that_held_once_only_is_named_in_no_answer() -> None:
    """Goal: no contradiction to the table of rates. Method: no step is left to repeat the last."""
    answer, steps = searched(slow_above(math.inf), max_steps=6)
    assert [step.rate_per_s for step in steps] == [100, 200, 400, 800, 1600, 3200]
    assert not answer.answered
    assert answer.sentence == (
        "No answer: no rate was shown to hold for sure (3,200/s seemed to, and was not confirmed), "
        "and none up to 3,200/s was shown to fail, in 6 steps. Longer steps or more of them may "
        "tell."
    )


def test_grows_until_a_rate_fails_twice_then_halves() -> None:
    """A sharp limit at 1000/s: 100, 200, … 1600 twice, then rates on both sides, each end twice."""
    found, steps = searched(slow_above(1000.0))
    assert [s.rate_per_s for s in steps[:6]] == [100.0, 200.0, 400.0, 800.0, 1600.0, 1600.0]
    assert [s.repeat for s in steps[:6]] == [1, 1, 1, 1, 1, 2]
    assert found.high_per_s is not None
    assert found.low_per_s <= 1000.0 < found.high_per_s
    assert found.high_per_s / found.low_per_s <= 1.15
    assert (found.reason, found.confirmed, found.converged) == ("latency", True, True)
    tried = [s.rate_per_s for s in steps]
    assert tried.count(found.low_per_s) == 2
    assert tried.count(found.high_per_s) == 2
    assert len(steps) <= 16


def test_answer_in_words_and_figures() -> None:
    """The sentence names interval, percentile and bound; the figures say what was seen."""
    found, _ = searched(slow_above(1000.0))
    low, high = found.low_per_s, found.high_per_s or 0.0
    assert found.sentence == (
        f"The breaking point is between {low:,g}/s and {high:,g}/s: at {high:,g}/s latency p95 was "
        "2 s, above 500 ms."
    )
    rates = [figures.rate_per_s for figures in found.rates]
    assert rates == sorted(rates)
    at_low = next(figures for figures in found.rates if figures.rate_per_s == low)
    assert (at_low.verdict, at_low.steps) == ("holds", 2)
    assert at_low.mean_s == pytest.approx(0.05, rel=0.004)
    assert (at_low.achieved_ratio, at_low.error_ratio) == (1.0, 0.0)


def test_no_breaking_point_up_to_the_last_rate() -> None:
    """A target that is never slow: the last rate is tried twice and named; nothing fails."""
    found, steps = searched(steady)
    assert [s.rate_per_s for s in steps] == [100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 3200.0]
    assert (found.reason, found.low_per_s, found.high_per_s) == ("none", 3200.0, None)
    assert found.answered
    assert found.sentence.startswith("No breaking point up to 3,200/s")


def test_first_step_already_bad() -> None:
    """The interval then reaches from 0 to the first rate, and the answer says so."""
    found, steps = searched(slow_above(1.0))
    assert [s.rate_per_s for s in steps] == [100.0, 100.0]
    assert (found.low_per_s, found.high_per_s, found.reason) == (0.0, 100.0, "latency")
    assert found.sentence.startswith("The breaking point is below the first step: at 100/s")


def test_one_failure_that_does_not_come_back_counts_for_nothing() -> None:
    """A single bad step at 400/s is repeated, and the search goes on to the top."""

    def stumbles(step: Step) -> StepResult:
        bad = step.rate_per_s == 400.0 and step.repeat == 1
        return steady(step, 2.0 if bad else 0.05)

    found, steps = searched(stumbles)
    assert [s.rate_per_s for s in steps].count(400.0) >= 2
    assert (found.high_per_s, found.low_per_s) == (None, 3200.0)


@pytest.mark.parametrize(
    ("target", "reason", "words"),
    [
        (lambda s: steady(s, failed=0.2 if s.rate_per_s > 1000 else 0.0), "errors", "20 % of requ"),
        (
            lambda s: (
                steady(s, 0.2, dropped=round(s.rate_per_s) * 2 if s.rate_per_s > 1000 else 0)
                if s.rate_per_s > 1000
                else steady(s)
            ),
            "latency",  # what never came back is slower than any bound
            "latency p95",
        ),
    ],
)
def test_other_reasons(target: Target, reason: str, words: str) -> None:
    """Errors above their bound; requests that were dropped by a target that slowed down."""
    found, _ = searched(target)
    assert found.reason == reason
    assert found.low_per_s <= 1000 <= (found.high_per_s or 0)
    assert words in found.sentence


def test_throughput_stays_behind() -> None:
    """Without a latency bound, a backlog that grows each second is the reason."""

    def backlog(step: Step) -> StepResult:
        calm = steady(step)
        excess = max(0.0, step.rate_per_s - 1000.0)
        seconds = tuple(
            StepSecond(s.offered, 0, s.latency_us, 50 + round(excess * at))
            for at, s in enumerate(calm.seconds)
        )
        return StepResult(step.rate_per_s, seconds)

    settings = SearchSettings(100.0, 3200.0, Criteria())
    search = Search(settings)
    while (step := search.next_step()) is not None:
        search.add(backlog(step))
    found = search.outcome()
    assert found.reason == "throughput-flat"
    assert found.low_per_s <= 1020 <= (found.high_per_s or 0) <= 1200
    assert "of the offered requests came back in time" in found.sentence


def test_generator_that_gives_in_is_no_answer() -> None:
    """Above 500/s every step is the generator's doing, bad latencies included: no interval."""

    def limited(step: Step) -> StepResult:
        over = step.rate_per_s > 500
        return steady(step, 3.0 if over else 0.05, problem="it was busy" if over else "")

    found, steps = searched(limited)
    assert (found.reason, found.answered, found.high_per_s) == ("generator-limited", False, None)
    assert 400.0 <= found.low_per_s <= 500.0
    assert "the generator was the limit at 5" in found.sentence
    assert "(it was busy)" in found.sentence
    assert len(steps) < 25
    limits = {f.rate_per_s for f in found.rates if f.verdict == "generator-limited"}
    assert {800.0} <= limits


def test_breaking_point_below_the_generators_limit_is_found() -> None:
    """The target gives in at 450/s, the generator at 500/s: growth jumps over both."""

    def both(step: Step) -> StepResult:
        problem = "it was busy" if step.rate_per_s > 500 else ""
        return steady(step, 0.05 if step.rate_per_s <= 450 else 2.0, problem=problem)

    found, _ = searched(both)
    assert (found.reason, found.answered) == ("latency", True)
    assert found.low_per_s <= 450 < (found.high_per_s or 0) <= 500


def test_dropped_by_a_small_pool_is_the_generators_limit() -> None:
    """Requests are dropped while the target is as quick as ever: nobody learns anything of it."""
    found, _ = searched(
        lambda s: steady(s, dropped=round(s.rate_per_s) * 4 if s.rate_per_s > 1000 else 0)
    )
    assert found.reason == "generator-limited"
    assert "the in-flight pool was too small" in found.sentence


def test_contradiction_widens_the_interval() -> None:
    """In its first eight steps the target is slow above 700/s, later only above 2000/s.

    800/s failed, twice, and higher rates hold: what is known is that it lies somewhere between the
    last rate below all doubt and the first above it that fails; 800/s has all its tries.
    """
    done = 0

    def recovers(step: Step) -> StepResult:
        nonlocal done
        done += 1
        return slow_above(700.0 if done <= 8 else 2000.0)(step)

    found, steps = searched(recovers)
    verdicts = {figures.rate_per_s: figures.verdict for figures in found.rates}
    assert found.low_per_s < 800
    for rate, verdict in verdicts.items():
        if rate <= found.low_per_s:
            assert verdict != "fails"
        if found.high_per_s is not None and rate > found.high_per_s:
            assert verdict != "holds"
    assert [s.rate_per_s for s in steps].count(800.0) >= 2


def test_too_few_requests_are_no_answer() -> None:
    """At most 8/s for 34 steps never show a p99: nothing holds, nothing fails."""
    settings = SearchSettings(1.0, 8.0, Criteria(0.5, 0.99), max_steps=6)
    search = Search(settings)
    while (step := search.next_step()) is not None:
        search.add(steady(step))
    found = search.outcome()
    assert (found.reason, found.answered, found.low_per_s) == ("unclear", False, 0.0)
    assert "in 6 steps" in found.sentence


def test_next_step_waits_for_its_result() -> None:
    """The same step is offered until it is answered; results nobody asked for are refused."""
    search = Search(SearchSettings(10.0, 100.0))
    first = search.next_step()
    assert first is not None
    assert first == search.next_step() == Step(10.0, 20.0, 1, 1, "start")
    with pytest.raises(ValueError, match="nobody asked for a step at 11/s"):
        search.add(StepResult(11.0, ()))
    with pytest.raises(ValueError, match="shorter than it was planned"):
        search.add(StepResult(10.0, steady(first).seconds[:-1]))
    search.add(steady(first))
    with pytest.raises(ValueError, match="nobody asked"):
        search.add(steady(first))
    assert search.steps_done == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"start_rate": 0.0},
        {"start_rate": 100.0},
        {"max_rate": math.inf},
        {"growth": 1.0},
        {"tolerance_ratio": 0.0},
        {"step_s": 10.0},
        {"repeats": 5},
    ],
)
def test_impossible_settings(changes: dict[str, float]) -> None:
    """Each is refused before anything is sent."""
    with pytest.raises(ValueError, match=r"rise|must"):
        SearchSettings(**{"start_rate": 10.0, "max_rate": 100.0, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "criteria",
    [
        {"latency_s": 0.0},
        {"quantile": 1.0},
        {"error_ratio": 1.0},
        {"achieved_ratio": 1.0},
    ],
)
def test_impossible_criteria(criteria: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is not"):
        Criteria(**criteria)


# -- against queues of known capacity --------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "number", "least"),
    [
        ("latency", 20, 19),
        ("capacity", 10, 10),
        ("errors", 8, 8),
        ("early", 8, 8),
        ("none", 12, 12),
        ("generator", 12, 12),
    ],
)
def test_answers_are_true(kind: Kind, number: int, least: int) -> None:
    """Seeded trials with exponential service, even and random arrivals; no search takes 12 min."""
    right = 0
    for at in range(number):
        rng = np.random.default_rng([3, at])
        result = run_trial(draw(kind, rng, 200.0, ("exponential",)), rng)
        right += result.right
        assert result.virtual_s <= 12 * 60
        if kind == "none":
            assert result.found.sentence.startswith("No breaking point up to")
    assert right >= least


def test_intervals_are_of_use() -> None:
    """A server of 8 slots and 20 ms, with random arrivals: eight intervals, at most 35 % wide."""
    server = Server(slots=8, service_s=0.02)
    for seed in range(8):
        rng = np.random.default_rng([5, seed])
        search = Search(SearchSettings(20.0, 2000.0, Criteria(0.15, 0.95)))
        while (step := search.next_step()) is not None:
            search.add(run_step(server, step, rng))
        found = search.outcome()
        assert found.reason == "latency"
        assert 300 < found.low_per_s < (found.high_per_s or 0) < 500
        assert (found.high_per_s or math.inf) / found.low_per_s <= 1.35
