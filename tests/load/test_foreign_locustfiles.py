"""Locustfiles of others, not one byte changed, under the plug-in and a server on the loopback.

All of them are driven once, a few at a time, and each test looks at what one of them left behind:
the record, what the server saw, and what the locustfile itself printed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import ROOT
from echoserver import Answer, EchoServer, echo_server
from trips import BOUND_S, Trip

from runner.load.engine import LocustEngine, LocustJob
from runner.model.experiment import Experiment
from runner.model.plan import GeneratorPlan, make_plan
from runner.model.recording import LoadRecord, TargetInfo
from runner.store import Store

FILES = ROOT / "tests" / "locustfiles"
LOCUST = "locust-2.15.1"
HAR = "har2locust-0.9.4"
CLOUD = "locust-cloud-1.30.0"
AT_ONCE = 4
HOST = "shop.test"


@dataclass(frozen=True)
class Voyage:
    """How a locustfile is driven.

    Attributes:
        users: Users of the one stage; 0 for the locustfile's own shape.
        arguments: What stands after ``--``.
        answers: What the server says at which path; 200 elsewhere.
        api_host: Whether the server's address is in the environment as API_HOST.
    """

    file: str
    users: int = 3
    seconds: int = 3
    time_scale: float = 1.0
    arguments: tuple[str, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    api_host: bool = False

    @property
    def load(self) -> dict[str, object]:
        load: dict[str, object] = {"locustfile": str(FILES / self.file), "stop_timeout": "1s"}
        if not self.users:
            return load | {"shape": "own", "duration": f"{self.seconds}s"}
        return load | {"stages": [{"duration": f"{self.seconds}s", "users": self.users}]}


VOYAGES = {
    "basic": Voyage(f"{LOCUST}/basic.py", answers={"/does_not_exist": (404, "no")}, users=12),
    "arguments": Voyage(
        f"{LOCUST}/add_command_line_argument.py",
        arguments=("--my-argument", "a ship", "WebsiteUser"),
        seconds=2,
    ),
    "credentials": Voyage(f"{LOCUST}/dynamic_user_credentials.py", users=4),
    "events": Voyage(f"{LOCUST}/events.py", users=8),
    "fast": Voyage(f"{LOCUST}/fast_http_locust.py", users=1, seconds=2),
    "manual": Voyage(f"{LOCUST}/manual_stats_reporting.py", users=16, seconds=4),
    "hosts": Voyage(f"{LOCUST}/multiple_hosts.py", users=12, api_host=True),
    "nested": Voyage(f"{LOCUST}/nested_inline_tasksets.py", users=8, seconds=4),
    "semaphore": Voyage(f"{LOCUST}/semaphore_wait.py", seconds=7),
    "threshold": Voyage(f"{LOCUST}/stop_on_threshold.py", seconds=30, answers={"/": (500, "no")}),
    "xmlrpc": Voyage(f"{LOCUST}/custom_xmlrpc_client/xmlrpc_locustfile.py", users=2, seconds=2),
    "requests": Voyage(f"{HAR}/reqres.in.py", users=1, seconds=2),
    "form": Voyage(f"{HAR}/url-encoded-body-no-text-field.py", users=1, seconds=2),
    "characters": Voyage(
        f"{HAR}/string-problematic-characters.py",
        users=1,
        seconds=2,
        answers={"/api/users/2": (422, "no")},
    ),
    "cart": Voyage(
        f"{CLOUD}/locustfile.py",
        users=1,
        seconds=2,
        answers={"/authenticate": (200, {"error": "bad password"})},
    ),
}


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
        return self.trip.job.tail(100_000)


def launch(voyage: Voyage, folder: Path, server: EchoServer) -> Trip:
    experiment = {"name": "foreign", "description": "Foreign.", "load": voyage.load}
    text = json.dumps(experiment | {"objectives": ["errors < 1%"]})
    plan = make_plan(
        Experiment.model_validate_json(text),
        time_scale=voyage.time_scale,
        generator=GeneratorPlan(arguments=voyage.arguments),
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
        deadline = time.monotonic() + 2 * BOUND_S
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
            code = trip.job.poll()
            if code is not None:
                del self._under_way[name]
                self.landed[name] = Landed(trip, server, trip.run.read_load(), code)

    def stop(self) -> None:
        for trip, _ in self._under_way.values():
            trip.engine.stop(1.0)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Landed]]:
    """Every voyage, come to its end."""
    from contextlib import ExitStack

    fleet = Fleet(tmp_path_factory.mktemp("foreign"))
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(echo_server(voyage.answers))
            for name, voyage in VOYAGES.items()
        }
        stack.callback(fleet.stop)
        fleet.sail(VOYAGES, servers)
        yield fleet.landed


def test_they_are_verbatim() -> None:
    """Goal: rewritten by nobody. Method: the digests that were taken where they were unpacked."""
    listed = [line.split("  ") for line in (FILES / "SHA256SUMS").read_text().splitlines()]
    found = {
        path.relative_to(FILES).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in FILES.glob("*/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found == {name: digest for digest, name in listed}


pytestmark_live = pytest.mark.sandbox


@pytest.mark.sandbox
@pytest.mark.parametrize("name", [name for name in VOYAGES if name != "threshold"])
def test_each_is_followed_to_the_end(fleet: dict[str, Landed], name: str) -> None:
    """Goal: every one runs. Method: exit code, closing line, users, and nothing to remark."""
    landed = fleet[name]
    voyage = VOYAGES[name]
    assert landed.code == 0, landed.log
    assert (landed.record.finished, landed.record.complete) == (True, True)
    assert landed.record.notes == ()
    assert landed.record.users[voyage.seconds - 1] == voyage.users
    assert min(landed.counts.values()) > 0


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["basic", "credentials", "fast", "nested", "requests", "form"])
def test_what_the_server_saw_is_on_record(fleet: dict[str, Landed], name: str) -> None:
    """Goal: nothing is lost or invented. Method: the server's own count of each path."""
    landed = fleet[name]
    assert landed.counts == dict(landed.server.seen)
    assert set(landed.server.hosts) == {HOST}


