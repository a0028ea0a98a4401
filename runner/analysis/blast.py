"""Which services a spike, a rising load or a fault affected, and which it did not. Pure.

Each service is compared with itself: what the mesh saw in the window in question against what it
saw in a calm one. A service without data is neither affected nor unharmed; it is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from runner.analysis.confidence import ratio_interval
from runner.analysis.profile import Plateau, Spike
from runner.analysis.question import Question
from runner.analysis.words import compared, figure, listed
from runner.model.evaluation import Finding, Part, Verdict
from runner.model.plan import Phase, Plan, PlannedFault
from runner.model.recording import PhaseSignal, Signals

ERRORS_ABOVE_RATIO = 0.005
"""A service is affected when its errors rose by more than half a percentage point, surely..."""

LATENCY_FACTOR = 1.5
LATENCY_ABOVE_S = 0.005
"""...or its p95 is more than so many times, and by more than this, that of the calm window."""

FEWEST_REQUESTS = 20
"""Fewer requests in a window than this tell nothing."""

CONFIDENCE = 0.99
_MOST_NAMED = 12

State = Literal["affected", "unharmed", "unknown"]

BOUNDS = (
    f"Affected means: more than {ERRORS_ABOVE_RATIO * 100:g} percentage points more errors, or a "
    f"p95 more than {LATENCY_FACTOR:g} times as high."
)


@dataclass(frozen=True, slots=True)
class Window:
    """A window that was compared.

    Attributes:
        index: Index of the phase or plateau in the signals.
        label: When, for a reader: ``at 500 users``, ``with 01-http-abort``.
    """

    index: int
    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Impact:
    """What became of one service in one window; ``rise`` orders the affected by how badly."""

    state: State
    text: str
    window: Window
    rise: float = 0.0
    error_ratio: float | None = None
    samples: float | None = None


def affected_by_load(
    signals: Signals | None, stages: Sequence[Plateau], spike: Spike | None, plan: Plan
) -> Finding:
    """Which services more load affected: in the spike's stages, or in all that are higher."""
    text = (
        "Which services did the spike affect?" if spike else "Which services did more load affect?"
    )
    question = Question("affected-by-load", text)
    before = stages[0] if spike is None else spike.before
    later = stages[1:] if spike is None else spike.peaks
    higher = [one for one in later if one.level > before.level]
    if not higher:
        return question.open("No answer: no stage had more load than the first.")
    last_s = max(one.end_s for one in higher)
    if any(f.start_s < last_s and f.end_s > before.from_s for f in plan.faults):
        return question.open("No answer: faults were in effect as well.")
    found = () if signals is None else signals.stages
    reached = [_of(one) for one in higher if any(seen.phase == one.index for seen in found)]
    return _compare(question, signals, found, _of(before), reached)


def affected_by_fault(
    signals: Signals | None, fault: PlannedFault, phases: Sequence[Phase]
) -> Finding:
    """Which services were affected while ``fault`` was in effect, against the longest baseline."""
    question = Question("affected-by-fault", "Which services did the fault affect?", fault.id)
    calm = [phase for phase in phases if phase.name == "baseline"]
    during = [phase for phase in phases if fault.id in phase.faults]
    if not calm or not during:
        return question.open("No answer: there is no baseline to compare with.")
    before = max(calm, key=lambda phase: phase.duration_s)
    found = () if signals is None else signals.phases
    windows = [
        Window(phase.index, f"with {' + '.join(phase.faults)}", phase.start_s, phase.end_s)
        for phase in during
    ]
    calm_window = Window(before.index, "in the baseline", before.start_s, before.end_s)
    return _compare(question, signals, found, calm_window, windows)


def _of(plateau: Plateau) -> Window:
    return Window(plateau.index, f"at {plateau.name}", plateau.from_s, plateau.end_s)


def _compare(
    question: Question,
    signals: Signals | None,
    found: Sequence[PhaseSignal],
    calm: Window,
    windows: Sequence[Window],
) -> Finding:
    services = () if signals is None else signals.services
    table = {(one.phase, one.sli, one.service): one for one in found}
    if not services or not windows or not table:
        return question.open("No answer: the mesh's figures are not on record.")
    impacts = {name: _worst(table, name, calm, windows) for name in services}
    hit = sorted(
        (name for name, one in impacts.items() if one.state == "affected"),
        key=lambda name: -impacts[name].rise,
    )
    unharmed = [name for name, one in impacts.items() if one.state == "unharmed"]
    unknown = [f"{name} ({one.text})" for name, one in impacts.items() if one.state == "unknown"]
    nobody = "none that is known" if unknown else "none"
    texts = [f"{name} ({impacts[name].text})" for name in hit]
    sentences = [
        f"Affected: {listed(texts, _MOST_NAMED) if texts else nobody}.",
        f"Not affected: {listed(unharmed, _MOST_NAMED)}." if unharmed else "",
        f"Not known: {listed(unknown, _MOST_NAMED)}." if unknown else "",
        BOUNDS,
    ]
    parts = [_part(name, impacts[name]) for name in (*hit, *_others(impacts))]
    if not hit and not unharmed:
        return question.open(f"No answer: {listed(unknown, _MOST_NAMED)}.", parts)
    return question.answered(" ".join(filter(None, sentences)), parts=parts, unit="ratio")


