"""A synthetic day of load, fed as fast as it goes: what it takes in memory, on disk and in time.

A worker hears Locust's events, fired with the shop's mix second by second, and reports to a master
as Locust's workers do; the master writes the record. After that, a supervisor conducts a soak over
that record, as a run does it, on the project's own doubles of a target and of a clock that goes a
second at a time: it reads the record as it "grows", watches a guard, and at the end reads all of it
back, judges it, and writes the reports. Each is a process of its own; memory is the resident set.
"""

from __future__ import annotations

import gzip
import json
import math
import multiprocessing
import re
import resource
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import msgpack
import numpy as np
import psutil

from runner.catalog import evaluate_run, report_run
from runner.conductor import conduct
from runner.load.gathering import Gathering
from runner.load.recorder import Recorder
from runner.load.reporting import Report, from_message, to_message
from runner.load.seconds import SECONDS_FILE, SecondsReader, SecondsWriter
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import Manifest, Signals, TargetInfo
from runner.ports import LoadJob, LoadProgress
from runner.store import RunDir, Store
from runner.testing import EPOCH_S, FakeClock, FakeLoad, FakeSignals, FakeWorld

SPAWN = multiprocessing.get_context("spawn")
MIB = 1 << 20
GOAL_MIB = 120
MOST_POINTS = 600
MIX = (
    ("GET", "/api/v1/customers", 0.3, 0.020),
    ("GET", "/api/v1/products", 0.4, 0.015),
    ("POST", "/api/v1/orders", 0.2, 0.045),
    ("POST", "/api/v1/payments", 0.1, 0.080),
)
"""Method, name, share, and median latency in seconds."""
FAILING = 0.0005
SECOND = re.compile(rb'"second":(\d+)')


def work(to_master: Any, hours: float, rate: float, told: Any) -> None:
    """A worker's day: Locust's events, as a client fires them, and a report each second."""
    from locust.env import Environment

    from runner.load.listener import Listener, LoadClock
    from runner.load.locust_stats import FedStatistics
    from runner.load.locust_upkeep import prune_stats

    environment: Any = Environment()
    environment.parsed_options = None
    environment.create_local_runner()
    rng, recorder, clock = np.random.default_rng(1), Recorder(), LoadClock()
    clock.start()
    Listener(recorder, clock, open_model=False).listen(environment.events)
    statistics, fire = FedStatistics(environment), environment.events.request.fire
    began_wall_s = clock.started_wall_s or 0.0
    memory, spent_s, requests, process = [rss_mib()], 0.0, 0, psutil.Process()
    for second in range(int(hours * 3600)):
        numbers = rng.poisson([rate * share for *_, share, _ in MIX])
        events = []
        for (method, name, _, median_s), number in zip(MIX, numbers, strict=True):
            values = (1000 * median_s * rng.lognormal(0, 0.4, number)).tolist()
            failed = (rng.random(number) < FAILING).tolist()
            kind = {"request_type": method, "name": name, "response": None, "context": {}}
            kind |= {"start_time": began_wall_s + second + 0.5, "url": name, "response_length": 57}
            events += [
                kind | {"response_time": ms, "exception": "HTTP 503" if bad else None}
                for ms, bad in zip(values, failed, strict=True)
            ]
        requests += len(events)
        began = time.process_time()
        for event in events:
            fire(**event)
        batch = recorder.drain(second + 1)
        statistics.feed(batch, began_wall_s)
        if second % 10 == 9:
            prune_stats(environment.stats, began_wall_s + second + 1)
        rss_bytes = process.memory_info().rss
        report = Report(second + 1, int(rate), batch, 0, 0.1234, 0.000123, rss_bytes)
        message = msgpack.dumps(to_message(report))
        spent_s += time.process_time() - began
        to_master.send_bytes(message)
        if second % 3600 == 3599:
            memory.append(rss_mib())
    to_master.send_bytes(b"")
    counted = environment.stats.num_requests
    told.send((memory, spent_s, requests, counted))


