"""What `seatrial plan` says of score, error budget, groups and own signals."""

from __future__ import annotations

from typing import Any

import pytest

from runner.cli.addingup import adding_up
from runner.cli.timeline import print_plan
from runner.model.experiment import Experiment
from runner.model.plan import make_plan


def _experiment(**more: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "shop",
            "description": "All of it",
            "load": {
                "locustfile": "shop.py",
                "stages": [{"duration": "60s", "users": 10, "spawn_rate": 10}],
            },
            "warmup": "10s",
            "objectives": ["errors < 1%"],
            **more,
        }
    )


def test_without_any_of_it_nothing_is_said() -> None:
    assert adding_up(_experiment()) == []


def test_each_has_its_line() -> None:
    """Goal: a reader of the plan knows what decides. Method: one of each, the lines to the word."""
    objectives = [
        {"objective": "errors < 1%", "weight": 5, "key": True},
        {"objective": "latency.p95 < 1s", "weight": 0},
        "signal.queue < 5",
        "budget < 5%",
    ]
    queue = {"promql": "sum(\n  queue)", "take": "max"}
    lost = {"promql": "increase(lost_total[$range])", "unit": "ratio"}
    lines = adding_up(
        _experiment(
            objectives=objectives,
            score={"pass": "80%"},
            budget={"slo": "99.9%"},
            groups={"reading": ["GET /a", "GET /b"]},
            signals={"queue": queue, "lost": lost},
        )
    )
    assert lines == [
        "Score: pass from 80 % of the weights on, warn from 75 %; each weighs 1, but 5 for "
        "errors < 1%, 0 for latency.p95 < 1s; never without: errors < 1%",
        "Error budget: of the requests of 28d (as many as at the baseline's rate), 0.1\u00a0% may "
        "fail; over the whole run but its warmup: budget < 5%",
        "Group reading: GET /a, GET /b",
        "Signal queue (count, all through, max of each phase): sum( queue)",
        "Signal lost (ratio, at the end of each phase): increase(lost_total[$range])",
    ]


def test_equal_weights_and_own_traffic_are_said() -> None:
    lines = adding_up(_experiment(score={}, budget={"slo": "99%", "traffic": 2e6}))
    assert lines == [
        "Score: pass from 90 % of the weights on, warn from 75 %; each weighs 1",
        "Error budget: of the requests of 28d (2,000,000), 1\u00a0% may fail",
    ]


def test_plan_shows_them_and_no_budget_in_a_phase(capsys: pytest.CaptureFixture[str]) -> None:
    """The share of a budget is one of the whole run: it is named once, and not phase by phase."""
    more: dict[str, Any] = {"budget": {"slo": "99.9%"}, "score": {}}
    print_plan(make_plan(_experiment(objectives=["errors < 1%", "budget < 5%"], **more)))
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("budget < 5%") == 1
    assert "over the whole run but its warmup: budget < 5%" in shown
    assert "Score: pass from 90 % of the weights on" in shown
