"""The load record as one table, and what it says about a window of time.

A second belongs to the window that holds its start: the load is recorded in whole seconds, and a
phase may begin inside of one. A second in which a fault starts is the fault's, though, or the
baseline would be blamed for what the fault did in the rest of it. Latencies are those of successful
requests only, because a refusal in a millisecond must not make a service look fast. Nothing is
judged here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from runner.analysis.arrivalfigures import arrival_figures, in_flight
from runner.analysis.loadcolumns import Sums, columns_of
from runner.analysis.seconds import Seconds, Slice, joined, slices_between
from runner.analysis.stats import statistic_s
from runner.analysis.words import phase_label
from runner.model.evaluation import ArrivalFigures, LoadFigures, ServiceTimes
from runner.model.histogram import Counts
from runner.model.plan import Phase, Plan
from runner.model.recording import LoadRecord

__all__ = [
    "LoadTable",
    "Slice",
    "endpoint_figures",
    "first_second",
    "joined",
    "phase_figures",
    "phase_label",
    "seconds_of",
]

_EDGE_TOLERANCE_S = 1e-6

_MOST_KNOWN = 1000
"""Windows whose sums are kept."""


def first_second(edge_s: float) -> int:
    """The first whole second that starts at or after ``edge_s``."""
    # The tolerance keeps 6.000000000000001, a scaled 6, from losing its second.
    return math.ceil(edge_s - _EDGE_TOLERANCE_S)


def seconds_of(start_s: float, end_s: float) -> range:
    """The whole seconds that belong to ``[start_s, end_s)``."""
    return range(first_second(start_s), first_second(end_s))


Endpoints = str | tuple[str, ...] | None
"""Whose requests: of one endpoint, of several together, or of all."""


class LoadTable:
    """The record in memory, and sums over windows of it.

    Args:
        record: What the load generator wrote.
        plan: Cuts off what was sent after the planned end, and says when faults start.

    Attributes:
        columns: The rows.
        users: Second to running users.
        recorded_s: Offset up to which there is a record, at most the planned end.
    """

    def __init__(self, record: LoadRecord, plan: Plan) -> None:
        self.is_open = plan.experiment.load.is_open
        self.columns = columns_of(record.rows)
        self.users = record.users
        last = int(self.columns.seconds[-1]) if len(self.columns.seconds) else -1
        last = max(last, max(record.users, default=-1))
        self.recorded_s = min(float(last + 1), plan.duration_s)
        self._fault_starts = frozenset(fault.start_s for fault in plan.faults)
        self._known: dict[tuple[int, int, bool], Sums] = {}
        self._arrivals = record.arrivals
        self._in_flight = in_flight(record.arrivals)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Names of all endpoints that were called, sorted."""
        return self.columns.endpoints

    def slice(self, start_s: float, end_s: float, endpoint: Endpoints = None) -> Slice:
        """What was seen in ``[start_s, end_s)``, of ``endpoint`` or of all; a tuple is a union."""
        seconds = self._seconds(start_s, end_s)
        length_s = min(seconds.stop, max(self.recorded_s, seconds.start)) - seconds.start
        sums, codes = self._sums(seconds), self._codes(endpoint)
        requests = (sums.requests if codes is None else sums.requests[codes]).sum(axis=0).tolist()
        known = zip(self.columns.outcomes, requests, strict=True)
        outcomes = {name: number for name, number in known if number}
        return Slice(max(0.0, length_s), outcomes, sums.histogram(codes))

    def service(self, start_s: float, end_s: float, endpoint: Endpoints = None) -> Counts:
        """Histogram of microseconds from the send, of successes in ``[start_s, end_s)``.

        Open model only.
        """
        sums = self._sums(self._seconds(start_s, end_s), service=True)
        return sums.histogram(self._codes(endpoint))

    def arrivals(self, start_s: float, end_s: float) -> ArrivalFigures:
        """What became of the arrivals of ``[start_s, end_s)``; open model only.

        An infinite end is that of the record: what waits or is under way at the end of the load is
        given up, or completed, after it.
        """
        if math.isinf(end_s):
            end_s = max(self._arrivals, default=0) + 1.0
        return arrival_figures(self._arrivals, self._in_flight, self._seconds(start_s, end_s))

    def mean_users(self, start_s: float, end_s: float) -> float | None:
        """Mean of the running users over the recorded seconds of a window."""
        seconds = self._seconds(start_s, end_s)
        known = [self.users[second] for second in seconds if second in self.users]
        return sum(known) / len(known) if known else None

    def per_second(self, start_s: float, end_s: float, endpoint: Endpoints = None) -> Seconds:
        """The seconds of a window, one by one; a second without requests is an empty slice.

        A slice is made when it is looked at. Of a long window, take
        :func:`~runner.analysis.seconds.rolling` instead: it has the figure of every second, or of
        every few seconds on end, and makes none.
        """
        return Seconds(self.columns, self._seconds(start_s, end_s), self._codes(endpoint))

    def merged_bins(
        self, edges_s: Sequence[float], endpoint: Endpoints = None, *, service: bool = False
    ) -> list[Slice]:
        """A slice for each pair of edges, in one pass over the record: for charts and heat maps.

        Args:
            edges_s: Offsets that rise. A second belongs to the bin that holds its start, also where
                a fault starts in it: bins are no phases.
            endpoint: As everywhere here.
            service: Whether the histograms are of times from the send.
        """
        edges = [first_second(edge_s) for edge_s in edges_s]
        return slices_between(self.columns, edges, self._codes(endpoint), service=service)

    def _codes(self, endpoint: Endpoints) -> list[int] | None:
        if endpoint is None:
            return None
        return self.columns.codes((endpoint,) if isinstance(endpoint, str) else endpoint)

    def _sums(self, seconds: range, *, service: bool = False) -> Sums:
        key = (seconds.start, seconds.stop, service and self.columns.apart > 0)
        if key not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = self.columns.sums(seconds, service=key[2])
        return self._known[key]

    def _seconds(self, start_s: float, end_s: float) -> range:
        return range(self._first(start_s), self._first(end_s))

    def _first(self, edge_s: float) -> int:
        starts = edge_s in self._fault_starts
        return math.floor(edge_s + _EDGE_TOLERANCE_S) if starts else first_second(edge_s)


