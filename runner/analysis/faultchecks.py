"""Was each fault injected, seen by those it was meant for, and gone afterwards?

What a fault says about itself is only the first of the three: requests that the mesh flagged, and
pods that came back under a new name, are what others saw. Undoing a fault is not done here.
"""

from __future__ import annotations

import math

from runner.analysis.checks import Check, was_or_were
from runner.analysis.faultseen import active_share, kills_of, noticed, subjects
from runner.analysis.words import count, figure, listed
from runner.model.evaluation import Finding
from runner.model.fault import FLAGGED_KINDS, ChaosToolkit, Drain, Scale
from runner.model.faultrecord import FaultRecord
from runner.model.plan import PlannedFault
from runner.model.recording import Recording, unhealed

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
    active_s = length_s * active_share(fault, record, recording)
    if length_s - active_s > max(_LOST_S, _LOST_RATIO * length_s):
        return check.unproven(
            f"{fault.id} was there for only {figure(active_s, 's')} of the {figure(length_s, 's')} "
            "that are judged as its phase."
        )
    acted = subjects(record, *needed)
    if isinstance(fault.fault, ChaosToolkit):
        # The marker is a proof that it began, not that its activities were carried out.
        acted = {name for name in acted if name.startswith("activity/")}
        if not acted and any(one.get("type") == "action" for one in fault.fault.method):
            return check.unproven(f"No action of {fault.id} is on record as carried out.")
    return check.passed(f"{fault.id} acted on {listed(sorted(acted)) or 'nothing: it only asked'}.")


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
    return noticed(fault, record, recording)


def _pods_back(fault: PlannedFault, record: FaultRecord) -> Finding:
    check = Check("fault-gone", f"{fault.id} is gone", fault)
    service = fault.fault.service
    kills = [kill[0].wall_s for kill in kills_of(record)]
    begun = kills or [e.wall_s for e in record.effects if e.what == "injected"][:1]
    ready = sorted(effect.wall_s for effect in record.effects if effect.what == "ready")
    back = [min((at_s for at_s in ready if at_s >= begun_s), default=None) for begun_s in begun]
    took = [
        end_s - begun_s for begun_s, end_s in zip(begun, back, strict=True) if end_s is not None
    ]
    if not begun or len(took) < len(begun):
        last = f" after {len(begun) - len(took)} of {len(begun)} kills" if len(begun) > 1 else ""
        return check.unproven(f"{service} was not seen to have all of its pods ready again{last}.")
    longest = figure(max(took), "s")
    if len(took) > 1:
        text = f"All pods of {service} were ready again after each of {len(took)} kills"
        return check.passed(f"{text}, at the latest {longest} after one.")
    what = "the kill" if kills else "the restart began"
    return check.passed(f"All pods of {service} were ready again {longest} after {what}.")


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
    gone = f"{fault.id} was removed"
    if "gone" not in done or "removed" not in done:
        if not _seen_by_heal(fault, record, recording):
            return check.unproven(f"Nobody saw that {fault.id} was gone.")
        gone = (
            f"{fault.id} was gone when its heal looked at the API server "
            "(its own child ended before it could)"
        )
    return _own_word(check, fault, record, gone) or _unhit(check, fault, recording, gone)


def _seen_by_heal(fault: PlannedFault, record: FaultRecord, recording: Recording) -> bool:
    """Whether a heal has looked in place of a child that did not come to its end.

    A heal is journaled as ``ok`` only when it has looked again and nothing was left. What a child
    that came to its end did not see stays unseen: it had the time, and something was wrong. Of
    somebody else's activities, the API server shows nothing but a marker.
    """
    ended = record.journal_status == "completed"
    if ended or isinstance(fault.fault, ChaosToolkit) or not _begun(fault, recording):
        return False
    changed_s = max((e.wall_s for e in record.effects if e.what == "injected"), default=-math.inf)
    own = [event for event in recording.events if event.source == fault.id]
    return any((e.action, e.kind) == ("heal", "ok") and e.wall_s >= changed_s for e in own)


def _unhit(check: Check, fault: PlannedFault, recording: Recording, gone: str) -> Finding:
    """That no request was hit any more, as far as the mesh can tell; ``gone`` says who saw that."""
    late = recording.signals.late_flags.get(fault.id) if recording.signals else None
    if late is not None and not late <= 0:
        if not math.isfinite(late):
            return check.unproven(f"Nobody can tell whether {fault.id} still hit requests.")
        text = (
            f"{count(late, 'request')} {was_or_were(late)} still hit after the end of {fault.id}."
        )
        return check.unproven(text, late)
    if late is not None:
        return check.passed(f"{gone} and hit no request after its end.")
    if fault.fault.kind not in FLAGGED_KINDS:
        return check.passed(f"{gone}, and looked for: it is not there any more.")
    if _could_be_seen_late(fault, recording):
        return check.warned(f"{gone}; that it hit no request after its end is not on record.")
    return check.passed(f"{gone}, too late in the run for any more to be seen.")


def _own_word(check: Check, fault: PlannedFault, record: FaultRecord, gone: str) -> Finding | None:
    """What is to be said beside the removal; None for kinds of which the removal says it all."""
    broken = fault.fault
    if isinstance(broken, ChaosToolkit) and not broken.rollbacks:
        return check.warned(
            f"{fault.id} has no rollbacks: whether what its activities did is undone is not known."
        )
    if not isinstance(broken, Scale | Drain):
        return None
    back = [effect for effect in record.effects if effect.what == "ready"]
    if back:
        return check.passed(f"{gone}, and all pods were ready again.")
    return check.warned(f"{gone}; that all pods were ready again was not seen.")


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
