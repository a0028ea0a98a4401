"""Requests per second of one core: the fast client beside FastHttpUser, HttpUser, wrk and k6.

    python benchmarks/client.py [--pairs 5] [--seconds 3] [--users 50]

Each trial is a whole run of the load engine: the real Locust as a child, with our plug-in and its
recorder, and ``locustfiles/shop.py`` as it is but for its base class and its waiting time, which is
0. The generator has core 0 for itself, a server on core 1 answers everything at once with an answer
as Envoy gives it. Clients take turns, and the order alternates from pair to pair.

Two figures per trial, over its whole seconds without the first one: answers per second, and
answers per second *of processor time*, the second being what a busy machine disturbs less. The
server says how much of its core it used: near 100 % a trial says nothing about the client.
wrk and k6 are tried once each if they are found; they send the shop's reads only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from runner.load.engine import LocustEngine
from runner.model.experiment import Experiment
from runner.model.plan import make_plan
from runner.model.recording import TargetInfo
from runner.store import Store

ROOT = Path(__file__).resolve().parents[1]
CLIENT_CORE, SERVER_CORE = 0, 1
BOUND_S = 60.0
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
BODY = b'{"service":"product-api","pod":"product-api-5d9c7","id":7}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    b"x-envoy-upstream-service-time: 3\r\ndate: Sun, 09 Aug 2026 10:00:00 GMT\r\n"
    b"server: istio-envoy\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Trial(NamedTuple):
    """One client, for some seconds."""

    client: str
    rate: float
    rate_of_core: float
    errors: int
    server_ratio: float


def serve(port_to: int) -> None:
    """Answer every request at once, until killed. One thread, no framework: it must not be slow."""
    os.sched_setaffinity(0, {SERVER_CORE})
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
            except OSError:
                data = b""
            if not data:
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
def server() -> Iterator[tuple[int, int]]:
    """Process id and port of a server of our own."""
    read, write = os.pipe()
    argv = [sys.executable, __file__, "--serve", str(write)]
    child = subprocess.Popen(argv, pass_fds=[write])
    try:
        os.close(write)
        with os.fdopen(read) as pipe:
            yield child.pid, int(pipe.readline())
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(BOUND_S)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def locustfile(client: str, folder: Path) -> Path:
    """The shop's users on another base class, without their waiting time."""
    source = (ROOT / "locustfiles" / "shop.py").read_text(encoding="utf-8")
    kept = [line for line in source.splitlines() if not re.match(r"from (locust|runner)\b", line)]
    path = folder / f"users_{client}.py"
    head = ["import sys", f"sys.path.insert(0, {str(ROOT)!r})", CLIENTS[client]]
    lines = [*head, "from locust import task", *kept, NO_WAITING]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def locust_trial(client: str, port: int, pid: int, args: argparse.Namespace) -> Trial:
    """Run one client under the load engine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage = {"duration": f"{args.seconds + 1}s", "users": args.users, "spawn_rate": 1000}
        load = {"locustfile": str(locustfile(client, folder)), "stages": [stage]}
        text = {"name": "bench", "description": "A client.", "objectives": ["errors < 1%"]}
        plan = make_plan(Experiment.model_validate_json(json.dumps(text | {"load": load})))
        run = Store(folder / "results").create_run("bench", time.time())
        run.write_plan(plan, "")
        target = TargetInfo(
            kind="sandbox",
            name="bench",
            namespace="n",
            ingress_url=f"http://127.0.0.1:{port}",
            host="api.c4ang.com",
            prometheus_url="",
        )
        engine = LocustEngine(environ=dict(os.environ))
        began_cpu_s, began_s = cpu_s(pid), time.monotonic()
        job = engine.start(plan, target, run.load_dir, run.log_path("locust"))
        os.sched_setaffinity(job.pid, {CLIENT_CORE})  # type: ignore[attr-defined]
        users: dict[int, int] = {}
        while job.poll() is None:
            if time.monotonic() - began_s > BOUND_S:
                raise SystemExit(job.tail(30))
            time.sleep(0.05)
            if not users and (users := dict(job.progress().users)):
                began_cpu_s, began_s = cpu_s(pid), time.monotonic()
            if len(users) == 1 and time.monotonic() - began_s > args.seconds - 0.5:
                used = (cpu_s(pid) - began_cpu_s) / (time.monotonic() - began_s)
                users[-1] = 0
        if job.poll() != 0:
            raise SystemExit(job.tail(30))
        lines = (run.load_dir / "seconds.jsonl").read_text(encoding="utf-8").splitlines()
    return figures(client, [json.loads(line) for line in lines], args.seconds, used)


def figures(client: str, records: list[dict[str, Any]], seconds: int, used: float) -> Trial:
    """The figures of a record, over its whole seconds without the first one."""
    wanted = range(1, seconds + 1)
    done = errors = 0
    cpu: dict[int, float] = {}
    for record in records:
        if record["kind"] == "generator":
            cpu[record["second"]] = record["cpu_ratio"]
        if record["kind"] != "rows" or record["second"] not in wanted:
            continue
        for _, outcome, buckets in record["rows"]:
            count = sum(number for _, number in buckets)
            done += count
            errors += count if outcome != "success" else 0
    measured = [cpu[second] for second in wanted if second in cpu]
    share = sum(measured) / len(measured)
    rate = done / len(wanted)
    return Trial(client, rate, rate / share, errors, used)


def other_trial(tool: str, port: int, pid: int, args: argparse.Namespace) -> Trial:
    """Run wrk or k6 on the shop's reads."""
    url = f"http://127.0.0.1:{port}/api/v1/products"
    fields = {"Host": "api.c4ang.com", "Accept-Encoding": "gzip, deflate, br"}
    with tempfile.TemporaryDirectory() as folder:
        if tool == "wrk":
            argv = ["wrk", "-t1", f"-c{args.users}", f"-d{args.seconds}s", url]
            argv += [part for name, value in fields.items() for part in ("-H", f"{name}: {value}")]
        else:
            script = Path(folder, "k6.js")
            script.write_text(
                "import http from 'k6/http';\n"
                f"export default () => http.get({url!r}, {{headers: {json.dumps(fields)}}});\n"
            )
            argv = ["k6", "run", "--quiet", "--vus", str(args.users)]
            argv += ["--duration", f"{args.seconds}s", str(script)]
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        began_s, began_cpu_s = time.monotonic(), cpu_s(pid)
        done = subprocess.run(
            ["taskset", "-c", str(CLIENT_CORE), *argv],
            check=True,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
        )
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    passed_s = time.monotonic() - began_s
    used = (cpu_s(pid) - began_cpu_s) / passed_s
    own_s = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    found = re.search(r"(\d+) requests in|http_reqs.*?: (\d+)", done.stdout)
    if found is None:
        raise SystemExit(done.stdout)
    count = int(found[1] or found[2])
    return Trial(tool, count / passed_s, count / own_s, 0, used)


