"""One run at a time on a target: a Lease named ``seatrial`` in its namespace says who holds it.

Until when is said, too (the length of the plan and a margin), so that the Lease of a run that was
killed ends by itself; on the same machine it ends with the process that took it. The requests are
made by a short child, as in ``inspection``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.errors import TargetBusyError, TargetError
from runner.model.recording import TargetInfo
from runner.process import SystemClock
from runner.targets.inspection import REQUEST_S, ask_child, child_parser, connect, say
from runner.targets.sandbox.state import start_mark

NAME = "seatrial"
PROCESS = "seatrial.dev/process"
"""Annotation: the process that holds it; see :func:`process_mark`."""
HOLD_S = 3600.0
"""For a run of unknown length."""


def untold(text: str) -> None:
    """Tell nobody."""


def take(target: TargetInfo, seconds: float, tell: Callable[[str], None]) -> None:
    """Take the Lease for this process; that it may not have one is told, and no obstacle.

    Raises:
        TargetBusyError: When somebody else holds it; says who, and until when.
        TargetError: When the API server does not answer.
    """
    answer = ask_child("lease", target, f"--take={seconds}", f"--pid={os.getpid()}")
    if answer.get("busy"):
        raise TargetBusyError(
            f"another run holds {target.name}: {answer['busy']}",
            hint=f"wait; if it is no more: kubectl -n {target.namespace} delete lease {NAME}",
        )
    if answer.get("refused"):
        tell(
            f"warning: no Lease can be had in {target.namespace} ({answer['refused']}), so another "
            f"run on {target.name} would not be noticed"
        )


def release(target: TargetInfo, tell: Callable[[str], None]) -> None:
    """Give the Lease back, if this process holds it. Idempotent; a failure is told."""
    try:
        why = ask_child("lease", target, f"--pid={os.getpid()}").get("refused")
    except TargetError as error:
        why = error.message
    if why:
        tell(f"warning: the Lease in {target.namespace} stays until its time is over: {why}")


def process_mark(pid: int) -> str:
    """What tells a process of this machine from all others, also later; empty when it is gone."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # Not Linux.
        return ""
    started = start_mark(pid)
    return f"{boot}/{namespace}/{pid}/{started}" if started else ""


def holder_of(lease: Mapping[str, Any], now: datetime) -> str:
    """Who holds ``lease`` and until when, in words; empty when nobody does any more."""
    spec, mark = lease.get("spec") or {}, _mark_of(lease)
    machine, _, pid = mark.rpartition("/")[0].rpartition("/")
    try:
        since = datetime.fromisoformat(str(spec.get("renewTime") or spec.get("acquireTime")))
        until = since + timedelta(seconds=float(spec.get("leaseDurationSeconds") or 0))
        holds = now < until
        if machine and process_mark(os.getpid()).startswith(f"{machine}/"):
            holds = process_mark(int(pid)) == mark  # Known better than by the clock.
    except (ValueError, TypeError):
        return ""  # What nobody can read is over.
    who = f"{spec.get('holderIdentity')}, since {since:%Y-%m-%d %H:%M:%S} UTC"
    return f"{who}, until {until:%Y-%m-%d %H:%M:%S} UTC at the latest" if holds else ""


def _mark_of(lease: Mapping[str, Any]) -> str:
    return str((lease["metadata"].get("annotations") or {}).get(PROCESS) or "")


def new_lease(seconds: float, pid: int, now: datetime) -> dict[str, Any]:
    """The Lease of process ``pid`` of this machine, for ``seconds`` from ``now``."""
    stamp = f"{now:%Y-%m-%dT%H:%M:%S.%f}Z"
    spec = {
        "holderIdentity": f"process {pid} on {platform.node()}",
        "leaseDurationSeconds": round(seconds),
        "acquireTime": stamp,
        "renewTime": stamp,
    }
    return {"metadata": {"name": NAME, "annotations": {PROCESS: process_mark(pid)}}, "spec": spec}


# -- the child -------------------------------------------------------------------------------------


def main() -> int:
    """Take or release, and print the answer; the exit code says whether there is one."""
    parser = child_parser("lease")
    parser.add_argument("--pid", type=int, required=True, help="the process that is to hold it")
    parser.add_argument("--take", type=float, default=0.0, help="for so many seconds; else release")
    asked = parser.parse_args()
    return say(lambda: _carry_out(asked))


def _carry_out(asked: argparse.Namespace) -> dict[str, str]:
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException

    api = client.CoordinationV1Api(connect(asked))
    now = datetime.fromtimestamp(SystemClock().wall_s(), UTC)
    try:
        if asked.take:
            return _take(api, asked.namespace, new_lease(asked.take, asked.pid, now), now)
        # Where Leases are forbidden, there was none to take, and that was told.
        lease = _unless((403, 404), api.read_namespaced_lease, NAME, asked.namespace)
        if lease is not None and _mark_of(lease) == process_mark(asked.pid):
            _delete(api, asked.namespace, lease)
    except ApiException as error:
        return {"refused": f"HTTP {error.status}: {error.reason}"}
    return {}


def _take(api: Any, namespace: str, body: dict[str, Any], now: datetime) -> dict[str, str]:
    for _ in range(3):
        if _unless((409,), api.create_namespaced_lease, namespace, body) is not None:
            return {}
        lease = _unless((404,), api.read_namespaced_lease, NAME, namespace)
        if lease is not None:
            if busy := holder_of(lease, now):
                return {"busy": busy}
            _delete(api, namespace, lease)
    return {"busy": "others take it at the same time"}


def _delete(api: Any, namespace: str, lease: Mapping[str, Any]) -> None:
    """Delete ``lease`` as it was read, and not what somebody has made of it since."""
    body = {"preconditions": {key: lease["metadata"][key] for key in ("uid", "resourceVersion")}}
    _unless((404, 409), api.delete_namespaced_lease, NAME, namespace, body=body)


def _unless(statuses: tuple[int, ...], call: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """The JSON that ``call`` answers with; None for one of ``statuses``."""
    from kubernetes.client.exceptions import ApiException

    try:
        answer = call(*args, _preload_content=False, _request_timeout=REQUEST_S, **more)
    except ApiException as error:
        if error.status in statuses:
            return None
        raise
    return json.loads(answer.data)


if __name__ == "__main__":
    sys.exit(main())
