"""From matplotlib's file to an element of a page: colours as CSS variables, nothing that leaks.

Colours are drawn as sentinels and become CSS variables, so that one drawing serves light and dark.
Nothing is drawn here.
"""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 330, 180
"""Size in points, which the page shows as CSS pixels where a chart is as wide as a phone."""

# Sentinel colours that stand for CSS variables; nothing else may use them.
_VARIABLES = (
    *("text", "muted", "grid", "fault", "missed"),
    *("blue", "sky", "violet", "red", "orange", "teal", "brown", "grey"),
)
COLOURS = {name: f"#0102{number:02x}" for number, name in enumerate(_VARIABLES, start=1)}


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


_GROUP = re.compile(
    r'<g id="(?:((?:over-time|time-axis|fault-mark|bound-name|legend)(?: [a-z-]+\d*)?)|[^"]*)"'
)
"""What moves when the page zooms in on a part of the run, and what it then draws anew itself."""

_FONT_FAMILY = re.compile(r"(?:; )?font-family: [^;\"]*")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def to_svg(figure: Figure, chart: Drawn) -> str:
    """``figure`` as an inline element, with title and description for screen readers."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    width, height = figure.get_size_inches() * 72
    return _inline(out.getvalue(), chart, _place(figure), (round(width), round(height)))


def _place(figure: Figure) -> str:
    """Left, right, top and bottom of the axes in the drawing's own units; the value at the top.

    That is 0 where values do not go up evenly from 0.
    """
    box, (width, height) = figure.axes[0].get_position(), figure.get_size_inches() * 72
    edges = (box.x0 * width, box.x1 * width, (1 - box.y1) * height, (1 - box.y0) * height)
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    top = high if axes.get_yscale() == "linear" and low == 0 else 0.0
    return " ".join([*(f"{edge:.2f}" for edge in edges), f"{top:.6g}"])


def _inline(svg: str, chart: Drawn, place: str, size: tuple[int, int]) -> str:
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
        f'<svg class="plot" viewBox="0 0 {size[0]} {size[1]}" xmlns="http://www.w3.org/2000/svg" '
        f'data-chart="{chart.id}" data-axes="{place}" '
        f'role="img" aria-labelledby="{name} {about}">'
        f'<title id="{name}">{escape(f"{chart.title}: {chart.subject}")}</title>'
        f'<desc id="{about}">{escape(chart.about)}</desc>'
    )
    return head + body[body.index(">") + 1 :].strip() + "\n"


def standalone(svg: str, css: str) -> str:
    """An inline drawing as a file of its own, with the page's colours."""
    at = svg.index(">") + 1
    found = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg[:at])
    width, height = (WIDTH, HEIGHT) if found is None else (int(found[1]), int(found[2]))
    sized = svg[: at - 1] + f' width="{2 * width}" height="{2 * height}">'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{sized}<style>{css}</style>{svg[at:]}'
