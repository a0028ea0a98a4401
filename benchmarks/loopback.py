"""Load generators at work on a fast server on the loopback. For the benchmarks.

What a generator achieves is read off the server, the same way for all of them. Generators have one
core, the server another, so that a generator's rate is that of one core. The processor time is that
of the generator with all its children; it can be trusted also where others use the machine, which
rates by the clock cannot.
"""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from fastserver import BOUND_S, SERVER_CORE, Server, server

from runner.load.engine import LocustEngine
from runner.model.experiment import Experiment
from runner.model.plan import GeneratorPlan, make_plan
from runner.model.recording import TargetInfo
from runner.process import die_with_parent
from runner.store import RunDir, Store

__all__ = ["SERVER_CORE", "Server", "server"]

ROOT = Path(__file__).resolve().parents[1]
CLIENT_CORE = 0
HOST = "api.c4ang.com"
LONG_S = 300
"""How long a generator is told to go on; it is ended when it was measured."""
WARM_S = 1.0
QUIET_RATIO, QUIET_ROUNDS = 0.12, 3
STEP_S = 0.2

CLIENTS = {
    "swift": "from runner.load.swift import SwiftHttpUser as FastHttpUser",
    "fast": "from locust import FastHttpUser",
    "requests": "from locust import HttpUser as FastHttpUser",
}
NO_WAITING = """

def _on_start(self):
    if hasattr(self.client, "headers"):  # HttpUser knows no default_headers
        self.client.headers.update(self.default_headers)


Shopper.on_start = _on_start
Shopper.wait_time = lambda self: 0
"""


class Window(NamedTuple):
    """One generator, for some seconds."""

    rate: float
    """Answers per second."""
    cpu_us: float
    """Processor time of the generator per answer, in microseconds."""
    core_ratio: float
    """How busy the generator was, of one core; children on other cores count, too."""
    server_ratio: float
    """How busy the server was, of its core: near 1 the figures are the server's."""
    others_ratio: float
    """How busy everything else kept the generator's core."""


def cpu_s(pid: int) -> float:
    """Processor time of a process and its living children."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        times = [each.cpu_times() for each in family]
    except psutil.NoSuchProcess:
        return 0.0
    return float(sum(each.user + each.system for each in times))


def nothing() -> None: ...


def measure(
    target: Server,
    pid: int,
    seconds: float,
    meanwhile: Callable[[], object] = nothing,
    gate: Callable[[], object] = nothing,
) -> Window:
    """Wait until a generator is at work, and watch it for some seconds.

    Args:
        target: Which it works on.
        pid: The generator's process.
        seconds: How long to watch.
        meanwhile: Called five times a second.
        gate: Called right before and after that, to let others come as far.
    """
    began, bound_s = target.answered(), time.monotonic() + BOUND_S
    while target.answered() == began:
        if time.monotonic() > bound_s or not psutil.pid_exists(pid):
            raise SystemExit("the generator does not send anything")
        meanwhile()
        time.sleep(0.05)
    _pass(WARM_S, meanwhile)
    gate()
    first = _look(target, pid)
    _pass(seconds, meanwhile)
    last = _look(target, pid)
    gate()
    passed_s, answers, own_s, served_s, core_s = (
        after - before for before, after in zip(first, last, strict=True)
    )
    if not answers:
        raise SystemExit("the generator has stopped")
    return Window(
        rate=answers / passed_s,
        cpu_us=1e6 * own_s / answers,
        core_ratio=own_s / passed_s,
        server_ratio=served_s / passed_s,
        others_ratio=max(0.0, core_s - own_s) / passed_s,
    )


def _look(target: Server, pid: int) -> tuple[float, ...]:
    return time.monotonic(), target.answered(), cpu_s(pid), cpu_s(target.pid), _core_s()


def _core_s() -> float:
    """Processor time that processes have used on the generators' core."""
    used_s = psutil.cpu_times(percpu=True)[CLIENT_CORE]
    return float(used_s.user + used_s.nice + used_s.system)


