"""Which objective is drawn as a bound in which chart, and in which windows. No drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.model.bound import Bound, parse_bound
from runner.model.evaluation import Evaluation, Finding, Part, SignalFigures, Verdict
from runner.model.recording import Recording
from runner.model.shape import Items, Model
from runner.reports import format as fmt

_FIGURES = {"saturation.cpu": "cpu_ratio", "saturation.memory": "memory_ratio"}


class BoundMark(Model):
    """A bound, drawn where it was judged.

    Attributes:
        above: Whether the figure had to be above it.
        windows: ``(start_s, end_s)`` in which it was judged; phases that touch are one window.
        missed: Whether it was missed in these windows.
    """

    label: str
    value: float
    above: bool
    windows: Items[tuple[float, float]]
    missed: bool


class DrawnBound(Model):
    """An objective that charts can show, with what decides where."""

    bound: Bound
    source: str
    subject: str
    parts: Items[Part]


def bounds_of(findings: Iterable[Finding]) -> tuple[DrawnBound, ...]:
    """The objectives among ``findings`` that charts can show."""
    found = []
    for finding in findings:
        text, _, subject = finding.title.partition(" in stage ")[0].partition(" of ")
        if finding.kind != "objective":
            continue
        try:
            bound = parse_bound(text)
        except ValueError:
            continue  # A grammar of another version: the table of objectives still shows it.
        found.append(
            DrawnBound(bound=bound, source=finding.source, subject=subject, parts=finding.parts)
        )
    return tuple(found)


def load_marks(drawn: Sequence[DrawnBound], sli: str) -> tuple[BoundMark, ...]:
    """The bounds on ``sli`` of the whole load, as its users see it."""
    return tuple(
        mark
        for one in drawn
        if (one.bound.sli, one.source, one.subject) == (sli, "client", "")
        for mark in _marks(one, {part.start_s for part in one.parts if part.verdict == "fail"})
    )


def in_flight_mark(recording: Recording) -> BoundMark:
    """The bound of arrivals in flight; missed when any had to wait for a user, or was dropped."""
    plan = recording.plan
    return BoundMark(
        label=f"≤ {fmt.count(plan.max_in_flight)}",
        value=float(plan.max_in_flight),
        above=False,
        windows=((0.0, plan.duration_s),),
        missed=any(one.waited or one.dropped for one in recording.load.arrivals.values()),
    )


def service_marks(
    drawn: Sequence[DrawnBound], signal: str, service: str, evaluation: Evaluation
) -> tuple[BoundMark, ...]:
    """The bounds on a golden signal of ``service``, as the mesh sees it.

    A bound on saturation that names no service holds for each; whether this one missed it is told
    by its own figures.
    """
    marks: list[BoundMark] = []
    for one in drawn:
        if one.bound.sli.split(".")[0] != signal or one.source != "mesh":
            continue
        if one.subject == service:
            missed = {part.start_s for part in one.parts if part.verdict is Verdict.FAIL}
        elif signal == "saturation" and not one.subject:
            own = [figures for figures in evaluation.signals if figures.service == service]
            missed = {figures.start_s for figures in own if _misses(one.bound, figures)}
        else:
            continue
        marks += _marks(one, missed)
    return tuple(marks)


def _misses(bound: Bound, figures: SignalFigures) -> bool:
    value = getattr(figures, _FIGURES[bound.sli])
    return value is not None and not bound.holds(value)


def _marks(one: DrawnBound, missed: set[float]) -> Iterable[BoundMark]:
    """The windows in which the bound was missed, then those in which it was kept."""
    judged = [p for p in one.parts if p.verdict is not Verdict.INCONCLUSIVE or p.start_s in missed]
    for is_missed in (True, False):
        windows = [(p.start_s, p.end_s) for p in judged if (p.start_s in missed) is is_missed]
        if windows:
            yield BoundMark(
                label=_label(one.bound),
                value=one.bound.value,
                above=one.bound.operator in (">", ">="),
                windows=_touching(windows),
                missed=is_missed,
            )


def _label(bound: Bound) -> str:
    operator = {"<=": "≤", ">=": "≥"}.get(bound.operator, bound.operator)
    limit = f"{operator} {fmt.quantity(bound.value, bound.unit)}"
    if bound.sli.startswith("saturation"):
        what = bound.sli.removeprefix("saturation.")
        return f"{'CPU' if what == 'cpu' else what} {limit}"
    return f"{bound.statistic} {limit}".strip()


def _touching(windows: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """``windows`` with those that touch made one."""
    result: list[tuple[float, float]] = []
    for start_s, end_s in sorted(windows):
        if result and start_s <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end_s))
        else:
            result.append((start_s, end_s))
    return tuple(result)
