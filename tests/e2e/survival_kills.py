"""The ways in which a run is ended from outside, and what each strikes. Linux processes only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psutil

CHILD_WAIT_S = 4.0
"""A fault's child that is to be struck may be late on a busy machine."""


@dataclass(frozen=True)
class Crew:
    """The processes of a run.

    Attributes:
        runner: Process id of the supervisor.
        folder: Where all of them have their temporary files, and nobody else.
        hang_up: Closes the terminal that the run was started on.
    """

    runner: int
    folder: Path
    hang_up: Callable[[], None]

    def of(self, word: str) -> list[int]:
        """The living processes of the run with ``word`` among the words of their command line."""
        return [p.pid for p in processes_of(self.folder) if word in _words(p)]


@dataclass(frozen=True)
class Kill:
    """A way to end a run.

    Attributes:
        text: What is done, in words.
        strike: Does it; returns whom it struck.
        ends_run: Whether the run ends by it. Otherwise it goes on, and ends the fault by itself.
        needs_child: Whether there must be a fault's child to strike.
        recorded: Whether somebody is left who puts the heal on record.
    """

    text: str
    strike: Callable[[Crew], str]
    ends_run: bool = True
    needs_child: bool = False
    recorded: bool = True


def processes_of(folder: Path) -> list[psutil.Process]:
    """The living processes that have their temporary files in ``folder``."""
    return [p for p in psutil.process_iter() if _lives_in(p, str(folder))]


def runner(crew: Crew) -> str:
    return _kill([crew.runner])


def child(crew: Crew) -> str:
    return _kill(_children(crew))


def runner_and_child(crew: Crew) -> str:
    return _kill([crew.runner, *_children(crew)])


def child_and_runner(crew: Crew) -> str:
    return _kill([*_children(crew), crew.runner])


def runner_and_load(crew: Crew) -> str:
    return _kill([crew.runner, *crew.of("locust")])


def guardian(crew: Crew) -> str:
    return _kill(_guardians(crew))


def guardian_and_runner(crew: Crew) -> str:
    return _kill([*_guardians(crew), crew.runner])


def terminate(crew: Crew) -> str:
    return _send(crew.runner, signal.SIGTERM)


def interrupt(crew: Crew) -> str:
    return _send(crew.runner, signal.SIGINT)


def hang_up(crew: Crew) -> str:
    crew.hang_up()
    return f"{crew.runner} by SIGHUP"


KILLS: Final[Mapping[str, Kill]] = MappingProxyType(
    {
        "runner": Kill("SIGKILL of the runner", runner),
        "child": Kill(
            "SIGKILL of its Chaos Toolkit child", child, ends_run=False, needs_child=True
        ),
        "both": Kill("SIGKILL of both, the runner first", runner_and_child, needs_child=True),
        "both-child-first": Kill(
            "SIGKILL of both, the child first", child_and_runner, needs_child=True
        ),
        "runner-load": Kill("SIGKILL of the runner and the load generator", runner_and_load),
        "guardian": Kill("SIGKILL of the guardian alone", guardian, ends_run=False),
        "guardian-runner": Kill(
            "SIGKILL of the guardian, then the runner", guardian_and_runner, recorded=False
        ),
        "term": Kill("SIGTERM", terminate),
        "int": Kill("SIGINT (Ctrl-C)", interrupt),
        "hup": Kill("closed terminal (SIGHUP)", hang_up),
    }
)
"""Name to kill. The guardian's end together with every other process is none of them: then nobody
is left who could heal, and the fault waits for its expiry and the reaper."""


def nobody(crew: Crew) -> str:
    return f"not {crew.runner}"


NOBODY: Final = "none"
EVERY: Final[Mapping[str, Kill]] = MappingProxyType(
    {**KILLS, NOBODY: Kill("nobody is killed", nobody, ends_run=False)}
)
"""Also the run that nobody kills, for trials of other troubles."""


def _children(crew: Crew) -> list[int]:
    until_s = time.monotonic() + CHILD_WAIT_S
    while not (found := crew.of("chaostoolkit")) and time.monotonic() < until_s:
        time.sleep(0.02)
    return found


def _guardians(crew: Crew) -> list[int]:
    return [p.pid for p in processes_of(crew.folder) if any("guardian" in w for w in _words(p))]


def _kill(pids: Sequence[int]) -> str:
    """SIGKILL to each at once; says whom it reached."""
    struck = [pid for pid in pids if _reach(pid, signal.SIGKILL)]
    return f"{', '.join(map(str, struck))} by SIGKILL" if struck else ""


def _send(pid: int, number: signal.Signals) -> str:
    return f"{pid} by {number.name}" if _reach(pid, number) else ""


def _reach(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _lives_in(process: psutil.Process, folder: str) -> bool:
    try:
        inside = process.environ().get("TMPDIR", "").startswith(folder)
        return inside and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
