"""Locust's own statistics, filled from our record once a second instead of at every request.

Locust counts each request into its statistics, which costs more than our record does. Nothing of it
is used here, but a locustfile may look at it, most of all when a test ends
(``environment.stats.total.fail_ratio``). So Locust's listener goes, and what is drained from the
recorder is added up into the same objects. What differs: figures are a second or two old while the
load runs; times are those of the record (0.4 %) and count by the second of their send; content
lengths are 0; errors are our short texts; requests without a response time do not appear.

Who asks for Locust's own reports keeps its own listener, and exact figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from locust import stats as locust_stats
from locust.stats import RequestStats, StatsError

from runner.load.recorder import Batch
from runner.model.histogram import bucket_value_us

_OPTIONS = ("csv_prefix", "html_file", "json", "json_file", "stats_history_enabled")
"""Of Locust's command line: each asks for a report of its statistics."""


class FedStatistics:
    """Takes the place of Locust's listener; made on ``init``.

    Args:
        environment: Locust's, with its runner.
    """

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        options = environment.parsed_options
        own = any(getattr(options, name, None) for name in _OPTIONS)
        self.feeding = not own and unhook_stats(environment)
        """Whether :meth:`feed` is what fills the statistics; else Locust does."""

    def feed(self, batch: Batch, started_wall_s: float) -> None:
        """Add what was drained from the recorder.

        Args:
            batch: Rows and failures that were not fed before.
            started_wall_s: Unix time of the start of second 0.
        """
        if self.feeding:
            feed(self._environment.stats, batch, started_wall_s)


def unhook_stats(environment: Any) -> bool:
    """Stop Locust from counting each request; whether there was something to stop."""
    hook = environment.events.request
    own = [
        listener
        for listener in hook._handlers  # noqa: SLF001 - there is no other way to find it
        if getattr(listener, "__module__", "") == "locust.runners"
        and listener.__qualname__ == "Runner.__init__.<locals>.on_request"
    ]
    for listener in own:
        hook.remove_listener(listener)
    return bool(own)


def feed(stats: RequestStats, batch: Batch, started_wall_s: float) -> None:
    """Add a batch to Locust's statistics."""
    for (second, endpoint, outcome), counts in batch.rows.items():
        wall_s = started_wall_s + second
        for entry in (stats.total, stats.get(*reversed(_method_and_name(endpoint)))):
            _count(entry, counts, wall_s, failed=outcome != "success")
    for (endpoint, _, text), count in batch.failures.items():
        method, name = _method_and_name(endpoint)
        key = StatsError.create_key(method, name, text)
        error = stats.errors.get(key)
        if error is None:
            error = stats.errors[key] = StatsError(method, name, text)
        error.occurred()
        error.occurrences += count - 1


def _method_and_name(endpoint: str) -> tuple[str, str]:
    method, _, name = endpoint.partition(" ")
    # "(other)" and the like are no requests.
    return ("", endpoint) if not name or method.startswith("(") else (method, name)


def _count(entry: Any, counts: Mapping[int, int], wall_s: float, *, failed: bool) -> None:
    """Do to a ``StatsEntry`` what ``log`` and ``log_error`` would have done for each request."""
    number, total_ms = 0, 0.0
    for bucket, count in counts.items():
        value_ms = bucket_value_us(bucket) / 1000
        number += count
        total_ms += value_ms * count
        entry.response_times[locust_stats.bucket_response_time(value_ms)] += count
    if not number:
        return
    low_ms, high_ms = (bucket_value_us(edge(counts)) / 1000 for edge in (min, max))
    least_ms = entry.min_response_time
    entry.min_response_time = low_ms if least_ms is None else min(least_ms, low_ms)
    entry.max_response_time = max(entry.max_response_time, high_ms)
    entry.total_response_time += total_ms
    entry.num_requests += number
    entry.num_reqs_per_sec[int(wall_s)] += number
    entry.last_request_timestamp = max(entry.last_request_timestamp or 0.0, wall_s + 1.0)
    if failed:
        entry.num_failures += number
        entry.num_fail_per_sec[int(wall_s)] += number
