"""The seconds of a window, one by one or a few at a time, without a histogram for each. Pure.

A day has 86,400 seconds. :class:`Seconds` is a sequence of slices that are made when they are
looked at; :func:`rolling` has the figure of every second, or of every few seconds on end, without
making any.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, overload

from runner.analysis.loadcolumns import LoadColumns, bucket_values_us
from runner.analysis.stats import statistic_s
from runner.model.bound import Bound
from runner.model.histogram import Counts, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_COUNTED = ("errors", "traffic")
"""Figures that rest on numbers of requests alone."""

_BLOCK = 256
"""Seconds whose slices are made at once."""


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


def slices_between(
    columns: LoadColumns,
    edges: Sequence[int],
    codes: Collection[int] | None,
    *,
    service: bool = False,
) -> list[Slice]:
    """A slice for each pair of ``edges``, which are seconds that rise."""
    outcomes = columns.outcome_table(edges, codes).tolist()
    counted: list[dict[str, int]] = [
        {name: requests for name, requests in zip(columns.outcomes, row, strict=True) if requests}
        for row in outcomes
    ]
    histograms: list[dict[int, int]] = []
    for _, buckets, table in columns.histogram_tables(edges, codes, service=service):
        histograms += [_histogram(buckets, row) for row in table]
    lengths = (float(b - a) for a, b in pairwise(edges))
    return [Slice(*one) for one in zip(lengths, counted, histograms, strict=True)]


def _histogram(buckets: Any, row: Any) -> dict[int, int]:
    (known,) = row.nonzero()
    return dict(zip(buckets[known].tolist(), row[known].tolist(), strict=True))


class Seconds(Sequence[Slice]):
    """The seconds of a window; a second without requests is an empty slice.

    Args:
        columns: The rows of the load.
        seconds: Whole seconds of the run.
        codes: Endpoints; None for all.
    """

    def __init__(
        self, columns: LoadColumns, seconds: range, codes: Collection[int] | None = None
    ) -> None:
        self.columns, self.seconds, self.codes = columns, seconds, codes
        self._made: dict[int, list[Slice]] = {}

    def __len__(self) -> int:
        return len(self.seconds)

    @overload
    def __getitem__(self, index: int) -> Slice: ...
    @overload
    def __getitem__(self, index: slice) -> list[Slice]: ...
    def __getitem__(self, index: int | slice) -> Slice | list[Slice]:
        if isinstance(index, slice):
            return [self[at] for at in range(len(self))[index]]
        block, at = divmod(range(len(self))[index], _BLOCK)
        if block not in self._made:
            while len(self._made) > 1:  # Who goes through them needs this one and the one before.
                del self._made[next(iter(self._made))]
            part = self.seconds[block * _BLOCK : (block + 1) * _BLOCK]
            edges = range(part.start, part.stop + 1)
            self._made[block] = slices_between(self.columns, edges, self.codes)
        return self._made[block][at]


def figure_of(bound: Bound) -> str:
    """The figure that a bound on what the load sees compares, as :func:`rolling` takes it."""
    return bound.sli if bound.sli in _COUNTED else bound.statistic


def rolling(seconds: Sequence[Slice], figure: str, window_s: int = 1) -> list[float | None]:
    """The figure of each window of ``window_s`` seconds on end that lies within ``seconds``.

    Args:
        seconds: What was seen in each second; fast where it is :class:`Seconds`.
        figure: ``errors`` (ratio), ``traffic`` (requests a second), or a statistic of latencies as
            :func:`~runner.analysis.stats.statistic_s` takes it (seconds). None where there is none:
            no request, or for latencies, none that succeeded.
        window_s: Seconds in a window.
    """
    return rolling_figures(seconds, [figure], window_s)[figure]


def rolling_figures(
    seconds: Sequence[Slice], figures: Iterable[str], window_s: int = 1
) -> dict[str, list[float | None]]:
    """Several figures at once, each as :func:`rolling` has it: histograms are added up but once."""
    wanted = list(dict.fromkeys(figures))
    found: dict[str, list[float | None]] = {figure: [] for figure in wanted}
    if len(seconds) < window_s:
        return found
    if not isinstance(seconds, Seconds):
        for at in range(len(seconds) - window_s + 1):
            seen = joined(seconds[at : at + window_s])
            for figure in wanted:
                found[figure].append(_figure(seen, figure))
        return found
    of_latency = [figure for figure in wanted if figure not in _COUNTED]
    for figure in wanted:
        if figure in _COUNTED:
            found[figure] = _rolling_counts(seconds, figure, window_s)
    part = seconds.seconds
    edges = range(part.start, part.stop + 1)
    if of_latency:
        columns, overlap = seconds.columns, window_s - 1
        for _, buckets, table in columns.histogram_tables(edges, seconds.codes, overlap=overlap):
            for figure, values in _statistics(buckets, _summed(table, window_s), of_latency):
                found[figure] += values
    return found


def _figure(seen: Slice, figure: str) -> float | None:
    if figure == "errors":
        return seen.error_ratio
    return seen.rate_per_s if figure == "traffic" else statistic_s(seen.latency_us, figure)


def _rolling_counts(seconds: Seconds, figure: str, window_s: int) -> list[float | None]:
    columns, part = seconds.columns, seconds.seconds
    table = columns.outcome_table(range(part.start, part.stop + 1), seconds.codes)
    requests = _summed(table.sum(axis=1, keepdims=True), window_s)[:, 0].tolist()
    if figure == "traffic":
        return [number / window_s for number in requests]
    bad = [at for at, name in enumerate(columns.outcomes) if name != "success"]
    failures = _summed(table[:, bad].sum(axis=1, keepdims=True), window_s)[:, 0].tolist()
    return [
        failed / number if number else None
        for failed, number in zip(failures, requests, strict=True)
    ]


def _summed(table: Any, window_s: int) -> Any:
    """Sums of each ``window_s`` lines on end."""
    import numpy as np

    if window_s == 1:
        return table
    sums = np.zeros((len(table) + 1, table.shape[1]), np.int64)
    np.cumsum(table, axis=0, out=sums[1:])
    return sums[window_s:] - sums[:-window_s]


def statistics_of(buckets: Any, table: Any, statistic: str) -> list[float | None]:
    """The statistic of each line, as :func:`statistic_s` has it of one."""
    ((_, values),) = _statistics(buckets, table, [statistic])
    return values


def _statistics(
    buckets: Any, table: Any, statistics: Iterable[str]
) -> Iterator[tuple[str, list[float | None]]]:
    import numpy as np

    totals = table.sum(axis=1)
    values_us = bucket_values_us(buckets)
    seen = None
    for statistic in statistics:
        if not len(buckets):
            yield statistic, [None] * len(table)
            continue
        match statistic:
            case "avg":
                # Representatives are eighths of a microsecond: their sums are exact in any order.
                found_us = (table * values_us).sum(axis=1) / np.maximum(totals, 1)
            case "min":
                found_us = values_us[(table > 0).argmax(axis=1)]
            case _:
                ratio = 1.0 if statistic == "max" else _ratio(statistic)
                ranks = np.maximum(1, np.ceil(ratio * totals - 1e-9)).astype(np.int64)
                seen = np.cumsum(table, axis=1) if seen is None else seen
                at = (seen < ranks[:, None]).sum(axis=1)
                found_us = values_us[np.minimum(at, len(buckets) - 1)]
        found_s = zip((found_us / 1e6).tolist(), totals.tolist(), strict=True)
        yield statistic, [value if number else None for value, number in found_s]


def _ratio(statistic: str) -> float:
    if not statistic.startswith("p"):
        raise ValueError(f"{statistic!r} is not pNN, avg, min or max")
    return float(statistic[1:]) / 100
