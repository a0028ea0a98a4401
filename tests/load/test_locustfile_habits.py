"""What locustfiles do beside sending requests: tags, sequences, weights, hooks, own shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import Landed, Voyage, sailed

pytestmark = pytest.mark.sandbox

HABITS = """
import time
from locust import (
    FastHttpUser, HttpUser, SequentialTaskSet, User, constant_pacing, constant_throughput, events,
    tag, task,
)

@events.test_start.add_listener
def hoist(environment, **_):
    print(f"hoisted for {environment.host}")

@events.test_stop.add_listener
def strike(environment, **_):
    print(f"struck after {environment.stats.total.num_requests} requests")

class Named(HttpUser):
    abstract = True

    def on_start(self):
        self.client.post("/boarding", name="boarding")

    def on_stop(self):
        print(f"{type(self).__name__} leaves")

class Order(SequentialTaskSet):
    @task
    def first(self):
        self.client.get("/order/1")

    @task
    def second(self):
        self.client.get("/order/2")

    @task
    def third(self):
        self.client.get("/order/3")
        self.interrupt()

class Buyer(Named):
    wait_time = constant_pacing(0.1)
    tasks = [Order]
    weight = 3

class Looker(Named):
    weight = 1
    wait_time = constant_throughput(10)

    @tag("page", "cheap")
    @task(2)
    def page(self):
        self.client.get("/page")

    @tag("page", "slow")
    @task
    def slow(self):
        self.client.get("/slow")

    @task
    def untagged(self):
        self.client.get("/untagged")

class Clerk(FastHttpUser):
    fixed_count = 1
    wait_time = constant_throughput(10)

    @tag("page")
    @task
    def judged(self):
        with self.client.get("/judged", catch_response=True) as answer:
            answer.failure("order 17 is wrong")

class Measurer(User):
    fixed_count = 1
    wait_time = constant_throughput(10)

    @tag("page")
    @task
    def block(self):
        with self.environment.events.request.measure("block", "measured"):
            time.sleep(0.02)

    @tag("page")
    @task
    def broken(self):
        with self.environment.events.request.measure("block", "broken"):
            raise ValueError("cargo 12 is lost")
"""

USER = """
from locust import HttpUser, LoadTestShape, constant, task

class Sailor(HttpUser):
    wait_time = constant(0.1)

    @task
    def go(self):
        self.client.get(f"/{type(self).__name__}")
"""

SHORT_SHAPE = """
class Captain(Sailor):
    pass

class Short(LoadTestShape):
    def tick(self):
        seconds = round(self.get_run_time())
        print(f"{seconds} s: {self.get_current_user_count()} users")
        wishes = [(4, 4, [Captain]), (6, 4, [Sailor]), (6, 4), (5, 4)]
        return wishes[seconds] if seconds < len(wishes) else None
"""

COMMON_SHAPE = """
class Common(LoadTestShape):
    use_common_options = True

    def tick(self):
        options = self.runner.environment.parsed_options
        over = self.get_run_time() > options.run_time
        return None if over else (options.num_users, options.spawn_rate)
"""

WRECK_SHAPE = """
class Wreck(LoadTestShape):
    def tick(self):
        return (1, 10) if self.get_run_time() < 0.5 else 1 / 0
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Landed]]:
    folder = tmp_path_factory.mktemp("habits")

    def written(name: str, *parts: str) -> Path:
        path = folder / f"{name}.py"
        path.write_text("".join(parts), encoding="utf-8")
        return path

    habits = written("habits", HABITS)
    short = written("short", USER, SHORT_SHAPE)
    conf, headful = folder / "some.conf", folder / "headful.conf"
    conf.write_text("exclude-tags = slow\nusers = 500\nrun-time = 1s\n", encoding="utf-8")
    headful.write_text("headful = true\n", encoding="utf-8")
    tagged = ("--tags", "page", "--config", str(conf), "-L", "INFO", "Looker", "Clerk")
    voyages = {
        "all": Voyage(habits, users=6),
        "tagged": Voyage(habits, users=3, seconds=2, arguments=tagged),
        "short": Voyage(short, users=0, seconds=7),
        "common": Voyage(
            written("common", USER, COMMON_SHAPE),
            users=0,
            seconds=2,
            arguments=("-u", "3", "-r", "30", "-t", "10"),
        ),
        "wreck": Voyage(written("wreck", USER, WRECK_SHAPE), users=0, seconds=30),
        "none": Voyage(written("none", USER), users=0),
        "headful": Voyage(habits, arguments=("--config", str(headful))),
        "crew": Voyage(
            short, users=0, seconds=5, workers=2, arguments=("--csv", str(folder / "csv"))
        ),
        "unknown": Voyage(habits, arguments=("--my-optoin", "3")),
    }
    with sailed(folder, voyages) as landed:
        yield landed


def test_all_that_they_do_is_on_record(fleet: dict[str, Landed]) -> None:
    landed = fleet["all"]
    assert landed.code == 0, landed.log
    assert landed.record.complete
    http = {name: count for name, count in landed.counts.items() if "block" not in name}
    http["POST /boarding"] = http.pop("POST boarding")
    assert http == dict(landed.server.seen)
    assert landed.outcomes["GET /judged"] == {"error"}
    assert landed.outcomes["block measured"] == {"success"}
    assert landed.outcomes["block broken"] == {"error"}
    assert {text for _, _, text in landed.record.failures} == {
        "order N is wrong",
        "ValueError: cargo N is lost",
    }


