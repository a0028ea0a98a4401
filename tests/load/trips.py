"""A real Locust child on its way, for tests: started as the engine starts it, waited for, read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.load.engine import LocustEngine, LocustJob
from runner.model.experiment import Experiment
from runner.model.plan import GeneratorPlan, make_plan
from runner.model.recording import TargetInfo
from runner.ports import LoadProgress
from runner.store import RunDir, Store

Stage = dict[str, object]
BOUND_S = 60.0


@dataclass
class Trip:
    """One Locust child, from its start to its end."""

    run: RunDir
    job: LocustJob
    engine: LocustEngine

    def until(self, done: Callable[[LoadProgress], object]) -> None:
        """Wait until what was recorded so far satisfies ``done``."""
        deadline = time.monotonic() + BOUND_S
        while not done(self.job.progress()):
            assert self.job.poll() is None, self.job.tail(30)
            assert time.monotonic() < deadline, self.job.tail(30)
            time.sleep(0.02)

    def wait(self) -> int:
        deadline = time.monotonic() + BOUND_S
        while (code := self.job.poll()) is None:
            assert time.monotonic() < deadline, self.job.tail(30)
            time.sleep(0.02)
        return code

    def lines(self, kind: str) -> list[dict[str, Any]]:
        text = (self.run.load_dir / "seconds.jsonl").read_text(encoding="utf-8")
        records = [json.loads(line) for line in text.splitlines()]
        return [record for record in records if record["kind"] == kind]


def set_off(
    folder: Path,
    url: str,
    source: str,
    stages: list[Stage],
    *,
    stop_timeout: str = "2s",
    environ: dict[str, str] | None = None,
    workers: int = 0,
    remote_port: int = 0,
    **more: object,
) -> Trip:
    """Start Locust; ``more`` goes into the experiment's ``load``.

    With a ``remote_port``, one worker is awaited there besides.
    """
    locustfile = folder / "users.py"
    locustfile.write_text(source, encoding="utf-8")
    load = {"locustfile": str(locustfile), "stages": stages, "stop_timeout": stop_timeout, **more}
    experiment = {"name": "trip", "description": "A trip.", "load": load}
    text = json.dumps(experiment | {"objectives": ["errors < 1%"]})
    generator = GeneratorPlan(
        workers=workers, remote_workers=int(remote_port > 0), bind_port=remote_port
    )
    plan = make_plan(Experiment.model_validate_json(text), generator=generator)
    run = Store(folder / "results").create_run("trip", time.time())
    run.write_plan(plan, "")
    target = TargetInfo(
        kind="sandbox",
        name="test",
        namespace="n",
        ingress_url=url,
        host="shop.test",
        prometheus_url="",
    )
    engine = LocustEngine(environ=dict(os.environ) | (environ or {}))
    job = engine.start(plan, target, run.load_dir, run.log_path("locust"))
    assert isinstance(job, LocustJob)
    return Trip(run, job, engine)


STEADY = """
from locust import FastHttpUser, constant, task

class Steady(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def go(self):
        self.client.get("/fine")
"""
