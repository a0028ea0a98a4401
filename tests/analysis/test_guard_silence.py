"""Guards that wait for an answer of the target: when it is silent, and when it only seems so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from guarding import feed, guard, guards, nobody, paused, row

from runner.analysis.guards import Guards
from runner.analysis.live import LiveLoad
from runner.model.plan import Plan
from runner.model.recording import LoadRow


def silent(for_s: int = 3, grace: str = "2s", plan: Plan | None = None) -> Guards:
    return guards(guard("silent", **{"for": f"{for_s}s"}, grace=grace), plan=plan)


def follow(watched: Guards, until_s: float, rows: Callable[[int], list[LoadRow]]) -> str | None:
    """The reason of the first trip, when the generator writes ``rows`` at each whole second."""
    load = LiveLoad()
    for tenth in range(int(until_s * 10)):
        now_s = tenth / 10
        if tenth % 10 == 0:
            feed(load, now_s, *rows(tenth // 10))
        if reason := watched.tripped(load, now_s, nobody):
            return reason
    return None


def test_a_target_that_answers_nothing_is_silent() -> None:
    """Goal: errors without an answer are silence. Method: nothing but timeouts from 12 s on."""
    watched = silent()
    reason = follow(watched, 30, lambda s: [row(s, "success" if s < 12 else "timeout", 5)])
    # The last answer at 11 s, 1.5 s in which it may be under way to us, 3 s of silence.
    assert reason == (
        "silent held for 3 s (the last answer came at 11.0 s; 20 requests ended without one "
        "since), at 15.6 s"
    )


@pytest.mark.parametrize("outcome", ["success", "http_4xx", "http_5xx"])
def test_whoever_answers_is_not_silent(outcome: str) -> None:
    """Goal: a refusal is an answer. Method: one among a hundred that have none."""
    rows = ["timeout", "connection", outcome, "error"]
    assert follow(silent(), 30, lambda s: [row(s, one, 33) for one in rows]) is None


def test_an_answer_counts_when_it_comes_in() -> None:
    """Goal: slow is not silent. Method: each second's requests are answered 8 s later.

    Until the first answer, after 8 s, the target is silent as far as anybody knows.
    """

    def late(second: int) -> list[LoadRow]:
        return [row(second - 8, "success", 5)] if second >= 8 else []

    assert follow(silent(10, grace="0s"), 50, late) is None
    reason = follow(silent(3), 50, late)
    assert reason == (
        "silent held for 3 s (no answer at all; no request has ended since), at 5.0 s"
    )


def test_bursts_that_are_further_apart_than_the_patience_are_silence() -> None:
    """Goal: what 'for' must cover. Method: all users wait 8 s for answers that come together."""
    answers = lambda s: [row(s - 8, "success", 50)] if s % 8 == 0 else []  # noqa: E731
    assert follow(silent(8), 50, answers) is None
    assert follow(silent(5, grace="10s"), 50, answers) is not None


def test_nobody_is_silent_who_is_not_asked() -> None:
    """Goal: no false alarm in a planned pause, nor at its end; a true one after it."""
    plan = paused()
    reason = follow(silent(plan=plan), 60, lambda s: [row(s, "success", 5)] if s < 20 else [])
    # Users are planned again from 40 s on, and the first one is there 0.1 s later.
    assert reason == (
        "silent held for 3 s (the last answer came at 19.0 s; no request has ended since), "
        "at 43.1 s"
    )


def test_a_generator_that_writes_nothing_says_nothing_of_the_target() -> None:
    """Goal: the right culprit, and `ignore`. Method: its last line is of second 12."""
    load = LiveLoad()
    feed(load, 12.0, row(11, "success", 5))
    said: dict[str, str | None] = {}
    for on_missing in ("abort", "ignore"):
        watched = guards(guard("silent", on_missing=on_missing))
        reasons = [watched.tripped(load, 12 + tenth / 10, nobody) for tenth in range(90)]
        said[on_missing] = next(filter(None, reasons), None)
    assert said == {
        "abort": "silent held for 3 s (the last answer came at 12.0 s; no request has ended since; "
        "since then no figure: the load generator has written nothing since 12.0 s), at 16.6 s",
        "ignore": None,
    }