def lead(from_worker: Any, path: Path, told: Any) -> None:
    """A master's day: the reports of a worker, written down."""
    writer = SecondsWriter(path, time.time)
    gathering = Gathering(writer)
    gathering.open(0.0)
    gathering.join("worker", 0.0)
    memory, second, spent_s = [rss_mib()], 0, 0.0
    while message := from_worker.recv_bytes():
        began = time.process_time()
        gathering.add("worker", from_message(msgpack.loads(message, strict_map_key=False)), second)
        spent_s += time.process_time() - began
        second += 1
        if second % 3600 == 0:
            memory.append(rss_mib())
    gathering.done("worker", complete=True, interrupted=0)
    gathering.close()
    writer.end(complete=True, interrupted=0)
    told.send((memory, spent_s))


class Paced(FakeClock):
    """A clock whose shortest sleep is a second: the supervisor looks that often."""

    def sleep(self, seconds: float) -> None:
        self.now_s += max(1.0, seconds)


class Replay:
    """A :class:`runner.ports.LoadJob` whose record is another one, line by line as time goes by."""

    def __init__(self, world: FakeWorld, plan: Plan, source: BinaryIO, workdir: Path) -> None:
        self._clock, self._began_s = world.clock, world.clock.now_s
        self._plan, self._source = plan, source
        self._path = workdir / SECONDS_FILE
        self._reader = SecondsReader(self._path)
        start = {"kind": "start", "wall_s": world.clock.wall_s()}
        self._path.write_text(json.dumps(start) + "\n", encoding="utf-8")
        source.readline()  # the other start
        self._next = source.readline()
        self.memory = [rss_mib()]

    @property
    def _elapsed_s(self) -> float:
        return self._clock.now_s - self._began_s

    def poll(self) -> int | None:
        return None if self._next or self._elapsed_s < self._plan.duration_s else 0

    def progress(self) -> LoadProgress:
        lines = []
        while self._next and second_of(self._next) + 1 <= self._elapsed_s:
            lines.append(self._next)
            self._next = self._source.readline()
        if lines:
            with self._path.open("ab") as out:
                out.writelines(lines)
        if self._elapsed_s >= 3600 * len(self.memory):
            self.memory.append(rss_mib())
        return self._reader.progress()

    def stop(self, grace_s: float) -> None: ...

    def tail(self, lines: int) -> str:
        return ""

    def offer(self, rate_per_s: float, duration_s: float) -> None: ...

    def finish(self) -> None: ...


def second_of(line: bytes) -> int:
    """The second that a line is of; -1 for a line of none."""
    found = SECOND.search(line, 0, 60)
    return int(found[1]) if found else -1


@dataclass(slots=True)
class ReplayLoad(FakeLoad):
    """A load engine that replays a record."""

    source: BinaryIO | None = None
    job: Replay | None = None

    def start(self, plan: Plan, target: TargetInfo, workdir: Path, log: Path) -> LoadJob:
        log.write_text("a replay\n", encoding="utf-8")
        assert self.source is not None
        self.job = Replay(self.world, plan, self.source, workdir)
        return self.job


class Charted(FakeSignals):
    """Signals with as many points as Prometheus is asked for."""

    def collect(self, *args: Any, **kwargs: Any) -> Signals:
        signals = super().collect(*args, **kwargs)
        series = []
        for one in signals.series:
            step = max(1, math.ceil(len(one.points) / MOST_POINTS))
            series.append(
                one.model_copy(update={"points": one.points[::step], "step_s": float(step)})
            )
        return signals.model_copy(update={"series": tuple(series)})


def soak(hours: float, rate: float) -> str:
    load = {"locustfile": "shop.py", "stages": [{"duration": f"{hours}h", "users": int(rate)}]}
    objectives = ["latency.p95 < 500ms", "latency.p99 < 1s", "errors < 0.1%", "traffic > 180/s"]
    guards = [{"abort_when": "errors > 60%", "for": "1m"}]
    text = {"name": "day", "description": "A day.", "load": load, "warmup": "10m"}
    return json.dumps(text | {"objectives": objectives, "guards": guards})


