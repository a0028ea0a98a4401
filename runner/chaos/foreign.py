"""Faults made of somebody else's Chaos Toolkit activities: their environment, and their undo.

Such a fault can be undone by its own rollbacks only. They stand in the run folder, in the
experiment that the fault's child was given, and nowhere else: what is read from a cluster is data,
and is never carried out. Loads nothing of the tool, which runs in a child.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from runner.chaos.effects import EFFECTS_ENV
from runner.errors import FaultError
from runner.model.activity import environment_names, unset_variables
from runner.model.fault import ChaosToolkit, Fault
from runner.process import die_with_parent
from runner.readback import read_journal
from runner.store import FAULT_EFFECTS, FAULT_EXPERIMENT, FAULT_LOG, to_json, write_atomically

log = logging.getLogger(__name__)

PLACE: Final = "seatrial-place"
"""The extension that says, relative to the fault's folder, where relative paths count from."""


STEADY_STATE: Final = "seatrial-steady-state"
"""The extension that holds the steady state of an experiment that has no method left."""

PLAY_DEADLINE_S: Final = 12.0
"""Less than what a heal is given."""

ASK_S: Final = 5.0
"""How long a child that is past its deadline may take to end by itself."""

JOURNAL: Final = "rollbacks-journal.json"
TURN: Final = "rollbacks.lock"
TURN_S: Final = PLAY_DEADLINE_S + ASK_S
"""How long somebody else's replay is waited for: as long as one may take."""

_TURN_STEP_S: Final = 0.1


def play_rollbacks(
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    python: str = sys.executable,
    deadline_s: float = PLAY_DEADLINE_S,
    turn_s: float = TURN_S,
) -> list[str]:
    """Play the rollbacks of a fault again, and take its marker away if all of them succeeded.

    They are carried out by ``chaos run``, in a child that is bounded in time. Can be repeated: the
    rollbacks bear that, and without a marker there is nothing to take away. Two at a time, as of a
    guardian and of an orphaned heal, take turns: who finds that the other one has succeeded while
    it waited has nothing to do any more.

    Args:
        folder: The fault's own folder, ``chaos/<fault>`` of its run's.
        environment: Of the child: ``KUBECONFIG`` and ``KUBERNETES_CONTEXT`` of the target, and the
            variables that the fault's configuration and secrets name. Default: our own.
        python: Interpreter that has the tool and this package.
        deadline_s: Bound of the child, in seconds.
        turn_s: Bound of the wait for somebody else's replay, in seconds; then ours is played.

    Returns:
        Why the fault is not undone, in sentences; empty when it is.
    """
    try:
        experiment = _read(folder / FAULT_EXPERIMENT)
    except FaultError as error:
        return [error.message]
    if not experiment.get("rollbacks"):
        return [f"{folder / 'experiment.json'} has no rollbacks"]
    env = dict(os.environ if environment is None else environment)
    parts = (experiment.get("configuration") or {}, experiment.get("secrets") or {})
    if missing := unset_variables(*parts, env):
        return [f"the rollbacks need {', '.join(missing)}, which the environment lacks"]
    replay = _without_method(experiment)
    env[EFFECTS_ENV] = str((folder / FAULT_EFFECTS).resolve())
    journal = folder / JOURNAL
    found = _version(journal)
    with _turn(folder, turn_s) as (waited, descriptors):
        # What was there before we waited says nothing about now.
        fresh = waited and _version(journal) not in (None, found)
        if fresh and not _judged(journal, len(replay["rollbacks"]), ""):
            return []
        argv = _replay_argv(python, folder.resolve())
        return _play(argv, replay, folder, env, deadline_s=deadline_s, descriptors=descriptors)


def _play(
    argv: list[str],
    replay: dict[str, Any],
    folder: Path,
    env: Mapping[str, str],
    *,
    deadline_s: float,
    descriptors: tuple[int, ...],
) -> list[str]:
    """Carry out ``replay``; why the fault is not undone."""
    journal = folder / JOURNAL
    try:
        journal.unlink(missing_ok=True)  # An old one must not be taken for the new one.
        write_atomically(folder / "rollbacks.json", to_json(replay))
        cwd = _place(replay, folder)
        problem = _bounded(argv, folder, env, cwd, deadline_s=deadline_s, descriptors=descriptors)
    except OSError as error:
        return [f"the rollbacks cannot be played: {error}"]
    return _judged(journal, len(replay["rollbacks"]), problem)


