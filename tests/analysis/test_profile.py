"""Plateaus of a load, and the spike in them."""

from __future__ import annotations

import pytest
from builders import plan_of
from staged import SPIKE, staged_plan

from runner.analysis.foresight import doubts_about
from runner.analysis.profile import plateaus, rising, spike_of, varied
from runner.model.experiment import Experiment
from runner.model.plan import make_plan


def test_stages_at_one_level_are_one_plateau() -> None:
    """A ramp over all of a stage, then 5 min at its end; the way to it belongs to it."""
    stages = [
        {"duration": "2m", "users": 100, "spawn_rate": 1},
        {"duration": "5m", "users": 100},
        {"duration": "2m", "users": 200, "spawn_rate": 1},
        {"duration": "5m", "users": 200},
        {"duration": "1m", "users": 0},
        {"duration": "1m", "users": 200},
    ]
    document = {
        "name": "x",
        "description": "x",
        "load": {"locustfile": "shop.py", "stages": stages},
        "objectives": ["errors < 1%"],
    }
    found = plateaus(make_plan(Experiment.model_validate(document)))
    assert [(one.index, one.from_s, one.start_s, one.end_s, one.level) for one in found] == [
        (0, 0.0, 100.0, 420.0, 100.0),
        (1, 420.0, 520.0, 840.0, 200.0),
        (2, 900.0, 901.0, 960.0, 200.0),
    ]
    assert found[0].name == "100 users"


def test_warmup_is_no_part_of_a_plateau() -> None:
    """A stage that the warmup covers is none; the next begins where the warmup ends."""
    found = plateaus(staged_plan((10, 5), (20, 10), (20, 20), warmup="15s"))
    assert [(one.index, one.from_s, one.start_s, one.level) for one in found] == [
        (0, 15.0, 15.0, 10.0),
        (1, 30.0, pytest.approx(30.0, abs=1e-3), 20.0),
    ]


def test_open_model_has_plateaus_of_arrivals() -> None:
    found = plateaus(staged_plan((10, 20), (10, 80), unit="rate"))
    assert [(one.level, one.unit, one.name) for one in found] == [
        (20.0, "per_s", "20 requests/s"),
        (80.0, "per_s", "80 requests/s"),
    ]


def test_even_load_is_not_varied() -> None:
    assert varied(plateaus(plan_of())) == ()
    assert len(varied(plateaus(staged_plan(*SPIKE)))) == 3


@pytest.mark.parametrize(
    ("levels", "spike"),
    [
        ((50, 500, 50), (50, [500], 50)),
        ((50, 300, 500, 200, 55), (50, [300, 500, 200], 55)),
        ((100, 120, 300, 110), (120, [300], 110)),
        ((50, 99, 50), None),  # it does not double
        ((50, 500), None),  # it does not come back
        ((50, 500, 100), None),
        ((50, 500, 20), None),
        ((500, 50), None),
    ],
)
def test_spike_doubles_and_comes_back(
    levels: tuple[int, ...], spike: tuple[int, list[int], int] | None
) -> None:
    found = spike_of(plateaus(staged_plan(*((10, level) for level in levels))))
    seen = found and (found.before.level, [one.level for one in found.peaks], found.after.level)
    assert seen == spike
    assert found is None or found.top.level == max(levels)


def test_rising_ends_where_the_load_falls() -> None:
    found = rising(plateaus(staged_plan((10, 1), (10, 2), (10, 3), (10, 2), (10, 9))))
    assert [one.level for one in found] == [1, 2, 3]


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (SPIKE, []),
        (
            ((12, 50), (30, 500), (60, 50)),
            ["the steady time before the spike lasts 9.6s only", "less than 15s"],
        ),
        (((60, 50), (30, 500), (4, 50)), ["the time after the spike lasts 4s only", "than 5s"]),
        (((12, 50), (30, 90), (4, 50)), []),  # no spike
    ],
)
def test_spike_that_is_too_short_to_answer_is_foreseen(
    stages: tuple[tuple[float, int], ...], said: list[str]
) -> None:
    found = [one for one in doubts_about(staged_plan(*stages)) if "back to normal" in one.message]
    assert len(found) == bool(said)
    for text in said:
        assert text in found[0].message
