"""Was each fault injected, seen by those it was meant for, and gone afterwards?

What a fault says about itself is only the first of the three: requests that the mesh flagged, and
pods that came back under a new name, are what others saw. Undoing a fault is not done here.
"""

from __future__ import annotations

import math

from runner.analysis.checks import Check, phase_signal, was_or_were
from runner.analysis.words import count, figure, listed
from runner.model.evaluation import Finding
from runner.model.fault import FLAGGED_KINDS, HttpAbort, HttpDelay
from runner.model.faultrecord import FaultRecord
from runner.model.plan import PlannedFault
from runner.model.recording import Recording, unhealed

_FEWEST_EXPECTED_HITS = 20.0
"""With fewer expected hits, chance alone explains any share."""

_LOST_S, _LOST_RATIO = 0.5, 0.2
"""How much of its planned time a fault may be late or early, whichever is more."""

_LATE_VIEW_S = 5.0
"""With more time than this after a fault and its delay, the mesh can tell whether it still hits."""


def fault_injected(fault: PlannedFault, record: FaultRecord, recording: Recording) -> Finding:
    """The fault's own actions succeeded, in time, and looked at what they had done."""
    check = Check("fault-injected", f"{fault.id} was injected", fault)
    done = {effect.what for effect in record.effects}
    needed = set(fault.fault.proofs)
    if cut := _cut_short(fault, recording):
        return check.unproven(cut)
    if record.failed_activities:
        return check.unproven(f"A step of {fault.id} failed: {record.failed_activities[0]}.")
    if not needed <= done:
        skipped = [e.detail or e.subject for e in record.effects if e.what == "skipped"]
        why = f" It was skipped: {skipped[0].rstrip('.')}." if skipped else ""
        missing = " and ".join(sorted(needed - done))
        return check.unproven(f"{fault.id} has no record of having been {missing}.{why}")
    if record.journal_status != "completed":
        status = record.journal_status or "missing"
        return check.unproven(f"The Chaos Toolkit journal of {fault.id} is {status}.")
    length_s = fault.end_s - fault.start_s
    active_s = length_s * _active_share(fault, record, recording)
    if length_s - active_s > max(_LOST_S, _LOST_RATIO * length_s):
        return check.unproven(
            f"{fault.id} was there for only {figure(active_s, 's')} of the {figure(length_s, 's')} "
            "that are judged as its phase."
        )
    subjects = listed(sorted({e.subject for e in record.effects if e.what in needed}))
    return check.passed(f"{fault.id} acted on {subjects}.")


def _cut_short(fault: PlannedFault, recording: Recording) -> str:
    """That somebody ended the run before the end of ``fault``, as a sentence; or empty."""
    ended_s = max(recording.load.users, default=-1) + 1.0
    if recording.manifest.state not in ("interrupted", "aborted") or ended_s >= fault.end_s:
        return ""
    if not _begun(fault, recording):
        return f"The run ended before {fault.id} was due."
    return f"The run ended after {figure(ended_s, 's')}, before the end of {fault.id}."


def _begun(fault: PlannedFault, recording: Recording) -> bool:
    return any(e.source == fault.id and e.action == "inject" for e in recording.events)


def fault_seen(fault: PlannedFault, record: FaultRecord, recording: Recording) -> Finding:
    """Somebody other than the fault itself noticed it."""
    if not _begun(fault, recording) and (cut := _cut_short(fault, recording)):
        return Check("fault-seen", f"{fault.id} was seen", fault).unproven(cut)
    if fault.fault.kind not in FLAGGED_KINDS:
        return _kill_seen(fault, record)
    check = Check("fault-seen", f"{fault.id} was seen", fault)
    flagged = recording.signals.fault_flags.get(fault.id) if recording.signals else None
    if flagged is None or not math.isfinite(flagged):
        return check.unproven(f"Nobody can tell whether {fault.id} hit any request: no data.")
    expected = _expected_hits(fault, record, recording)
    if flagged <= 0:
        return check.unproven(_unseen(fault, expected), flagged)
    requests = f"{count(flagged, 'request')} to {fault.fault.service}"
    seen = f"The mesh saw {requests} that {was_or_were(flagged)} hit"
    if expected is None or expected < _FEWEST_EXPECTED_HITS:
        return check.passed(f"{seen}.", flagged)
    seen = f"{seen}; about {expected:,.0f} were to be expected."
    spread = 4 * math.sqrt(expected)
    if flagged < expected / 2 - spread:
        return check.unproven(seen, flagged)
    return (
        check.warned(seen, flagged)
        if flagged > expected * 2 + spread
        else check.passed(seen, flagged)
    )


def _unseen(fault: PlannedFault, expected: float | None) -> str:
    text = f"The mesh saw no request to {fault.fault.service} that was hit"
    if expected is None or expected >= _FEWEST_EXPECTED_HITS:
        return f"{text}."
    return f"{text}; only about {expected:.1f} were to be expected, too few to rely on."


