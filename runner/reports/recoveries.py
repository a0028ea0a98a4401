"""Recoveries: the seconds in which the promises held again, and those in which they did not. Pure.

No markup. A strip shows no more than what matters: some time beyond the recovery and its bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from runner.model.bound import Bound
from runner.model.evaluation import Evaluation, Finding, Part, RecoveryFigure, Verdict
from runner.model.objective import Objective
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.bounds import bound_in
from runner.reports.rows import Number, number
from runner.reports.text import Shown

_LEAST_SHOWN_S = 20.0
_ROOM = 1.6
"""A strip reaches so many times as far as the recovery, or its bound, whichever is later."""

MOST_RECOVERIES = 60
_SPIKE = "spike"


class Held(Model):
    """A stretch of a strip in which the promises held throughout, or never; in percent of it."""

    holds: bool
    left_percent: float
    width_percent: float


class RecoveryLimit(Model):
    """A bound on a recovery."""

    text: str
    left_percent: float | None
    verdict: Verdict


class RecoveryRow(Model):
    """One recovery.

    Attributes:
        after: Fault's id, or ``spike``.
        number: Of the fault, as everywhere in the report; 0 for a spike.
        shown_s: Length of the strip.
        again_percent: Where the promises held again; None when they did not within the strip.
        ticks: ``(percent, text)``, in time from the clock's start.
        about: All of it in a sentence or two.
    """

    after: Shown
    number: int
    clock: str
    seconds: Number
    shown_s: float
    strip: Items[Held]
    again_percent: float | None
    limits: Items[RecoveryLimit]
    ticks: Items[tuple[float, str]]
    titles: Items[Shown]
    window: str
    reason: Shown
    about: Shown


def recovery_rows(
    evaluation: Evaluation, objectives: Sequence[Objective] = ()
) -> tuple[RecoveryRow, ...]:
    """A row for each recovery that was looked at, in order of time.

    Args:
        evaluation: With the recoveries, and the findings about them.
        objectives: The run's own, which say what a recovery is: a bound belongs to those recoveries
            that are meant by it.
    """
    numbers = {fault.id: at for at, fault in enumerate(evaluation.faults, start=1)}
    limits = [
        (finding, bound)
        for finding in evaluation.findings
        if finding.kind == "objective"
        and (bound := bound_in(finding.title)[0]) is not None
        and bound.sli == "recovery"
    ]
    meant = {one.title: _titles(one) for one in objectives if one.bound.sli == "recovery"}
    said = {titles for titles in meant.values() if titles}

    def of_it(figure: RecoveryFigure, title: str) -> bool:
        named = figure.titles if figure.titles in said else ()
        return meant.get(title, ()) == named

    return tuple(
        _row(
            figure,
            numbers.get(figure.after, 0),
            [one for one in limits if of_it(figure, one[0].title)],
        )
        for figure in evaluation.recoveries[:MOST_RECOVERIES]
    )


def _titles(objective: Objective) -> tuple[str, ...]:
    """What must hold again by its ``until``; nothing without one."""
    return tuple(Objective(objective=text, of=objective.of).title for text in objective.until)


def _row(
    figure: RecoveryFigure, fault_number: int, limits: Sequence[tuple[Finding, Bound]]
) -> RecoveryRow:
    known = [(bound, _part(finding, figure)) for finding, bound in limits]
    bounds = [(bound, _verdict(part, bound, figure)) for bound, part in known if part is not None]
    shown_s = _shown_s(figure, [bound.value for bound, _ in bounds])

    def percent(offset_s: float) -> float:
        return round(100 * min(1.0, offset_s / shown_s), 3)

    return RecoveryRow(
        after=figure.after,
        number=fault_number,
        clock=fmt.clock_offset(figure.start_s),
        seconds=number(figure.seconds, "s"),
        shown_s=shown_s,
        strip=_strip(figure.holds, shown_s),
        again_percent=None if figure.seconds is None else percent(figure.seconds),
        limits=tuple(
            RecoveryLimit(
                text=_limit(bound),
                left_percent=percent(bound.value) if bound.value <= shown_s else None,
                verdict=verdict,
            )
            for bound, verdict in bounds
        ),
        ticks=tuple((percent(at_s), fmt.span(at_s)) for at_s in _ticks_s(shown_s)),
        titles=figure.titles,
        window=fmt.span(figure.window_s) if figure.window_s else "",
        reason=figure.reason,
        about=_about(figure, bounds),
    )


def _part(finding: Finding, figure: RecoveryFigure) -> Part | None:
    """What ``finding`` says of this recovery; of many kills, it is about the worst."""
    after = "the spike" if figure.after == _SPIKE else figure.after
    return next((part for part in finding.parts if part.label == f"after {after}"), None)


def _verdict(part: Part, bound: Bound, figure: RecoveryFigure) -> Verdict:
    if figure.seconds is None or figure.seconds == part.observed:
        return part.verdict
    return Verdict.PASS if bound.holds(figure.seconds) else Verdict.FAIL


def _shown_s(figure: RecoveryFigure, bounds_s: Sequence[float]) -> float:
    seen_s = max(figure.end_s - figure.start_s, float(len(figure.holds)), 1.0)
    trouble_s = [at + 1.0 for at, holds in enumerate(figure.holds) if not holds][-1:]
    wanted_s = _ROOM * max([figure.seconds or 0.0, *bounds_s, *trouble_s])
    return min(seen_s, max(_LEAST_SHOWN_S, wanted_s))


def _strip(holds: Sequence[bool], shown_s: float) -> tuple[Held, ...]:
    found, at = [], 0
    for value, run in groupby(holds):
        length = sum(1 for _ in run)
        start, end = float(at), min(shown_s, float(at + length))
        if end > start:
            found.append(
                Held(
                    holds=value,
                    left_percent=round(100 * start / shown_s, 3),
                    width_percent=round(100 * (end - start) / shown_s, 3),
                )
            )
        at += length
    return tuple(found)


def _ticks_s(shown_s: float) -> list[float]:
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
    step = next((one for one in steps if shown_s / one <= 8), 21600)
    return [float(at) for at in range(0, int(shown_s) + 1, step)]


def _limit(bound: Bound) -> str:
    operator = {"<=": "≤", ">=": "≥"}.get(bound.operator, bound.operator)
    return f"{operator} {fmt.quantity(bound.value, bound.unit)}"


def _about(figure: RecoveryFigure, bounds: Sequence[tuple[Bound, Verdict]]) -> str:
    broken = sum(not holds for holds in figure.holds)
    what = "the spike" if figure.after == _SPIKE else figure.after
    if figure.seconds is None:
        said = [f"After {what}, no recovery was seen"]
        said.append(f": {figure.reason}." if figure.reason else ".")
    elif figure.seconds == 0:
        said = [f"After {what}, the objectives held at once."]
    else:
        said = [f"After {what}, the objectives held again {fmt.seconds(figure.seconds)} later."]
    if figure.holds:
        one = "second" if len(figure.holds) == 1 else "seconds"
        said.append(
            f" They did not hold in {fmt.count(broken)} of {fmt.count(len(figure.holds))} {one}"
            " that were judged."
            if broken
            else f" They held in all {fmt.count(len(figure.holds))} {one} that were judged."
        )
    words = {
        Verdict.PASS: "kept",
        Verdict.WARN: "kept, with a warning",
        Verdict.FAIL: "missed",
        Verdict.INCONCLUSIVE: "not proven",
    }
    said += [f" Bound {_limit(bound)}: {words[verdict]}." for bound, verdict in bounds]
    return "".join(said)
