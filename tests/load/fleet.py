"""Locustfiles under the real plug-in, several at a time, each with a server of its own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from echoserver import Answer, EchoServer, echo_server
from trips import BOUND_S, Trip

from runner.load.engine import LocustEngine, LocustJob
from runner.model.experiment import Experiment
from runner.model.plan import GeneratorPlan, make_plan
from runner.model.recording import LoadRecord, TargetInfo
from runner.store import Store

AT_ONCE = 6
HOST = "shop.test"


@dataclass(frozen=True)
class Voyage:
    """How a locustfile is driven.

    Attributes:
        file: Its path.
        users: Users of the one stage; 0 for the locustfile's own shape.
        arguments: What stands after ``--``.
        answers: What the server says at which path; 200 elsewhere.
        api_host: Whether the server's address is in the environment as API_HOST.
    """

    file: Path
    users: int = 3
    seconds: int = 3
    time_scale: float = 1.0
    arguments: tuple[str, ...] = ()
    workers: int = 0
    answers: Mapping[str, Answer] = field(default_factory=dict)
    api_host: bool = False

    @property
    def load(self) -> dict[str, object]:
        load: dict[str, object] = {"locustfile": str(self.file), "stop_timeout": "1s"}
        if not self.users:
            return load | {"shape": "own", "duration": f"{self.seconds}s"}
        return load | {"stages": [{"duration": f"{self.seconds}s", "users": self.users}]}


@dataclass
class Landed:
    """What is left of a voyage."""

    trip: Trip
    server: EchoServer
    record: LoadRecord
    code: int

    @property
    def counts(self) -> dict[str, int]:
        """Endpoint to requests on record."""
        found: dict[str, int] = {}
        for row in self.record.rows:
            found[row.endpoint] = found.get(row.endpoint, 0) + row.count
        return found

    @property
    def outcomes(self) -> dict[str, set[str]]:
        """Endpoint to the ways in which its requests ended."""
        found: dict[str, set[str]] = {}
        for row in self.record.rows:
            found.setdefault(row.endpoint, set()).add(row.outcome)
        return found

    @property
    def log(self) -> str:
        return self.trip.run.log_path("locust").read_text(encoding="utf-8")


def launch(voyage: Voyage, folder: Path, server: EchoServer) -> Trip:
    experiment = {"name": "foreign", "description": "Foreign.", "load": voyage.load}
    text = json.dumps(experiment | {"objectives": ["errors < 1%"]})
    plan = make_plan(
        Experiment.model_validate_json(text),
        time_scale=voyage.time_scale,
        generator=GeneratorPlan(workers=voyage.workers, arguments=voyage.arguments),
    )
    run = Store(folder / "results").create_run("foreign", time.time())
    run.write_plan(plan, "")
    target = TargetInfo(
        kind="sandbox",
        name="test",
        namespace="n",
        ingress_url=server.url,
        host=HOST,
        prometheus_url="",
    )
    environ = dict(os.environ) | ({"API_HOST": server.url} if voyage.api_host else {})
    engine = LocustEngine(environ=environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    job = engine.start(plan, target, run.load_dir, run.log_path("locust"))
    assert isinstance(job, LocustJob)
    return Trip(run, job, engine)


class Fleet:
    """Drives voyages, a few at a time, in the order in which they were given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._under_way: dict[str, tuple[Trip, EchoServer]] = {}
        self.landed: dict[str, Landed] = {}

    def sail(self, voyages: Mapping[str, Voyage], servers: Mapping[str, EchoServer]) -> None:
        waiting = list(voyages)
        deadline = time.monotonic() + 4 * BOUND_S
        while waiting or self._under_way:
            assert time.monotonic() < deadline, sorted(self._under_way)
            while waiting and len(self._under_way) < AT_ONCE:
                name = waiting.pop(0)
                (self._folder / name).mkdir()
                trip = launch(voyages[name], self._folder / name, servers[name])
                self._under_way[name] = (trip, servers[name])
            self._moor()
            time.sleep(0.05)

    def _moor(self) -> None:
        for name, (trip, server) in list(self._under_way.items()):
            trip.job.progress()  # as a supervisor does: a job knows by it that its load has begun
            code = trip.job.poll()
            if code is not None:
                del self._under_way[name]
                trip.engine.stop(5.0)  # workers go with their master
                self.landed[name] = Landed(trip, server, trip.run.read_load(), code)

    def stop(self) -> None:
        for trip, _ in self._under_way.values():
            trip.engine.stop(1.0)


@contextmanager
def sailed(folder: Path, voyages: Mapping[str, Voyage]) -> Iterator[dict[str, Landed]]:
    """Every voyage, come to its end; servers are there until the block is left."""
    fleet = Fleet(folder)
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(echo_server(voyage.answers))
            for name, voyage in voyages.items()
        }
        stack.callback(fleet.stop)
        fleet.sail(voyages, servers)
        yield fleet.landed
