"""The open model in the terminal: the plan's stages and pool, and the tables of a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.analysis.words import crew_size
from runner.cli.experiments import _entry
from runner.cli.tables import print_evaluation
from runner.cli.timeline import print_plan
from runner.model.evaluation import (
    ArrivalFigures,
    Evaluation,
    LoadFigures,
    ServiceTimes,
    Verdict,
)
from runner.model.experiment import Experiment
from runner.model.plan import GeneratorPlan, Plan, make_plan
from runner.reports.openmodel import RESPONSE_TIME, SERVICE_TIME


def plan_of(generator: GeneratorPlan = GeneratorPlan(), **load: Any) -> Plan:  # noqa: B008
    stages = [
        {"duration": "1m", "rate": "150/s", "ramp": "30s"},
        {"duration": "9m", "rate": "1500000/min"},
    ]
    experiment = Experiment.model_validate(
        {
            "name": "steady",
            "description": "A rate.",
            "load": {"locustfile": "shop.py", "stages": stages, **load},
            "warmup": "1m",
            "objectives": ["latency.p95 < 500ms"],
        }
    )
    return make_plan(experiment, generator=generator)


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().out.replace("\u00a0", " ")
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_a_plan_shows_rates_and_what_becomes_of_those_beyond_the_pool(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_plan(plan_of(max_in_flight=400, max_wait="3s"))
    text = printed(capsys)
    rows = [line.split() for line in text.splitlines()]
    assert ["Stage", "From", "To", "Arrivals/s", "Ramp"] in rows
    assert ["1", "00:00", "01:00", "0", "→", "150", "until", "00:30"] in rows
    assert ["2", "01:00", "10:00", "25000", "hold"] in rows
    assert (
        "At most 400 arrivals are in flight (max_in_flight); one that finds no user free waits "
        "for at most 3s (max_wait) and is then dropped." in " ".join(text.split())
    )
    assert RESPONSE_TIME in " ".join(text.split())
    assert "Made by" not in text


def test_a_pool_without_patience(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(plan_of(max_in_flight=400, max_wait="0s"))
    assert "finds no user free is dropped (max_wait: 0s)." in " ".join(printed(capsys).split())


def test_a_plan_says_who_makes_the_load(capsys: pytest.CaptureFixture[str]) -> None:
    crew = GeneratorPlan(workers=2, remote_workers=1, bind_host="0.0.0.0", bind_port=5557)  # noqa: S104
    print_plan(plan_of(crew))
    said = "Made by 2 workers on this machine and 1 worker awaited on 0.0.0.0:5557"
    assert said in printed(capsys).splitlines()
    assert crew_size(GeneratorPlan(workers=1)) == "1 worker on this machine"
    assert crew_size(GeneratorPlan()) == ""


def figures(**changes: Any) -> LoadFigures:
    return LoadFigures(
        label="baseline",
        phase="baseline",
        start_s=60,
        end_s=600,
        requests=80_000,
        rate_per_s=148.1,
        failures=0,
        error_ratio=0.0,
        p50_s=0.026,
        p95_s=0.095,
        p99_s=1.75,
        **changes,
    )


def evaluation(phase: LoadFigures) -> Evaluation:
    return Evaluation(
        run_id="r",
        experiment="steady",
        verdict=Verdict.PASS,
        valid=True,
        headline="PASS: well.",
        sentence="PASS: well.",
        findings=(),
        phases=(phase,),
    )


def test_the_verdict_comes_with_both_times_and_what_became_of_arrivals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: response beside service time, explained; counters; all of it within 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    arrivals = ArrivalFigures(
        offered=81_000, started=80_000, waited=331, dropped=546, completed=80_001, peak_in_flight=60
    )
    service = ServiceTimes(p50_s=0.025, p95_s=0.0755, p99_s=0.12)
    print_evaluation(evaluation(figures(service=service, arrivals=arrivals)))
    text = printed(capsys)
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert "baseline 26 ms 95 ms 1.75 s 25 ms 75.5 ms 120 ms" in flat
    assert f"{RESPONSE_TIME} {SERVICE_TIME}" in flat
    assert "baseline 81,000 80,000 331 546 80,001 60" in flat
    assert text.index("Latency") < text.index("Arrivals") < text.index("PASS")


def test_the_closed_model_has_neither_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_evaluation(evaluation(figures()))
    text = printed(capsys)
    assert "Arrivals" not in text
    assert "response time" not in text


@pytest.mark.parametrize(
    ("load", "rate"),
    [
        ("stages: [{duration: 1m, rate: 2/s}, {duration: 1m, rate: 150/s}]", 150.0),
        ("stages: [{duration: 2m, users: 7}]", 0.0),
        ("search: {from: 20/s, to: 2000/s, until: [errors < 1%]}", 2000.0),
    ],
)
def test_the_list_knows_the_highest_rate(tmp_path: Path, load: str, rate: float) -> None:
    (tmp_path / "shop.py").write_text("")
    objective = "breaking-point >= 20/s" if "search" in load else "errors < 1%"
    (tmp_path / "one.yaml").write_text(
        f"name: one\ndescription: x\nload:\n  locustfile: shop.py\n  {load}\n"
        f"objectives: [{objective}]\n"
    )
    entry = _entry(tmp_path / "one.yaml")
    assert entry.get("error") is None
    assert entry["rate_max_per_s"] == rate
