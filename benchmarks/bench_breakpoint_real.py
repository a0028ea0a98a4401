"""How often the search for the breaking point is right about a real server of known capacity.

    python benchmarks/bench_breakpoint_real.py [--trials 1 2 …] [--step 12] [--keep FOLDER]

The whole way: the conductor, Locust with our open model, the record on disk, the evaluation. The
server (tests/slot_server.py) has slots that are busy for random times, so that its capacity is
slots / mean service time whatever the processor does. Where the latency quantile crosses its bound
is known in closed form for even arrivals and exponential service (tests/queue_model.py). Right is:

    1 to 5   the interval holds that rate (5: no bound on latency; it holds the capacity)
    6        slots without end: "no breaking point up to ..."

Each takes three to eight minutes of real time and a small part of a core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from queue_model import Server, true_rate
from slot_server import USERS, slot_server

from runner.analysis.evaluate import evaluate
from runner.conductor import conduct
from runner.load.engine import LocustEngine
from runner.model.evaluation import Evaluation
from runner.model.experiment import Experiment
from runner.model.plan import make_plan
from runner.model.recording import Manifest, TargetInfo
from runner.process import SystemClock
from runner.store import Store
from runner.testing import FakeTarget, FakeWorld


@dataclass(frozen=True, slots=True)
class Case:
    """A server, and what is asked about it."""

    slots: int
    service_s: float
    until: tuple[str, ...]
    quantile: float = 0.95
    bound_s: float | None = None
    start: float = 20.0
    end: float = 800.0

    @property
    def truth_per_s(self) -> float | None:
        """The rate that the interval must hold; None when there is none in range."""
        if not self.slots:
            return None
        server = Server(self.slots, self.service_s, "exponential", "even")
        if self.bound_s is None:
            return server.capacity_per_s
        return true_rate(server, self.quantile, self.bound_s)


CASES: tuple[Case, ...] = (
    Case(8, 0.040, ("latency.p95 < 240ms", "errors < 1%"), 0.95, 0.240),
    Case(4, 0.020, ("latency.p95 < 150ms", "errors < 1%"), 0.95, 0.150),
    Case(16, 0.080, ("latency.p95 < 400ms", "errors < 1%"), 0.95, 0.400),
    Case(10, 0.050, ("latency.p90 < 175ms", "errors < 1%"), 0.90, 0.175, start=10.0, end=1000.0),
    Case(8, 0.040, ("errors < 1%",)),
    Case(0, 0.040, ("latency.p95 < 240ms", "errors < 1%"), 0.95, 0.240, end=400.0),
)


class Target(FakeTarget):
    """The server as a target; there is nothing to set up."""

    url = ""

    def open(self) -> TargetInfo:
        # By name: a slotted dataclass is another class than the one that super() knows.
        return FakeTarget.open(self).model_copy(update={"ingress_url": self.url, "host": ""})


def experiment(case: Case, locustfile: Path, step_s: int) -> Experiment:
    search: dict[str, Any] = {
        "from": f"{case.start:g}/s",
        "to": f"{case.end:g}/s",
        "until": list(case.until),
        "step": f"{step_s}s",
        "transient": f"{step_s // 4}s",
    }
    return Experiment.model_validate(
        {
            "name": "known",
            "description": "A server of known capacity.",
            "load": {"locustfile": str(locustfile), "search": search},
            "objectives": [f"breaking-point >= {case.start:g}/s"],
        }
    )


def carry_out(case: Case, folder: Path, step_s: int, seed: int) -> Evaluation:
    locustfile = folder / "users.py"
    locustfile.write_text(USERS, encoding="utf-8")
    plan = make_plan(experiment(case, locustfile, step_s))
    clock = SystemClock()
    run = Store(folder).create_run("known", clock.wall_s())
    manifest = Manifest(
        run_id=run.run_id,
        experiment="known",
        experiment_sha256="0" * 64,
        state="planned",
        created_at="",
    )
    engine = LocustEngine()
    world = FakeWorld()
    with slot_server(case.slots, case.service_s, seed) as url:
        target = Target(world)
        target.url = url
        ports = replace(world.ports(), clock=clock, target=target, load=engine)
        return evaluate(conduct(plan, "", manifest, ports, run))


def is_right(case: Case, found: Evaluation) -> bool:
    search, truth = found.search, case.truth_per_s
    if search is None or not search.answered:
        return False
    if truth is None:
        return search.reason == "none"
    return search.high_per_s is not None and search.low_per_s <= truth <= search.high_per_s


def report(number: int, case: Case, found: Evaluation, seconds: float) -> bool:
    right, truth = is_right(case, found), case.truth_per_s
    knee = "none in range" if truth is None else f"{truth:.1f}/s"
    steps = 0 if found.search is None else len(found.search.steps)
    print(
        f"{number}: {'right' if right else 'WRONG'}  truth {knee}  {steps} steps in {seconds:.0f} s"
    )
    if found.search is not None:
        print(f"   {found.search.sentence}")
        limited = sum(bool(step.problem) for step in found.search.steps)
        if limited:
            print(f"   the generator was the limit in {limited} steps")
    return right


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = list(range(1, len(CASES) + 1))
    parser.add_argument("--trials", type=int, nargs="*", choices=every, default=every)
    parser.add_argument("--step", type=int, default=12, help="seconds of a step")
    parser.add_argument("--seed", type=int, default=1, help="of the server's service times")
    parser.add_argument("--keep", type=Path, help="keep the runs in this folder")
    options = parser.parse_args(arguments)
    right = 0
    for number in options.trials:
        case = CASES[number - 1]
        with tempfile.TemporaryDirectory() as temporary:
            folder = (options.keep or Path(temporary)) / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            began = time.monotonic()
            found = carry_out(case, folder, options.step, options.seed + number)
            right += report(number, case, found, time.monotonic() - began)
            sys.stdout.flush()
    print(f"{right} of {len(options.trials)} right")
    return 0 if right == len(options.trials) else 1


if __name__ == "__main__":
    sys.exit(main())
