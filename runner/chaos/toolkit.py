"""Faults as Chaos Toolkit children: the real :class:`runner.ports.FaultInjector`.

Nothing of the tool is loaded here; it runs in a child of its own process group, that calls nobody,
writes only into the fault's folder, and undoes its fault when this process dies. What the exit code
of the child says is never believed. The undo that counts is ``heal``, a second program.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.chaos.compile import GATE_STRATEGY, ROLLBACK_STRATEGY, compile_fault
from runner.chaos.guarding import GuardianChild, start_guardian
from runner.errors import ExitCode, FaultError, LeftBrokenError
from runner.model.plan import PlannedFault
from runner.model.recording import TargetInfo
from runner.ports import HealReport
from runner.private import PrivateFolder, held
from runner.process import ChildProcess
from runner.store import to_json, write_atomically

HEAL_ATTEMPTS = 3
HEAL_DEADLINE_S = 10.0
HEAL_START_S = 15.0
"""Allowance for the start of a heal on a busy machine."""

FOREIGN = ("CHAOSTOOLKIT_", "KUBERNETES_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class ChaosChild:
    """A ``chaos run`` that is under way: a :class:`runner.ports.Job`.

    It is asked to end with SIGUSR1, after which it plays its rollbacks. (SIGTERM would be taken for
    the failure of one step.)
    """

    def __init__(self, child: ChildProcess, private: PrivateFolder) -> None:
        self._child = child
        self._private = private

    @property
    def pid(self) -> int:
        return self._child.pid

    def poll(self) -> int | None:
        return self._child.poll()

    def stop(self, grace_s: float) -> None:
        self._child.stop(grace_s)
        self._private.remove()

    def tail(self, lines: int) -> str:
        """What went wrong, if anything was logged as such; else the last lines."""
        text = self._child.tail(500).splitlines()
        bad = [line for line in text if " ERROR]" in line or " CRITICAL]" in line]
        return "\n".join((bad or text)[-lines:])


@dataclass(slots=True)
class ToolkitInjector:
    """Injects faults by ``chaos run``; heals them by ``python -m runner.chaos.heal``.

    While a guardian of the run lives, it is asked first: its client is loaded.

    Args:
        python: Interpreter that has the tool and this package.
    """

    python: str = sys.executable
    _guardian: GuardianChild | None = field(default=None, init=False, repr=False)

    def guard(self, run_id: str, target: TargetInfo, folder: Path) -> GuardianChild:
        _require_kubeconfig(target)
        self._guardian = start_guardian(run_id, target, folder, self.python)
        return self._guardian

    def inject(
        self,
        fault: PlannedFault,
        run_id: str,
        target: TargetInfo,
        workdir: Path,
        starts_at_wall_s: float,
    ) -> ChaosChild:
        _require_kubeconfig(target)
        experiment = compile_fault(fault, target, run_id, starts_at_wall_s)
        workdir.mkdir(parents=True, exist_ok=True)
        folder = workdir.resolve()
        write_atomically(folder / "experiment.json", to_json(experiment))
        private = PrivateFolder()
        extra = {"SEATRIAL_EFFECTS": str(folder / "effects.jsonl"), "SEATRIAL_RUN_ID": run_id}
        try:
            with held(private.path, Path(target.kubeconfig).parent) as descriptors:
                child = ChildProcess(
                    chaos_argv(self.python, folder),
                    log=folder / "chaos.log",
                    env=child_environment(os.environ, target, private.path) | extra,
                    cwd=private.path,
                    stop_signal=signal.SIGUSR1,
                    # Not SIGKILL: an orphan rolls back and ends.
                    death_signal=signal.SIGUSR1,
                    pass_fds=descriptors,
                )
        except OSError as error:
            private.remove()
            raise FaultError(f"fault {fault.id}: Chaos Toolkit does not start: {error}") from error
        return ChaosChild(child, private)

    def heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealReport:
        if self._guardian is not None and self._guardian.run_id == run_id:
            report = self._guardian.heal(fault_id)
            if report is not None and not report.left:
                return report
        return heal_target(target, run_id, fault_id, python=self.python)


def chaos_argv(python: str, workdir: Path) -> list[str]:
    """The command line of a fault's child: no version check, no settings, no log of its own."""
    return [
        *(python, "-P", "-m", "chaostoolkit", "--no-version-check", "--no-log-file"),
        *("--settings", str(workdir / "no-settings.yaml")),
        *("run", "--journal-path", str(workdir / "journal.json")),
        *("--rollback-strategy", ROLLBACK_STRATEGY, "--hypothesis-strategy", GATE_STRATEGY),
        str(workdir / "experiment.json"),
    ]