@contextlib.contextmanager
def _turn(folder: Path, turn_s: float) -> Iterator[tuple[bool, tuple[int, ...]]]:
    """Let one replay at a time go on: whether another was waited for, and the lock, if it is ours.

    The lock is handed to the child, so that it lasts until the child has ended, too. Where it
    cannot be had, in time or at all, we go on without: the rollbacks bear to be repeated, and not
    to play them may leave the fault.
    """
    waited = False
    ours: tuple[int, ...] = ()
    try:
        descriptor = os.open(folder / TURN, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log.warning("the rollbacks are played without a lock: %s", error)
        yield waited, ()
        return
    try:
        until_s = time.monotonic() + turn_s
        while not ours:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                ours = (descriptor,)
            except BlockingIOError:
                waited = True
                if time.monotonic() >= until_s:
                    log.warning("somebody else plays the rollbacks for more than %g s", turn_s)
                    break
                time.sleep(_TURN_STEP_S)
            except OSError as error:  # A file system that has no locks.
                log.warning("the rollbacks are played without a lock: %s", error)
                break
        yield waited, ours
    finally:
        os.close(descriptor)


def _version(journal: Path) -> tuple[int, int] | None:
    """What tells a journal from the one before it; None when there is none."""
    with contextlib.suppress(OSError):
        found = journal.stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _without_method(experiment: dict[str, Any]) -> dict[str, Any]:
    """Only the rollbacks. The steady state is no gate any more, and stands aside for the look."""
    kept = dict(experiment) | {"method": []}
    hypothesis = kept.pop("steady-state-hypothesis", None) or {}
    aside = {"name": STEADY_STATE, "probes": hypothesis.get("probes", [])}
    return kept | {"extensions": [*experiment.get("extensions", ()), aside]}


def _judged(journal: Path, rollbacks: int, problem: str) -> list[str]:
    """What the journal of a replay says against its success."""
    if not journal.exists():
        return [problem or "the rollbacks left no journal: see chaos.log beside it"]
    status, failed = read_journal(journal)
    said = [f"rollback {failure}" for failure in failed]
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        played = len(json.loads(journal.read_text(encoding="utf-8")).get("rollbacks") or ())
        if played < rollbacks:
            said.append(f"only {played} of {rollbacks} rollbacks were played")
    if status != "completed" and not said:
        said.append(f"the journal of the rollbacks is {status or 'without a status'}")
    return said + ([problem] if problem and not said else [])


def _read(path: Path) -> dict[str, Any]:
    try:
        experiment = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FaultError(f"the rollbacks cannot be read from {path}: {error}") from error
    if not isinstance(experiment, dict):
        raise FaultError(f"{path} is not an experiment")
    return experiment


def _replay_argv(python: str, folder: Path) -> list[str]:
    return [
        *(python, "-P", "-m", "chaostoolkit", "--no-version-check", "--no-log-file"),
        *("--settings", str(folder / "no-settings.yaml")),
        *("run", "--journal-path", str(folder / JOURNAL)),
        *("--rollback-strategy", "always"),
        str(folder / "rollbacks.json"),
    ]


def _bounded(
    argv: list[str],
    folder: Path,
    env: Mapping[str, str],
    cwd: Path,
    *,
    deadline_s: float,
    descriptors: tuple[int, ...],
) -> str:
    """Run the child in a session of its own; what went wrong, or empty. Nothing of it stays."""
    with (folder / FAULT_LOG).open("ab") as out:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            # Ctrl-C in the terminal must not reach it: an undo is finished.
            start_new_session=True,
            pass_fds=descriptors,
            preexec_fn=die_with_parent(signal.SIGUSR1),  # noqa: PLW1509
        )
        problem = ""
        try:
            code = child.wait(deadline_s)
            problem = f"the rollbacks ended with {code}" if code else ""
        except subprocess.TimeoutExpired:
            problem = f"the rollbacks were not over after {deadline_s:g} s"
            child.send_signal(signal.SIGUSR1)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(ASK_S)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return problem


def child_of(fault: Fault, environment: Mapping[str, str]) -> tuple[dict[str, str], Path | None]:
    """What the child of ``fault`` is given beside what every child has.

    Returns:
        Variables of its environment, and its working folder; None for its private one.

    Raises:
        FaultError: When a variable that it needs is missing.
    """
    if not isinstance(fault, ChaosToolkit):
        return {}, None
    return foreign_environment(fault.configuration, fault.secrets, environment), Path.cwd()


def placed(experiment: dict[str, Any], cwd: Path | None, folder: Path) -> dict[str, Any]:
    """``experiment`` with a note of its working folder, relative to ``folder``, for a replay."""
    if cwd is None:
        return experiment
    place = {"name": PLACE, "cwd": os.path.relpath(cwd, folder)}
    return experiment | {"extensions": [*experiment.get("extensions", ()), place]}


def _place(experiment: Mapping[str, Any], folder: Path) -> Path:
    for extension in experiment.get("extensions") or ():
        if extension.get("name") == PLACE and (folder / str(extension["cwd"])).is_dir():
            return (folder / str(extension["cwd"])).resolve()
    return Path.cwd()


def foreign_environment(
    configuration: Mapping[str, Any], secrets: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, str]:
    """The variables of ``environment`` that a fault's configuration and secrets name.

    Raises:
        FaultError: When one without a default is missing: names it, never its value.
    """
    missing = unset_variables(configuration, secrets, environment)
    if missing:
        raise FaultError(
            f"Chaos Toolkit activities need {', '.join(missing)}, which the environment lacks",
            hint="export it before the run; its value is never written down",
        )
    names = environment_names([dict(configuration), dict(secrets)])
    return {name: environment[name] for name, _ in names if name in environment}
