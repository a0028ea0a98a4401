"""Locust's own statistics and log stay small."""

from __future__ import annotations

import logging
from types import SimpleNamespace

from runner.load.locust_upkeep import LineLimit, prune_stats


def entry(*seconds: int) -> SimpleNamespace:
    return SimpleNamespace(
        num_reqs_per_sec=dict.fromkeys(seconds, 1), num_fail_per_sec=dict.fromkeys(seconds, 1)
    )


def test_statistics_keep_half_a_minute_and_a_bounded_number_of_entries() -> None:
    """Goal: a soak stays flat. Method: a day of seconds and 1500 names, errors and samples."""
    stats = SimpleNamespace(
        total=entry(*range(86_400)),
        entries={n: entry(10, 86_399) for n in range(1500)},
        errors=dict.fromkeys(range(1500)),
        history=list(range(1500)),
    )
    prune_stats(stats, 86_400.9)
    assert list(stats.total.num_reqs_per_sec) == list(range(86_370, 86_400))
    assert list(stats.total.num_fail_per_sec) == list(range(86_370, 86_400))
    assert list(stats.entries[0].num_reqs_per_sec) == [86_399]
    assert list(stats.entries) == list(stats.errors) == list(range(1000))
    assert stats.history == list(range(1400, 1500))


def record(line: int, message: str = "failed") -> logging.LogRecord:
    return logging.LogRecord("locust", logging.ERROR, "task.py", line, message, None, None)


def test_the_log_takes_twenty_lines_of_a_place_and_says_so() -> None:
    limit = LineLimit()
    records = [record(7) for _ in range(30)]
    taken = [each for each in records if limit.filter(each)]
    assert len(taken) == 20
    assert taken[18].getMessage() == "failed"
    assert taken[19].getMessage() == "failed [further lines of this kind are left out]"
    assert limit.filter(record(8))


def test_the_log_does_not_remember_more_than_its_limit_of_places() -> None:
    limit = LineLimit()
    assert [limit.filter(record(line)) for line in range(501)] == [True] * 500 + [False]
    assert limit.filter(record(0))
