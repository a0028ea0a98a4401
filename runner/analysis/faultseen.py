"""Did somebody other than the fault itself notice it? One finding for each fault.

Who can tell depends on the kind: the mesh flags requests that were delayed or refused, new pods
come in the place of those that were killed, a Deployment's status follows its replicas, calls fail
where traffic is forbidden. Where nobody else is asked, that is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from runner.analysis.blast import ERRORS_ABOVE_RATIO, LATENCY_ABOVE_S, LATENCY_FACTOR
from runner.analysis.checks import Check, phase_signal, was_or_were
from runner.analysis.words import count, figure, listed
from runner.model.evaluation import Finding
from runner.model.fault import FLAGGED_KINDS, HttpAbort, HttpDelay, NetworkDeny, PodKill
from runner.model.faultrecord import Effect, FaultRecord
from runner.model.plan import PlannedFault
from runner.model.recording import PhaseSignal, Recording

_FEWEST_EXPECTED_HITS = 20.0
"""With fewer expected hits, chance alone explains any share."""

_NAMED_KILL = re.compile(r"kill (\d+) of \d+")


def noticed(fault: PlannedFault, record: FaultRecord, recording: Recording) -> Finding:
    """What others saw of ``fault``."""
    check = Check("fault-seen", f"{fault.id} was seen", fault)
    match fault.fault.kind:
        case kind if kind in FLAGGED_KINDS:
            return _flagged(check, fault, record, recording)
        case "network-deny":
            return _denied(check, fault, recording)
        case "pod-kill":
            return _replaced(check, fault, record)
        case "rollout-restart":
            return _rolled(check, fault, record)
        case "drain":
            return _drained(check, fault, record)
        case _:
            return _told_of(check, fault, record) or _in_figures(check, fault, recording)


def _told_of(check: Check, fault: PlannedFault, record: FaultRecord) -> Finding | None:
    """What the objects' own status says; None for kinds that have none."""
    seen = [e for e in record.effects if e.what == "seen"]
    if seen:
        return check.passed(f"{_told(seen)}.", float(len(seen)))
    if fault.fault.kind == "scale":
        return check.unproven(
            f"The status of {listed(sorted(subjects(record, 'injected')))} was never seen to "
            "follow the replicas that were set."
        )
    if fault.fault.kind == "cordon" and (held := subjects(record, "verified")):
        return check.passed(
            f"The API server held {listed(sorted(held))} unschedulable; whether a pod wanted to go "
            "there meanwhile, nobody tells."
        )
    return None


def subjects(record: FaultRecord, *whats: str) -> set[str]:
    """The objects of some kinds of effects."""
    return {effect.subject for effect in record.effects if effect.what in whats}


# -- requests --------------------------------------------------------------------------------------


def _flagged(
    check: Check, fault: PlannedFault, record: FaultRecord, recording: Recording
) -> Finding:
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
    return requests * broken.percent / 100 * active_share(fault, record, recording)


def active_share(fault: PlannedFault, record: FaultRecord, recording: Recording) -> float:
    """The share of its planned time for which a fault was in place; a kill is, once it happened."""
    starts = [e.wall_s for e in record.effects if e.what in ("injected", "killed")]
    ends = [e.wall_s for e in record.effects if e.what == "removed"]
    start_s = recording.offset_s(min(starts)) if starts else None
    end_s = recording.offset_s(max(ends)) if ends else None
    begun = fault.start_s if start_s is None else max(start_s, fault.start_s)
    ended = fault.end_s if end_s is None else min(end_s, fault.end_s)
    return max(0.0, ended - begun) / (fault.end_s - fault.start_s)


# -- pods ------------------------------------------------------------------------------------------


def kills_of(record: FaultRecord) -> list[list[Effect]]:
    """The kills on record, each as the pods that died in it, in order."""
    found: dict[str, list[Effect]] = {}
    for effect in record.effects:
        if effect.what == "killed":
            named = _NAMED_KILL.search(effect.detail)
            found.setdefault(named[0] if named else "", []).append(effect)
    return sorted(found.values(), key=lambda kill: kill[0].wall_s)


def _replaced(check: Check, fault: PlannedFault, record: FaultRecord) -> Finding:
    kills = kills_of(record)
    killed = [effect for kill in kills for effect in kill]
    replaced = [effect for effect in record.effects if effect.what == "replaced"]
    if not killed:
        return check.unproven(f"{fault.id} killed no pod.", 0.0)
    new = len({(effect.subject, effect.detail) for effect in replaced})
    if new < len(killed):
        text = f"{count(len(killed), 'pod')} killed, but only {new} replaced by a new one."
        return check.unproven(text, float(new))
    if len(kills) == 1:
        names = listed(sorted({effect.subject for effect in killed}))
        text = f"{names} {was_or_were(len(killed))} killed and replaced."
    else:
        text = (
            f"{count(len(killed), 'pod')} {was_or_were(len(killed))} killed in {len(kills)} kills, "
            "and each was replaced by a new one."
        )
    broken = fault.fault
    planned = len(broken.moments(fault.seed)) if isinstance(broken, PodKill) else 1
    left_out = [e.detail or e.subject for e in record.effects if e.what == "skipped"]
    if len(kills) < planned or left_out:
        why = f" Left out: {listed([one.rstrip('.') for one in left_out], 3)}." if left_out else ""
        text = f"{text} {planned} kills were planned.{why}" if len(kills) < planned else text + why
        return check.warned(text, float(new))
    return check.passed(text, float(new))


