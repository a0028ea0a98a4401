"""The load record as one table, and what it says about a window of time.

A second belongs to the window that holds its start: the load is recorded in whole seconds, and a
phase may begin inside of one. A second in which a fault starts is the fault's, though, or the
baseline would be blamed for what the fault did in the rest of it. Latencies are those of successful
requests only, because a refusal in a millisecond must not make a service look fast. Nothing is
judged here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.analysis.arrivalfigures import arrival_figures, in_flight
from runner.analysis.stats import statistic_s
from runner.model.evaluation import ArrivalFigures, LoadFigures, ServiceTimes
from runner.model.histogram import Counts, merge_into, merged
from runner.model.plan import Phase, Plan
from runner.model.recording import LoadRecord
from runner.model.units import format_duration

if TYPE_CHECKING:
    import pandas as pd

_EDGE_TOLERANCE_S = 1e-6


def first_second(edge_s: float) -> int:
    """The first whole second that starts at or after ``edge_s``."""
    # The tolerance keeps 6.000000000000001, a scaled 6, from losing its second.
    return math.ceil(edge_s - _EDGE_TOLERANCE_S)


def seconds_of(start_s: float, end_s: float) -> range:
    """The whole seconds that belong to ``[start_s, end_s)``."""
    return range(first_second(start_s), first_second(end_s))


def phase_label(plan: Plan, phase: Phase) -> str:
    """What a reader calls ``phase``: its name, its faults, and a number where names repeat."""
    if phase.name == "window":
        return f"{format_duration(phase.start_s)}..{format_duration(phase.end_s)}"
    if phase.faults:
        return f"{phase.name} {' + '.join(phase.faults)}"
    alike = [other.index for other in plan.phases_named(phase.name) if not other.faults]
    return phase.name if len(alike) == 1 else f"{phase.name} {alike.index(phase.index) + 1}"


@dataclass(frozen=True, slots=True)
class Slice:
    """What the load saw in one window, of one endpoint or of all.

    Attributes:
        seconds: Length that the requests are spread over.
        outcomes: Outcome to number of requests.
        latency_us: Histogram of the successful requests.
    """

    seconds: float
    outcomes: Mapping[str, int]
    latency_us: Counts

    @property
    def requests(self) -> int:
        return sum(self.outcomes.values())

    @property
    def successes(self) -> int:
        return self.outcomes.get("success", 0)

    @property
    def failures(self) -> int:
        return self.requests - self.successes

    @property
    def error_ratio(self) -> float | None:
        return self.failures / self.requests if self.requests else None

    @property
    def rate_per_s(self) -> float:
        return self.requests / self.seconds if self.seconds > 0 else 0.0


class LoadTable:
    """The record in memory: a row for each second, endpoint and outcome, in order of time.

    Args:
        record: What the load generator wrote.
        plan: Cuts off what was sent after the planned end, and says when faults start.

    Attributes:
        frame: Columns ``second``, ``endpoint``, ``outcome``, ``requests`` and ``latency_us`` (the
            histogram), in the open model also ``service_us``; rows of one key are not merged,
            they add up.
        users: Second to running users.
        recorded_s: Offset up to which there is a record, at most the planned end.
    """

    def __init__(self, record: LoadRecord, plan: Plan) -> None:
        self.is_open = plan.experiment.load.is_open
        self.frame = _frame(record, with_service=self.is_open)
        self.users = record.users
        last = max((row.second for row in record.rows), default=-1)
        last = max(last, max(record.users, default=-1))
        self.recorded_s = min(float(last + 1), plan.duration_s)
        self._fault_starts = frozenset(fault.start_s for fault in plan.faults)
        self._known: dict[tuple[int, int, str | tuple[str, ...] | None], Slice] = {}
        self._service: dict[tuple[int, int, str], Counts] = {}
        self._arrivals = record.arrivals
        self._in_flight = in_flight(record.arrivals)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Names of all endpoints that were called, sorted."""
        return tuple(sorted(self.frame["endpoint"].cat.categories))

    def slice(
        self, start_s: float, end_s: float, endpoint: str | tuple[str, ...] | None = None
    ) -> Slice:
        """What was seen in ``[start_s, end_s)``, of ``endpoint`` or of all; a tuple is a union."""
        seconds = self._seconds(start_s, end_s)
        key = (seconds.start, seconds.stop, endpoint)
        if key not in self._known:
            length_s = min(seconds.stop, max(self.recorded_s, seconds.start)) - seconds.start
            rows = self._rows(seconds)
            if endpoint is not None:
                rows = rows[rows["endpoint"].isin(_several(endpoint))]
            self._known[key] = _slice(rows, max(0.0, length_s))
        return self._known[key]

    def service(self, start_s: float, end_s: float, endpoint: str | None = None) -> Counts:
        """Histogram of microseconds from the send, of successes in ``[start_s, end_s)``.

        Open model only. Of all endpoints it is the sum of those of each, so that no row is added
        up twice.
        """
        if endpoint is None:
            return merged(self.service(start_s, end_s, one) for one in self.endpoints)
        seconds = self._seconds(start_s, end_s)
        key = (seconds.start, seconds.stop, endpoint)
        if key not in self._service:
            rows = self._rows(seconds)
            wanted = (rows["endpoint"] == endpoint) & (rows["outcome"] == "success")
            self._service[key] = merged(rows.loc[wanted, "service_us"])
        return self._service[key]

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

    def per_second(
        self, start_s: float, end_s: float, endpoint: str | tuple[str, ...] | None
    ) -> list[Slice]:
        """The seconds of a window, one by one; a second without requests is an empty slice."""
        seconds = self._seconds(start_s, end_s)
        rows = self._rows(seconds)
        if endpoint is not None:
            rows = rows[rows["endpoint"].isin(_several(endpoint))]
        outcomes: list[dict[str, int]] = [{} for _ in seconds]
        latency_us: list[dict[int, int]] = [{} for _ in seconds]
        columns = (rows["second"], rows["outcome"], rows["requests"], rows["latency_us"])
        for second, outcome, requests, counts in zip(*columns, strict=True):
            at = second - seconds.start
            outcomes[at][outcome] = outcomes[at].get(outcome, 0) + requests
            if outcome == "success":
                merge_into(latency_us[at], counts)
        return [Slice(1.0, *pair) for pair in zip(outcomes, latency_us, strict=True)]

    def _seconds(self, start_s: float, end_s: float) -> range:
        return range(self._first(start_s), self._first(end_s))

    def _first(self, edge_s: float) -> int:
        starts = edge_s in self._fault_starts
        return math.floor(edge_s + _EDGE_TOLERANCE_S) if starts else first_second(edge_s)

    def _rows(self, seconds: range) -> pd.DataFrame:
        low, high = self.frame["second"].searchsorted([seconds.start, seconds.stop])
        return self.frame.iloc[low:high]


