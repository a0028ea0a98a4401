"""How latencies were spread: over time as a heat map, and by percentile for each kind of phase.

Pure; no drawing. Of successful requests, of all endpoints together: the table by endpoint tells
them apart. Classes of latency are log-spaced, because what matters is how many times slower.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from runner.model.histogram import Counts, bucket_value_us, merged, quantile_us
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.bounds import BoundMark, DrawnBound, load_marks
from runner.reports.grid import Grid
from runner.reports.loadseen import MOST_SMALL_STEPS, LoadSeen
from runner.reports.rows import Number, number
from runner.reports.text import Shown
from runner.reports.text import shown as fit

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)
MOST_STEPS = 300
"""Steps of the map, which is drawn about twice as many pixels wide."""

_ALWAYS = 99.9
"""Up to here a percentile has its column, even if nobody has enough requests for it."""

LEVELS = 6
"""Shades of the heat map, by the logarithm of how many requests a field holds."""

_FINENESS = ((1.2, 24), (2.5, 12), (9.0, 8))
"""So many decades of latency or fewer are cut into so many classes each."""

_POINTS = 60


class Field(Model):
    """A run of fields of one shade, in one class of latency."""

    step: int
    length: int
    row: int
    level: int


class HeatMap(Model):
    """Requests by time and by class of latency.

    Attributes:
        edges_s: Edges of the classes in seconds, rising; one more than there are classes.
        fields: What is not empty, in runs of one shade.
        shades: For each shade from 1 on, the least number of requests that it stands for.
        most: Requests in the fullest field.
        step: Length of a step of time.
    """

    id: str = "load-heat"
    title: str = "Latency over time"
    subject: Shown = "the load"
    edges_s: Items[float]
    fields: Items[Field]
    shades: Items[int]
    most: int
    step: str
    bounds: Items[BoundMark] = ()
    about: Shown


class Curve(Model):
    """Latency by percentile in one kind of phase.

    Attributes:
        nines: ``-log10(1 - quantile)`` of each point: 1 at p90, 2 at p99.
        values_s: Latency at each point.
    """

    name: str
    requests: int
    nines: Items[float]
    values_s: Items[float]


class PercentileRow(Model):
    """The same in figures; a percentile that the requests do not support has none."""

    name: str
    requests: Number
    values: Items[Number]


class Percentiles(Model):
    """Latency by percentile, one curve for each kind of phase.

    Attributes:
        marks: Bounds on percentiles, as ``(nines, value, label, missed)``.
        remark: Which percentiles are missing, and why.
    """

    id: str = "load-percentiles"
    title: str = "Latency by percentile"
    subject: str = "the load"
    names: Items[str]
    curves: Items[Curve]
    rows: Items[PercentileRow]
    marks: Items[tuple[float, float, str, bool]] = ()
    remark: str = ""
    about: Shown


class Distribution(Model):
    """How latencies were spread.

    Attributes:
        grid: Steps of the map.
        endpoints: The same map of the busiest endpoints, in the same classes.
        coarse: Steps of these.
    """

    heat: HeatMap
    grid: Grid
    endpoints: Items[HeatMap] = ()
    coarse: Grid
    percentiles: Percentiles


def distribution_of(seen: LoadSeen, grid: Grid, drawn: Sequence[DrawnBound]) -> Distribution | None:
    """The spread of what was ``seen``, with the bounds on latency; None without a success."""
    if not any(seen.latencies):
        return None
    bounds = load_marks(drawn, "latency")
    wide, coarse = grid.coarser(MOST_STEPS), grid.coarser(MOST_SMALL_STEPS)
    each = math.ceil(grid.count / wide.count)
    steps = [
        seen.latencies[at] if each == 1 else merged(seen.latencies[at : at + each])
        for at in range(0, grid.count, each)
    ]
    heat = heat_map(steps, wide, bounds)
    endpoints = [
        heat_map(
            latencies, coarse, load_marks(drawn, "latency", name), edges_s=heat.edges_s
        ).model_copy(update={"id": f"load-heat-{number}", "subject": fit(name)})
        for number, (name, latencies) in enumerate(seen.endpoints.items(), start=1)
        if any(latencies)
    ]
    return Distribution(
        heat=heat,
        grid=wide,
        endpoints=tuple(endpoints),
        coarse=coarse,
        percentiles=percentiles(seen.kinds, bounds),
    )


# -- over time -------------------------------------------------------------------------------------


def heat_map(
    latencies: Sequence[Counts],
    grid: Grid,
    bounds: Sequence[BoundMark] = (),
    edges_s: Sequence[float] = (),
) -> HeatMap:
    """``latencies`` of the steps of ``grid``, of which one at least is not empty.

    Args:
        latencies: Histograms of microseconds.
        grid: What the steps are.
        bounds: On latency.
        edges_s: Edges of classes; without any, such as fit.
    """
    edges_s = tuple(edges_s) or _edges_s(latencies)
    cells = _by_class(latencies, edges_s)
    most = max(max(one.values(), default=0) for one in cells)
    shades = _shades(most)
    return HeatMap(
        edges_s=edges_s,
        fields=tuple(_fields(cells, shades)),
        shades=shades,
        most=most,
        step=fmt.span(grid.step_s),
        bounds=tuple(bounds),
        about=_about_heat(cells, edges_s, grid),
    )


def _edges_s(latencies: Sequence[Counts]) -> tuple[float, ...]:
    known = [counts for counts in latencies if counts]
    lowest, highest = min(min(one) for one in known), max(max(one) for one in known)
    low_s, high_s = (max(1e-6, bucket_value_us(one) / 1e6) for one in (lowest, highest))
    decades = math.log10(high_s / low_s)
    each = next((each for most, each in _FINENESS if decades <= most), 5)
    first = math.floor(math.log10(low_s) * each)
    last = math.floor(math.log10(high_s) * each) + 1
    return tuple(10 ** (power / each) for power in range(first, last + 1))


def _by_class(latencies: Sequence[Counts], edges_s: Sequence[float]) -> list[dict[int, int]]:
    """Requests by class, for each step."""
    last = len(edges_s) - 2
    buckets = {bucket for counts in latencies for bucket in counts}
    row_of = {
        bucket: min(last, max(0, bisect_right(edges_s, bucket_value_us(bucket) / 1e6) - 1))
        for bucket in buckets
    }
    found: list[dict[int, int]] = []
    for counts in latencies:
        cell: dict[int, int] = {}
        for bucket, count in counts.items():
            row = row_of[bucket]
            cell[row] = cell.get(row, 0) + count
        found.append(cell)
    return found


def _shades(most: int) -> tuple[int, ...]:
    """Least counts of the shades: from 1 up, equal steps of the logarithm, each once."""
    return tuple(sorted({max(1, round(most ** (level / LEVELS))) for level in range(LEVELS)}))


def _fields(cells: Sequence[Mapping[int, int]], shades: Sequence[int]) -> list[Field]:
    """The fields in runs of one shade, by shade, class and time."""
    found: list[tuple[int, int, int, int]] = []
    begun: dict[int, tuple[int, int]] = {}  # row: level and first step
    for step, cell in enumerate([*cells, {}]):
        levels = {row: bisect_right(shades, count) for row, count in cell.items()}
        for row, (level, first) in list(begun.items()):
            if levels.get(row) != level:
                found.append((level, row, first, step - first))
                del begun[row]
        for row, level in levels.items():
            begun.setdefault(row, (level, step))
    return [
        Field(step=first, length=length, row=row, level=level)
        for level, row, first, length in sorted(found)
    ]


def _about_heat(cells: Sequence[Mapping[int, int]], edges_s: Sequence[float], grid: Grid) -> str:
    total: dict[int, int] = {}
    for cell in cells:
        for row, count in cell.items():
            total[row] = total.get(row, 0) + count
    row = max(total, key=lambda one: total[one])
    slowest = max(total)
    at = next(step for step, cell in enumerate(cells) if slowest in cell)
    low, high = fmt.seconds(edges_s[row]), fmt.seconds(edges_s[row + 1])
    return (
        f"Most requests took {low} to {high}. The slowest took "
        f"{fmt.seconds(edges_s[slowest])} to {fmt.seconds(edges_s[slowest + 1])}, first at "
        f"{fmt.clock_offset(grid.edges_s[at][0])}."
    )


# -- by percentile ---------------------------------------------------------------------------------


def nines(percentile: float) -> float:
    """Where ``percentile`` stands: as HdrHistogram draws it, by the logarithm of what is above."""
    return -math.log10(1 - percentile / 100)


def supported(percentile: float, requests: int) -> bool:
    """Whether more than one of ``requests`` is expected above ``percentile``.

    p99.9 needs more than 1,000 requests, p50 more than 2.
    """
    return requests * (1 - percentile / 100) > 1 + 1e-9


def percentiles(kinds: Mapping[str, Counts], bounds: Sequence[BoundMark] = ()) -> Percentiles:
    """The curves of ``kinds`` of phases, as far as their requests support them."""
    curves = [_curve(name, counts) for name, counts in kinds.items() if counts]
    most = max((sum(counts.values()) for counts in kinds.values()), default=0)
    shown = [one for one in PERCENTILES if one <= _ALWAYS or supported(one, most)]
    rows = tuple(_row(name, counts, shown) for name, counts in kinds.items())
    return Percentiles(
        names=tuple(f"p{one:g}" for one in shown),
        curves=tuple(curve for curve in curves if len(curve.nines) > 1),
        rows=rows,
        marks=tuple(_marks(bounds)),
        remark=_remark(rows),
        about=" ".join(_about_row(row) for row in rows if row.requests.value),
    )


def _curve(name: str, counts: Counts) -> Curve:
    requests = sum(counts.values())
    known = [one for one in PERCENTILES if supported(one, requests)]
    end = nines(known[-1]) if known else 0.0
    at = [end * point / _POINTS for point in range(_POINTS + 1)] if known else []
    values = [quantile_us(counts, 1 - 10**-one) or 0.0 for one in at]
    return Curve(
        name=name,
        requests=requests,
        nines=tuple(round(one, 4) for one in at),
        values_s=tuple(value / 1e6 for value in values),
    )


def _row(name: str, counts: Counts, shown: Sequence[float]) -> PercentileRow:
    requests = sum(counts.values())
    values = []
    for percentile in shown:
        value = quantile_us(counts, percentile / 100) if supported(percentile, requests) else None
        values.append(number(None if value is None else value / 1e6, "s"))
    return PercentileRow(name=name, requests=number(requests, "count"), values=tuple(values))


def _marks(bounds: Sequence[BoundMark]) -> list[tuple[float, float, str, bool]]:
    """Bounds on percentiles; of equal ones, a missed one."""
    found: dict[str, tuple[float, float, str, bool]] = {}
    for bound in sorted(bounds, key=lambda one: one.missed):
        if bound.quantile is not None and nines(100 * bound.quantile) > 0:
            at = nines(100 * bound.quantile)
            found[bound.label] = (round(at, 4), bound.value, bound.label, bound.missed)
    return list(found.values())


def _remark(rows: Sequence[PercentileRow]) -> str:
    """What is not shown for want of requests."""
    said = []
    for row in rows:
        requests = int(row.requests.value or 0)
        known = [one for one in PERCENTILES if supported(one, requests)]
        lacking = [one for one in PERCENTILES[:-1] if one not in known]
        if requests and lacking:
            beyond = f"beyond p{known[-1]:g}" if known else "of percentiles"
            said.append(f"{row.name} (nothing {beyond}: {fmt.count(requests)} requests)")
    if not said:
        return ""
    return (
        "A percentile is shown where more than one request is above it, as p99.9 with more than "
        f"1,000 requests. That cuts off {', '.join(said)}."
    )


def _about_row(row: PercentileRow) -> str:
    shown = [
        f"p{percentile:g} {value.text}"
        for percentile, value in zip(PERCENTILES, row.values, strict=False)
        if value.value is not None
    ]
    return f"{row.name}: {', '.join(shown) or 'too few requests'}."
