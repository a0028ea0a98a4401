"""The recorder: what was sent in which second, to which endpoint, and how it ended. Pure.

Requests are counted per (second of the send, endpoint, outcome) in the histograms of
:mod:`runner.model.histogram`. Two recorders merge by addition, so that several workers give what
one would have given. Memory is bounded by what is not yet drained: endpoints and failure texts have
limits, and what goes beyond them is counted. No clock, no file, no Locust in here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.model.histogram import bucket_of, merge_into

OTHER_ENDPOINT = "(other)"
MAX_ENDPOINTS = 500
MAX_FAILURE_TEXTS = 200

RowKey = tuple[int, str, str]
"""Second, endpoint, outcome."""

FailureKey = tuple[str, str, str]
"""Endpoint, outcome, text."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was recorded since the last drain; batches add up.

    Attributes:
        rows: Row key to bucket counts.
        failures: Failure key to count.
        dropped: Failures whose text was not kept.
    """

    rows: dict[RowKey, dict[int, int]] = field(default_factory=dict)
    failures: dict[FailureKey, int] = field(default_factory=dict)
    dropped: int = 0


class Recorder:
    """Counts requests until they are drained.

    Args:
        max_endpoints: Endpoints that are told apart; requests to others go to ``(other)``.
        max_texts: Failure texts that are told apart over the whole run; others are dropped.
    """

    def __init__(
        self, max_endpoints: int = MAX_ENDPOINTS, max_texts: int = MAX_FAILURE_TEXTS
    ) -> None:
        self._max_endpoints = max_endpoints
        self._max_texts = max_texts
        self._names: dict[tuple[str, str], str] = {}
        self._endpoints: set[str] = set()
        self._texts: set[FailureKey] = set()
        self._rows: dict[RowKey, dict[int, int]] = {}
        self._failures: dict[FailureKey, int] = {}
        self._dropped = 0
        self.overflowed = 0
        """Requests that were booked under :data:`OTHER_ENDPOINT`."""

    def record(
        self,
        second: int,
        method: str,
        name: str,
        latency_us: int,
        *,
        outcome: str = "success",
        text: str = "",
    ) -> None:
        """Count one request.

        Args:
            second: Whole seconds from the start of the load to its send.
            method: First part of the endpoint.
            name: Second part of the endpoint.
            latency_us: Microseconds from the send to the end of the response.
            outcome: How it ended.
            text: Why it failed; empty for a success.
        """
        endpoint = self._names.get((method, name)) or self._endpoint(method, name)
        key = (second, endpoint, outcome)
        counts = self._rows.get(key)
        if counts is None:
            counts = self._rows[key] = {}
        bucket = bucket_of(latency_us)
        counts[bucket] = counts.get(bucket, 0) + 1
        if text:
            self.fail(endpoint, outcome, text)

    def fail(self, endpoint: str, outcome: str, text: str, count: int = 1) -> None:
        """Count failures that bear a text, without a request of their own."""
        key = (endpoint, outcome, text)
        if key not in self._texts:
            if len(self._texts) >= self._max_texts:
                self._dropped += count
                return
            self._texts.add(key)
        self._failures[key] = self._failures.get(key, 0) + count

    def drain(self, before_second: int | None = None) -> Batch:
        """Take out what was recorded.

        Args:
            before_second: Rows of this second and later stay for the next time; None takes all.
        """
        rows = self._rows
        self._rows = {}
        if before_second is not None:
            self._rows = {key: counts for key, counts in rows.items() if key[0] >= before_second}
            rows = {key: counts for key, counts in rows.items() if key[0] < before_second}
        batch = Batch(rows, self._failures, self._dropped)
        self._failures, self._dropped = {}, 0
        return batch

    def add(self, batch: Batch) -> None:
        """Count what another recorder has drained."""
        for (second, endpoint, outcome), counts in batch.rows.items():
            booked = self._book(endpoint, sum(counts.values()))
            merge_into(self._rows.setdefault((second, booked, outcome), {}), counts)
        for (endpoint, outcome, text), count in batch.failures.items():
            self.fail(self._book(endpoint, 0), outcome, text, count)
        self._dropped += batch.dropped

    def _endpoint(self, method: str, name: str) -> str:
        endpoint = self._book(f"{method} {name}", 1)
        if endpoint != OTHER_ENDPOINT:
            self._names[method, name] = endpoint
        return endpoint

    def _book(self, endpoint: str, requests: int) -> str:
        if endpoint in self._endpoints or endpoint == OTHER_ENDPOINT:
            return endpoint
        if len(self._endpoints) >= self._max_endpoints:
            self.overflowed += requests
            return OTHER_ENDPOINT
        self._endpoints.add(endpoint)
        return endpoint