def show(trial: Trial) -> None:
    print(
        f"{trial.client:>9} {trial.rate:9.0f}/s {trial.rate_of_core:9.0f} per core second"
        f"   server {trial.server_ratio:4.0%}   errors {trial.errors}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="measured ones of a trial")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        serve(args.serve)
    print(f"{platform.python_implementation()} {platform.python_version()}, {args.users} users")
    trials: list[Trial] = []
    with server() as (pid, port):
        for number in range(args.pairs):
            pair = ["fast", "swift"] if number % 2 else ["swift", "fast"]
            for client in [*pair, *(["requests"] if number == 0 else [])]:
                trials.append(locust_trial(client, port, pid, args))
                show(trials[-1])
        for tool in ("wrk", "k6"):
            if shutil.which(tool):
                trials.append(other_trial(tool, port, pid, args))
                show(trials[-1])
            else:
                print(f"{tool:>9} not found")
    by_client: dict[str, list[Trial]] = {}
    for trial in trials:
        by_client.setdefault(trial.client, []).append(trial)
    swift = by_client["swift"]
    for client, others in by_client.items():
        if client == "swift":
            continue
        of_core = statistics.median(t.rate_of_core for t in others)
        ratio = statistics.median(t.rate_of_core for t in swift) / of_core
        print(f"swift / {client}: {ratio:.2f} per core second", end="")
        if client == "fast":
            pairs = [a.rate_of_core / b.rate_of_core for a, b in zip(swift, others, strict=True)]
            walls = [a.rate / b.rate for a, b in zip(swift, others, strict=True)]
            print(f"; pairs {min(pairs):.2f} to {max(pairs):.2f}", end="")
            print(f"; by the clock {statistics.median(walls):.2f}", end="")
        print()


if __name__ == "__main__":
    main()
