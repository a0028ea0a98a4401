"""The chart of a search: latency over the rate, with the interval that was found. Drawing only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runner.reports import format as fmt
from runner.reports.plots import frame_values, settings
from runner.reports.search import WORDS, SearchChart, rate_text
from runner.reports.svg import COLOURS, HEIGHT, WIDTH, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _RIGHT, _TOP, _BOTTOM = 47, 15, 34, 34
_REACH = 3.0
"""Latencies further above the bound than this are drawn at the upper edge."""

_LOG_FROM = 5.0
"""A search over a wider range than this has a logarithmic axis of rates."""

_MARKS: dict[str, tuple[str, str]] = {
    "holds": ("teal", "o"),
    "fails": ("red", "X"),
    "unclear": ("grey", "D"),
    "generator-limited": ("brown", "s"),
}
"""Verdict on a rate to colour and shape, so that neither is needed alone."""


def render_search(chart: SearchChart) -> str:
    """``chart`` as an inline ``<svg>`` element."""
    with settings():
        return to_svg(draw_search(chart), chart)


def draw_search(chart: SearchChart) -> Figure:
    """The interval at the back, then the bound, then a mark for each rate."""
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
    frame_values(axes, "s", top)
    _frame_rates(axes, chart)
    _shade(axes, chart)
    if chart.bound_s is not None:
        axes.axhline(chart.bound_s, color=COLOURS["muted"], linewidth=1.3, linestyle=(0, (4, 2)))
        axes.annotate(
            chart.bound_label,
            (0.0, chart.bound_s),
            xycoords=("axes fraction", "data"),
            xytext=(2, 2),
            textcoords="offset points",
            va="bottom",
            color=COLOURS["muted"],
        )
    _draw_marks(axes, chart, top)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        bbox_transform=figure.transFigure,
        ncols=4,
        frameon=False,
        labelcolor=COLOURS["text"],
        handlelength=1.0,
        handletextpad=0.3,
        columnspacing=0.9,
        borderaxespad=0.1,
        borderpad=0.2,
    )
    return figure


def _top(chart: SearchChart) -> float:
    known = [mark.value_s for mark in chart.marks if mark.value_s is not None]
    highest = max(known, default=0.0)
    if chart.bound_s is None:
        return 1.15 * highest or 1.0
    return 1.15 * max(chart.bound_s, min(highest, _REACH * chart.bound_s))


def _frame_rates(axes: Axes, chart: SearchChart) -> None:
    from matplotlib.ticker import (
        FixedLocator,
        FuncFormatter,
        MaxNLocator,
        NullFormatter,
        NullLocator,
    )

    rates = [mark.rate_per_s for mark in chart.marks] or [chart.start_per_s]
    low, high = min(rates), max(rates)
    wide = high / low > _LOG_FROM
    if wide:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.15, high * 1.15)
    else:
        axes.set_xlim(max(0.0, low - 0.08 * high), 1.08 * high)
    axes.xaxis.set_major_locator(
        FixedLocator(_rate_ticks(low, high)) if wide else MaxNLocator(6, steps=[1, 2, 5, 10])
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    axes.set_xlabel("requests/s", color=COLOURS["muted"], labelpad=1)


def _rate_ticks(low: float, high: float) -> list[float]:
    """Round rates of a logarithmic axis from ``low`` to ``high``, few enough to be read."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    found = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    ticks = [rate for rate in found if low / 1.1 <= rate <= high * 1.1]
    return ticks[:: max(1, math.ceil(len(ticks) / 7))]


def _shade(axes: Axes, chart: SearchChart) -> None:
    """The interval; where one of its ends is not known, to the edge."""
    if chart.high_per_s is None:
        return
    left, right = axes.get_xlim()
    start = chart.low_per_s if chart.low_per_s is not None else left
    axes.axvspan(
        start, chart.high_per_s, color=COLOURS["fault"], alpha=0.22, linewidth=0, zorder=0.5
    )
    text = f"below {rate_text(chart.high_per_s)}"
    if chart.low_per_s is not None:
        text = f"{rate_text(chart.low_per_s).removesuffix('/s')} to {rate_text(chart.high_per_s)}"
    # Written towards the middle, so that it stays within the drawing.
    on_right = (start / left if axes.get_xscale() == "log" else start - left) > (
        math.sqrt(right / left) if axes.get_xscale() == "log" else (right - left) / 2
    )
    axes.annotate(
        text,
        (chart.high_per_s if on_right else start, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right" if on_right else "left",
        va="bottom",
        color=COLOURS["fault"],
        fontweight="bold",
    )


def _draw_marks(axes: Axes, chart: SearchChart, top: float) -> None:
    known = [(mark, mark.value_s) for mark in chart.marks if mark.value_s is not None]
    axes.plot(
        [mark.rate_per_s for mark, _ in known],
        [min(value, top) for _, value in known],
        color=COLOURS["grid"],
        linewidth=1.2,
        zorder=1,
        label="_",
    )
    for verdict, (colour, shape) in _MARKS.items():
        marks = [(mark, value) for mark, value in known if mark.verdict == verdict]
        if not marks:
            continue
        axes.plot(
            [mark.rate_per_s for mark, _ in marks],
            [min(value, top) for _, value in marks],
            color=COLOURS[colour],
            linestyle="",
            marker=shape,
            markersize=5.5,
            markeredgewidth=0,
            clip_on=False,
            zorder=3,
            label=WORDS[verdict],  # type: ignore[index]
        )
        for mark, value in marks:
            if mark.high_s is not None and mark.high_s > value and value < top:
                axes.plot(
                    (mark.rate_per_s, mark.rate_per_s),
                    (value, min(mark.high_s, top)),
                    color=COLOURS[colour],
                    linewidth=1.0,
                    zorder=2,
                    label="_",
                )
    beyond = [(value, mark.rate_per_s) for mark, value in known if value > top]
    if beyond:  # The highest only: the others are close to it, and stand in the table.
        value, rate = max(beyond)
        axes.annotate(
            f"↑ {fmt.seconds(value)}",
            (rate, top),
            xytext=(2, -6),
            textcoords="offset points",
            ha="right" if rate == chart.marks[-1].rate_per_s else "left",
            va="top",
            fontsize=8,
            color=COLOURS["muted"],
        )