def supervise(source: Path, folder: Path, hours: float, rate: float, told: Any) -> None:
    """A supervisor's day, and its evening."""
    text = soak(hours, rate)
    plan = make_plan(Experiment.model_validate_json(text))
    world = FakeWorld(clock=Paced())
    run = Store(folder).create_run("day", EPOCH_S)
    steps, began = [], time.process_time()

    def step(name: str) -> None:
        nonlocal began
        steps.append((name, rss_mib(), time.process_time() - began))
        began = time.process_time()

    with source.open("rb") as file:
        load = ReplayLoad(world, source=file)
        ports = replace(world.ports(), load=load, signals=Charted(world))
        conduct(plan, text, manifest_of(run, plan), ports, run)
    step("load, and reading it back")
    evaluation = evaluate_run(run)
    step("judging")
    report_run(run)
    step("reports")
    assert load.job is not None
    most_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told.send((load.job.memory, steps, most_mib, str(evaluation.verdict), folder_mib(run.path)))


def manifest_of(run: RunDir, plan: Plan) -> Manifest:
    return Manifest(
        run_id=run.run_id,
        experiment=plan.experiment.name,
        experiment_sha256="",
        state="planned",
        created_at="2023-11-14T22:13:20Z",
    )


def folder_mib(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MIB


def rss_mib() -> float:
    return float(psutil.Process().memory_info().rss / MIB)


def packed_mib(path: Path) -> float:
    with path.open("rb") as file, tempfile.TemporaryFile() as packed:
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6) as out:
            while piece := file.read(MIB):
                out.write(piece)
        return packed.tell() / MIB


def begin(target: Any, *args: Any) -> tuple[Any, Any]:
    """Start a process; with it, where it will say what it has found."""
    told, teller = SPAWN.Pipe(duplex=False)
    child = SPAWN.Process(target=target, args=(*args, teller))
    child.start()
    teller.close()
    return child, told


def end(process: tuple[Any, Any]) -> Any:
    """What a process has found."""
    child, told = process
    try:
        return told.recv()
    finally:
        child.join()


def day(hours: float, rate: float) -> dict[str, Any]:
    """Measure a day, and print it."""
    print(f"\n{hours:g} h at {rate:g} requests/s, fed as fast as it goes", flush=True)
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, SECONDS_FILE)
        from_worker, to_master = SPAWN.Pipe(duplex=False)
        worker = begin(work, to_master, hours, rate)
        master = begin(lead, from_worker, source)
        to_master.close()
        worker_mib, worker_s, requests, counted = end(worker)
        master_mib, master_s = end(master)
        size_mib, small_mib = source.stat().st_size / MIB, packed_mib(source)
        supervisor = begin(supervise, source, Path(name, "results"), hours, rate)
        supervisor_mib, steps, most_mib, verdict, whole_mib = end(supervisor)
    if counted != requests:
        raise SystemExit(f"Locust's statistics have {counted} of {requests} requests")
    met = "met" if whole_mib < GOAL_MIB else "MISSED"
    print(f"  requests {requests:,d}, verdict {verdict}")
    print(f"  {'memory in MiB':40} {'start':>8} {'1 h':>8} {'end':>8}")
    print(f"  {'worker':40} {spelled(worker_mib)}")
    print(f"  {'master':40} {spelled(master_mib)}")
    print(f"  {'supervisor, while the load runs':40} {spelled(supervisor_mib)}")
    for what, mib, seconds in steps:
        print(f"  {'supervisor, after: ' + what:40} {'':17} {mib:8.1f}   {seconds:6.1f} s of CPU")
    print(f"  {'supervisor, most':40} {'':17} {most_mib:8.1f}")
    print(f"  run folder {whole_mib:.1f} MiB   goal {GOAL_MIB}: {met}")
    print(f"  {SECONDS_FILE} {size_mib:.1f} MiB; by gzip -6 it would be {small_mib:.1f}")
    share = f"worker {1e6 * worker_s / requests:.2f}, master {1e6 * master_s / requests:.2f}"
    print(f"  CPU per request in us: {share}")
    return {
        "requests": requests,
        "worker_mib": worker_mib,
        "master_mib": master_mib,
        "supervisor_mib": supervisor_mib,
        "supervisor_steps": steps,
        "supervisor_most_mib": most_mib,
        "file_mib": size_mib,
        "gzip_mib": small_mib,
        "folder_mib": whole_mib,
        "worker_us": 1e6 * worker_s / requests,
        "master_us": 1e6 * master_s / requests,
    }


def spelled(memory: list[float]) -> str:
    return " ".join(
        f"{mib:8.1f}" for mib in (memory[0], memory[min(1, len(memory) - 1)], memory[-1])
    )
