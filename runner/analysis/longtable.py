"""Everything that was measured in a run over time, as one long table, a series at a time. Pure.

A line of the table is one figure at one moment. It is made in pieces of one series each, so that a
day needs no more memory than its record and one series. What the figures mean is the recording's
business; nothing is judged, rounded or filled in, and a moment without a figure has no line.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from runner.analysis.seconds import statistics_of
from runner.analysis.windows import LoadTable, phase_label
from runner.model.plan import Plan
from runner.model.recording import Recording, SignalSeries

OWN = "signal."

Whence = Literal["load", "generator", "mesh", "own"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One series.

    Attributes:
        source: Who measured: the ``load`` (what its users saw), the ``generator`` (how it fared
            itself), the ``mesh`` (Prometheus, golden signals) or ``own`` signals.
        sli: What, such as ``requests``, ``errors.http_5xx``, ``latency.p95``.
        unit: ``s``, ``ratio``, ``per_s``, ``count`` or ``bytes``.
        service: Of the mesh; empty for all.
        endpoint: Of the load; empty for all.
        offsets_s: Start of each window, or moment, in seconds from the start of the load; rising.
        values: The figure of each.
        phases: The phase that each is in, as the report calls it; empty outside of the load.
    """

    source: Whence
    sli: str
    unit: str
    service: str = ""
    endpoint: str = ""
    offsets_s: Sequence[float] = ()
    values: Sequence[float] = ()
    phases: Sequence[str] = ()


def long_table(recording: Recording, every_s: int = 1) -> Iterator[Piece]:
    """All series that have a figure, one after the other.

    Args:
        recording: The run.
        every_s: Seconds of the load that are put together in a line: counts add up, percentiles are
            those of all requests, of users and of the generator's figures it is the highest.
    """
    phase_of = _phases(recording.plan)
    for piece in _pieces(recording, max(1, every_s)):
        if piece.offsets_s:
            yield replace(piece, phases=[phase_of(offset_s) for offset_s in piece.offsets_s])


def time_of(recording: Recording) -> Callable[[float], datetime | None]:
    """The moment of an offset, in UTC; none when the load never started."""
    anchor = recording.manifest.anchor
    if anchor is None:
        return lambda offset_s: None
    started_s = anchor.load_started_wall_s
    return lambda offset_s: datetime.fromtimestamp(started_s + offset_s, UTC)


def _phases(plan: Plan) -> Callable[[float], str]:
    starts = [phase.start_s for phase in plan.phases]
    labels = ["", *(phase_label(plan, phase) for phase in plan.phases)]
    end_s = plan.phases[-1].end_s if plan.phases else 0.0
    return lambda at_s: labels[bisect_right(starts, at_s)] if at_s < end_s else ""


def _pieces(recording: Recording, every_s: int) -> Iterator[Piece]:
    table = LoadTable(recording.load, recording.plan)
    edges = _edges(math.ceil(table.recorded_s), every_s)
    if len(edges) > 1:
        yield _seconds(Piece("load", "users", "count"), table.users, edges, max)
        for endpoint in (None, *table.endpoints):
            yield from _load(table, edges, endpoint)
        for name in _ARRIVALS:
            came = {at: getattr(one, name) for at, one in recording.load.arrivals.items()}
            yield _seconds(Piece("load", f"arrivals.{name}", "count"), came, edges, sum)
        for name, (unit, field) in _GENERATOR.items():
            fared = {at: getattr(one, field) for at, one in recording.load.generator.items()}
            yield _seconds(Piece("generator", f"generator.{name}", unit), fared, edges, max)
    for series in recording.signals.series if recording.signals is not None else ():
        yield _signal(series)


def _edges(end_s: int, every_s: int) -> list[int]:
    """Whole seconds from 0 to the end; the last window may be shorter."""
    edges = list(range(0, end_s, every_s))
    return [*edges, end_s]


def _load(table: LoadTable, edges: Sequence[int], endpoint: str | None) -> Iterator[Piece]:
    """Requests, errors by outcome, and latencies of successes."""
    columns = table.columns
    codes = None if endpoint is None else columns.codes((endpoint,))
    counts = columns.outcome_table(edges, codes)
    starts = [float(edge) for edge in edges[:-1]]
    base = Piece("load", "requests", "count", endpoint=endpoint or "", offsets_s=starts)
    yield replace(base, values=counts.sum(axis=1).tolist())
    failed = [at for at, outcome in enumerate(columns.outcomes) if outcome != "success"]
    yield replace(base, sli="errors", values=counts[:, failed].sum(axis=1).tolist())
    for at in failed:
        known = counts[:, at].tolist()
        yield _without_gaps(replace(base, sli=f"errors.{columns.outcomes[at]}"), known, drop=0)
    for service in (False, True) if table.is_open else (False,):
        name = "service" if service else "latency"
        statistics: dict[str, list[float | None]] = {"p50": [], "p95": [], "p99": []}
        for _, buckets, part in columns.histogram_tables(edges, codes, service=service):
            for statistic in statistics:
                statistics[statistic] += statistics_of(buckets, part, statistic)
        for statistic, found in statistics.items():
            yield _without_gaps(replace(base, sli=f"{name}.{statistic}", unit="s"), found)


def _without_gaps(piece: Piece, values: Sequence[float | None], drop: float | None = None) -> Piece:
    """``piece`` with those of ``values`` that are there, and not ``drop``."""
    pairs = zip(piece.offsets_s, values, strict=True)
    known = [(at_s, value) for at_s, value in pairs if value is not None and value != drop]
    return replace(
        piece, offsets_s=[at_s for at_s, _ in known], values=[float(value) for _, value in known]
    )


_ARRIVALS = ("offered", "started", "waited", "dropped", "completed")
_GENERATOR = {
    "cpu": ("ratio", "cpu_ratio"),
    "lag": ("s", "lag_s"),
    "memory": ("bytes", "rss_bytes"),
}
"""How the load generator fared itself: unit, and field of the record."""


def _seconds(
    piece: Piece,
    figures: Mapping[int, float],
    edges: Sequence[int],
    together: Callable[[Iterable[float]], float],
) -> Piece:
    """``piece`` with what was noted in the seconds of each window; none where nothing was."""
    found: dict[int, list[float]] = {}
    for second, value in figures.items():
        at = bisect_right(edges, second) - 1
        if 0 <= at < len(edges) - 1:
            found.setdefault(at, []).append(value)
    return replace(
        piece,
        offsets_s=[float(edges[at]) for at in sorted(found)],
        values=[float(together(found[at])) for at in sorted(found)],
    )


def _signal(series: SignalSeries) -> Piece:
    own = series.sli.startswith(OWN)
    known = [
        (at_s, value) for at_s, value in series.points if value is not None and math.isfinite(value)
    ]
    return Piece(
        source="own" if own else "mesh",
        sli=series.sli,
        unit=series.unit,
        service=series.service,
        offsets_s=[at_s for at_s, _ in known],
        values=[value for _, value in known],
    )
