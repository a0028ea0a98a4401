"""Healing a target from a process that loads no Kubernetes client: ``heal`` in a child, bounded.

What the child says is read from its report, never from its exit code alone; a child that says
nothing is tried again, and in the end that is an error which names what may be left, and the
command that finishes the work.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.chaos.environment import child_environment
from runner.chaos.foreign import PLAY_DEADLINE_S
from runner.chaos.objects import CONFIG_MAPS
from runner.errors import ExitCode, LeftBrokenError
from runner.model.faultmark import EXPIRY_MARGIN_S, heal_command
from runner.model.recording import TargetInfo
from runner.ports import HealReport
from runner.private import PrivateFolder, held
from runner.store import FAULT_EFFECTS, RunDir

HEAL_ATTEMPTS = 3
HEAL_DEADLINE_S = 10.0
HEAL_START_S = 15.0
"""Allowance for the start of a heal on a busy machine, and for the request that is under way."""


def heal_target(
    target: TargetInfo,
    run_id: str | None,
    fault_id: str | None,
    expired_only: bool = False,
    *,
    everywhere: bool = False,
    run_folder: Path | None = None,
    expected: Sequence[str] = (),
    margin_s: float = EXPIRY_MARGIN_S,
    python: str = sys.executable,
    attempts: int = HEAL_ATTEMPTS,
    deadline_s: float = HEAL_DEADLINE_S,
    request_s: float | None = None,
) -> HealReport:
    """Remove what faults left on ``target``, and look again; bounded in time.

    Args:
        target: Whose kubeconfig, context and namespace are used.
        run_id: Only what this run left; of every run when None.
        fault_id: Only this fault of the run.
        expired_only: Without a run: only what is past its time.
        everywhere: Look in all namespaces, as far as that is allowed.
        run_folder: The run's folder, if it is on this machine: what is known to have been changed
            is read there, and rollbacks that are kept in it are played.
        expected: Objects (``virtualservice/x``) that are known to have been changed, beside those.
        margin_s: With ``expired_only``: seconds that must have passed since.
        python: Interpreter that has this package.
        attempts: Heals that are started before giving up.
        deadline_s: Bound of each, in seconds; rollbacks that are played have one of their own.
        request_s: Bound of the wait for each answer of the API server; the client's when None.

    Returns:
        What was removed, and what could not be.

    Raises:
        LeftBrokenError: When nobody could even look.
    """
    folder = None if run_folder is None else RunDir(run_folder)
    known = list(dict.fromkeys([*expected, *_changed(folder, fault_id)]))
    argv = [python, "-P", "-m", "runner.chaos.heal", "--namespace", target.namespace]
    argv += ["--deadline", f"{deadline_s:g}", "--margin", f"{margin_s:g}"]
    argv += ["--context", target.context] if target.context else []
    argv += ["--request-timeout", f"{request_s:g}"] if request_s is not None else []
    argv += ["--run-folder", str(run_folder.resolve())] if run_folder is not None else []
    argv += [f"--expect={subject}" for subject in known]
    argv += _which(run_id, fault_id, expired_only=expired_only)
    argv += ["--everywhere"] if everywhere else []
    markers = sum(subject.startswith(CONFIG_MAPS.subject("")) for subject in known)
    bound_s = deadline_s + HEAL_START_S + markers * PLAY_DEADLINE_S
    problem = "it was never tried"
    removed: list[str] = []
    for attempt in range(attempts):
        time.sleep(min(attempt, deadline_s))
        code, answer = _run_heal(argv, target, bound_s)
        if "error" in answer:
            problem = str(answer["error"])
            continue
        removed += [item for item in answer["removed"] if item not in removed]
        if code == ExitCode.PASS or attempt == attempts - 1:
            told = {name: tuple(answer.get(name, ())) for name in ("left", "others", "notes")}
            return HealReport(removed=tuple(removed), **told)
        problem = "; ".join(answer["left"])
    raise LeftBrokenError(
        f"cannot see whether {_what(target, run_id, fault_id, known)}: {problem}",
        hint="when the API server answers again: "
        f"{heal_command(run_id, target.kind, target.name, target.flags)}",
    )


def _which(run_id: str | None, fault_id: str | None, *, expired_only: bool) -> list[str]:
    """The flags that say which faults."""
    if run_id is None:
        return ["--expired" if expired_only else "--all"]
    return ["--run", run_id, *(["--fault", fault_id] if fault_id else [])]


def _changed(folder: RunDir | None, fault_id: str | None) -> list[str]:
    """The objects that faults of a run have changed and, as far as is known, not changed back."""
    if folder is None:
        return []
    faults = [fault_id] if fault_id is not None else folder.fault_ids()
    return [subject for fault in faults for subject in changed_subjects(folder.fault_dir(fault))]


def changed_subjects(workdir: Path) -> list[str]:
    """The objects that a fault has changed, by the effects in its folder, and not changed back.

    Never raises: what cannot be read is not known.
    """
    try:
        lines = (workdir / FAULT_EFFECTS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    changed: dict[str, None] = {}
    for line in lines:
        try:
            effect = json.loads(line)
            what, subject = effect["what"], str(effect["subject"])
        except (ValueError, TypeError, KeyError):
            continue  # The last line of a child that was killed.
        if what == "injected":
            changed[subject] = None
        elif what == "removed":
            changed.pop(subject, None)
    return list(changed)


def _what(
    target: TargetInfo, run_id: str | None, fault_id: str | None, known: Sequence[str]
) -> str:
    """``virtualservice/x in n of t still carries the fault f of run r``, as far as known."""
    where = f"in {target.namespace} of {target.name}"
    fault = f"the fault {fault_id}" if fault_id else "a fault"
    whose = f"{fault} of run {run_id}" if run_id else fault
    if not known:
        return f"{whose} is left {where}"
    return f"{', '.join(known)} {where} still {'carry' if len(known) > 1 else 'carries'} {whose}"


def _run_heal(argv: list[str], target: TargetInfo, bound_s: float) -> tuple[int, dict[str, Any]]:
    """Exit code and report of one heal; the report is ``{"error": …}`` when there is none."""
    with (
        PrivateFolder() as private,
        held(private, Path(target.kubeconfig).parent) as descriptors,
    ):
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=bound_s,
                env=child_environment(os.environ, target, private),
                cwd=private,
                pass_fds=descriptors,
                # Ctrl-C in the terminal must not reach it: an undo is finished.
                start_new_session=True,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return ExitCode.INCONCLUSIVE, {"error": f"the heal did not work: {error}"}
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return done.returncode, {"error": f"the heal ended with {done.returncode}: {last}"}
    return done.returncode, answer