def child_environment(
    environment: Mapping[str, str], target: TargetInfo, private: Path
) -> dict[str, str]:
    """The environment of a child that speaks to the cluster of ``target``, and to no other.

    Args:
        environment: Ours, for log-in plug-ins that need it.
        target: Whose kubeconfig is handed over.
        private: A folder of mode 0700, for the client's temporary files.
    """
    local = target.kind == "sandbox"
    kept = {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(FOREIGN[:2] if not local else FOREIGN)
    }
    context = {"KUBERNETES_CONTEXT": target.context} if target.context else {}
    return (
        kept
        | context
        | {
            "KUBECONFIG": str(Path(target.kubeconfig).resolve()),
            "TMPDIR": str(private),
            "SEATRIAL_PRIVATE": str(private),
            "PYTHONUNBUFFERED": "1",
            "TERM": "dumb",  # Otherwise the tool colours its log.
        }
    )


def heal_target(
    target: TargetInfo,
    run_id: str | None,
    fault_id: str | None,
    expired_only: bool = False,
    *,
    everywhere: bool = False,
    python: str = sys.executable,
    attempts: int = HEAL_ATTEMPTS,
    deadline_s: float = HEAL_DEADLINE_S,
) -> HealReport:
    """Remove what faults left on ``target``, and look again; bounded in time.

    Args:
        target: Whose kubeconfig, context and namespace are used.
        run_id: Only what this run left; of every run when None.
        fault_id: Only this fault of the run.
        expired_only: Without a run: only what is past its time.
        everywhere: Look in all namespaces, as far as that is allowed.
        python: Interpreter that has this package.
        attempts: Heals that are started before giving up.
        deadline_s: Bound of each, in seconds.

    Returns:
        What was removed, and what could not be.

    Raises:
        LeftBrokenError: When nobody could even look.
    """
    argv = [python, "-P", "-m", "runner.chaos.heal", "--namespace", target.namespace]
    argv += ["--deadline", f"{deadline_s:g}"]
    argv += ["--context", target.context] if target.context else []
    if run_id is not None:
        argv += ["--run", run_id] + (["--fault", fault_id] if fault_id else [])
    else:
        argv += ["--expired" if expired_only else "--all"]
    argv += ["--everywhere"] if everywhere else []
    problem = "it was never tried"
    removed: list[str] = []
    for attempt in range(attempts):
        time.sleep(attempt)
        code, answer = _run_heal(argv, target, deadline_s)
        if "error" in answer:
            problem = str(answer["error"])
            continue
        removed += [item for item in answer["removed"] if item not in removed]
        if code == ExitCode.PASS or attempt == attempts - 1:
            left, others = tuple(answer["left"]), tuple(answer["others"])
            return HealReport(removed=tuple(removed), left=left, others=others)
        problem = "; ".join(answer["left"])
    raise LeftBrokenError(
        f"cannot see whether a fault is left in {target.namespace} of {target.name}: {problem}",
        hint=f"when the API server answers again: seatrial heal {run_id or '--all'}",
    )


def _run_heal(argv: list[str], target: TargetInfo, deadline_s: float) -> tuple[int, dict[str, Any]]:
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
                timeout=deadline_s + HEAL_START_S,
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


def _require_kubeconfig(target: TargetInfo) -> None:
    if not target.kubeconfig or not Path(target.kubeconfig).is_file():
        raise FaultError(
            f"target {target.name} has no kubeconfig, so no fault can be injected",
            accepted="the path of one kubeconfig file",
        )
