"""A run that needs an API server and no more: ``run EXPERIMENT KUBECONFIG CONTEXT NAMESPACE``.

Faults, guardian, conductor, journal and signals are the real ones; load, metrics and target are the
shipped doubles on the clock of this machine. So a trial of survival costs a fraction of a whole
run's, and what has to survive is all there. Only for tests.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from runner.chaos.toolkit import ToolkitInjector
from runner.conductor import conduct
from runner.errors import ExitCode, SeatrialError
from runner.model.plan import Plan
from runner.model.recording import Manifest, TargetInfo
from runner.ports import Ports
from runner.process import SystemClock
from runner.progress import StopRequest
from runner.source import find_experiment, load_experiment, plan_of
from runner.store import Store
from runner.testing import FakeClock, FakeLoad, FakeSignals, FakeWorld

CODES = {"interrupted": 130, "terminated": 143}


@dataclass(frozen=True)
class BareTarget:
    """An API server that is up, and nothing around it."""

    info: TargetInfo

    def open(self, run_id: str) -> TargetInfo:
        return self.info

    def preflight(self, plan: Plan) -> Sequence[str]:
        return ()

    def remarks(self) -> Sequence[str]:
        return ()

    def snapshot(self, folder: Path) -> None:
        """Nobody reads it."""

    def close(self) -> None:
        """There is nothing to give back."""


def main(argv: Sequence[str]) -> int:
    """Conduct the experiment; the exit code says how it ended."""
    _, name, kubeconfig, context, namespace = argv
    info = TargetInfo(
        kind="cluster",
        name="bare",
        namespace=namespace,
        ingress_url="http://127.0.0.1:1",
        host="",
        prometheus_url="http://127.0.0.1:1",
        kubeconfig=kubeconfig,
        context=context,
    )
    source = load_experiment(find_experiment(name, Path("experiments")))
    world = FakeWorld(clock=cast("FakeClock", SystemClock()))
    ports = Ports(
        clock=SystemClock(),
        target=BareTarget(info),
        load=FakeLoad(world),
        faults=ToolkitInjector(),
        signals=FakeSignals(world),
    )
    run = Store(Path("results")).create_run(name, ports.clock.wall_s())
    manifest = Manifest(
        run_id=run.run_id,
        experiment=name,
        experiment_sha256=source.sha256,
        state="planned",
        created_at="",
    )
    stop = _heeding_signals()
    try:
        conduct(plan_of(source), source.text, manifest, ports, run, stop=stop)
    except SeatrialError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return CODES[stop.reason] if stop.reason else ExitCode.PASS


def _heeding_signals() -> StopRequest:
    stop = StopRequest()

    def ask(number: int, _: Any) -> None:
        stop.reason = stop.reason or ("interrupted" if number == signal.SIGINT else "terminated")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    return stop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
