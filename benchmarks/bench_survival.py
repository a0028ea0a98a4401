"""Does anything stay broken when a run is killed? Real runs on sandboxes, ended at random moments.

    python benchmarks/bench_survival.py [--trials 300] [--seed 1] [--sandboxes 4] [--json FILE]

Each trial is a whole ``seatrial run`` (supervisor, Locust, Chaos Toolkit child, guardian) on a
sandbox that is up. Kind of kill and faults go round, the moment is drawn: half of the kills are
close to the beginning or the end of a fault, where most can go wrong. Ten seconds after the kill
every object of the namespace is compared byte for byte with the state before the run, and again
when the last process of the run is gone. Ends with 1 when anything was left, in any trial, or not
every trial was carried out; Ctrl-C ends the trials under way and prints what there is.

The bound is Clopper and Pearson's, one-sided, 95 %: without a residual fault 1 - 0.05^(1/n).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from survival_draw import trials_of
from survival_figures import faults_of, kill_of, row, rows_by, table
from survival_kills import KILLS
from survival_trial import FAULTS, Outcome, Sea, Trial, attempt

from runner.chaos.client import KubeCluster
from runner.chaos.compile import RECIPES
from runner.errors import TargetError
from runner.targets.sandbox import control


@dataclass
class Campaign:
    """Trials that wait, and what became of the others. Shared by the threads of all sandboxes."""

    waiting: queue.SimpleQueue[Trial]
    count: int
    outcomes: list[Outcome] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, sea: Sea) -> None:
        """Carry out trials on one sandbox until none is waiting."""
        wanted = sea.look()
        while True:
            try:
                trial = self.waiting.get_nowait()
            except queue.Empty:
                return
            outcome = attempt(trial, sea)
            with self.lock:
                self.outcomes.append(outcome)
                tell(outcome, len(self.outcomes), self.count)
            if left := sea.until_whole(wanted):
                with self.lock:
                    self.drift += [f"{sea.name}, trial {trial.number}: {each}" for each in left]
                return  # The next one would begin on something broken.

    def drain(self) -> None:
        """Let no further trial begin."""
        while not self.waiting.empty():
            self.waiting.get_nowait()


def tell(outcome: Outcome, done: int, count: int) -> None:
    trial = outcome.trial
    left = "; ".join(
        [*outcome.residual, *outcome.later, *outcome.processes, *outcome.files]
        + [f"{fault} is not on record as healed" for fault in outcome.unrecorded]
    )
    how = f"LEFT: {left[:2000]}" if left else outcome.trouble or f"clean {outcome.clean_s:.2f} s"
    there = "in place" if outcome.in_place else "nothing in place"
    what = f"{trial.kill} at {trial.moment_s:.2f} s of {trial.faults}"
    gone = f"gone after {outcome.gone_s:.1f} s, code {outcome.code}"
    print(f"{done}/{count} #{trial.number} {what}: {there}; {how}; {gone}", flush=True)


def carry_out(trials: Sequence[Trial], sandboxes: int, root: Path, keep: bool) -> Campaign:
    """All trials, on so many sandboxes at the same time."""
    campaign = Campaign(queue.SimpleQueue(), len(trials))
    for trial in trials:
        campaign.waiting.put(trial)
    home, up = root / "sandboxes", list[str]()
    try:
        seas = []
        for number in range(1, sandboxes + 1):
            name = f"survival-{number}"
            try:
                info = control.up(name, root=home, owner_pid=os.getpid(), timeout_s=120)
            except TargetError as error:  # A user has few inotify instances; an Envoy needs 24.
                if not up:
                    raise
                print(f"with {len(up)} sandboxes only: {error}", flush=True)
                break
            up.append(name)
            cluster = KubeCluster(str(info.kubeconfig), info.context)
            options = ("--sandbox-name", name, "--ignore-alerts")
            place = root / name
            seas.append(Sea(name, home, cluster, info.namespace, place, options, keep=keep))
        crews = [threading.Thread(target=campaign.work, args=(sea,), daemon=True) for sea in seas]
        for crew in crews:
            crew.start()
        try:
            for crew in crews:
                crew.join()
        except KeyboardInterrupt:
            print("no more trials; those under way are ended in order", flush=True)
            campaign.drain()
            for crew in crews:
                crew.join()
    finally:
        for name in up:
            control.down(name, root=home)
    return campaign


def report(campaign: Campaign, trials: Sequence[Trial], seed: int, took_s: float) -> bool:
    """Print the tables; returns whether all went well."""
    outcomes = sorted(campaign.outcomes, key=lambda each: (each.trial.kill, each.trial.faults))
    every = row("all", outcomes)
    print(
        f"\n{table([*rows_by(kill_of, outcomes), every])}\n\n{table(rows_by(faults_of, outcomes))}"
    )
    void = [outcome for outcome in outcomes if outcome.trouble]
    harmed = [outcome for outcome in outcomes if not outcome.trouble and not outcome.harmless]
    for outcome in void:
        print(f"proves nothing: {outcome.trial}: {outcome.trouble[:300]}")
    for each in campaign.drift:
        print(f"NOT AS AT THE BEGINNING: {each[:1000]}")
    unrecorded = [o for o in outcomes if o.unrecorded and not o.trouble]
    print(
        f"\n{every.trials} of {len(trials)} trials count, seed {seed}, {took_s / 60:.0f} min; "
        f"{every.objects:,} comparisons of objects; {len(harmed)} left something; "
        f"in {len(unrecorded)} the run's own journal does not say that all is healed"
    )
    return not (harmed or campaign.drift) and every.trials == len(trials)


def main() -> int:
    parser = argparse.ArgumentParser(description="Does anything stay broken?")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sandboxes", type=int, default=4, help="trials at the same time")
    parser.add_argument("--kills", default="", help=f"some of: {', '.join(KILLS)}")
    parser.add_argument("--faults", default="", help=f"some of: {', '.join(FAULTS)}")
    parser.add_argument("--json", type=Path, help="also write every trial to this file")
    parser.add_argument("--keep", type=Path, help="keep the folders of all runs here")
    given = parser.parse_args()
    kills = [k for k in given.kills.split(",") if k] or list(KILLS)
    faults = [f for f in given.faults.split(",") if f] or [f for f in FAULTS if possible(f)]
    trials = trials_of(given.trials, given.seed, kills, faults)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as folder:
        root = given.keep or Path(folder)
        campaign = carry_out(trials, given.sandboxes, root, keep=given.keep is not None)
    took_s = time.monotonic() - began_s
    well = report(campaign, trials, given.seed, took_s)
    if given.json:
        figures = [asdict(outcome) for outcome in campaign.outcomes]
        given.json.write_text(json.dumps({"seed": given.seed, "trials": figures}, indent=1))
    return 0 if well else 1


def possible(faults: str) -> bool:
    return all(fault["kind"] in RECIPES for fault in FAULTS[faults])


if __name__ == "__main__":
    sys.exit(main())
