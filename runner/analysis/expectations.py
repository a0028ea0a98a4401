"""Did a fault bring about what it was there to show? Pure.

An experiment about a breaker in which no breaker acted proves nothing about breakers, however well
its objectives were met; so that is a question of validity.
"""

from __future__ import annotations

from runner.analysis.checks import Check
from runner.analysis.pools import EJECTED
from runner.analysis.words import count, moment
from runner.model.evaluation import Finding
from runner.model.plan import PlannedFault
from runner.model.recording import Recording

GRACE_S = 15.0
"""Proxies look at their pods every 10 s where nothing else is said, and figures come after that."""


def expected(fault: PlannedFault, recording: Recording) -> Finding:
    """Whether the breaker towards the fault's service ejected pods while the fault was on."""
    service, wanted = fault.fault.service, fault.fault.expects == "breaker"
    title = f"{fault.id} showed {'the breaker' if wanted else 'that no breaker acts'}"
    check = Check("fault-expected", title, fault)
    points = [
        (at_s, value)
        for one in (recording.signals.series if recording.signals else ())
        if (one.sli, one.service) == (EJECTED, service)
        for at_s, value in one.points
        if value is not None
    ]
    until_s = min(fault.end_s + GRACE_S, recording.plan.duration_s)
    during = [(at_s, value) for at_s, value in points if fault.start_s < at_s <= until_s]
    if not during:
        return check.unproven(
            f"Whether the breaker towards {service} ejected a pod is not on record: do the "
            "callers' proxies tell of ejections?"
        )
    before = [value for at_s, value in points if at_s <= fault.start_s]
    already = before[-1] if before else 0.0
    most = max(value for _, value in during)
    if most <= already:
        text = f"No pod of {service} was ejected while {fault.id} was on"
        if already > 0:
            text += f", beside {round(already)} that had been before"
        return check.unproven(f"{text}.", 0.0) if wanted else check.passed(f"{text}.", 0.0)
    first_s = min(at_s for at_s, value in during if value > already)
    text = f"{count(most, 'pod')} of {service} ejected at once, first at {moment(first_s)}."
    return check.passed(text, most) if wanted else check.unproven(text, most)
