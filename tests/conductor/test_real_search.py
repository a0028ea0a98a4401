"""A search against a real server of known capacity: conductor, Locust, record and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from search_runs import search_run
from slot_server import USERS, slot_server

from runner.analysis.evaluate import evaluate
from runner.load.engine import LocustEngine
from runner.model.evaluation import Verdict
from runner.model.recording import TargetInfo
from runner.ports import Ports
from runner.process import SystemClock
from runner.testing import FakeTarget, FakeWorld

CAPACITY = 4 / 0.040


@dataclass
class There(FakeTarget):
    """A target at ``url``, with nothing to set up."""

    url: str = ""

    def open(self, run_id: str) -> TargetInfo:
        there = {"ingress_url": self.url, "host": ""}
        return FakeTarget.open(self, run_id).model_copy(update=there)


@dataclass
class RealLoad(FakeWorld):
    """A world in which load and time are real."""

    url: str = ""

    def ports(self) -> Ports:
        return replace(
            FakeWorld.ports(self),
            clock=SystemClock(),
            target=There(self, url=self.url),
            load=LocustEngine(),
        )


@pytest.mark.sandbox
def test_a_server_that_gives_in_is_found_out(tmp_path: Path) -> None:
    """Goal: the whole way is right about a real server. Method: 100/s is all that it can do; in
    three short steps the search must see that 160/s fails, and the objective is missed for it.
    """
    locustfile = tmp_path / "users.py"
    locustfile.write_text(USERS, encoding="utf-8")
    # A bound so high that it takes more than a busy machine to miss it, or to be late for it.
    until = ["latency.p95 < 2s", "errors < 1%"]
    short = {
        "until": until,
        "from": "80/s",
        "to": "800/s",
        "step": "7s",
        "transient": "1s",
        "max_steps": 3,
    }
    with slot_server(4, 0.040) as url:
        _, recording = search_run(
            tmp_path / "results",
            RealLoad(url=url),
            "breaking-point >= 200/s",
            locustfile=str(locustfile),
            **short,
        )
    assert [step.rate_per_s for step in recording.load.steps] == [80.0, 160.0, 160.0]
    evaluation = evaluate(recording)
    found = evaluation.search
    assert found is not None
    assert (found.high_per_s, found.reason) == (160.0, "latency")
    assert found.low_per_s <= CAPACITY
    (told,) = [e.detail for e in recording.events if e.action == "answer"]
    assert told == found.sentence
    (objective,) = [f for f in evaluation.findings if f.kind == "objective"]
    assert (objective.verdict, objective.observed) == (Verdict.FAIL, 160.0)
    failed = next(rate for rate in found.rates if rate.rate_per_s == 160.0)
    # In 6 s at 160/s, 360 requests too many come; the last wait for almost 4 s.
    assert failed.quantile_s == pytest.approx(0.6 * 7 * 0.9, rel=0.3)
