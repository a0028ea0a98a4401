"""The Lease that a run holds on a namespace, and the switch that stops every run in it. Pure.

The Lease says which run has the namespace, and is renewed while that run lives; whoever finds it
past its time, or finds that its process is no more, may take it after the run's faults are healed.
The switch is a ConfigMap: while it exists, no run starts, and every run that is under way ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

Object = Mapping[str, Any]

LEASE: Final = "seatrial"
PROCESS: Final = "seatrial.dev/process"
"""Annotation of the Lease: the process that holds it, and its machine."""
RUN: Final = "seatrial.dev/run"
"""Annotation of the Lease: the id of the run that holds it."""

LEASE_S: Final = 30.0
RENEW_S: Final = 10.0
MARGIN_S: Final = 15.0
"""So long after its end is a Lease left alone: the clocks of machines differ."""

SWITCH: Final = "seatrial-stop"
LOOK_S: Final = 2.0
"""A run looks at the switch this often."""


def annotation(obj: Object, name: str) -> str:
    """An annotation of ``obj``; empty when it has none of that name."""
    return str(((obj.get("metadata") or {}).get("annotations") or {}).get(name) or "")


def new_lease(run: str, mark: str, holder: str, seconds: float, wall_s: float) -> dict[str, Any]:
    """The Lease of ``run``, from Unix time ``wall_s`` on for ``seconds``.

    Args:
        run: Id of the run.
        mark: What tells its process from all others.
        holder: Its process, for people.
        seconds: Time for which it holds without being renewed.
        wall_s: Now.
    """
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": round(seconds),
        "acquireTime": _stamp(wall_s),
        "renewTime": _stamp(wall_s),
    }
    annotations = {PROCESS: mark, RUN: run}
    return {"metadata": {"name": LEASE, "annotations": annotations}, "spec": spec}


def renewed(lease: Object, wall_s: float) -> dict[str, Any]:
    """``lease`` as it is when it was renewed at Unix time ``wall_s``."""
    return {**lease, "spec": {**(lease.get("spec") or {}), "renewTime": _stamp(wall_s)}}


def ends_at_s(lease: Object) -> float:
    """Unix time at which ``lease`` ends unless it is renewed; 0 when nobody can read it."""
    spec = lease.get("spec") or {}
    try:
        since = datetime.fromisoformat(str(spec.get("renewTime") or spec.get("acquireTime")))
        if since.tzinfo is None:  # Nobody knows where.
            return 0.0
        return since.timestamp() + float(spec.get("leaseDurationSeconds") or 0)
    except (ValueError, TypeError):
        return 0.0


def who(lease: Object) -> str:
    """Who holds ``lease``, since when, and when it was last renewed, in words."""
    spec = lease.get("spec") or {}
    run = annotation(lease, RUN)
    words = [f"run {run}" if run else "", str(spec.get("holderIdentity") or "nobody knows who")]
    words += [f"{name} {_short(spec[key])}" for name, key in _TIMES if spec.get(key)]
    return ", ".join(filter(None, words))


_TIMES = (("since", "acquireTime"), ("renewed", "renewTime"))


def until(lease: Object) -> str:
    """When ``lease`` ends unless it is renewed, in words."""
    ends_s = ends_at_s(lease)
    return f"it ends at {_short(_stamp(ends_s))} unless it is renewed" if ends_s else "it is torn"


def new_switch(reason: str, by: str, wall_s: float) -> dict[str, Any]:
    """The ConfigMap that stops every run in its namespace."""
    data = {"reason": reason, "by": by, "since": _stamp(wall_s)}
    return {"metadata": {"name": SWITCH}, "data": data}


def why_stopped(switch: Object) -> str:
    """What ``switch`` says: its reason, who set it and when."""
    data = switch.get("data") or {}
    since = data.get("since") or (switch.get("metadata") or {}).get("creationTimestamp")
    said = str(data.get("reason") or "no reason given")
    by = f"set by {data['by']}" if data.get("by") else "set"
    return f"{said} ({by}{f' at {_short(since)}' if since else ''})"


def _stamp(wall_s: float) -> str:
    return f"{datetime.fromtimestamp(wall_s, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _short(stamp: object) -> str:
    try:
        when = datetime.fromisoformat(str(stamp))
    except ValueError:
        return str(stamp)
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