@pytest.mark.sandbox
def test_task_sets_functions_and_a_404(fleet: dict[str, Landed]) -> None:
    assert fleet["basic"].outcomes == {
        "GET /": {"success"},
        "GET /stats/requests": {"success"},
        "GET /does_not_exist": {"http_4xx"},
    }
    assert set(fleet["basic"].record.failures) == {("GET /does_not_exist", "http_4xx", "HTTP 404")}


@pytest.mark.sandbox
def test_nested_task_sets(fleet: dict[str, Landed]) -> None:
    assert set(fleet["nested"].counts) <= {"GET /", "GET /stats/requests"}
    assert fleet["nested"].counts["GET /"] > 0


@pytest.mark.sandbox
def test_a_locustfiles_own_arguments_reach_it(fleet: dict[str, Landed]) -> None:
    """Goal: options after `--` are the locustfile's. Method: it prints them, at test_start too."""
    log = fleet["arguments"].log
    assert log.count("Custom argument supplied: a ship\n") == 1
    assert "my_argument=a ship\n" in log
    assert "my_ui_invisible_argument=I am invisible\n" in log


@pytest.mark.sandbox
def test_on_start_logs_in_as_often_as_there_are_credentials(fleet: dict[str, Landed]) -> None:
    landed = fleet["credentials"]
    assert landed.counts["POST /login"] == 3
    assert sorted(landed.server.bodies["POST /login"]) == [
        f"username=user{number}&password=password" for number in (1, 2, 3)
    ]
    assert landed.counts["GET /protected/resource"] >= 4


@pytest.mark.sandbox
def test_a_listener_of_its_own_does_not_disturb(fleet: dict[str, Landed]) -> None:
    """Goal: `events.request` serves both. Method: a listener that takes fields by name."""
    landed = fleet["events"]
    assert landed.counts == dict(landed.server.seen)
    assert "Traceback" not in landed.log


