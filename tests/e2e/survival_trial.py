"""One trial: a real ``seatrial run`` on a sandbox that is up, ended from outside at some moment.

Then every object of the namespace is compared with the state before, four times a second for ten
seconds from the kill, and the processes and private folders of the run are counted until they are
gone. Which trials there are, and what the figures mean, is the campaign's affair.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from commands import SEATRIAL, SHOP, Command, Place
from survival_kills import EVERY, Crew, processes_of
from survival_state import State, differences, look
from terminals import Terminal

from runner.chaos.client import ApiRefusalError, Cluster
from runner.errors import RecordingError
from runner.model.recording import unhealed
from runner.store import RunDir

START_S, LASTS_S, MORE_S = 4.0, 3.0, 2.0
"""When a fault begins, how long it lasts, and how long the load goes on after the last one."""
JUDGED_AFTER_S = 10.0
POLL_S = 0.25
TRIES, EARLIER_S = 3, 0.6
"""A trial whose kill found nobody to strike is repeated, a little earlier."""
END_BOUND_S = 90.0
"""A run that is asked to end writes its report before it does."""
GONE_BOUND_S = 30.0
WHOLE_BOUND_S = 60.0

Fault = Mapping[str, Any]


def _client(kind: str, at_s: float = START_S, lasts_s: float = LASTS_S, **more: Any) -> Fault:
    when = {"at": f"{at_s}s", "duration": f"{lasts_s}s"}
    return {"kind": kind, "service": "payment-api", **when, **more}


FAULTS: Final[Mapping[str, Sequence[Fault]]] = MappingProxyType(
    {
        "client-abort": [_client("http-abort", status=503, percent=50)],
        "client-delay": [_client("http-delay", delay="200ms")],
        "server-abort": [_client("http-abort", status=503, side="server", count=1)],
        "server-delay": [_client("http-delay", delay="200ms", side="server")],
        "pod-kill": [_client("pod-kill")],
        # Both change one object at the same moments.
        "overlap-client": [
            _client("http-delay", delay="200ms"),
            _client("http-abort", status=503),
        ],
        "overlap-later": [
            _client("http-delay", lasts_s=4.0, delay="200ms"),
            _client("http-abort", START_S + 2.0, 4.0, status=503),
        ],
        "overlap-sides": [
            _client("http-delay", delay="200ms", side="server"),
            _client("http-abort", status=503),
        ],
        "overlap-marks": [
            _client("http-abort", status=503, side="server", count=1),
            _client("http-delay", delay="200ms"),
        ],
        "overlap-pods": [
            _client("http-delay", delay="200ms", side="server", count=1),
            _client("pod-kill"),
        ],
        "scale": [_client("scale", replicas=1)],
        "cordon": [_client("cordon")],
        "network-deny": [_client("network-deny")],
    }
)
"""Name to the faults of one experiment."""


@dataclass(frozen=True)
class Trial:
    """What is done.

    Attributes:
        number: Tells it from the others.
        kill: One of ``EVERY``.
        faults: One of ``FAULTS``.
        moment_s: When to strike, in seconds from the start of the load; negative ones count from
            the start of the process, so that -0.5 is half a second after that.
    """

    number: int
    kill: str
    faults: str
    moment_s: float


@dataclass
class Outcome:
    """What became of it.

    Attributes:
        struck: Which processes were struck, and how.
        in_place: Whether anything differed from the state before at the moment of the kill.
        objects: How many objects were compared.
        clean_s: Seconds from the kill until the last difference was gone; for a run that goes on,
            from the planned end of its faults if that is later. 0 where there never was one.
        residual: Differences 10 s after the kill.
        later: Differences when all processes of the run were gone.
        processes: What was still running in the end.
        stale: How many private folders of killed processes waited for the next command.
        files: What that did not remove.
        gone_s: Seconds from the kill until the last process of the run was gone.
        unhealed: Faults that the run's journal does not know to be healed.
        code: Exit code of the runner.
        trouble: Why this trial proves nothing.
    """

    trial: Trial
    struck: str = ""
    in_place: bool = False
    objects: int = 0
    clean_s: float = 0.0
    residual: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    stale: int = 0
    files: list[str] = field(default_factory=list)
    gone_s: float = 0.0
    unhealed: list[str] = field(default_factory=list)
    code: int | None = None
    trouble: str = ""

    @property
    def harmless(self) -> bool:
        """Whether nothing was left, and the trial counts."""
        left = self.residual or self.later or self.processes or self.files or self.unrecorded
        return not (left or self.trouble)

    @property
    def unrecorded(self) -> list[str]:
        """Faults that the journal should know to be healed, and does not."""
        return self.unhealed if EVERY[self.trial.kill].recorded else []


@dataclass(frozen=True)
class Sea:
    """A sandbox that is up, and where runs on it are kept.

    Attributes:
        name: Of the sandbox, for people.
        home: The folder of all sandboxes.
        cluster: A client of its API server.
        namespace: The shop's.
        folder: Holds one folder for each trial.
        options: How the run finds it: arguments after ``run EXPERIMENT``.
        environment: Added to that of the run.
        program: What is run.
        prepare: Puts more into the folder of a trial.
        at_strike: Called right before the kill.
        judged_after_s: When what is left is residual, in seconds from the kill.
        keep: Whether folders of trials without trouble are kept.
    """

    name: str
    home: Path
    cluster: Cluster
    namespace: str
    folder: Path
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = (str(SEATRIAL),)
    prepare: Callable[[Place], object] = lambda place: None
    at_strike: Callable[[], object] = lambda: None
    judged_after_s: float = JUDGED_AFTER_S
    keep: bool = False

    def look(self) -> State:
        return look(self.cluster, self.namespace)

    def until_whole(self, wanted: State) -> list[str]:
        """Wait until all is as in ``wanted``, bounded; returns what still differs."""
        until_s = time.monotonic() + WHOLE_BOUND_S
        while (left := differences(wanted, self.look())) and time.monotonic() < until_s:
            time.sleep(POLL_S)
        return left


def attempt(trial: Trial, sea: Sea) -> Outcome:
    """Carry out one trial, again and a little earlier when it proves nothing."""
    for number in range(TRIES):
        outcome = sail(trial, replace(sea, folder=sea.folder / f"try-{number + 1}"))
        if not outcome.trouble:
            break
        trial = replace(trial, moment_s=round(trial.moment_s - EARLIER_S, 3))
    return outcome


def sail(trial: Trial, sea: Sea) -> Outcome:
    """Carry out one trial; the sandbox is as before when nothing is said to be left."""
    place = Place.make(sea.folder / f"trial-{trial.number}", sea.home)
    sea.prepare(place)
    name = place.experiment(
        "trial",
        load={
            "locustfile": SHOP,
            "stages": [{"duration": f"{ends_s(trial) + MORE_S}s", "users": 2}],
        },
        faults=FAULTS[trial.faults],
        objectives=["errors < 99%"],
    )
    before, outcome = sea.look(), Outcome(trial)
    outcome.objects = before.size
    argv = ("run", name, *sea.options)
    with _under_way(place, argv, sea, trial.kill == "hup") as (command, hang_up):
        try:
            _await_moment(command, trial.moment_s)
        except AssertionError as error:
            outcome.trouble = str(error)
            command.process.kill()
        crew = Crew(command.process.pid, place.temp, hang_up)
        outcome.in_place = bool(differences(before, sea.look()))
        sea.at_strike()
        outcome.struck = EVERY[trial.kill].strike(crew)
        _watch(outcome, before, sea, time.monotonic(), command)
    if not outcome.struck:
        outcome.trouble = outcome.trouble or "nobody was there to strike"
    run = place.run_of("trial")
    outcome.unhealed = sorted(unhealed(_events(run))) if run else []
    if outcome.harmless and not sea.keep:
        shutil.rmtree(place.root)
    return outcome


@contextlib.contextmanager
def _under_way(place: Place, argv: Sequence[str], sea: Sea, on_terminal: bool) -> Any:
    """The command, and what closes its terminal; both are gone at the end."""
    terminal = Terminal(place.root / "terminal") if on_terminal else None
    if terminal is not None:
        command = Command.start_on_terminal(place, terminal, *argv, program=sea.program)
    else:
        command = Command.start(place, *argv, env=sea.environment, program=sea.program)
    try:
        yield command, terminal.close if terminal else lambda: None
    finally:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()
        for process in processes_of(place.temp):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if terminal is not None:
            terminal.close()


def _await_moment(command: Command, moment_s: float) -> None:
    """Wait for a moment of the run's own clock."""
    if moment_s < 0:
        time.sleep(-moment_s)
        return
    anchor_s = command.until(lambda: _anchor(command.run), "the start of the load")
    time.sleep(max(0.0, anchor_s + moment_s - time.time()))


