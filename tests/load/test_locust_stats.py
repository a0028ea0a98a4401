"""Locust's statistics from our record: the same figures as Locust's own, at no cost per request.

Locust must not patch the process of the tests, so it is imported under a switch of its own.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from runner.load.recorder import OTHER_ENDPOINT, Batch, Recorder

_before = os.environ.get("LOCUST_SKIP_MONKEY_PATCH")
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
try:
    from locust.env import Environment
    from locust.stats import RequestStats

    from runner.load.locust_stats import FedStatistics, feed, unhook_stats
finally:
    if _before is None:
        del os.environ["LOCUST_SKIP_MONKEY_PATCH"]
    else:
        os.environ["LOCUST_SKIP_MONKEY_PATCH"] = _before


REQUESTS = [
    *(("GET", "/a", 0.5 + 0.31 * n, None) for n in range(300)),
    *(("POST", "/b", 90.0 + 17.7 * n, None) for n in range(50)),
    *(("GET", "/a", 1000.0 + n, "HTTP 503") for n in range(20)),
    ("GET", "/name with spaces", 30_000.0, "HTTP 404"),
]
"""Method, name, milliseconds and error; all within one second."""


def fire(environment: Environment, requests: Any = REQUESTS) -> None:
    for method, name, ms, error in requests:
        hook: Any = environment.events.request
        hook.fire(
            request_type=method, name=name, response_time=ms, response_length=0, exception=error
        )


def recorded() -> Batch:
    recorder = Recorder()
    for method, name, ms, error in REQUESTS:
        recorder.record(
            7,
            method,
            name,
            int(1000 * ms + 0.5),
            outcome="success" if error is None else "error",
            text=error or "",
        )
    return recorder.drain()


@pytest.fixture
def environment() -> Environment:
    made = Environment()
    made.create_local_runner()
    made.parsed_options = SimpleNamespace()
    return made


def test_the_record_gives_what_locust_would_have_counted(environment: Environment) -> None:
    """Goal: a locustfile reads the figures it knows. Method: the same requests both ways."""
    fire(environment)
    fed = RequestStats(use_response_times_cache=False)
    feed(fed, recorded(), 1000.25)
    counted = environment.stats
    assert sorted(fed.entries) == sorted(counted.entries)
    pairs = [(fed.total, counted.total)]
    pairs += [(fed.entries[key], counted.entries[key]) for key in counted.entries]
    for ours, theirs in pairs:
        assert ours.num_requests == theirs.num_requests
        assert ours.num_failures == theirs.num_failures
        assert ours.fail_ratio == theirs.fail_ratio
        assert ours.avg_response_time == pytest.approx(theirs.avg_response_time, rel=0.004)
        assert ours.min_response_time == pytest.approx(theirs.min_response_time, rel=0.004)
        assert ours.max_response_time == pytest.approx(theirs.max_response_time, rel=0.004)
        for ratio in (0.5, 0.9, 0.99):
            expected = theirs.get_response_time_percentile(ratio)
            # A value near the edge of one of Locust's steps may fall into the next one.
            step = max(1.0, 0.1 * expected)
            assert ours.get_response_time_percentile(ratio) == pytest.approx(expected, abs=step)
    told = {key: (e.method, e.name, e.error, e.occurrences) for key, e in fed.errors.items()}
    assert told == {
        key: (e.method, e.name, e.error, e.occurrences) for key, e in counted.errors.items()
    }


def test_seconds_are_those_of_the_sends_and_batches_add_up() -> None:
    fed = RequestStats(use_response_times_cache=False)
    feed(fed, recorded(), 1000.25)
    feed(fed, Batch({(8, "GET /a", "success"): {5000: 2}, (8, "GET /a", "error"): {}}), 1000.25)
    feed(fed, Batch({}, {("GET /a", "error", "HTTP 503"): 3}), 1000.25)
    assert dict(fed.total.num_reqs_per_sec) == {1007: 371, 1008: 2}
    assert dict(fed.total.num_fail_per_sec) == {1007: 21}
    assert fed.last_request_timestamp == 1009.25
    assert fed.get("/a", "GET").num_requests == 322
    assert sorted(error.occurrences for error in fed.errors.values()) == [1, 23]


def test_what_is_no_request_has_no_method() -> None:
    fed = RequestStats(use_response_times_cache=False)
    failures = {("(user code)", "error", "KeyError: 'x'"): 2}
    feed(fed, Batch({(0, OTHER_ENDPOINT, "success"): {1: 1}}, failures), 0.0)
    assert list(fed.entries) == [(OTHER_ENDPOINT, "")]
    assert [error.to_name() for error in fed.errors.values()] == [" (user code): KeyError: 'x'"]


def test_locusts_listener_goes_and_others_stay(environment: Environment) -> None:
    """Goal: nothing is counted twice. Method: events before and after, with a user's listener."""
    seen: list[str] = []
    hook: Any = environment.events.request
    hook.add_listener(lambda name, **_: seen.append(name))
    fire(environment, REQUESTS[:1])
    fed = FedStatistics(environment)
    assert fed.feeding
    fire(environment, REQUESTS[:2])
    assert (environment.stats.num_requests, len(seen)) == (1, 3)
    fed.feed(recorded(), 1000.25)
    assert environment.stats.num_requests == 1 + len(REQUESTS)
    assert not unhook_stats(environment)


@pytest.mark.parametrize("option", ["csv_prefix", "html_file", "json", "json_file"])
def test_who_asks_for_locusts_reports_gets_locusts_figures(
    environment: Environment, option: str
) -> None:
    environment.parsed_options = SimpleNamespace(**{option: "x"})
    fed = FedStatistics(environment)
    fire(environment)
    fed.feed(recorded(), 1000.25)
    assert not fed.feeding
    assert environment.stats.num_requests == len(REQUESTS)
