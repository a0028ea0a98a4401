"""How punctual the open model is: lateness of sends, at rates that users really ask for.

    python3 dev.py bench schedule [--rates 500 1000] [--workers 0 2] [--seconds 20] [--runs 3]
                                  [--patience 120] [--json FILE]

Runs of the load engine at a constant rate of arrivals, with ``locustfiles/shop.py`` as it is but
for its base class, on the server of ``loopback.py``. Lateness is what the recorder has: from the
moment at which an arrival was due to the start of its task. The first two seconds are left out.
``--workers 2`` is a master and two workers; all processes of a generator share its core.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import loopback
from fastserver import BOUND_S
from loopback import Server

from runner.model.histogram import bucket_value_us, merged, quantile_us
from runner.readback import read_load_record

SKIPPED_S = 2
IN_FLIGHT = 200


class Run(NamedTuple):
    """One run; lateness in milliseconds."""

    offered: int
    started: int
    dropped: int
    waited: int
    p50_ms: float
    p99_ms: float
    most_ms: float
    cpu_ratio: float


class Case(NamedTuple):
    """What is tried."""

    client: str
    rate: int
    workers: int


def trial(case: Case, seconds: int, target: Server) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        users = loopback.shop_on(case.client, Path(folder))
        stage = {"duration": f"{seconds + SKIPPED_S}s", "rate": f"{case.rate}/s"}
        bound = {"max_in_flight": IN_FLIGHT}
        with loopback.our_run(users, target, [stage], case.workers, **bound) as (job, run):
            bound_s = time.monotonic() + seconds + BOUND_S
            while job.poll() is None and time.monotonic() < bound_s:
                job.progress()
                time.sleep(loopback.STEP_S)
            if job.poll() != 0:
                raise SystemExit(job.tail(30))
            record = read_load_record(run.load_dir)
    wanted = range(SKIPPED_S, SKIPPED_S + seconds)
    arrivals = [record.arrivals[second] for second in wanted]
    late_us = merged(second.late_us for second in arrivals)
    cpu = [record.generator[second].cpu_ratio for second in wanted if second in record.generator]
    return Run(
        offered=sum(second.offered for second in arrivals),
        started=sum(second.started for second in arrivals),
        dropped=sum(second.dropped for second in arrivals),
        waited=sum(second.waited for second in arrivals),
        p50_ms=(quantile_us(late_us, 0.5) or 0.0) / 1000,
        p99_ms=(quantile_us(late_us, 0.99) or 0.0) / 1000,
        most_ms=bucket_value_us(max(late_us)) / 1000,
        cpu_ratio=sum(cpu) / len(cpu),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, nargs="*", default=[500, 1000])
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--patience", type=float, default=120.0, help="seconds in all to wait for a quiet machine"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    print(loopback.machine())
    print(
        "client    rate workers  started/offered  dropped  waited   late: p50     p99     most ms"
        "   CPU"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    clients = ("swift", "fast")
    cases = [Case(c, r, w) for r in args.rates for c in clients for w in args.workers]
    with loopback.server() as target:
        loopback.stay_on_client_core()
        patience = loopback.Patience(args.patience)
        for number in range(args.runs):
            for case in cases[:: -1 if number % 2 else 1]:
                patience.wait()
                run = trial(case, args.seconds, target)
                found.setdefault(" ".join(map(str, case)), []).append(run._asdict())
                print(
                    f"{case.client:8} {case.rate:5} {case.workers:7} {run.started:9}"
                    f" {run.started / run.offered:6.2%} {run.dropped:8} {run.waited:7}"
                    f" {run.p50_ms:11.3f} {run.p99_ms:7.3f} {run.most_ms:8.3f}"
                    f"     {run.cpu_ratio:4.0%}",
                    flush=True,
                )
    print(loopback.machine())
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