def _rolled(check: Check, fault: PlannedFault, record: FaultRecord) -> Finding:
    new = subjects(record, "replaced")
    if not new:
        return check.unproven(f"No pod of {fault.fault.service} was replaced by a new one.", 0.0)
    text = f"{count(len(new), 'new pod')} came in the place of the old: {listed(sorted(new))}."
    return check.passed(text, float(len(new)))


def _drained(check: Check, fault: PlannedFault, record: FaultRecord) -> Finding:
    gone = subjects(record, "evicted")
    if not gone:
        return check.unproven(f"{fault.id} evicted no pod.", 0.0)
    new = len(subjects(record, "replaced"))
    seen = [e for e in record.effects if e.what == "seen"]
    text = f"{count(len(gone), 'pod')} {was_or_were(len(gone))} evicted"
    left = [f"{e.subject}: {e.detail}" for e in record.effects if e.what == "skipped"]
    if left:
        return check.warned(f"{text}. Left there: {listed(left, 2)}.", float(len(gone)))
    if seen or new >= len(gone):
        each = "each" if len(gone) > 1 else "it"
        also = f"; {_told(seen)}" if seen else f", and {each} was replaced by a new one"
        return check.passed(f"{text}{also}.", float(len(gone)))
    return check.warned(f"{text}; {new} of them were seen to be replaced.", float(len(gone)))


def _told(seen: Iterable[Effect]) -> str:
    return listed([f"{e.subject}: {e.detail}" if e.detail else e.subject for e in seen], 3)


# -- figures of the mesh ---------------------------------------------------------------------------


def _denied(check: Check, fault: PlannedFault, recording: Recording) -> Finding:
    """Whether calls failed while traffic was forbidden; some networks take no notice of it."""
    service = fault.fault.service
    failed = recording.signals.fault_flags.get(fault.id) if recording.signals else None
    if failed is not None and math.isfinite(failed):
        if failed > 0:
            text = f"The mesh saw {count(failed, 'request')} fail for want of a connection."
            return check.passed(text, failed)
        return check.unproven(_unenforced(fault), failed)
    before, during = _figures(fault, recording, "errors")
    if before is None or not during:
        return check.unproven(f"Nobody can tell whether traffic to {service} failed: no data.")
    worst = max(during)
    if worst > before + ERRORS_ABOVE_RATIO:
        shares = f"{figure(worst, 'ratio')} of the requests to {service} failed"
        return check.passed(f"{shares} meanwhile, and {figure(before, 'ratio')} before.", worst)
    return check.unproven(_unenforced(fault), worst)


def _unenforced(fault: PlannedFault) -> str:
    way = fault.fault.direction if isinstance(fault.fault, NetworkDeny) else "ingress"
    ways = {"ingress": "to", "egress": "from", "both": "to or from"}
    return (
        f"No connection {ways[way]} {fault.fault.service} failed while it was forbidden: "
        "NetworkPolicies are not enforced here."
    )


def _in_figures(check: Check, fault: PlannedFault, recording: Recording) -> Finding:
    """What the mesh's figures show of a fault of which nobody else tells."""
    service = fault.fault.service
    before, during = _figures(fault, recording, "errors")
    if before is not None and during and max(during) > before + ERRORS_ABOVE_RATIO:
        worst = max(during)
        shares = f"{figure(worst, 'ratio')} of the requests to {service} failed"
        return check.passed(f"{shares} meanwhile, and {figure(before, 'ratio')} before.", worst)
    before, during = _figures(fault, recording, "latency.p95")
    if before is not None and during:
        worst = max(during)
        if worst > before * LATENCY_FACTOR and worst > before + LATENCY_ABOVE_S:
            p95 = f"The p95 of {service} was {figure(worst, 's')} meanwhile"
            return check.passed(f"{p95}, and {figure(before, 's')} before.", worst)
    return check.warned(
        f"That {fault.id} took place is its own word: nobody else was asked, and the figures of "
        f"{service} show nothing of it."
    )


def _figures(
    fault: PlannedFault, recording: Recording, sli: str
) -> tuple[float | None, Sequence[float]]:
    """A figure of the fault's service in the longest baseline, and in each phase of the fault."""
    signals = recording.signals
    if signals is None:
        return None, ()

    def value_in(index: int) -> float | None:
        found: PhaseSignal | None = phase_signal(signals, index, sli, fault.fault.service)
        return None if found is None else found.value

    calm = sorted(recording.plan.phases_named("baseline"), key=lambda phase: -phase.duration_s)
    before = value_in(calm[0].index) if calm else None
    seen = (value_in(phase.index) for phase in recording.plan.phases if fault.id in phase.faults)
    return before, tuple(value for value in seen if value is not None)
