"""How long the service took to keep its promises again after a fault.

The clock starts at the planned end of a fault; for a pod kill, which has no end, at the kill, and
for a restart at its begin. Where pods are killed again and again, each kill has a clock of its own,
and the slowest recovery counts. A kill is watched until the next one that came after it had been
overcome; kills that come sooner are one disturbance.

The promises are the experiment's own objectives on latency and errors as the load sees them, as far
as they hold in a baseline or a recovery. They *hold again* from the first 5 s window from which on
they hold in every window until the next fault or the end of the record. One second of trouble
later on, which spoils five windows, is no relapse: at a bound of 0.1 % a single stray failure
would be one. A window without requests is a window in which nothing holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from runner.analysis.faultseen import kills_of
from runner.analysis.stats import statistic_s
from runner.analysis.windows import LoadTable, Slice, first_second, joined
from runner.model.objective import Objective
from runner.model.plan import PlannedFault
from runner.model.recording import Recording

WINDOW_S = 5
"""Length of the sliding window, in seconds; also how many windows one bad second spoils."""

_MOST_AT_ONCE = 20
"""After so many kills without a recovery, the rest of the record is one disturbance."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What is known about the recovery from one fault.

    Attributes:
        fault_id: The fault.
        start_s: Offset at which the clock starts.
        end_s: Offset at which the view ends: the next fault, or the end of the record.
        seconds: Time until the promises held again; None when that was not seen.
        watched_s: How long they were watched.
        unwell: Whether the promises were seen broken to the very end.
        reason: Why ``seconds`` is None; empty otherwise.
        before: That a promise did not hold in the baseline either; empty when all did.
    """

    fault_id: str
    start_s: float
    end_s: float
    seconds: float | None
    watched_s: float
    unwell: bool = False
    reason: str = ""
    before: str = ""


def recovery_of(
    fault: PlannedFault, recording: Recording, table: LoadTable, kept: Sequence[Objective]
) -> Recovery:
    """When the promises ``kept`` held again after ``fault``; of many kills, after the worst."""
    starts = _clock_starts_s(fault, recording)
    before = _before(recording, table, kept)
    found, at = [], 0
    while at < len(starts):
        latest_s = min([table.recorded_s, *_later_starts(fault, starts[at], recording)])
        one, at = _disturbance(starts, at, latest_s, fault.id, table, kept)
        found.append(one)
    unwell = [one for one in found if one.unwell]
    known = [one for one in found if one.seconds is not None]
    # A kill of which too little was seen says nothing, as long as another one tells.
    worst = (unwell or sorted(known, key=lambda one: -(one.seconds or 0.0)) or found)[0]
    return replace(worst, before=before)


def _disturbance(  # noqa: PLR0917 - what is seen, and of what
    starts: Sequence[float],
    at: int,
    latest_s: float,
    fault_id: str,
    table: LoadTable,
    kept: Sequence[Objective],
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
    fault_id: str, start_s: float, end_s: float, table: LoadTable, kept: Sequence[Objective]
) -> Recovery:
    """The recovery whose clock starts at ``start_s``, as far as it is seen until ``end_s``."""
    watched_s = max(0.0, end_s - start_s)

    def unknown(reason: str, *, unwell: bool = False) -> Recovery:
        return Recovery(fault_id, start_s, end_s, None, watched_s, unwell, reason)

    if not kept:
        return unknown("no objective on latency or errors says what well means")
    holding = _holding(table, start_s, end_s, kept)
    if not holding:
        return unknown(f"only {watched_s:.0f} s were seen after the fault, too short to tell")
    first = first_lasting(holding)
    if first is None:
        why = f"the objectives did not hold again within the {watched_s:.0f} s that were seen"
        return unknown(why, unwell=True)
    seconds = first_second(start_s) + first - start_s if first else 0.0
    return Recovery(fault_id, start_s, end_s, seconds, watched_s)


def _before(recording: Recording, table: LoadTable, kept: Sequence[Objective]) -> str:
    """Which of the promises ``kept`` did not hold in a baseline, as the end of a sentence."""
    broken = [
        repr(objective.title)
        for objective in kept
        for phase in recording.plan.phases_named("baseline")
        if table.slice(phase.start_s, phase.end_s, objective.of).requests
        and not _holds(objective, table.slice(phase.start_s, phase.end_s, objective.of))
    ]
    unique = list(dict.fromkeys(broken))
    return f"{', '.join(unique)} did not hold in the baseline either" if unique else ""


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


def _holding(
    table: LoadTable, start_s: float, end_s: float, kept: Sequence[Objective]
) -> list[bool]:
    """For each whole second from ``start_s`` on: whether all promises hold in the window there."""
    # The last second may be cut by the end of the view: only whole ones make a window.
    whole_end_s = float(math.floor(end_s + 1e-6))
    result: list[bool] = []
    for objective in kept:
        seconds = table.per_second(start_s, whole_end_s, objective.of)
        windows = _windows(objective, seconds)
        result = [a and b for a, b in zip(result, windows, strict=True)] if result else windows
    return result


def _windows(objective: Objective, seconds: Sequence[Slice]) -> list[bool]:
    """Whether ``objective`` holds in the window that begins at each second."""
    # What holds in every second of a window holds in the window: ratios, means and nearest-rank
    # quantiles of a union lie between those of its parts. Only the others need to be joined.
    each = [_holds(objective, second) for second in seconds]
    return [
        all(each[at : at + WINDOW_S]) or _holds(objective, joined(seconds[at : at + WINDOW_S]))
        for at in range(len(seconds) - WINDOW_S + 1)
    ]


def _holds(objective: Objective, seen: Slice) -> bool:
    bound = objective.bound
    if bound.sli == "errors":
        value = seen.error_ratio
    else:
        value = statistic_s(seen.latency_us, bound.statistic)
    return value is not None and bound.holds(value)


def first_lasting(holding: Sequence[bool], window_s: int = WINDOW_S) -> int | None:
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
