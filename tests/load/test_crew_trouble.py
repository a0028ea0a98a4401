"""What becomes of a load when a process of its generator comes to grief. The real Locust.

All trips of this module are under way at the same time, each with a server of its own.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import psutil
import pytest
from loadserver import LoadServer, load_server
from trips import BOUND_S, STEADY, Stage, Trip, set_off

from runner.analysis.arrivalchecks import workers_stayed
from runner.model.evaluation import Verdict
from runner.model.recording import LoadRecord, Manifest, Recording

pytestmark = pytest.mark.sandbox

HIT_S = 2.5
AWAY_S = 5.5
GONE_S = 20.0

QUITS = """
import gevent
from locust import FastHttpUser, constant, events, task

@events.test_start.add_listener
def leave(environment, **_):
    if getattr(environment.runner, "worker_index", None) == 1:
        gevent.spawn_later(5, environment.runner.quit)

class Steady(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def go(self):
        self.client.get("/fine")
"""
FULL = """
import itertools, resource, signal
from locust import FastHttpUser, constant, events, task

@events.test_start.add_listener
def little_room(**_):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))

class Steady(FastHttpUser):
    wait_time = constant(0.02)
    numbers = itertools.cycle(range(300))

    @task
    def go(self):
        self.client.get("/fine", name="page %d" % next(self.numbers))
"""
"""No file may grow beyond 8000 bytes: as on a disk that is full."""

FALLS = "import sys\nassert '--worker' not in sys.argv, 'no such shop'\n" + STEADY
SLOW_START = (
    STEADY.replace("constant, task", "constant, events, task")
    + """
import time

@events.test_start.add_listener
def prepare(environment, **_):
    if hasattr(environment.runner, "worker_index"):
        time.sleep(6)
"""
)
"""Longer than a worker bears its master's silence once there is a load."""

Deed = Callable[["Voyage"], object]


@dataclass
class Voyage:
    """A trip, what is to be done to it at which offset, and what was seen.

    Attributes:
        seen_s: Sentences of the generator to the offset at which they were read.
        pids: Of all of its processes, the master's first.
    """

    trip: Trip
    server: LoadServer
    deeds: list[tuple[float, Deed]]
    seen_s: dict[str, float] = field(default_factory=dict)
    pids: list[int] = field(default_factory=list)
    code: int | None = None
    ended_s: float = 0.0
    tail: str = ""
    _started_wall_s: float | None = None

    def look(self) -> bool:
        """Do what is due; whether everything is over."""
        job = self.trip.job
        self.pids = self.pids or [job.pid, *(worker.pid for worker in job.workers)]
        self.code, progress = job.poll(), job.progress()
        self._started_wall_s = self._started_wall_s or progress.started_wall_s
        for remark in progress.remarks:
            self.seen_s.setdefault(remark, self.offset_s)
        if self._started_wall_s is not None and self.deeds and self.deeds[0][0] <= self.offset_s:
            self.deeds.pop(0)[1](self)
        if self.code is None:
            return False
        self.tail = self.tail or job.tail(5)
        self.ended_s = self.ended_s or self.offset_s
        return not self.deeds

    @property
    def offset_s(self) -> float:
        return time.time() - (self._started_wall_s or time.time())

    @property
    def record(self) -> LoadRecord:
        return self.trip.run.read_load()

    @property
    def requests(self) -> int:
        return sum(row.count for row in self.record.rows)

    @property
    def workers(self) -> list[tuple[str, str]]:
        return [(event.worker, event.what) for event in self.record.workers]

    def alive(self) -> list[int]:
        return [pid for pid in self.pids if psutil.pid_exists(pid) and not _is_zombie(pid)]


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def sent(number: signal.Signals, process: int) -> Deed:
    """Send a signal to a process; 0 is the master."""
    return lambda voyage: os.kill(voyage.pids[process], number)


def kill_and_freeze(voyage: Voyage) -> None:
    os.kill(voyage.pids[1], signal.SIGKILL)
    os.kill(voyage.pids[2], signal.SIGSTOP)


