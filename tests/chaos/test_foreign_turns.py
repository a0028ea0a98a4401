"""Two who play the rollbacks of one fault take turns: a tool that only writes a journal."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.chaos.foreign import JOURNAL, TURN, play_rollbacks

TOOL = """#!/bin/sh
while [ "$1" != --journal-path ]; do shift; done
echo played >> {trace}
now=$(wc -l < {trace})
for _ in 1 2 3 4 5 6 7 8 9 10; do [ "$now" -gt 1 ] || [ -n "{quick}" ] || sleep 0.1; done
cp "{answers}/$((now))" "$2"
"""


def journal(status: str) -> str:
    activity = {"type": "action", "name": "undo", "provider": {"type": "process", "path": "x"}}
    entry = {"activity": activity, "status": status, "output": {"status": 0}}
    entry |= {} if status == "succeeded" else {"exception": ["OSError: it is stuck"]}
    return json.dumps({"status": "completed", "run": [], "rollbacks": [entry]})


class Desk:
    """A fault's folder and a tool; ``first`` and ``second`` are what its replays come to."""

    def __init__(self, root: Path, *answers: str, quick: bool = False) -> None:
        self.folder, self.trace = root / "01-x", root / "trace"
        self.folder.mkdir()
        (root / "answers").mkdir()
        for number, answer in enumerate(answers, start=1):
            (root / "answers" / str(number)).write_text(journal(answer))
        (self.folder / "experiment.json").write_text(json.dumps({"rollbacks": [{"name": "undo"}]}))
        self.tool = root / "tool"
        words = {"trace": self.trace, "quick": "1" if quick else "", "answers": root / "answers"}
        text = TOOL
        for name, word in words.items():
            text = text.replace("{" + name + "}", str(word))
        self.tool.write_text(text)
        self.tool.chmod(0o700)

    def play(self, turn_s: float = 30.0) -> list[str]:
        return play_rollbacks(self.folder, python=str(self.tool), turn_s=turn_s)

    def played(self) -> int:
        return len(self.trace.read_text().split()) if self.trace.exists() else 0

    def both(self) -> tuple[list[str], list[str]]:
        """What the first says, and the second, which comes while the first plays."""
        with ThreadPoolExecutor() as pool:
            first = pool.submit(self.play)
            end_s = time.monotonic() + 10.0
            while not self.played() and time.monotonic() < end_s:
                time.sleep(0.01)
            second = self.play()
            return first.result(), second


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[[float], None]]:
    """Somebody else who holds the lock, and lets go of it after some seconds without a replay."""
    timers: list[threading.Timer] = []

    def hold(seconds: float) -> None:
        lock = (tmp_path / "01-x" / TURN).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        timers.append(threading.Timer(seconds, lock.close))
        timers[-1].start()

    yield hold
    for timer in timers:
        timer.join()


def test_the_second_waits_and_finds_it_done(tmp_path: Path) -> None:
    """Goal: no replay is disturbed by another. Method: two at once; how often is it played?"""
    desk = Desk(tmp_path, "succeeded", "failed")
    assert desk.both() == ([], [])
    assert desk.played() == 1


def test_the_second_plays_again_what_the_first_could_not(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "failed", "succeeded")
    first, second = desk.both()
    assert first[0].startswith("rollback undo")
    assert (second, desk.played()) == ([], 2)


def test_who_comes_later_plays_again(tmp_path: Path) -> None:
    """Goal: a success says nothing about what was broken after it. Method: one after the other."""
    desk = Desk(tmp_path, "succeeded", "succeeded", quick=True)
    assert (desk.play(), desk.play(), desk.played()) == ([], [], 2)


def test_a_journal_from_before_the_wait_is_no_success(
    tmp_path: Path, other: Callable[[float], None]
) -> None:
    """Goal: only what happened meanwhile counts. Method: an old journal, and somebody else who goes
    without having played."""
    desk = Desk(tmp_path, "succeeded", quick=True)
    (desk.folder / JOURNAL).write_text(journal("succeeded"))
    other(0.3)
    assert (desk.play(), desk.played()) == ([], 1)


def test_the_wait_has_a_bound_after_which_it_is_played(
    tmp_path: Path, other: Callable[[float], None]
) -> None:
    """Goal: nobody who hangs keeps a fault in place. Method: a lock that is not let go in time."""
    desk = Desk(tmp_path, "succeeded", quick=True)
    other(1.0)
    assert (desk.play(turn_s=0.0), desk.played()) == ([], 1)
