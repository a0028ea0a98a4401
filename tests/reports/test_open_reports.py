"""What reports show of the open model: arrivals, and response time beside service time."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from voyages import Voyage, write_run

from runner.model.evaluation import Evaluation
from runner.model.experiment import Load
from runner.model.recording import ArrivalSecond, Recording, SearchStep
from runner.reports.document import Document, build_document
from runner.reports.grid import Grid, grid_of
from runner.reports.html import render_page
from runner.reports.loadlines import arrival_lines, in_flight_line, load_lines
from runner.reports.markdown import render_markdown
from runner.reports.openmodel import RESPONSE_TIME, SERVICE_TIME

STALL = Voyage(
    length_s=60,
    rate=50.0,
    pool=20,
    stall_s=3.0,
    max_wait="2s",
    kill=False,
    abort=False,
    services=(),
    objectives=("latency.p95 < 300ms",),
)
CLOSED = Voyage(length_s=60, services=(), kill=False, abort=False, objectives=("errors < 1%",))


@cache
def run_of(voyage: Voyage) -> tuple[Recording, Evaluation]:
    with TemporaryDirectory() as folder:
        run = write_run(Path(folder), voyage)
        return run.recording(), run.read_evaluation()


def document(voyage: Voyage = STALL) -> Document:
    return build_document(*run_of(voyage))


def plain(text: str) -> str:
    return " ".join(text.replace("\u00a0", " ").replace("\\", "").split())


def test_the_timeline_counts_arrivals() -> None:
    """Goal: planned, started and dropped arrivals, as rates. Method: 50 a second, and a stall of
    3 s, in which 20 are in flight and the others wait for 2 s.
    """
    line = document().timeline
    assert line.counted == "arrivals"
    planned, started, dropped = line.load
    assert (planned.name, started.name, dropped.name) == ("planned", "started", "dropped")
    assert planned.values[:6] == pytest.approx((5, 15, 25, 35, 45, 50))
    assert started.values[20] == pytest.approx(50, abs=1)
    assert started.values[31] == 0
    assert (dropped.values[31], dropped.values[59]) == (0, 0)
    assert sum(value or 0 for value in dropped.values) > 20
    assert line.highest.value == max(value or 0 for value in started.values)
    assert line.highest.text.endswith("/s")
    assert line.scale >= (line.highest.value or 0)


def test_nothing_dropped_is_no_line() -> None:
    calm = document(replace(STALL, stall_s=0.0, pool=None))
    assert [line.name for line in calm.timeline.load] == ["planned", "started"]
    assert calm.open_model is not None
    assert "At most 100 arrivals are in flight" in calm.open_model.pool


def test_the_charts_of_the_open_model() -> None:
    """Goal: latency with its quiet second line, arrivals, and a bound on those in flight."""
    charts = {chart.id: chart for chart in document().charts[0].charts}
    assert list(charts) == [
        *("load-latency", "load-traffic", "load-errors", "load-generator"),
        *("load-arrivals", "load-in-flight"),
    ]
    latency = {line.name: line.values for line in charts["load-latency"].lines}
    assert list(latency) == ["p50", "p95", "p99", "service p95"]
    assert latency["p95"][31] == pytest.approx(1.9, abs=0.2)  # those that waited nearly 2 s
    assert latency["service p95"][31] == pytest.approx(0.08, abs=0.05)
    (in_flight,) = charts["load-in-flight"].lines
    assert in_flight.values[31] == 20
    (bound,) = charts["load-in-flight"].bounds
    assert (bound.label, bound.value, bound.missed) == ("≤ 20", 20.0, True)


def test_a_pool_that_was_never_full_kept_its_bound() -> None:
    charts = {chart.id: chart for chart in document(replace(STALL, stall_s=0.0)).charts[0].charts}
    (bound,) = charts["load-in-flight"].bounds
    assert not bound.missed


def test_arrivals_of_a_step_are_a_rate_over_what_is_on_record() -> None:
    """Goal: no dip at the end of a record. Method: steps of 10 s, 5 s of the third on record."""
    recording, _ = run_of(replace(STALL, stall_s=0.0, recorded_s=25))
    _, started = arrival_lines(recording, Grid(step_s=10, count=6, duration_s=60))
    assert started.values[1:3] == pytest.approx((50, 50), abs=0.5)
    assert started.values[3:] == (None, None, None)


def test_in_flight_holds_while_nothing_happens() -> None:
    recording, _ = run_of(STALL)
    arrivals = {1: ArrivalSecond(started=7), 4: ArrivalSecond(completed=7)}
    load = replace(recording.load, arrivals=arrivals)
    line = in_flight_line(replace(recording, load=load), grid_of(recording.plan, None))
    assert line.values[:6] == (0, 7, 7, 7, 0, 0)


def test_a_search_is_planned_by_its_steps() -> None:
    recording, _ = run_of(STALL)
    search = {
        "locustfile": "shop.py",
        "search": {"from": "10/s", "to": "90/s", "until": ["errors < 1%"]},
    }
    experiment = recording.plan.experiment.model_copy(update={"load": Load.model_validate(search)})
    plan = recording.plan.model_copy(update={"experiment": experiment, "stages": ()})
    steps = (SearchStep(1, 10.0, 2.0, 20.0), SearchStep(2, 20.0, 25.0, 20.0))
    searched = replace(recording, plan=plan, load=replace(recording.load, steps=steps))
    planned = load_lines(searched, grid_of(recording.plan, None))[0]
    assert [planned.values[at] for at in (1, 2, 21, 22, 25, 45)] == [0, 10, 10, 0, 20, 0]


def test_an_own_shape_is_planned_by_what_it_wanted() -> None:
    """Goal: a plan that the record knows. Method: a shape that wants 10 more users at 30 s."""
    recording, _ = run_of(CLOSED)
    own = {"locustfile": "shop.py", "shape": "own", "duration": "60s"}
    experiment = recording.plan.experiment.model_copy(update={"load": Load.model_validate(own)})
    plan = recording.plan.model_copy(update={"experiment": experiment, "stages": ()})
    wanted = {second: 10 if second < 30 else 20 for second in range(60)}
    load = replace(recording.load, wanted=wanted)
    lines = load_lines(replace(recording, plan=plan, load=load), grid_of(plan, None))
    assert [line.name for line in lines] == ["wanted", "running"]
    assert [lines[0].values[at] for at in (0, 1, 29, 30, 31)] == [5, 10, 10, 15, 20]


def test_response_and_service_time_stand_side_by_side() -> None:
    """Goal: number and text of both, by phase and endpoint, and counters of phases only."""
    doc = document()
    _, baseline = doc.phases
    assert baseline.service is not None
    assert (baseline.p99.value or 0) > 10 * (baseline.service.p99.value or 0) > 0
    assert baseline.service.p95.text.endswith("ms")
    assert baseline.arrivals is not None
    assert baseline.arrivals.peak_in_flight.text == "20"
    assert baseline.arrivals.dropped.value == (
        (baseline.arrivals.offered.value or 0) - (baseline.arrivals.started.value or 0)
    )
    assert all(row.service and not row.arrivals for rows in doc.endpoints for row in rows)


def test_the_page_explains_both_and_counts_arrivals() -> None:
    doc = document()
    page = plain(
        re.sub(r"<[^>]+>", " ", render_page(doc, {c.id: "" for g in doc.charts for c in g.charts}))
    )
    assert f"figure that decided. {RESPONSE_TIME}" in page
    assert f"{RESPONSE_TIME} {SERVICE_TIME}" in page
    assert "Response time Service time Failures by kind p50 p95 p99 Highest p50 p95 p99" in page
    assert "At most 20 arrivals are in flight (max_in_flight); one that finds no user free" in page
    row = doc.phases[1].arrivals
    assert row is not None
    cells = (row.offered, row.started, row.waited, row.dropped, row.completed, row.peak_in_flight)
    assert f"baseline 00:05 to 01:00 {' '.join(cell.text for cell in cells)}" in page
    assert "arrivals started, at most" in page
    assert "users running" not in page


def test_markdown_says_the_same_in_short() -> None:
    text = plain(render_markdown(document()))
    assert "| p50 | p95 | p99 | Service p50 | Service p95 | Service p99 |" in text
    assert "| Phase | Offered | Started | Waited | Dropped | Completed | Most in flight |" in text
    assert f"{RESPONSE_TIME} {SERVICE_TIME} At most 20" in text


def test_the_closed_model_says_nothing_of_it() -> None:
    doc = document(CLOSED)
    assert doc.open_model is None
    assert {(row.service, row.arrivals) for row in doc.phases} == {(None, None)}
    page = render_page(doc, {c.id: "" for g in doc.charts for c in g.charts})
    said = plain(page + render_markdown(doc))
    for word in ("response time", "Service", "Arrivals", "max_in_flight</p>"):
        assert word not in said, word
    assert "users running, at most 100" in said
