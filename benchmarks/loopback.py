"""A fast server on the loopback, and load generators at work on it. For the benchmarks.

The server answers everything at once, as Envoy would put it, and counts: what a generator achieves
is read off the server, the same way for all of them. Generators have one core, the server another,
so that a generator's rate is that of one core. The processor time is that of the generator with all
its children.
"""

from __future__ import annotations

import json
import mmap
import os
import platform
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from runner.load.engine import LocustEngine
from runner.model.experiment import Experiment
from runner.model.plan import make_plan
from runner.model.recording import TargetInfo
from runner.store import RunDir, Store

ROOT = Path(__file__).resolve().parents[1]
CLIENT_CORE, SERVER_CORE = 0, 1
HOST = "api.c4ang.com"
BOUND_S = 60.0
LONG_S = 300
"""How long a generator is told to go on; it is ended when it was measured."""
WARM_S = 1.0
STEP_S = 0.2

BODY = b'{"service":"product-api","pod":"product-api-5d9c7","id":7}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    b"x-envoy-upstream-service-time: 3\r\ndate: Sun, 09 Aug 2026 10:00:00 GMT\r\n"
    b"server: istio-envoy\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

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


class Server(NamedTuple):
    """The server.

    Attributes:
        counter: Shared with it; 8 bytes, the number of its answers.
    """

    pid: int
    port: int
    counter: mmap.mmap

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answered(self) -> int:
        return int(struct.unpack("Q", self.counter[:8])[0])


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


def serve(port_to: int, shared: int) -> None:
    """Answer every request at once, until killed. One thread, no framework: it must not be slow."""
    os.sched_setaffinity(0, {SERVER_CORE})
    counter = memoryview(mmap.mmap(shared, mmap.PAGESIZE)).cast("Q")
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    os.write(port_to, f"{listener.getsockname()[1]}\n".encode())
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    lines: dict[int, socket.socket] = {}
    waiting: dict[int, bytes] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                line, _ = listener.accept()
                line.setblocking(False)
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                lines[line.fileno()] = line
                poll.register(line, select.EPOLLIN)
                continue
            line = lines[number]
            try:
                data = line.recv(65536)
                if data and number in waiting:
                    data = waiting.pop(number) + data
                if data and not whole(data):
                    waiting[number] = data
                elif data:
                    line.send(ANSWER)
                    counter[0] += 1
            except OSError:
                data = b""
            if not data:
                waiting.pop(number, None)
                poll.unregister(number)
                lines.pop(number).close()


def whole(data: bytes) -> bool:
    """Whether a request, the only one on its way, has come to its end."""
    if data.startswith(b"GET"):
        return data.endswith(b"\r\n\r\n")
    end = data.find(b"\r\n\r\n")
    found = LENGTH.search(data, 0, end + 2)
    return end >= 0 and found is not None and len(data) - end - 4 >= int(found[1])


@contextmanager
def server() -> Iterator[Server]:
    """A server of our own."""
    read, write = os.pipe()
    shared = os.memfd_create("answers")
    os.ftruncate(shared, mmap.PAGESIZE)
    argv = [sys.executable, __file__, str(write), str(shared)]
    child = subprocess.Popen(argv, pass_fds=[write, shared])
    try:
        os.close(write)
        with os.fdopen(read) as pipe:
            yield Server(child.pid, int(pipe.readline()), mmap.mmap(shared, mmap.PAGESIZE))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(BOUND_S)
        os.close(shared)


def cpu_s(pid: int) -> float:
    """Processor time of a process and its living children."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        times = [each.cpu_times() for each in family]
    except psutil.NoSuchProcess:
        return 0.0
    return float(sum(each.user + each.system for each in times))


def measure(
    target: Server, pid: int, seconds: float, meanwhile: Callable[[], object] = lambda: None
) -> Window:
    """Wait until a generator is at work, and watch it for some seconds.

    Args:
        target: Which it works on.
        pid: The generator's process.
        seconds: How long to watch.
        meanwhile: Called five times a second.
    """
    began, bound_s = target.answered(), time.monotonic() + BOUND_S
    while target.answered() == began:
        if time.monotonic() > bound_s or not psutil.pid_exists(pid):
            raise SystemExit("the generator does not send anything")
        meanwhile()
        time.sleep(0.05)
    _pass(WARM_S, meanwhile)
    first = (time.monotonic(), target.answered(), cpu_s(pid), cpu_s(target.pid))
    _pass(seconds, meanwhile)
    last = (time.monotonic(), target.answered(), cpu_s(pid), cpu_s(target.pid))
    passed_s, answers, own_s, served_s = (b - a for a, b in zip(first, last, strict=True))
    if not answers:
        raise SystemExit("the generator has stopped")
    return Window(answers / passed_s, 1e6 * own_s / answers, own_s / passed_s, served_s / passed_s)


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
    """Put this process, and what it starts from here on, on the generators' core."""
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
    locustfile: Path, target: Server, stages: Sequence[dict[str, Any]], **load: Any
) -> Iterator[tuple[Any, RunDir]]:
    """A run of the load engine with plug-in and recorder; the job, and the folder of the run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        load |= {"locustfile": str(locustfile), "stages": stages, "stop_timeout": "1s"}
        text = {"name": "bench", "description": "A load.", "objectives": ["errors < 1%"]}
        plan = make_plan(Experiment.model_validate_json(json.dumps(text | {"load": load})))
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


def our_load(locustfile: Path, target: Server, users: int, seconds: float) -> tuple[Window, int]:
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

        window = measure(target, job.pid, seconds, look)
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


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Median and range of the ratios of pairs."""
    of_pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "median": statistics.median(of_pairs),
        "least": min(of_pairs),
        "most": max(of_pairs),
    }


def machine() -> str:
    """What the figures were measured on, and how busy it was with other things."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, load {load}; {python}"


def show(name: str, window: Window, note: str = "") -> None:
    print(
        f"{name:>18} {window.rate:8.0f}/s {window.cpu_us:7.1f} us of CPU each"
        f"   generator {window.core_ratio:4.0%}   server {window.server_ratio:4.0%}   {note}",
        flush=True,
    )


def goal(met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
