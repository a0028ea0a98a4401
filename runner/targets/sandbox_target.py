"""The sandbox as a target: used if it is up, else started for the run and taken down after it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from runner.errors import TargetBusyError, TargetError
from runner.model.plan import Plan
from runner.model.recording import TargetInfo
from runner.model.target import Rules
from runner.targets import lease
from runner.targets.inspection import read_objects
from runner.targets.lease import HOLD_S, Heal, unhealed, untold
from runner.targets.reachability import check_ingress, check_prometheus
from runner.targets.sandbox import control
from runner.targets.snapshot import write_snapshot
from runner.targets.survey import readiness

START_BOUND_S = 90.0
RULES = Rules()


def sandbox_info(name: str, rules: Rules = RULES) -> TargetInfo | None:
    """Where the sandbox ``name`` is, and what may be broken in it; None when it is not up.

    A part of it may have failed: as long as its API server is there, so may be a fault.
    """
    info = control.status(name)
    if info is None or not info.api_url or not info.kubeconfig.is_file():
        return None
    return _target_info(info, rules)


def _target_info(info: control.SandboxInfo, rules: Rules) -> TargetInfo:
    return TargetInfo(
        kind="sandbox",
        name=info.name,
        namespace=info.namespace,
        ingress_url=info.ingress_url,
        host=info.host,
        prometheus_url=info.prometheus_url,
        kubeconfig=str(info.kubeconfig),
        context=info.context,
        identity=f"{info.context} at {info.api_url}",
        bounds=rules.bounds,
        parts=dict(info.parts),
    )


class SandboxTarget:
    """The sandbox called ``name``, or one of the run's own.

    Args:
        name: A sandbox of this name is used if it is up.
        rules: What may be broken in it.
        ignore_alerts: Whether a run may begin although alerts fire.
        folders: Where locustfiles may be, which are read to tell whom the load reaches.
        keep: Start it under this very name if it is not up, and leave it up.
        hold_s: How long the run may take; matters where its Lease cannot be renewed.
        heal: Removes what a run that is no more has left, before its Lease is taken over.
        tell: Called with what is used, in words, and with warnings.
    """

    def __init__(
        self,
        name: str,
        *,
        rules: Rules = RULES,
        ignore_alerts: bool = False,
        folders: Sequence[Path] = (),
        keep: bool = False,
        hold_s: float = HOLD_S,
        heal: Heal = unhealed,
        tell: Callable[[str], None] = untold,
    ) -> None:
        self._name = name
        self._rules = rules
        self._ignore_alerts = ignore_alerts
        self._folders = tuple(folders)
        self._remarks: tuple[str, ...] = ()
        self._keep = keep
        self._hold_s = hold_s
        self._tell = tell
        self._heal = heal
        self._owned = False
        self._left_up = False
        self._lock: TextIO | None = None
        self._run_id = ""
        self._info: TargetInfo | None = None

    def open(self, run_id: str) -> TargetInfo:
        info = control.status(self._name)
        if info is None or info.state == "stopping":
            info = self._start()
        else:
            if info.state != "ready":  # Wait for one that starts; one that has failed is an error.
                info = control.up(self._name, timeout_s=START_BOUND_S)
            self._tell(f"using the running sandbox {self._name!r} (up since {info.since})")
        target = _target_info(info, self._rules)
        self._take_lock(info.home)
        check_ingress(target)
        check_prometheus(target)
        self._info, self._run_id = target, run_id
        if not self._owned:  # Nobody else knows of a sandbox of the run's own.
            lease.take(target, run_id, self._heal, self._tell, self._hold_s)
        return target

    def preflight(self, plan: Plan) -> Sequence[str]:
        found = readiness(
            plan,
            self._opened(),
            self._rules,
            folders=self._folders,
            ignore_alerts=self._ignore_alerts,
        )
        self._remarks = found.remarks
        for remark in found.remarks:
            self._tell(f"warning: {remark}")
        return found.refusals

    def remarks(self) -> Sequence[str]:
        return self._remarks

    def snapshot(self, folder: Path) -> None:
        write_snapshot(read_objects(self._opened()), folder)

    def close(self) -> None:
        if self._info is not None and not self._owned:
            lease.release(self._info, self._run_id, self._tell)
        self._info = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._owned:
            control.down(self._name)
            self._owned = False
        if self._left_up:
            self._left_up = False
            command = f"seatrial sandbox down --name {self._name}"
            self._tell(f"the sandbox {self._name!r} is left up; to take it down: {command}")

    def _start(self) -> control.SandboxInfo:
        if self._keep:
            self._tell(f"starting the sandbox {self._name!r}")
            info = control.up(self._name, timeout_s=START_BOUND_S)
            self._left_up = True
            return info
        # A name of its own: nobody else can come to depend on a sandbox that this run takes down.
        self._name = f"{self._name}-run-{os.getpid()}"
        self._owned = True
        self._tell(f"starting a sandbox of the run's own, {self._name!r}")
        return control.up(self._name, owner_pid=os.getpid(), timeout_s=START_BOUND_S)

    def _take_lock(self, home: Path) -> None:
        """One run at a time; the kernel frees the lock when its holder dies."""
        lock = (home / "run.lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise TargetBusyError(
                f"another run (process {holder}) is using the sandbox {self._name!r}",
                hint="wait for it, or use another sandbox with --sandbox-name",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _opened(self) -> TargetInfo:
        if self._info is None:
            raise TargetError(f"the sandbox {self._name!r} has not been opened")
        return self._info