@pytest.fixture(scope="module")
def voyages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Voyage]]:
    rate: list[Stage] = [{"duration": "10s", "rate": "60/s"}]
    users: list[Stage] = [{"duration": "9s", "users": 6, "spawn_rate": 100}]
    deeds: dict[str, tuple[str, list[Stage], int, list[tuple[float, Deed]]]] = {
        "struck": (
            STEADY,
            rate,
            3,
            [(HIT_S, kill_and_freeze), (HIT_S + AWAY_S, sent(signal.SIGCONT, 2))],
        ),
        "terminated": (
            STEADY.replace("/fine", "/wait/500"),
            users,
            2,
            [(HIT_S, sent(signal.SIGTERM, 0))],
        ),
        "beheaded": (STEADY, users, 2, [(HIT_S, sent(signal.SIGKILL, 0))]),
        "left": (QUITS, users, 2, []),
        "all left": (QUITS.replace("== 1", "== 0"), users, 1, []),
        "fallen": (FALLS, users, 1, []),
        "full": (FULL, [{"duration": "30s", "users": 8}], 0, []),
        "full with a worker": (FULL, [{"duration": "30s", "users": 8}], 1, []),
        "slow": (SLOW_START, [{"duration": "1s", "users": 2, "spawn_rate": 100}], 1, []),
    }
    with ExitStack() as stack:
        under_way = {}
        for name, (source, stages, workers, what) in deeds.items():
            server = stack.enter_context(load_server())
            folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
            trip = set_off(folder, server.url, source, stages, workers=workers)
            stack.callback(trip.engine.stop, 1.0)
            under_way[name] = Voyage(trip, server, what)
        deadline_s, waiting = time.monotonic() + 2 * BOUND_S, list(under_way.values())
        while waiting and time.monotonic() < deadline_s:
            waiting = [voyage for voyage in waiting if not voyage.look()]
            time.sleep(0.05)
        for name, voyage in under_way.items():
            assert voyage.code is not None, (name, voyage.trip.job.tail(20))
        yield under_way


def finding_of(record: LoadRecord, voyage: Voyage) -> tuple[Verdict, str]:
    plan = voyage.trip.run.read_plan()
    manifest = Manifest(
        run_id="x", experiment="trip", experiment_sha256="", state="recorded", created_at=""
    )
    finding = workers_stayed(Recording(manifest, plan, (), record, None, ()))
    assert finding is not None
    return finding.verdict, finding.reason


def gone(voyage: Voyage) -> bool:
    """Whether every process ends by itself."""
    deadline_s = time.monotonic() + GONE_S
    while (left := voyage.alive()) and time.monotonic() < deadline_s:
        for worker in voyage.trip.job.workers:
            worker.poll()
        time.sleep(0.05)
    return not left


def test_a_killed_worker_is_noticed_within_five_seconds(voyages: Mapping[str, Voyage]) -> None:
    struck = voyages["struck"]
    lost = [event for event in struck.record.workers if event.what == "lost"]
    assert sorted(event.worker for event in lost) == ["1", "2"]  # as their logs are called
    for event in lost:
        assert HIT_S + 1 <= event.second < HIT_S + 5
    remarks = [remark for remark in struck.seen_s if "was lost" in remark]
    assert len(remarks) == 2
    assert all(struck.seen_s[remark] < HIT_S + 5.5 for remark in remarks)


def test_the_others_take_over_the_share_at_once(voyages: Mapping[str, Voyage]) -> None:
    """Goal: full load within a second of the loss being noticed. Method: starts per second.

    60 are due in each, 20 of every worker. On a busy machine, some are started on the other side
    of a second's edge.
    """
    record = voyages["struck"].record
    noticed = max(event.second for event in record.workers if event.what == "lost")
    started = {second: one.started for second, one in record.arrivals.items()}
    assert 50 <= started[1] <= 70
    assert 10 <= started[4] <= 30  # one of three is left
    for second in range(noticed + 2, 10):
        assert started[second] >= 50


def test_a_worker_that_was_away_is_sent_away_and_floods_nobody(
    voyages: Mapping[str, Voyage],
) -> None:
    """Goal: its share is somebody else's by now. Method: frozen for 5.5 s, then let go on."""
    struck = voyages["struck"]
    back = [event for event in struck.record.workers if event.what == "back"]
    assert [event.worker for event in back] == ["2"]
    assert back[0].second + 1 >= HIT_S + AWAY_S
    # 5.5 s of 20/s lay in wait: 60 of them are started beside 20 that are due, 50 are given up.
    started = {second: one.started for second, one in struck.record.arrivals.items()}
    assert max(started[second] for second in (8, 9)) <= 60 + 60 + 20 + 2
    assert sum(one.dropped for one in struck.record.arrivals.values()) >= 40
    assert gone(struck)


