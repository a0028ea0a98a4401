"""Charts as SVG: matplotlib's only home. It draws a :class:`Chart`; it computes nothing.

Colours are drawn as sentinels and become CSS variables, so that one drawing serves light and dark.
Only words of our own enter a figure: names from outside stand in its title, escaped. The same chart
gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from runner.reports import format as fmt
from runner.reports.bounds import BoundMark
from runner.reports.charts import Chart
from runner.reports.document import Document
from runner.reports.grid import Line
from runner.reports.timeline import FaultSpan, ticks_s

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 330, 180
"""Size in points, which the page shows as CSS pixels where a chart is as wide as a phone."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 47, 15, 34, 20
_MANY_LINES = 4
_BOUND_REACH = 4.0
"""A bound further above the data than this is named, not drawn: the data would lie flat."""

# Sentinel colours that stand for CSS variables; nothing else may use them.
_VARIABLES = (
    *("text", "muted", "grid", "fault", "missed"),
    *("blue", "sky", "violet", "red", "orange", "teal", "brown", "grey"),
)
COLOURS = {name: f"#0102{number:02x}" for number, name in enumerate(_VARIABLES, start=1)}

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


class Drawn(Protocol):
    """What a drawing says of itself to those who do not see it."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def about(self) -> str: ...


def render_charts(document: Document) -> dict[str, str]:
    """Chart id to inline SVG, for every chart over time that has something to show."""
    with settings():
        return {
            chart.id: render(chart, document)
            for group in document.charts
            for chart in group.charts
            if not chart.missing
        }


def render(chart: Chart, document: Document) -> str:
    """``chart`` as an inline ``<svg>`` element; only within :func:`settings`."""
    figure = draw(chart, document.at_s, document.timeline.duration_s, document.timeline.faults)
    return to_svg(figure, chart)


def to_svg(figure: Figure, chart: Drawn) -> str:
    """``figure`` as an inline element, with title and description for screen readers."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _inline(out.getvalue(), chart, _place(figure))


def _place(figure: Figure) -> str:
    """Left, right, top and bottom of the axes, in the drawing's own units."""
    box, (width, height) = figure.axes[0].get_position(), figure.get_size_inches() * 72
    edges = (box.x0 * width, box.x1 * width, (1 - box.y1) * height, (1 - box.y0) * height)
    return " ".join(f"{edge:.2f}" for edge in edges)


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
    _frame(axes, chart.unit, duration_s, top)
    for fault in faults:
        if fault.begun:
            _shade(axes, fault)
    for index, line in enumerate(chart.lines):
        _draw_line(axes, line, at_s, index)
    drawn = [bound for bound in chart.bounds if bound.value <= top]
    for bound in drawn:
        _draw_bound(axes, bound)
    for bound in {bound.label: bound for bound in reversed(drawn)}.values():
        _name_bound(axes, bound, duration_s, top)
    _name_bounds_above(axes, [bound for bound in chart.bounds if bound not in drawn])
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
    bounds = sorted(bound.value for bound in chart.bounds)
    if highest > 0:
        reach = 1.0 if chart.title == "Saturation" else _BOUND_REACH * highest
        near = [value for value in bounds if value <= max(reach, highest)]
    else:
        near = bounds[:1]
    least = {"ratio": 0.01, "s": 0.001}.get(chart.unit, 1.0)
    return 1.15 * max(highest, *near, 0.0) or least


def _frame(axes: Axes, unit: str, duration_s: float, top: float) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.set_xlim(0, duration_s)
    axes.xaxis.set_gid("time-axis")
    axes.set_xticks(ticks_s(duration_s, 6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at_s, _: fmt.clock_offset(at_s)))
    frame_values(axes, unit, top)


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


def _shade(axes: Axes, fault: FaultSpan) -> None:
    colour, moves = COLOURS["fault"], "over-time"
    axes.axvspan(
        *(fault.start_s, fault.end_s),
        color=colour,
        alpha=0.18,
        linewidth=0,
        zorder=0.5,
        gid=moves,
    )
    axes.axvline(fault.start_s, color=colour, linewidth=0.9, alpha=0.8, zorder=0.6, gid=moves)
    for at_s in fault.kills_s:
        axes.axvline(at_s, ymin=0.94, color=colour, linewidth=1.4, zorder=0.6, gid=moves)
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


def _name_bound(axes: Axes, bound: BoundMark, duration_s: float, top: float) -> None:
    """Write the bound at the outer end of its longest window, on the side of the good."""
    start_s, end_s = max(bound.windows, key=lambda window: window[1] - window[0])
    at_end = (start_s + end_s) / 2 > duration_s / 2
    below = bound.above or bound.value > 0.88 * top
    axes.annotate(
        bound.label,
        (end_s if at_end else start_s, bound.value),
        xytext=(0, -2 if below else 2),
        textcoords="offset points",
        ha="right" if at_end else "left",
        va="top" if below else "bottom",
        color=COLOURS["missed" if bound.missed else "muted"],
        gid="bound-name",
    )


def _name_bounds_above(axes: Axes, bounds: Sequence[BoundMark]) -> None:
    if bounds:
        axes.annotate(
            "↑ " + ", ".join(dict.fromkeys(bound.label for bound in bounds)),
            (1.0, 1.0),
            xycoords="axes fraction",
            xytext=(0, -3),
            textcoords="offset points",
            ha="right",
            va="top",
            color=COLOURS["muted"],
        )


# -- from matplotlib's file to an element of a page ------------------------------------------------

_GROUP = re.compile(
    r'<g id="(?:((?:over-time|time-axis|fault-mark|bound-name|legend)(?: [a-z-]+\d*)?)|[^"]*)"'
)
"""What moves when the page zooms in on a part of the run, and what it then draws anew itself."""

_FONT_FAMILY = re.compile(r"(?:; )?font-family: [^;\"]*")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def _inline(svg: str, chart: Drawn, place: str) -> str:
    """Keep the drawing, drop what would leak into the page, and say what is to be seen."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*</defs>", "", body)
    # Groups are never referred to, but some are known to the page's script by what they are; the
    # rest gets a prefix, because a page holds many figures.
    body = _GROUP.sub(lambda group: f'<g class="{group[1]}"' if group[1] else "<g", body)
    body = re.sub(r'\bid="', f'id="{chart.id}-', body)
    body = re.sub(r"url\(#", f"url(#{chart.id}-", body)
    body = re.sub(r'(?:xlink:)?href="#', f'href="#{chart.id}-', body)
    body = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", body)
    body = _FONT_FAMILY.sub("", body)
    body = _LONG_NUMBER.sub(lambda number: f"{float(number[0]):.2f}", body)
    body = re.sub(r"\s*\n\s*", " ", body).replace("> <", "><")
    for name, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{name})")
    name = f"{chart.id}-name"
    about = f"{chart.id}-about"
    head = (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" xmlns="http://www.w3.org/2000/svg" '
        f'data-chart="{chart.id}" data-axes="{place}" '
        f'role="img" aria-labelledby="{name} {about}">'
        f'<title id="{name}">{escape(f"{chart.title}: {chart.subject}")}</title>'
        f'<desc id="{about}">{escape(chart.about)}</desc>'
    )
    return head + body[body.index(">") + 1 :].strip() + "\n"


def standalone(svg: str, css: str) -> str:
    """An inline drawing as a file of its own, with the page's colours."""
    at = svg.index(">") + 1
    sized = svg[: at - 1] + f' width="{2 * WIDTH}" height="{2 * HEIGHT}">'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{sized}<style>{css}</style>{svg[at:]}'
