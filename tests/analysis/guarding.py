"""Guards, loads and plans for tests of guards."""

from __future__ import annotations

from collections.abc import Callable

from builders import plan_of

from runner.analysis.guards import Guards
from runner.analysis.live import LiveLoad
from runner.model.experiment import Experiment
from runner.model.guard import Guard, Reading
from runner.model.histogram import bucket_of
from runner.model.plan import Plan, make_plan
from runner.model.recording import LoadRow

QUICK = {"for": "3s", "grace": "2s"}


def guard(text: str, **more: object) -> Guard:
    return Guard.model_validate({"abort_when": text, **QUICK, **more})


def guards(*all_of_them: Guard, plan: Plan | None = None) -> Guards:
    plan = plan or plan_of("errors < 1%")
    experiment = plan.experiment.model_copy(update={"guards": all_of_them})
    return Guards.of(plan.model_copy(update={"experiment": experiment}))


def row(second: int, outcome: str, number: int, endpoint: str = "GET /") -> LoadRow:
    return LoadRow(second, endpoint, outcome, {bucket_of(50_000): number})


def nobody(promql: str) -> Reading:
    raise AssertionError(f"nobody should ask {promql}")


def feed(load: LiveLoad, at_s: float, *rows: LoadRow) -> None:
    """What the generator writes at once, with a line on its users."""
    load.add(rows, [(int(at_s), 9)], at_s)


def come(seconds: int, rows: Callable[[int], list[LoadRow]]) -> LiveLoad:
    """LiveLoad of so many seconds, each in a burst at its end."""
    load = LiveLoad()
    for second in range(seconds):
        feed(load, second + 1.0, *rows(second))
    return load


STAGES = [
    {"duration": "20s", "users": 10},
    {"duration": "20s", "users": 0},
    {"duration": "20s", "users": 10},
]


def paused() -> Plan:
    """20 s of load, 20 s without, 20 s of load."""
    load = {"locustfile": "shop.py", "stages": STAGES}
    asked = {"name": "x", "description": "?", "load": load, "objectives": ["errors < 1%"]}
    return make_plan(Experiment.model_validate(asked))