def _several(endpoint: str | tuple[str, ...]) -> tuple[str, ...]:
    return (endpoint,) if isinstance(endpoint, str) else endpoint


def joined(slices: Iterable[Slice]) -> Slice:
    """Several windows as one: lengths, requests and histograms add up."""
    parts = tuple(slices)
    outcomes: dict[str, int] = {}
    for part in parts:
        for outcome, requests in part.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + requests
    return Slice(
        sum(part.seconds for part in parts), outcomes, merged(part.latency_us for part in parts)
    )


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


def _frame(record: LoadRecord, *, with_service: bool) -> pd.DataFrame:
    import pandas as pd

    rows = sorted(record.rows, key=lambda row: row.second)
    columns = {
        "second": pd.Series([row.second for row in rows], dtype="int64"),
        "endpoint": pd.Categorical([row.endpoint for row in rows]),
        "outcome": pd.Categorical([row.outcome for row in rows]),
        "requests": pd.Series([row.count for row in rows], dtype="int64"),
        "latency_us": pd.Series([row.latency_us for row in rows], dtype="object"),
    }
    if with_service:  # No copies: where both are the same, it is the same histogram.
        times = [row.latency_us if row.service_us is None else row.service_us for row in rows]
        columns["service_us"] = pd.Series(times, dtype="object")
    return pd.DataFrame(columns)


def _slice(rows: pd.DataFrame, length_s: float) -> Slice:
    sums = rows.groupby("outcome", observed=True)["requests"].sum()
    outcomes = {str(outcome): int(requests) for outcome, requests in sums.items() if requests}
    successes: Iterable[Counts] = rows.loc[rows["outcome"] == "success", "latency_us"]
    return Slice(length_s, outcomes, merged(successes))