@pytest.mark.sandbox
def test_requests_that_the_locustfile_reports_itself(fleet: dict[str, Landed]) -> None:
    """Goal: `events.request.fire` without a start time, with exceptions that go on as user errors.

    Method: a context manager and a decorator that time tasks of up to a second.
    """
    landed = fleet["manual"]
    assert landed.outcomes["manual successful_task"] == {"success"}
    assert landed.outcomes["manual failing_task"] == {"error"}
    assert landed.outcomes["manual decorator_test"] <= {"error", "success"}
    texts = {(endpoint, text) for endpoint, _, text in landed.record.failures}
    assert ("manual failing_task", "Exception: Oh nooes!") in texts
    assert ("(user code)", "Exception: Oh nooes!") in texts


@pytest.mark.sandbox
def test_a_second_session_with_a_host_of_its_own(fleet: dict[str, Landed]) -> None:
    """Goal: an abstract user, and a client beside `client`. Method: only `client` is the target's."""
    landed = fleet["hosts"]
    assert landed.counts == dict(landed.server.seen)
    address = landed.server.url.removeprefix("http://")
    assert landed.server.hosts == {
        HOST: landed.counts["GET /"],
        address: landed.counts["GET /stats/requests"],
    }


@pytest.mark.sandbox
def test_users_that_wait_for_spawning_to_be_complete_go_on(fleet: dict[str, Landed]) -> None:
    assert fleet["semaphore"].outcomes == {"GET /": {"success"}}


@pytest.mark.sandbox
def test_a_locustfile_that_quits_ends_the_load_and_the_record_says_so(
    fleet: dict[str, Landed],
) -> None:
    """Goal: `runner.quit()` after a look at `stats.total.fail_ratio` does what it did.

    Method: all requests fail, and 30 s were planned.
    """
    landed = fleet["threshold"]
    assert "fail ratio was 1.0, quitting" in landed.log
    assert landed.outcomes == {"GET /": {"http_5xx"}}
    assert (landed.record.finished, landed.record.complete) == (True, False)
    assert max(landed.record.users) < 15


@pytest.mark.sandbox
def test_a_client_of_another_protocol(fleet: dict[str, Landed]) -> None:
    """Goal: users without HTTP client. Method: XML-RPC over the standard library."""
    landed = fleet["xmlrpc"]
    assert landed.outcomes == {
        "xmlrpc get_time": {"success"},
        "xmlrpc get_random_number": {"success"},
    }
    # One more per user may be under way at the end.
    total = sum(landed.counts.values())
    assert total <= landed.server.seen["POST /RPC2"] <= total + 2


@pytest.mark.sandbox
def test_recordings_of_browsers(fleet: dict[str, Landed]) -> None:
    """Goal: `rest()`, raw bodies, and `catch_response` without a verdict. Method: har2locust's."""
    assert fleet["requests"].outcomes == {
        "POST /api/register": {"success"},
        "PATCH /api/users/2": {"success"},
    }
    assert set(fleet["form"].server.bodies["POST /api/users"]) == {"user=test&password=test"}
    characters = fleet["characters"]
    assert characters.outcomes == {"PATCH /api/users/2": {"http_4xx"}}
    assert set(characters.record.failures) == {("PATCH /api/users/2", "http_4xx", "HTTP 422")}


@pytest.mark.sandbox
def test_verdicts_of_the_author(fleet: dict[str, Landed]) -> None:
    """Goal: `resp.failure` counts, and a module beside the locustfile is found."""
    landed = fleet["cart"]
    assert landed.outcomes == {
        "POST /authenticate": {"error"},
        "POST /cart/add": {"success"},
        "POST /checkout/confirm": {"error"},
    }
    texts = {text for _, _, text in landed.record.failures}
    assert texts == {"bad password", "orderId missing"}
    assert "import finder works" in landed.log
