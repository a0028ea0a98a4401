"""How long the service took to keep its promises again after a fault, or after a spike.

The clock starts at the planned end of a fault; for a pod kill, which has no end, at the kill, and
for a restart at its begin; for a spike of the load, where the load is back at its level of before.
Where pods are killed again and again, each kill has a clock of its own, and the slowest recovery
counts. A kill is watched until the next one that came after it had been overcome; kills that come
sooner are one disturbance.

What must hold again is chosen elsewhere: bounds on latency and errors as the load sees them. They
*hold again* from the first 5 s window from which on they hold in every window until the next fault
or the end of the record. One second of trouble later on, which spoils five windows, is no relapse:
at a bound of 0.1 % a single stray failure would be one. A window without requests is a window in
which nothing holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from runner.analysis.endpoints import endpoints_meant
from runner.analysis.faultseen import kills_of
from runner.analysis.lengths import RECOVERY_WINDOW_S
from runner.analysis.profile import Spike, plateaus, spike_of, varied
from runner.analysis.seconds import figure_of, rolling, rolling_figures
from runner.analysis.windows import LoadTable, Slice, first_second
from runner.model.bound import Bound
from runner.model.objective import Objective
from runner.model.plan import Plan, PlannedFault
from runner.model.recording import Recording

SPIKE = "spike"
"""What stands in place of a fault's id where the load itself was the disturbance."""

_MOST_AT_ONCE = 20
"""After so many kills without a recovery, the rest of the record is one disturbance."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One promise that must hold again.

    Attributes:
        title: What a reader calls it.
        bound: An absolute bound on latency or errors.
        names: Endpoints whose requests it is about, together; None for all requests.
        missing: Why nothing can be said about it, as the end of a sentence; empty when all is well.
    """

    title: str
    bound: Bound
    names: tuple[str, ...] | None = None
    missing: str = ""

    def holds(self, seen: Slice) -> bool:
        """Whether it holds in a window; where there is no figure, it does not."""
        (value,) = rolling([seen], self.figure)
        return value is not None and self.bound.holds(value)

    @property
    def figure(self) -> str:
        """The figure that is compared, as ``rolling`` takes it."""
        return figure_of(self.bound)


