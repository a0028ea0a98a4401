"""Did the run go to its end, and was its load what the plan says, and all of it on record?

The generator is a part of the experiment that can fail like any other: it may end early, lose
requests, or be so busy that the latencies it measures are its own. Bounds of objectives are not
looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from runner.analysis.arrivalchecks import MORE_POWER, rate_delivered
from runner.analysis.checks import Check
from runner.analysis.windows import LoadTable, phase_label, seconds_of
from runner.analysis.words import count, figure
from runner.model.evaluation import Finding, Verdict
from runner.model.plan import Phase
from runner.model.recording import (
    SHAPE_ENDED,
    USER_CODE,
    GeneratorSecond,
    Recording,
    aborted_from_outside,
)
from runner.model.units import format_duration

RUN_FINISHED = "run-finished"
"""The check from which many others follow where it is not met."""

LOAD_TOLERANCE_RATIO = 0.05
"""How far running users may be from planned users, as a mean over a phase."""

LOST_RATIO = 0.001
"""Requests without an outcome, as a share of all, that no objective can be judged without."""

BUSY_CPU_RATIO = 0.9
"""Above this share of a core, a process of the generator has nothing left for punctuality."""

LATE_S = 0.1
"""A timer that fires later than this makes latencies as much too long."""

BUSY_SECONDS_RATIO = 0.1
"""How much of a phase a generator may be busy or late, beyond two seconds."""

NO_ACCOUNT = "The generator kept no account of itself: it may have been the limit."


def run_finished(recording: Recording) -> Finding:
    """The run came to its planned end: nobody stopped it and nothing broke it off."""
    check = Check(RUN_FINISHED, "The run went to its end")
    manifest = recording.manifest
    if manifest.state == "recorded":
        return check.passed("The run came to its planned end.")
    # Of a child's last words, which follow in lines of their own, the run's log has all.
    reason = manifest.reason.partition("\n")[0].rstrip(".:")
    because = f": {reason}" if reason else ""
    by = "" if aborted_from_outside(recording.events) else " by a guard"
    how = {
        "interrupted": "was interrupted",
        "aborted": f"was aborted{by}",
        "failed": "broke off",
    }.get(manifest.state, "was not finished")
    return check.unproven(f"The run {how}{because}.")


def load_delivered(recording: Recording, table: LoadTable) -> Finding:
    """The generator ran as many users as were planned, without a hole, to the end."""
    check = Check("load-delivered", "The load was delivered")
    plan = recording.plan
    problem = _record_problem(recording, table)
    if problem:
        return check.unproven(problem)
    if plan.experiment.load.is_open:
        return rate_delivered(recording)
    worst_ratio, text, where = 0.0, "", ""
    for phase in plan.phases:
        if phase.name == "warmup":
            continue
        ratio, sentence = _user_deviation(recording, phase, table)
        if abs(ratio) >= abs(worst_ratio):
            worst_ratio, text, where = ratio, sentence, phase_label(plan, phase)
    if not text:
        return check.unproven("Nobody counted users after the warmup, or there was no time for it.")
    delivered = abs(worst_ratio) <= LOAD_TOLERANCE_RATIO
    if delivered and any(SHAPE_ENDED in note for note in recording.load.notes):
        return check.warned(_ended_early(recording))
    return Finding(
        kind="validity",
        check=check.name,
        title=check.title,
        verdict=Verdict.PASS if delivered else Verdict.INCONCLUSIVE,
        reason=text,
        where=where,
        operator="<=",
        observed=abs(worst_ratio),
        bound=LOAD_TOLERANCE_RATIO,
        unit="ratio",
    )


def _record_problem(recording: Recording, table: LoadTable) -> str:
    plan = recording.plan
    if not table.slice(0.0, plan.duration_s).requests:
        if recording.load.interrupted:
            waited = count(recording.load.interrupted, "user")
            return (
                f"No request had ended when the load did: {waited} still waited for an answer, so "
                "nothing was tried; give users a shorter timeout, or the load a guard 'silent'."
            )
        own = _own_failures(recording)
        return f"No request was sent, so nothing was tried{own and f': {own}'}."
    if table.recorded_s < math.floor(plan.duration_s):
        return (
            f"The load ended after {figure(table.recorded_s, 's')} of the planned "
            f"{figure(plan.duration_s, 's')}."
        )
    if not recording.load.finished:
        return "The load generator did not close its record, so requests may be missing from it."
    if not recording.load.complete:
        return "The load generator does not say that it followed the plan to its end."
    holes = [s for s in seconds_of(0.0, table.recorded_s) if s not in table.users]
    if holes:
        return (
            f"The load generator recorded nothing in {count(len(holes), 'second')}, the first "
            f"{holes[0]} s after its start."
        )
    return ""


def _ended_early(recording: Recording) -> str:
    """That a locustfile's shape did not last as long as the load, and what to do."""
    plan = recording.plan
    last = max((second for second, users in recording.load.wanted.items() if users), default=0)
    written_s = (last + 1) / plan.time_scale
    return (
        f"The locustfile's load shape ended {figure(last + 1.0, 's')} after its start, and nobody "
        f"was running in the rest of the planned {figure(plan.duration_s, 's')}; set the load's "
        f"duration to {format_duration(float(round(written_s)))}."
    )


