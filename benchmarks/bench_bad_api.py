"""What a run does when the API server goes bad just when its faults must be undone.

    python benchmarks/bench_bad_api.py [--trials 1] [--seconds 4] [--only refuse,409] [--json FILE]

Real runs on a sandbox, by way of a proxy (tests/e2e/bad_api.py) that refuses, hangs, is slow or
answers 409, 429 or 500. First for some seconds, from the moment of a SIGKILL or SIGTERM of the
runner, or from right before the end of a fault: then all must be healed by itself, compared byte
for byte. Then for good, with SIGTERM: the run must end with 5 and say which object is left and the
command that finishes the work, and that command must do so once the server is good again. Ends with
1 when anything was otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

from bad_api import BAD, CONTEXT, BadApi, Mode, bad_api
from commands import SHOP, Command, Place, seatrial
from survival_figures import Row, row, table
from survival_kills import EVERY, NOBODY, processes_of
from survival_state import differences
from survival_trial import FAULTS, LASTS_S, START_S, Outcome, Sea, Trial, sail

from runner.chaos.client import KubeCluster
from runner.targets.sandbox import control

TARGET, FAULT = "proxied", "client-abort"
JUDGED_AFTER_S = 25.0
"""One request may hang for its whole bound, and is repeated."""
MOMENTS_S = {"runner": START_S + 1.5, "term": START_S + 1.5, NOBODY: START_S + LASTS_S - 0.1}
FOREVER: tuple[Mode, ...] = ("refuse", "hang", "500", "409")
END_BOUND_S = 240.0


@dataclass(frozen=True)
class Ended:
    """A run whose API server stayed bad.

    Attributes:
        mode: How.
        code: Exit code; 5 is right.
        says_command: Whether it says the command that finishes the work.
        says_object: Whether it names the object that is left.
        healed_code: Exit code of that command, once the server is good again.
        left: Differences after that.
        processes: Processes that stayed.
        took_s: From SIGTERM to the end.
        text: What it said.
    """

    mode: str
    code: int
    says_command: bool
    says_object: bool
    healed_code: int
    left: list[str]
    processes: list[str]
    took_s: float
    text: str

    @property
    def well(self) -> bool:
        said = self.says_command and self.says_object
        return said and (self.code, self.healed_code) == (5, 0) and not (self.left + self.processes)


def write_config(place: Place, info: control.SandboxInfo, api: BadApi) -> None:
    """A ``seatrial.yaml`` with the sandbox as a cluster behind the proxy."""
    target = {
        "context": CONTEXT,
        "kubeconfig": str(api.kubeconfig(place.root)),
        "namespace": info.namespace,
        "ingress": info.ingress_url,
        "host": info.host,
        "prometheus": info.prometheus_url,
    }
    text = json.dumps({"targets": {TARGET: target}}, indent=1)
    (place.work / "seatrial.yaml").write_text(text, encoding="utf-8")


@contextmanager
def sea_of(folder: Path) -> Iterator[tuple[Sea, BadApi]]:
    """A sandbox, seen through the proxy by runs and directly by us."""
    root = folder / "sandboxes"
    info = control.up("bad-api", root=root, owner_pid=os.getpid(), timeout_s=120)
    try:
        with bad_api(info.kubeconfig, info.context) as api:
            sea = Sea(
                *("bad-api", root, KubeCluster(str(info.kubeconfig), info.context)),
                *(info.namespace, folder, ("--target", TARGET, "--ignore-alerts")),
                prepare=lambda place: write_config(place, info, api),
                judged_after_s=JUDGED_AFTER_S,
            )
            yield sea, api
    finally:
        control.down("bad-api", root=root)


def for_a_while(
    sea: Sea, api: BadApi, modes: Sequence[Mode], trials: int, seconds: float
) -> dict[str, list[Outcome]]:
    """Each way to be bad with each way to end, for some seconds."""
    found: dict[str, list[Outcome]] = {}
    cases = [(mode, kill) for _ in range(trials) for mode in modes for kill in MOMENTS_S]
    for number, (mode, kill) in enumerate(cases, start=1):

        def go_bad(mode: Mode = mode) -> None:
            api.go_bad(mode, seconds)

        outcome = sail(Trial(number, kill, FAULT, MOMENTS_S[kill]), replace(sea, at_strike=go_bad))
        if not (api.spoilt or outcome.trouble):
            outcome.trouble = "nobody asked the API server while it was bad"
        left = [*outcome.residual, *outcome.later, *outcome.processes, *outcome.files]
        left += [outcome.trouble] if outcome.trouble else outcome.unrecorded
        told = f"clean {outcome.clean_s:.2f} s, code {outcome.code}, {api.spoilt} spoilt"
        print(f"{mode}, {EVERY[kill].text}: {told}; {left or 'nothing left'}", flush=True)
        api.be_good()
        api.spoilt = 0
        found.setdefault(f"{mode}, {EVERY[kill].text}", []).append(outcome)
    return found


def for_good(sea: Sea, api: BadApi, mode: Mode) -> Ended:
    """The server stays bad from SIGTERM until the run has ended; then its advice is followed."""
    place = Place.make(sea.folder / f"for-good-{mode}", sea.home)
    sea.prepare(place)
    before = sea.look()
    name = place.experiment(
        "trial",
        load={"locustfile": SHOP, "stages": [{"duration": "30s", "users": 2}]},
        faults=[{**FAULTS[FAULT][0], "duration": "20s"}],
        objectives=["errors < 99%"],
    )
    with Command.start(place, "run", name, *sea.options) as command:
        command.until_effect("01-http-abort", "verified")
        api.go_bad(mode)
        began_s = time.monotonic()
        command.send(signal.SIGTERM)
        ending = command.end(bound_s=END_BOUND_S)
        took_s = time.monotonic() - began_s
    api.be_good()
    run = ending.folder.run_id
    healed = seatrial(place, "heal", run)
    until_s = time.monotonic() + JUDGED_AFTER_S
    while processes_of(place.temp) and time.monotonic() < until_s:
        time.sleep(0.25)
    return Ended(
        mode=mode,
        code=ending.code,
        says_command=f"seatrial heal {run}" in ending.err,
        says_object="virtualservice/payment-api" in ending.err,
        healed_code=healed.code,
        left=differences(before, sea.look()),
        processes=[" ".join(process.cmdline()) for process in processes_of(place.temp)],
        took_s=took_s,
        text=ending.err[-1500:] + healed.err[-500:],
    )


def report(found: dict[str, list[Outcome]], ended: Sequence[Ended]) -> bool:
    """Print both tables; returns whether all went well."""
    rows: list[Row] = [row(name, outcomes) for name, outcomes in found.items()]
    every = [outcome for outcomes in found.values() for outcome in outcomes]
    print(f"\nBad for a while\n\n{table([*rows, row('all', every)])}\n\nBad for good")
    for end in ended:
        print(
            f"{'' if end.well else 'NOT AS IT SHOULD BE: '}{end.mode}: exit code {end.code} after "
            f"{end.took_s:.0f} s; names the object: {end.says_object}, the command: "
            f"{end.says_command}, which ended with {end.healed_code}; left {end.left}"
        )
        if not end.well:
            print(end.text)
    return all(outcome.harmless for outcome in every) and all(end.well for end in ended)


def main() -> int:
    parser = argparse.ArgumentParser(description="An API server that goes bad.")
    parser.add_argument("--trials", type=int, default=1, help="of each kind")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long it is bad")
    parser.add_argument("--only", default="", help=f"some of: {', '.join(BAD)}")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    modes = [mode for mode in BAD if not given.only or mode in given.only.split(",")]
    with (
        tempfile.TemporaryDirectory(prefix="seatrial-bench-") as folder,
        sea_of(Path(folder)) as (sea, api),
    ):
        found = for_a_while(sea, api, modes, given.trials, given.seconds)
        ended = [for_good(sea, api, mode) for mode in modes if mode in FOREVER]
    well = report(found, ended)
    if given.json:
        trials = {name: [asdict(each) for each in some] for name, some in found.items()}
        figures = {"while": trials, "for_good": [asdict(end) for end in ended]}
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
