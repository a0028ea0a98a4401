"""How punctual the open model is: lateness of sends, at rates that users really ask for.

    python3 dev.py bench schedule [--rates 500 1000] [--seconds 20] [--runs 3] [--patience 120]
                                  [--json FILE]

Runs of the load engine at a constant rate of arrivals, with ``locustfiles/shop.py`` as it is but
for its base class, on the server of ``loopback.py``. Lateness is what the recorder has: from the
moment at which an arrival was due to the start of its task. The first two seconds are left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import loopback
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


def trial(client: str, rate: int, seconds: int, target: Server) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        users = loopback.shop_on(client, Path(folder))
        stage = {"duration": f"{seconds + SKIPPED_S}s", "rate": f"{rate}/s"}
        with loopback.our_run(users, target, [stage], max_in_flight=IN_FLIGHT) as (job, run):
            bound_s = time.monotonic() + seconds + loopback.BOUND_S
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
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--patience", type=float, default=120.0, help="seconds in all to wait for a quiet machine"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    print(loopback.machine())
    print(
        "client    rate   offered  started  dropped  waited   late: p50     p99     most ms   CPU"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    cases = [(client, rate) for rate in args.rates for client in ("swift", "fast")]
    with loopback.server() as target:
        loopback.stay_on_client_core()
        patience = loopback.Patience(args.patience)
        for number in range(args.runs):
            for client, rate in cases[:: -1 if number % 2 else 1]:
                patience.wait()
                run = trial(client, rate, args.seconds, target)
                found.setdefault(f"{client} {rate}", []).append(run._asdict())
                print(
                    f"{client:8} {rate:5} {run.offered:9} {run.started:8} {run.dropped:8}"
                    f" {run.waited:7} {run.p50_ms:11.3f} {run.p99_ms:7.3f} {run.most_ms:8.3f}"
                    f"     {run.cpu_ratio:4.0%}",
                    flush=True,
                )
    print(loopback.machine())
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