def _user_deviation(recording: Recording, phase: Phase, table: LoadTable) -> tuple[float, str]:
    """How far the mean of the running users is outside of what was planned, and a sentence."""
    plan = recording.plan
    # The users of the last second are counted at its end, when they are being stopped already.
    end_s = min(phase.end_s, plan.duration_s - 1.0)
    actual = table.mean_users(phase.start_s, end_s)
    seconds = seconds_of(phase.start_s, end_s)
    if actual is None or not seconds:
        return 0.0, ""
    bounds = _planned_users(recording, seconds)
    if bounds is None:
        return 0.0, ""
    low, high = bounds
    nearest = min(max(actual, low), high)
    ratio = (actual - nearest) / nearest if nearest else float(actual > 0)
    text = (
        f"On average {figure(actual, 'count')} users were running in {phase_label(plan, phase)}, "
        f"where {figure(nearest, 'count')} were planned."
    )
    return ratio, text


def _planned_users(recording: Recording, seconds: range) -> tuple[float, float] | None:
    """Bounds of the mean of planned users; each second may lead or lag by one.

    A locustfile's own shape plans while it runs: what it wanted is on record. None without that.
    """
    plan = recording.plan
    last_s = math.nextafter(plan.duration_s, 0.0)
    own = plan.experiment.load.model == "own"
    wanted = _without_holes(recording.load.wanted) if own else []
    if own and not wanted:
        return None

    def at(second: int) -> float:
        if own:  # counted at the ends of seconds
            return float(wanted[min(max(second - 1, 0), len(wanted) - 1)])
        return plan.users_at(min(max(float(second), 0.0), last_s))

    planned = [at(second) for second in range(seconds.start - 1, seconds.stop + 2)]
    around = [planned[index : index + 4] for index in range(len(seconds))]
    low = sum(min(values) for values in around) / len(around)
    high = sum(max(values) for values in around) / len(around)
    return low, high


def _without_holes(wanted: Mapping[int, int]) -> list[int]:
    """Second by second; one that is not on record is as the one before it."""
    users: list[int] = []
    for second in range(max(wanted, default=-1) + 1):
        users.append(wanted.get(second, users[-1] if users else 0))
    return users


def load_recorded(recording: Recording, table: LoadTable) -> Finding:
    """No request is missing from the record, and the generator has nothing to remark."""
    check = Check("load-recorded", "Every request is on record")
    lost = recording.load.interrupted
    sent = table.slice(0.0, recording.plan.duration_s).requests
    users = f"{count(lost, 'user')} had to be ended in the middle of a request"
    if lost > LOST_RATIO * (sent + lost):
        return check.unproven(f"{users}, and nobody knows how it would have ended.", float(lost))
    if not recording.load.finished:
        return check.warned(
            "The load generator did not close its record; its last second may lack."
        )
    notes = [note for note in recording.load.notes if SHAPE_ENDED not in note]  # told elsewhere
    if notes:
        return check.warned(f"The load generator remarks: {notes[0].rstrip('.')}.")
    if lost:
        return check.warned(f"{users}.", float(lost))
    if sent and (own := _own_failures(recording)):
        return check.warned(f"What was not sent is not on record: {own}.")
    return check.passed("No request was broken off, and the generator has nothing to remark.")


def _own_failures(recording: Recording) -> str:
    """How often the locustfile's own code failed, and an example; empty when it did not."""
    own = {
        text: number
        for (endpoint, _, text), number in recording.load.failures.items()
        if endpoint == USER_CODE
    }
    if not own:
        return ""
    text = max(own, key=own.__getitem__)
    return f"the locustfile's own code failed {count(sum(own.values()), 'time')}, as with {text!r}"


def generator_had_room(recording: Recording, table: LoadTable) -> Finding:
    """The generator was not the limit: it had processor time, and its timers fired in time."""
    check = Check("generator-had-room", "The generator was not the limit")
    generator = recording.load.generator
    known = False
    for phase in recording.plan.phases:
        if phase.name == "warmup":
            continue
        seconds = seconds_of(phase.start_s, min(phase.end_s, table.recorded_s))
        accounts = [generator[second] for second in seconds if second in generator]
        known = known or bool(accounts)
        busy = min(sum(map(strained_s, accounts)), len(seconds))
        if busy > max(2.0, BUSY_SECONDS_RATIO * len(seconds)):
            label = phase_label(recording.plan, phase)
            return check.unproven(
                f"The generator was the limit: in {busy} of {len(seconds)} seconds of {label} it "
                f"used more than {figure(BUSY_CPU_RATIO, 'ratio')} of its core, or its timer was "
                f"late by more than {figure(LATE_S, 's')}; {MORE_POWER}.",
                float(busy),
            )
    if not known:
        return check.warned(NO_ACCOUNT)
    processes = max(1, recording.plan.generator.crew)
    return check.passed(_ease(tuple(generator.values()), processes))


def strained_s(account: GeneratorSecond) -> int:
    """Seconds of which ``account`` says that the generator was busy or late in them.

    One that stood still for 5 s has kept a single account of them.
    """
    if account.cpu_ratio <= BUSY_CPU_RATIO and account.lag_s <= LATE_S:
        return 0
    return max(1, math.ceil(account.lag_s) if math.isfinite(account.lag_s) else 1)


def _ease(accounts: tuple[GeneratorSecond, ...], processes: int) -> str:
    who = "The generator" if processes == 1 else f"The busiest of {processes} workers"
    cpu_ratio = sum(account.cpu_ratio for account in accounts) / len(accounts)
    late_s = sorted(account.lag_s for account in accounts)[int(0.95 * len(accounts))]
    return (
        f"{who} used {figure(cpu_ratio, 'ratio')} of a core on average, and its timer was late "
        f"by at most {figure(late_s, 's')} in 95 % of the seconds."
    )
