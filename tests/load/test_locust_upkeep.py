"""Locust's own statistics and log stay small."""

from __future__ import annotations

import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest

from runner.load.locust_upkeep import LineLimit, limit_tracebacks, prune_stats


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


def test_tracebacks_of_dead_users_end_after_twenty_of_a_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Goal: a small log where log-ins fail all day. Method: 30 of one kind and one of another."""
    shown: list[str] = []
    hub = SimpleNamespace(print_exception=lambda *how: shown.append(how[1].__name__))
    limit_tracebacks(hub)
    for kind in [*[KeyError] * 30, ValueError]:
        hub.print_exception(None, kind, kind("x"), None)
    assert shown == ["KeyError"] * 20 + ["ValueError"]
    assert caplog.messages == ["further tracebacks of KeyError are left out"]


def test_the_hub_of_gevent_obeys() -> None:
    """Goal: the one that prints is the one that is limited. Method: greenlets that die."""
    code = """
import gevent
from runner.load.locust_upkeep import limit_tracebacks
limit_tracebacks(gevent.get_hub())
gevent.joinall([gevent.spawn(lambda: 1 / 0) for _ in range(30)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("failed with ZeroDivisionError") == 20
