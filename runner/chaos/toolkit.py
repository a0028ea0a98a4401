"""Faults as Chaos Toolkit children: the real :class:`runner.ports.FaultInjector`.

Nothing of the tool is loaded here; it runs in a child of its own process group, that calls nobody,
writes only into the fault's folder, and undoes its fault when this process dies. What the exit code
of the child says is never believed. The undo that counts is ``heal``, a second program.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from runner.chaos.compile import GATE_STRATEGY, ROLLBACK_STRATEGY, compile_fault
from runner.chaos.environment import child_environment
from runner.chaos.foreign import child_of, placed
from runner.chaos.guarding import GuardianChild, start_guardian
from runner.chaos.healing import HEAL_ATTEMPTS, heal_target
from runner.chaos.healthread import HealThread
from runner.errors import FaultError
from runner.model.plan import PlannedFault
from runner.model.recording import TargetInfo
from runner.ports import HealReport
from runner.private import PrivateFolder, held
from runner.process import ChildProcess
from runner.store import (
    FAULT_EFFECTS,
    FAULT_EXPERIMENT,
    FAULT_JOURNAL,
    FAULT_LOG,
    to_json,
    write_atomically,
)

__all__ = ["ChaosChild", "ToolkitInjector", "chaos_argv", "child_environment", "heal_target"]


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
    _folder: Path | None = field(default=None, init=False, repr=False)

    def guard(self, run_id: str, target: TargetInfo, folder: Path) -> GuardianChild:
        _require_kubeconfig(target)
        self._folder = folder
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
        named, cwd = child_of(fault.fault, os.environ)
        workdir.mkdir(parents=True, exist_ok=True)
        folder = workdir.resolve()
        write_atomically(folder / FAULT_EXPERIMENT, to_json(placed(experiment, cwd, folder)))
        private = PrivateFolder()
        extra = {"SEATRIAL_EFFECTS": str(folder / FAULT_EFFECTS), "SEATRIAL_RUN_ID": run_id}
        try:
            with held(private.path, Path(target.kubeconfig).parent) as descriptors:
                child = ChildProcess(
                    chaos_argv(self.python, folder),
                    log=folder / FAULT_LOG,
                    env=named | child_environment(os.environ, target, private.path) | extra,
                    cwd=cwd or private.path,
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
        attempts = HEAL_ATTEMPTS
        if self._guardian is not None and self._guardian.run_id == run_id:
            report = self._guardian.heal(fault_id)
            if report is not None and not report.left:
                return report
            attempts -= 1  # That was one.
        return heal_target(
            target,
            run_id,
            fault_id,
            run_folder=self._folder,
            python=self.python,
            attempts=attempts,
        )

    def begin_heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealThread:
        return HealThread(lambda: self.heal(run_id, fault_id, target))


def chaos_argv(python: str, workdir: Path) -> list[str]:
    """The command line of a fault's child: no version check, no settings, no log of its own."""
    return [
        *(python, "-P", "-m", "chaostoolkit", "--no-version-check", "--no-log-file"),
        *("--settings", str(workdir / "no-settings.yaml")),
        *("run", "--journal-path", str(workdir / FAULT_JOURNAL)),
        *("--rollback-strategy", ROLLBACK_STRATEGY, "--hypothesis-strategy", GATE_STRATEGY),
        str(workdir / FAULT_EXPERIMENT),
    ]


def _require_kubeconfig(target: TargetInfo) -> None:
    if not target.kubeconfig or not Path(target.kubeconfig).is_file():
        raise FaultError(
            f"target {target.name} has no kubeconfig, so no fault can be injected",
            accepted="the path of one kubeconfig file",
        )
