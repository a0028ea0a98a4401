"""What the sandbox costs: cold start, memory by part, and a steady load through the gateway.

    python benchmarks/bench_sandbox.py [--starts 5] [--rate 600] [--seconds 60]

Memory is the proportional set size (PSS): a page that n processes share counts 1/n for each, so
the sum is what the sandbox really takes.

The load is open: requests start at random times (exponential gaps of mean 1/rate, seeded),
whether or not earlier ones were answered, in the mix of the reference system. The generator is a
small asyncio client on httptools, in a process of its own. Latency counts from the *intended*
start of a request, so a generator that lags cannot hide it; quantiles are exact, from all values.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httptools

from runner.targets.sandbox import control

NAME = "bench"
MIX = (
    (0.30, "GET", "/api/v1/customers/1"),
    (0.40, "GET", "/api/v1/products"),
    (0.20, "POST", "/api/v1/orders"),
    (0.10, "POST", "/api/v1/payments"),
)
ANSWER_LIMIT_S = 10.0


class Answer(NamedTuple):
    latency_s: float
    status: int  # 0: no answer


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[int] | None = None
        self.parser: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes) -> asyncio.Future[int]:
        assert self.transport is not None
        self.parser = httptools.HttpResponseParser(self)
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.waiting

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        # A proxy that answers before it has read the body (an injected abort) closes afterwards.
        if self.transport is not None and not self.parser.should_keep_alive():
            self.transport.close()
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(self.parser.get_status_code())

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(0)

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()


class Generator:
    """The open-loop client."""

    def __init__(self, url: str, host: str) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "", parts.port or 80)
        self.host = host
        self.idle: deque[Connection] = deque()
        self.answers: list[Answer] = []

    async def run(self, rate: float, seconds: float, seed: int) -> None:
        randomness = random.Random(seed)  # noqa: S311 - not for secrets
        requests = [self._encode(method, path) for _, method, path in MIX]
        weights = [weight for weight, _, _ in MIX]
        begin = time.perf_counter()
        due, end, running = begin, begin + seconds, set()
        while (due := due + randomness.expovariate(rate)) < end:
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            (request,) = randomness.choices(requests, weights)
            task = asyncio.create_task(self._ask(request, due))
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running)

    async def _ask(self, request: bytes, due: float) -> None:
        status = 0
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                connection = await self._connection()
                status = await connection.send(request)
            if connection.usable:
                self.idle.append(connection)
        except (OSError, TimeoutError):
            pass
        self.answers.append(Answer(time.perf_counter() - due, status))

    async def _connection(self) -> Connection:
        while self.idle:
            connection = self.idle.pop()
            if connection.usable:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, *self.address)
        return connection

    def _encode(self, method: str, path: str) -> bytes:
        body = b"" if method == "GET" else b'{"customer": 1, "product": 1, "amount": 10}'
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body


def generate(url: str, host: str, rate: float, seconds: float) -> dict[str, Any]:
    """Run the load in this process; exact quantiles in milliseconds, and what was answered."""

    async def load() -> Generator:
        await Generator(url, host).run(min(rate, 50.0), 2.0, seed=0)  # warm
        generator = Generator(url, host)
        await generator.run(rate, seconds, seed=1)
        return generator

    began = time.process_time()
    answers = asyncio.run(load()).answers
    latencies = sorted(answer.latency_s for answer in answers)
    statuses = Counter(answer.status for answer in answers)
    return {
        "requests": len(answers),
        "errors": sum(n for status, n in statuses.items() if not 200 <= status < 300),
        "statuses": {str(status): n for status, n in sorted(statuses.items())},
        "ms": {str(q): 1000 * quantile(latencies, q) for q in (0.5, 0.95, 0.99, 1.0)},
        "generator_cpu_s": time.process_time() - began,
    }


def quantile(ordered: list[float], q: float) -> float:
    """The smallest value that at least the share ``q`` of all values does not exceed."""
    return ordered[max(0, -(-int(q * 1_000_000) * len(ordered) // 1_000_000) - 1)]


def pss_mib(pid: int) -> float:
    """Proportional set size of one process, in MiB."""
    for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, in seconds."""
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def by_part(pids: Mapping[str, int]) -> dict[str, list[int]]:
    """The process ids of each part; all pods are one part."""
    parts: dict[str, list[int]] = {}
    for name, pid in pids.items():
        part = name if name in ("supervisor", "envoy", "prometheus") else "pods"
        parts.setdefault(part, []).append(pid)
    return parts


