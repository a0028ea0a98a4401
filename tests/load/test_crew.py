"""What the master tells its workers, and makes of what they say. Locust's part is played."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent.event
import pytest
from hall import Crew, LoadClock

from runner.load.gathering import Gathering
from runner.load.recorder import Batch
from runner.load.reporting import (
    DONE_MESSAGE,
    GO_MESSAGE,
    PLAN_MESSAGE,
    READY_MESSAGE,
    REPORT_MESSAGE,
    STOP_MESSAGE,
    Report,
    to_message,
)
from runner.load.seconds import SECONDS_FILE, SecondsWriter
from runner.model.experiment import Experiment
from runner.model.plan import GeneratorPlan, make_plan
from runner.readback import read_load_record

PLAN = make_plan(
    Experiment.model_validate(
        {
            "name": "crew",
            "description": "A crew.",
            "load": {"locustfile": "x.py", "stages": [{"duration": "9s", "users": 4}]},
            "objectives": ["errors < 1%"],
        }
    ),
    generator=GeneratorPlan(workers=2, remote_workers=1),
)
NAMES = {"b": "2", "remote": "", "a": "1"}


class Master:
    """Locust's master, with workers that are ready as soon as they have the plan."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.clients = list(NAMES)
        self.sent: list[tuple[str, str, Any]] = []
        self.listeners: dict[str, Callable[..., None]] = {}
        self.connected: list[Callable[..., None]] = []
        events = SimpleNamespace(worker_connect=SimpleNamespace(add_listener=self.connected.append))
        self.environment = SimpleNamespace(events=events, parsed_locustfiles=[])

    def get_worker_index(self, member: str) -> int:
        return self.clients.index(member)

    def register_message(self, kind: str, listener: Callable[..., None]) -> None:
        self.listeners[kind] = listener

    def send_message(self, kind: str, data: Any, client_id: str) -> None:
        self.sent.append((client_id, kind, data))
        if kind == PLAN_MESSAGE:
            answer = {"name": NAMES[client_id]}
            if self.refusal and client_id == "remote":
                answer["refusal"] = self.refusal
            self.hear(client_id, READY_MESSAGE, answer)

    def hear(self, member: str, kind: str, data: Any) -> None:
        message = SimpleNamespace(node_id=member, data=data)
        self.listeners[kind](environment=self.environment, msg=message)

    def told(self, kind: str) -> list[tuple[str, Any]]:
        return [(member, data) for member, what, data in self.sent if what == kind]


class Deck:
    """A crew that was sent off."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.master = Master()
        self.crew = Crew(self.master, PLAN, "shop.test")
        self.stop = gevent.event.Event()
        self.gathering = Gathering(SecondsWriter(folder / SECONDS_FILE, lambda: 9.0))
        self.crew.prepare(self.stop)
        self.crew.go(self.gathering, LoadClock(), lambda: self.gathering.open(5.0))

    def report(self, member: str, upto: int) -> None:
        rows = {(0, "GET /a", "success"): {100: 1}}
        self.master.hear(member, REPORT_MESSAGE, to_message(Report(upto, 1, Batch(rows))))

    def done(self, member: str, *, complete: bool = True) -> None:
        self.master.hear(member, DONE_MESSAGE, {"complete": complete, "interrupted": 1})

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(event.worker, event.what) for event in read_load_record(self.folder).workers]


@pytest.fixture
def deck(tmp_path: Path) -> Deck:
    return Deck(tmp_path)


def test_each_worker_gets_the_plan_and_a_share_of_its_own(deck: Deck) -> None:
    plans = deck.master.told(PLAN_MESSAGE)
    assert [(member, data["index"], data["count"]) for member, data in plans] == [
        ("b", 0, 3),
        ("remote", 1, 3),
        ("a", 2, 3),
    ]
    assert {data["host"] for _, data in plans} == {"shop.test"}


def test_workers_are_called_as_their_logs_are_and_others_after_them(deck: Deck) -> None:
    assert deck.events == [("1", "joined"), ("2", "joined"), ("3", "joined")]
    assert [member for member, _ in deck.master.told(GO_MESSAGE)] == ["a", "b", "remote"]


def test_the_load_is_over_when_everybody_is_done(deck: Deck) -> None:
    for member in NAMES:
        deck.report(member, 1)
        deck.done(member)
    deck.crew.follow(deck.stop)
    assert deck.gathering.complete
    assert deck.gathering.interrupted == 3
    record = read_load_record(deck.folder)
    assert (sum(row.count for row in record.rows), record.users) == (3, {0: 3})
    assert deck.master.told(STOP_MESSAGE) == []


def test_who_was_lost_and_speaks_again_is_told_to_stop(deck: Deck) -> None:
    deck.gathering.lose("2", 4.0)
    deck.report("b", 3)
    assert deck.master.told(STOP_MESSAGE) == [("b", {})]
    assert deck.events[3:] == [("2", "lost"), ("2", "back")]
    deck.done("b", complete=False)
    assert deck.events[3:] == [("2", "lost"), ("2", "back")]  # it is not lost twice


def test_who_leaves_before_the_end_is_lost_at_once(deck: Deck) -> None:
    deck.done("a", complete=False)
    assert deck.events[3:] == [("1", "lost")]
    assert deck.gathering.working == ("2", "3")
    assert not deck.gathering.complete


def test_a_stranger_is_not_heard(deck: Deck) -> None:
    deck.report("stranger", 3)
    deck.done("stranger")
    assert deck.events == [("1", "joined"), ("2", "joined"), ("3", "joined")]
    assert read_load_record(deck.folder).rows == ()


def test_a_worker_that_cannot_take_part_says_why() -> None:
    """Goal: another version elsewhere is no riddle. Method: one of three refuses the plan."""
    crew = Crew(Master(refusal="ValidationError: no such key"), PLAN, "shop.test")
    with pytest.raises(RuntimeError, match="cannot take part: ValidationError: no such key"):
        crew.prepare(gevent.event.Event())


def test_who_comes_after_the_shares_were_dealt_is_sent_away_and_told_of(tmp_path: Path) -> None:
    """Goal: nobody idles unsaid. Method: one comes before the word to start, and one after."""
    master = Master()
    crew = Crew(master, PLAN, "shop.test")
    crew.prepare(gevent.event.Event())
    gathering = Gathering(SecondsWriter(tmp_path / SECONDS_FILE, lambda: 9.0))
    (connect,) = master.connected
    connect(client_id="early")
    crew.go(gathering, LoadClock(), lambda: gathering.open(5.0))
    connect(client_id="late")
    connect(client_id="a")  # says it again: no news
    told = [(event.worker, event.what) for event in read_load_record(tmp_path).workers]
    assert told[3:] == [("4", "late"), ("5", "late")]
    gevent.sleep(0.3)
    assert [member for member, kind, _ in master.sent if kind == "quit"] == ["early", "late"]


def test_a_report_that_cannot_be_written_ends_the_load(deck: Deck) -> None:
    """Goal: no load without a record. Method: a report that is none, as a full disk would be."""
    with pytest.raises(KeyError):
        deck.master.hear("a", REPORT_MESSAGE, {})
    for member in NAMES:
        deck.done(member)
    with pytest.raises(KeyError):
        deck.crew.follow(deck.stop)
