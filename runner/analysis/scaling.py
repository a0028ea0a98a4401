"""How many replicas each service had over the run, and whether autoscaling acted. Pure.

Rests on what was wanted (``replicas.desired``) and what was ready (``replicas.ready``), and on the
autoscalers that the target had before the load. A service whose replicas nobody recorded is named
as such; it did not stay as it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from runner.analysis.checks import has_pods
from runner.analysis.question import Question
from runner.analysis.words import count, listed, moment
from runner.model.evaluation import Finding, Part, Verdict
from runner.model.recording import Recording, Signals
from runner.model.surroundings import Surroundings

DESIRED, READY = "replicas.desired", "replicas.ready"
_MOST_NAMED = 12
_MOST_STEPS = 6

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the wanted replicas, at an offset; ``ready_s`` when so many were ready."""

    at_s: float
    before: int
    after: int
    ready_s: float | None


@dataclass(frozen=True, slots=True)
class Replicas:
    """The replicas of one service over the run.

    Attributes:
        first: Wanted at the start.
        highest: Most that were wanted.
        changes: Each change of what was wanted.
        fewest_ready: Fewest that were ready at once; None if unknown, or if they were scaled.
    """

    first: int
    highest: int
    changes: tuple[Change, ...]
    fewest_ready: int | None


def replicas_over_time(recording: Recording, *, varied: bool) -> Finding | None:
    """Whether and when services were scaled; None when nobody would ask.

    Args:
        recording: The run.
        varied: Whether its load was uneven, so that one expects scaling.
    """
    question = Question("replicas", "Did autoscaling act?")
    signals, around = recording.signals, recording.surroundings
    known = {} if signals is None else replicas_of(signals)
    if not (varied or around.autoscalers or any(one.changes for one in known.values())):
        return None
    if signals is None or not known:
        return question.open("No answer: the numbers of replicas are not on record.")
    unknown = [name for name in signals.services if has_pods(name) and name not in known]
    changed = [name for name, one in known.items() if one.changes]
    sentences = [_changed(name, known[name], around) for name in changed[:_MOST_NAMED]]
    sentences += _stayed({n: one for n, one in known.items() if not one.changes}, around)
    if unknown:
        sentences.append(f"Not known: {listed(unknown, _MOST_NAMED)} (no data).")
    end_s = recording.plan.duration_s
    parts = [_part(name, one, end_s, around) for name, one in known.items()]
    most = max(one.highest - one.first for one in known.values())
    return question.answered(" ".join(sentences), float(most), "count", parts)


def replicas_of(signals: Signals) -> dict[str, Replicas]:
    """What is known of each service."""
    points = {
        (one.service, one.sli): [(at_s, value) for at_s, value in one.points if value is not None]
        for one in signals.series
        if one.sli in (DESIRED, READY)
    }
    return {
        service: _replicas(desired, points.get((service, READY), []))
        for (service, sli), desired in sorted(points.items())
        if sli == DESIRED and desired
    }


def _replicas(desired: Points, ready: Points) -> Replicas:
    changes = []
    edges = [
        (after[0], round(before[1]), round(after[1]))
        for before, after in pairwise(desired)
        if round(before[1]) != round(after[1])
    ]
    for (at_s, before, after), (end_s, *_) in pairwise([*edges, (math.inf, 0, 0)]):
        reached = (
            when
            for when, value in ready
            if at_s <= when < end_s and (value >= after if after > before else value <= after)
        )
        changes.append(Change(at_s, before, after, next(reached, None)))
    wanted = [round(value) for _, value in desired]
    fewest = None if changes or not ready else round(min(value for _, value in ready))
    return Replicas(wanted[0], max(wanted), tuple(changes), fewest)


def _changed(name: str, one: Replicas, around: Surroundings) -> str:
    steps = [_step(change) for change in one.changes]
    scaler = around.autoscaler_of(name)
    who = f" (its autoscaler may use {scaler.lowest} to {scaler.highest})" if scaler else ""
    if around.autoscalers is not None and scaler is None:
        who = " (not by an autoscaler: none is defined for it)"
    return f"{name}{who} went {listed(steps, _MOST_STEPS)}."


def _step(change: Change) -> str:
    text = f"from {change.before} to {count(change.after, 'replica')} at {moment(change.at_s)}"
    if change.after < change.before:
        return text
    if change.ready_s is None:
        return f"{text} (never ready)"
    return f"{text} (ready at {moment(change.ready_s)})"


def _stayed(known: Mapping[str, Replicas], around: Surroundings) -> list[str]:
    """Those that were not scaled, those with an autoscaler first."""
    groups: dict[tuple[int, str], list[str]] = {}
    for name, one in known.items():
        groups.setdefault((one.first, _why(name, one, around)), []).append(name)
    texts = []
    for (number, why), names in sorted(groups.items(), key=lambda group: group[0][1]):
        named = listed(names, _MOST_NAMED)
        texts.append(f"{named} stayed at {number}{why}.")
    return texts


def _why(name: str, one: Replicas, around: Surroundings) -> str:
    scaler = around.autoscaler_of(name)
    ready = ""
    if one.fewest_ready is not None and one.fewest_ready < one.first:
        ready = f", at times with only {one.fewest_ready} ready"
    if scaler is not None:
        return f"{ready}: the autoscaler may use {scaler.lowest} to {scaler.highest}"
    if around.autoscalers is None:
        return f"{ready}; whether there is an autoscaler is not known"
    return f"{ready}: no autoscaler is defined"


def _part(name: str, one: Replicas, end_s: float, around: Surroundings) -> Part:
    steps = [_step(change) for change in one.changes]
    reason = "; ".join(steps) if steps else f"stayed at {one.first}{_why(name, one, around)}"
    return Part(
        label=name,
        start_s=0.0,
        end_s=end_s,
        verdict=Verdict.PASS,
        observed=float(one.highest),
        reason=reason,
    )
