"""How punctual faults are, as the mesh sees it: the first and the last request that was hit.

    python benchmarks/bench_fault_timing.py [--injections 56] [--rate 50] [--json FILE]

Each injection goes the real way: a planned fault, compiled, carried out by a ``chaos run`` child
that is started as early as a run starts it. Aborts and delays, in the callers' proxies and in front
of the pods, on four services at the same time. Steady requests go through the gateway meanwhile,
one after the other at even moments whether or not earlier ones were answered. A request is hit when
it got the fault's status, or took nearly as long as the fault's delay; it counts at the moment of
its sending, so that figures are good to 1/rate.

    begins    first hit after the plan's start
    is whole  from then on every request was hit (proxies do not all learn of a fault at once)
    is gone   last hit after the plan's end

Goals: begins within 0.5 s, is gone within 1 s, each p95. Ends with 1 when one is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bench_sandbox import Connection

from runner.chaos.toolkit import ToolkitInjector
from runner.disturbing import FAULT_LEAD_S
from runner.model.experiment import Experiment
from runner.model.plan import PlannedFault, make_plan
from runner.model.recording import TargetInfo
from runner.targets.sandbox import control

ROUTES = {
    "customer-api": "/api/v1/customers",
    "payment-api": "/api/v1/payments",
    "recommendation-api": "/api/v1/recommendations",
    "saga-tracker": "/api/v1/saga",
}
"""One at a time has a fault; none of them is scaled by itself, and no hit reaches another."""
STATUS, DELAY_S = 418, 0.4
"""A status that no proxy retries, and a delay that no answer takes by itself."""
KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "http-abort", "status": STATUS, "side": "client"},
    {"kind": "http-delay", "delay": f"{DELAY_S}s", "side": "client"},
    {"kind": "http-abort", "status": STATUS, "side": "server"},
    {"kind": "http-delay", "delay": f"{DELAY_S}s", "side": "server"},
)
LASTS_S = 2.5
AHEAD_S = FAULT_LEAD_S + 0.5
AFTER_S = 3.0
ANSWER_LIMIT_S = 10.0
SEEN_RATIO = 0.9
"""Of the delay; and of the requests at a transition, which one alone does not make."""
NEIGHBOURS = 5
GOALS_S = {"begins": 0.5, "gone": 1.0}


class Sent(NamedTuple):
    """One request: when it was sent (Unix time), and whether the fault hit it."""

    at_s: float
    hit: bool


@dataclass(frozen=True)
class Injection:
    """What became of one fault, in seconds after the plan; None where nothing was hit."""

    service: str
    kind: str
    side: str
    begins: float | None
    whole: float | None
    gone: float | None
    requests: int
    stray: int
    """Hits before the plan's start."""


class Traffic:
    """Even requests through the gateway to one path.

    Args:
        url: Of the gateway.
        host: Its host header.
        path: What is asked for.
        rate: Requests per second.
    """

    def __init__(self, url: str, host: str, path: str, rate: float) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._gap_s = 1 / rate
        self._idle: list[Connection] = []
        self._over = False
        self.sent: list[tuple[float, float, int]] = []

    async def run(self) -> None:
        """Send until :meth:`stop`."""
        due_s, under_way = time.monotonic(), set()
        while not self._over:
            due_s += self._gap_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            task = asyncio.create_task(self._ask())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way, timeout=ANSWER_LIMIT_S)

    def stop(self) -> None:
        self._over = True

    def between(self, start_s: float, end_s: float, fault: PlannedFault) -> list[Sent]:
        """The answered requests that were sent in a time, in the order of their sending."""
        delay = fault.fault.kind == "http-delay"
        return sorted(
            Sent(at_s, took_s >= SEEN_RATIO * DELAY_S if delay else status == STATUS)
            for at_s, took_s, status in self.sent
            if start_s <= at_s <= end_s and status
        )

    async def _ask(self) -> None:
        status, at_s, began_s = 0, 0.0, 0.0
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                connection = await self._connection()
                at_s, began_s = time.time(), time.monotonic()
                status = await connection.send(self._request)
            if connection.usable:
                self._idle.append(connection)
        except (OSError, TimeoutError):
            pass
        self.sent.append((at_s, time.monotonic() - began_s, status))

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, *self._address))[1]


def target_of(info: control.SandboxInfo) -> TargetInfo:
    return TargetInfo(
        kind="sandbox",
        name=info.name,
        namespace=info.namespace,
        ingress_url=info.ingress_url,
        host=info.host,
        prometheus_url=info.prometheus_url,
        kubeconfig=str(info.kubeconfig),
        context=info.context,
    )


def planned(service: str, kind: dict[str, Any], number: int) -> PlannedFault:
    """The fault as a run's plan has it."""
    experiment = Experiment.model_validate(
        {
            "name": "timing",
            "description": "How punctual?",
            "load": {"locustfile": "none.py", "stages": [{"duration": "60s", "users": 1}]},
            "faults": [{**kind, "service": service, "at": "10s", "duration": f"{LASTS_S}s"}],
            "objectives": ["errors < 99%"],
        }
    )
    fault = make_plan(experiment).faults[0]
    return fault.model_copy(update={"id": f"{number:02d}-{fault.fault.kind}"})


async def lane(
    service: str, kinds: Sequence[dict[str, Any]], target: TargetInfo, folder: Path, rate: float
) -> list[Injection]:
    """One fault after the other on one service, with traffic all the time."""
    traffic = Traffic(target.ingress_url, target.host, ROUTES[service], rate)
    running = asyncio.create_task(traffic.run())
    found = []
    try:
        for number, kind in enumerate(kinds, start=1):
            fault = planned(service, kind, number)
            found.append(await injection(fault, traffic, target, folder / str(number)))
            print(f"{service:>19} {found[-1]}", flush=True)
    finally:
        traffic.stop()
        await running
    return found


