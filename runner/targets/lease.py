"""One run at a time in a namespace: a Lease named ``seatrial`` says which, and is renewed.

It is taken here when a target is opened, and renewed by the run's guardian. A Lease that was not
renewed in time, or whose process on this machine is no more, is stale: it is taken over, but only
after the faults of its run are healed. The switch that stops all runs is looked at in the same
moment. The requests are made by a short child, as in ``inspection``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.errors import SeatrialError, TargetBusyError, TargetError
from runner.model import lock
from runner.model.recording import TargetInfo
from runner.ports import HealReport
from runner.process import SystemClock
from runner.targets.inspection import ask_child, child_parser, connect, say
from runner.targets.permissions import REQUEST_S
from runner.targets.preflight import target_flags
from runner.targets.sandbox.state import start_mark

HOLD_S = 3600.0
"""For a run of unknown length, where a Lease cannot be renewed."""
_TRIES = 3

Heal = Callable[[TargetInfo, str], HealReport]
"""Removes what the run of that id has left on the target."""


def untold(text: str) -> None:
    """Tell nobody."""


def unhealed(target: TargetInfo, run_id: str) -> HealReport:
    """Heal nothing: then a stale Lease is not taken over."""
    return HealReport(left=(f"whatever run {run_id} has left on {target.name}",))


def take(
    target: TargetInfo,
    run_id: str,
    heal: Heal,
    tell: Callable[[str], None] = untold,
    hold_s: float = HOLD_S,
) -> None:
    """Take the Lease for a run of this process.

    What may not be had or read is told, and no obstacle.

    Args:
        target: Where.
        run_id: Id of the run.
        heal: Called with the run of a stale Lease, before that is taken over.
        tell: Called with warnings, and when a Lease was taken over.
        hold_s: For how long, where it may not be renewed.

    Raises:
        TargetBusyError: When another run holds it; says who, and until when. When it is stale, but
            the faults of its run cannot be healed; says how to go on.
        TargetError: When runs are stopped there, or the API server does not answer.
    """
    over, taken_from = "", ""
    for _ in range(_TRIES):
        flags = ["--take", f"--hold={hold_s}", *([f"--over={over}"] if over else [])]
        answer = ask_child("lease", target, *flags, *_whose(run_id))
        if stopped := answer.get("stopped"):
            raise _stopped(target, stopped)
        if busy := answer.get("busy"):
            raise TargetBusyError(
                f"another run holds {target.name}: {busy}",
                hint="wait; if it is no more: "
                f"kubectl -n {target.namespace} delete lease {lock.LEASE}",
            )
        if stale := answer.get("stale"):
            taken_from = _healed(target, stale, heal)
            over = stale["version"]
            continue
        for warning in answer.get("warnings", ()):
            tell(f"warning: {warning}")
        if taken_from:
            tell(taken_from)
        return
    raise TargetBusyError(f"others take {target.name} at the same time", hint="try again")


def _healed(target: TargetInfo, stale: Mapping[str, str], heal: Heal) -> str:
    """Heal what the run of a stale Lease left; says what was done.

    Raises:
        TargetBusyError: When that does not work.
    """
    what, run = f"the Lease of a run that is no more ({stale['who']})", stale["run"]
    if not run:
        return f"taken over: {what}"
    try:
        report = heal(target, run)
        left = "; ".join(report.left)
    except SeatrialError as error:
        left = error.message
    if left:
        raise TargetBusyError(
            f"{target.name} is not taken over: {what}, and its faults are not healed: {left}",
            hint=" ".join(filter(None, ("first: seatrial heal", run, target_flags(target)))),
        )
    done = f"healed first: {', '.join(report.removed)}" if report.removed else "it left no fault"
    return f"taken over: {what}; {done}"


def _stopped(target: TargetInfo, why: str) -> TargetError:
    lift = " ".join(filter(None, ("seatrial halt --lift", target_flags(target))))
    return TargetError(
        f"no run may start in {target.namespace} of {target.name}: {why}",
        hint=f"when the reason is gone: {lift}",
    )


def release(target: TargetInfo, run_id: str, tell: Callable[[str], None] = untold) -> None:
    """Give the Lease back, if this run holds it. Idempotent; a failure is told."""
    try:
        why = ask_child("lease", target, *_whose(run_id)).get("refused")
    except TargetError as error:
        why = error.message
    if why:
        tell(f"warning: the Lease in {target.namespace} stays until its time is over: {why}")


def _whose(run_id: str) -> tuple[str, str]:
    return f"--run={run_id}", f"--pid={os.getpid()}"


def process_mark(pid: int) -> str:
    """What tells a process of this machine from all others, also later; empty when it is gone."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # Not Linux.
        return ""
    started = start_mark(pid)
    return f"{boot}/{namespace}/{pid}/{started}" if started else ""


def is_held(lease: lock.Object, wall_s: float) -> bool:
    """Whether somebody still holds ``lease`` at Unix time ``wall_s``.

    By its process, where that is or was on this machine; else by its time and a margin.
    """
    mark = lock.annotation(lease, lock.PROCESS)
    machine, _, pid = mark.rpartition("/")[0].rpartition("/")
    if machine and pid.isdigit() and process_mark(os.getpid()).startswith(f"{machine}/"):
        return process_mark(int(pid)) == mark
    return wall_s < lock.ends_at_s(lease) + lock.MARGIN_S


# -- the child -------------------------------------------------------------------------------------