def _anchor(run: RunDir | None) -> float | None:
    """Unix time of the start of the load, once it has started."""
    if run is None:
        return None
    with contextlib.suppress(RecordingError):
        anchor = run.read_manifest().anchor
        return anchor.load_started_wall_s if anchor else None
    return None


def _watch(outcome: Outcome, before: State, sea: Sea, killed_s: float, command: Command) -> None:
    """Look four times a second, judge after ten seconds, and wait for the run to be gone.

    A run that goes on has its faults until their planned end: there the ten seconds begin, if that
    is later than the kill.
    """
    temp, dirty_s, seen_s = command.place.temp, None, killed_s
    while (now_s := time.monotonic()) < _due_s(outcome.trial, killed_s, command) + (
        sea.judged_after_s
    ):
        if _differences(before, sea):
            dirty_s = now_s
        if command.process.poll() is None or processes_of(temp):
            seen_s = now_s
        time.sleep(POLL_S)
    outcome.residual = _differences(before, sea)
    if dirty_s is not None:
        due_s = _due_s(outcome.trial, killed_s, command)
        outcome.clean_s = max(0.0, dirty_s + POLL_S - due_s)
    outcome.gone_s = max(seen_s, _until_gone(command)) - killed_s
    outcome.code = command.process.poll()
    outcome.processes = [" ".join(p.cmdline()) for p in processes_of(temp)]
    outcome.stale = len(list(temp.iterdir()))
    if outcome.stale:
        _start_another(command)
    outcome.files = sorted(str(path.relative_to(temp)) for path in temp.iterdir())
    outcome.later = _differences(before, sea)


