"""The recorder: what was sent in which second, to which endpoint, and how it ended. Pure.

Requests are counted per (second, endpoint, outcome) in the histograms of
:mod:`runner.model.histogram`; in the open model, arrivals are counted per second as well. Two
recorders merge by addition, so that several workers give what one would have given. Memory is
bounded by what is not yet drained: endpoints and failure texts have limits, and what goes beyond
them is counted. No clock, no file, no Locust in here.
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


def overflow_note(limit: int) -> str:
    """What the reader of a record must know when there were more endpoints than ``limit``."""
    return f"more than {limit} endpoints: the rest is {OTHER_ENDPOINT}"


@dataclass(slots=True)
class Tally:
    """What became of the arrivals of one second; see ``runner.model.recording.ArrivalSecond``."""

    offered: int = 0
    started: int = 0
    waited: int = 0
    dropped: int = 0
    completed: int = 0
    late_us: dict[int, int] = field(default_factory=dict)

    def late(self, microseconds: float) -> None:
        """Count a start that was late by ``microseconds``, or by nothing."""
        bucket = bucket_of(microseconds)
        self.late_us[bucket] = self.late_us.get(bucket, 0) + 1

    def add(self, other: Tally) -> None:
        self.offered += other.offered
        self.started += other.started
        self.waited += other.waited
        self.dropped += other.dropped
        self.completed += other.completed
        merge_into(self.late_us, other.late_us)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was recorded since the last drain; batches add up.

    Attributes:
        rows: Row key to bucket counts of latencies: response times where they are known.
        failures: Failure key to count.
        dropped: Failures whose text was not kept.
        service: Row key to bucket counts of service times, where those differ from ``rows``.
        arrivals: Second to its tally.
        overflowed: Requests that were booked under :data:`OTHER_ENDPOINT`.
    """

    rows: dict[RowKey, dict[int, int]] = field(default_factory=dict)
    failures: dict[FailureKey, int] = field(default_factory=dict)
    dropped: int = 0
    service: dict[RowKey, dict[int, int]] = field(default_factory=dict)
    arrivals: dict[int, Tally] = field(default_factory=dict)
    overflowed: int = 0


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
        self._service: dict[RowKey, dict[int, int]] = {}
        self._arrivals: dict[int, Tally] = {}
        self._failures: dict[FailureKey, int] = {}
        self._dropped = 0
        self.overflowed = 0
        """Requests that were booked under :data:`OTHER_ENDPOINT`, since the start."""
        self._new_overflow = 0

    def record(
        self,
        second: int,
        method: str,
        name: str,
        latency_us: float,
        *,
        outcome: str = "success",
        text: str = "",
        service_us: float | None = None,
    ) -> None:
        """Count one request.

        Args:
            second: Whole seconds from the start of the load to its send, or to when it was due.
            method: First part of the endpoint.
            name: Second part of the endpoint.
            latency_us: Microseconds from the intended start to the end of the response.
            outcome: How it ended.
            text: Why it failed; empty for a success.
            service_us: Microseconds from the send to the end of the response; None where the send
                is all the intention there was.
        """
        bucket = bucket_of(latency_us)
        endpoint = self._names.get((method, name)) or self._endpoint(method, name)
        key = (second, endpoint, outcome)
        counts = self._rows.get(key)
        if counts is None:
            counts = self._rows[key] = {}
        counts[bucket] = counts.get(bucket, 0) + 1
        if service_us is not None:
            counts = self._service.get(key)
            if counts is None:
                counts = self._service[key] = {}
            bucket = bucket_of(service_us)
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

    def tally(self, second: int) -> Tally:
        """The arrivals of ``second``, to be counted in; good until the next drain."""
        tally = self._arrivals.get(second)
        if tally is None:
            tally = self._arrivals[second] = Tally()
        return tally

    def drain(self, before_second: int | None = None) -> Batch:
        """Take out what was recorded.

        Args:
            before_second: Rows of this second and later stay for the next time; None takes all.
        """
        rows, self._rows = _parted(self._rows, before_second)
        service, self._service = _parted(self._service, before_second)
        arrivals, kept = self._arrivals, {}
        if before_second is not None:
            kept = {second: one for second, one in arrivals.items() if second >= before_second}
            arrivals = {second: one for second, one in arrivals.items() if second < before_second}
        self._arrivals = kept
        overflowed, self._new_overflow = self._new_overflow, 0
        batch = Batch(rows, self._failures, self._dropped, service, arrivals, overflowed)
        self._failures, self._dropped = {}, 0
        return batch

    def add(self, batch: Batch) -> None:
        """Count what another recorder has drained."""
        for (second, endpoint, outcome), counts in batch.rows.items():
            booked = self._book(endpoint, sum(counts.values()))
            merge_into(self._rows.setdefault((second, booked, outcome), {}), counts)
        for (second, endpoint, outcome), counts in batch.service.items():
            key = (second, self._book(endpoint, 0), outcome)
            merge_into(self._service.setdefault(key, {}), counts)
        for second, tally in batch.arrivals.items():
            self.tally(second).add(tally)
        self.overflowed += batch.overflowed
        self._new_overflow += batch.overflowed
        for (endpoint, outcome, text), count in batch.failures.items():
            self.fail(self._book(endpoint, 0), outcome, text, count)
        self._dropped += batch.dropped

    def _endpoint(self, method: str, name: str) -> str:
        # Half a surrogate can be had in Python, and neither be sent nor written.
        plain = f"{method} {name}".encode("utf-8", "replace").decode("utf-8")
        endpoint = self._book(plain, 1)
        if endpoint != OTHER_ENDPOINT:
            self._names[method, name] = endpoint
        return endpoint

    def _book(self, endpoint: str, requests: int) -> str:
        if endpoint in self._endpoints or endpoint == OTHER_ENDPOINT:
            return endpoint
        if len(self._endpoints) >= self._max_endpoints:
            self.overflowed += requests
            self._new_overflow += requests
            return OTHER_ENDPOINT
        self._endpoints.add(endpoint)
        return endpoint


def _parted(
    rows: dict[RowKey, dict[int, int]], before_second: int | None
) -> tuple[dict[RowKey, dict[int, int]], dict[RowKey, dict[int, int]]]:
    """Rows of seconds before ``before_second``, and the others."""
    if before_second is None:
        return rows, {}
    out = {key: counts for key, counts in rows.items() if key[0] < before_second}
    kept = {key: counts for key, counts in rows.items() if key[0] >= before_second}
    return out, kept
