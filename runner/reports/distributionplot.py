"""The heat map of latencies and the curves by percentile, as SVG. Drawing only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runner.reports import format as fmt
from runner.reports.bounds import BoundMark
from runner.reports.distribution import (
    PERCENTILES,
    Distribution,
    Field,
    HeatMap,
    Percentiles,
    nines,
)
from runner.reports.grid import Grid
from runner.reports.plots import (
    bound_text,
    frame_times,
    frame_values,
    name_bounds_above,
    settings,
    shade,
)
from runner.reports.svg import COLOURS, to_svg
from runner.reports.timeline import FaultSpan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEAT, CURVES, SMALL = (640, 230), (400, 230), (330, 140)
"""Width and height of the drawings."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 15, 34, 22
_SMALL_TOP = 16  # No room for a legend.

_STYLES: dict[str, tuple[str, Any]] = {
    "baseline": ("blue", "-"),
    "fault": ("red", (0, (5, 2))),
    "recovery": ("teal", (0, (1.5, 1.2))),
}
_FAINTEST, _STRONGEST = 0.14, 0.95
_NEAR = 0.08
"""Names that are nearer than this share of the axis would lie on each other."""

_LOG_FROM = 20.0
"""Percentiles that are further apart than this have a logarithmic axis."""


def render_distribution(distribution: Distribution, faults: Sequence[FaultSpan]) -> dict[str, str]:
    """Chart id to inline SVG."""
    heat, curves = distribution.heat, distribution.percentiles
    with settings():
        drawn = {heat.id: _crisp(to_svg(draw_heat(heat, distribution.grid, faults), heat))}
        for one in distribution.endpoints:
            figure = draw_heat(one, distribution.coarse, faults, SMALL)
            drawn[one.id] = _crisp(to_svg(figure, one))
        if curves.curves:
            drawn[curves.id] = to_svg(draw_percentiles(curves), curves)
        return drawn


def _axes(size: tuple[int, int], top: float = _TOP) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    width, height = size
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    box = (_LEFT, _BOTTOM, width - _LEFT - _RIGHT, height - top - _BOTTOM)
    sizes = (width, height, width, height)
    left, bottom, wide, high = (part / size for part, size in zip(box, sizes, strict=True))
    return figure, figure.add_axes((left, bottom, wide, high))


# -- over time -------------------------------------------------------------------------------------


def draw_heat(
    heat: HeatMap, grid: Grid, faults: Sequence[FaultSpan], size: tuple[int, int] = HEAT
) -> Figure:
    """Faults at the back, then one shape for each shade, then the bounds."""
    figure, axes = _axes(size, top=_TOP if size == HEAT else _SMALL_TOP)
    frame_times(axes, grid.duration_s, 10 if size == HEAT else 6)
    _frame_logarithms(axes, heat.edges_s[0], heat.edges_s[-1])
    shade(axes, faults)
    for level in range(1, len(heat.shades) + 1):
        fields = [one for one in heat.fields if one.level == level]
        if fields:
            _draw_shade(axes, fields, heat.edges_s, grid, opacity(level, len(heat.shades)))
    _draw_bounds(axes, heat, grid.duration_s)
    beyond = [bound.label for bound in heat.bounds if bound.value > heat.edges_s[-1]]
    name_bounds_above(axes, beyond, outside=True)
    if size == HEAT:
        _legend(figure, heat)
    return figure


def opacity(level: int, levels: int) -> float:
    """How strong the shade ``level`` is, of which the last is the strongest."""
    share = 1.0 if levels == 1 else (level - 1) / (levels - 1)
    return round(_FAINTEST + (_STRONGEST - _FAINTEST) * share, 2)


def _draw_shade(
    axes: Axes, fields: Sequence[Field], edges_s: Sequence[float], grid: Grid, alpha: float
) -> None:
    """All fields of one shade as one path: a page holds thousands of them."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    times = grid.edges_s
    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    for one in fields:
        left, right = times[one.step][0], times[one.step + one.length - 1][1]
        low, high = edges_s[one.row], edges_s[one.row + 1]
        points += [(left, low), (right, low), (right, high), (left, high), (left, low)]
        codes += [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    axes.add_patch(
        PathPatch(
            Path(points, codes),
            facecolor=COLOURS["blue"],
            alpha=alpha,
            linewidth=0,
            snap=False,
            zorder=2,
            gid="over-time",
        )
    )


def _draw_bounds(axes: Axes, heat: HeatMap, duration_s: float) -> None:
    """Each bound in its windows, named once, where its name does not lie on another's."""
    inside = [one for one in heat.bounds if heat.edges_s[0] <= one.value <= heat.edges_s[-1]]
    named: dict[str, tuple[float, bool]] = {}
    for bound in sorted(inside, key=lambda one: (-one.value, not one.missed)):
        colour = COLOURS["missed" if bound.missed else "text"]
        for window in bound.windows:
            axes.plot(
                window,
                (bound.value, bound.value),
                color=colour,
                linewidth=1.4,
                linestyle=(0, (4, 2)),
                zorder=4,
                gid="over-time",
            )
        if bound.label not in named:
            start_s, end_s = max(bound.windows, key=lambda window: window[1] - window[0])
            height, at_end = _height(axes, bound.value), (start_s + end_s) / 2 > duration_s / 2
            near = [side for other, side in named.values() if other - height < 2 * _NEAR]
            if at_end in near and (not at_end) not in near:
                at_end = not at_end
            named[bound.label] = (height, at_end)
            _name(axes, bound, end_s if at_end else start_s, at_end=at_end, colour=colour)