def main() -> int:
    """Take or release, and print the answer; the exit code says whether there is one."""
    parser = child_parser("lease")
    parser.add_argument("--run", required=True, help="the run that is to hold it")
    parser.add_argument("--pid", type=int, required=True, help="its process")
    parser.add_argument("--take", action="store_true", help="else: release")
    parser.add_argument("--hold", type=float, default=HOLD_S, help="seconds, if not renewable")
    parser.add_argument("--over", default="", help="resourceVersion of a stale one to be replaced")
    asked = parser.parse_args()
    return say(lambda: _carry_out(asked))


def _carry_out(asked: argparse.Namespace) -> dict[str, Any]:
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException

    connection = connect(asked)
    leases = _Leases(client.CoordinationV1Api(connection), asked)
    if asked.take:
        stopped, warnings = _read_switch(client.CoreV1Api(connection), asked.namespace)
        if stopped:
            return {"stopped": stopped}
        answer = leases.take()
        return answer if set(answer) - {"warnings"} else _with(answer, warnings)
    try:
        leases.release()
    except ApiException as error:
        return {"refused": _refusal(error)}
    return {}


def _with(answer: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    every = [*answer.get("warnings", ()), *warnings]
    return {"warnings": every} if every else {}


def _read_switch(core: Any, namespace: str) -> tuple[str, list[str]]:
    """Why runs are stopped in the namespace, and what that look leaves open."""
    from kubernetes.client.exceptions import ApiException

    try:
        switch = _unless((404,), core.read_namespaced_config_map, lock.SWITCH, namespace)
    except ApiException as error:
        if error.status != 403:
            raise
        return "", [
            f"the ConfigMap {lock.SWITCH} in {namespace} cannot be read ({_refusal(error)}), so "
            "`seatrial halt` would not stop this run"
        ]
    return "" if switch is None else lock.why_stopped(switch), []


class _Leases:
    """The requests about the Lease of one namespace."""

    def __init__(self, api: Any, asked: argparse.Namespace) -> None:
        self._api = api
        self._asked = asked
        self._namespace: str = asked.namespace

    def take(self) -> dict[str, Any]:
        from kubernetes.client.exceptions import ApiException

        try:
            for _ in range(_TRIES):
                if (made := self._create(lock.LEASE_S)) is not None:
                    return self._made(made)
                if (found := self._read()) is None:
                    continue
                if is_held(found, SystemClock().wall_s()):
                    return {"busy": f"{lock.who(found)}; {lock.until(found)}"}
                version = found["metadata"]["resourceVersion"]
                if self._asked.over != version:
                    run = lock.annotation(found, lock.RUN)
                    return {"stale": {"who": lock.who(found), "run": run, "version": version}}
                self._delete(found)
        except ApiException as error:
            return {
                "warnings": [
                    f"no Lease can be had in {self._namespace} ({_refusal(error)}), so another "
                    "run there would not be noticed"
                ]
            }
        return {"busy": "others take it at the same time"}

    def _made(self, made: dict[str, Any]) -> dict[str, Any]:
        """Prove that ``made`` can be renewed; else have one for the whole run."""
        from kubernetes.client.exceptions import ApiException

        try:
            body = lock.renewed(made, SystemClock().wall_s())
            _unless((409,), self._api.replace_namespaced_lease, lock.LEASE, self._namespace, body)
        except ApiException as error:
            if error.status != 403:
                raise
            self._delete(made)
            self._create(self._asked.hold)
            return {
                "warnings": [
                    f"the Lease in {self._namespace} cannot be renewed ({_refusal(error)}), so it "
                    f"holds for {self._asked.hold:.0f} s, also when this run is killed"
                ]
            }
        return {}

    def release(self) -> None:
        # Where Leases are forbidden, there was none to take, and that was told.
        found = self._read((403, 404))
        if found is not None and lock.annotation(found, lock.RUN) == self._asked.run:
            self._delete(found)

    def _create(self, seconds: float) -> dict[str, Any] | None:
        pid = self._asked.pid
        body = lock.new_lease(
            self._asked.run,
            process_mark(pid),
            f"process {pid} on {platform.node()}",
            seconds,
            SystemClock().wall_s(),
        )
        return _unless((409,), self._api.create_namespaced_lease, self._namespace, body)

    def _read(self, absent: tuple[int, ...] = (404,)) -> dict[str, Any] | None:
        return _unless(absent, self._api.read_namespaced_lease, lock.LEASE, self._namespace)

    def _delete(self, lease: Mapping[str, Any]) -> None:
        """Delete ``lease`` as it was read, and not what somebody has made of it since."""
        body = {
            "preconditions": {key: lease["metadata"][key] for key in ("uid", "resourceVersion")}
        }
        call = self._api.delete_namespaced_lease
        _unless((404, 409), call, lock.LEASE, self._namespace, body=body)


def _unless(
    statuses: tuple[int, ...], call: Callable[..., Any], *args: Any, **more: Any
) -> dict[str, Any] | None:
    """The JSON that ``call`` answers with; None for one of ``statuses``."""
    from kubernetes.client.exceptions import ApiException

    try:
        answer = call(*args, _preload_content=False, _request_timeout=REQUEST_S, **more)
    except ApiException as error:
        if error.status in statuses:
            return None
        raise
    found: dict[str, Any] = json.loads(answer.data)
    return found


def _refusal(error: Any) -> str:
    return f"HTTP {error.status}: {error.reason}"


if __name__ == "__main__":
    sys.exit(main())
