"""The recorder: how exact it is, what it costs, and what a day of it takes in memory and on disk.

    python3 dev.py bench recorder [--hours 24] [--rate 200] [--requests 200000] [--json FILE]
                                        [--only error cost day]

error   Values of several distributions go through the recorder, the file and its reader; quantiles
        are compared with the exact ones of the same values (nearest rank).
cost    Locust's ``request`` event with nobody listening, with Locust's own statistics, and with
        ours, in nanoseconds; and ours as a part of what a whole request costs either client.
day     A synthetic soak of that length: memory of worker, master and supervisor, and the folder of
        the run (``longday.py``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"  # nothing is sent from this process

import longday
import loopback
import numpy as np

from runner.load.recorder import Recorder
from runner.load.seconds import SECONDS_FILE, SecondsReader, SecondsWriter
from runner.model.histogram import merged, quantile_us

RATIOS = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
GOAL_ERROR = 0.01
Random = np.random.Generator
DISTRIBUTIONS: dict[str, Callable[[Random, int], Any]] = {
    "uniform 10 us - 1 ms": lambda rng, n: rng.uniform(10, 1_000, n),
    "exponential, 5 ms": lambda rng, n: rng.exponential(5_000, n) + 10,
    "lognormal, 20 ms, s 0.5": lambda rng, n: rng.lognormal(np.log(20_000), 0.5, n),
    "lognormal, 20 ms, s 2": lambda rng, n: rng.lognormal(np.log(20_000), 2, n),
    "Pareto, 1 ms, a 1.1": lambda rng, n: np.minimum(1_000 * (rng.pareto(1.1, n) + 1), 6e8),
    "two humps, 1 ms and 1 s": lambda rng, n: np.where(
        rng.random(n) < 0.97, rng.normal(1_000, 50, n), rng.normal(1e6, 5e4, n)
    ),
    "log-uniform 10 us - 10 min": lambda rng, n: np.exp(rng.uniform(np.log(10), np.log(6e8), n)),
}
"""Microseconds, from 10 us to 10 min."""


def errors(number: int, seed: int) -> dict[str, Any]:
    """Relative errors of quantiles, per distribution."""
    print(f"\nerror of quantiles against exact ones, {number} values each, in percent")
    print(
        f"{'':28}" + "".join(f"{'p' + format(100 * r, 'g'):>8}" for r in RATIOS) + "   any of 999"
    )
    found: dict[str, Any] = {}
    worst = 0.0
    for name, draw in DISTRIBUTIONS.items():
        values = np.maximum(draw(np.random.default_rng(seed), number), 10.0)
        counts = through_the_file(values)
        ordered = np.sort(values)

        def error(ratio: float, counts: Any = counts, ordered: Any = ordered) -> float:
            exact = float(ordered[max(0, int(np.ceil(ratio * len(ordered) - 1e-9)) - 1)])
            return abs((quantile_us(counts, ratio) or 0.0) - exact) / exact

        row = [error(ratio) for ratio in RATIOS]
        most = max(error(step / 1000) for step in range(1, 1000))
        worst = max(worst, most, *row)
        print(f"{name:28}" + "".join(f"{100 * e:8.3f}" for e in row) + f"{100 * most:12.3f}")
        found[name] = {"of": dict(zip(map(str, RATIOS), row, strict=True)), "worst": most}
    print(f"worst: {100 * worst:.3f} %   goal 1 %: {loopback.goal(worst <= GOAL_ERROR)}")
    return {"worst": worst, **found}


def through_the_file(values: Any) -> dict[int, int]:
    """Microseconds as Locust gives them, recorded, written, read, and added up."""
    recorder = Recorder()
    for at, value in enumerate(values.tolist()):
        recorder.record(at * 10 // len(values), "GET", "/", value)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, SECONDS_FILE)
        writer = SecondsWriter(path, time.time)
        writer.start(0.0)
        writer.rows(recorder.drain(), 10, 1)
        writer.end(complete=True, interrupted=0)
        return merged(row.latency_us for row in SecondsReader(path).progress().rows)


def costs(seconds: float) -> dict[str, Any]:
    """Nanoseconds per event, and the part of a whole request."""
    from locust.env import Environment

    from runner.load.locust_stats import unhook_stats

    environment = Environment()
    environment.create_local_runner()  # type: ignore[no-untyped-call]
    found = {"locust": per_event_ns(environment)}
    unhook_stats(environment)
    found["nobody"] = per_event_ns(environment)
    environment.events.request.add_listener(our_listener())
    found["ours"] = per_event_ns(environment)
    recorder = Recorder()
    record, number = recorder.record, 200_000
    began = time.process_time()
    for at in range(number):
        record(7, "GET", "/api/v1/products", 1000 + 13 * (at % 977))
    found["recorder alone"] = 1e9 * (time.process_time() - began) / number
    print("\ncost of a request event, in nanoseconds of CPU")
    for name, ns in found.items():
        print(f"  {name:<16} {ns:8.0f}")
    own_ns = found["ours"] - found["nobody"]
    theirs_ns = found["locust"] - found["nobody"]
    print(f"  recording adds {own_ns:.0f}, Locust's own statistics would add {theirs_ns:.0f}")
    figures: dict[str, Any] = {"ns": found, "recording_ns": own_ns}
    with tempfile.TemporaryDirectory() as folder, loopback.server() as target:
        loopback.stay_on_client_core()
        for client in ("fast", "swift"):
            users = loopback.shop_on(client, Path(folder))
            window, _ = loopback.our_load(users, target, 50, seconds)
            part = own_ns / (1000 * window.cpu_us)
            print(
                f"  of a whole request of {client!r} ({window.cpu_us:.1f} us): {100 * part:.1f} %"
            )
            figures[client] = {"request_us": window.cpu_us, "part": part}
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return figures


def our_listener() -> Any:
    from runner.load.listener import Listener, LoadClock

    clock = LoadClock()
    clock.start()
    return Listener(Recorder(), clock, open_model=False).on_request


def per_event_ns(environment: Any, number: int = 100_000) -> float:
    """The best of five."""
    meta = {
        "request_type": "GET",
        "name": "/api/v1/products",
        "context": {},
        "response": None,
        "exception": None,
        "start_time": time.time(),
        "url": "http://127.0.0.1:8080/api/v1/products",
        "response_length": 57,
        "response_time": 1.0,
    }
    fire, best = environment.events.request.fire, float("inf")
    times = [1.0 + 0.013 * (at % 977) for at in range(number)]
    for _ in range(5):
        began = time.process_time()
        for ms in times:
            meta["response_time"] = ms
            fire(**meta)
        best = min(best, time.process_time() - began)
    return 1e9 * best / number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--requests", type=int, default=200_000, help="values per distribution")
    parser.add_argument("--seconds", type=float, default=3.0, help="of real load, for the cost")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=["error", "cost", "day"])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    wanted = args.only or ["error", "cost", "day"]
    print(loopback.machine())
    figures: dict[str, Any] = {"machine": loopback.machine()}
    if "error" in wanted:
        figures["error"] = errors(args.requests, args.seed)
    if "cost" in wanted:
        figures["cost"] = costs(args.seconds)
    if "day" in wanted:
        figures["day"] = longday.day(args.hours, args.rate)
    print(f"\n{loopback.machine()}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
