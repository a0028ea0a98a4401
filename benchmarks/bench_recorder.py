"""The recorder: how exact it is, what it costs, and what a day of it takes in memory and on disk.

    python benchmarks/bench_recorder.py [--hours 24] [--rate 200] [--requests 200000] [--json FILE]
                                        [--only error cost day]

error   Values of several distributions go through the recorder, the file and its reader; quantiles
        are compared with the exact ones of the same values (nearest rank).
cost    Locust's ``request`` event with nobody listening, with Locust's own statistics, and with
        ours, in nanoseconds; and ours as a part of what a whole request costs either client.
day     The shop's mix, fed second by second as fast as it goes: a worker (recorder and writer)
        and a supervisor (reader and live window), each a process of its own, in step. Then the
        whole record is read back, as at the end of a run. Memory is the resident set.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"  # nothing is sent from this process

import loopback
import numpy as np
import psutil

from runner.analysis.live import LiveLoad
from runner.load.recorder import Recorder
from runner.load.seconds import SECONDS_FILE, SecondsReader, SecondsWriter
from runner.model.histogram import merged, quantile_us
from runner.readback import read_load_record

MIB = 1 << 20
RATIOS = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
GOAL_ERROR, GOAL_MIB = 0.01, 120
MIX = (
    ("GET", "/api/v1/customers", 0.3, 0.020),
    ("GET", "/api/v1/products", 0.4, 0.015),
    ("POST", "/api/v1/orders", 0.2, 0.045),
    ("POST", "/api/v1/payments", 0.1, 0.080),
)
"""Method, name, share, and median latency in seconds."""

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
        recorder.record(at * 10 // len(values), "GET", "/", int(value + 0.5))
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
    from runner.load.plugin import Recording

    folder = Path(tempfile.mkdtemp())
    recording = Recording(folder, lambda: 1, lambda: None, None)  # type: ignore[arg-type]
    recording.start()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    return recording.on_request


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


def work(path: Path, hours: float, rate: float, step: Any, told: Any) -> None:
    """A worker's day; ``step`` is a pipe to the supervisor's, to go in step."""
    rng = np.random.default_rng(1)
    recorder, writer = Recorder(), SecondsWriter(path, time.time)
    writer.start(0.0)
    memory, spent_s = [rss_mib()], 0.0
    process = psutil.Process()
    for second in range(int(hours * 3600)):
        numbers = rng.poisson([rate * share for *_, share, _ in MIX])
        for (method, name, _, median_s), number in zip(MIX, numbers, strict=True):
            values = (1e6 * median_s * rng.lognormal(0, 0.4, number)).astype(int).tolist()
            failed = rng.random(number) < 0.005
            began = time.process_time()
            for value, bad in zip(values, failed.tolist(), strict=True):
                if bad:
                    recorder.record(
                        second, method, name, value, outcome="http_5xx", text="HTTP 503"
                    )
                else:
                    recorder.record(second, method, name, value)
            spent_s += time.process_time() - began
        began = time.process_time()
        writer.rows(recorder.drain(), second + 1, int(rate))
        writer.generator(second, 0.1234, 0.000123, process.memory_info().rss)
        spent_s += time.process_time() - began
        step.send(second)
        step.recv()
        if second % 3600 == 3599:
            memory.append(rss_mib())
    writer.end(complete=True, interrupted=0)
    step.send(None)
    told.send((memory, spent_s))


def supervise(path: Path, step: Any, told: Any) -> None:
    """A supervisor's day, with everything that it keeps while a load runs."""
    reader, live = SecondsReader(path), LiveLoad()
    memory, spent_s = [rss_mib()], 0.0
    while (second := step.recv()) is not None:
        began = time.process_time()
        progress = reader.progress()
        live.add(progress.rows, progress.users)
        spent_s += time.process_time() - began
        step.send(0)
        if second % 3600 == 3599:
            memory.append(rss_mib())
    told.send((memory, spent_s, live.requests))


def read_back(folder: Path, told: Any) -> None:
    """The end of a run: all of the record at once."""
    before_mib, began = rss_mib(), time.process_time()
    record = read_load_record(folder)
    took_s = time.process_time() - began
    told.send((before_mib, rss_mib(), took_s, sum(row.count for row in record.rows)))


def rss_mib() -> float:
    return float(psutil.Process().memory_info().rss / MIB)


def day(hours: float, rate: float) -> dict[str, Any]:
    print(f"\n{hours:g} h at {rate:g} requests/s, fed as fast as it goes")
    spawn = multiprocessing.get_context("spawn")
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, SECONDS_FILE)
        ours, theirs = spawn.Pipe()
        worked, by_worker = spawn.Pipe(duplex=False)
        supervised, by_supervisor = spawn.Pipe(duplex=False)
        worker = spawn.Process(target=work, args=(path, hours, rate, ours, by_worker))
        worker.start()
        while not path.exists():
            time.sleep(0.01)
        supervisor = spawn.Process(target=supervise, args=(path, theirs, by_supervisor))
        supervisor.start()
        worker_mib, worker_s = worked.recv()
        supervisor_mib, supervisor_s, requests = supervised.recv()
        worker.join()
        supervisor.join()
        told, by_reader = spawn.Pipe(duplex=False)
        reader = spawn.Process(target=read_back, args=(Path(name), by_reader))
        reader.start()
        before_mib, after_mib, back_s, again = told.recv()
        reader.join()
        size_mib = path.stat().st_size / MIB
        packed_mib = packed_bytes(path) / MIB
    if again != requests:
        raise SystemExit(f"{requests} requests were seen live, {again} when read back")
    print(
        f"  requests                      {requests:12,d}   in {time.monotonic() - began_s:.0f} s"
    )
    print(f"  worker: memory at 0, 1 h, end {spelled(worker_mib)} MiB")
    print(f"  supervisor: the same          {spelled(supervisor_mib)} MiB")
    grown = f"from {before_mib:.0f} to {after_mib:.0f} MiB, {back_s:.1f} s"
    print(f"  read back at the end          {grown}")
    met = loopback.goal(size_mib < GOAL_MIB)
    print(f"  {SECONDS_FILE}                 {size_mib:10.1f} MiB   goal {GOAL_MIB}: {met}")
    print(f"  the same, gzip -6             {packed_mib:10.1f} MiB")
    share = 1e6 * worker_s / requests, 1e6 * supervisor_s / requests
    print(f"  CPU per request: worker {share[0]:.2f} us, supervisor {share[1]:.2f} us")
    return {
        "requests": requests,
        "worker_mib": worker_mib,
        "supervisor_mib": supervisor_mib,
        "read_back_mib": [before_mib, after_mib],
        "read_back_s": back_s,
        "file_mib": size_mib,
        "packed_mib": packed_mib,
        "worker_us": share[0],
        "supervisor_us": share[1],
    }


def packed_bytes(path: Path) -> int:
    with path.open("rb") as file, tempfile.TemporaryFile() as packed:
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6) as out:
            while piece := file.read(MIB):
                out.write(piece)
        return packed.tell()


def spelled(memory: list[float]) -> str:
    return " ".join(f"{mib:7.1f}" for mib in (memory[0], *memory[1:2], memory[-1]))


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
        figures["day"] = day(args.hours, args.rate)
    print(f"\n{loopback.machine()}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
