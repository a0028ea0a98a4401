"""Drawings: what stands in the axes, and what matplotlib's file becomes on its way to the page."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np
import pytest

from runner.reports.bounds import BoundMark
from runner.reports.charts import LINE_NAMES, Chart
from runner.reports.grid import Line
from runner.reports.html import palette
from runner.reports.plots import draw, settings
from runner.reports.svg import COLOURS, WIDTH, standalone, to_svg
from runner.reports.timeline import FaultSpan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AT_S = (0.5, 1.5, 2.5, 3.5)
FAULT = FaultSpan(
    number=1,
    id="01-x",
    kind="http-abort",
    start_s=1,
    end_s=2,
    left_percent=25,
    width_percent=25,
    text="",
)


def mark(value: float, *, missed: bool = False, above: bool = False, label: str = "") -> BoundMark:
    return BoundMark(
        label=label or f"< {value}",
        value=value,
        above=above,
        windows=((0, 1), (2, 4)),
        missed=missed,
    )


def chart(*lines: Line, bounds: tuple[BoundMark, ...] = (), unit: str = "s", **known: str) -> Chart:
    return Chart.model_validate(
        {"id": "s01-latency", "title": "Latency", "subject": "order-api", "unit": unit}
        | {"lines": lines, "bounds": bounds, "about": "p95: from 1 ms to 2 s."}
        | known
    )


P95 = Line(name="p95", values=(0.1, None, 0.3, 0.2))
P99 = Line(name="p99", values=(0.2, 0.4, 0.5, 0.4))


def axes_of(drawn: Chart) -> Axes:
    (axes,) = draw(drawn, AT_S, 4.0, [FAULT]).axes
    return axes


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_lines_stand_where_their_values_are_and_gaps_stay_open() -> None:
    axes = axes_of(chart(P95, P99))
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    at_s, values = np.asarray(lines["p95"].get_xydata()).T.tolist()
    assert at_s == list(AT_S)
    assert values[0] == 0.1
    assert math.isnan(values[1])
    assert values[2:] == [0.3, 0.2]
    assert lines["p95"].get_color() == COLOURS["blue"]
    assert lines["p99"].get_color() == COLOURS["violet"]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["p95", "p99"]


def test_a_fault_is_shaded_over_its_window_and_numbered() -> None:
    axes = axes_of(chart(P95))
    (shade,) = axes.patches
    assert shade.get_extents().transformed(axes.transData.inverted()).x0 == pytest.approx(1)
    assert shade.get_extents().transformed(axes.transData.inverted()).x1 == pytest.approx(2)
    assert texts(axes) == ["1"]


def test_bounds_are_drawn_in_their_windows_only() -> None:
    """Goal: no bound where nothing was judged. Method: one bound over two of four seconds."""
    axes = axes_of(chart(P95, bounds=(mark(0.25, missed=True), mark(0.25))))
    drawn = [
        (*np.asarray(line.get_xydata()).T.tolist(), line.get_color())
        for line in axes.get_lines()
        if str(line.get_label()).startswith("_< ")
    ]
    assert drawn == [
        ([0, 1], [0.25, 0.25], COLOURS["missed"]),
        ([2, 4], [0.25, 0.25], COLOURS["missed"]),
        ([0, 1], [0.25, 0.25], COLOURS["muted"]),
        ([2, 4], [0.25, 0.25], COLOURS["muted"]),
    ]
    assert texts(axes) == ["1", "< 0.25 ✗"], "one label, however many windows"


def test_a_bound_far_above_is_named_and_does_not_flatten_the_data() -> None:
    axes = axes_of(chart(P95, bounds=(mark(50.0, label="p95 < 50 s"), mark(0.9))))
    assert axes.get_ylim() == pytest.approx((0, 0.9 * 1.15))
    assert texts(axes) == ["1", "< 0.9", "↑ p95 < 50 s"]


@pytest.mark.parametrize(
    ("unit", "values", "bounds", "top"),
    [
        ("ratio", (0.0, 0.0, None, 0.0), (), 0.01),
        ("ratio", (0.0, 0.0, None, 0.0), (mark(0.1), mark(0.005)), 0.005 * 1.15),
        ("s", (0.0, 0.0, 0.0, 0.0), (), 0.001),
        ("per_s", (100.0, None, None, None), (mark(80, above=True),), 115.0),
    ],
)
def test_the_axis_fits_data_and_bounds(
    unit: str, values: tuple[float | None, ...], bounds: tuple[BoundMark, ...], top: float
) -> None:
    axes = axes_of(chart(Line(name="errors", values=values), unit=unit, bounds=bounds))
    assert axes.get_ylim() == pytest.approx((0, top))
    assert axes.get_xlim() == (0, 4)


@pytest.mark.parametrize(
    ("values", "dots"),
    [
        ((None, 0.5, None, None), [1]),
        ((0.1, 0.2, None, 0.3), [3]),
        ((0.4, None, 0.1, 0.2), [0]),
        ((0.1, 0.2, 0.3, None), []),
    ],
)
def test_a_lonely_value_is_a_dot(values: tuple[float | None, ...], dots: list[int]) -> None:
    axes = axes_of(chart(Line(name="errors", values=values), unit="ratio"))
    line = next(line for line in axes.get_lines() if line.get_label() == "errors")
    assert (line.get_marker(), line.get_markevery()) == ("o" if dots else "", dots)


def test_six_outcomes_fit_above_the_chart() -> None:
    """Goal: no legend leaves its drawing. Method: extent of the longest legend."""
    names = ("success", *LINE_NAMES.values())
    figure = draw(chart(*(Line(name=n, values=(1.0,) * 4) for n in names)), AT_S, 4.0, [])
    legend = figure.axes[0].get_legend()
    assert legend is not None
    figure.draw_without_rendering()
    assert legend.get_window_extent().x1 <= WIDTH


# -- as a file -------------------------------------------------------------------------------------


def svg_of(drawn: Chart) -> str:
    with settings():
        return to_svg(draw(drawn, AT_S, 4.0, [FAULT]), drawn)


def test_the_same_chart_gives_the_same_bytes() -> None:
    assert svg_of(chart(P95, P99)) == svg_of(chart(P95, P99))


def test_colours_are_variables_that_the_palette_knows_in_both_schemes() -> None:
    svg = svg_of(chart(P95, P99, bounds=(mark(0.25, missed=True),)))
    assert not re.search(r"#0102[0-9a-f]{2}", svg)
    used = set(re.findall(r"var\(--([a-z]+)\)", svg))
    assert {"blue", "violet", "text", "muted", "grid", "fault", "missed"} <= used
    light, dark = palette().split("prefers-color-scheme: dark")
    for name in COLOURS:
        assert f"--{name}:" in light, name
        assert f"--{name}:" in dark, name


def test_it_is_an_image_with_a_name_and_a_description() -> None:
    svg = svg_of(chart(P95, subject="<b>&order", about="p95 < 3 s"))
    root = ET.fromstring(svg)  # noqa: S314 - our own file
    assert root.get("role") == "img"
    name, about = str(root.get("aria-labelledby")).split()
    told = {child.get("id"): child.text for child in root[:2]}
    assert told == {name: "Latency: <b>&order", about: "p95 < 3 s"}


def test_every_id_bears_the_name_of_the_chart_and_every_reference_is_met() -> None:
    svg = svg_of(chart(P95, P99, bounds=(mark(0.25),)))
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert len(ids) == len(set(ids))
    assert all(one.startswith("s01-latency-") for one in ids)
    references = set(re.findall(r'(?:href="|url\()#([^")]*)', svg))
    assert references
    assert references <= set(ids)


def test_it_leaks_no_style_and_asks_for_nothing() -> None:
    svg = svg_of(chart(P95))
    assert "<style" not in svg
    assert "<metadata" not in svg
    assert "font-family" not in svg
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]


def test_a_file_of_its_own_brings_its_colours() -> None:
    alone = standalone(svg_of(chart(P95)), palette())
    root = ET.fromstring(alone.encode())  # noqa: S314 - our own file
    assert root.get("width") == str(2 * WIDTH)
    assert "--blue:" in str(root[0].text)


def test_matplotlib_is_loaded_only_when_it_draws() -> None:
    """Goal: commands start fast. Method: a fresh interpreter imports what a command imports."""
    code = "import runner.reports.write, sys; print('matplotlib' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert answer.stdout.strip() == "False"