def _pass(seconds: float, meanwhile: Callable[[], object]) -> None:
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        meanwhile()
        time.sleep(min(STEP_S, left_s))


@contextmanager
def process(argv: Sequence[str], folder: Path, **environ: str) -> Iterator[int]:
    """A generator that is a program, on this process's core; its id. It is ended afterwards."""
    log = folder / "generator.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            argv,
            cwd=folder,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=_bare_environment() | environ,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no threads here
            start_new_session=True,
        )
    try:
        yield child.pid
    except SystemExit:
        print(log.read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        family = [child.pid]
        if child.poll() is None:
            family += [each.pid for each in psutil.Process(child.pid).children(recursive=True)]
            child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(BOUND_S)
        for pid in family[1:]:
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)


def _bare_environment() -> dict[str, str]:
    names = ("LOCUST_", "SEATRIAL_", "TARGET_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return kept | {"TARGET_HOST_HEADER": HOST}


def stay_on_client_core() -> None:
    """Put this process, and what it starts from here on, on the generators' core.

    From here on SIGTERM ends it in order, too, so that nothing is left running.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.sched_setaffinity(0, {CLIENT_CORE})


def bare_locust(locustfile: Path, target: Server, users: int) -> list[str]:
    """The command line of Locust alone."""
    return [
        *(sys.executable, "-P", "-m", "locust", "-f", str(locustfile), "--headless"),
        *("-H", target.url, "-u", str(users), "-r", str(users), "-t", f"{LONG_S}s"),
        *("--only-summary", "--loglevel", "WARNING"),
    ]


@contextmanager
def our_run(
    locustfile: Path,
    target: Server,
    stages: Sequence[dict[str, Any]],
    workers: int = 0,
    **load: Any,
) -> Iterator[tuple[Any, RunDir]]:
    """A run of the load engine with plug-in and recorder; the job, and the folder of the run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        load |= {"locustfile": str(locustfile), "stages": stages, "stop_timeout": "1s"}
        text = {"name": "bench", "description": "A load.", "objectives": ["errors < 1%"]}
        experiment = Experiment.model_validate_json(json.dumps(text | {"load": load}))
        plan = make_plan(experiment, generator=GeneratorPlan(workers=workers))
        run = Store(folder / "results").create_run("bench", time.time())
        run.write_plan(plan, "")
        info = TargetInfo(
            kind="sandbox",
            name="bench",
            namespace="n",
            ingress_url=target.url,
            host=HOST,
            prometheus_url="",
        )
        engine = LocustEngine(environ=dict(os.environ))
        try:
            yield engine.start(plan, info, run.load_dir, run.log_path("locust")), run
        finally:
            engine.stop(20)


def our_load(
    locustfile: Path,
    target: Server,
    users: int,
    seconds: float,
    gate: Callable[[], object] = nothing,
) -> tuple[Window, int]:
    """What our generator achieves with some users; also the requests that failed.

    What was recorded is read while it grows, as the supervisor of a run does.
    """
    stage = {"duration": f"{LONG_S}s", "users": users, "spawn_rate": 1000}
    with our_run(locustfile, target, [stage]) as (job, _):
        failed: list[int] = []

        def look() -> None:
            rows = job.progress().rows
            failed.extend(row.count for row in rows if row.outcome != "success")
            if job.poll() is not None:
                raise SystemExit(job.tail(30))

        window = measure(target, job.pid, seconds, look, gate)
        look()
    return window, sum(failed)


def shop_on(client: str, folder: Path) -> Path:
    """The shop's users on another base class, without their waiting time."""
    source = (ROOT / "locustfiles" / "shop.py").read_text(encoding="utf-8")
    kept = [line for line in source.splitlines() if not re.match(r"from (locust|runner)\b", line)]
    path = folder / f"users_{client}.py"
    lines = [*kept[: kept.index("import os")], "import sys"]
    if client == "swift":
        lines += [f"sys.path.insert(0, {str(ROOT)!r})"]
    lines += [CLIENTS[client], "from locust import task", *kept[kept.index("import os") :]]
    path.write_text("\n".join([*lines, NO_WAITING]), encoding="utf-8")
    return path


def quiet(*trials: Sequence[Window]) -> list[int]:
    """Numbers of the rounds in which nothing else kept the generators' core busy."""
    rounds = range(len(trials[0]))
    return [at for at in rounds if all(each[at].others_ratio < QUIET_RATIO for each in trials)]


def ratios(ours: Sequence[float], theirs: Sequence[float], rounds: Sequence[int]) -> dict[str, Any]:
    """Median and range of the ratios of the pairs of some rounds."""
    of_pairs = [ours[at] / theirs[at] for at in rounds]
    return {
        "median": statistics.median(of_pairs),
        "least": min(of_pairs),
        "most": max(of_pairs),
        "pairs": len(of_pairs),
        "of": len(ours),
    }


def rate_ratios(ours: Sequence[Window], theirs: Sequence[Window]) -> dict[str, Any]:
    """Our rates by theirs, by the clock; of quiet rounds, or of all if too few were quiet."""
    rounds = quiet(ours, theirs)
    trusted = len(rounds) >= QUIET_ROUNDS
    if not trusted:
        rounds = list(range(len(ours)))
    found = ratios([each.rate for each in ours], [each.rate for each in theirs], rounds)
    return found | {"trusted": trusted}


def cpu_ratios(ours: Sequence[Window], theirs: Sequence[Window]) -> dict[str, Any]:
    """Our processor time per answer by theirs; of the same rounds."""
    rounds = quiet(ours, theirs)
    if len(rounds) < QUIET_ROUNDS:
        rounds = list(range(len(ours)))
    return ratios([each.cpu_us for each in ours], [each.cpu_us for each in theirs], rounds)


def spelled(ratio: dict[str, Any]) -> str:
    of = f"{ratio['pairs']} of {ratio['of']} pairs"
    return f"{ratio['median']:.3f} ({ratio['least']:.3f} to {ratio['most']:.3f}, {of})"


def machine() -> str:
    """What the figures were measured on, and how busy it was with other things."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, load {load}; {python}"


def show(name: str, window: Window) -> None:
    busy = (window.core_ratio, window.server_ratio, window.others_ratio)
    shares = "   ".join(
        f"{who} {share:4.0%}" for who, share in zip(("own", "server", "others"), busy, strict=True)
    )
    print(
        f"{name:>18} {window.rate:8.0f}/s {window.cpu_us:7.1f} us of CPU each   {shares}",
        flush=True,
    )


class Patience:
    """Waits for a quiet machine, and repeats what was disturbed, for so many seconds in all."""

    def __init__(self, seconds: float) -> None:
        self._left_s = seconds

    def calmly(self, trial: Callable[[], Window]) -> Window:
        """A trial that was not disturbed; or the last one, when the patience is over."""
        while True:
            self.wait()
            began_s = time.monotonic()
            window = trial()
            if window.others_ratio < QUIET_RATIO:
                return window
            self._left_s -= time.monotonic() - began_s
            if self._left_s <= 0:
                return window
            show("(disturbed)", window)

    def wait(self) -> None:
        """Wait until the generators' core is free."""
        while self._left_s > 0:
            began_s = time.monotonic()
            if others_now() < QUIET_RATIO:
                return
            self._left_s -= time.monotonic() - began_s


def others_now() -> float:
    """How busy the generators' core is now; takes a moment in which nothing of ours may run."""
    before_s, began_s = _core_s(), time.monotonic()
    time.sleep(0.5)
    return (_core_s() - before_s) / (time.monotonic() - began_s)


def goal(met: bool) -> str:
    return "met" if met else "MISSED"