def phase_figures(table: LoadTable, plan: Plan) -> tuple[LoadFigures, ...]:
    """Figures of each phase that was reached."""
    return tuple(_figures(table, plan, phase, "") for phase in _reached(table, plan))


def endpoint_figures(table: LoadTable, plan: Plan) -> tuple[LoadFigures, ...]:
    """Figures of each endpoint in each phase that was reached."""
    return tuple(
        _figures(table, plan, phase, endpoint)
        for endpoint in table.endpoints
        for phase in _reached(table, plan)
    )


def _reached(table: LoadTable, plan: Plan) -> tuple[Phase, ...]:
    return tuple(phase for phase in plan.phases if phase.start_s < table.recorded_s)


def _figures(table: LoadTable, plan: Plan, phase: Phase, endpoint: str) -> LoadFigures:
    seen = table.slice(phase.start_s, phase.end_s, endpoint or None)
    return LoadFigures(
        label=phase_label(plan, phase),
        phase=phase.name,
        phase_index=phase.index,
        endpoint=endpoint,
        start_s=phase.start_s,
        end_s=min(phase.end_s, table.recorded_s),
        users=None if endpoint else table.mean_users(phase.start_s, phase.end_s),
        requests=seen.requests,
        rate_per_s=seen.rate_per_s,
        failures=seen.failures,
        error_ratio=seen.error_ratio,
        outcomes=dict(sorted(seen.outcomes.items())),
        p50_s=statistic_s(seen.latency_us, "p50"),
        p95_s=statistic_s(seen.latency_us, "p95"),
        p99_s=statistic_s(seen.latency_us, "p99"),
        max_s=statistic_s(seen.latency_us, "max"),
        service=_service_times(table, phase, endpoint) if table.is_open else None,
        arrivals=table.arrivals(
            phase.start_s, phase.end_s if phase.end_s < plan.duration_s else math.inf
        )
        if table.is_open and not endpoint
        else None,
    )


def _service_times(table: LoadTable, phase: Phase, endpoint: str) -> ServiceTimes:
    counts = table.service(phase.start_s, phase.end_s, endpoint or None)
    return ServiceTimes(
        p50_s=statistic_s(counts, "p50"),
        p95_s=statistic_s(counts, "p95"),
        p99_s=statistic_s(counts, "p99"),
    )
