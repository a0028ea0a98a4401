"""A load generator whose requests exist on paper only: part of the shipped doubles.

It follows stages with users or with rates; :mod:`runner.fakesearch` follows a search. Everything is
recorded as the real plug-in records it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from runner.errors import LoadError
from runner.fakearrivals import FakeArrivals, Times
from runner.model.histogram import bucket_of
from runner.model.packed import pack
from runner.model.plan import Plan
from runner.model.recording import ArrivalSecond, LoadRow
from runner.ports import Clock, LoadProgress

ENDPOINT = "GET /api/v1/products"


class Conditions(Protocol):
    """What the generator and its target are like; see ``runner.testing.FakeWorld``."""

    latency_us: int
    error_every: int
    users_factor: float
    load_exit_at_s: float | None
    silent_from_s: float | None
    load_on: bool

    @property
    def clock(self) -> Clock: ...


class FakeLoadJob:
    """One request per user and second, or per arrival; recorded as the real plug-in records."""

    def __init__(self, world: Conditions, plan: Plan, workdir: Path) -> None:
        self._world = world
        self._plan = plan
        self._path = workdir / "seconds.jsonl"
        self._started_s = world.clock.monotonic_s()
        self._started_wall_s = world.clock.wall_s()
        self._written = 0
        self._requests = 0
        self._ended = False
        self._arrivals: FakeArrivals | None = None
        if plan.experiment.load.is_open:
            self._arrivals = FakeArrivals(plan, world.latency_us, world.users_factor)
        self._write({"kind": "start", "wall_s": self._started_wall_s})

    def poll(self) -> int | None:
        if not self._world.load_on:
            return -9
        elapsed_s = self._world.clock.monotonic_s() - self._started_s
        if self._world.load_exit_at_s is not None and elapsed_s >= self._world.load_exit_at_s:
            return 1
        return 0 if elapsed_s >= self._plan.duration_s else None

    def progress(self) -> LoadProgress:
        elapsed_s = self._world.clock.monotonic_s() - self._started_s
        rows: list[LoadRow] = []
        users: list[tuple[int, int]] = []
        arrivals: list[tuple[int, ArrivalSecond]] = []
        while self._written < int(min(elapsed_s, self._plan.duration_s)):
            row_rows, count = self._second(self._written, arrivals)
            rows.extend(row_rows)
            users.append((self._written, count))
            self._written += 1
        if elapsed_s >= self._plan.duration_s and not self._ended:
            self._ended = True
            end = {"kind": "end", "wall_s": self._world.clock.wall_s(), "complete": True}
            self._write({**end, "interrupted": 0})
        return LoadProgress(
            self._started_wall_s, tuple(rows), tuple(users), arrivals=tuple(arrivals)
        )

    def stop(self, grace_s: float) -> None:
        self._world.load_on = False

    def tail(self, lines: int) -> str:
        return "fake load"

    def offer(self, rate_per_s: float, duration_s: float) -> None:
        raise LoadError("this load is no search")

    def finish(self) -> None:
        raise LoadError("this load is no search")

    def _second(
        self, second: int, arrivals: list[tuple[int, ArrivalSecond]]
    ) -> tuple[list[LoadRow], int]:
        users = round(self._plan.users_at(second + 0.5) * self._world.users_factor)
        times: Sequence[Times] = [(self._world.latency_us,) * 2] * users
        if self._arrivals is not None:
            times, seen = self._arrivals.second(second)
            users = self._plan.max_in_flight
            arrivals.append((second, seen))
        rows = self._rows(second, times)
        written = [
            [row.endpoint, row.outcome, pack(row.latency_us)]
            + ([] if row.service_us is None else [pack(row.service_us)])
            for row in rows
        ]
        self._write({"kind": "rows", "second": second, "users": users, "rows": written})
        if self._arrivals is not None:
            counts = asdict(seen)
            late = pack(counts.pop("late_us"))
            self._write({"kind": "arrivals", "second": second, **counts, "late": late})
        account = {"cpu_ratio": 0.1, "lag_s": 0.001, "rss_bytes": 80_000_000}
        self._write({"kind": "generator", "second": second, **account})
        return rows, users

    def _rows(self, second: int, times: Sequence[Times]) -> list[LoadRow]:
        seen: dict[str, tuple[Counter[int], Counter[int]]] = {}
        for response_us, service_us in times:
            self._requests += 1
            failed = self._world.error_every and self._requests % self._world.error_every == 0
            outcome = "http_5xx" if failed else "success"
            if self._world.silent_from_s is not None and second >= self._world.silent_from_s:
                outcome = "timeout"
            response, service = seen.setdefault(outcome, (Counter(), Counter()))
            response[bucket_of(response_us)] += 1
            service[bucket_of(service_us)] += 1
        return [
            LoadRow(second, ENDPOINT, outcome, response, service if self._arrivals else None)
            for outcome, (response, service) in seen.items()
        ]

    def _write(self, record: dict[str, object]) -> None:
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(record) + "\n")
