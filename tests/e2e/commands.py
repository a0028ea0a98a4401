"""The real command line as a child process, as a user starts it, watched from outside.

A command runs in a place: a working folder, a folder for temporary files and a home for sandboxes.
So whatever it leaves behind can be told: processes (all of its descendants are kept in mind while
it runs, and those that know the place are looked for), ports of its sandbox, and files.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

import psutil
from conftest import ROOT
from terminals import Terminal

from runner.model.evaluation import Evaluation
from runner.model.recording import unhealed
from runner.store import RunDir, Store

T = TypeVar("T")

SEATRIAL = Path(sys.executable).with_name("seatrial")
SHOP = str(ROOT / "locustfiles" / "shop.py")
BOUND_S = 90.0
GONE_BOUND_S = 30.0
POLL_S = 0.1
LOOK_EVERY_S = 0.5
"""Looking at all processes costs more than anything else here."""


@dataclass
class Place:
    """Folders that commands run in.

    Attributes:
        root: Holds all the others.
        sandboxes: Home of the sandboxes that are used; may be shared.
    """

    root: Path
    sandboxes: Path

    @classmethod
    def make(cls, root: Path, sandboxes: Path | None = None) -> Place:
        place = cls(root, sandboxes or root / "sandboxes")
        for folder in (place.work / "experiments", place.temp):
            folder.mkdir(parents=True)
        return place

    @property
    def shares_sandboxes(self) -> bool:
        return self.sandboxes.parent != self.root

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def temp(self) -> Path:
        return self.root / "tmp"

    def experiment(self, name: str, **parts: object) -> str:
        """Write an experiment (JSON is YAML) and return its name."""
        whole = {"name": name, "description": f"{name}?", **parts}
        path = self.work / "experiments" / f"{name}.yaml"
        path.write_text(json.dumps(whole, indent=1), encoding="utf-8")
        return name

    def run_of(self, experiment: str) -> RunDir | None:
        """The newest run of ``experiment``."""
        runs = Store(self.work / "results").runs()
        mine = [run for run in runs if run.path.parent.name == experiment]
        return mine[-1] if mine else None

    def environment(self) -> dict[str, str]:
        own = {"TMPDIR": str(self.temp), "SEATRIAL_SANDBOX_HOME": str(self.sandboxes)}
        return {**os.environ, **own}


@dataclass(frozen=True)
class Left:
    """What was still there when a command had ended; all empty is how it should be."""

    processes: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    files: tuple[str, ...] = ()


NOTHING = Left()


@dataclass(frozen=True)
class Ending:
    """How a command ended, what it said, and what it left.

    Attributes:
        code: Exit code; negative for the number of the signal that ended it.
        ports: Ports of the sandboxes that it started.
    """

    code: int
    out: str
    err: str
    took_s: float
    left: Left
    ports: frozenset[int] = frozenset()
    run: RunDir | None = None

    @property
    def folder(self) -> RunDir:
        assert self.run is not None, f"no run folder was made; it said:\n{self.err}"
        return self.run

    @property
    def evaluation(self) -> Evaluation:
        return self.folder.read_evaluation()

    @property
    def unhealed(self) -> frozenset[str]:
        return unhealed(self.folder.read_events())

    @property
    def steps(self) -> list[str]:
        """The journal without its notes: who, what, how it went."""
        events = self.folder.read_events()
        return [f"{e.source} {e.action} {e.kind}" for e in events if e.kind != "note"]

    def virtual_services(self, when: str) -> list[tuple[str, Any, Any]]:
        """Name, spec and annotations of each VirtualService ``before`` or ``after`` the run."""
        text = (self.folder.target_dir(when) / "virtualservices.json").read_text(encoding="utf-8")
        return [
            (o["metadata"]["name"], o["spec"], o["metadata"].get("annotations"))
            for o in json.loads(text)
        ]

    def finding(self, check: str, about: str = "") -> str:
        """Verdict of the finding of ``check`` whose title has ``about``."""
        (found,) = (f for f in self.evaluation.findings if f.check == check and about in f.title)
        return str(found.verdict.value)


@dataclass
class Command:
    """``seatrial …`` under way; a context that ends all that belongs to it when a test fails."""

    place: Place
    argv: tuple[str, ...]
    process: subprocess.Popen[bytes]
    out: Path
    err: Path
    began_s: float
    seen: set[psutil.Process] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)
    looked_s: float = 0.0

    @classmethod
    def start(
        cls,
        place: Place,
        *argv: str,
        env: Mapping[str, str] | None = None,
        deaf: bool = False,
        program: Sequence[str] = (str(SEATRIAL),),
    ) -> Self:
        """Start with standard output and error into files; ``deaf``: nobody reads the output."""
        number = len(list(place.root.glob("*.out")))
        out, err = place.root / f"{number}.out", place.root / f"{number}.err"
        with _pipe_to_nobody() if deaf else out.open("wb") as to_out, err.open("wb") as to_err:
            process = subprocess.Popen(
                [*program, *argv],
                cwd=place.work,
                env={**place.environment(), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                start_new_session=True,
            )
        out.touch()
        return cls(place, argv, process, out, err, time.monotonic())

    @classmethod
    def start_on_terminal(
        cls,
        place: Place,
        terminal: Terminal,
        *argv: str,
        program: Sequence[str] = (str(SEATRIAL),),
    ) -> Self:
        """Start as the only thing on ``terminal``."""

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # Also where the tests ran under nohup.

        process = subprocess.Popen(
            [*program, *argv],
            cwd=place.work,
            env={**place.environment(), "TERM": "xterm-256color"},
            stdin=terminal.inner,
            stdout=terminal.inner,
            stderr=terminal.inner,
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509 - it makes two system calls
        )
        terminal.took_over()
        return cls(place, argv, process, terminal.file, terminal.file, time.monotonic())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            return  # It has ended, and the test says what should be left.
        self.look()
        self.process.kill()
        self.process.wait()
        for process in self.seen:
            with contextlib.suppress(psutil.Error):
                process.kill()

    @property
    def run(self) -> RunDir | None:
        if self.argv[0] != "run" or len(self.argv) < 2:
            return None
        return self.place.run_of(self.argv[1])

    def look(self, every_s: float = 0.0) -> None:
        """Keep in mind what belongs to the command now, unless that was done just before."""
        if time.monotonic() < self.looked_s + every_s:
            return
        self.looked_s = time.monotonic()
        with contextlib.suppress(psutil.Error):
            self.seen.update(psutil.Process(self.process.pid).children(recursive=True))
        if not self.place.shares_sandboxes:
            for status in self.place.sandboxes.glob("sandbox-*/status.json"):
                self._look_at_sandbox(status)

    def _look_at_sandbox(self, status: Path) -> None:
        """A sandbox is nobody's child, but it says of which processes and ports it consists."""
        with contextlib.suppress(OSError, ValueError):
            document = json.loads(status.read_text(encoding="utf-8"))
            self.ports.update(document["ports"].values())
            for pid in document["pids"].values():
                with contextlib.suppress(psutil.Error):
                    self.seen.add(psutil.Process(pid))

    def until(self, done: Callable[[], T | None], what: str, bound_s: float = BOUND_S) -> T:
        """Wait for ``done`` to give something while the command runs."""
        deadline_s = time.monotonic() + bound_s
        while not (result := done()):
            self.look(LOOK_EVERY_S)
            said = f"{what}; it said:\n{self.err.read_text(errors='replace')}"
            assert self.process.poll() is None, f"ended before {said}"
            assert time.monotonic() < deadline_s, f"waited in vain for {said}"
            time.sleep(POLL_S)
        self.look()
        return result

    def until_effect(self, fault: str, what: str) -> RunDir:
        """Wait for a fault's child to have written down ``what``; returns the run."""

        def seen() -> RunDir | None:
            run = self.run
            path = run.fault_dir(fault) / "effects.jsonl" if run else None
            there = path is not None and path.exists() and f'"{what}"' in path.read_text()
            return run if there else None

        return self.until(seen, f"{fault} {what}")

    def until_second(self, second: int) -> RunDir:
        """Wait for the load's record to have that second; returns the run."""

        def seen() -> RunDir | None:
            run = self.run
            return run if run and max(run.read_load().users, default=-1) >= second else None

        return self.until(seen, f"second {second}")

    def send(self, number: signal.Signals) -> None:
        self.look()
        self.process.send_signal(number)

    def end(self, bound_s: float = BOUND_S, gone_bound_s: float = 0.0) -> Ending:
        """Wait for the end; its processes may take ``gone_bound_s`` longer to be gone."""
        deadline_s = time.monotonic() + bound_s
        while self.process.poll() is None:
            self.look(LOOK_EVERY_S)
            said = self.err.read_text(errors="replace")
            assert time.monotonic() < deadline_s, f"did not end in {bound_s:g} s; it said:\n{said}"
            time.sleep(POLL_S)
        took_s = time.monotonic() - self.began_s
        deadline_s = time.monotonic() + gone_bound_s
        while (left := self._left()).processes and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
        out, err = (path.read_text(errors="replace") for path in (self.out, self.err))
        code = self.process.returncode
        return Ending(code, out, err, took_s, left, frozenset(self.ports), self.run)

    def _left(self) -> Left:
        known = self.seen | {p for p in psutil.process_iter() if _knows(p, self.place.temp)}
        alive = sorted(_name(process) for process in known if _is_alive(process))
        expected = {"experiments", "results", "seatrial.yaml"}
        files = {str(path) for path in self.place.temp.rglob("*")}
        files |= {str(path) for path in self.place.work.iterdir() if path.name not in expected}
        if not self.place.shares_sandboxes:
            files |= {str(path) for path in self.place.sandboxes.glob("*")}
        return Left(tuple(alive), _held(self.ports, known), tuple(sorted(files)))


def _pipe_to_nobody() -> BinaryIO:
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "wb")


def seatrial(place: Place, *argv: str, env: Mapping[str, str] | None = None) -> Ending:
    """Run a command to its end."""
    with Command.start(place, *argv, env=env) as command:
        return command.end()


def _knows(process: psutil.Process, folder: Path) -> bool:
    """Whether ``process`` has ``folder`` for its temporary files, and so belongs to a place."""
    try:
        return process.environ().get("TMPDIR", "").startswith(str(folder))
    except psutil.Error:
        return False


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return str(process.pid)


def _held(ports: Collection[int], processes: Collection[psutil.Process]) -> tuple[int, ...]:
    """Those of ``ports`` on which one of ``processes``, or nobody we know, still listens.

    Another sandbox on this machine may have been given a port that is free again.
    """
    if not ports:
        return ()
    mine = {process.pid for process in processes}
    listening = [c for c in psutil.net_connections("tcp4") if c.status == psutil.CONN_LISTEN]
    held = {c.laddr[1] for c in listening if c.laddr and (c.pid is None or c.pid in mine)}
    return tuple(sorted(held.intersection(ports)))