def _name(axes: Axes, bound: BoundMark, at_s: float, *, at_end: bool, colour: str) -> None:
    at_top = _height(axes, bound.value) > 1 - _NEAR
    axes.annotate(
        bound_text(bound),
        (at_s, bound.value),
        xytext=(0, -2 if at_top else 2),
        textcoords="offset points",
        ha="right" if at_end else "left",
        va="top" if at_top else "bottom",
        color=colour,
        zorder=5,
        gid="bound-name",
    )


def _legend(figure: Figure, heat: HeatMap) -> None:
    from matplotlib.patches import Patch

    levels = len(heat.shades)
    following = [*(count - 1 for count in heat.shades[1:]), heat.most]
    handles = [
        Patch(
            facecolor=COLOURS["blue"],
            alpha=opacity(level, levels),
            label=fmt.count(low) if low == high else f"{fmt.count(low)}–{fmt.count(high)}",
        )
        for level, (low, high) in enumerate(zip(heat.shades, following, strict=True), start=1)
    ]
    _place_legend(figure, handles=handles, title=None, ncols=levels + 1)


def _place_legend(figure: Figure, **known: Any) -> None:
    figure.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        frameon=False,
        labelcolor=COLOURS["text"],
        handlelength=1.2,
        handletextpad=0.4,
        columnspacing=1.0,
        borderaxespad=0.1,
        borderpad=0.2,
        **known,
    )


def _crisp(svg: str) -> str:
    """Fields side by side without a seam between them."""
    return svg.replace(
        '" style="fill: var(--blue); opacity',
        '" shape-rendering="crispEdges" style="fill: var(--blue); opacity',
    )


# -- by percentile ---------------------------------------------------------------------------------


def draw_percentiles(chart: Percentiles) -> Figure:
    """A curve for each kind of phase, and a mark for each bound on a percentile."""
    figure, axes = _axes(CURVES)
    values = [value for curve in chart.curves for value in curve.values_s if value > 0]
    low, high = min(values), max(values)
    reach = [mark[1] for mark in chart.marks if mark[1] <= 3 * high]
    high = max(high, *reach) if reach else high
    if high / low > _LOG_FROM:
        _frame_logarithms(axes, 0.8 * low, 1.3 * high)
    else:
        _frame_plainly(axes, 1.15 * high)
    end = max(curve.nines[-1] for curve in chart.curves)
    _frame_percentiles(axes, end)
    for curve in chart.curves:
        colour, dashes = _STYLES[curve.name]
        axes.plot(
            curve.nines,
            curve.values_s,
            color=COLOURS[colour],
            linestyle=dashes,
            linewidth=1.8,
            label=curve.name,
            clip_on=False,
            zorder=3,
        )
    _draw_marks(axes, [one for one in chart.marks if one[1] <= high and one[0] <= end])
    beyond = [label for _, value, label, _ in chart.marks if value > high]
    name_bounds_above(axes, beyond, outside=True)
    _place_legend(figure, ncols=len(chart.curves))
    return figure


def _draw_marks(axes: Axes, marks: Sequence[tuple[float, float, str, bool]]) -> None:
    """A stroke for each bound; where one is right above another, the lower's name is below it."""
    end = axes.get_xlim()[1]
    for at, value, label, missed in marks:
        colour = COLOURS["missed" if missed else "muted"]
        ends = (at - 0.06 * end, at + 0.06 * end)
        axes.plot(ends, (value, value), color=colour, linewidth=2, zorder=4, label="_")
        above = [_height(axes, other[1]) - _height(axes, value) for other in marks]
        crowded = any(0 < distance < _NEAR for distance in above)
        axes.annotate(
            label,
            (at, value),
            xytext=(0, -3 if crowded else 3),
            textcoords="offset points",
            ha="center" if at < 0.8 * end else "right",
            va="top" if crowded else "bottom",
            color=colour,
        )


def _height(axes: Axes, value: float) -> float:
    """Where ``value`` is, as a share of the axis."""
    return float(axes.transAxes.inverted().transform(axes.transData.transform((0.0, value)))[1])


def _frame_percentiles(axes: Axes, end: float) -> None:
    from matplotlib.ticker import NullLocator

    shown = [one for one in PERCENTILES if nines(one) <= end + 1e-6]
    axes.set_xlim(0, end)
    axes.set_xticks([nines(one) for one in shown], [f"p{one:g}" for one in shown])
    axes.xaxis.set_minor_locator(NullLocator())


# -- axes ------------------------------------------------------------------------------------------


def _frame_plainly(axes: Axes, top: float) -> None:

    frame_values(axes, "s", top)


def _frame_logarithms(axes: Axes, low_s: float, high_s: float) -> None:
    """A logarithmic axis of seconds, with few round values and a frame as quiet as can be."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    frame_values(axes, "s", high_s)
    axes.set_yscale("log")
    axes.set_ylim(low_s, high_s)
    axes.set_yticks(_round_values(low_s, high_s))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: fmt.seconds(value)))


def _round_values(low_s: float, high_s: float) -> list[float]:
    """Round values from ``low_s`` to ``high_s``, at most eight of them."""
    powers = range(math.floor(math.log10(low_s)), math.ceil(math.log10(high_s)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [step * 10.0**power for power in powers for step in steps]
        inside = [value for value in found if low_s <= value <= high_s]
        if len(inside) <= 8:
            break
    return inside