def _due_s(trial: Trial, killed_s: float, command: Command) -> float:
    """When nothing should be there any more: the kill, or the faults' end in a run that goes on.

    As long as such a run has not started its load, that is a moment that has not come yet.
    """
    if EVERY[trial.kill].ends_run:
        return killed_s
    anchor_s = _anchor(command.run)
    if anchor_s is not None:
        return max(killed_s, time.monotonic() + anchor_s + ends_s(trial) - time.time())
    if command.process.poll() is not None:
        return killed_s
    return min(time.monotonic(), killed_s + END_BOUND_S)


def _start_another(command: Command) -> None:
    """What every command does first: remove the private folders that nobody holds any more."""
    argv = [sys.executable, "-c", "from runner.private import remove_stale; remove_stale()"]
    subprocess.run(argv, env=command.place.environment(), timeout=GONE_BOUND_S, check=True)


def _until_gone(command: Command) -> float:
    """Wait for the last process of the run; returns when it was last seen, or 0."""
    seen_s, until_s = 0.0, time.monotonic() + END_BOUND_S
    while command.process.poll() is None and time.monotonic() < until_s:
        seen_s = time.monotonic()
        time.sleep(POLL_S)
    until_s = time.monotonic() + GONE_BOUND_S
    while processes_of(command.place.temp) and time.monotonic() < until_s:
        seen_s = time.monotonic()
        time.sleep(POLL_S)
    return seen_s


def _differences(before: State, sea: Sea) -> list[str]:
    try:
        return differences(before, sea.look())
    except ApiRefusalError as error:
        return [f"nobody can look: {error.message}"]


def times_of(fault: Fault) -> tuple[float, float]:
    """When a fault begins and ends, in seconds of load."""
    at_s = float(fault["at"][:-1])
    return at_s, at_s + float(fault["duration"][:-1])


def ends_s(trial: Trial) -> float:
    """When the last fault ends, in seconds of load."""
    return max(times_of(fault)[1] for fault in FAULTS[trial.faults])


def _events(run: RunDir) -> Any:
    try:
        return run.read_events()
    except (RecordingError, json.JSONDecodeError):
        return ()
