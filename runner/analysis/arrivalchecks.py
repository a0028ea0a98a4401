"""Did arrivals come as planned? The open model's side of validity, and the workers'. Pure.

A generator that starts less than it should, or later than it should, measures itself. Bounds of
objectives are not looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from runner.analysis.checks import Check
from runner.analysis.windows import phase_label, seconds_of
from runner.analysis.words import count, figure
from runner.model.arrivals import Schedule, lines_of
from runner.model.evaluation import Finding, Verdict
from runner.model.histogram import merged, quantile_us
from runner.model.plan import Phase, Plan
from runner.model.recording import ArrivalSecond, Recording, WorkerEvent, worker_sentence

ACHIEVED_RATIO = 0.99
"""Share of planned arrivals that must have been started, in every phase that is judged."""

DROPPED_RATIO = 0.001
"""Share of arrivals that may be given up before nobody knows how the target would have fared."""

LATE_P99_S = 0.1
"""A generator that starts one arrival in a hundred later than this is unpunctual."""

WAITED_RATIO = 0.01
"""Share of arrivals that may wait for a free user without a remark."""

MORE_POWER = "use --workers, a machine with more processors, or a lower rate"


def rate_delivered(recording: Recording) -> Finding:
    """As many arrivals were started in each phase as the plan's rates have in it."""
    check = Check("load-delivered", "The load was delivered")
    plan = recording.plan
    schedule = Schedule(lines_of(plan.stages))
    worst, text, where = math.inf, "", ""
    for phase in _judged(plan):
        seconds = seconds_of(phase.start_s, phase.end_s)
        planned = schedule.expected(seconds.start, seconds.stop)
        if planned < 1:
            continue
        started = sum(one.started for one in _within(recording, phase))
        # One that is due at the very edge of a phase may be started on either side of it.
        ratio = min(1.0, (started + 1) / planned) if started else 0.0
        if ratio < worst:
            worst, where = ratio, phase_label(plan, phase)
            text = (
                f"{count(started, 'arrival')} of {planned:,.0f} planned ones were started in "
                f"{where}."
            )
    if not text:
        return check.unproven("No arrival was planned after the warmup, so nothing was tried.")
    delivered = worst >= ACHIEVED_RATIO
    if not delivered:
        text = f"The generator was the limit, or its pool of users: {text[:-1]}; {_advice(plan)}."
    return Finding(
        kind="validity",
        check=check.name,
        title=check.title,
        verdict=Verdict.PASS if delivered else Verdict.INCONCLUSIVE,
        reason=text,
        where=where,
        operator=">=",
        observed=worst,
        bound=ACHIEVED_RATIO,
        unit="ratio",
    )


def arrivals_kept(recording: Recording) -> Finding:
    """No arrival was given up, and few waited, because no user was free."""
    check = Check("arrivals-kept", "No arrival was given up")
    plan = recording.plan
    seconds = [one for phase in _judged(plan) for one in _within(recording, phase)]
    offered = sum(one.offered for one in seconds)
    dropped, waited = (sum(getattr(one, name) for one in seconds) for name in ("dropped", "waited"))
    # What waited at the end of the load is given up there, in a second beyond the last phase.
    arrivals, end_s = recording.load.arrivals, plan.duration_s
    dropped += sum(one.dropped for second, one in arrivals.items() if second >= end_s)
    if not offered:
        return check.unproven("No arrival is on record after the warmup.")
    busy = (
        f"no user was free: all {plan.max_in_flight:,} (max_in_flight) were busy, or new ones "
        "were not ready at once"
    )
    if dropped > DROPPED_RATIO * offered:
        return check.unproven(
            f"The generator was the limit: {count(dropped, 'arrival')} of {offered:,} "
            f"{_were(dropped)} given up because {busy}. Nobody knows how the target would have "
            f"fared with them; {_advice(plan)}.",
            float(dropped),
        )
    if dropped:
        return check.warned(
            f"{count(dropped, 'arrival')} of {offered:,} {_were(dropped)} given up because {busy}.",
            float(dropped),
        )
    if waited > WAITED_RATIO * offered:
        return check.warned(
            f"{count(waited, 'arrival')} of {offered:,} had to wait because {busy}. The wait is "
            f"in their response times; {_advice(plan)}.",
            float(waited),
        )
    return check.passed(f"A user was free for each of {count(offered, 'arrival')}.")


def sent_in_time(recording: Recording) -> Finding:
    """Arrivals were started at the moment at which they were due."""
    check = Check("sent-in-time", "Requests were sent in time")
    plan = recording.plan
    worst_s, where = -1.0, ""
    for phase in _judged(plan):
        late_us = quantile_us(merged(one.late_us for one in _within(recording, phase)), 0.99)
        if late_us is not None and late_us / 1e6 > worst_s:
            worst_s, where = late_us / 1e6, phase_label(plan, phase)
    if worst_s < 0:
        return check.warned("Nobody took down how late arrivals were started.")
    text = f"99 of 100 arrivals were started within {figure(worst_s, 's')} of their time in {where}"
    if worst_s > LATE_P99_S:
        return check.unproven(
            f"The generator was the limit: {text}, which is in all that was measured; {MORE_POWER}."
        )
    return check.passed(f"{text}.")


def workers_stayed(recording: Recording) -> Finding | None:
    """Every worker of the generator was there to the end; nothing to say of a single process."""
    events = recording.load.workers
    if not events:
        return None
    check = Check("workers-stayed", "All workers stayed")
    joined = sum(event.what == "joined" for event in events)
    troubles = [event for event in events if event.what != "joined"]
    said = _told(troubles, joined)
    if any(event.what in ("lost", "back") for event in troubles):
        return check.unproven(
            f"The generator was the limit: {said[0].lower()}{said[1:]}. What a lost worker had not "
            "reported is missing from the record; see its log, and run again.",
        )
    if troubles:
        return check.warned(f"{said}.")
    return check.passed(f"{count(joined, 'worker')} made the load from start to end.")


def _told(troubles: Sequence[WorkerEvent], joined: int) -> str:
    """What became of workers, and who took the share of those that were lost."""
    sentences = [worker_sentence(event) for event in troubles]
    lost = [event for event in troubles if event.what == "lost"]
    if (
        len(lost) > 1 or len(lost) == joined
    ):  # each time the others took its share, as long as there were any
        sentences = [one.partition(";")[0] for one in sentences]
        sentences.append("the others took their share" if len(lost) < joined else "nobody was left")
    return "; ".join([*sentences[:1], *(f"{one[0].lower()}{one[1:]}" for one in sentences[1:])])


def _judged(plan: Plan) -> Sequence[Phase]:
    return [phase for phase in plan.phases if phase.name != "warmup"]


def _within(recording: Recording, phase: Phase) -> list[ArrivalSecond]:
    arrivals = recording.load.arrivals
    seconds = seconds_of(phase.start_s, phase.end_s)
    return [arrivals[second] for second in seconds if second in arrivals]


def _advice(plan: Plan) -> str:
    return f"raise max_in_flight above {plan.max_in_flight:,}, or {MORE_POWER}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
