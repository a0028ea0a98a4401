"""What the charts show: the grid of time, lines on it, bounds and their windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from voyages import Voyage, plan_of, write_run

from runner.model.evaluation import Evaluation, Finding, Part, SignalFigures, Verdict
from runner.model.recording import Signals, SignalSeries
from runner.reports.bounds import bounds_of, load_marks, service_marks
from runner.reports.charts import Chart, chart_groups, on_grid
from runner.reports.grid import MOST_POINTS, Grid, grid_of
from runner.reports.loadlines import users_lines


def series(*points: tuple[float, float | None], step_s: float = 1.0) -> SignalSeries:
    return SignalSeries(
        sli="errors", service="a", unit="ratio", query="q", step_s=step_s, points=points, state="ok"
    )


@pytest.mark.parametrize(
    ("length_s", "series_step_s", "step_s", "count"),
    [(60, 1, 1, 60), (60, 5, 5, 12), (1800, 1, 5, 360), (7200, 1, 10, 720), (86400, 1, 120, 720)],
)
def test_the_grid_has_round_steps_and_not_too_many(
    length_s: float, series_step_s: float, step_s: float, count: int
) -> None:
    plan = plan_of(Voyage(length_s=length_s, kill=False, abort=False, objectives=("errors < 1%",)))
    grid = grid_of(plan, Signals(services=("a",), series=(series(step_s=series_step_s),)))
    assert (grid.step_s, grid.count) == (step_s, count)
    assert grid.count <= MOST_POINTS


def test_the_last_step_may_be_shorter() -> None:
    grid = Grid(step_s=10, count=3, duration_s=24)
    assert grid.centers_s == (5.0, 15.0, 22.0)
    assert [grid.index_of(at_s) for at_s in (-1.0, 0.0, 9.9999999, 10.0, 24.0, 25.0)] == [
        *(None, 0, 1, 1),
        *(2, None),
    ]


def test_a_step_shows_the_worst_or_the_mean_and_gaps_stay_gaps() -> None:
    """Goal: no fault is smoothed away, no gap is bridged. Method: steps of two, none and NaN."""
    grid = Grid(step_s=2, count=4, duration_s=8)
    seen = series((0, 0.1), (1, 0.3), (2, None), (4, float("nan")), (6, 0.2), (8, 0.4))
    assert on_grid(seen, grid, max) == (0.3, None, None, 0.4)
    assert on_grid(seen, grid, fmean) == pytest.approx((0.2, None, None, 0.3))


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Chart]:
    run = write_run(
        tmp_path_factory.mktemp("charts"),
        Voyage(length_s=60, services=("order-api", "payment-api"), recorded_s=50),
    )
    recording = run.recording()
    grid = grid_of(recording.plan, recording.signals)
    groups = chart_groups(recording, run.read_evaluation(), grid)
    assert [group.title for group in groups] == ["As the users saw it", "order-api", "payment-api"]
    return {chart.id: chart for group in groups for chart in group.charts}


def test_there_is_a_chart_for_each_signal(charts: dict[str, Chart]) -> None:
    signals = ("latency", "traffic", "errors", "saturation")
    assert list(charts) == [
        *("load-latency", "load-traffic", "load-errors", "load-generator"),
        *(f"s01-{signal}" for signal in signals),
        *(f"s02-{signal}" for signal in signals),
    ]
    assert [line.name for line in charts["s01-latency"].lines] == ["p50", "p95", "p99"]
    assert [line.name for line in charts["load-traffic"].lines] == ["success", "5xx"]


def test_lines_of_the_load_end_where_the_record_ends(charts: dict[str, Chart]) -> None:
    """Goal: nothing is drawn where nothing is known. Method: 50 of 60 s are on record."""
    for name in ("load-latency", "load-traffic", "load-errors"):
        for line in charts[name].lines:
            assert line.values[50:] == (None,) * 10, name
            assert line.values[49] is not None, name
    (cpu,) = charts["load-generator"].lines
    assert cpu.values[49:51] == (0.2, None)


def test_where_all_requests_failed_it_is_success_that_is_missing(tmp_path: Path) -> None:
    """Goal: the record is not doubted. Method: a whole load whose requests all failed."""
    run = write_run(tmp_path, Voyage(length_s=60, services=()))
    recording = run.recording()
    failed = [replace(row, outcome="http_4xx") for row in recording.load.rows]
    refused = replace(recording, load=replace(recording.load, rows=tuple(failed)))
    (group,) = chart_groups(refused, run.read_evaluation(), grid_of(refused.plan, refused.signals))
    latency = next(chart for chart in group.charts if chart.id == "load-latency")
    assert latency.missing == "No request succeeded."


def test_users_stand_where_the_generator_said_nothing_of_itself(tmp_path: Path) -> None:
    run = write_run(tmp_path, Voyage(length_s=60, services=(), recorded_s=50))
    recording = run.recording()
    silent = replace(recording, load=replace(recording.load, generator={}))
    grid = grid_of(silent.plan, silent.signals)
    (group,) = chart_groups(silent, run.read_evaluation(), grid)
    assert group.charts[-1].id == "load-users"
    planned, running = group.charts[-1].lines
    assert planned.values[59] == 100
    assert running.values[49:51] == (100, None)


def test_users_that_follow_the_plan_lie_on_it(tmp_path: Path) -> None:
    """Goal: no lead against the plan. Method: a ramp, counted at the end of each second."""
    recording = write_run(tmp_path, Voyage(length_s=60, services=())).recording()
    plan = recording.plan
    counted = {second: round(plan.users_at(second + 0.999999)) for second in range(60)}
    load = replace(recording.load, users=counted)
    planned, running = users_lines(replace(recording, load=load), grid_of(plan, None))
    assert running.values == planned.values
    assert running.values[:6] == (10, 30, 50, 70, 90, 100)


def test_traffic_adds_up_to_the_requests(charts: dict[str, Chart], tmp_path: Path) -> None:
    run = write_run(tmp_path, Voyage(length_s=60, services=(), recorded_s=50))
    drawn = sum(v for line in charts["load-traffic"].lines for v in line.values if v is not None)
    assert drawn == pytest.approx(sum(row.count for row in run.read_load().rows))


def test_a_chart_says_in_words_what_it_shows(charts: dict[str, Chart]) -> None:
    about = charts["load-errors"].about.replace("\u00a0", " ")
    assert about.startswith("errors: from 0 % to ")
    assert "Bound: < 5 %, missed." in about
    assert "Bound: < 0.5 %, kept." in about


# -- bounds ----------------------------------------------------------------------------------------


def part(start_s: float, end_s: float, verdict: Verdict = Verdict.PASS) -> Part:
    return Part(label="x", start_s=start_s, end_s=end_s, verdict=verdict)


def finding(title: str, *parts: Part, source: str = "client") -> Finding:
    return Finding(
        kind="objective",
        check="objective",
        title=title,
        verdict=Verdict.PASS,
        reason="",
        source=source,
        parts=parts,
    )


def evaluation(*signals: SignalFigures) -> Evaluation:
    return Evaluation(
        run_id="r",
        experiment="e",
        verdict=Verdict.PASS,
        valid=True,
        sentence="",
        findings=(),
        signals=signals,
    )


def test_windows_that_touch_are_one_and_missed_ones_stand_apart() -> None:
    drawn = bounds_of(
        [finding("errors < 5%", part(0, 5), part(5, 9), part(9, 12, Verdict.FAIL), part(12, 20))]
    )
    missed, kept = load_marks(drawn, "errors")
    assert (missed.missed, missed.windows) == (True, ((9, 12),))
    assert (kept.missed, kept.windows) == (False, ((0, 9), (12, 20)))
    assert (kept.value, kept.above, kept.label) == (0.05, False, "< 5\u00a0%")


def test_a_bound_is_not_kept_where_nothing_was_judged() -> None:
    unknown = part(5, 9, Verdict.INCONCLUSIVE)
    (kept,) = load_marks(bounds_of([finding("errors < 5%", part(0, 5), unknown)]), "errors")
    assert (kept.missed, kept.windows) == (False, ((0, 5),))


def test_a_bound_is_drawn_only_where_it_belongs() -> None:
    """Goal: no bound in the chart of another thing. Method: one of each kind, every chart asked."""
    drawn = bounds_of(
        [
            finding("latency.p95 < 500ms", part(0, 9)),
            finding("latency.p95 < 100ms of GET /x", part(0, 9)),
            finding("latency.p99 >= 1s of order-api", part(0, 9), source="mesh"),
            finding("saturation.cpu < 80% of order-api", part(0, 9), source="mesh"),
            finding("no grammar of ours", part(0, 9)),
        ]
    )
    none = evaluation()
    assert [mark.label for mark in load_marks(drawn, "latency")] == ["p95 < 500\u00a0ms"]
    assert [mark.label for mark in service_marks(drawn, "latency", "order-api", none)] == [
        "p99 ≥ 1\u00a0s"
    ]
    assert service_marks(drawn, "latency", "payment-api", none) == ()
    assert service_marks(drawn, "saturation", "payment-api", none) == ()
    assert [mark.label for mark in service_marks(drawn, "saturation", "order-api", none)] == [
        "CPU < 80\u00a0%"
    ]


def test_saturation_of_all_is_missed_only_by_those_who_missed_it() -> None:
    """Goal: no innocent service in red. Method: one above the bound, one below."""
    figures = [
        SignalFigures(
            service=service, phase="fault", phase_index=1, start_s=5, end_s=9, cpu_ratio=ratio
        )
        for service, ratio in (("order-api", 0.9), ("payment-api", 0.2))
    ]
    drawn = bounds_of(
        [finding("saturation.cpu < 80%", part(0, 5), part(5, 9, Verdict.FAIL), source="mesh")]
    )
    guilty = service_marks(drawn, "saturation", "order-api", evaluation(*figures))
    innocent = service_marks(drawn, "saturation", "payment-api", evaluation(*figures))
    assert [(mark.missed, mark.windows) for mark in guilty] == [
        (True, ((5, 9),)),
        (False, ((0, 5),)),
    ]
    assert [(mark.missed, mark.windows) for mark in innocent] == [(False, ((0, 9),))]


def test_replicas_are_drawn_where_they_change(tmp_path: Path) -> None:
    """Goal: a flat line takes no room, a step hides no dip. Method: both, with 2 s a step."""
    run = write_run(tmp_path, Voyage(length_s=240, kill=False, abort=False, signals=False))

    def replicas(service: str, sli: str, *values: float) -> SignalSeries:
        points = tuple((float(at_s), value) for at_s, value in enumerate(values))
        return series(*points).model_copy(update={"service": service, "sli": sli, "unit": "count"})

    signals = Signals(
        services=("dips", "flat"),
        series=(
            replicas("dips", "replicas.desired", *(2.0,) * 240),
            replicas("dips", "replicas.ready", *(2.0,) * 99, 1.0, *(2.0,) * 140),
            replicas("flat", "replicas.desired", *(2.0,) * 240),
            replicas("flat", "replicas.ready", *(2.0,) * 240),
        ),
    )
    recording = replace(run.recording(), signals=signals)
    grid = Grid(step_s=2, count=120, duration_s=240)
    drawn = {
        group.title: [chart for chart in group.charts if chart.title == "Replicas"]
        for group in chart_groups(recording, run.read_evaluation(), grid)
    }
    assert drawn["flat"] == []
    (chart,) = drawn["dips"]
    wanted, ready = chart.lines
    assert (wanted.name, set(wanted.values)) == ("wanted", {2.0})
    assert (ready.name, ready.values[49], ready.values[48]) == ("ready", 1.0, 2.0)


def test_a_bound_is_read_from_any_title() -> None:
    """Goal: no name that follows is taken for a part of it. Method: the titles that there are."""
    titles = [
        "errors < 5% of GET /x of y in stage 2",
        "latency.p95 < 200ms of services other than order-api, payment-api",
        "latency.p99 < 1s of each service",
        "errors < 5% of GET /api/* for 1m 30s",
    ]
    mesh = {1, 2}
    drawn = bounds_of(
        [
            finding(title, part(0, 9), source="mesh" if at in mesh else "client")
            for at, title in enumerate(titles)
        ]
    )
    assert [(one.subject, one.but, one.sustained) for one in drawn] == [
        ("GET /x of y", (), ""),
        ("each service", ("order-api", "payment-api"), ""),
        ("each service", (), ""),
        ("GET /api/*", (), "1m 30s"),
    ]
    none = evaluation()
    marks = {
        service: [mark.label for mark in service_marks(drawn, "latency", service, none)]
        for service in ("order-api", "customer-api")
    }
    assert marks == {
        "order-api": ["p99 < 1\u00a0s"],
        "customer-api": ["p95 < 200\u00a0ms", "p99 < 1\u00a0s"],
    }
    assert load_marks(drawn, "errors") == (), "endpoints are not the whole load"


def test_a_relative_bound_is_drawn_where_it_came_out_and_not_at_all_without_a_reference() -> None:
    known = finding("latency.p99 <= run:last + 10%", part(5, 9)).model_copy(update={"bound": 0.11})
    (mark,) = load_marks(bounds_of([known]), "latency")
    assert (mark.label, mark.value, mark.quantile) == ("p99 ≤ 110\u00a0ms", 0.11, 0.99)
    unknown = known.model_copy(update={"bound": None})
    assert bounds_of([unknown]) == ()