def test_classes_have_their_weights_and_fixed_counts(fleet: dict[str, Landed]) -> None:
    """Goal: of 6 users, one is a clerk, one measures, 3 buy 1 looks. Method: their `on_stop`."""
    landed = fleet["all"]
    assert landed.counts["POST boarding"] == 4
    assert landed.log.count("Buyer leaves\n") == 3
    assert landed.log.count("Looker leaves\n") == 1


def test_a_sequence_is_kept(fleet: dict[str, Landed]) -> None:
    """Goal: SequentialTaskSet's order. Method: three buyers, each within one of the next step."""
    counts = [fleet["all"].counts[f"GET /order/{number}"] for number in (1, 2, 3)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] - counts[2] <= 3
    assert counts[2] >= 6


def test_hooks_run_once_and_see_all_requests(fleet: dict[str, Landed]) -> None:
    landed = fleet["all"]
    assert landed.log.count(f"hoisted for {landed.server.url}\n") == 1
    assert f"struck after {sum(landed.counts.values())} requests\n" in landed.log


def test_a_user_waits_as_it_says(fleet: dict[str, Landed]) -> None:
    """Goal: constant_throughput(10) is not exceeded. Method: one clerk in 3 s, and some slack."""
    assert 5 <= fleet["all"].counts["GET /judged"] <= 35


def test_tags_and_classes_after_the_dashes_choose(fleet: dict[str, Landed]) -> None:
    landed = fleet["tagged"]
    assert landed.code == 0, landed.log
    assert set(landed.counts) == {"POST boarding", "GET /page", "GET /judged"}
    assert landed.log.count("Looker leaves\n") == 2


def test_what_a_file_has_told_locust_is_said_and_the_plan_is_kept(fleet: dict[str, Landed]) -> None:
    """Goal: no setting in secret. Method: a file that excludes a tag, and has other users."""
    record = fleet["tagged"].record
    assert record.notes == ("some.conf has told Locust --exclude-tags",)
    assert (record.complete, record.users[1]) == (True, 3)


def test_what_locust_does_not_know_it_refuses_itself(fleet: dict[str, Landed]) -> None:
    landed = fleet["unknown"]
    assert landed.code == 2
    assert "error: unrecognized arguments: --my-optoin" in landed.log
    assert landed.record.rows == ()


def test_a_shape_that_ends_early_leaves_the_rest_without_users(fleet: dict[str, Landed]) -> None:
    """Goal: ticks, user classes, run time and user count mean what they mean to Locust.

    Method: 4 captains, then 2 sailors as well, one of whom leaves; after 4 s nobody, of 7 s.
    """
    landed = fleet["short"]
    record = landed.record
    assert (landed.code, record.complete) == (0, True)
    assert [record.wanted[second] for second in range(6)] == [4, 6, 6, 5, 0, 0]
    assert record.users[3] in (5, 6)
    assert [record.users[second] for second in (5, 6)] == [0, 0]
    assert "0 s: 0 users\n" in landed.log
    assert "2 s: 6 users\n" in landed.log
    assert landed.counts["GET /Captain"] > landed.counts["GET /Sailor"] > 0
    assert record.notes == ("the locustfile's load shape ended at 4 s of 7 s",)


def test_workers_follow_a_shape_together(fleet: dict[str, Landed]) -> None:
    """Goal: one shape, asked once, for all workers. Method: the same with two of them."""
    landed = fleet["crew"]
    record = landed.record
    assert (landed.code, record.complete, record.notes) == (0, True, ())
    assert [record.wanted[second] for second in range(4)] == [4, 6, 6, 5]
    assert record.users[2] == 6
    assert landed.counts["GET /Captain"] > landed.counts["GET /Sailor"] > 0
    assert [event.what for event in record.workers] == ["joined", "joined"]


def test_a_shape_may_read_the_common_options(fleet: dict[str, Landed]) -> None:
    """Goal: -u, -r and -t reach a shape that wants them. Method: 3 users, and 10 s of 2."""
    record = fleet["common"].record
    # A second one is on record where somebody leaves slowly.
    assert (set(record.wanted.values()), record.notes, record.complete) == ({3}, (), True)
    assert record.users[1] == 3


def test_a_shape_that_fails_ends_the_load(fleet: dict[str, Landed]) -> None:
    landed = fleet["wreck"]
    assert (landed.record.finished, landed.record.complete) == (True, False)
    assert landed.record.notes == (
        "the locustfile's load shape failed: ZeroDivisionError: division by zero",
    )
    assert max(landed.record.users) < 15


def test_what_cannot_be_followed_is_refused_before_the_load(fleet: dict[str, Landed]) -> None:
    for name, said in {
        "none": "the locustfile has no load shape; accepted: one class of LoadTestShape",
        "headful": "Locust would wait for somebody at its web page; accepted: no headful",
    }.items():
        assert fleet[name].code == 1
        assert said in fleet[name].log
        assert fleet[name].record.users == {}
