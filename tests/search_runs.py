"""Runs of a search for the breaking point against the shipped doubles: recordings for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.conductor import conduct
from runner.model.experiment import Experiment
from runner.model.plan import make_plan
from runner.model.recording import Manifest, Recording
from runner.store import RunDir, Store
from runner.testing import EPOCH_S, FakeWorld

SEARCH = {
    "from": "50/s",
    "to": "1600/s",
    "until": ["latency.p95 < 500ms", "errors < 1%"],
    "step": "12s",
    "transient": "3s",
}


def search_experiment(*objectives: Any, locustfile: str = "shop.py", **search: Any) -> Experiment:
    """A search from 50/s to 1600/s, with changes in ``search``."""
    return Experiment.model_validate(
        {
            "name": "searching",
            "description": "At which rate does it give in?",
            "load": {"locustfile": locustfile, "search": {**SEARCH, **search}},
            "objectives": list(objectives) or ["breaking-point >= 200/s"],
        }
    )


def search_run(
    root: Path, world: FakeWorld, *objectives: Any, **search: Any
) -> tuple[RunDir, Recording]:
    """A whole run of :func:`search_experiment`, read back."""
    run = Store(root).create_run("searching", EPOCH_S)
    manifest = Manifest(
        run_id=run.run_id,
        experiment="searching",
        experiment_sha256="0" * 64,
        state="planned",
        created_at="2026-01-01T00:00:00Z",
    )
    plan = make_plan(search_experiment(*objectives, **search))
    return run, conduct(plan, "text", manifest, world.ports(), run)
