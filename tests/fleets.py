"""Results folders with many runs made by hand: what lists, indices and comparisons are tried on.

The runs are only as real as a list needs them: manifest, plan and evaluation, and no load.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from runner.model.evaluation import Evaluation, Finding, LoadFigures, Verdict
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import Manifest, TargetInfo
from runner.store import RunDir, Store, write_atomically

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW_S = NOW.timestamp()


@dataclass(frozen=True, slots=True)
class Ship:
    """One run of a fleet.

    Attributes:
        days_ago: When it was begun, before :data:`NOW`.
        p95_s: What its first objective observed; None for no figure.
        folder: Name of its experiment's folder; None for the experiment's name.
    """

    days_ago: float = 0.0
    p95_s: float | None = 0.2
    verdict: Verdict = Verdict.PASS
    valid: bool = True
    experiment: str = "shop-at-sea"
    users: int = 100
    length_s: float = 120.0
    time_scale: float = 1.0
    target: str = "sandbox"
    state: str = "recorded"
    reason: str = ""
    judged: bool = True
    report: bool = False
    title: str = "latency.p95 < 300ms"
    fault: str = "pod-kill"
    errors: float = 0.001
    why: str = "all 2 objectives were met and the run was valid."
    folder: str | None = None

    @property
    def created(self) -> datetime:
        return NOW - timedelta(days=self.days_ago)

    @property
    def run_id(self) -> str:
        return f"{self.created.strftime('%Y-%m-%dT%H%M%SZ')}-{round(self.days_ago * 100):04x}"


def launch(store: Store, ship: Ship) -> RunDir:
    """Write the folder of ``ship``."""
    run = RunDir(store.root / (ship.folder or ship.experiment) / ship.run_id)
    run.load_dir.mkdir(parents=True)
    run.write_plan(plan_of_ship(ship), "name: x\n")
    run.write_manifest(manifest_of(ship))
    if ship.judged:
        run.write_evaluation(evaluation_of(ship))
    if ship.report:
        write_atomically(run.page_path, "<!doctype html><title>A report</title>")
    return run


def plan_of_ship(ship: Ship) -> Plan:
    """A ramp, a plateau and one fault; a rehearsal is shortened from full length."""
    whole_s = ship.length_s / ship.time_scale
    experiment: dict[str, Any] = {
        "name": "shop-at-sea",
        "description": "Orders keep working.",
        "load": {
            "locustfile": "shop.py",
            "stages": [
                {"duration": "10s", "users": ship.users, "spawn_rate": ship.users},
                {"duration": f"{whole_s - 10}s", "users": ship.users},
            ],
        },
        "faults": [
            {"kind": ship.fault, "service": "order-api", "at": "30s", "duration": "30s"}
            | ({"status": 503} if ship.fault == "http-abort" else {})
        ],
        "objectives": ["latency.p95 < 300ms", "errors < 1%"],
        "seed": 1,
    }
    return make_plan(Experiment.model_validate(experiment), time_scale=ship.time_scale)


def manifest_of(ship: Ship) -> Manifest:
    fields: dict[str, Any] = {
        "run_id": ship.run_id,
        "experiment": ship.experiment,
        "experiment_sha256": "0" * 64,
        "state": ship.state,
        "reason": ship.reason,
        "created_at": ship.created.isoformat(timespec="seconds"),
        "host": {"machine": "x86_64", "cpus": "2"},
        "target": TargetInfo(
            kind="sandbox" if ship.target == "sandbox" else "cluster",
            # A run may start a sandbox of its own, named by its process.
            name=f"default-run-{ship.run_id}" if ship.target == "sandbox" else ship.target,
            namespace="ecommerce",
            ingress_url="http://127.0.0.1:8080",
            host="",
            prometheus_url="http://127.0.0.1:9090",
        ),
    }
    return Manifest.model_validate(fields)


def evaluation_of(ship: Ship) -> Evaluation:
    first = Finding(
        kind="objective",
        check="objective",
        title=ship.title,
        verdict=ship.verdict,
        reason="As it was.",
        where="recovery 1",
        operator="<",
        observed=ship.p95_s,
        bound=0.3,
        unit="s",
        samples=5000.0,
    )
    second = first.model_copy(
        update={
            "title": "errors < 1%",
            "verdict": Verdict.PASS,
            "observed": ship.errors,
            "bound": 0.01,
            "unit": "ratio",
        }
    )
    return Evaluation(
        run_id=ship.run_id,
        experiment=ship.experiment,
        verdict=ship.verdict,
        valid=ship.valid,
        sentence=f"{ship.verdict.value}: {ship.why}",
        time_scale=ship.time_scale,
        findings=(first, second),
        phases=(figures_of(ship, ""),),
        endpoints=(figures_of(ship, "GET /api/v1/products"),),
    )


def figures_of(ship: Ship, endpoint: str) -> LoadFigures:
    return LoadFigures(
        label="baseline",
        phase="baseline",
        endpoint=endpoint,
        start_s=0.0,
        end_s=30.0,
        requests=3000,
        rate_per_s=ship.users / 1.0,
        failures=3,
        error_ratio=ship.errors,
        p95_s=ship.p95_s,
    )


def fleet() -> list[Ship]:
    """Runs of all kinds, over a month."""
    plain = Ship(report=True)
    usual = [
        replace(plain, days_ago=day + 0.25, p95_s=0.18 + 0.01 * ((day * 7) % 11))
        for day in range(9)
    ]
    missed = "latency.p95 < 300ms was missed in recovery 1: 412 ms, 112 ms above the bound."
    return [
        *usual,
        replace(plain, days_ago=0.1, verdict=Verdict.FAIL, p95_s=0.412, why=missed),
        replace(plain, days_ago=3.1, verdict=Verdict.WARN, p95_s=0.29),
        replace(plain, days_ago=5.1, time_scale=0.1, length_s=12.0, p95_s=0.1),
        replace(plain, days_ago=6.1, verdict=Verdict.INCONCLUSIVE, valid=False, p95_s=None),
        replace(plain, days_ago=8.1, users=50, p95_s=0.11, target="staging"),
        Ship(days_ago=1.5, state="running", judged=False, experiment="soak"),
        Ship(days_ago=2.5, state="failed", reason="the target is busy", judged=False),
    ]


def torn(store: Store) -> None:
    """Folders that are no runs, each in another way."""
    run = launch(store, Ship(days_ago=9.6, experiment="torn"))
    run.evaluation_path.write_text('{"verdict": "pa', encoding="utf-8")
    run = launch(store, Ship(days_ago=9.7, experiment="torn"))
    run.manifest_path.unlink()
    run = launch(store, Ship(days_ago=9.8, experiment="torn"))
    run.plan_path.write_text('{"schema_version": 9}', encoding="utf-8")
    (store.root / "photos" / "2025").mkdir(parents=True)
    (store.root / "photos" / "2025" / "cat.png").write_bytes(b"\x89PNG")
