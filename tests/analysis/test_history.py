"""Lists of runs: filters, the trend of an objective, and rows of sparks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fleets import NOW_S, Ship, fleet, launch
from hypothesis import given
from hypothesis import strategies as st

from runner.analysis.history import SPARKS, chosen, sparks, trends
from runner.model.evaluation import Verdict
from runner.model.summary import RunSummary
from runner.store import Store

TITLE = "latency.p95 < 300ms"


def told(tmp_path: Path, *ships: Ship) -> list[RunSummary]:
    store = Store(tmp_path)
    for ship in ships:
        launch(store, ship)
    return store.summaries(NOW_S)


def test_filters_choose(tmp_path: Path) -> None:
    """Goal: each filter does its part. Method: the same fleet, one filter at a time."""
    known = told(tmp_path, *fleet())
    assert {one.experiment for one in chosen(known, experiment="soak")} == {"soak"}
    assert [one.verdict for one in chosen(known, verdicts=["warn", "fail"])] == ["fail", "warn"]
    week = chosen(known, since_s=NOW_S - 7 * 86400)
    assert all((one.created_s or 0) >= NOW_S - 7 * 86400 for one in week)
    assert 0 < len(week) < len(known)
    assert [one.target for one in chosen(known, target="staging")] == ["staging"]
    assert chosen(known) == known


def test_a_trend_has_the_change_to_the_comparable_run_before(tmp_path: Path) -> None:
    """Goal: only like is compared with like. Method: a rehearsal and another load between."""
    plain = Ship()
    known = told(
        tmp_path,
        replace(plain, days_ago=5, p95_s=0.2),
        replace(plain, days_ago=4, p95_s=0.02, time_scale=0.1, length_s=12),
        replace(plain, days_ago=3, p95_s=0.1, users=50, target="staging"),
        replace(plain, days_ago=2, p95_s=None, verdict=Verdict.INCONCLUSIVE, valid=False),
        replace(plain, days_ago=1, p95_s=0.25),
    )
    (trend,) = trends(known, TITLE)
    assert [point.differs for point in trend.points] == [
        "",
        "not valid",
        "load 50 users, target staging",
        "rehearsal × 0.1",
        "",
    ]
    assert trend.points[0].change == pytest.approx(0.05)
    assert trend.points[0].change_ratio == pytest.approx(0.25)
    assert [point.change for point in trend.points[1:]] == [None] * 4
    assert [point.observed for point in trend.comparable] == [0.2, 0.25]


def test_other_lengths_and_faults_are_not_compared(tmp_path: Path) -> None:
    known = told(
        tmp_path,
        Ship(days_ago=3, length_s=240),
        Ship(days_ago=2, fault="http-abort"),
        Ship(days_ago=1),
    )
    (trend,) = trends(known, TITLE)
    assert [point.differs for point in trend.points] == ["", "other faults", "length 4m"]


def test_a_lone_rehearsal_is_compared_with_rehearsals(tmp_path: Path) -> None:
    """Goal: rehearsals alone have a trend too. Method: no run of full length."""
    known = told(tmp_path, *(Ship(days_ago=d, time_scale=0.5, length_s=60) for d in (1, 2)))
    (trend,) = trends(known, TITLE)
    assert [point.differs for point in trend.points] == ["", ""]


@pytest.mark.parametrize(
    ("wanted", "titles"),
    [
        ("LATENCY.p95<300MS", [TITLE]),
        ("errors", ["errors < 1%"]),
        ("all", [TITLE, "errors < 1%"]),
        ("budget", []),
    ],
)
def test_an_objective_is_found_by_a_part_of_its_text(
    tmp_path: Path, wanted: str, titles: list[str]
) -> None:
    known = told(tmp_path, Ship())
    assert [trend.title for trend in trends(known, wanted)] == titles


def test_a_run_without_that_objective_is_no_point(tmp_path: Path) -> None:
    known = told(
        tmp_path,
        Ship(days_ago=1),
        Ship(days_ago=2, title="latency.p95 < 400ms"),
        Ship(days_ago=3, judged=False, state="failed"),
    )
    (trend,) = trends(known, TITLE)
    assert len(trend.points) == 1


def test_two_objectives_of_one_text_are_two_trends(tmp_path: Path) -> None:
    """Goal: none hides another. Method: both objectives of a run read alike."""
    known = told(tmp_path, Ship(title="errors < 1%", p95_s=0.005))
    assert [trend.points[0].observed for trend in trends(known, "errors < 1%")] == [0.005, 0.001]


def test_sparks_reach_from_lowest_to_highest() -> None:
    assert sparks([1.0, None, 2.0, 3.0]) == "▁·▅█"
    assert sparks([2.0, 2.0]) == "▁▁"
    assert sparks([None, None]) == "··"
    assert sparks([]) == ""


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)))
def test_a_row_of_sparks_is_as_long_as_its_values(values: list[float | None]) -> None:
    row = sparks(values)
    assert len(row) == len(values)
    assert all((one == "·") == (value is None) for one, value in zip(row, values, strict=True))
    assert set(row) <= {*SPARKS, "·"}
