"""Charts as SVG. Draws a :class:`Chart`; it computes nothing.

Colours are drawn as sentinels and become CSS variables, so that one drawing serves light and dark.
Only words of our own enter a figure: names from outside stand in its title, escaped. The same chart
gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runner.reports import format as fmt
from runner.reports.bounds import BoundMark
from runner.reports.charts import Chart
from runner.reports.document import Document
from runner.reports.grid import Line
from runner.reports.svg import COLOURS, HEIGHT, WIDTH, to_svg
from runner.reports.timeline import FaultSpan, ticks_s

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _RIGHT, _TOP, _BOTTOM = 47, 15, 34, 20
_MANY_LINES = 4
_NUMBER_ROOM = 0.05
"""Share of the width that the number of a fault takes; where they are closer, some are left out."""
_TIMES = 6
"""Steps of the time axis of a small chart; one with more of them reaches to its own edge."""
_BOUND_REACH = 4.0
"""A bound further above the data than this is named, not drawn: the data would lie flat."""

_STYLES: dict[str, tuple[str, float, Any]] = {
    "p50": ("sky", 1.3, "-"),
    "p95": ("blue", 1.8, "-"),
    "p99": ("violet", 1.2, "-"),
    "requests": ("teal", 1.6, "-"),
    "success": ("teal", 1.6, "-"),
    "4xx": ("orange", 1.4, "-"),
    "5xx": ("red", 1.6, "-"),
    "timeout": ("violet", 1.4, "-"),
    "connection": ("brown", 1.4, "-"),
    "other": ("grey", 1.4, "-"),
    "errors": ("red", 1.6, "-"),
    "CPU": ("orange", 1.6, "-"),
    "memory": ("violet", 1.6, "-"),
    "wanted": ("muted", 1.2, "--"),
    "ready": ("blue", 1.6, "-"),
    "planned": ("muted", 1.2, "--"),
    "running": ("blue", 1.6, "-"),
    "started": ("blue", 1.6, "-"),
    "dropped": ("red", 1.6, "-"),
    "in flight": ("blue", 1.6, "-"),
    "value": ("blue", 1.6, "-"),
    "service p95": ("grey", 1.3, (0, (1.2, 1.2))),
}
"""Name of a line to colour, width and dashes: the same in every chart of every report."""

_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "seatrial",
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.linewidth": 0.8,
    "path.simplify": True,
    "text.usetex": False,
    "text.parse_math": False,
}


def render_charts(document: Document) -> dict[str, str]:
    """Chart id to inline SVG, for every chart over time that has something to show."""
    known = [chart for group in document.charts for chart in group.charts]
    if document.failures_chart is not None:
        known.append(document.failures_chart)
    with settings():
        return {chart.id: render(chart, document) for chart in known if not chart.missing}


def render(chart: Chart, document: Document) -> str:
    """``chart`` as an inline ``<svg>`` element; only within :func:`settings`."""
    figure = draw(chart, document.at_s, document.timeline.duration_s, document.timeline.faults)
    return to_svg(figure, chart)


@contextmanager
def settings() -> Iterator[None]:
    """Matplotlib's own defaults with ours on top, whatever the user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def draw(
    chart: Chart, at_s: Sequence[float], duration_s: float, faults: Sequence[FaultSpan]
) -> Figure:
    """``chart`` as a figure: fault windows at the back, then bounds, then the lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
    axes = figure.add_axes(
        (
            _LEFT / WIDTH,
            _BOTTOM / HEIGHT,
            (WIDTH - _LEFT - _RIGHT) / WIDTH,
            (HEIGHT - _TOP - _BOTTOM) / HEIGHT,
        )
    )
    top = _top(chart)
    frame_times(axes, duration_s)
    frame_values(axes, chart.unit, top)
    shade(axes, faults)
    if chart.stacked:
        _draw_stack(axes, chart.lines, at_s)
    else:
        for index, line in enumerate(chart.lines):
            _draw_line(axes, line, at_s, index)
    drawn = [bound for bound in chart.bounds if bound.value <= top]
    for bound in drawn:
        _draw_bound(axes, bound)
    for bound in {bound.label: bound for bound in reversed(drawn)}.values():
        _name_bound(axes, bound, duration_s, top)
    name_bounds_above(axes, [bound.label for bound in chart.bounds if bound not in drawn])
    legend = axes.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        bbox_transform=figure.transFigure,
        ncols=len(chart.lines),
        fontsize=8.5 if len(chart.lines) > _MANY_LINES else None,
        frameon=False,
        labelcolor=COLOURS["text"],
        handlelength=1.0,
        handletextpad=0.4,
        columnspacing=0.9,
        borderaxespad=0.1,
        borderpad=0.2,
    )
    legend.set_gid("legend")
    return figure


def _top(chart: Chart) -> float:
    """The upper end of the value axis: above the data, and above the bounds within reach."""
    highest = max((v for line in chart.lines for v in line.values if v is not None), default=0.0)
    if chart.stacked:
        steps = zip(*(line.values for line in chart.lines), strict=True)
        highest = max((sum(v or 0.0 for v in step) for step in steps), default=0.0)
    bounds = sorted(bound.value for bound in chart.bounds)
    if highest > 0:
        reach = 1.0 if chart.title == "Saturation" else _BOUND_REACH * highest
        near = [value for value in bounds if value <= max(reach, highest)]
    else:
        near = bounds[:1]
    least = {"ratio": 0.01, "s": 0.001}.get(chart.unit, 1.0)
    return 1.15 * max(highest, *near, 0.0) or least


def frame_times(axes: Axes, duration_s: float, most: int = _TIMES) -> None:
    """The axis of times from the start of the load, with at most about ``most`` steps."""
    from matplotlib.ticker import FuncFormatter

    axes.set_xlim(0, duration_s)
    axes.xaxis.set_gid("time-axis")
    at_s = ticks_s(duration_s, most)
    axes.set_xticks(at_s)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at_s, _: fmt.clock_offset(at_s)))
    sticks_out = len(fmt.clock_offset(at_s[-1])) > len("00:00") or most > _TIMES
    if at_s[-1] > 0.98 * duration_s and sticks_out:
        axes.xaxis.get_major_ticks()[len(at_s) - 1].label1.set_horizontalalignment("right")


def frame_values(axes: Axes, unit: str, top: float) -> None:
    """The axis of values from 0 to ``top``, and a frame as quiet as can be."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=unit == "count"))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: fmt.quantity(value, unit) if value else "0")
    )
    axes.tick_params(
        colors=COLOURS["grid"], labelcolor=COLOURS["muted"], length=3, width=0.8, pad=3
    )
    axes.grid(axis="y", color=COLOURS["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(COLOURS["grid"])


def shade(axes: Axes, faults: Sequence[FaultSpan]) -> None:
    """The windows of the faults that were there, each with its number above.

    All windows are one path, and all edges and marks another: a day may have hundreds.
    """
    begun = [fault for fault in faults if fault.begun]
    if not begun:
        return
    _paths(axes, [(one.start_s, one.end_s) for one in begun])
    _uprights(axes, [one.start_s for one in begun], 0.0, width=0.9, alpha=0.8)
    _uprights(axes, [at_s for one in begun for at_s in one.kills_s], 0.94, width=1.4, alpha=1.0)
    free_s, room_s = 0.0, _NUMBER_ROOM * axes.get_xlim()[1]
    for fault in begun:
        if fault.start_s < free_s:
            continue
        free_s = fault.start_s + room_s
        axes.annotate(
            str(fault.number),
            (fault.start_s, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            va="bottom",
            color=COLOURS["fault"],
            fontweight="bold",
            gid="fault-mark",
        )


def _paths(axes: Axes, windows: Sequence[tuple[float, float]]) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    box = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
    corners = [(start + x * (end - start), y) for start, end in windows for x, y in box]
    codes = [Path.MOVETO, *(Path.LINETO,) * 3, Path.CLOSEPOLY] * len(windows)
    shape = PathPatch(
        Path(corners, codes),
        transform=axes.get_xaxis_transform(),
        color=COLOURS["fault"],
        alpha=0.18,
        linewidth=0,
        zorder=0.5,
        gid="over-time",
    )
    shape.set_clip_path(axes.patch)
    axes.add_artist(shape)


def _uprights(axes: Axes, at_s: Sequence[float], low: float, *, width: float, alpha: float) -> None:
    """Upright lines from ``low`` to the top, as shares of the height."""
    from matplotlib.lines import Line2D

    if at_s:
        gap = float("nan")
        line = Line2D(
            [x for one in at_s for x in (one, one, gap)],
            [y for _ in at_s for y in (low, 1.0, gap)],
            transform=axes.get_xaxis_transform(),
            color=COLOURS["fault"],
            linewidth=width,
            alpha=alpha,
            zorder=0.6,
            gid="over-time",
        )
        line.set_clip_path(axes.patch)
        axes.add_artist(line)


def _draw_line(axes: Axes, line: Line, at_s: Sequence[float], index: int) -> None:
    colour, width, dashes = _STYLES.get(line.name, ("grey", 1.4, "-"))
    values = [float("nan") if value is None else value for value in line.values]
    lonely = _lonely(line)
    axes.plot(
        at_s,
        values,
        color=COLOURS[colour],
        linewidth=width,
        linestyle=dashes,
        label=line.name,
        marker="o" if lonely else "",
        markevery=lonely,
        markersize=2,
        clip_on=False,
        zorder=3,
        gid=f"over-time line-{index}",
    )


def _draw_stack(axes: Axes, lines: Sequence[Line], at_s: Sequence[float]) -> None:
    """Each line on top of those before it, as an area: together they are all."""
    base = [0.0] * len(at_s)
    for index, line in enumerate(lines):
        colour, _, _ = _STYLES.get(line.name, ("grey", 1.4, "-"))
        top = [low + (value or 0.0) for low, value in zip(base, line.values, strict=True)]
        axes.fill_between(
            *(at_s, base, top),
            step="mid",
            color=COLOURS[colour],
            linewidth=0,
            label=line.name,
            gid=f"over-time line-{index}",
            zorder=3,
        )
        base = top


def _lonely(line: Line) -> list[int]:
    """Where values without a neighbour are, of which there would be no line to see."""
    known = [False, *(value is not None for value in line.values), False]
    around = zip(known, known[1:], known[2:], strict=False)
    return [at for at, (before, here, after) in enumerate(around) if here and not (before or after)]


def _draw_bound(axes: Axes, bound: BoundMark) -> None:
    for start_s, end_s in bound.windows:
        axes.plot(
            (start_s, end_s),
            (bound.value, bound.value),
            color=COLOURS["missed" if bound.missed else "muted"],
            linewidth=1.3,
            linestyle=(0, (4, 2)),
            label=f"_{bound.label}",
            gid="over-time",
        )


def bound_text(bound: BoundMark) -> str:
    """The label of ``bound``, and a cross where it was missed: red alone is not enough."""
    return f"{bound.label} ✗" if bound.missed else bound.label


def _name_bound(axes: Axes, bound: BoundMark, duration_s: float, top: float) -> None:
    """Write the bound at the outer end of its longest window, on the side of the good."""
    start_s, end_s = max(bound.windows, key=lambda window: window[1] - window[0])
    at_end = (start_s + end_s) / 2 > duration_s / 2
    below = bound.above or bound.value > 0.88 * top
    axes.annotate(
        bound_text(bound),
        (end_s if at_end else start_s, bound.value),
        xytext=(0, -2 if below else 2),
        textcoords="offset points",
        ha="right" if at_end else "left",
        va="top" if below else "bottom",
        color=COLOURS["missed" if bound.missed else "muted"],
        gid="bound-name",
    )


def name_bounds_above(axes: Axes, labels: Iterable[str], *, outside: bool = False) -> None:
    """Name bounds that are too far above to be drawn, in the upper right corner or right above."""
    said = ", ".join(dict.fromkeys(labels))
    if said:
        axes.annotate(
            f"↑ {said}",
            (1.0, 1.0),
            xycoords="axes fraction",
            xytext=(0, 2 if outside else -3),
            textcoords="offset points",
            ha="right",
            va="bottom" if outside else "top",
            color=COLOURS["muted"],
        )