def test_what_a_killed_worker_had_reported_is_on_record(voyages: Mapping[str, Voyage]) -> None:
    """It made 20 requests a second, and a report each second: at most two seconds are missing."""
    struck = voyages["struck"]
    assert struck.code == 0
    assert struck.server.total - 40 <= struck.requests < struck.server.total
    assert (struck.record.finished, struck.record.complete) == (True, False)


def test_a_lost_worker_makes_the_run_inconclusive(voyages: Mapping[str, Voyage]) -> None:
    struck = voyages["struck"]
    verdict, reason = finding_of(struck.record, struck)
    assert verdict is Verdict.INCONCLUSIVE
    assert reason.startswith("The generator was the limit: worker ")
    joined = replace(struck.record, workers=struck.record.workers[:3])
    assert finding_of(joined, struck)[0] is Verdict.PASS


def test_a_terminated_master_takes_its_workers_with_it_and_loses_nothing(
    voyages: Mapping[str, Voyage],
) -> None:
    """Goal: an abort is orderly. Method: SIGTERM while answers of 500 ms are under way."""
    ended = voyages["terminated"]
    assert ended.code == 0
    assert HIT_S < ended.ended_s < HIT_S + 12
    assert gone(ended)
    assert (ended.record.finished, ended.record.complete) == (True, False)
    assert ended.workers == [("1", "joined"), ("2", "joined")]
    assert ended.requests + ended.record.interrupted == ended.server.total > 0
    assert ended.record.interrupted <= 1


def test_workers_without_a_master_end_by_themselves(voyages: Mapping[str, Voyage]) -> None:
    """Goal: no load that nobody leads. Method: SIGKILL of the master."""
    headless = voyages["beheaded"]
    assert headless.code == -signal.SIGKILL
    assert gone(headless)
    assert (headless.record.finished, headless.requests > 0) == (False, True)


def test_a_worker_that_leaves_by_itself_is_as_good_as_lost_but_keeps_its_tail(
    voyages: Mapping[str, Voyage],
) -> None:
    """Goal: a locustfile may call quit. Method: it does so in one of two workers.

    That is 5 s after its test_start, which comes at least half a second before the load.
    """
    left = voyages["left"]
    assert left.code == 0
    assert [what for _, what in left.workers] == ["joined", "joined", "lost"]
    assert left.record.workers[-1].second <= 5
    assert left.record.users[1] == 6
    assert left.record.users[6] == 6  # the other one has taken them over
    assert left.requests == left.server.total
    assert not left.record.complete
    assert gone(left)


def test_the_last_worker_that_leaves_takes_nothing_with_it(voyages: Mapping[str, Voyage]) -> None:
    """Goal: no lost tail here either. Method: the only worker leaves, and Locust's master ends."""
    left = voyages["all left"]
    assert left.ended_s < 8
    assert left.requests == left.server.total > 0
    assert (left.record.finished, left.record.complete) == (True, False)
    assert gone(left)


def test_a_worker_that_cannot_start_says_why_at_once(voyages: Mapping[str, Voyage]) -> None:
    """Goal: not the master's silence, but the reason. Method: a locustfile that fails there."""
    fallen = voyages["fallen"]
    assert fallen.code not in (None, 0)
    assert fallen.tail.startswith("worker 1 ended before the load had begun:\n")
    assert "no such shop" in fallen.tail


@pytest.mark.parametrize("name", ["full", "full with a worker"])
def test_there_is_no_load_without_a_record(voyages: Mapping[str, Voyage], name: str) -> None:
    """Goal: a full disk is noticed. Method: files that cannot grow; 30 s of load are planned."""
    full = voyages[name]
    assert 0 < full.ended_s < 20
    assert gone(full)
    assert 0 < full.requests < full.server.total
    assert not full.record.finished


def test_setup_code_may_take_its_time(voyages: Mapping[str, Voyage]) -> None:
    """Goal: a slow test_start is no silence. Method: 6 s of it in a worker."""
    slow = voyages["slow"]
    assert slow.code == 0, slow.tail
    assert slow.record.complete
    assert slow.workers == [("1", "joined")]
    assert slow.requests == slow.server.total > 0