async def injection(
    fault: PlannedFault, traffic: Traffic, target: TargetInfo, folder: Path
) -> Injection:
    """Carry out ``fault`` and look at what the traffic met."""
    starts_s = time.time() + AHEAD_S
    ends_s = starts_s + fault.end_s - fault.start_s
    await asyncio.sleep(AHEAD_S - FAULT_LEAD_S)
    run = f"timing-{fault.fault.service}"
    child = await asyncio.to_thread(ToolkitInjector().inject, fault, run, target, folder, starts_s)
    try:
        await asyncio.sleep(max(0.0, ends_s + AFTER_S - time.time()))
    finally:
        await asyncio.to_thread(child.stop, AFTER_S)
    sent = traffic.between(starts_s - AHEAD_S, ends_s + AFTER_S, fault)
    return Injection(
        service=fault.fault.service,
        kind=fault.fault.kind,
        side=getattr(fault.fault, "side", ""),
        **timing(sent, starts_s, ends_s),
        requests=len(sent),
        stray=sum(one.hit for one in sent if one.at_s < starts_s),
    )


def timing(sent: Sequence[Sent], starts_s: float, ends_s: float) -> dict[str, float | None]:
    """First hit and last miss after the start, last hit after the end; single strays are none."""
    hits = [n for n, one in enumerate(sent) if one.hit and one.at_s >= starts_s]
    first = next((n for n in hits if _mostly(sent[n : n + NEIGHBOURS])), None)
    last = next((n for n in reversed(hits) if _mostly(sent[n - NEIGHBOURS + 1 : n + 1])), None)
    if first is None or last is None:
        return {"begins": None, "whole": None, "gone": None}
    misses = [one.at_s for one in sent[first : last + 1] if not one.hit and one.at_s < ends_s]
    whole_s = max([sent[first].at_s, *misses])
    return {
        "begins": round(sent[first].at_s - starts_s, 3),
        "whole": round(whole_s - starts_s, 3),
        "gone": round(sent[last].at_s - ends_s, 3),
    }


def _mostly(sent: Sequence[Sent]) -> bool:
    return sum(one.hit for one in sent) > NEIGHBOURS / 2


def quantile(values: Sequence[float], ratio: float) -> float:
    """The smallest value that at least the share ``ratio`` of all does not exceed."""
    return sorted(values)[max(0, math.ceil(ratio * len(values)) - 1)]


def line(name: str, injections: Sequence[Injection]) -> str:
    """One line of the table: p50 / p95 / max of each figure."""
    cells = [f"{name:<22}{len(injections):>4}"]
    for figure in ("begins", "whole", "gone"):
        values = [v for each in injections if (v := getattr(each, figure)) is not None]
        shown = " / ".join(f"{quantile(values, q):.2f}" for q in (0.5, 0.95, 1)) if values else "-"
        cells.append(f"{shown:>22}")
    return "".join(cells)


def report(injections: Sequence[Injection]) -> bool:
    """Print the table; returns whether the goals are met."""
    columns = "".join(f"{word:>22}" for word in ("begins after", "is whole after", "is gone after"))
    print(f"\n{'seconds, p50/p95/max':<22}   n{columns}")
    for kind in dict.fromkeys((each.kind, each.side) for each in injections):
        print(line(" ".join(kind), [e for e in injections if (e.kind, e.side) == kind]))
    print(line("all", injections))
    unseen = [each for each in injections if each.begins is None]
    stray = sum(each.stray for each in injections)
    requests = sum(each.requests for each in injections)
    print(f"{requests:,} requests; hits before the plan: {stray}; faults not seen: {len(unseen)}")
    met = not unseen
    for figure, goal_s in GOALS_S.items():
        values = [v for each in injections if (v := getattr(each, figure)) is not None]
        worst = quantile(values, 0.95) if values else math.inf
        met = met and worst <= goal_s
        how = "met" if worst <= goal_s else "MISSED"
        print(f"{figure}: p95 {worst:.2f} s, goal {goal_s:g} s: {how}")
    return met


async def lanes(count: int, target: TargetInfo, folder: Path, rate: float) -> list[Injection]:
    """All injections: four services at once, set off one after the other."""
    each = math.ceil(count / len(ROUTES))

    async def later(place: int, service: str) -> list[Injection]:
        await asyncio.sleep(place * (AHEAD_S + LASTS_S + AFTER_S) / len(ROUTES))
        kinds = [KINDS[(place + number) % len(KINDS)] for number in range(each)]
        return await lane(service, kinds, target, folder / service, rate)

    found = await asyncio.gather(*(later(n, name) for n, name in enumerate(ROUTES)))
    return [injection for some in found for injection in some]


def main() -> int:
    parser = argparse.ArgumentParser(description="How punctual are faults?")
    parser.add_argument("--injections", type=int, default=56)
    parser.add_argument("--rate", type=float, default=50.0, help="requests/s to each service")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as folder:
        root = Path(folder) / "sandboxes"
        info = control.up("timing", root=root, owner_pid=os.getpid())
        try:
            work = lanes(given.injections, target_of(info), Path(folder), given.rate)
            injections = asyncio.run(work)
        finally:
            control.down("timing", root=root)
    met = report(injections)
    if given.json:
        given.json.write_text(json.dumps([asdict(each) for each in injections], indent=1))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