def starts(count: int, root: Path) -> tuple[list[float], list[float]]:
    """Seconds of each ``up`` until it returned, and of each ``down``."""
    ups, downs = [], []
    for _ in range(count):
        began = time.perf_counter()
        control.up(NAME, root=root, owner_pid=os.getpid())
        ups.append(time.perf_counter() - began)
        began = time.perf_counter()
        control.down(NAME, root=root)
        downs.append(time.perf_counter() - began)
    return ups, downs


def load(info: control.SandboxInfo, rate: float, seconds: float) -> dict[str, Any]:
    """Run the generator in its own process, and measure what each part used meanwhile."""
    parts = by_part(info.pids)
    before = {part: sum(map(cpu_s, pids)) for part, pids in parts.items()}
    command = [sys.executable, __file__, "--generate", info.ingress_url, info.host]
    command += ["--rate", str(rate), "--seconds", str(seconds)]
    began = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise SystemExit(f"the generator failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    result["cpu"] = {
        part: (sum(map(cpu_s, pids)) - before[part]) / took for part, pids in parts.items()
    }
    result["cpu"]["generator"] = result["generator_cpu_s"] / took
    return result


def table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"\n{title}"]
    lines += [f"  {name:<28} {value:>12}" for name, value in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the sandbox costs.")
    parser.add_argument("--starts", type=int, default=5, help="cold starts to measure")
    parser.add_argument("--rate", type=float, default=600.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the load")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--generate", nargs=2, metavar=("URL", "HOST"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.generate:
        url, host = given.generate
        json.dump(generate(url, host, given.rate, given.seconds), sys.stdout)
        return
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, ", end="")
    print(f"Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as folder:
        report(Path(folder) / "sandboxes", given)


def report(root: Path, given: argparse.Namespace) -> None:
    figures: dict[str, Any] = {}
    if given.starts:
        ups, downs = starts(given.starts, root)
        figures["up_s"], figures["down_s"] = ups, downs
        rows = [("up, median", f"{statistics.median(ups):.2f} s")]
        rows += [("up, slowest", f"{max(ups):.2f} s")]
        rows += [("down, median", f"{statistics.median(downs):.2f} s")]
        print(table(f"Cold start until ready ({given.starts} times)", rows))
    info = control.up(NAME, root=root, owner_pid=os.getpid())
    try:
        result = load(info, given.rate, given.seconds)
        info = control.status(NAME, root=root) or info
        memory = {part: sum(map(pss_mib, pids)) for part, pids in by_part(info.pids).items()}
    finally:
        control.down(NAME, root=root)
    figures["load"], figures["pss_mib"] = result, memory
    rows = [
        (f"{part} ({len(by_part(info.pids)[part])})", f"{mib:.1f} MiB")
        for part, mib in memory.items()
    ]
    rows.append(("all", f"{sum(memory.values()):.1f} MiB"))
    print(table("Memory after the load (PSS)", rows))
    rows = [("requests", str(result["requests"])), ("errors", str(result["errors"]))]
    rows += [(f"p{float(q) * 100:g}", f"{ms:.1f} ms") for q, ms in result["ms"].items()]
    rows += [(f"CPU of {part}", f"{100 * share:.0f} %") for part, share in result["cpu"].items()]
    title = f"Open load, {given.rate:g} requests/s for {given.seconds:g} s (CPU: 100 % is one core)"
    print(table(title, rows))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
