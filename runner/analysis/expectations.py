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
    within = fault.start_s, min(fault.end_s + GRACE_S, recording.plan.duration_s)
    series = [
        point
        for one in (recording.signals.series if recording.signals else ())
        if (one.sli, one.service) == (EJECTED, service)
        for point in one.points
        if within[0] <= point[0] <= within[1] and point[1] is not None
    ]
    if not series:
        return check.unproven(
            f"Whether the breaker towards {service} ejected a pod is not on record: do the "
            "callers' proxies tell of ejections?"
        )
    most = max(value or 0.0 for _, value in series)
    if most <= 0:
        text = f"No pod of {service} was ejected while {fault.id} was on."
        return check.unproven(text, 0.0) if wanted else check.passed(text, 0.0)
    first_s = min(at_s for at_s, value in series if value)
    text = f"{count(most, 'pod')} of {service} ejected at once, first at {moment(first_s)}."
    return check.passed(text, most) if wanted else check.unproven(text, most)
