"""How latencies were spread: classes, shades, percentiles and what the requests support."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from runner.model.bound import parse_bound
from runner.model.evaluation import LoadFigures, Part, Verdict
from runner.model.histogram import bucket_of
from runner.reports.bounds import BoundMark, DrawnBound
from runner.reports.distribution import (
    PERCENTILES,
    Distribution,
    distribution_of,
    heat_map,
    nines,
    percentiles,
    supported,
)
from runner.reports.distributionplot import (
    draw_heat,
    draw_percentiles,
    opacity,
    render_distribution,
)
from runner.reports.grid import Grid
from runner.reports.loadseen import LoadSeen, busiest
from runner.reports.plots import settings
from runner.reports.svg import COLOURS
from runner.reports.timeline import FaultSpan

GRID = Grid(step_s=1, count=4, duration_s=3.5)
FAULT = FaultSpan(
    number=1, id="x", kind="k", start_s=1, end_s=2, left_percent=25, width_percent=25, text=""
)
STEPS: list[dict[int, int]] = [
    {bucket_of(10_000): 100},
    {bucket_of(10_000): 100, bucket_of(1_000_000): 1},
    {},
    {bucket_of(10_000): 9},
]


def mark(value: float, label: str, quantile: float | None, *, missed: bool = False) -> BoundMark:
    return BoundMark(
        label=label, value=value, above=False, windows=((0, 2),), missed=missed, quantile=quantile
    )


def test_fields_hold_every_request_of_their_step_and_class() -> None:
    """Goal: the map is the histogram. Method: two latencies, a silent step, runs of one shade."""
    heat = heat_map(STEPS, GRID)
    rows = {one.row for one in heat.fields}
    slow = max(rows)
    quick = min(rows)
    assert heat.edges_s[quick] <= 0.01 < heat.edges_s[quick + 1]
    assert heat.edges_s[slow] <= 1.0 < heat.edges_s[slow + 1]
    assert heat.most == 100
    strongest = len(heat.shades)
    assert [(f.step, f.length, f.level) for f in heat.fields if f.row == quick] == [
        (3, 1, 3),
        (0, 2, strongest),
    ]
    assert [(f.step, f.length, f.level) for f in heat.fields if f.row == slow] == [(1, 1, 1)]


def test_shades_are_steps_of_the_logarithm_from_one_request_on() -> None:
    assert heat_map(STEPS, GRID).shades == (1, 2, 5, 10, 22, 46)
    assert heat_map([{bucket_of(10_000): 1}], GRID).shades == (1,)
    strengths = [opacity(level, 6) for level in range(1, 7)]
    assert strengths == sorted(strengths)
    assert opacity(1, 1) == strengths[-1]


def test_the_map_says_in_words_what_it_shows() -> None:
    about = heat_map(STEPS, GRID).about.replace("\u00a0", " ")
    low, high = re.fullmatch(
        r"Most requests took (.+) to (.+)\. The slowest took .+ first at 00:01\.", about
    ).groups()  # type: ignore[union-attr]
    assert (float(low.split()[0]), float(high.split()[0])) == (10, 12.1)


@pytest.mark.parametrize(
    ("percentile", "requests", "is_supported"),
    [(99.9, 1000, False), (99.9, 1001, True), (50, 2, False), (50, 3, True), (99, 101, True)],
)
def test_a_percentile_needs_more_than_one_request_above_it(
    percentile: float, requests: int, is_supported: bool
) -> None:
    assert supported(percentile, requests) is is_supported


def test_curves_end_where_the_requests_end_and_the_report_says_so() -> None:
    """Goal: no p99.9 of 500 requests. Method: 500 and 20,000 requests, side by side."""
    few = {bucket_of(1000 * ms): 5 for ms in range(1, 101)}
    many = {bucket_of(1000 * ms): 200 for ms in range(1, 101)}
    found = percentiles({"baseline": many, "fault": few, "recovery": {}})
    assert [one.name for one in found.curves] == ["baseline", "fault"]
    assert [one.nines[-1] for one in found.curves] == pytest.approx([4, 2])
    rows = {row.name: [value.value for value in row.values] for row in found.rows}
    assert rows["fault"][3] == pytest.approx(0.099, rel=0.005)
    assert rows["fault"][4:] == [None, None]
    assert rows["baseline"][0] == pytest.approx(0.050, rel=0.005)
    assert rows["recovery"] == [None] * len(PERCENTILES)
    assert found.names == ("p50", "p90", "p95", "p99", "p99.9", "p99.99")
    assert percentiles({"fault": few}).names[-1] == "p99.9", "nobody has enough for more"
    assert "fault (nothing beyond p99: 500 requests)" in found.remark
    assert "baseline" not in found.remark
    assert found.about.startswith("baseline: p50 50")


def test_bounds_on_percentiles_are_marked_once_and_missed_ones_win() -> None:
    bounds = (
        mark(0.3, "p95 < 300 ms", 0.95, missed=True),
        mark(0.3, "p95 < 300 ms", 0.95),
        mark(0.2, "avg < 200 ms", None),
    )
    assert percentiles({}, bounds).marks == ((round(nines(95), 4), 0.3, "p95 < 300 ms", True),)


def seen(latencies: list[dict[int, int]]) -> LoadSeen:
    return LoadSeen({}, list(latencies), [], len(latencies), {"baseline": latencies[0]})


def test_without_a_success_there_is_nothing_to_spread() -> None:
    assert distribution_of(seen([{}, {}]), GRID, ()) is None


def test_endpoints_have_maps_of_their_own_in_the_same_classes() -> None:
    """Goal: maps can be compared. Method: a slow endpoint, one without a success, a bound."""
    slow = {bucket_of(1_000_000): 3}
    both = replace(seen(STEPS), endpoints={"GET /a": [slow, {}, {}, {}], "GET /b": [{}] * 4})
    bound = DrawnBound(
        bound=parse_bound("latency.p95 < 500ms"),
        source="client",
        subject="GET /a",
        parts=(Part(label="x", start_s=0, end_s=2, verdict=Verdict.PASS),),
    )
    found = distribution_of(both, GRID, (bound,))
    assert found is not None
    (one,) = found.endpoints
    assert (one.id, one.subject, one.most) == ("load-heat-1", "GET /a", 3)
    assert one.edges_s == found.heat.edges_s
    assert [mark.label for mark in one.bounds] == ["p95 < 500\u00a0ms"]
    assert found.heat.bounds == ()


def test_a_coarser_grid_has_whole_steps_of_the_finer_and_the_same_end() -> None:
    coarse = Grid(step_s=1, count=401, duration_s=400.5).coarser(150)
    assert (coarse.step_s, coarse.count, coarse.edges_s[-1]) == (3, 134, (399, 400.5))
    assert GRID.coarser(4) == GRID


def test_the_map_of_a_fine_grid_adds_up_its_steps() -> None:
    """Goal: a map is no larger than it can be seen. Method: 301 steps, one request in each."""
    one = {bucket_of(10_000): 1}
    fine = Grid(step_s=1, count=301, duration_s=301)
    found = distribution_of(seen([one] * 301), fine, ())
    assert found is not None
    assert (found.grid.count, found.grid.step_s, found.heat.most) == (151, 2, 2)
    assert sum(field.length for field in found.heat.fields) == 151


# -- drawing ---------------------------------------------------------------------------------------


def test_the_map_is_drawn_in_its_steps_with_faults_and_bounds() -> None:
    """Goal: fields where they belong, the last step cut. Method: the paths, in data units."""
    heat = heat_map(STEPS, GRID, (mark(0.3, "p95 < 300 ms", 0.95), mark(9.0, "p99 < 9 s", 0.99)))
    with settings():
        (axes,) = draw_heat(heat, GRID, [FAULT]).axes
    levels = sorted({one.level for one in heat.fields})
    assert len(axes.patches) == len(levels) + 1, "one path for each shade, and the fault's"
    assert axes.get_xlim() == (0, 3.5)
    assert axes.get_yscale() == "log"
    right = max(float(np.asarray(p.get_path().vertices)[:, 0].max()) for p in axes.patches[1:])
    assert right == 3.5
    assert {text.get_text() for text in axes.texts} == {"1", "p95 < 300 ms", "↑ p99 < 9 s"}


def test_names_of_bounds_that_are_near_stand_at_different_ends() -> None:
    """Goal: every name can be read. Method: two bounds side by side, and one at the top."""
    close = [mark(0.30, "p95", 0.95), mark(0.29, "p99", 0.99), mark(1.01, "top", 0.999)]
    heat = heat_map(STEPS, GRID, close)
    with settings():
        (axes,) = draw_heat(heat, GRID, ()).axes
    places = {
        text.get_text(): (text.get_horizontalalignment(), text.get_verticalalignment())
        for text in axes.texts
    }
    assert places == {"top": ("left", "top"), "p95": ("left", "bottom"), "p99": ("right", "bottom")}


def test_percentiles_stand_by_their_nines() -> None:
    curves = percentiles({"baseline": {bucket_of(1000 * ms): 200 for ms in range(1, 101)}})
    with settings():
        (axes,) = draw_percentiles(curves).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        *("p50", "p90", "p95", "p99", "p99.9", "p99.99")
    ]
    assert axes.get_xticks().tolist() == pytest.approx(
        [-math.log10(1 - p / 100) for p in PERCENTILES]
    )
    (line,) = axes.get_lines()
    assert line.get_color() == COLOURS["blue"]


def test_both_drawings_are_elements_without_seams() -> None:
    found = distribution_of(seen(STEPS), GRID, ())
    assert isinstance(found, Distribution)
    drawn = render_distribution(found, [FAULT])
    assert list(drawn) == ["load-heat", "load-percentiles"]
    heat = drawn["load-heat"]
    assert 'viewBox="0 0 640 230"' in heat
    levels = len({one.level for one in found.heat.fields})
    assert heat.count('shape-rendering="crispEdges"') == levels + len(found.heat.shades)


def test_the_busiest_endpoints_are_drawn_and_a_lonely_one_is_not() -> None:
    def figures(endpoint: str, requests: int) -> LoadFigures:
        return LoadFigures(
            label="x",
            phase="baseline",
            endpoint=endpoint,
            start_s=0,
            end_s=1,
            requests=requests,
            rate_per_s=1,
            failures=0,
            error_ratio=0,
        )

    many = [figures(f"GET /{number}", number) for number in range(9)]
    assert busiest(many) == [f"GET /{number}" for number in range(3, 9)]
    assert busiest([figures("GET /a", 5), figures("GET /a", 7)]) == []