def _others(impacts: Mapping[str, Impact]) -> list[str]:
    order = {"unharmed": 0, "unknown": 1}
    names = [name for name, one in impacts.items() if one.state != "affected"]
    return sorted(names, key=lambda name: (order[impacts[name].state], name))


def _part(name: str, one: Impact) -> Part:
    words = {"affected": "affected", "unharmed": "not affected", "unknown": "not known"}
    return Part(
        label=name,
        start_s=one.window.start_s,
        end_s=one.window.end_s,
        verdict=Verdict.INCONCLUSIVE if one.state == "unknown" else Verdict.PASS,
        observed=one.error_ratio,
        samples=one.samples,
        reason=f"{words[one.state]}: {one.text}" if one.text else words[one.state],
    )


Table = Mapping[tuple[int, str, str], PhaseSignal]


def _worst(table: Table, service: str, calm: Window, windows: Sequence[Window]) -> Impact:
    """The window in which the service was affected most; where none, one that is not known."""
    impacts = [_impact(table, service, calm, window) for window in windows]
    hit = [one for one in impacts if one.state == "affected"]
    if hit:
        return max(hit, key=lambda one: one.rise)
    return next((one for one in impacts if one.state == "unknown"), impacts[-1])


def _impact(table: Table, service: str, calm: Window, window: Window) -> Impact:
    before, now = (table.get((one.index, "errors", service)) for one in (calm, window))
    for seen, where in ((before, calm), (now, window)):
        why = _lacks(seen)
        if why:
            return Impact("unknown", f"{why} {where.label}", window)
    if before is None or now is None or before.value is None or now.value is None:
        return Impact("unknown", "no data", window)
    reasons: list[str] = []
    rise = 0.0
    if _more_errors(before, now):
        texts = compared(before.value, now.value, "ratio")
        reasons.append(f"errors {texts[0]} → {texts[1]}")
        rise += now.value - before.value
    slow = _slower(table, service, calm, window)
    if slow is not None and slow > LATENCY_FACTOR:
        was, is_now = (table[(one.index, "latency.p95", service)] for one in (calm, window))
        reasons.append(f"p95 {figure(was.value or 0.0, 's')} → {figure(is_now.value or 0.0, 's')}")
        rise += slow
    if reasons:
        text = f"{', '.join(reasons)} {window.label}"
        return Impact("affected", text, window, rise, now.value, now.samples)
    if slow is None:
        return Impact("unknown", f"no latency {window.label}", window, 0.0, now.value, now.samples)
    return Impact("unharmed", "", window, 0.0, now.value, now.samples)


def _lacks(seen: PhaseSignal | None) -> str:
    """Why an error ratio tells nothing; empty when it does."""
    if seen is None or seen.state == "error":
        return "no data"
    if seen.warnings:
        return "partial data"
    if seen.state == "gaps":
        return "too few figures"
    if seen.value is None or not seen.samples:
        return "no request to it"
    return "too few requests" if seen.samples < FEWEST_REQUESTS else ""


def _more_errors(before: PhaseSignal, now: PhaseSignal) -> bool:
    failed_before, failed = ((one.value or 0.0) * (one.samples or 0.0) for one in (before, now))
    surely = ratio_interval(failed, now.samples or 0.0, CONFIDENCE)[0]
    at_most = ratio_interval(failed_before, before.samples or 0.0, CONFIDENCE)[1]
    bound = (before.value or 0.0) + ERRORS_ABOVE_RATIO
    return (now.value or 0.0) > bound and surely > min(at_most, bound)


def _slower(table: Table, service: str, calm: Window, window: Window) -> float | None:
    """How many times as high p95 was, 1 where the difference is small; None when nobody knows."""
    before, now = (table.get((one.index, "latency.p95", service)) for one in (calm, window))
    if before is None or now is None or not before.value or now.value is None:
        return None
    if before.state != "ok" or now.state == "error":
        return None
    factor = now.value / before.value
    if now.value - before.value <= LATENCY_ABOVE_S:
        factor = min(factor, 1.0)
    # A p95 above the highest bound of the mesh is at least as high as that bound.
    return factor if now.state == "ok" or factor > LATENCY_FACTOR else None