def _kill_seen(fault: PlannedFault, record: FaultRecord) -> Finding:
    check = Check("fault-seen", f"{fault.id} was seen", fault)
    killed = {e.subject for e in record.effects if e.what == "killed"}
    replaced = {e.subject for e in record.effects if e.what == "replaced"}
    if not killed:
        return check.unproven(f"{fault.id} killed no pod.", 0.0)
    if len(replaced) < len(killed):
        text = (
            f"{count(len(killed), 'pod')} killed, but only {len(replaced)} replaced by a new one."
        )
        return check.unproven(text, float(len(replaced)))
    text = f"{listed(sorted(killed))} {was_or_were(len(killed))} killed and replaced."
    return check.passed(text, float(len(replaced)))


def _expected_hits(fault: PlannedFault, record: FaultRecord, recording: Recording) -> float | None:
    """Hits that the planned share would give; None where that cannot be told."""
    broken = fault.fault
    signals = recording.signals
    if not isinstance(broken, HttpDelay | HttpAbort) or signals is None:
        return None
    if broken.headers or broken.source or broken.route or broken.side == "server":
        return None
    requests = 0.0
    for phase in recording.plan.phases:
        if fault.id in phase.faults:
            signal = phase_signal(signals, phase.index, "traffic", broken.service)
            if signal is None or signal.samples is None:
                return None
            requests += signal.samples
    return requests * broken.percent / 100 * _active_share(fault, record, recording)


def _active_share(fault: PlannedFault, record: FaultRecord, recording: Recording) -> float:
    """The share of its planned time for which a fault was in place; a kill is, once it happened."""
    starts = [e.wall_s for e in record.effects if e.what in ("injected", "killed")]
    ends = [e.wall_s for e in record.effects if e.what == "removed"]
    start_s = recording.offset_s(min(starts)) if starts else None
    end_s = recording.offset_s(max(ends)) if ends else None
    begun = fault.start_s if start_s is None else max(start_s, fault.start_s)
    ended = fault.end_s if end_s is None else min(end_s, fault.end_s)
    return max(0.0, ended - begun) / (fault.end_s - fault.start_s)


def _pods_back(fault: PlannedFault, record: FaultRecord) -> Finding:
    check = Check("fault-gone", f"{fault.id} is gone", fault)
    service = fault.fault.service
    killed = [effect.wall_s for effect in record.effects if effect.what == "killed"]
    ready = [effect.wall_s for effect in record.effects if effect.what == "ready"]
    if not killed or not ready:
        return check.unproven(f"{service} was not seen to have all of its pods ready again.")
    took = figure(max(ready) - min(killed), "s")
    return check.passed(f"All pods of {service} were ready again {took} after the kill.")


def fault_gone(fault: PlannedFault, record: FaultRecord, recording: Recording) -> Finding:
    """The fault was undone, somebody looked, and no request was hit any more."""
    check = Check("fault-gone", f"{fault.id} is gone", fault)
    done = [effect.what for effect in record.effects]
    never = not done and not _begun(fault, recording) and _cut_short(fault, recording)
    if never or fault.fault.recovers:
        passed = check.passed(f"{fault.id} was never injected.")
        return passed if never else _pods_back(fault, record)
    if fault.id in unhealed(recording.events):
        return check.unproven(f"{fault.id} has no record of having been undone.")
    if "gone" not in done or "removed" not in done:
        return check.unproven(f"Nobody saw that {fault.id} was gone.")
    late = recording.signals.late_flags.get(fault.id) if recording.signals else None
    if late is not None and not late <= 0:
        if not math.isfinite(late):
            return check.unproven(f"Nobody can tell whether {fault.id} still hit requests.")
        text = (
            f"{count(late, 'request')} {was_or_were(late)} still hit after the end of {fault.id}."
        )
        return check.unproven(text, late)
    if late is not None:
        return check.passed(f"{fault.id} was removed and hit no request after its end.")
    if _could_be_seen_late(fault, recording):
        return check.warned(
            f"{fault.id} was removed; that it hit no request after its end is not on record."
        )
    return check.passed(f"{fault.id} was removed, too late in the run for any more to be seen.")


def _could_be_seen_late(fault: PlannedFault, recording: Recording) -> bool:
    """Whether there was time after the fault in which no other one looks the same."""
    delay_s = fault.fault.delay if fault.fault.kind == "http-delay" else 0.0
    after_s = recording.plan.duration_s - fault.end_s
    others = [one for one in recording.plan.faults if one.id != fault.id]
    alike = any(
        (one.fault.service, one.fault.kind) == (fault.fault.service, fault.fault.kind)
        and one.end_s > fault.end_s
        for one in others
    )
    return after_s > _LATE_VIEW_S + delay_s and not alike