def watched(
    objectives: Sequence[Objective], table: LoadTable, groups: Mapping[str, Sequence[str]]
) -> tuple[Watched, ...]:
    """``objectives`` with the endpoints that they mean in this record."""
    found = []
    for objective in objectives:
        meant = endpoints_meant(objective.of, groups, table.endpoints)
        found.append(Watched(objective.title, objective.bound, meant.names, meant.missing))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What is known about the recovery from one fault, one of its kills, or a spike.

    Attributes:
        fault_id: The fault, or :data:`SPIKE`.
        start_s: Offset at which the clock starts.
        end_s: Offset at which the view ends: the next fault, or the end of the record.
        seconds: Time until the promises held again; None when that was not seen.
        watched_s: How long they were watched.
        unwell: Whether the promises were seen broken to the very end.
        reason: Why ``seconds`` is None; empty otherwise.
        before: That a promise did not hold in the baseline either; empty when all did.
        holds: For each whole second from ``start_s`` on: whether all promises hold in the window
            that begins there.
    """

    fault_id: str
    start_s: float
    end_s: float
    seconds: float | None
    watched_s: float
    unwell: bool = False
    reason: str = ""
    before: str = ""
    holds: tuple[bool, ...] = field(default=(), repr=False)


Recoveries = Mapping[tuple[Watched, ...], tuple[tuple[Recovery, ...], ...]]
"""What must hold again to the recoveries from each fault (many, of one with many kills), and from
the spike at the end, if there is one."""


def recoveries_of(
    fault: PlannedFault, recording: Recording, table: LoadTable, kept: Sequence[Watched]
) -> tuple[Recovery, ...]:
    """The recovery from ``fault``, or one for each of its kills, in order of time."""
    starts = _clock_starts_s(fault, recording)
    baselines = [(one.start_s, one.end_s) for one in recording.plan.phases_named("baseline")]
    before = _before(baselines, "in the baseline", table, kept)
    found, at = [], 0
    while at < len(starts):
        latest_s = min([table.recorded_s, *_later_starts(fault, starts[at], recording)])
        one, at = _disturbance(starts, at, latest_s, fault.id, table, kept)
        found.append(replace(one, before=before))
    return tuple(found)


def all_recoveries(
    recording: Recording, table: LoadTable, kept: Sequence[Watched]
) -> tuple[tuple[Recovery, ...], ...]:
    """The recoveries from each fault of the plan, and at the end from the spike, if any."""
    plan = recording.plan
    found = [recoveries_of(fault, recording, table, kept) for fault in plan.faults]
    spike = spike_of(varied(plateaus(plan)))
    if spike is not None:
        found.append((recovery_after(spike, plan, table, kept),))
    return tuple(found)


def worst_recovery(found: Sequence[Recovery]) -> Recovery:
    """The one that counts: never recovered, else the slowest.

    A kill of which too little was seen says nothing, as long as another one tells.
    """
    unwell = [one for one in found if one.unwell]
    known = [one for one in found if one.seconds is not None]
    return (unwell or sorted(known, key=lambda one: -(one.seconds or 0.0)) or found)[0]


def recovery_after(spike: Spike, plan: Plan, table: LoadTable, kept: Sequence[Watched]) -> Recovery:
    """When the promises ``kept`` held again after ``spike``: seen until the load changes again."""
    start_s = spike.after.start_s
    faults = [max(start_s, fault.start_s) for fault in plan.faults if fault.end_s > start_s]
    end_s = max(start_s, min([table.recorded_s, spike.after.end_s, *faults]))
    one = _recovery_within(SPIKE, start_s, end_s, table, kept)
    span = (spike.before.start_s, spike.before.end_s)
    return replace(one, before=_before([span], "before the spike", table, kept))


def _disturbance(  # noqa: PLR0917 - what is seen, and of what
    starts: Sequence[float],
    at: int,
    latest_s: float,
    fault_id: str,
    table: LoadTable,
    kept: Sequence[Watched],
) -> tuple[Recovery, int]:
    """The recovery from the start of index ``at``, and the index of the first one after it."""
    for following in range(at + 1, min(at + 1 + _MOST_AT_ONCE, len(starts))):
        end_s = min(latest_s, starts[following])
        one = _recovery_within(fault_id, starts[at], end_s, table, kept)
        if one.seconds is not None:
            return one, following
    later = (index for index in range(at + 1, len(starts)) if starts[index] >= latest_s)
    rest = _recovery_within(fault_id, starts[at], latest_s, table, kept)
    return rest, next(later, len(starts))


def _recovery_within(
    fault_id: str, start_s: float, end_s: float, table: LoadTable, kept: Sequence[Watched]
) -> Recovery:
    """The recovery whose clock starts at ``start_s``, as far as it is seen until ``end_s``."""
    watched_s = max(0.0, end_s - start_s)
    unknown = Recovery(fault_id, start_s, end_s, None, watched_s)
    if not kept:
        return replace(unknown, reason="no objective on latency or errors says what well means")
    if missing := next((one.missing for one in kept if one.missing), ""):
        return replace(unknown, reason=missing)
    holding = _holding(table, start_s, end_s, kept)
    if not holding:
        why = f"only {watched_s:.0f} s were seen after {_the(fault_id)}, too short to tell"
        return replace(unknown, reason=why)
    first = first_lasting(holding)
    if first is None:
        why = f"the objectives did not hold again within the {watched_s:.0f} s that were seen"
        return replace(unknown, unwell=True, reason=why, holds=tuple(holding))
    seconds = first_second(start_s) + first - start_s if first else 0.0
    return replace(unknown, seconds=seconds, holds=tuple(holding))


def _the(fault_id: str) -> str:
    return f"the {SPIKE if fault_id == SPIKE else 'fault'}"


def _before(
    spans: Sequence[tuple[float, float]], where: str, table: LoadTable, kept: Sequence[Watched]
) -> str:
    """Which of the promises ``kept`` did not hold in ``spans``, as the end of a sentence."""
    broken = []
    for one in kept:
        seen = [table.slice(start_s, end_s, one.names) for start_s, end_s in spans]
        if any(part.requests and not one.holds(part) for part in seen):
            broken.append(repr(one.title))
    unique = list(dict.fromkeys(broken))
    return f"{', '.join(unique)} did not hold {where} either" if unique else ""


def _clock_starts_s(fault: PlannedFault, recording: Recording) -> list[float]:
    """Offsets at which a clock starts, in order: one, or one for each kill."""
    if not fault.fault.recovers:
        return [fault.end_s]
    for record in recording.faults:
        if record.id == fault.id:
            kills = [kill[0].wall_s for kill in kills_of(record)]
            proofs = [e.wall_s for e in record.effects if e.what in fault.fault.proofs]
            begun = kills or ([min(proofs)] if proofs else [])
            offsets = [recording.offset_s(wall_s) for wall_s in begun]
            known = [max(0.0, offset_s) for offset_s in offsets if offset_s is not None]
            if known:
                return known
    return [fault.start_s]


def _later_starts(fault: PlannedFault, start_s: float, recording: Recording) -> list[float]:
    """Where other faults cut off the view: at their start, or at once if one is active already."""
    others = [other for other in recording.plan.faults if other.id != fault.id]
    return [max(start_s, other.start_s) for other in others if other.end_s > start_s]


def _holding(table: LoadTable, start_s: float, end_s: float, kept: Sequence[Watched]) -> list[bool]:
    """For each whole second from ``start_s`` on: whether all promises hold in the window there."""
    # The last second may be cut by the end of the view: only whole ones make a window.
    whole_end_s = float(math.floor(end_s + 1e-6))
    by_names: dict[tuple[str, ...] | None, list[Watched]] = {}
    for one in kept:
        by_names.setdefault(one.names, []).append(one)
    result: list[bool] = []
    for names, several in by_names.items():
        seconds = table.per_second(start_s, whole_end_s, names)
        values = rolling_figures(seconds, (one.figure for one in several), RECOVERY_WINDOW_S)
        for one in several:
            windows = [v is not None and one.bound.holds(v) for v in values[one.figure]]
            result = [a and b for a, b in zip(result, windows, strict=True)] if result else windows
    return result


def first_lasting(holding: Sequence[bool], window_s: int = RECOVERY_WINDOW_S) -> int | None:
    """Index of the first window from which on the promises hold; None when there is none.

    Args:
        holding: For each second, whether they hold in the window that begins there.
        window_s: Length of the windows; one bad second spoils as many of them.
    """
    first, at, held_for = 0, 0, 0
    for holds, run in groupby(holding):
        length = sum(1 for _ in run)
        at += length
        if holds:
            held_for = length
        elif length > window_s or held_for < window_s:
            first = at
    return first if first < len(holding) else None
